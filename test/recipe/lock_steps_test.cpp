// Locks with a mishap at every step: a frame that is lost, the end of the session, a cancellation.

#include "every_step.hpp"

#include <coati/recipe/lock.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <string>

namespace coati::test::lock_steps_story {

namespace {

using task = asio::awaitable<result<void>>;

/// Counts the bodies that run at a time, whoever's they are.
struct shop {
    int inside = 0;
    int most = 0;
    int visits = 0;
};

struct visit {
    shop* where;
    duration length;

    task operator()(lock_scope scope) const { return run(*this, scope); }
    static task run(visit self, lock_scope scope)
    {
        struct presence {
            shop& in;
            explicit presence(shop& s) : in(s) { in.most = std::max(in.most, ++in.inside); }
            ~presence() { --in.inside; }
        };
        const presence here(*self.where);
        ++self.where->visits;
        co_return co_await scope.zk().sleep_for(self.length);
    }
};

template <class Body>
answer<void> lock(stepping& at, const client& zk, Body& body, asio::cancellation_signal& stop)
{
    answer<void> a;
    auto h = a.handler(at.s.in);
    with_lock(zk, "/lock", body)(asio::bind_cancellation_slot(
        stop.slot(), [h](const std::exception_ptr& thrown, result<void> r) mutable {
            if (thrown) {
                std::rethrow_exception(thrown);
            }
            h(std::move(r));
        }));
    return a;
}

}  // namespace

TEST_CASE("a lock holds, ends and leaves nothing, whatever step a mishap meets")
{
    const auto what = GENERATE(mishap::lost_frame, mishap::expiry);
    const auto steps = at_every_frame(what, [&](stepping& at) {
        shop common;
        visit first{&common, 300ms};
        visit second{&common, 300ms};
        asio::cancellation_signal never_stopped;
        asio::cancellation_signal nor_this;
        const auto others = lock(at, at.witness, first, never_stopped);
        at.s.pass(10ms);
        const auto mine = lock(at, *at.s.zk, second, nor_this);
        at.s.until([&] { return mine.done() && others.done(); });
        CHECK((*others).has_value());
        CHECK(common.most == 1);
        CHECK(common.inside == 0);
        const bool may_have_lost = what == mishap::expiry && at.happened;
        if (!may_have_lost || (*mine).has_value()) {
            CHECK((*mine).has_value());
            CHECK(common.visits == 2);
        } else {
            CHECK((*mine).error().session_lost());
        }
        at.s.pass(1s);
        CHECK(at.children("/lock").empty());
    });
    CHECK(steps > 10);
}

TEST_CASE("an acquisition that is cancelled, at any moment, leaves nothing behind", "[S22]")
{
    const bool waits = GENERATE(false, true);
    const auto turns = cancelled_at_every_turn(
        [&](stepping& at, asio::cancellation_signal& stop) -> std::function<bool()> {
            if (waits) {
                auto others =
                    std::make_shared<result<held_lock>>(at.s.ask(acquire(at.witness, "/lock")));
                REQUIRE(*others);
                at.s.in.spawn([](client zk, auto held) -> asio::awaitable<void> {
                    co_await zk.sleep_for(1s);
                    co_await (*held)->release();
                }(at.witness, others));
            }
            const auto mine = at.s.start(acquire(*at.s.zk, "/lock"), stop);
            return [mine] { return mine.done(); };
        },
        [&](stepping& at) {
            at.s.pass(waits ? 2s : 1s);
            CHECK(at.children("/lock").empty());
        });
    CHECK(turns > 10);
}

TEST_CASE("with_lock that is cancelled, at any moment, stops its body and leaves nothing behind")
{
    const bool is_cut_off = GENERATE(false, true);
    shop common;
    visit mine{&common, 100ms};
    const auto turns = cancelled_at_every_turn(
        [&](stepping& at, asio::cancellation_signal& stop) -> std::function<bool()> {
            const auto done = lock(at, *at.s.zk, mine, stop);
            return [done] { return done.done(); };
        },
        [&](stepping& at) {
            CHECK(common.inside == 0);
            if (is_cut_off) {
                at.s.in.cut_all();
            }
            at.s.pass(10s);  // one session timeout
            CHECK(at.children("/lock").empty());
        });
    CHECK(turns > 20);
}

TEST_CASE("a cancelled wait is over at once, also while no server can be reached")
{
    stepping at;
    auto held = at.s.ask(acquire(at.witness, "/lock"));
    REQUIRE(held);
    asio::cancellation_signal stop;
    const auto mine = at.s.start(acquire(*at.s.zk, "/lock"), stop);
    at.s.pass(1s);
    REQUIRE(at.children("/lock").size() == 2);
    at.s.server(0).pause();
    at.s.pass(1s);
    const auto cancelled = at.s.in.now();
    stop.emit(asio::cancellation_type::terminal);
    at.s.until([&] { return mine.done(); });
    CHECK(at.s.in.now() == cancelled);
    CHECK((*mine).error() == errc::cancelled);
    at.s.server(0).resume();
    at.s.pass(1s);
    CHECK(at.children("/lock").size() == 1);
}

}  // namespace coati::test::lock_steps_story
