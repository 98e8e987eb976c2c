// Operations that came with later releases, against servers of all of them: an operation that the
// server does not know costs no connection, where it says its version, and one, where it does not.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::watch_mode;
using coati::testing::ensemble_options;
using coati::wire::op_code;

constexpr bool is_question(const frame_view& f, op_code op)
{
    return f.direction == frame_view::way::request && !f.handshake && f.op == op;
}

simulation of_version(std::string version, std::size_t servers = 1, bool says_it = true)
{
    ensemble_options options;
    options.version = std::move(version);
    options.four_letter_words = says_it;
    return simulation(servers, 1, std::move(options));
}

/// How many requests of a kind arrived.
std::size_t arrived(simulation& at, op_code op)
{
    std::size_t count = 0;
    for (const auto& server : at.servers) {
        for (const auto& each : server->log()) {
            count += each.op == op ? 1U : 0U;
        }
    }
    return count;
}

}  // namespace

TEST_CASE("what the server does not know fails at once and costs nothing", "[T54][C64]")
{
    const bool is_36 = GENERATE(false, true);
    auto at = of_version(is_36 ? "3.6.4" : "3.5.10");
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    const auto session = at.zk->session().id;

    const auto who = at.ask(at.zk->who_am_i());
    REQUIRE_FALSE(who);
    CHECK(who.error() == errc::unimplemented);
    CHECK(who.error().fate() == fate::not_sent);
    const auto watched = at.ask(at.zk->watch("/a", watch_mode::persistent));
    CHECK(watched.has_value() == is_36);
    const auto read = at.ask(at.zk->multi_read(coati::op::get("/a")));
    CHECK(read.has_value() == is_36);
    if (!is_36) {
        CHECK(watched.error() == errc::unimplemented);
        CHECK(read.error() == errc::unimplemented);
    }

    CHECK(at.zk->session().id == session);
    CHECK(arrived(at, op_code::who_am_i) == 0);
    CHECK(arrived(at, op_code::add_watch) == (is_36 ? 1U : 0U));
    CHECK(arrived(at, op_code::create_session) == 1);
    CHECK(at.connections_made() == 2);  // the session's, and one question
    CHECK_FALSE(run.done());
}

TEST_CASE("a server is asked once, and only when a request depends on it", "[T54]")
{
    auto at = of_version("3.9.3");
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    REQUIRE(at.ask(at.zk->create_with_stat("/b", "x")));
    CHECK(at.connections_made() == 1);
    REQUIRE(at.ask(at.zk->who_am_i()));
    REQUIRE(at.ask(at.zk->get_ephemerals()));
    CHECK(at.connections_made() == 2);
    at.in.cut_all();
    REQUIRE(at.ask(at.zk->who_am_i()));
    CHECK(at.connections_made() == 3);
}

TEST_CASE("requests stay in order behind one that waits for the version", "[T54][C66]")
{
    auto at = of_version(GENERATE("3.9.3", "3.6.0"));
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "0")));
    const auto who = at.start(at.zk->who_am_i());
    const auto first = at.start(at.zk->set("/a", "1"));
    const auto second = at.start(at.zk->get("/a"));
    at.until([&] { return second.done(); });
    CHECK(who.done());
    REQUIRE(*first);
    CHECK(second->data == "1");
    CHECK(first.at() <= second.at());
    CHECK(who.at() <= first.at());
}

TEST_CASE("a server that does not say its version loses us one connection, not more", "[T54]")
{
    auto at = of_version("3.5.10", 1, false);
    const auto run = at.connect();
    const auto session = at.zk->session().id;
    const auto who = at.ask(at.zk->who_am_i());
    REQUIRE_FALSE(who);
    CHECK(who.error() == errc::unimplemented);
    CHECK(who.error().fate() == fate::not_applied);
    for (int i = 0; i < 3; ++i) {
        const auto again = at.ask(at.zk->who_am_i());
        REQUIRE_FALSE(again);
        CHECK(again.error() == errc::unimplemented);
        CHECK(again.error().fate() == fate::not_sent);
    }
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    CHECK(at.zk->session().id == session);
    CHECK(arrived(at, op_code::who_am_i) == 1);
    CHECK(arrived(at, op_code::create_session) == 2);
}

TEST_CASE("a question that is not answered holds nothing up for long", "[T54]")
{
    auto at = of_version("3.9.3");
    const auto run = at.connect();
    at.in.on_connection([&at](const auto& made) { at.in.stall(made.id, direction::to_client); });
    const auto asked = at.in.now();
    REQUIRE(at.ask(at.zk->who_am_i()));
    CHECK(at.in.now() - asked <= 1100ms);
}

TEST_CASE("streams go on at the next server when one is too old for them", "[T54]")
{
    auto at = of_version("3.9.3", 3);
    const auto run = at.connect();
    auto watched = at.ask(at.zk->watch("/a", watch_mode::recursive));
    REQUIRE(watched);
    // The second one is from before 3.6.
    at.server(1).on_frame([](const frame_view& f) {
        return is_question(f, op_code::set_watches2) ? verdict::close() : verdict::pass();
    });
    at.server(0).kill();
    const auto lost = at.ask(watched->next());
    REQUIRE(lost);
    CHECK(lost->is_gap());
    at.until([&] { return at.server(2).watches() != 0; });
    at.ensemble.put("/a/b", "x");
    bool seen = false;
    for (int i = 0; i < 6 && !seen; ++i) {
        const auto next = at.ask(watched->next());
        REQUIRE(next);
        seen = next->path == "/a/b";
    }
    CHECK(seen);
}

TEST_CASE("descendants are counted by a walk where the server cannot, and the result says so",
          "[T54]")
{
    auto at = of_version("3.5.10");
    const auto run = at.connect();
    for (const char* path : {"/a/b/c", "/a/b/d", "/a/e"}) {
        at.ensemble.put(path, "");
    }
    const auto below = at.ask(at.zk->count_descendants("/a"));
    REQUIRE(below);
    CHECK(below->count == 4);
    CHECK(below->is_emulated);
    const auto leaf = at.ask(at.zk->chroot("/a").count_descendants("/e"));
    REQUIRE(leaf);
    CHECK(leaf->count == 0);
    const auto none = at.ask(at.zk->count_descendants("/no"));
    REQUIRE_FALSE(none);
    CHECK(none.error() == errc::no_node);

    auto later = of_version("3.6.0");
    const auto run_later = later.connect();
    later.ensemble.put("/a/b/c", "");
    const auto counted = later.ask(later.zk->count_descendants("/a"));
    REQUIRE(counted);
    CHECK(counted->count == 2);
    CHECK_FALSE(counted->is_emulated);
}

TEST_CASE("a version that is none is said to whoever scripts the server")
{
    CHECK_THROWS_AS(of_version("3.9"), std::invalid_argument);
}
