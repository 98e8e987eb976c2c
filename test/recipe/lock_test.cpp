// Locks, step by step, in a world of one server: what each step leaves behind, and who is told
// what.

#include "engine/support.hpp"

#include <coati/recipe/lock.hpp>
#include <coati/testing/faults.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace coati::test::lock_story {

namespace {

using wire::op_code;
using task = asio::awaitable<result<void>>;

constexpr auto session_timeout = 10s;

/// How often a body was begun and ended, and how.
struct record {
    int begun = 0;
    int ended = 0;
    std::optional<errc> told;
    std::int64_t fence = 0;
    bool was_good = false;
    bool is_good_after = true;
    time_point at{};
};

/// A body that waits to be told to stop.
struct waiting_body {
    record* what;
    duration length = 1h;
    duration goodbye = 0ms;

    task operator()(lock_scope scope) const { return run(*this, scope); }
    static task run(waiting_body self, lock_scope scope)
    {
        record& what = *self.what;
        ++what.begun;
        what.fence = scope.fence();
        what.was_good = scope.is_good();
        const auto slept = co_await scope.zk().sleep_for(self.length);
        what.at = scope.zk().now();
        what.is_good_after = scope.is_good();
        if (!slept) {
            what.told = slept.error().code();
        }
        if (self.goodbye > 0ms) {
            co_await asio::this_coro::reset_cancellation_state();
            co_await scope.zk().sleep_for(self.goodbye);
        }
        ++what.ended;
        co_return slept;
    }
};

/// with_lock, started.
template <class Body>
answer<void> lock(simulation& s, const client& zk, Body& body, lock_options how = {})
{
    answer<void> a;
    auto locked = with_lock(zk, "/lock", body, std::move(how));
    std::move(locked)(
        [h = a.handler(s.in)](const std::exception_ptr& thrown, result<void> r) mutable {
            if (thrown) {
                std::rethrow_exception(thrown);
            }
            h(std::move(r));
        });
    return a;
}

std::vector<std::string> contenders(simulation& s)
{
    const auto all = s.ask(s.zk->children("/lock"));
    return all ? all->names : std::vector<std::string>();
}

}  // namespace

TEST_CASE("a body runs under the lock, its result comes out, and nothing is left")
{
    simulation s;
    const auto run = s.connect();
    record what;
    waiting_body body{&what, 5s};
    const auto done = lock(s, *s.zk, body);
    s.pass(1s);
    REQUIRE(contenders(s).size() == 1);
    const auto held = s.ask(s.zk->exists("/lock/" + contenders(s).front()));
    CHECK(what.was_good);
    CHECK(what.fence == (*held)->czxid);
    CHECK((*held)->ephemeral_owner == s.zk->session().id);
    s.until([&] { return done.done(); });
    CHECK((*done).has_value());
    CHECK(what.is_good_after);
    CHECK(contenders(s).empty());
}

TEST_CASE("an exception out of a body releases the lock, and goes on", )
{
    simulation s;
    const auto run = s.connect();
    const auto body = [](lock_scope scope) -> asio::awaitable<result<int>> {
        co_await scope.zk().sleep_for(1s);
        throw std::runtime_error("mine");
    };
    std::string caught;
    const auto story = [&](client zk) -> asio::awaitable<void> {
        try {
            co_await with_lock(zk, "/lock", body);
        } catch (const std::runtime_error& e) {
            caught = e.what();
        }
    };
    s.play(story);
    CHECK(caught == "mine");
    CHECK(contenders(s).empty());
}

TEST_CASE("a body is cancelled when somebody removes the znode, and may finish")
{
    simulation s;
    const auto run = s.connect();
    record what;
    waiting_body body{&what, 1h, 500ms};
    const auto done = lock(s, *s.zk, body);
    s.pass(1s);
    REQUIRE(s.ask(s.zk->remove("/lock/" + contenders(s).front())));
    s.pass(100ms);
    CHECK(what.told == errc::cancelled);
    CHECK(!what.is_good_after);
    CHECK(!done.done());  // not before the body is through
    s.until([&] { return done.done(); });
    CHECK(what.ended == 1);
    CHECK((*done).error() == errc::lock_lost);
}

TEST_CASE("a body is cancelled a margin before the session can be over")
{
    const auto margin = GENERATE(0ms, 1500ms, 5000ms);
    simulation s;
    const auto run = s.connect();
    record what;
    waiting_body body{&what};
    lock_options how;
    how.margin = margin;
    const auto done = lock(s, *s.zk, body, how);
    s.pass(4s);
    REQUIRE(what.begun == 1);
    s.server(0).pause();
    const auto end = *s.zk->proved_until();
    s.until([&] { return what.ended == 1; });
    CHECK(what.at == end - margin);
    CHECK(!what.is_good_after);
    s.until([&] { return done.done(); });
    CHECK((*done).error() == errc::lock_lost);
    CHECK(s.in.now() == what.at);  // nobody waits for the server
    s.server(0).resume();
    s.pass(2s);
    CHECK(contenders(s).empty());  // the errand was waiting
}

TEST_CASE("a margin that leaves nothing is refused, and nothing is left")
{
    const auto margin = GENERATE(duration(-1s), duration(5001ms));
    simulation s;
    const auto run = s.connect();
    lock_options how;
    how.margin = margin;
    CHECK(s.ask(acquire(*s.zk, "/lock", how)).error() == errc::invalid_argument);
    s.pass(1s);
    CHECK(contenders(s).empty());
}

TEST_CASE("patience is over: the place in the line is given up")
{
    const auto patience = GENERATE(duration(0s), duration(3s));
    simulation s;
    const auto run = s.connect();
    auto first = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(first);
    lock_options how;
    how.patience = patience;
    const auto asked = s.in.now();
    CHECK(s.ask(acquire(*s.zk, "/lock", how)).error() == errc::timed_out);
    CHECK(s.in.now() - asked < patience + 10ms);
    s.pass(1s);
    CHECK(contenders(s).size() == 1);
    CHECK(s.ask(first->release()));
    CHECK(s.ask(acquire(*s.zk, "/lock", how)));
    s.pass(1s);
    CHECK(contenders(s).empty());  // what was dropped is released
}

TEST_CASE("a held lock says when it is lost, and is released once")
{
    simulation s;
    const auto run = s.connect();
    auto held = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(held);
    CHECK(held->scope().is_good());
    const auto lost = s.start(held->lost());
    s.pass(1min);
    CHECK(!lost.done());
    CHECK(s.ask(held->release()));
    CHECK(!held->scope().is_good());
    CHECK(contenders(s).empty());
    s.until([&] { return lost.done(); });
    CHECK((*lost).error() == errc::lock_lost);
    CHECK(s.ask(held->release()));
}

TEST_CASE("a release that is given up goes on behind the back of who holds the object")
{
    simulation s;
    const auto run = s.connect();
    auto held = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(held);
    s.server(0).pause();
    CHECK(s.ask(s.zk->within(1s, held->release())).error() == errc::timed_out);
    s.server(0).resume();
    s.pass(1s);
    CHECK(s.ensemble.children("/lock").empty());
    CHECK(s.ask(held->release()));
}

TEST_CASE("who stands still in front of the door does not come in by an old answer")
{
    const auto offset = GENERATE(range(0, 24));
    simulation s;
    client other = s.make_client(plain_config(1));
    const auto others_run = s.start(other.run());
    client late(serial(s.in.get_executor()), plain_config(1), s.in.make_transport("late"));
    const auto lates_run = s.start(late.run());
    s.until([&] { return late.is_connected(); });
    auto held = s.ask(acquire(other, "/lock"));
    REQUIRE(held);
    record what;
    waiting_body body{&what, 1s};
    const auto done = lock(s, late.pinned(), body);
    s.pass(1s);
    const auto released = s.start(held->release());
    s.pass(100us * offset);
    s.in.freeze("late", 30s, testing::wake_order::network_first);
    s.pass(31s);
    CHECK(what.begun == (what.was_good ? 1 : 0));
    s.until([&] { return done.done(); }, 2min);
}

TEST_CASE("the session's end ends the lock, told by its name")
{
    simulation s;
    const auto run = s.connect();
    record what;
    waiting_body body{&what};
    const auto done = lock(s, *s.zk, body);
    s.pass(1s);
    s.ensemble.expire(s.zk->session().id);
    s.until([&] { return done.done(); });
    CHECK((*done).error() == errc::session_expired);
    CHECK(what.ended == 1);
}

TEST_CASE("guarded writes stop where the lock does", "[M5]")
{
    simulation s;
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/data", "0")));
    auto held = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(held);
    const auto guarded = held->scope().guarded();
    CHECK(s.ask(guarded.set("/data", "1"))->version == 1);
    CHECK(s.ask(guarded.create("/more", "x"))->path == "/more");
    CHECK(s.ask(guarded.create("/more", "x")).error() == errc::node_exists);
    CHECK(s.ask(guarded.set("/data", "2", 7)).error() == errc::bad_version);
    CHECK(s.ask(guarded.remove("/more")));
    const auto many = s.ask(guarded.multi({op::set("/data", "3"), op::create("/a", "")}));
    REQUIRE(many);
    CHECK(many->results.size() == 2);
    const auto wrong = s.ask(guarded.multi({op::set("/data", "4"), op::create("/a", "")}));
    CHECK(wrong.error() == errc::node_exists);
    CHECK(wrong.error().op_index() == 1);

    REQUIRE(s.ask(s.zk->remove(held->scope().path())));
    for (const auto& refused :
         {s.ask(guarded.set("/data", "5")).error(), s.ask(guarded.create("/b", "")).error(),
          s.ask(guarded.remove("/a")).error(),
          s.ask(guarded.multi({op::set("/data", "6")})).error()}) {
        CHECK(refused == errc::lock_lost);
        CHECK(refused.fate() == fate::not_applied);
    }
    CHECK(s.ask(s.zk->get("/data"))->data == "3");
    CHECK(s.ask(s.zk->exists("/a")).value());
}

TEST_CASE("fences grow, also when the directory was removed meanwhile", "[M5]")
{
    simulation s;
    const auto run = s.connect();
    std::int64_t last = 0;
    for (int i = 0; i < 10'000; ++i) {
        auto held = s.ask(acquire(*s.zk, "/lock"));
        REQUIRE(held);
        CHECK(held->scope().fence() > last);
        last = held->scope().fence();
        REQUIRE(s.ask(held->release()));
        if (i % 3 == 0) {
            REQUIRE(s.ask(s.zk->remove("/lock")));
        }
    }
}

TEST_CASE("a thousand wait, the holder goes, one watch fires", "[S42]")
{
    simulation s;
    const auto run = s.connect();
    auto first = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(first);
    std::vector<answer<held_lock>> waiting;
    for (int i = 0; i < 1000; ++i) {
        waiting.push_back(s.start(acquire(*s.zk, "/lock")));
    }
    s.pass(5s);
    REQUIRE(contenders(s).size() == 1001);
    std::size_t events = 0;
    s.server(0).on_frame([&](const frame_view& f) {
        events += f.direction == frame_view::way::reply && f.xid == -1 ? 1 : 0;
        return verdict::pass();
    });
    REQUIRE(s.ask(first->release()));
    s.pass(1s);
    CHECK(events == 1);
    std::size_t holders = 0;
    for (const auto& each : waiting) {
        holders += each.done() ? 1 : 0;
    }
    CHECK(holders == 1);
}

TEST_CASE("a directory of another version than 0, or that is missing, costs a question, no more")
{
    simulation s;
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/lock", "people's own")));
    REQUIRE(s.ask(s.zk->set("/lock", "people's own words")));
    auto held = s.ask(acquire(*s.zk, "/lock"));
    REQUIRE(held);
    CHECK(s.ask(held->release()));
    CHECK(s.ask(s.zk->get("/lock"))->data == "people's own words");
    auto deep = s.ask(acquire(*s.zk, "/a/b/c"));
    REQUIRE(deep);
    CHECK(deep->scope().path().starts_with("/a/b/c/_c_"));
    CHECK(s.ask(deep->release()));
}

}  // namespace coati::test::lock_story
