// Sessions of servers that are cut off from their ensemble: for reading, for a while, and never
// instead of a real one.

#include "support.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace {

using namespace coati::test;
using coati::errc;
using coati::session_state;

coati::config willing(std::size_t servers)
{
    coati::config c = plain_config(servers);
    c.allow_read_only = true;
    return c;
}

/// An ensemble whose servers serve readers without a quorum.
struct read_only_world : simulation {
    explicit read_only_world(coati::config c, std::size_t n = 1)
        : simulation(std::move(c), n, 1, options())
    {
    }
    static coati::testing::ensemble_options options()
    {
        coati::testing::ensemble_options o;
        o.read_only_mode = true;
        return o;
    }
};

}  // namespace

TEST_CASE("who allows it reads from a server without a quorum, and cannot write", "[C128]")
{
    read_only_world s(willing(2), 2);
    s.ensemble.put("/a", "x");
    s.ensemble.has_quorum(false);
    state_recorder states(*s.zk);
    const auto run = s.start(s.zk->run());
    const auto got = s.ask(s.zk->get("/a"));
    REQUIRE(got);
    CHECK(got->data == "x");
    CHECK(states.states().back() == session_state::connected_read_only);
    CHECK(s.zk->session().is_read_only);
    CHECK(s.zk->is_connected());
    const auto refused = s.ask(s.zk->create("/b"));
    CHECK(refused.error().code() == errc::not_read_only);
    CHECK(refused.error().fate() == coati::fate::not_applied);
    CHECK(s.ask(s.zk->sync()).error().code() == errc::not_read_only);
    CHECK(!run.done());
    REQUIRE(s.ask(s.zk->close()));
    CHECK(*run);
}

TEST_CASE("a server with a quorum is found and moved to; that is no expiry", "[T49][C129]")
{
    read_only_world s(willing(2), 2);
    s.ensemble.put("/a", "x");
    s.ensemble.has_quorum(false);
    state_recorder states(*s.zk);
    const auto run = s.start(s.zk->run());
    const auto watched = s.ask(s.zk->get_and_watch("/a"));
    REQUIRE(watched);
    const auto event = s.start(watched->watch.next());
    const auto id = s.zk->session().id;
    s.pass(5s);
    s.ensemble.has_quorum(true);  // cuts the connection, as an election does
    s.until([&] { return s.zk->is_connected() && !s.zk->session().is_read_only; });
    CHECK(s.zk->session().id != id);
    CHECK(!run.done());
    const auto seen = states.states();
    CHECK(std::count(seen.begin(), seen.end(), session_state::expired) == 0);
    CHECK(seen.back() == session_state::connected);
    REQUIRE(s.ask(s.zk->create("/b")));
    s.ensemble.put("/a", "y");
    s.until([&] { return event.done(); });
    CHECK(*event);
}

TEST_CASE("the search for a quorum asks beside the session, and believes only rw", "[T50]")
{
    // Two ensembles: what the client is connected to has no quorum, the other one gets one.
    read_only_world s(willing(2), 1);
    s.ensemble.put("/a", "x");
    s.ensemble.has_quorum(false);
    scripted_ensemble others(s.in);
    scripted_server other(others, s.in, server_at(1));
    others.has_quorum(false);  // says "null"
    others.put("/a", "z");
    others.set_zxid(100);
    const auto run = s.start(s.zk->run());
    s.until([&] { return s.zk->is_connected(); });
    const auto made = s.in.connection_count(server_at(1));
    s.pass(30s);
    CHECK(s.zk->session().is_read_only);
    CHECK(s.in.connection_count(server_at(1)) > made + 2);   // it was asked
    CHECK(s.in.connection_count(server_at(1)) < made + 12);  // at a growing distance
    REQUIRE(s.ask(s.zk->get("/a")));
    others.has_quorum(true);
    s.until([&] { return s.zk->is_connected() && !s.zk->session().is_read_only; }, 3min);
    CHECK(s.zk->session().server.address == server_at(1).address);
    CHECK(s.ask(s.zk->get("/a"))->data == "z");
    CHECK(!run.done());
}

TEST_CASE("a session that has seen a quorum does not fall back to a server without", "[C130]")
{
    read_only_world s(willing(1));
    const auto run = s.connect();
    const auto id = s.zk->session().id;
    s.ensemble.has_quorum(false);
    const auto waits = s.start(s.zk->get("/"));
    s.pass(30s);
    CHECK(!waits.done());
    CHECK(!s.zk->is_connected());
    s.ensemble.has_quorum(true);
    s.until([&] { return waits.done(); });
    CHECK(*waits);
    CHECK(s.zk->session().id == id);
    CHECK(!run.done());
}

TEST_CASE("a bare refusal in place of a handshake is named, and the next server tried",
          "[read_only]")
{
    read_only_world s(willing(2), 2);
    s.server(0).on_frame([](const frame_view& f) {
        if (f.direction == frame_view::way::request || !f.handshake) {
            return verdict::pass();
        }
        std::string refusal;
        const auto at = coati::wire::open_frame(refusal);
        coati::wire::encode(refusal, coati::wire::reply_header{0, 7, -119});
        coati::wire::close_frame(refusal, at);
        return verdict::replace(std::move(refusal));
    });
    const auto run = s.start(s.zk->run());
    s.until([&] { return s.zk->is_connected(); });
    CHECK(s.zk->session().server.address == server_at(1).address);
    const auto attempts = s.zk->last_attempts();
    REQUIRE(attempts.size() == 1);
    CHECK(attempts[0].error.code() == errc::handshake_refused);
    CHECK(attempts[0].error.cause() == coati::make_error_code(errc::not_read_only));
    CHECK(!run.done());
}

TEST_CASE("who does not allow it is not served by a server without a quorum", "[read_only]")
{
    read_only_world s(plain_config(1));
    s.ensemble.has_quorum(false);
    const auto run = s.start(s.zk->run());
    s.pass(30s);
    CHECK(!s.zk->is_connected());
    s.ensemble.has_quorum(true);
    s.until([&] { return s.zk->is_connected(); });
    CHECK(!s.zk->session().is_read_only);
}
