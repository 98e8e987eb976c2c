// Cancellation and timeouts at every step of a life: the operation ends at once with the right
// fate, the session does not notice; and everything that can be destroyed early is, without a leak.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/this_coro.hpp>

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::wire::op_code;

constexpr std::size_t steps = 120;

/// Turns of the executor, or of the clock: the places where something else can happen.
void go(simulation& at, std::size_t turns)
{
    std::size_t n = 0;
    at.reaches([&] { return n++ >= turns; }, 1h);
}

/// A life with everything in it: connecting, traffic, a cut, a replay, a silence.
struct life {
    life()
    {
        at.ensemble.put("/a", "0");
        run = at.start(at.zk->run(), stop);
        asio::co_spawn(at.zk->get_executor(), traffic(*at.zk), [](std::exception_ptr) {});
    }
    asio::awaitable<void> traffic(coati::client zk)
    {
        for (int i = 0;; ++i) {
            note(co_await zk.get("/a"));
            note(co_await zk.create("/n" + std::to_string(i)));
            const auto watched = co_await zk.get_and_watch("/a");
            note(watched);
            if (i == 1) {
                at.in.cut_all();
            }
            if (run.done()) {
                co_return;
            }
            note(co_await zk.set("/a", "x"));
            note(co_await zk.sleep_for(1ms));
        }
    }
    template <class T>
    void note(const coati::result<T>& r)
    {
        ++answers;
        if (!r && !over) {
            over = r.error().code() == errc::session_dropped;
        }
    }

    simulation at{2};
    asio::cancellation_signal stop;
    answer<void> run;
    int answers = 0;
    bool over = false;
};

}  // namespace

// --- cancelling the session

TEST_CASE("a run is cancelled at any step, by any type, without delay", "[C42][C48][T25][cancel]")
{
    for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                            asio::cancellation_type::total}) {
        for (std::size_t n = 0; n < steps; ++n) {
            INFO("step " << n);
            life one;
            go(one.at, n);
            const auto parked = one.at.start(one.at.zk->create("/parked"));
            const auto connected = one.at.start(one.at.zk->connected());
            const auto now = one.at.in.now();
            const bool was_up = one.at.zk->is_connected();
            one.stop.emit(type);
            one.at.in.settle();
            CHECK(one.at.in.now() == now);
            CHECK(one.run.completed() == 1);
            CHECK(one.run.code() == errc::session_dropped);
            CHECK(parked.completed() == 1);
            CHECK(parked.code() == errc::session_dropped);
            CHECK(connected.completed() == 1);
            // The answer to the handshake may be here already.
            CHECK((connected.code() == errc{0} ||
                   (!was_up && connected.code() == errc::session_dropped)));
            one.at.pass(1s);
            CHECK(one.over);  // the traffic has heard of it, whatever it was doing
            CHECK(one.at.in.connections().empty());
        }
    }
}

TEST_CASE("a held session ends at any step, politely or not", "[C42][C44][cancel]")
{
    for (const bool polite : {false, true}) {
        for (std::size_t n = 0; n < steps; ++n) {
            INFO("step " << n << (polite ? ", politely" : ""));
            simulation at(2);
            at.ensemble.put("/a", "0");
            int alive = 0;
            const auto app = [&](coati::client zk) -> asio::awaitable<coati::result<void>> {
                ++alive;
                for (int i = 0;; ++i) {
                    const auto got = co_await zk.get("/a");
                    if (!got) {
                        --alive;
                        co_return got.error();
                    }
                    if (i == 2) {
                        at.in.cut_all();
                    }
                }
            };
            asio::cancellation_signal stop;
            std::optional<coati::held<void>> held;
            coati::hold(*at.zk, app)(asio::bind_cancellation_slot(
                stop.slot(), [&](std::exception_ptr, coati::held<void> h) { held.emplace(h); }));
            go(at, n);
            const auto now = at.in.now();
            stop.emit(polite ? asio::cancellation_type::total : asio::cancellation_type::terminal);
            at.until([&] { return held.has_value(); }, polite ? 3s : 0s);
            CHECK(alive == 0);
            if (polite) {
                CHECK(at.in.now() - now < 500ms);
                CHECK(held->session);
            } else {
                REQUIRE_FALSE(held->session);
                CHECK(held->session.error() == errc::session_dropped);
            }
        }
    }
}

TEST_CASE("supervise is cancelled at any step, also before the first", "[C42][cancel]")
{
    const bool polite = GENERATE(false, true);
    for (std::size_t n = 0; n < 60; ++n) {
        INFO("step " << n << (polite ? ", politely" : ""));
        simulation at(2);
        const auto app = [](coati::client zk) -> asio::awaitable<coati::result<void>> {
            co_return co_await zk.sleep_for(1h);
        };
        asio::cancellation_signal stop;
        int ended = 0;
        coati::supervise(*at.zk, app)(asio::bind_cancellation_slot(
            stop.slot(), [&](std::exception_ptr, const coati::result<void>&) { ++ended; }));
        go(at, n);
        stop.emit(polite ? asio::cancellation_type::total : asio::cancellation_type::terminal);
        at.until([&] { return ended != 0; }, 3s);  // and no exception leaves the world
        at.pass(1s);
        CHECK(ended == 1);
        CHECK(at.server(0).connections() + at.server(1).connections() == 0);
    }
}

// --- cancelling one operation

TEST_CASE("one request is cancelled at any step, and nobody else notices", "[C49][T23][cancel]")
{
    for (const bool cut : {false, true}) {
        for (std::size_t n = 0; n < 60; ++n) {
            INFO("step " << n << (cut ? ", across a cut" : ""));
            simulation at;
            at.ensemble.put("/a", "0");
            at.ensemble.put("/b", "1");
            const auto run = at.start(at.zk->run());
            asio::cancellation_signal stop_read;
            asio::cancellation_signal stop_write;
            const auto before = at.start(at.zk->get("/a"));
            const auto read = at.start(at.zk->get("/a"), stop_read);
            const auto between = at.start(at.zk->get("/b"));
            const auto write = at.start(at.zk->create("/made"), stop_write);
            const auto after = at.start(at.zk->exists("/b"));
            go(at, n);
            const bool read_done = read.done();
            const bool write_done = write.done();
            stop_read.emit(asio::cancellation_type::total);
            stop_write.emit(asio::cancellation_type::terminal);
            at.in.settle();
            CHECK(read.completed() == 1);
            CHECK(write.completed() == 1);
            if (cut) {
                at.in.cut_all();
            }
            at.until([&] { return before.done() && between.done() && after.done(); });
            // Replies stay with those who asked, in order.
            CHECK(before->data == "0");
            CHECK(between->data == "1");
            CHECK((**after).has_value());
            if (!read_done) {
                CHECK(read.code() == errc::cancelled);
                CHECK((read.fate() == fate::not_sent || read.fate() == fate::not_applied));
            }
            at.pass(100ms);
            if (!write_done) {
                CHECK(write.code() == errc::cancelled);
                const bool is_there = at.ensemble.exists("/made");
                CHECK((write.fate() == fate::maybe_applied ||
                       (write.fate() == fate::not_sent && !is_there)));
            }
            CHECK(at.ask(at.zk->get("/b"))->data == "1");
            CHECK(at.connections_made() <= (cut ? 2U : 1U));
            CHECK_FALSE(run.done());
        }
    }
}

TEST_CASE("a coroutine that is cancelled leaves no trace in the session", "[C49][cancel]")
{
    for (std::size_t n = 1; n < 80; ++n) {
        INFO("step " << n);
        simulation at;
        at.ensemble.put("/a", "0");
        const auto run = at.connect();
        int rounds = 0;
        const auto body = [&](coati::client zk) -> asio::awaitable<void> {
            for (;; ++rounds) {
                const auto watched = co_await zk.get_and_watch("/a");
                const auto made = co_await zk.create("/n", "", coati::create_mode::ephemeral);
                const auto gone = co_await zk.remove("/n");
                const auto slept = co_await zk.sleep_for(10us);
                CHECK((slept || slept.error() == errc::cancelled));
                CHECK((watched && made && gone));
            }
        };
        asio::cancellation_signal stop;
        bool done = false;
        asio::co_spawn(
            at.zk->get_executor(), body(*at.zk),
            asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { done = true; }));
        go(at, n);
        stop.emit(asio::cancellation_type::terminal);
        at.in.settle();
        CHECK(done);
        CHECK(at.ask(at.zk->get("/a"))->data == "0");
        at.pass(1s);
        // A watch that was set for a cancelled request is the server's until it fires, for nobody.
        at.ensemble.put("/a", "1");
        at.pass(1s);
        CHECK(at.server(0).watches() == 0);
        CHECK(at.connections_made() == 1);
    }
}

TEST_CASE("waiting is cancelled: sleep, connected, close, next", "[C149][cancel]")
{
    simulation at;
    at.ensemble.put("/a", "0");
    asio::cancellation_signal stop;
    const auto cancel = [&] {
        stop.emit(asio::cancellation_type::total);
        at.in.settle();
    };
    const auto sleep = at.start(at.zk->sleep_for(1h), stop);
    at.pass(1min);
    cancel();
    CHECK(sleep.code() == errc::cancelled);
    const auto connected = at.start(at.zk->connected(), stop);
    cancel();
    CHECK(connected.code() == errc::cancelled);

    const auto run = at.connect();
    const auto watched = at.ask(at.zk->get_and_watch("/a"));
    const auto next = at.start(watched->watch.next(), stop);
    CHECK(at.ask(watched->watch.next()).error() == errc::already_waiting);
    cancel();
    CHECK(next.code() == errc::cancelled);
    CHECK(watched->watch.is_armed());
    const auto second = at.start(watched->watch.next());
    at.ensemble.put("/a", "1");
    at.until([&] { return second.done(); });
    CHECK(second->path == "/a");

    at.server(0).pause();
    const auto close = at.start(at.zk->close(), stop);
    cancel();
    CHECK(close.code() == errc::cancelled);
    at.server(0).resume();
    at.until([&] { return run.done(); });
    CHECK(run.code() == errc{0});  // what was asked for has happened all the same
}

// --- timeouts

TEST_CASE("a timeout tells the fate of its phase", "[C34][T15][T23][cancel]")
{
    enum class phase { before_run, connecting, sent, disconnected };
    for (const bool by_handle : {false, true}) {
        for (const phase p :
             {phase::before_run, phase::connecting, phase::sent, phase::disconnected}) {
            INFO("phase " << static_cast<int>(p) << (by_handle ? ", with" : ", within"));
            simulation at;
            at.ensemble.put("/a", "0");
            answer<void> run;
            if (p == phase::connecting) {
                at.in.black_hole(server_at(0));
                run = at.start(at.zk->run());
            } else if (p != phase::before_run) {
                run = at.connect();
            }
            if (p == phase::sent) {
                at.server(0).pause();
            } else if (p == phase::disconnected) {
                at.in.refuse(server_at(0));
                at.in.cut_all();
                at.in.settle();
            }
            const coati::options two_seconds{.timeout = 2s};
            const coati::client hurried = at.zk->with(two_seconds);
            const auto read = at.start(by_handle ? hurried.get("/a") : at.zk->get("/a").within(2s));
            const auto write = at.start(by_handle ? hurried.set("/a", "1")
                                                  : at.zk->within(2s, at.zk->set("/a", "1")));
            const auto patient = at.start(at.zk->get("/a"));
            const auto start = at.in.now();
            at.until([&] { return read.done() && write.done(); }, 3s);
            CHECK(read.at() - start == 2s);
            CHECK(write.at() - start == 2s);
            CHECK(read.code() == errc::timed_out);
            CHECK(write.code() == errc::timed_out);
            CHECK(read.fate() == (p == phase::sent ? fate::not_applied : fate::not_sent));
            CHECK(write.fate() == (p == phase::sent ? fate::maybe_applied : fate::not_sent));
            // The session is none the worse for it.
            at.server(0).resume();
            at.in.allow(server_at(0));
            if (p == phase::before_run) {
                run = at.start(at.zk->run());
            }
            at.until([&] { return patient.done(); });
            CHECK(patient->data == (p == phase::sent ? "1" : "0"));
            CHECK(at.ask(hurried.get("/a")));
            CHECK_FALSE(run.done());
        }
    }
}

TEST_CASE("timers of answered requests end nothing", "[C34][cancel]")
{
    simulation at;
    const auto run = at.connect();
    std::vector<answer<std::optional<coati::stat>>> all;
    for (int i = 1; i <= 100; ++i) {
        all.push_back(at.start(at.zk->exists("/").within(std::chrono::milliseconds(i))));
    }
    at.pass(1s);
    for (const auto& each : all) {
        CHECK(each.completed() == 1);
        CHECK(each.code() == errc{0});
    }
    REQUIRE(at.ask(at.zk->close()));
    at.until([&] { return run.done(); });
    at.in.run_until_idle();
    CHECK(at.in.stuck());
}

// --- destroyed early, under LeakSanitizer and AddressSanitizer

TEST_CASE("a world ends at any step with everything in it", "[C48][C50][cancel]")
{
    for (std::size_t n = 0; n < steps; ++n) {
        answer<coati::get_result> parked;
        answer<void> sleeping;
        {
            simulation at(2);
            at.ensemble.put("/a", "0");
            // Frames that hold handles, which hold the engine, which holds their handlers.
            const auto app = [](coati::client zk) -> asio::awaitable<coati::result<void>> {
                const auto watched = co_await zk.get_and_watch("/a");
                if (!watched) {
                    co_return watched.error();
                }
                const auto event = co_await watched->watch.next();
                co_return event.error();
            };
            coati::hold(*at.zk, app)([](std::exception_ptr, const coati::held<void>&) {});
            const auto states = at.zk->states();
            const auto next = at.start(states.next());
            parked = at.start(at.zk->get("/a"));
            sleeping = at.start(at.zk->sleep_for(1h));
            go(at, n);
        }
        CHECK(parked.forgotten());
        CHECK(sleeping.forgotten());
        CHECK(sleeping.completed() == 0);
    }
}

TEST_CASE("handles, watches and streams may outlive their world", "[C48][cancel]")
{
    std::optional<coati::client> zk;
    std::optional<coati::watch> watch;
    std::optional<coati::state_stream> states;
    {
        simulation at;
        at.ensemble.put("/a", "0");
        const auto run = at.connect();
        zk.emplace(*at.zk);
        watch.emplace(std::move(at.ask(zk->get_and_watch("/a"))->watch));
        states.emplace(zk->states());
    }
    bool called = false;
    const auto token = std::make_shared<int>();
    const auto handler = [&called, token](auto&&) { called = true; };
    zk->get("/a")(handler);
    zk->close()(handler);
    zk->sleep_for(1s)(handler);
    watch->next()(handler);
    states->next()(handler);
    CHECK_FALSE(called);
    CHECK(token.use_count() == 2);  // this one, and the named handler's
    CHECK(zk->chroot("/x").with({}).chroot() == "/x");
    CHECK_FALSE(zk->is_connected());
}

TEST_CASE("a client that never ran, and operations that never started, are nothing",
          "[C48][cancel]")
{
    simulation at;
    {
        const auto never = at.zk->create("/never");
        const auto copy = never;
        const auto parked = at.start(at.zk->create("/parked"));
        const auto next = at.start(at.zk->states().next());  // the stream is gone before its answer
        at.in.settle();
        CHECK_FALSE(parked.done());
    }
    at.zk.reset();
    at.in.settle();
    CHECK(at.connections_made() == 0);
}
