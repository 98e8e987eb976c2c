// Locks and leaderships in storms: hosts that crash, are cut off or stand still, servers that die,
// lag or lose their quorum, sessions that end, answers that are lost. What must hold of a holder
// holds in every one of them.

#include "engine/planted_stage.hpp"

#include <coati/recipe/leadership.hpp>
#include <coati/recipe/lock.hpp>
#include <coati/testing/seeds.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <map>
#include <string>

namespace coati::test::tenure_storm {

namespace {

using namespace planted;
using namespace asio::experimental::awaitable_operators;

/// Something outside ZooKeeper that holders write to, and that sees what they are up to.
struct ledger {
    std::int64_t newest = 0;     // the highest fence so far
    std::int64_t confirmed = 0;  // increments of the counter that their author knows of
    std::int64_t doubtful = 0;   // and those that it may have made
    std::size_t terms = 0;
    std::size_t refused = 0;
    std::map<std::int64_t, const tenure*> inside;
    const std::set<std::int64_t>* killed = nullptr;  // before their time: nobody can know

    /// A body begins.
    void enter(const tenure& scope)
    {
        must(scope.fence() > newest, "a fence that is not higher than the last one");
        newest = scope.fence();
        for (const auto& [fence, other] : inside) {
            const bool is_killed = killed->contains(other->zk().session().id);
            must(!other->is_good() || is_killed, "two who are good at the same time");
        }
        inside.emplace(scope.fence(), &scope);
        ++terms;
    }
    /// It was woken up by something else than the end.
    static void awake(const tenure& scope) { must(scope.is_good(), "told something else first"); }
};

/// A body's presence in the ledger, also when its process dies.
class presence_in {
public:
    presence_in(ledger& book, const tenure& scope) : book_(book), scope_(scope)
    {
        book_.enter(scope_);
    }
    presence_in(const presence_in&) = delete;
    presence_in& operator=(const presence_in&) = delete;
    ~presence_in() { book_.inside.erase(scope_.fence()); }

private:
    ledger& book_;
    const tenure& scope_;
};

/// Increments a counter that nothing but the scope guards, `rounds` times.
task increment(tenure scope, ledger* book, int rounds)
{
    const presence_in here(*book, scope);
    const auto guarded = scope.guarded();
    for (int i = 0; i < rounds; ++i) {
        const auto read = co_await scope.zk().get("/counter");
        if (!read) {
            co_return read.error();
        }
        ledger::awake(scope);
        ++book->doubtful;  // its process may die here
        const auto written =
            co_await guarded.set("/counter", std::to_string(std::stol(read->data) + 1));
        if (written) {
            ++book->confirmed;
            ledger::awake(scope);
        }
        book->doubtful -= written || written.error().fate() != fate::maybe_applied ? 1 : 0;
        book->refused += !written && written.error() == errc::lock_lost ? 1U : 0U;
        if (!written && !written.error().retryable()) {
            co_return written.error();
        }
        const auto slept = co_await scope.zk().sleep_for(500ms);
        if (!slept) {
            co_return slept.error();
        }
        ledger::awake(scope);
    }
    co_return success();
}

struct increments {
    ledger* book;
    int rounds;
    task operator()(tenure scope) const { return increment(std::move(scope), book, rounds); }
};

/// A task that locks again and again, and one that does not always wait to the end.
task lock_for_ever(client zk, ledger* book)
{
    increments body{book, 3};
    for (;;) {
        auto locked = with_lock(zk, "/lock", body);
        const result<void> done = co_await std::move(locked);
        if (!done && done.error().session_lost()) {
            co_return done;
        }
    }
}
task give_up_often(client zk, world* in)
{
    for (;;) {
        auto waiting =
            acquire(zk, "/lock")
                .within(duration(1 + static_cast<std::int64_t>(in->random() % 2'000'000'000)));
        const auto held = co_await std::move(waiting);
        if (!held && held.error().session_lost()) {
            co_return held.error();
        }
    }
}
task locker(client zk, ledger* book, world* in)
{
    auto both = lock_for_ever(zk, book) || give_up_often(zk, in);
    const auto ended = co_await std::move(both);
    co_return std::visit([](const auto& r) { return r; }, ended);
}
task leader(client zk, ledger* book)
{
    increments body{book, 1'000'000};
    auto led = with_leadership(zk, "/lead", "somebody", body);
    co_return co_await std::move(led);
}

template <class App>
void tell(std::uint64_t seed, const std::string& directory, std::size_t tasks_each, const App& app)
{
    ledger book;  // bodies that die with the stage leave it
    stage s(seed);
    book.killed = &s.killed;
    s.ensemble.put("/counter", "0");
    for (int i = 0; i < 3; ++i) {
        s.add([&] {
            return instance::body([&](client zk) { return app(std::move(zk), &book, &s.in); });
        });
    }
    s.storm(15s);
    s.calm(15s);
    const auto done_before = book.confirmed;
    s.calm(5s);
    must(book.confirmed > done_before, "nobody works any more");
    must(s.ensemble.children(directory).size() <= tasks_each * 3, "znodes that nobody waits with");
    for (const auto& each : s.instances) {
        each->crash();
    }
    const auto value = std::stol(*s.ensemble.data("/counter"));
    must(value >= book.confirmed, "a confirmed increment is lost");
    must(value <= book.confirmed + book.doubtful, "an increment that nobody made");
}

}  // namespace

TEST_CASE("locks in a storm: one holder at a time, told in time, nothing lost or left",
          "[S22][M2][storm]")
{
    const auto n = testing::for_each_seed(1000, [](std::uint64_t seed) {
        tell(seed, "/lock", 2,
             [](client zk, ledger* book, world* in) { return locker(std::move(zk), book, in); });
    });
    CHECK(n > 0);
}

TEST_CASE("leaders in a storm: one at a time, told in time, and always another one",
          "[S21][M2][storm]")
{
    const auto n = testing::for_each_seed(1000, [](std::uint64_t seed) {
        tell(seed, "/lead", 1,
             [](client zk, ledger* book, world*) { return leader(std::move(zk), book); });
    });
    CHECK(n > 0);
}

}  // namespace coati::test::tenure_storm
