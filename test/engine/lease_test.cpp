// How long the session is proved to be alive, and being told in time.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;

constexpr auto session_timeout = 10s;

}  // namespace

TEST_CASE("the lease counts from the sending of the last answered request")
{
    simulation s;
    CHECK(!s.zk->proved_until());
    const auto run = s.connect();
    s.pass(100ms);
    const auto sent = s.in.now();
    const auto read = s.start(s.zk->get("/"));
    s.until([&] { return read.done(); });
    CHECK(s.zk->proved_until() == sent + session_timeout);
    CHECK(s.zk->pinned().proved_until() == s.zk->proved_until());

    s.server(0).pause();  // what is sent from now on proves nothing
    s.pass(5s);
    CHECK(s.zk->proved_until() == sent + session_timeout);
}

TEST_CASE("who waits for the end of the lease is told the margin before it, not earlier or later")
{
    simulation s;
    const auto run = s.connect();
    const auto told = s.start(s.zk->lease_runs_out(2s));
    const auto told_later = s.start(s.zk->lease_runs_out(500ms));
    s.pass(1min);
    REQUIRE(!told.done());  // pings move it on
    s.server(0).pause();
    const auto end = *s.zk->proved_until();
    s.pass(end - 2s - s.in.now() - 1ns);
    CHECK(!told.done());
    s.pass(1ns);
    REQUIRE(told.done());
    CHECK((*told).has_value());
    CHECK(!told_later.done());
    s.pass(1500ms);
    CHECK(told_later.done());
}

TEST_CASE("a wait for the end of the lease ends with the session, and can be cancelled")
{
    simulation s;
    const auto early = s.start(s.zk->lease_runs_out(2s));  // before there is a session
    const auto run = s.connect();
    const auto bounded = s.start(s.zk->within(3s, s.zk->lease_runs_out(2s)));
    s.pass(3s);
    REQUIRE(bounded.done());
    CHECK((*bounded).error() == errc::timed_out);
    CHECK(!early.done());
    s.ensemble.expire(s.zk->session().id);
    s.until([&] { return run.done(); });
    REQUIRE(early.done());
    CHECK((*early).error() == errc::session_expired);
    const auto late = s.start(s.zk->lease_runs_out(2s));
    s.until([&] { return late.done(); });
    CHECK((*late).error() == errc::session_expired);
    CHECK(!s.zk->proved_until());
}

TEST_CASE("a wait that begins past the margin completes at once")
{
    simulation s;
    const auto run = s.connect();
    const auto told = s.start(s.zk->lease_runs_out(1min));
    s.until([&] { return told.done(); });
    CHECK((*told).has_value());
}
