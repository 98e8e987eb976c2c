// When a session that is cut again and again counts as stolen.

#include <coati/protocol/takeover.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>

using coati::protocol::takeover_watch;

namespace {

/// How many cuts in a row it takes.
std::size_t cuts_until_stolen(std::size_t servers, bool is_newcomer)
{
    takeover_watch watch;
    std::size_t cuts = 1;
    while (!watch.on_cut(true, servers, is_newcomer)) {
        ++cuts;
    }
    return cuts;
}

}  // namespace

TEST_CASE("a session is stolen after more cuts than a rolling restart makes", "[S44][T62]")
{
    for (const std::size_t servers : {1U, 3U, 5U, 9U}) {
        const auto owner = cuts_until_stolen(servers, false);
        CHECK(owner == takeover_watch::limit(servers, false));
        CHECK(owner > 2 * servers);
        CHECK(cuts_until_stolen(servers, true) > owner);
    }
    CHECK(takeover_watch::limit(0, false) == takeover_watch::limit(1, false));
}

TEST_CASE("a connection that was not served proves nothing, and clears nobody", "[S44]")
{
    takeover_watch watch;
    for (int i = 0; i < 1000; ++i) {
        CHECK(!watch.on_cut(false, 1, false));
    }
    const auto all_but_one = takeover_watch::limit(1, false) - 1;
    for (std::size_t i = 0; i < all_but_one; ++i) {
        CHECK(!watch.on_cut(true, 1, false));
        CHECK(!watch.on_cut(false, 1, false));
    }
    CHECK(watch.on_cut(true, 1, false));
}

TEST_CASE("a loss of another kind begins anew, suspicion included", "[S44]")
{
    takeover_watch watch;
    const auto all_but_one = takeover_watch::limit(1, false) - 1;
    for (int round = 0; round < 3; ++round) {
        CHECK(!watch.is_suspicious());
        for (std::size_t i = 0; i < all_but_one; ++i) {
            CHECK(!watch.on_cut(true, 1, false));
            CHECK(watch.is_suspicious() == (i >= 1));
        }
        watch.reset();
    }
}
