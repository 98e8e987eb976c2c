#include <coati/coati.hpp>

#include <boost/asio/io_context.hpp>

#include <iostream>

boost::asio::awaitable<coati::result<void>> app(coati::client zk)
{
    using mode = coati::create_mode;
    BOOST_OUTCOME_CO_TRY(auto made, co_await zk.create("/hi-", "hi", mode::ephemeral_sequential));
    BOOST_OUTCOME_CO_TRY(auto read, co_await zk.get_and_watch(made.path));
    std::cout << made.path << " = " << read.data << " at zxid " << read.stat.mzxid << '\n';
    BOOST_OUTCOME_CO_TRY(co_await zk.set(made.path, "ho", read.stat.version));
    BOOST_OUTCOME_CO_TRY(auto event, co_await read.watch.next());
    std::cout << name(event.type) << ' ' << event.path << '\n';
    co_return coati::success();
}

int main(int argc, char** argv)
{
    boost::asio::io_context context;
    auto settings = coati::config::parse(argc > 1 ? argv[1] : "127.0.0.1:2181");
    coati::client zk(context.get_executor(), settings.value());
    int exit_code = 1;
    coati::supervise(zk, app)([&](std::exception_ptr, coati::result<void> answer) {
        exit_code = answer ? 0 : 1;
        std::cout << (answer ? "closed in order" : answer.error().message()) << '\n';
    });
    context.run();
    return exit_code;
}
