// The rules by which the scripted ensemble judges: permissions, the order of faults, znodes that go
// by themselves, ticks, local sessions. What the differential fuzzer cannot wait for, or cannot say
// in the words of the protocol, is here.

#include "raw_client.hpp"
#include "support.hpp"

#include <coati/wire/multi.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <string>

namespace {

namespace wire = coati::wire;

using namespace coati::test;
using coati::acl;
using coati::acls;
using coati::auth_info;
using coati::create_mode;
using coati::errc;
using coati::fate;
using coati::perms;
using coati::testing::ensemble_options;

simulation with(ensemble_options options, std::size_t servers = 1)
{
    return simulation(servers, 1, std::move(options));
}

/// A second client of the same servers, running.
struct guest {
    explicit guest(simulation& at, std::size_t servers = 1)
        : zk(at.make_client(plain_config(servers))), run(at.start(zk.run()))
    {
        REQUIRE(at.ask(zk.connected()));
    }

    coati::client zk;
    answer<void> run;
};

}  // namespace

TEST_CASE("whoever is not on the list is refused, reads, writes and all", "[M7]")
{
    simulation at;
    const auto run = at.connect();
    guest other(at);
    const auto anna = acl::digest("anna", "secret", perms::all);
    REQUIRE(at.ask(at.zk->add_auth(auth_info::digest("anna", "secret"))));
    REQUIRE(at.ask(at.zk->create("/a", "x", create_mode::persistent, acls(anna))));

    CHECK(at.ask(at.zk->get("/a")));
    CHECK(at.ask(other.zk.get("/a")).error() == errc::no_auth);
    CHECK(at.ask(other.zk.set("/a", "y")).error() == errc::no_auth);
    CHECK(at.ask(other.zk.children("/a")).error() == errc::no_auth);
    CHECK(at.ask(other.zk.create("/a/b")).error() == errc::no_auth);
    CHECK(at.ask(other.zk.set_acl("/a", acls::open_unsafe())).error() == errc::no_auth);
    CHECK(at.ask(other.zk.exists("/a")).error() == errc::no_auth);
    // Its own list says nothing about deleting it: its parent's does.
    CHECK(at.ask(other.zk.remove("/a")));

    REQUIRE(at.ask(other.zk.add_auth(auth_info::digest("anna", "wrong"))));
    REQUIRE(at.ask(at.zk->create("/a", "x", create_mode::persistent, acls(anna))));
    CHECK(at.ask(other.zk.get("/a")).error() == errc::no_auth);
    REQUIRE(at.ask(other.zk.add_auth(auth_info::digest("anna", "secret"))));
    CHECK(at.ask(other.zk.get("/a")));
}

TEST_CASE("auth stands for who asks; hashes are for the administrator", "[M7]")
{
    simulation at;
    const auto run = at.connect();
    guest other(at);
    CHECK(at.ask(at.zk->create("/a", "", create_mode::persistent, acls(acl::auth(perms::all))))
              .error() == errc::invalid_acl);  // nobody in particular asks
    REQUIRE(at.ask(at.zk->add_auth(auth_info::digest("anna", "secret"))));
    const auto mine = acl::auth(perms::all);
    const auto all_read = acl::world(perms::read);
    REQUIRE(at.ask(at.zk->create("/a", "", create_mode::persistent, acls(mine, all_read, mine))));

    const auto full = at.ask(at.zk->get_acl("/a"));
    REQUIRE(full);
    const auto anna = acl::digest("anna", "secret", perms::all);
    CHECK(full->entries == std::vector{anna, all_read});  // and no doubles
    const auto seen = at.ask(other.zk.get_acl("/a"));
    REQUIRE(seen);
    REQUIRE(seen->entries.size() == 2);
    CHECK(seen->entries.front().id == "anna:x");
}

TEST_CASE("addresses are compared by their bits, and super is asked nothing", "[M7]")
{
    ensemble_options options;
    options.super_digest = acl::digest("super", "root", perms::all).id;
    auto at = with(options);
    const auto run = at.connect();
    const auto here = acl::ip("127.0.0.0", 8);
    const auto there = acl::ip("10.1.0.0", 16);
    REQUIRE(at.ask(at.zk->create("/here", "x", create_mode::persistent, acls(here))));
    REQUIRE(at.ask(at.zk->create("/there", "x", create_mode::persistent, acls(there))));
    CHECK(at.ask(at.zk->get("/here")));
    CHECK(at.ask(at.zk->get("/there")).error() == errc::no_auth);
    REQUIRE(at.ask(at.zk->add_auth(auth_info::digest("super", "root"))));
    CHECK(at.ask(at.zk->get("/there")));
}

TEST_CASE("events of what may not be read are kept back since 3.9.2", "[M7]")
{
    ensemble_options options;
    const bool hides = GENERATE(false, true);
    options.version = hides ? "3.9.2" : "3.9.1";
    auto at = with(options);
    const auto run = at.connect();
    guest other(at);
    auto stream = at.ask(other.zk.watch("/", coati::watch_mode::recursive));
    REQUIRE(stream);
    std::vector<std::string> seen;
    std::function<void(coati::result<coati::stream_event>)> heard;
    const auto listen = [&] { stream->next()([&](auto item) { heard(std::move(item)); }); };
    heard = [&](const auto& item) {
        if (item) {
            seen.push_back(item->path);
            listen();
        }
    };
    listen();
    REQUIRE(at.ask(at.zk->add_auth(auth_info::digest("anna", "secret"))));
    REQUIRE(
        at.ask(at.zk->create("/secret", "", create_mode::persistent, acls(acl::auth(perms::all)))));
    REQUIRE(at.ask(at.zk->create("/open")));
    at.pass(1s);
    const auto both = std::vector<std::string>{"/secret", "/open"};
    CHECK(seen == (hides ? std::vector<std::string>{"/open"} : both));
}

TEST_CASE("of two faults the answer names the one that the real server finds first", "[M7]")
{
    bench at;
    session zk(at);
    zk.create("/e", 1);
    const auto create = [&](std::string_view path, std::vector<wire::acl> acls,
                            std::int32_t flags) {
        return zk.ask<wire::create>({path, {}, std::move(acls), flags}).err();
    };
    const auto is = [](errc code) { return static_cast<int>(code); };
    CHECK(create("relative", {}, 9) == is(errc::bad_arguments));
    CHECK(create("/missing/a", {}, 0) == is(errc::invalid_acl));
    CHECK(create("/missing//", open_acl, 0) == is(errc::no_node));
    CHECK(create("/e/.", open_acl, 0) == is(errc::bad_arguments));
    CHECK(create("/e/a", open_acl, 0) == is(errc::no_children_for_ephemerals));
    CHECK(create("/", open_acl, 0) == is(errc::node_exists));
    CHECK(zk.ask<wire::remove>({"/zookeeper", 7}).err() == is(errc::bad_arguments));
    CHECK(zk.ask<wire::remove>({"/missing/a", 7}).err() == is(errc::no_node));
    CHECK(zk.ask<wire::set_data>({"/e/", {}, 7}).err() == is(errc::bad_arguments));
    CHECK(zk.ask<wire::set_acl>({"/missing", {}, 7}).err() == is(errc::invalid_acl));
}

TEST_CASE("a multi that fails leaves no trace but its number", "[M7]")
{
    bench at;
    session zk(at);
    zk.create("/a");
    zk.create("/a/b");
    const auto before = zk.ask<wire::get_data>({"/a", false}).as<wire::get_data::response>().stat;
    std::string body;
    wire::append_multi_op<wire::create>(body, {"/a/n-", {}, open_acl, 2});
    wire::append_multi_op<wire::remove>(body, {"/a/b", -1});
    wire::append_multi_op<wire::set_data>(body, {"/a", {"x"}, -1});
    wire::append_multi_op<wire::check>(body, {"/a", 7});
    wire::finish_multi(body);
    CHECK(zk.ask<wire::multi>({{body}}).err() == 0);
    const auto after = zk.ask<wire::get_data>({"/a", false}).as<wire::get_data::response>().stat;
    CHECK(after == before);
    CHECK(at.ensemble.children("/a") == std::vector<std::string>{"b"});
    const auto next = zk.ask<wire::create>({"/a/n-", {}, open_acl, 2});
    CHECK(next.as<wire::create::response>().path == "/a/n-0000000001");
}

TEST_CASE("containers go after their last child, TTL znodes after their time", "[M7]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/box", "", create_mode::container)));
    REQUIRE(at.ask(at.zk->create_with_ttl("/news", "old", 90s)));
    at.pass(70s);
    CHECK(at.ensemble.exists("/box"));  // nobody has used it yet
    REQUIRE(at.ask(at.zk->create("/box/a")));
    REQUIRE(at.ask(at.zk->create("/news/reader")));
    at.pass(120s);
    CHECK(at.ensemble.exists("/box"));
    CHECK(at.ensemble.exists("/news"));  // children keep both
    auto gone = at.ask(at.zk->exists_and_watch("/box"));
    REQUIRE(gone);
    REQUIRE(at.ask(at.zk->remove("/box/a")));
    REQUIRE(at.ask(at.zk->remove("/news/reader")));
    at.pass(61s);
    CHECK_FALSE(at.ensemble.exists("/box"));
    CHECK_FALSE(at.ensemble.exists("/news"));
    const auto event = at.ask(gone->watch.next());
    REQUIRE(event);
    CHECK(event->type == coati::event_type::deleted);
}

TEST_CASE("sessions end on a tick, the first behind their timeout", "[M7]")
{
    ensemble_options options;
    options.tick = 2s;
    auto at = with(options);
    raw one(at.in, server_at(0));
    at.pass(500ms);
    REQUIRE(one.shake_hands(0, {}, 0, 5'000) == true);
    const auto all = at.ensemble.sessions();
    REQUIRE(all.size() == 1);
    CHECK(all.front().expires - at.in.now() > 5s);
    CHECK(all.front().expires - at.in.now() <= 7s);
    CHECK(all.front().expires.time_since_epoch() % 2s == 0s);
    at.pass(all.front().expires - at.in.now() - 1ms);
    CHECK(at.ensemble.sessions().size() == 1);
    at.pass(1ms);
    CHECK(at.ensemble.sessions().empty());
}

TEST_CASE("a local session is known to its server, until it owns an ephemeral", "[M7]")
{
    ensemble_options options;
    options.local_sessions = true;
    options.local_session_upgrading = GENERATE(false, true);
    auto at = with(options, 2);
    raw one(at.in, server_at(0));
    REQUIRE(one.shake_hands() == true);
    {
        raw moved(at.in, server_at(1));
        CHECK(moved.shake_hands(one.id, one.secret) == false);
    }
    const auto made = one.ask<wire::create>({"/e", {}, open_acl, 1});
    if (!options.local_session_upgrading) {
        CHECK(made.err() == static_cast<int>(errc::ephemeral_on_local_session));
        CHECK(one.ask<wire::create>({"/p", {}, open_acl, 0}).err() == 0);
        return;
    }
    CHECK(made.err() == 0);
    CHECK(at.ensemble.ephemeral_owner("/e") == one.id);
    raw moved(at.in, server_at(1));
    CHECK(moved.shake_hands(one.id, one.secret) == true);
}

TEST_CASE("a request above the limit ends the connection", "[M7]")
{
    ensemble_options options;
    options.max_request = 200;
    auto at = with(options);
    raw one(at.in, server_at(0));
    REQUIRE(one.shake_hands() == true);
    const std::string fits(200 - 8 - 4 - 2 - 4 - 4, 'x');
    CHECK(one.ask<wire::set_data>({"/a", {fits}, -1}).err() == static_cast<int>(errc::no_node));
    CHECK(one.ask<wire::set_data>({"/a", {fits + "x"}, -1}).closed);
}

TEST_CASE("the tree begins as the real one does", "[M7]")
{
    bench at;
    session zk(at);
    const auto stat_of = [&](std::string_view path) {
        return zk.ask<wire::exists>({path, false}).as<wire::exists::response>().stat;
    };
    CHECK(stat_of("/").cversion == -1);
    CHECK(stat_of("/").num_children == 1);
    CHECK(stat_of("/zookeeper").cversion == -2);
    CHECK(stat_of("/zookeeper/config").version == -1);
    CHECK(zk.ask<wire::create>({"/n-", {}, open_acl, 2}).as<wire::create::response>().path ==
          "/n-0000000000");
}
