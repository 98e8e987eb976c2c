// Which server a client is on, against real ones: a zone that is returned to, and an ensemble that
// is reconfigured under the client. One ensemble with the words that servers allow by default.

#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace coati::test {

namespace {

ensemble_options reconfigurable()
{
    ensemble_options how;
    how.servers = 3;
    how.jvm_args.push_back("-Dzookeeper.skipACL=yes");
    how.extra_cfg["4lw.commands.whitelist"] = "srvr";
    return how;
}

int server_of(const ensemble& servers, const client& zk)
{
    return zk.is_connected() ? servers.server_at_port(zk.session().server.port) : -1;
}

int a_follower_of(const ensemble& servers)
{
    const auto leader = servers.leader();
    REQUIRE(leader);
    return *leader == 0 ? 1 : 0;
}

}  // namespace

TEST_CASE("real servers: a client comes home to its zone, and follows its ensemble",
          "[hosts][C27][slow]")
{
    ensemble own(reconfigurable());
    fixture f(own);
    const int home = a_follower_of(own);

    // --- the zone: one server, which is killed and comes back
    f.run(
        [&]() -> task<> {
            config settings = f.settings();
            settings.session_timeout = 10s;
            for (server_address& each : settings.servers) {
                each.zone = each.port == own.client_port(home) ? "home" : "";
            }
            settings.server_policy = server_policy::prefer_zone("home");
            const session s = co_await f.open(settings);
            CHECK(server_of(own, s.zk) == home);
            const auto id = s.zk.session().id;
            ok(co_await s.zk.create("/mine", "", create_mode::ephemeral));
            own.kill(home);
            const auto elsewhere = [&] {
                const int now = server_of(own, s.zk);
                return now != -1 && now != home;
            };
            co_await f.until(elsewhere, "another server");
            own.start(home);
            int writes = 0;
            while (server_of(own, s.zk) != home) {
                ok(co_await s.zk.set("/mine", std::to_string(++writes)));
                co_await f.sleep(2ms);
            }
            ok(co_await s.zk.set("/mine", "home"));
            CHECK(s.zk.session().id == id);
            CHECK_FALSE(s.is_over());
        },
        120s);

    // --- the ensemble: the client knows one server, and that leaves
    own.wait_quorum();
    const int leaves = a_follower_of(own);
    f.run(
        [&]() -> task<> {
            config settings = f.settings(own.client_port(leaves));
            settings.session_timeout = 10s;
            const session s = co_await f.open(settings);
            const auto id = s.zk.session().id;
            ok(co_await s.zk.create("/also", "", create_mode::ephemeral));
            asio::cancellation_signal stop;
            std::optional<result<void>> followed;
            s.zk.follow_ensemble()(asio::bind_cancellation_slot(
                stop.slot(), [&](result<void> r) { followed = std::move(r); }));

            const session admin = co_await f.open(f.settings(own.client_port(*own.leader())));
            const auto read = co_await admin.zk.get_config();
            ok(read);
            const auto all = read->parse();
            REQUIRE(all);
            const auto who = static_cast<std::size_t>(leaves);
            const membership_change leave({}, {all->members.at(who).id});
            ok(co_await admin.zk.reconfig(leave));
            const auto elsewhere = [&] {
                const int now = server_of(own, s.zk);
                return now != -1 && now != leaves;
            };
            co_await f.until(elsewhere, "a member of the new configuration");
            CHECK(s.zk.session().id == id);

            // It joins again under a wildcard, as servers have it by default. That it was
            // understood shows when the server that the client is on is killed: two are left of
            // three, and one of them is this one.
            ensemble_member back = all->members.at(who);
            back.client_host.clear();
            const membership_change join({back}, {});
            ok(co_await admin.zk.reconfig(join));
            co_await f.sleep(1s);
            const int here = server_of(own, s.zk);
            REQUIRE(here != -1);
            own.kill(here);
            const auto moved = [&] {
                const int now = server_of(own, s.zk);
                return now != -1 && now != here;
            };
            co_await f.until(moved, "a server that is left");
            CHECK(s.zk.session().id == id);
            ok(co_await s.zk.set("/also", "x"));
            CHECK_FALSE(followed);
            stop.emit(asio::cancellation_type::total);
            co_await f.until([&] { return followed.has_value(); }, "the end of following");
            CHECK(code_of(*followed) == errc::cancelled);
            own.start(here);
            own.wait_quorum();
        },
        120s);
}

}  // namespace coati::test
