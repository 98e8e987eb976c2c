// Who may outlive whom, and what may be called from inside what: handles, watches, streams and
// operations at the end of sessions and of their execution context.

#include "support.hpp"

#include <coati/supervise.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::session_state;
using coati::state_change;

/// The application of a supervised session: waits until it is ended.
asio::awaitable<coati::result<int>> waits(coati::client zk)
{
    auto sleep = zk.sleep_for(24h);
    BOOST_OUTCOME_CO_TRY(co_await std::move(sleep));
    co_return 1;
}

}  // namespace

TEST_CASE("what a user holds may outlive the context, connected or not", "[C48][lifetime]")
{
    const bool is_connected = GENERATE(true, false);
    const bool is_busy = GENERATE(true, false);
    std::optional<coati::client> zk;
    std::optional<coati::watch> armed;
    std::optional<coati::watch> waited_for;
    std::optional<coati::state_stream> states;
    std::optional<coati::operation<coati::get_result>> stored;
    auto alive = std::make_shared<int>();
    {
        simulation s;
        s.ensemble.put("/a", "");
        s.connect();
        zk = *s.zk;
        armed = std::move(s.ask(zk->get_and_watch("/a"))->watch);
        waited_for = std::move(s.ask(zk->children_and_watch("/a"))->watch);
        states = zk->states();
        stored = zk->get("/a");
        const auto uncalled = [alive](const auto&) { FAIL("the context is gone"); };
        waited_for->next()(uncalled);
        zk->with({.timeout = 1h}).sleep_for(2h)(uncalled);
        if (!is_connected) {
            s.in.refuse(server_at(0));
            s.in.cut_all();
            s.until([&] { return !zk->is_connected(); });
        }
        if (is_busy) {
            zk->set("/a", "pending")(uncalled);
        }
        CHECK(alive.use_count() > 1);
    }
    // Parked handlers died with the context, uncalled.
    CHECK(alive.use_count() == 1);
    const auto uncalled = [alive](const auto&) { FAIL("nobody is there to answer"); };
    std::move (*stored)(uncalled);
    zk->get("/b")(uncalled);
    zk->run()(uncalled);
    zk->close()(uncalled);
    zk->connected()(uncalled);
    zk->sleep_for(1s)(uncalled);
    armed->next()(uncalled);
    zk->states().next()(uncalled);
    CHECK(alive.use_count() == 2);  // ours, and that of `uncalled` itself
    armed.reset();
    waited_for.reset();
    states.reset();
    zk.reset();
}

TEST_CASE("a watch may be the last to hold its client", "[lifetime]")
{
    simulation s;
    s.ensemble.put("/a", "");
    auto other = std::make_optional(s.make_client(plain_config(1)));
    s.start(other->run());
    std::optional<coati::watch> kept = std::move(s.ask(other->get_and_watch("/a"))->watch);
    other.reset();
    s.pass(1s);
    CHECK(s.server(0).watches() == 1);
    kept.reset();
    s.pass(1s);
    CHECK(s.server(0).watches() == 0);
}

TEST_CASE("two streams tell the same story, whatever a reader does in between",
          "[S1][C40][lifetime]")
{
    simulation s;
    s.connect();
    auto first = s.zk->states();
    std::vector<state_change> first_seen;
    std::optional<answer<void>> second_run;
    std::function<void()> ask = [&] {
        first.next()([&](coati::result<state_change> r) {
            if (!r) {
                return;
            }
            first_seen.push_back(*r);
            if (r->state == session_state::expired) {
                // The reader that is told first starts the next session from inside the step.
                second_run = s.start(s.zk->run());
            }
            ask();
        });
    };
    ask();
    state_recorder second(*s.zk);
    s.pass(1s);
    s.ensemble.expire(s.zk->session().id);
    s.until(
        [&] { return !first_seen.empty() && first_seen.back().state == session_state::expired; });
    s.pass(5s);
    REQUIRE(second_run);
    if (second_run->done()) {
        // Refused, since the first run has not completed yet: then nothing is left running.
        CHECK(second_run->code() == errc::already_running);
        s.connect();
    }
    s.pass(1s);
    CHECK(s.zk->is_connected());
    REQUIRE(first_seen.size() == second.seen.size());
    for (std::size_t i = 0; i < first_seen.size(); ++i) {
        CAPTURE(i);
        CHECK(first_seen[i] == second.seen[i]);
    }
}

TEST_CASE("a run that is started while the last one ends takes nothing of its end along",
          "[C42][lifetime]")
{
    simulation s;
    const auto first = s.connect();
    s.server(0).pause();
    std::optional<answer<void>> second;
    std::optional<answer<coati::get_result>> early;
    s.start(s.zk->get("/a"), [&] {
        second = s.start(s.zk->run());
        early = s.start(s.zk->get("/"));
    });
    s.pass(1s);
    s.ensemble.expire(s.zk->session().id);
    s.server(0).resume();
    s.until([&] { return first.done(); });
    CHECK(first.code() == errc::session_expired);
    REQUIRE(second);
    s.pass(5s);
    // Either it is the new session and all is well with it, or it was refused and says so.
    if (second->done()) {
        CHECK(second->code() == errc::already_running);
        CHECK(early->code() == errc::session_expired);
    } else {
        CHECK(early->code() == errc{0});
        CHECK(s.zk->is_connected());
    }
}

TEST_CASE("supervise is cancelled between two sessions like within one", "[C42][lifetime]")
{
    const auto type = GENERATE(asio::cancellation_type::total, asio::cancellation_type::terminal);
    simulation s;
    asio::cancellation_signal stop;
    std::optional<coati::result<int>> answer;
    std::exception_ptr thrown;
    coati::supervise(*s.zk, waits, coati::back_off(1h, 1h))(
        asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e, coati::result<int> r) {
            thrown = e;
            answer = r;
        }));
    s.until([&] { return s.zk->is_connected(); });
    s.ensemble.expire(s.ensemble.sessions().at(0).id);
    s.until([&] { return !s.zk->is_connected(); });
    s.pass(1s);
    CHECK(!answer);
    stop.emit(type);
    s.until([&] { return answer.has_value(); }, 1s);
    CHECK(!thrown);
    REQUIRE(answer->has_error());
    CHECK(answer->error() == errc::cancelled);
}

TEST_CASE("time limits may come in any order, and go", "[lifetime]")
{
    simulation s;
    s.connect();
    s.server(0).pause();
    // Each is earlier than all before it: the alarm is set anew while the old one is being stopped.
    std::vector<answer<coati::get_result>> all;
    for (int i = 20; i > 0; --i) {
        all.push_back(s.start(s.zk->within(100ms * i, s.zk->get("/"))));
    }
    const auto start = s.in.now();
    s.pass(1s);
    for (int i = 20; i > 0; --i) {
        const auto& each = all[static_cast<std::size_t>(20 - i)];
        CAPTURE(i);
        CHECK(each.done() == (i <= 10));
        if (each.done()) {
            CHECK(each.code() == errc::timed_out);
            CHECK(each.at() - start == 100ms * i);
        }
    }
    s.server(0).resume();
    s.until([&] { return all.front().done(); });
    CHECK(all.front().code() == errc{0});
    // With the last limit gone nothing is left that would wake up.
    const auto once_more = s.start(s.zk->within(1h, s.zk->get("/")));
    s.until([&] { return once_more.done(); });
    CHECK(once_more.code() == errc{0});
    for (const auto& each : all) {
        CHECK(each.completed() == 1);
    }
}

TEST_CASE("no time left is not the same as no limit", "[lifetime]")
{
    simulation s;
    s.connect();
    s.server(0).pause();
    const auto start = s.in.now();
    const auto none_left = s.start(s.zk->within(0s, s.zk->get("/")));
    const auto less = s.start(s.zk->within(-5s, s.zk->get("/")));
    const auto by_handle = s.start(s.zk->with({.timeout = -5s}).set("/", "x"));
    const auto unlimited = s.start(s.zk->with({.timeout = 0s}).get("/"));
    s.pass(1ms);
    for (const auto& each : {none_left, less}) {
        REQUIRE(each.done());
        CHECK(each.code() == errc::timed_out);
        CHECK(each.at() - start < 1us);
    }
    REQUIRE(by_handle.done());
    CHECK(by_handle.code() == errc::timed_out);
    CHECK(!unlimited.done());
    s.server(0).resume();
    s.until([&] { return unlimited.done(); });
    CHECK(unlimited.code() == errc{0});
}

TEST_CASE("the shorter of two times counts for a sleep", "[lifetime]")
{
    simulation s;  // never connected: sleeping needs no session
    const auto start = s.in.now();
    const auto cut = s.start(s.zk->within(1s, s.zk->sleep_for(5s)));
    const auto whole = s.start(s.zk->within(5s, s.zk->sleep_for(2s)));
    s.pass(10s);
    CHECK(cut.code() == errc::timed_out);
    CHECK(cut.at() - start == 1s);
    CHECK(whole.code() == errc{0});
    CHECK(whole.at() - start == 2s);
}
