// Keep a copy of a subtree: hear of every change, read what changed, and after a gap read it all.
//
// A recursive watch is set once and stays. Nothing is missed unnoticed: where events may be
// missing, after a reconnect or when this reader was too slow, the stream has a gap.

#include "support.hpp"

#include <map>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

using copy = std::map<std::string, std::string>;

asio::awaitable<coati::result<void>> read_one(coati::client zk, copy* tree, std::string path)
{
    auto now = co_await zk.get(path);
    if (now) {
        (*tree)[path] = now->data;
    } else if (now.error() == coati::errc::no_node) {
        tree->erase(path);
    } else {
        co_return now.error();
    }
    co_return coati::success();
}

asio::awaitable<coati::result<void>> read_all(coati::client zk, copy* tree)
{
    tree->clear();
    BOOST_OUTCOME_CO_TRY(co_await read_one(zk, tree, "/services"));
    BOOST_OUTCOME_CO_TRY(auto children, co_await zk.children("/services"));
    for (const auto& name : children.names) {
        BOOST_OUTCOME_CO_TRY(co_await read_one(zk, tree, "/services/" + name));
    }
    co_return coati::success();
}

asio::awaitable<coati::result<void>> keep(coati::client zk, copy* tree)
{
    BOOST_OUTCOME_CO_TRY(auto changes,
                         co_await zk.watch("/services", coati::watch_mode::recursive));
    BOOST_OUTCOME_CO_TRY(co_await read_all(zk, tree));  // after the watch: nothing is in between
    while (tree->count("/services/stop") == 0) {
        BOOST_OUTCOME_CO_TRY(auto event, co_await changes.next());
        std::cout << name(event.type) << ' ' << event.path << '\n';
        if (event.is_gap()) {
            BOOST_OUTCOME_CO_TRY(co_await read_all(zk, tree));
        } else {
            BOOST_OUTCOME_CO_TRY(co_await read_one(zk, tree, event.path));
        }
    }
    co_return coati::success();
}

/// Services that come, change and go.
asio::awaitable<coati::result<void>> change(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(50ms));
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/services/api", "10.0.0.1:80"));
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/services/db", "10.0.0.2:5432"));
    BOOST_OUTCOME_CO_TRY(co_await zk.set("/services/api", "10.0.0.3:80"));
    BOOST_OUTCOME_CO_TRY(co_await zk.remove("/services/db"));
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/services/stop"));
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/services"));
    copy tree;
    auto changing = asio::co_spawn(zk.get_executor(), change(zk), asio::deferred);
    auto keeping = asio::co_spawn(zk.get_executor(), keep(zk, &tree), asio::deferred);
    auto both = asio::experimental::make_parallel_group(std::move(changing), std::move(keeping));
    co_await both.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    const copy expected = {
        {"/services", ""}, {"/services/api", "10.0.0.3:80"}, {"/services/stop", ""}};
    example::expect(tree == expected, "the copy is what the servers have");

    // The value of one znode: the newest, whatever was skipped.
    const auto value = coati::follow(zk, "/services/api");
    BOOST_OUTCOME_CO_TRY(auto first, co_await value.next());
    BOOST_OUTCOME_CO_TRY(co_await zk.set("/services/api", "10.0.0.4:80"));
    BOOST_OUTCOME_CO_TRY(auto second, co_await value.next());
    example::expect(second.data == "10.0.0.4:80", "the newest value was given");
    example::expect(second.stat->version == first.stat->version + 1, "and its version");
    for (const char* const path : {"/services/api", "/services/stop", "/services"}) {
        BOOST_OUTCOME_CO_TRY(co_await zk.remove(path));
    }
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
