// "Operations return operation<T>; any completion token works": each of them runs here, against a
// scripted server in a simulated world. Threads are in threads_test.cpp.

#include "rig.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace coati_test;
using namespace asio::experimental::awaitable_operators;
using coati::get_result;

TEST_CASE("an operation is awaited as it is, or stored before", "[tokens]")
{
    rig at;
    at.run([&]() -> asio::awaitable<void> {
        const auto plain = co_await at.zk.get("/a");
        CHECK(plain->data == "data of a");

        auto stored = at.zk.get("/b");
        at.ensemble.put("/b", "first");
        auto copy = stored;
        const auto first = co_await std::move(copy);
        at.ensemble.put("/b", "second");
        const auto second = co_await stored(asio::deferred);  // it has kept its arguments
        CHECK(first->data == "first");
        CHECK(second->data == "second");
        const auto third = co_await std::move(stored);
        CHECK(third->data == "second");

        const auto missing = co_await at.zk.get("/none");
        CHECK(missing.error() == errc::no_node);
    });
}

TEST_CASE("a stored operation outlives the handle that made it", "[tokens]")
{
    rig at;
    at.ensemble.put("/app/a", "under the chroot");
    auto stored = std::make_optional(at.zk.chroot("/app").get("/a"));
    at.run([&]() -> asio::awaitable<void> {
        auto op = std::move(*stored);
        const auto got = co_await std::move(op);
        CHECK(got->data == "under the chroot");
    });
}

TEST_CASE("coroutines of any executor may await", "[tokens]")
{
    rig at;
    const auto body = [&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            const auto got = co_await at.zk.get("/a");
            CHECK(got->data == "data of a");
        }
    };
    at.run(at.zk.get_executor(), body);
    at.run(at.in.context(), body);
    at.run(asio::make_strand(at.in.context()), body);
    at.run(asio::make_strand(at.zk.get_executor()), body);

    // Also with an executor type of their own.
    using executor = asio::io_context::executor_type;
    bool done = false;
    const auto typed = [&]() -> asio::awaitable<void, executor> {
        const auto got = co_await at.zk.get("/a");
        CHECK(got->data == "data of a");
        const auto again = co_await at.zk.get("/a")(asio::use_awaitable_t<executor>());
        CHECK(again->data == "data of a");
        done = true;
    };
    asio::co_spawn(at.in.context().get_executor(), typed(), asio::detached);
    CHECK(at.in.run_until([&] { return done; }, 1s));
}

TEST_CASE("use_awaitable and as_tuple", "[tokens]")
{
    rig at;
    at.run([&]() -> asio::awaitable<void> {
        const auto got = co_await at.zk.get("/a")(asio::use_awaitable);
        CHECK(got->data == "data of a");
        const auto [tupled] = co_await at.zk.get("/a")(asio::as_tuple(asio::deferred));
        CHECK(tupled->data == "data of a");
        const auto [both] = co_await at.zk.get("/a")(asio::as_tuple(asio::use_awaitable));
        CHECK(both->data == "data of a");
        // Nothing of ZooKeeper's is ever thrown.
        const auto missing = co_await at.zk.set("/none", "x")(asio::use_awaitable);
        CHECK(missing.error() == errc::no_node);
    });
}

TEST_CASE("use_future", "[tokens]")
{
    rig at;
    std::future<result<get_result>> got = at.zk.get("/a")(asio::use_future);
    std::future<result<void>> removed = at.zk.remove("/none")(asio::use_future);
    at.in.run_for(1s);
    REQUIRE(got.wait_for(0s) == std::future_status::ready);
    CHECK(got.get()->data == "data of a");
    CHECK(removed.get().error() == errc::no_node);
}

TEST_CASE("a callback, move-only too, and detached", "[tokens]")
{
    rig at;
    std::string seen;
    const auto named = [&](const result<get_result>& r) { seen += r->data; };
    at.zk.get("/a")(named);
    auto changeable = named;
    at.zk.get("/a")(changeable);
    at.zk.get("/a")(std::move(changeable));
    std::string owned_seen;
    at.zk.get("/b")([&, owned = std::make_unique<int>(7)](result<get_result> r) {
        owned_seen = r->data + std::to_string(*owned);
    });
    at.zk.create("/made", "x")(asio::detached);
    at.in.run_for(1s);
    CHECK(seen == "data of adata of adata of a");
    CHECK(owned_seen == "data of b7");
    CHECK(at.ensemble.data("/made") == "x");
}

TEST_CASE("a parallel group takes operations as they are", "[tokens]")
{
    rig at;
    at.run([&]() -> asio::awaitable<void> {
        auto both = asio::experimental::make_parallel_group(at.zk.get("/a"), at.zk.exists("/none"),
                                                            at.zk.sleep_for(3s));
        auto done = co_await both.async_wait(asio::experimental::wait_for_all(), asio::deferred);
        auto& [order, got, seen, slept] = done;
        CHECK(got->data == "data of a");
        CHECK(seen.has_value());
        CHECK(!seen->has_value());
        CHECK(slept.has_value());
        CHECK(order.back() == 2);

        // The first one ends the others: a cancelled operation says so, it does not throw.
        auto first = asio::experimental::make_parallel_group(at.zk.get("/a"), at.zk.sleep_for(3s));
        auto ended = co_await first.async_wait(asio::experimental::wait_for_one(), asio::deferred);
        CHECK(std::get<1>(ended)->data == "data of a");
        CHECK(std::get<2>(ended).error() == errc::cancelled);
    });
}

TEST_CASE("the operators of awaitables", "[tokens]")
{
    rig at;
    at.run([&]() -> asio::awaitable<void> {
        const auto start = at.zk.now();
        auto quick = co_await (at.zk.get("/a")(asio::use_awaitable) ||
                               at.zk.sleep_for(5s)(asio::use_awaitable));
        REQUIRE(quick.index() == 0);
        CHECK(std::get<0>(quick)->data == "data of a");
        CHECK(at.zk.now() - start < 1s);

        const auto both =
            co_await (at.zk.get("/a")(asio::use_awaitable) && at.zk.get("/b")(asio::use_awaitable));
        CHECK(std::get<0>(both)->data == "data of a");
        CHECK(std::get<1>(both)->data == "data of b");

        // The server is silent: the sleep is first, the request is abandoned, the session lives.
        at.server.pause();
        auto slow = co_await (at.zk.get("/a")(asio::use_awaitable) ||
                              at.zk.sleep_for(1s)(asio::use_awaitable));
        CHECK(slow.index() == 1);
        at.server.resume();
        const auto after = co_await at.zk.get("/b");
        CHECK(after->data == "data of b");
    });
    CHECK(!at.session);
}

TEST_CASE("bind_executor: the completion runs there", "[tokens]")
{
    rig at;
    const auto mine = asio::make_strand(at.in.context());
    int on_mine = 0;
    const auto note = [&](const auto& r) {
        CHECK(r.has_value());
        on_mine += mine.running_in_this_thread() ? 1 : 0;
    };
    at.zk.get("/a")(asio::bind_executor(mine, [&](result<get_result> r) { note(r); }));
    at.zk.sleep_for(1ms)(asio::bind_executor(mine, [&](result<void> r) { note(r); }));
    at.zk.connected()(asio::bind_executor(mine, [&](result<void> r) { note(r); }));
    at.in.run_for(1s);
    CHECK(on_mine == 3);
}

TEST_CASE("bind_cancellation_slot: an emission completes it at once, the session goes on",
          "[tokens][C49]")
{
    const auto type = GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial,
                               asio::cancellation_type::total);
    rig at;
    at.server.pause();
    struct row {
        asio::cancellation_signal signal;
        std::optional<coati::error> seen;
    };
    row all[4];
    const auto token = [&](row& each) {
        return asio::bind_cancellation_slot(each.signal.slot(), [&each](const auto& r) {
            REQUIRE(r.has_error());
            REQUIRE(!each.seen);
            each.seen = r.error();
        });
    };
    at.zk.get("/a")(token(all[0]));
    at.zk.set("/a", "new")(token(all[1]));
    at.zk.sleep_for(1h)(token(all[2]));
    auto changes = at.zk.states();
    at.in.settle();
    at.zk.set("/b", "never sent")(token(all[3]));  // the world stands still: not staged yet
    for (row& each : all) {
        each.signal.emit(type);
    }
    at.in.settle();
    const fate fates[] = {fate::not_applied, fate::maybe_applied, fate::not_sent, fate::not_sent};
    for (int i = 0; i < 4; ++i) {
        CAPTURE(i);
        REQUIRE(all[i].seen);
        CHECK(*all[i].seen == errc::cancelled);
        CHECK(all[i].seen->fate() == fates[i]);
    }
    // Too late an emission finds nothing.
    for (row& each : all) {
        each.signal.emit(type);
    }
    at.server.resume();
    at.run([&]() -> asio::awaitable<void> {
        const auto got = co_await at.zk.get("/b");
        CHECK(got->data == "data of b");
        const auto set = co_await at.zk.get("/a");
        CHECK(set->data == "new");  // it was on its way, as the fate said
    });
    CHECK(!at.session);
}

TEST_CASE("a slot that was emitted for one operation serves the next", "[tokens]")
{
    rig at;
    asio::cancellation_signal signal;
    int cancelled = 0;
    int answered = 0;
    const auto count = [&](const auto& r) {
        (r.has_error() && r.error() == errc::cancelled ? cancelled : answered) += 1;
    };
    for (int i = 0; i < 5; ++i) {
        at.zk.get("/a")(asio::bind_cancellation_slot(signal.slot(), count));
        if (i % 2 == 0) {
            signal.emit(asio::cancellation_type::terminal);
        }
        at.in.run_for(1s);
        signal.emit(asio::cancellation_type::terminal);  // nobody is there any more
        at.in.run_for(1s);
    }
    CHECK(cancelled == 3);
    CHECK(answered == 2);
}

TEST_CASE("what a callback throws leaves through the executor, not through the read loop",
          "[tokens][C98]")
{
    struct oops : std::runtime_error {
        oops() : runtime_error("oops") {}
    };
    rig at;
    int others = 0;
    const auto count = [&](const result<get_result>& r) { others += r.has_value() ? 1 : 0; };
    SECTION("on the client's own executor")
    {
        at.zk.get("/a")(count);
        at.zk.get("/a")([](result<get_result>) { throw oops(); });
        at.zk.get("/a")(count);
    }
    SECTION("on another that is met on the way")
    {
        // Dispatched to from inside the read loop, it runs right there.
        const auto met = at.in.context().get_executor();
        at.zk.get("/a")(count);
        at.zk.get("/a")(asio::bind_executor(met, [](result<get_result>) { throw oops(); }));
        at.zk.get("/a")(count);
    }
    // All three replies come in one read.
    CHECK_THROWS_AS(at.in.run_for(1s), oops);
    at.in.run_for(1s);
    CHECK(others == 2);
    CHECK(!at.session);
    CHECK(at.server.log().size() == 1 + 3);
    CHECK(at.in.connection_count(server_at) == 1);
}

TEST_CASE("an operation never completes inside its initiation", "[tokens]")
{
    rig at;
    auto watched = [&] {
        std::optional<coati::watch> made;
        at.zk.get_and_watch("/a")(
            [&](result<coati::watched_data> r) { made = std::move(r->watch); });
        at.in.run_for(1s);
        REQUIRE(made);
        return std::move(*made);
    };
    auto fired = watched();
    at.ensemble.put("/a", "new");
    at.in.run_for(1s);
    auto twice = watched();
    auto changes = at.zk.states();
    coati::client stranger(at.in.get_executor(), settings(), at.in.make_transport());
    const auto invalid = at.zk.chroot("not a path");

    const auto check = [&] {
        bool inside = true;
        int early = 0;
        int calls = 0;
        const auto note = [&](const auto&) {
            early += inside ? 1 : 0;
            ++calls;
        };
        std::vector<std::function<void()>> all = {
            [&] { at.zk.get("/a")(note); },
            [&] { at.zk.get("relative")(note); },
            [&] { invalid.get("/a")(note); },
            [&] { at.zk.set("/a", std::string(2'000'000, 'x'))(note); },
            [&] { at.zk.multi(coati::op::check("/a"))(note); },
            [&] { at.zk.multi(coati::op::check("relative"))(note); },
            [&] { at.zk.multi()(note); },
            [&] { at.zk.with({.fail_fast = true}).get("/a")(note); },
            [&] { stranger.with({.fail_fast = true}).get("/a")(note); },
            [&] { at.zk.with({.timeout = 1ns}).get("/a")(note); },
            [&] { at.zk.within(1ns, at.zk.get("/a"))(note); },
            [&] { at.zk.connected()(note); },
            [&] { at.zk.run()(note); },
            [&] { stranger.close()(note); },
            [&] { at.zk.sleep_for(0s)(note); },
            [&] { at.zk.sleep_for(-1s)(note); },
            [&] { fired.next()(note); },
            [&] { fired.next()(note); },
            [&] { twice.next()(note); },
            [&] { twice.next()(note); },
            [&] { changes.next()(note); },
            [&] { at.zk.sync()(note); },
        };
        for (const auto& each : all) {
            each();
        }
        CHECK(calls == 0);
        inside = false;
        asio::post(at.zk.get_executor(), [] {});
        at.ensemble.put("/a", "newer");
        at.in.run_for(2s);
        CHECK(calls == static_cast<int>(all.size()));
        CHECK(early == 0);
    };
    SECTION("from outside")
    {
        check();
    }
    SECTION("from the client's executor")
    {
        bool done = false;
        asio::post(at.zk.get_executor(), [&] { done = true; });
        at.in.settle();
        REQUIRE(done);
        check();
    }
}

TEST_CASE("the same from inside a completion, in the read loop", "[tokens]")
{
    rig at;
    int calls = 0;
    bool inside = false;
    at.zk.get("/a")([&](result<get_result>) {
        inside = true;
        const auto note = [&](const auto&) {
            CHECK(!inside);
            ++calls;
        };
        at.zk.get("/a")(note);
        at.zk.get("relative")(note);
        at.zk.connected()(note);
        at.zk.sleep_for(0s)(note);
        at.zk.run()(note);
        auto changes = at.zk.states();
        changes.next()(note);
        at.zk.close()(note);
        at.zk.get("/late")(note);
        inside = false;
    });
    at.in.run_for(2s);
    CHECK(calls == 8);
    REQUIRE(at.session);
    CHECK(at.session->has_value());
}

TEST_CASE("the order on the wire is that of initiation, not of the calls", "[tokens][C66]")
{
    rig at;
    auto first = at.zk.set("/a", "1");
    auto second = at.zk.set("/a", "2");
    std::vector<int> order;
    std::move(second)([&](const auto&) { order.push_back(2); });
    std::move(first)([&](const auto&) { order.push_back(1); });
    at.in.run_for(1s);
    CHECK(order == std::vector{2, 1});
    CHECK(at.ensemble.data("/a") == "1");
}

TEST_CASE("a strand is made where none is, and only there", "[tokens]")
{
    SECTION("of a bare context")
    {
        rig at;
        CHECK(at.zk.get_executor() != at.in.get_executor());
        using made = asio::strand<asio::any_io_executor>;
        CHECK(at.zk.get_executor().target<made>() != nullptr);
    }
    SECTION("a user's own strand is taken as it is")
    {
        using io_executor = asio::io_context::executor_type;
        rig at(std::in_place, [](const io_executor& ex) { return asio::make_strand(ex); });
        CHECK(at.zk.get_executor().target<asio::strand<io_executor>>() != nullptr);
        rig erased(std::in_place, [](const io_executor& ex) {
            return asio::make_strand(asio::any_io_executor(ex));
        });
        const auto* const strand =
            erased.zk.get_executor().target<asio::strand<asio::any_io_executor>>();
        REQUIRE(strand != nullptr);
        CHECK(strand->get_inner_executor() == erased.in.get_executor());
        // It is not a strand on a strand.
        CHECK(strand->get_inner_executor().target<asio::io_context::executor_type>() != nullptr);
    }
    SECTION("a promise is believed")
    {
        rig at(std::in_place,
               [](const asio::io_context::executor_type& ex) { return coati::serial(ex); });
        CHECK(at.zk.get_executor() == at.in.get_executor());
        at.run([&]() -> asio::awaitable<void> {
            const auto got = co_await at.zk.get("/a");
            CHECK(got->data == "data of a");
        });
        std::string seen;
        at.zk.get("/a")([&](result<get_result> r) { seen = r->data; });
        at.in.run_for(1s);
        CHECK(seen == "data of a");
    }
}

// --- BOOST_OUTCOME_CO_TRY ------------------------------------------------------------------------

namespace {

asio::awaitable<result<std::string>> every_form(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(auto a, co_await zk.get("/a"));
    BOOST_OUTCOME_CO_TRY(auto&& b, co_await zk.get("/b"));
    std::string both = a.data + ", " + b.data;
    coati::stat last;
    BOOST_OUTCOME_CO_TRY(last, co_await zk.set("/a", "set", a.stat.version));
    BOOST_OUTCOME_CO_TRY(co_await zk.sync());
    BOOST_OUTCOME_CO_TRYV(co_await zk.remove("/b", b.stat.version));
    BOOST_OUTCOME_CO_TRY(auto made, co_await zk.multi(coati::op::check("/a", last.version),
                                                      coati::op::create("/c", both)));
    auto& [checked, path] = made.results;
    static_assert(std::is_same_v<decltype(path), std::string>);
    co_return both + ", " + path;
}

asio::awaitable<result<void>> passes_on(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(auto missing, co_await zk.set("/none", "x"));  // of another value type
    static_cast<void>(missing);
    co_return coati::success();
}

}  // namespace

TEST_CASE("every form of BOOST_OUTCOME_CO_TRY", "[tokens]")
{
    rig at;
    at.run([&]() -> asio::awaitable<void> {
        const auto got = co_await every_form(at.zk);
        REQUIRE(got.has_value());
        CHECK(*got == "data of a, data of b, /c");
        const auto failed = co_await passes_on(at.zk);
        REQUIRE(failed.has_error());
        CHECK(failed.error() == errc::no_node);
        CHECK(failed.error().fate() == fate::not_applied);
    });
    CHECK(at.ensemble.data("/c") == "data of a, data of b");
}
