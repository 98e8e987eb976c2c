// One operation, three ways to wait for it: the same code, fate and category whichever way, and
// what only a session can do to it.

#include "support.hpp"

#include <boost/asio/use_future.hpp>

#include <future>
#include <thread>

namespace coati::test {

namespace {

/// How an operation ended, as each kind of caller gets to know it.
struct ending {
    errc code = errc{0};
    coati::fate fate = fate::applied;
    const boost::system::error_category* category = nullptr;  // of the Outcome error
    std::string thrown;                                       // what value() says

    friend bool operator==(const ending&, const ending&) = default;
};

template <class T>
ending ending_of(result<T> r)
{
    ending e;
    if (!r) {
        e.code = r.error().code();
        e.fate = r.error().fate();
        e.category = &boost::system::error_code(r.error()).category();
    }
    try {
        (void)std::move(r).value();
    } catch (const coati::exception& x) {
        e.thrown = x.what();
        CHECK(x.code() == make_error_code(e.code));
    }
    return e;
}

/// The same by co_await, by a callback, and by a thread that blocks. `make()` gives the operation.
template <class Make>
task<ending> three_ways(fixture& f, Make make)
{
    auto op = make();
    const ending awaited = ending_of(co_await std::move(op));

    std::optional<ending> called;
    make()([&](auto r) { called = ending_of(std::move(r)); });
    co_await f.until([&] { return called.has_value(); }, "the callback");

    std::promise<ending> blocked;
    auto ready = blocked.get_future();
    std::thread blocks([&] { blocked.set_value(ending_of(make()(asio::use_future).get())); });
    co_await f.until([&] { return ready.wait_for(0s) == std::future_status::ready; },
                     "the thread that blocks");
    blocks.join();
    const ending by_future = ready.get();

    CHECK(*called == awaited);
    CHECK(by_future == awaited);
    if (awaited.code != errc{0}) {
        CHECK(awaited.category == &error_category());
        CHECK_FALSE(awaited.thrown.empty());
    }
    co_return awaited;
}

}  // namespace

TEST_CASE("awaitable, callback and blocking adapter report the same code and category",
          "[tokens][S31]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const client zk = s.zk;
        ok(co_await zk.create("/a", "x"));
        ok(co_await zk.create("/a/b"));
        ok(co_await zk.create("/e", "", create_mode::ephemeral));
        ok(co_await zk.create("/closed", "", create_mode::persistent,
                              acls(acl::digest("somebody", "else"))));
        const auto found = [&] { return zk.get("/a"); };
        const ending success = co_await three_ways(f, found);
        CHECK(success.code == errc{0});
        CHECK(success.thrown.empty());

        const auto code = [](const ending& e) { return e.code; };
        const auto no_node = [&] { return zk.get("/no"); };
        CHECK(code(co_await three_ways(f, no_node)) == errc::no_node);
        const auto exists = [&] { return zk.create("/a"); };
        CHECK(code(co_await three_ways(f, exists)) == errc::node_exists);
        const auto version = [&] { return zk.set("/a", "y", 77); };
        CHECK(code(co_await three_ways(f, version)) == errc::bad_version);
        const auto not_empty = [&] { return zk.remove("/a"); };
        CHECK(code(co_await three_ways(f, not_empty)) == errc::not_empty);
        const auto below = [&] { return zk.create("/e/x"); };
        CHECK(code(co_await three_ways(f, below)) == errc::no_children_for_ephemerals);
        const auto access = [&] { return zk.get("/closed"); };
        CHECK(code(co_await three_ways(f, access)) == errc::no_auth);
        const auto in_multi = [&] { return zk.multi(op::check("/a", 0), op::set("/no", "")); };
        CHECK(code(co_await three_ways(f, in_multi)) == errc::no_node);
        const auto path = [&] { return zk.get("relative"); };
        CHECK(code(co_await three_ways(f, path)) == errc::invalid_path);
        const auto late = [&] { return zk.sleep_for(1h).within(1ms); };
        CHECK(code(co_await three_ways(f, late)) == errc::timed_out);
        const auto again = [&] { return zk.run(); };
        CHECK(code(co_await three_ways(f, again)) == errc::already_running);
        ok(co_await zk.close());
        CHECK(code(co_await three_ways(f, found)) == errc::closed);
    });
}

}  // namespace coati::test
