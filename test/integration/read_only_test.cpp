// A server that is cut off from its ensemble, and sessions that one server alone knows. Ensembles
// of their own, since what they need is switched on at their start.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/convenience.hpp>
#include <coati/hold.hpp>

#include <algorithm>
#include <functional>

namespace coati::test {

namespace {

ensemble_options three_servers()
{
    ensemble_options o;
    o.servers = 3;
    return o;
}

ensemble_options local_sessions(bool with_upgrading)
{
    ensemble_options o = three_servers();
    o.extra_cfg["localSessionsEnabled"] = "true";
    o.extra_cfg["localSessionsUpgradingEnabled"] = with_upgrading ? "true" : "false";
    return o;
}

/// 3.8.0 in read-only mode answers a ConnectRequest with -119 unless sessions may be local.
ensemble_options read_only_mode()
{
    ensemble_options o = local_sessions(true);
    o.jvm_args = {"-Dreadonlymode.enabled=true"};
    return o;
}

/// Settings of a client of this port.
config client_of(std::uint16_t port)
{
    auto c = config::parse("127.0.0.1:" + std::to_string(port)).value();
    c.session_timeout = 4s;
    return c;
}

/// Runs the body with a watchdog; servers that it kills are put back by nobody.
template <class Body>
void play(Body& body)
{
    asio::io_context context;
    std::exception_ptr failed;
    bool is_over = false;
    asio::co_spawn(context, body(), [&](std::exception_ptr e) {
        failed = e;
        is_over = true;
        context.stop();
    });
    context.run_for(120s);
    REQUIRE(is_over);
    if (failed) {
        std::rethrow_exception(failed);
    }
}

task<> pause(std::chrono::milliseconds how_long)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, how_long);
    auto wait = timer.async_wait(asio::deferred);
    co_await std::move(wait)(asio::as_tuple(asio::deferred));
}

/// True when it came true in time.
task<bool> eventually(std::function<bool()> condition)
{
    for (int i = 0; i < 3000; ++i) {
        if (condition()) {
            co_return true;
        }
        co_await pause(10ms);
    }
    co_return false;
}

/// How a session ended whose upgrade was cut off.
struct upgrade_outcome {
    std::string parent;
    std::string guid;
    std::int64_t id = 0;
    result<created> told;
    std::optional<errc> ended;
};

/// Asks for the first ephemeral of a local session, and breaks the connection so many milliseconds
/// later; it goes on at another server.
task<upgrade_outcome> cut_an_upgrade(ensemble& servers, std::chrono::milliseconds after,
                                     upgrade_outcome out)
{
    byte_proxy proxy(servers.client_port(0));
    const auto ex = co_await asio::this_coro::executor;
    config c = client_of(proxy.port());
    c.reconnect_spread = 0ms;
    const client zk(ex, c);
    zk.run()([&](result<void> r) { out.ended = code_of(r); });
    ok(co_await zk.create(out.parent));
    out.id = zk.session().id;
    out.guid = make_guid(zk);
    bool done = false;
    auto create = create_protected(zk, out.parent + "/n", "", create_mode::ephemeral, {}, out.guid);
    std::move(create)([&](result<created> r) {
        out.told = std::move(r);
        done = true;
    });
    co_await pause(after);
    proxy.retarget(servers.client_port(1));
    proxy.cut();
    CHECK(co_await eventually([&] { return done; }));
    CHECK_FALSE(zk.session().is_read_only);
    if (out.told) {
        const auto mine = co_await zk.exists(out.told->path);
        ok(mine);
        CHECK((*mine && (*mine)->ephemeral_owner == out.id));
        CHECK(zk.session().id == out.id);
        ok(co_await zk.close());
    } else {
        CHECK(co_await eventually([&] { return out.ended.has_value(); }));
    }
    co_return out;
}

}  // namespace

TEST_CASE("a server without a quorum serves readers, until one with a quorum is found",
          "[read_only][T49][C128][C129]")
{
    ensemble servers(read_only_mode());
    const auto body = [&]() -> task<> {
        config c = config::parse(servers.connect_string()).value();
        c.session_timeout = 4s;
        c.allow_read_only = true;
        const auto ex = co_await asio::this_coro::executor;
        const client before(ex, c);
        before.run()([](result<void>) {});
        ok(co_await before.create("/a", "x"));
        ok(co_await before.close());

        const int left = 0;
        servers.kill(1);
        servers.kill(2);
        const auto is_read_only = [&] { return servers.mode(left) == "read-only"; };
        CHECK(co_await eventually(is_read_only));
        const client zk(ex, c);
        bool over = false;
        zk.run()([&](result<void>) { over = true; });
        const auto got = co_await zk.get("/a");
        ok(got);
        CHECK(got->data == "x");
        CHECK(zk.session().is_read_only);
        const auto refused = co_await zk.set("/a", "y");
        CHECK(code_of(refused) == errc::not_read_only);
        const auto id = zk.session().id;

        servers.start(1);
        servers.start(2);
        const auto has_quorum = [&] { return zk.is_connected() && !zk.session().is_read_only; };
        CHECK(co_await eventually(has_quorum));
        CHECK_FALSE(over);
        CHECK(zk.session().id != id);
        ok(co_await zk.set("/a", "y"));
        ok(co_await zk.close());
    };
    play(body);
}

TEST_CASE("a local session has no ephemerals where it may not be upgraded, and stays on its server",
          "[local][S45][S46]")
{
    ensemble servers(local_sessions(false));
    const auto body = [&]() -> task<> {
        byte_proxy proxy(servers.client_port(0));
        const auto ex = co_await asio::this_coro::executor;
        config c = client_of(proxy.port());
        c.sticky = true;
        const client zk(ex, c);
        std::optional<errc> ended;
        zk.run()([&](result<void> r) { ended = code_of(r); });
        ok(co_await zk.create("/plain", "x"));
        const auto refused = co_await zk.create("/mine", "x", create_mode::ephemeral);
        CHECK(code_of(refused) == errc::ephemeral_on_local_session);
        ok(co_await zk.get("/plain"));
        const auto id = zk.session().id;
        proxy.cut();
        ok(co_await zk.get("/plain"));  // the same server again
        CHECK(zk.session().id == id);
        CHECK_FALSE(ended);

        proxy.retarget(servers.client_port(1));
        proxy.cut();
        const auto lost = co_await zk.get("/plain");
        CHECK(code_of(lost) == errc::session_expired);
        const auto is_over = [&] { return ended.has_value(); };
        CHECK(co_await eventually(is_over));
        CHECK(ended == errc::session_expired);
    };
    play(body);
}

TEST_CASE("the first ephemeral makes a local session a global one, under the same id",
          "[local][S47][C41]")
{
    ensemble servers(local_sessions(true));
    const auto body = [&]() -> task<> {
        byte_proxy proxy(servers.client_port(0));
        const auto ex = co_await asio::this_coro::executor;
        const client zk(ex, client_of(proxy.port()));
        std::optional<errc> ended;
        zk.run()([&](result<void> r) { ended = code_of(r); });
        ok(co_await zk.get("/"));
        const auto id = zk.session().id;
        const auto timeout = zk.negotiated_timeout();
        ok(co_await zk.create("/mine", "x", create_mode::ephemeral));
        CHECK(zk.session().id == id);
        CHECK(zk.negotiated_timeout() == timeout);

        proxy.retarget(servers.client_port(1));
        proxy.cut();
        const auto seen = co_await zk.exists("/mine");
        ok(seen);
        REQUIRE(seen->has_value());
        CHECK((*seen)->ephemeral_owner == id);
        CHECK(zk.session().id == id);
        CHECK_FALSE(ended);
        ok(co_await zk.close());
    };
    play(body);
}

TEST_CASE(
    "an upgrade that is cut off leaves a session with its ephemeral, or an expired one in doubt",
    "[local][S48]")
{
    ensemble servers(local_sessions(true));
    const auto body = [&]() -> task<> {
        int kept = 0;
        int expired = 0;
        for (int i = 0; i < 24; ++i) {
            upgrade_outcome begin;
            begin.parent = "/" + std::to_string(i);
            auto round = cut_an_upgrade(servers, std::chrono::milliseconds(i / 2), begin);
            const upgrade_outcome out = co_await std::move(round);
            INFO("cut after " << i / 2 << " ms");
            if (out.told) {
                CHECK(out.told->path == out.parent + "/_c_" + out.guid + "-n");
                ++kept;
                continue;
            }
            // The session is gone, and whether its ephemeral was there nobody knows: a new session
            // finds out, by the guid.
            CHECK(out.ended == errc::session_expired);
            CHECK(out.told.error().code() == errc::session_expired);
            CHECK(out.told.error().fate() == fate::maybe_applied);
            const auto ex = co_await asio::this_coro::executor;
            const client next(ex, client_of(servers.client_port(1)));
            next.run()([](result<void>) {});
            ok(co_await next.sync(out.parent));
            const auto left = co_await next.children(out.parent);
            ok(left);
            for (const std::string& name : left->names) {
                CHECK(is_protected_by(name, out.guid));
                const auto stat = co_await next.exists(out.parent + "/" + name);
                ok(stat);
                CHECK((!*stat || (*stat)->ephemeral_owner == out.id));
            }
            ok(co_await next.close());
            ++expired;
        }
        CHECK(kept + expired == 24);
        WARN("upgrades cut off: " << kept << " kept, " << expired << " expired");
    };
    play(body);
}

}  // namespace coati::test
