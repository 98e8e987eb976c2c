// The two acceptance rows about holders, to the letter: a counter under a lock, and leaders that
// are killed one after the other.

#include "engine/support.hpp"

#include <coati/recipe/leadership.hpp>
#include <coati/recipe/lock.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace coati::test::lock_rows_story {

namespace {

using task = asio::awaitable<result<void>>;

/// One unsafe increment: read, add, write, without a version. After a lost answer it looks whether
/// the znode says what it wrote; under the lock nobody else writes.
struct one_increment {
    int* done;

    task operator()(lock_scope scope) const { return run(done, scope); }
    static task run(int* done, lock_scope scope)
    {
        BOOST_OUTCOME_CO_TRY(const auto read, co_await scope.zk().get("/counter"));
        const std::string next = std::to_string(std::stoi(read.data) + 1);
        for (;;) {
            const auto written = co_await scope.zk().set("/counter", next);
            if (written) {
                break;
            }
            if (!written.error().retryable()) {
                co_return written.error();
            }
            BOOST_OUTCOME_CO_TRY(const auto now, co_await scope.zk().get("/counter"));
            if (now.data == next) {
                break;
            }
        }
        ++*done;
        co_return success();
    }
};

task many_increments(client zk, int times, int* done)
{
    one_increment body{done};
    for (int i = 0; i < times; ++i) {
        auto locked = with_lock(zk, "/lock", body);
        const result<void> over = co_await std::move(locked);
        if (!over) {
            co_return over;
        }
    }
    co_return success();
}

/// Leads until it is stopped.
struct long_reign {
    std::vector<std::string>* order;
    std::string id;

    task operator()(leader_scope scope) const { return run(order, id, scope); }
    static task run(std::vector<std::string>* order, std::string id, leader_scope scope)
    {
        order->push_back(id);
        co_return co_await scope.zk().sleep_for(24h * 365);
    }
};

/// A process that contends, and dies with its session's end left to the server.
struct contending_process {
    contending_process(simulation& s, std::string id, std::vector<std::string>& order)
        : zk(s.make_client(plain_config(1))), body{&order, std::move(id)}
    {
        zk.run()(asio::bind_cancellation_slot(stop_run.slot(), [](const result<void>&) {}));
        with_leadership(zk, "/lead", body.id, body)(asio::bind_cancellation_slot(
            stop_lead.slot(), [](const std::exception_ptr&, const result<void>&) {}));
    }
    void die()
    {
        stop_run.emit(asio::cancellation_type::terminal);
        stop_lead.emit(asio::cancellation_type::terminal);
    }

    client zk;
    long_reign body;
    asio::cancellation_signal stop_run;
    asio::cancellation_signal stop_lead;
};

}  // namespace

TEST_CASE("fifty tasks increment an unsafe counter a thousand times each under the lock, through "
          "cuts",
          "[S22]")
{
    constexpr int tasks = 50;
    constexpr int times = 1000;
    simulation s;
    s.ensemble.put("/counter", "0");
    std::vector<client> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(s.make_client(plain_config(1)));
        s.start(clients.back().run());
    }
    int done = 0;
    std::vector<testing::task> all;
    for (int i = 0; i < tasks; ++i) {
        all.push_back(s.in.spawn([](client zk, int n, int* count) -> asio::awaitable<void> {
            auto many = many_increments(std::move(zk), n, count);
            const result<void> over = co_await std::move(many);
            REQUIRE(over);
        }(clients[static_cast<std::size_t>(i) % clients.size()], times, &done)));
    }
    std::size_t cuts = 0;
    while (done < tasks * times) {
        s.pass(duration(static_cast<std::int64_t>(s.in.random() % 4'000'000'000)));
        if (const auto live = s.in.connections(); !live.empty()) {
            s.in.cut(live[s.in.random() % live.size()].id);
            ++cuts;
        }
    }
    s.pass(10s);
    CHECK(s.ensemble.data("/counter") == std::to_string(tasks * times));
    CHECK(s.ensemble.children("/lock").empty());
    CHECK(std::all_of(all.begin(), all.end(), [](const auto& each) { return each.done(); }));
    CHECK(cuts > 10);
}

TEST_CASE(
    "ten contend, the leader dies a hundred times: one leads, in the order of coming, and one "
    "is woken up",
    "[S21]")
{
    simulation s;
    std::vector<std::string> order;
    std::vector<std::string> came;
    std::deque<std::unique_ptr<contending_process>> alive;
    const auto join = [&] {
        came.push_back("p" + std::to_string(came.size()));
        alive.push_back(std::make_unique<contending_process>(s, came.back(), order));
        s.pass(100ms);
    };
    for (int i = 0; i < 10; ++i) {
        join();
    }
    std::size_t events = 0;
    s.server(0).on_frame([&](const frame_view& f) {
        events += f.direction == frame_view::way::reply && f.xid == -1 ? 1 : 0;
        return verdict::pass();
    });
    for (std::size_t i = 0; i < 100; ++i) {
        REQUIRE(order.size() == i + 1);  // and nobody else
        events = 0;
        alive.front()->die();
        alive.pop_front();
        s.until([&] { return order.size() == i + 2; });
        CHECK(events == 1);
        join();
    }
    CHECK(std::equal(order.begin(), order.end(), came.begin()));
    REQUIRE(s.ensemble.children("/lead").size() == 10);
}

}  // namespace coati::test::lock_rows_story
