#include <coati/coati.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <cstdlib>
#include <iostream>

boost::asio::awaitable<coati::result<void>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/hello", "world"));
    BOOST_OUTCOME_CO_TRY(auto read, co_await zk.get("/hello"));
    std::cout << "hello " << read.data << ", version " << read.stat.version << '\n';
    co_return co_await zk.remove("/hello", read.stat.version);
}

int main()
{
    const char* servers = std::getenv("COATI_CONNECT");
    auto settings = coati::config::parse(servers != nullptr ? servers : "127.0.0.1:2181").value();
    boost::asio::io_context context(1);
    const coati::client zk(context.get_executor(), settings);
    auto done = coati::supervise(zk, app)(boost::asio::use_future);
    context.run();
    const auto ended = done.get();
    if (!ended) {
        std::cerr << ended.error().message() << '\n';
    }
    return ended ? 0 : 1;
}
