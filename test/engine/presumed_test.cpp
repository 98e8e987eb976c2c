// The client's own expiry clock beside the servers' verdict: two things, told apart.

#include "support.hpp"

#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace coati::test;
using coati::errc;
using coati::session_state;

constexpr auto session_timeout = 10s;

std::size_t count(const std::vector<session_state>& in, session_state what)
{
    return static_cast<std::size_t>(std::count(in.begin(), in.end(), what));
}

/// When the stream says so for the first time, after this moment.
coati::duration until_state(simulation& s, const state_recorder& states, session_state what)
{
    const auto start = s.in.now();
    s.until([&] { return !states.seen.empty() && states.seen.back().state == what; }, 5min);
    return s.in.now() - start;
}

}  // namespace

TEST_CASE("a partition is presumed to be the end after T, the verdict follows when it heals",
          "[S12][C21]")
{
    const auto cut_after = GENERATE(0ms, 700ms, 3100ms, 5000ms, 9999ms);
    simulation s;
    const auto run = s.connect();
    state_recorder states(*s.zk);
    s.pass(cut_after);
    s.server(0).pause();
    const auto presumed = until_state(s, states, session_state::presumed_expired);
    // The last answered request may be a ping that is a third of T old.
    CHECK(presumed <= session_timeout);
    CHECK(presumed >= session_timeout * 2 / 3 - 1s);
    CHECK(!run.done());
    s.ensemble.expire(s.zk->session().id);
    s.pass(1min);
    CHECK(!run.done());                                                // the clock is no verdict
    CHECK(states.states().back() == session_state::presumed_expired);  // attempts go on unseen
    s.server(0).resume();
    s.until([&] { return run.done(); });
    CHECK(run.code() == errc::session_expired);
    CHECK(states.states().back() == session_state::expired);
    CHECK(count(states.states(), session_state::presumed_expired) == 1);
}

TEST_CASE("the lease counts from the last answered request, to the millisecond", "[S12]")
{
    simulation s;
    s.connect();
    s.pass(1s);
    REQUIRE(s.ask(s.zk->get("/")));  // sent now, answered now
    const auto sent = s.in.now();
    state_recorder states(*s.zk);
    s.server(0).kill();
    until_state(s, states, session_state::presumed_expired);
    const auto after = s.in.now() - sent;
    CHECK(after <= session_timeout);
    CHECK(after >= session_timeout - 10ms);
}

TEST_CASE("a connection that only talks and does not listen is not the session's life", "[S12]")
{
    simulation s;
    const auto run = s.connect();
    state_recorder states(*s.zk);
    s.ensemble.put("/a", "0");
    // Requests are lost on their way, events are not.
    s.server(0).on_frame([](const frame_view& f) {
        const bool is_request = f.direction == frame_view::way::request && !f.handshake;
        return is_request ? verdict::drop() : verdict::pass();
    });
    std::string event;  // of a type that nobody knows, so that it is nobody's
    coati::wire::encode(event, std::int32_t{32}, std::int32_t{-1}, std::int64_t{-1},
                        std::int32_t{0}, std::int32_t{99}, std::int32_t{3},
                        std::string_view("/who"));
    for (int i = 0; i < 300 && !run.done(); ++i) {
        s.server(0).inject(event);
        s.pass(100ms);
    }
    // The server has not heard of us for T and has ended the session; we have heard that.
    CHECK(run.code() == errc::session_expired);
}

TEST_CASE("an ensemble that was away for 3 T gives the session back", "[S13][C21]")
{
    simulation s(plain_config(3), 3);
    const auto run = s.connect();
    state_recorder states(*s.zk);
    REQUIRE(s.ask(s.zk->create("/mine", "x", coati::create_mode::ephemeral)));
    const auto id = s.zk->session().id;
    s.ensemble.has_quorum(false);
    s.pass(3 * session_timeout);
    CHECK(states.states().back() == session_state::presumed_expired);
    const auto waiting = s.start(s.zk->get("/mine"));
    s.pass(1s);
    CHECK(!waiting.done());
    s.ensemble.has_quorum(true);
    s.until([&] { return waiting.done(); });
    CHECK(*waiting);
    CHECK(s.zk->session().id == id);
    CHECK(s.ensemble.ephemeral_owner("/mine") == id);
    CHECK(!run.done());
    CHECK(states.states().back() == session_state::connected);
}

TEST_CASE("with the local policy the same session ends by the clock, under its own name",
          "[S13][T17]")
{
    const auto patience = GENERATE(1s, 10s, 13s);  // below T counts as T
    coati::config c = plain_config(3);
    c.expire_locally_after = patience;
    simulation s(std::move(c), 3);
    const auto run = s.connect();
    state_recorder states(*s.zk);
    REQUIRE(s.ask(s.zk->get("/")));
    const auto sent = s.in.now();
    const auto id = s.zk->session().id;
    s.ensemble.has_quorum(false);
    const auto waiting = s.start(s.zk->get("/"));
    s.until([&] { return run.done(); });
    const auto after = s.in.now() - sent;
    CHECK(run.code() == errc::presumed_expired);
    CHECK(waiting.code() == errc::presumed_expired);
    CHECK(after <= std::max<coati::duration>(patience, session_timeout) + 1ms);
    CHECK(after >= std::max<coati::duration>(patience, session_timeout) - 10ms);
    CHECK(count(states.states(), session_state::expired) == 0);
    s.ensemble.has_quorum(true);
    s.connect();
    CHECK(s.zk->session().id != id);
    CHECK(s.ask(s.zk->get("/")));
}

TEST_CASE("a session that lives is never presumed dead, idle or busy", "[S12]")
{
    simulation s;
    const auto run = s.connect();
    state_recorder states(*s.zk);
    s.pass(10min);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(s.ask(s.zk->get("/")));
        s.pass(137ms);
    }
    CHECK(count(states.states(), session_state::presumed_expired) == 0);
    CHECK(!run.done());
}
