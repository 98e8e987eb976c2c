// What an application does with a few requests each: parents, compare and set, waiting for a znode,
// a subtree.

#include "support.hpp"

#include <optional>
#include <string>

namespace {

namespace asio = boost::asio;

std::optional<coati::data> increment(const std::string& now)
{
    return coati::data(std::to_string(std::stoi(now) + 1));
}

asio::awaitable<coati::result<void>> app(coati::client root)
{
    const auto zk = root.chroot("/examples/conveniences");
    BOOST_OUTCOME_CO_TRY(co_await coati::create_with_parents(zk, "/"));  // the chroot itself

    BOOST_OUTCOME_CO_TRY(co_await coati::create_with_parents(zk, "/a/b/c", "leaf"));
    BOOST_OUTCOME_CO_TRY(co_await coati::create_or_set(zk, "/count", "1"));
    BOOST_OUTCOME_CO_TRY(co_await coati::update(zk, "/count", increment));
    BOOST_OUTCOME_CO_TRY(auto count, co_await zk.get("/count"));
    example::expect(count.data == "2", "one and one is two");

    // Somebody waits, and is woken by what another does.
    bool is_woken = false;
    coati::wait_until_exists(zk, "/leader")(
        [&](const coati::result<coati::stat>& there) { is_woken = there.has_value(); });
    using enum coati::create_mode;
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/leader", "me", ephemeral));
    BOOST_OUTCOME_CO_TRY(co_await coati::wait_until_exists(zk, "/leader"));
    BOOST_OUTCOME_CO_TRY(co_await zk.sync());
    example::expect(is_woken, "who waits is told");

    // If the answer to this is lost, the znode is found by the GUID in its name.
    BOOST_OUTCOME_CO_TRY(
        auto place, co_await coati::create_protected(zk, "/a/lock-", "", ephemeral_sequential));
    std::cout << place.path << " is " << coati::unprotected(place.path) << '\n';

    const auto all = coati::walk(zk, "/");
    std::size_t znodes = 0;
    for (;;) {
        BOOST_OUTCOME_CO_TRY(auto at, co_await all.next());
        if (!at) {
            break;
        }
        std::cout << at->path << ": " << at->stat.num_children << " children\n";
        ++znodes;
    }
    BOOST_OUTCOME_CO_TRY(auto removed, co_await coati::remove_recursively(zk, "/"));
    example::expect(removed == znodes, "what was walked is what was removed");
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
