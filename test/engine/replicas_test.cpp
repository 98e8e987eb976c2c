// Servers that are not one: they lag, are cut off, elect a leader, lose it, follow without a vote.

#include "raw_client.hpp"
#include "support.hpp"

#include <coati/errc.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

namespace {

namespace wire = coati::wire;

using namespace coati::test;
using coati::errc;
using coati::testing::ensemble_options;
using coati::testing::server_role;

ensemble_options voting()
{
    ensemble_options options;
    options.elections = true;
    return options;
}

std::size_t leader_of(const simulation& at)
{
    const auto found = at.ensemble.leader();
    REQUIRE(found);
    for (std::size_t i = 0; i < at.servers.size(); ++i) {
        if (server_at(i).address == found->address) {
            return i;
        }
    }
    FAIL("the leader is one of the servers");
    return 0;
}

std::string word_of(simulation& at, std::size_t server, const std::string& word)
{
    raw one(at.in, server_at(server));
    if (one.refused) {
        return "refused";
    }
    one.send(word);
    one.is_closed();
    return one.unread();
}

bool is_serving(simulation& at, std::size_t server)
{
    return word_of(at, server, "isro") == "rw";
}

}  // namespace

TEST_CASE("a server that lags answers late and old, and sync waits for it", "[M7]")
{
    simulation at(2);
    at.server(1).lag(300ms);
    raw fast(at.in, server_at(0));
    raw slow(at.in, server_at(1));
    REQUIRE(fast.shake_hands() == true);
    const auto begun = at.in.now();
    REQUIRE(slow.shake_hands() == true);
    CHECK(at.in.now() - begun >= 300ms);  // its session is a transaction, too

    const auto made = fast.ask<wire::create>({"/a", {}, open_acl, 0});
    CHECK(made.err() == 0);
    const auto seen = slow.ask<wire::exists>({"/a", true});
    CHECK(seen.err() == static_cast<int>(errc::no_node));
    CHECK(seen.header.zxid < made.header.zxid);
    slow.request<wire::sync>(7, {"/"});
    CHECK(slow.next().header.xid == wire::notification_xid);  // the watch, before what shows it
    CHECK(slow.next().header.xid == 7);
    CHECK(slow.ask<wire::exists>({"/a", false}).err() == 0);
    CHECK(at.in.now() - begun >= 600ms);

    at.server(1).lag(0ms);
    const auto now = at.in.now();
    CHECK(slow.ask<wire::set_data>({"/a", {"x"}, -1}).err() == 0);
    CHECK(at.in.now() - now < 300ms);
}

TEST_CASE("a client's own writes are done before its reads, also where they lag", "[M7]")
{
    simulation at(2);
    at.server(1).lag(200ms);
    raw slow(at.in, server_at(1));
    REQUIRE(slow.shake_hands() == true);
    const auto begun = at.in.now();
    slow.request<wire::create>(1, {"/a", {}, open_acl, 0});
    slow.request<wire::create>(2, {"/a/b", {}, open_acl, 0});
    slow.request<wire::get_children>(3, {"/a", false});
    CHECK(slow.next().header.xid == 1);
    CHECK(slow.next().header.xid == 2);
    const auto listed = slow.next();
    CHECK(listed.header.xid == 3);
    CHECK(listed.as<wire::get_children::response>().children.size() == 1);
    CHECK(at.in.now() - begun < 400ms);  // both writes were on their way together
}

TEST_CASE("a server that is behind turns away who has seen more", "[M7]")
{
    simulation at(2);
    const auto run = at.connect();
    at.server(1).isolate();
    REQUIRE(at.ask(at.zk->create("/a")));
    at.server(0).kill();
    at.pass(3s);
    CHECK(at.zk->session().server.address != server_at(1).address);
    CHECK(at.in.connection_count(server_at(1)) > 0);  // it was tried
    at.server(1).heal();
    const auto read = at.ask(at.zk->get("/a"));
    CHECK(read);
    CHECK(at.zk->session().server.address == server_at(1).address);
}

TEST_CASE("an isolated server reads on, old, and its writes wait", "[M7]")
{
    simulation at(2);
    raw here(at.in, server_at(0));
    raw there(at.in, server_at(1));
    REQUIRE(here.shake_hands() == true);
    REQUIRE(there.shake_hands() == true);
    at.server(1).isolate();
    REQUIRE(here.ask<wire::create>({"/a", {}, open_acl, 0}).err() == 0);
    CHECK(there.ask<wire::exists>({"/a", false}).err() == static_cast<int>(errc::no_node));
}

TEST_CASE("when the leader is lost everybody is, until the next one", "[M7]")
{
    simulation at(3, 1, voting());
    CHECK(is_serving(at, 0));
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/e", "", coati::create_mode::ephemeral)));
    const auto session = at.zk->session().id;
    const auto old = leader_of(at);
    const auto epoch = at.ensemble.zxid() >> 32;

    at.server(old).kill();
    CHECK_FALSE(at.ensemble.leader());
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK_FALSE(is_serving(at, i));
    }
    REQUIRE(at.ask(at.zk->get("/e")));
    CHECK(leader_of(at) != old);
    CHECK(at.zk->session().id == session);
    CHECK(at.ensemble.zxid() >> 32 == epoch + 1);
    at.server(old).restart();
    at.pass(10ms);
    CHECK(is_serving(at, old));
    CHECK(leader_of(at) != old);  // it follows now
    CHECK(word_of(at, old, "srvr").find("Mode: follower") != std::string::npos);
}

TEST_CASE("without a majority nobody serves, and no session ends", "[M7]")
{
    simulation at(3, 1, voting());
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/e", "", coati::create_mode::ephemeral)));
    at.server(0).kill();
    at.server(1).kill();
    at.pass(5min);
    CHECK_FALSE(is_serving(at, 2));
    CHECK(at.ensemble.sessions().size() == 1);
    at.server(1).restart();
    const auto read = at.ask(at.zk->get("/e"));
    REQUIRE(read);
    CHECK(read->stat.ephemeral_owner == at.zk->session().id);
}

TEST_CASE("an isolated leader gives up after a while, and the others go on", "[M7]")
{
    simulation at(3, 1, voting());
    const auto old = leader_of(at);
    raw with_old(at.in, server_at(old));
    REQUIRE(with_old.shake_hands() == true);
    at.server(old).isolate();
    with_old.request<wire::create>(1, {"/lost", {}, open_acl, 0});
    at.pass(1s);
    CHECK(at.server(old).connections() == 1);  // it does not know yet
    at.pass(1500ms);
    CHECK(with_old.is_closed());
    CHECK(leader_of(at) != old);
    CHECK_FALSE(at.ensemble.exists("/lost"));
    CHECK_FALSE(is_serving(at, old));
    at.server(old).heal();
    at.pass(10ms);
    CHECK(is_serving(at, old));
}

TEST_CASE("a follower that comes back in time passes on what was asked meanwhile", "[M7]")
{
    simulation at(3, 1, voting());
    const auto follower = (leader_of(at) + 1) % 3;
    raw one(at.in, server_at(follower));
    REQUIRE(one.shake_hands() == true);
    at.server(follower).isolate();
    one.request<wire::create>(1, {"/a", {}, open_acl, 0});
    at.pass(1s);
    CHECK_FALSE(at.ensemble.exists("/a"));
    at.server(follower).heal();
    CHECK(one.next().err() == 0);
    CHECK(at.ensemble.exists("/a"));
}

TEST_CASE("what waited for the others is dropped when its session has ended meanwhile", "[M7]")
{
    auto options = voting();
    options.peer_timeout = 1min;
    simulation at(3, 1, options);
    const auto follower = (leader_of(at) + 1) % 3;
    raw one(at.in, server_at(follower));
    REQUIRE(one.shake_hands(0, {}, 0, 4'000) == true);
    at.server(follower).isolate();
    one.request<wire::create>(1, {"/e", {}, open_acl, 1});
    SECTION("by its timeout")
    {
        at.pass(5s);
        CHECK(at.ensemble.sessions().empty());
    }
    SECTION("with the process")
    {
        at.pass(1s);
        at.server(follower).kill();
        at.server(follower).restart();
    }
    at.server(follower).heal();
    at.pass(1s);
    CHECK_FALSE(at.ensemble.exists("/e"));
    CHECK(one.is_closed());
}

TEST_CASE("replicas learn in one order, also of what an answer leads to", "[M7]")
{
    simulation at(3, 1, voting());
    const auto leader = leader_of(at);
    const auto other = (leader + 1) % 3;
    const auto late = (leader + 2) % 3;
    raw one(at.in, server_at(other));
    raw reader(at.in, server_at(late));
    REQUIRE(one.shake_hands() == true);
    REQUIRE(reader.shake_hands() == true);
    at.server(late).lag(50ms);
    at.server(leader).pause();
    one.request<wire::create>(1, {"/a", {}, open_acl, 0});
    one.request<wire::exists>(2, {"/", false});
    one.request<wire::create>(3, {"/a/b", {}, open_acl, 0});
    at.pass(500ms);
    at.server(leader).resume();
    at.pass(500ms);
    for (const int xid : {1, 2, 3}) {
        CHECK(one.next().header.xid == xid);
    }
    CHECK(reader.ask<wire::exists>({"/a/b", false}).err() == 0);
}

TEST_CASE("a leader that is lost in any way is replaced in the end", "[M7]")
{
    simulation at(3, 1, voting());
    const auto old = leader_of(at);
    at.server(old).isolate();
    at.server(old).restart();
    at.pass(5s);
    CHECK(leader_of(at) != old);
    CHECK_FALSE(is_serving(at, old));
}

TEST_CASE("a minority does not serve because it is healed", "[M7]")
{
    simulation at(3, 1, voting());
    const auto last = leader_of(at);
    at.server((last + 1) % 3).kill();
    at.server((last + 2) % 3).kill();
    at.server(last).isolate();
    at.server(last).heal();
    at.pass(10s);
    CHECK_FALSE(is_serving(at, last));
    CHECK_FALSE(at.ensemble.leader());
}

TEST_CASE("a session of a server without a leader ends when there is one", "[M7]")
{
    auto options = voting();
    options.read_only_mode = true;
    simulation at(3, 1, options);
    const auto last = leader_of(at);
    at.server((last + 1) % 3).kill();
    at.server((last + 2) % 3).kill();
    at.pass(1s);
    CHECK(word_of(at, last, "isro") == "ro");
    auto settings = plain_config(3);
    settings.allow_read_only = true;
    const auto zk = at.make_client(settings);
    const auto run = at.start(zk.run());
    REQUIRE(at.ask(zk.connected()));
    CHECK(at.ask(zk.get("/")));
    const auto first = at.ensemble.sessions().at(0).id;
    at.server((last + 1) % 3).restart();
    at.until([&] { return is_serving(at, last); });
    CHECK(at.ask(zk.create("/a")));
    for (const auto& each : at.ensemble.sessions()) {
        CHECK(each.id != first);
    }
}

TEST_CASE("a session of a server that is cut off ends with the others' clock", "[M7]")
{
    auto options = voting();
    options.peer_timeout = 1min;
    simulation at(3, 1, options);
    const auto follower = (leader_of(at) + 1) % 3;
    raw one(at.in, server_at(follower));
    REQUIRE(one.shake_hands(0, {}, 0, 4'000) == true);
    REQUIRE(one.ask<wire::create>({"/e", {}, open_acl, 1}).err() == 0);
    at.server(follower).isolate();
    for (int i = 0; i < 5; ++i) {
        at.pass(1s);
        // It answers, and cannot say so to the leader.
        CHECK(one.ask<wire::exists>({"/e", false}).err() == 0);
    }
    CHECK_FALSE(at.ensemble.exists("/e"));
}

TEST_CASE("observers serve, have no vote, and are not elected", "[M7]")
{
    simulation at(1, 1, voting());
    scripted_server watching(at.ensemble, at.in, server_at(1), server_role::observer);
    CHECK(is_serving(at, 1));
    CHECK(word_of(at, 1, "srvr").find("Mode: observer") != std::string::npos);
    at.server(0).kill();
    at.pass(1min);
    CHECK_FALSE(is_serving(at, 1));
    at.server(0).restart();
    at.pass(1s);
    CHECK(is_serving(at, 1));
    CHECK(leader_of(at) == 0);
}

TEST_CASE("a leader that stood still is not the leader any more", "[M7]")
{
    simulation at(3, 1, voting());
    const auto old = leader_of(at);
    raw one(at.in, server_at(old));
    REQUIRE(one.shake_hands() == true);
    at.server(old).pause();
    at.pass(3s);
    CHECK(leader_of(at) != old);
    at.server(old).resume();
    CHECK(one.is_closed());
    CHECK(is_serving(at, old));
    CHECK(leader_of(at) != old);
}
