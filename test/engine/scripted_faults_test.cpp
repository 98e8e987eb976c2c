// The scripted server's misbehaviour: the script, deaths and stand-stills, expiry; that a seed is a
// story; and that all of it also runs over real TCP.

#include "raw_client.hpp"

#include <coati/testing/expire_session.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace {

namespace asio = boost::asio;
namespace wire = coati::wire;
using namespace coati::test;
using coati::errc;

}  // namespace

TEST_CASE("the script drops, withholds, delays, replaces and closes", "[scripted]")
{
    bench at;
    verdict next = verdict::pass();
    at.first.on_frame([&](const frame_view& f) {
        const bool reply = f.direction == frame_view::way::reply && f.op == wire::op_code::exists;
        return reply ? next : verdict::pass();
    });
    session zk(at);
    const wire::exists::request root{"/", false};
    next = verdict::drop();
    zk.request<wire::exists>(1, root);
    at.in.run_for(1ms);
    next = verdict::withhold();
    zk.request<wire::exists>(2, root);
    zk.request<wire::sync>(3, {"/"});
    at.in.run_for(1s);
    const auto start = at.in.now();
    at.first.release();
    CHECK(zk.next().header.xid == 2);
    CHECK(zk.next().header.xid == 3);

    next = verdict::delay(2s);
    CHECK(zk.ask<wire::exists>(root).err() == 0);
    CHECK(at.in.now() - start >= 2s);
    next = verdict::replace(std::string("\0\0\0\x10\0\0\0\x63\0\0\0\0\0\0\0\0\0\0\0\0", 20));
    CHECK(zk.ask<wire::exists>(root).header.xid == 99);
    next = verdict::replace_and_close("HTTP/1.1 400 Bad Request\r\n\r\n");
    CHECK(zk.ask<wire::exists>(root).closed);
    CHECK(zk.unread().starts_with("HTTP/1.1"));

    session again(at);
    next = verdict::close();
    CHECK(again.ask<wire::exists>(root).closed);
    CHECK(again.unread().empty());
}

TEST_CASE("servers die, come back, stand still, and are rude", "[scripted]")
{
    bench at;
    session zk(at);
    at.first.kill();
    CHECK(zk.is_closed());
    CHECK(raw(at.in, first_at).refused == asio::error::connection_refused);
    CHECK(at.ensemble.sessions().size() == 1);
    at.first.restart();
    raw back(at.in, first_at);
    CHECK(back.shake_hands(zk.id, zk.secret) == true);

    at.first.pause();
    back.request<wire::exists>(1, {"/", false});
    at.in.run_for(1s);
    const auto frozen = at.first.log().size();
    at.first.resume();
    CHECK(back.next().header.xid == 1);
    CHECK(at.first.log().size() == frozen + 1);
    CHECK(at.first.log().back().path == "/");

    at.first.close_on_accept(true);
    raw unwelcome(at.in, first_at);
    CHECK(unwelcome.is_closed());
}

TEST_CASE("servers may outlive their world", "[scripted]")
{
    std::optional<world> in(std::in_place, 1U);
    scripted_ensemble ensemble(*in);
    scripted_server server(ensemble, *in, first_at);
    std::optional<raw> zk(std::in_place, *in, first_at);
    REQUIRE(zk->shake_hands() == true);
    in.reset();
    CHECK(server.connections() == 1);
    server.inject("nobody will see this");
    server.drop_connections();
    zk.reset();
}

TEST_CASE("the same seed is the same story", "[scripted]")
{
    const auto story = [](std::uint64_t seed) {
        bench at(seed);
        at.in.fragment_reads(true);
        session one(at);
        session two(at, second_at);
        one.create("/s");
        two.ask<wire::get_children>({"/s", true});
        for (int i = 0; i < 20; ++i) {
            at.in.run_for(std::chrono::milliseconds(at.in.random() % 100));
            one.create("/s/n-", 3);
        }
        at.in.run_for(1min);
        return at.in.trace_hash();
    };
    CHECK(story(5) == story(5));
    CHECK(story(5) != story(6));
}

TEST_CASE("expire_session ends a session at once", "[scripted]")
{
    bench at;
    session owner(at);
    owner.create("/e", 1);
    const auto expire = [&](std::string password) {
        std::optional<coati::result<void>> ended;
        asio::co_spawn(at.in.context(),
                       coati::testing::expire_session(at.in.make_transport(), second_at, owner.id,
                                                      std::move(password)),
                       [&](std::exception_ptr, coati::result<void> r) { ended.emplace(r); });
        REQUIRE(at.in.run_until([&] { return ended.has_value(); }, 11s));
        return *ended;
    };
    CHECK(expire(std::string(16, 'x')).error() == errc::session_expired);
    const auto start = at.in.now();
    CHECK(expire(owner.secret).has_value());
    CHECK(at.in.now() - start < 10ms);
    CHECK_FALSE(at.ensemble.exists("/e"));
    CHECK(expire(owner.secret).error() == errc::session_expired);
    at.second.pause();
    CHECK(expire(owner.secret).error() == errc::handshake_timed_out);
    at.second.kill();
    CHECK(expire(owner.secret).error() == errc::connect_failed);
}

TEST_CASE("the scripted server also serves real TCP", "[scripted]")
{
    asio::io_context context;
    const auto transport = coati::make_tcp_transport(context.get_executor());
    scripted_ensemble ensemble(transport, context.get_executor());
    scripted_server server(ensemble, {"127.0.0.1", 0, {}}, [&](const endpoint& at) {
        return coati::make_tcp_listener(context.get_executor(), at);
    });
    std::optional<coati::result<void>> ended;
    asio::co_spawn(
        context,
        coati::testing::expire_session(transport, server.local(), 4711, std::string(16, 'x')),
        [&](std::exception_ptr, coati::result<void> r) {
            ended.emplace(r);
            context.stop();
        });
    context.run_for(5s);
    REQUIRE(ended);
    CHECK(ended->error() == errc::session_expired);
}
