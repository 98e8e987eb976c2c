// Follow a znode: read it, use it, wait until it changes, read it again.
//
// A watch is a value that fires once and carries no data. The read that follows it arms the next
// one, so no change goes unnoticed; two quick changes may be seen as one. Reconnects need no code.

#include "support.hpp"

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What the rest of a program would be told of.
class settings_in_use {
public:
    void apply(const coati::watched_data& now)
    {
        std::cout << "version " << now.stat.version << ": " << now.data << '\n';
        last = now.data;
    }

    std::string last;
};

asio::awaitable<coati::result<void>> follow(coati::client zk, settings_in_use* used)
{
    for (;;) {
        BOOST_OUTCOME_CO_TRY(auto now, co_await zk.get_and_watch("/settings"));
        used->apply(now);
        if (now.data == "stop") {
            co_return coati::success();
        }
        BOOST_OUTCOME_CO_TRY(auto event, co_await now.watch.next());
        std::cout << event.path << ": " << name(event.type) << '\n';
    }
}

/// Somebody who changes the settings.
asio::awaitable<coati::result<void>> change(coati::client zk)
{
    for (const char* next : {"two workers", "four workers", "stop"}) {
        BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(50ms));
        BOOST_OUTCOME_CO_TRY(co_await zk.set("/settings", next));
    }
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/settings", "one worker"));
    settings_in_use used;
    auto changing = asio::co_spawn(zk.get_executor(), change(zk), asio::deferred);
    auto following = asio::co_spawn(zk.get_executor(), follow(zk, &used), asio::deferred);
    auto both = asio::experimental::make_parallel_group(std::move(changing), std::move(following));
    co_await both.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    example::expect(used.last == "stop", "the last change was seen");
    co_return co_await zk.remove("/settings");
}

}  // namespace

int main()
{
    return example::run(app);
}
