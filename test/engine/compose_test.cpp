// Operations of the user's own, errands, bells, and handles of the present session.

#include "support.hpp"

#include <coati/bell.hpp>
#include <coati/compose.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

using namespace coati::test;
using coati::bell;
using coati::client;
using coati::compose;
using coati::errc;
using coati::operation;
using coati::result;
using task = asio::awaitable<result<void>>;

asio::awaitable<result<std::string>> both(client zk)
{
    BOOST_OUTCOME_CO_TRY(auto a, co_await zk.get("/a"));
    BOOST_OUTCOME_CO_TRY(auto b, co_await zk.get("/b"));
    co_return a.data + b.data;
}

operation<std::string> read_both(const client& zk)
{
    return compose<std::string>(zk, [](const client& via) { return both(via); });
}

task remove_it(client zk)
{
    auto slow = zk.sleep_for(1s);
    co_await std::move(slow);
    co_return co_await zk.remove("/a");
}

task stubborn(client zk)
{
    const auto slept = co_await zk.sleep_for(1h);
    co_return slept.error();
}

}  // namespace

TEST_CASE("an operation of one's own is awaited, repeated and limited like any other")
{
    simulation s;
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/a", "1")));
    CHECK(s.ask(read_both(*s.zk)).error() == errc::no_node);
    REQUIRE(s.ask(s.zk->create("/b", "2")));
    const auto stored = read_both(*s.zk);
    CHECK(s.ask(operation<std::string>(stored)).value() == "12");
    CHECK(s.ask(operation<std::string>(stored)).value() == "12");
    const auto wrong = compose<void>(*s.zk, errc::invalid_argument,
                                     [](const client& via) { return stubborn(via); });
    const auto refused = s.ask(operation<void>(wrong));
    CHECK(refused.error() == errc::invalid_argument);
    CHECK(refused.error().fate() == coati::fate::not_sent);
    auto slow = compose<void>(*s.zk, [](const client& via) { return stubborn(via); });
    CHECK(s.ask(s.zk->within(1s, std::move(slow))).error() == errc::timed_out);
}

TEST_CASE("an errand outlives who started it, and ends with the session of that moment")
{
    simulation s;
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/a", "")));
    {
        const client short_lived = s.zk->with({.timeout = 1ms});
        coati::start_errand(short_lived, [](const client& via) { return remove_it(via); });
    }
    CHECK(s.ask(s.zk->exists("/a")).value().has_value());
    s.pass(2s);
    CHECK(!s.ask(s.zk->exists("/a")).value().has_value());

    REQUIRE(s.ask(s.zk->create("/a", "")));
    coati::start_errand(*s.zk, [](const client& via) { return remove_it(via); });
    s.in.settle();
    s.ensemble.expire(s.zk->session().id);
    s.until([&] { return run.done(); });
    const auto again = s.connect();
    s.pass(10s);
    CHECK(s.ask(s.zk->exists("/a")).value().has_value());  // the next session is not its own
}

TEST_CASE("a handle of the present session stays with it")
{
    simulation s;
    CHECK(!s.zk->pinned().is_pinned());  // of none
    const auto run = s.connect();
    const client pinned = s.zk->pinned();
    CHECK(pinned.is_pinned());
    CHECK(pinned.chroot("/x").is_pinned());
    CHECK(s.ask(pinned.exists("/")));
    s.ensemble.expire(s.zk->session().id);
    s.until([&] { return run.done(); });
    const auto again = s.connect();
    CHECK(s.ask(s.zk->exists("/")));
    CHECK(s.ask(pinned.exists("/")).error() == errc::session_expired);
    CHECK(!pinned.proved_until());
    CHECK(s.zk->proved_until());
}

TEST_CASE("a bell wakes everybody who waits, and who comes late")
{
    simulation s;
    bell changed(*s.zk);
    const auto one = s.start(changed.after(0));
    const auto two = s.start(changed.after(changed.count()));
    s.in.settle();
    CHECK(!one.done());
    changed.ring();
    s.in.settle();
    CHECK((one.done() && two.done()));
    CHECK(s.ask(changed.after(0)));
    CHECK(changed.count() == 1);
    const auto next = s.start(s.zk->within(1s, changed.after(1)));
    s.until([&] { return next.done(); });
    CHECK((*next).error() == errc::timed_out);
}
