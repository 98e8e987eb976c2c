// How sessions end: the promised order, close in every phase, run and run again.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::fate;
using coati::session_state;
using coati::wire::op_code;

using script = std::vector<std::string>;

template <class T>
std::string ended(const char* what, const coati::result<T>& r)
{
    return std::string(what) + ": " + (r ? "ok" : std::string(coati::name(r.error().code())));
}

template <class T>
void log_end(script& log, const char* what, coati::operation<T> op)
{
    std::move(op)([&log, what](coati::result<T> r) { log.push_back(ended(what, r)); });
}

void unplug(simulation& at)
{
    at.in.refuse(server_at(0));
    at.in.cut_all();
    at.in.settle();
}

}  // namespace

// --- the promised order

TEST_CASE("at the end of a session: the reason, the requests, the watches, waiting, close, run",
          "[C20][C42][C43][C92][T42][S32][end]")
{
    coati::config settings = plain_config(1);
    settings.close_wait = 1min;
    simulation at(settings);
    at.ensemble.put("/a", "0");
    script log;
    log_end(log, "run", at.zk->run());
    REQUIRE(at.ask(at.zk->connected()));
    const auto watched = at.ask(at.zk->get_and_watch("/a"));
    unplug(at);
    log_end(log, "connected", at.zk->connected());
    log_end(log, "watch", watched->watch.next());
    log_end(log, "get", at.zk->get("/a"));
    log_end(log, "set", at.zk->set("/a", "1"));
    log_end(log, "close", at.zk->close());
    log_end(log, "close again", at.zk->close());
    log_end(log, "late", at.zk->get("/a"));
    at.in.settle();
    CHECK(log == script{"late: closed"});
    log.clear();
    const auto states = at.zk->states();
    bool over = false;
    const std::function<void(coati::result<coati::state_change>)> on_state =
        [&](coati::result<coati::state_change> r) {
            over = over || (r && coati::is_terminal(r->state));
            if (over) {
                log.push_back("state: " + std::string(coati::name(r->state)));
            } else {
                states.next()([&](auto next) { on_state(std::move(next)); });
            }
        };
    states.next()([&](auto next) { on_state(std::move(next)); });

    at.ensemble.expire(at.zk->session().id);
    at.in.allow(server_at(0));
    at.until([&] { return log.size() >= 8; });
    CHECK(log == script{"state: expired", "get: session_expired", "set: session_expired",
                        "watch: session_expired", "connected: session_expired",
                        "close: session_expired", "close again: session_expired",
                        "run: session_expired"});
}

TEST_CASE("supervise: requests end, the application is cancelled and joined, back-off, anew",
          "[S11][S29][C20][end]")
{
    simulation at;
    at.ensemble.put("/a", "0");
    script log;
    std::vector<coati::time_point> times;
    std::vector<std::int64_t> sessions;
    const auto note = [&](std::string what) {
        log.push_back(std::move(what));
        times.push_back(at.in.now());
    };
    const auto app = [&](coati::client zk) -> asio::awaitable<coati::result<int>> {
        const auto up = co_await zk.connected();
        note(ended("started", up));
        sessions.push_back(zk.session().id);
        if (sessions.size() == 3) {
            co_return 3;
        }
        log_end(log, "get", zk.get("/a"));
        // Not bound to the session: only the cancellation of the application ends it.
        const auto slept = co_await zk.sleep_for(1h);
        note(ended("sleep", slept));
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        const auto more = co_await zk.sleep_for(5s);  // is joined, however long it takes
        note(ended("cleaned up", more));
        co_return 0;
    };
    at.server(0).on_frame([](const frame_view& f) {
        const bool read = f.op == op_code::get_data && f.direction == frame_view::way::request;
        return read ? verdict::drop() : verdict::pass();
    });
    std::optional<coati::result<int>> answer;
    coati::supervise(*at.zk,
                     app)([&](std::exception_ptr, coati::result<int> r) { answer.emplace(r); });
    for (std::size_t i = 1; i <= 2; ++i) {
        at.until([&] { return sessions.size() == i; });
        at.pass(1s);
        log.clear();
        times.clear();
        unplug(at);
        log_end(log, "get", at.zk->get("/a"));
        at.ensemble.expire(sessions.back());
        at.in.allow(server_at(0));
        at.until([&] { return log.size() >= 5; });
        CHECK(log == script{"get: session_expired", "get: session_expired", "sleep: cancelled",
                            "cleaned up: ok", "started: ok"});
        REQUIRE(times.size() == 3);
        CHECK(times[1] - times[0] == 5s);
        const auto waited = times[2] - times[1];
        CHECK(waited < 100ms * (1 << i) + 2ms);
    }
    at.until([&] { return answer.has_value(); });
    CHECK(**answer == 3);
    CHECK(sessions[0] != sessions[1]);
    CHECK(sessions[1] != sessions[2]);
    CHECK(at.ensemble.sessions().empty());  // the last one was closed in order
}

// --- close in every phase

TEST_CASE("close before any run has nothing to do", "[C42][T43][end]")
{
    simulation at;
    CHECK(at.ask(at.zk->close(), 0ms));
    const auto run = at.connect();
    CHECK(at.ask(at.zk->get("/")));
    CHECK_FALSE(run.done());
}

TEST_CASE("close while connecting ends the run at once", "[C42][T43][end]")
{
    for (const bool accepts : {false, true}) {
        simulation at;
        if (accepts) {
            at.server(0).on_frame([](const frame_view&) { return verdict::withhold(); });
        } else {
            at.in.black_hole(server_at(0));
        }
        const auto run = at.start(at.zk->run());
        const auto parked = at.start(at.zk->create("/a"));
        at.pass(10ms);
        const auto close = at.start(at.zk->close());
        at.in.settle();
        CHECK(close.code() == errc{0});
        CHECK(run.code() == errc{0});
        CHECK(parked.code() == errc::closed);
        CHECK(parked.fate() == fate::not_sent);
        CHECK(at.ask(at.zk->get("/")).error() == errc::closed);
        at.pass(1min);
        CHECK(at.connections_made() <= 1);
    }
}

TEST_CASE("close while connected sends what was submitted, and waits for the confirmation",
          "[S14][C43][C46][end]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/mine", "", create_mode::ephemeral)));
    script log;
    log_end(log, "create", at.zk->create("/last"));
    log_end(log, "get", at.zk->get("/last"));
    log_end(log, "close", at.zk->close());
    log_end(log, "late", at.zk->get("/last"));
    const auto start = at.in.now();
    at.until([&] { return run.done(); });
    CHECK(log == script{"late: closed", "create: ok", "get: ok", "close: ok"});
    CHECK(at.in.now() - start < 1ms);
    CHECK_FALSE(at.ensemble.exists("/mine"));
    CHECK(at.ensemble.exists("/last"));
    CHECK(at.ensemble.sessions().empty());
    CHECK(run.code() == errc{0});
    const auto after = at.ask(at.zk->get("/last"));
    CHECK(after.error() == errc::closed);
    CHECK(after.error().session_lost());
    CHECK(after.error().fate() == fate::not_sent);
    CHECK(at.ask(at.zk->close(), 0ms));
}

TEST_CASE("close waits for the confirmation even when it is slow", "[S14][end]")
{
    simulation at;
    const auto run = at.connect();
    at.server(0).on_frame([](const frame_view& f) {
        const bool end = f.op == op_code::close_session && f.direction == frame_view::way::reply;
        return end ? verdict::delay(2s) : verdict::pass();
    });
    const auto close = at.start(at.zk->close());
    at.pass(1'990ms);
    CHECK_FALSE(close.done());
    CHECK_FALSE(run.done());
    at.pass(20ms);
    CHECK(close.code() == errc{0});
    CHECK(run.code() == errc{0});
}

TEST_CASE("close while disconnected ends the session on the next server", "[C42][C46][end]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/mine", "", create_mode::ephemeral)));
    unplug(at);
    const auto close = at.start(at.zk->close());
    at.pass(500ms);
    CHECK_FALSE(close.done());
    at.in.allow(server_at(0));
    at.until([&] { return close.done(); }, 3s);
    CHECK(close.code() == errc{0});
    CHECK(run.code() == errc{0});
    CHECK_FALSE(at.ensemble.exists("/mine"));
}

TEST_CASE("close is bounded when no server comes back, or none answers", "[C47][T43][end]")
{
    for (const bool frozen : {false, true}) {
        coati::config settings = plain_config(1);
        settings.close_wait = 1'500ms;
        simulation at(settings);
        const auto run = at.connect();
        const auto session = at.zk->session().id;
        if (frozen) {
            at.server(0).pause();
        } else {
            unplug(at);
        }
        const auto pending = at.start(at.zk->get("/"));
        const auto close = at.start(at.zk->close());
        at.pass(1'499ms);
        CHECK_FALSE(close.done());
        at.pass(1ms);
        CHECK(close.code() == errc::close_unconfirmed);
        CHECK(pending.code() == errc::close_unconfirmed);
        CHECK(run.code() == errc{0});
        at.in.allow(server_at(0));
        at.pass(5s);
        CHECK(at.connections_made() == 1);
        REQUIRE(at.ensemble.sessions().size() == 1);
        CHECK(at.ensemble.sessions()[0].id == session);  // until its timeout, as close has said
    }
}

TEST_CASE("when the answer to close is lost the session must not come back", "[T43][C42][end]")
{
    simulation at(2);
    const auto run = at.connect();
    at.server(0).on_frame([](const frame_view& f) {
        const bool end = f.op == op_code::close_session && f.direction == frame_view::way::reply;
        return end ? verdict::close() : verdict::pass();
    });
    const auto close = at.start(at.zk->close());
    at.pass(10ms);
    CHECK(close.code() == errc::close_unconfirmed);
    CHECK(run.code() == errc{0});
    at.pass(1min);
    CHECK(at.connections_made() == 1);
    CHECK(at.ensemble.sessions().empty());
}

TEST_CASE("a close that was never sent is sent on the next connection", "[T43][C42][end]")
{
    simulation at(2);
    const auto run = at.connect();
    at.in.cut_after(at.connection_id(), direction::to_server, 5);
    const auto close = at.start(at.zk->close());
    at.until([&] { return close.done(); }, 3s);
    CHECK(close.code() == errc{0});
    CHECK(at.connections_made() == 2);
    CHECK(at.ensemble.sessions().empty());
}

TEST_CASE("close from inside completions does not deadlock", "[C16][C42][C44][end]")
{
    simulation at;
    const auto run = at.start(at.zk->run());
    answer<void> close;
    const auto states = at.zk->states();
    const std::function<void(coati::result<coati::state_change>)> on_state =
        [&](coati::result<coati::state_change> r) {
            if (r && r->state == session_state::connected) {
                close = at.start(at.zk->close());
            } else if (r) {
                states.next()([&](auto next) { on_state(std::move(next)); });
            }
        };
    states.next()([&](auto next) { on_state(std::move(next)); });
    at.until([&] { return run.done(); });
    CHECK(close.code() == errc{0});

    const auto again = at.connect();
    const auto get = at.start(at.zk->get("/"), [&] { close = at.start(at.zk->close()); });
    at.until([&] { return again.done(); });
    CHECK(close.code() == errc{0});
    CHECK(at.ensemble.sessions().empty());
}

// --- run and run again

TEST_CASE("a second run is refused, and harms nothing", "[end]")
{
    simulation at;
    const auto run = at.connect();
    const auto second = at.start(at.zk->run());
    at.in.settle();
    CHECK(second.code() == errc::already_running);
    const auto app = [](coati::client zk) -> asio::awaitable<coati::result<void>> {
        const auto got = co_await zk.get("/");
        co_return got.error();
    };
    std::optional<coati::held<void>> held;
    coati::hold(*at.zk, app)([&](std::exception_ptr, coati::held<void> h) { held.emplace(h); });
    at.until([&] { return held.has_value(); });
    CHECK(held->session.error() == errc::already_running);
    CHECK(std::get<coati::result<void>>(held->app).error() == errc::already_running);
    CHECK(at.ask(at.zk->get("/")));
    CHECK_FALSE(run.done());
}

TEST_CASE("run again is a new session", "[C48][end]")
{
    simulation at;
    std::vector<std::int64_t> ids;
    for (int i = 0; i < 5; ++i) {
        const auto run = at.connect();
        ids.push_back(at.zk->session().id);
        CHECK(at.ask(at.zk->create("/a-" + std::to_string(i))));
        if (i % 2 == 0) {
            CHECK(at.ask(at.zk->close()));
        } else {
            at.ensemble.expire(ids.back());
        }
        at.until([&] { return run.done(); });
    }
    for (std::size_t i = 1; i < ids.size(); ++i) {
        CHECK(ids[i] > ids[i - 1]);
    }
}

TEST_CASE("requests wait for the first run, and fail between runs with the last ending",
          "[C45][C95][end]")
{
    simulation at;
    const auto early = at.start(at.zk->create("/early"));
    const auto connected = at.start(at.zk->connected());
    at.pass(1h);
    CHECK_FALSE(early.done());
    CHECK_FALSE(connected.done());
    auto run = at.start(at.zk->run());
    at.until([&] { return early.done() && connected.done(); });
    CHECK(early.code() == errc{0});
    CHECK(connected.code() == errc{0});

    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return run.done(); });
    const auto between = at.ask(at.zk->create("/between"), 0ms);
    CHECK(between.error() == errc::session_expired);
    CHECK(between.error().fate() == fate::not_sent);

    run = at.connect();
    CHECK(at.ask(at.zk->create("/between")));
    REQUIRE(at.ask(at.zk->close()));
    CHECK(at.ask(at.zk->create("/closed"), 0ms).error() == errc::closed);
}

TEST_CASE("hold closes in order when the application returns or throws", "[S14][C98][end]")
{
    struct oops {};
    for (const bool throws : {false, true}) {
        simulation at;
        const auto app = [throws](coati::client zk) -> asio::awaitable<coati::result<int>> {
            const auto made = co_await zk.create("/mine", "", create_mode::ephemeral);
            CHECK(made);
            if (throws) {
                throw oops();
            }
            co_return 7;
        };
        std::optional<coati::held<int>> held;
        coati::hold(*at.zk, app)([&](std::exception_ptr, coati::held<int> h) { held.emplace(h); });
        at.until([&] { return held.has_value(); });
        CHECK(held->session);
        CHECK(at.ensemble.sessions().empty());
        CHECK_FALSE(at.ensemble.exists("/mine"));
        if (throws) {
            CHECK_THROWS_AS(std::rethrow_exception(std::get<std::exception_ptr>(held->app)), oops);
        } else {
            CHECK(*std::get<coati::result<int>>(held->app) == 7);
        }
    }
}
