// What is asked of a server beside reading and writing znodes: access, counting, several reads in
// one request, znodes that live for a time, and the ensemble's own configuration.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <algorithm>
#include <array>
#include <variant>

namespace coati::test {

namespace {

/// Refused here, without a server.
template <class T>
void refused(const result<T>& r, errc code)
{
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().code() == code);
    CHECK(r.error().fate() == fate::not_sent);
}

/// Answered by the server.
template <class T>
void fails(const result<T>& r, errc code)
{
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().code() == code);
    CHECK(r.error().fate() == fate::not_applied);
}

}  // namespace

// --- creating with an answer

TEST_CASE("create_with_stat gives the stat that exists gives", "[admin][C53]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const std::array<create_mode, 5> modes{
            create_mode::persistent, create_mode::ephemeral, create_mode::persistent_sequential,
            create_mode::ephemeral_sequential, create_mode::container};
        int number = 0;
        for (const create_mode mode : modes) {
            const auto made =
                co_await s.zk.create_with_stat("/n" + std::to_string(++number), "abc", mode);
            REQUIRE(made);
            CHECK(made->stat.czxid == made->zxid);
            CHECK(made->stat.data_length == 3);
            const auto seen = co_await f.observer().exists(made->path);
            REQUIRE((seen && seen->has_value()));
            CHECK(**seen == made->stat);
        }
        const client below = s.zk.chroot("/n1");
        const auto relative = co_await below.create_with_stat("/x");
        REQUIRE(relative);
        CHECK(relative->path == "/x");
        fails(co_await s.zk.create_with_stat("/n1"), errc::node_exists);
        fails(co_await s.zk.create_with_stat("/no/x"), errc::no_node);
    });
}

TEST_CASE("a znode with a ttl is made, and a ttl that no server takes is refused here",
          "[admin][C59]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto plain = co_await s.zk.create_with_ttl("/plain", "x", 1h);
        REQUIRE(plain);
        CHECK(plain->path == "/plain");
        CHECK(plain->stat.ephemeral_owner == 0);
        constexpr std::chrono::milliseconds longest{(std::int64_t{1} << 40) - 1};
        const auto numbered = co_await s.zk.create_with_ttl("/plain/n-", "", longest,
                                                            create_mode::persistent_sequential);
        REQUIRE(numbered);
        CHECK(numbered->path == "/plain/n-0000000000");

        refused(co_await s.zk.create_with_ttl("/x", "", 0ms), errc::invalid_argument);
        refused(co_await s.zk.create_with_ttl("/x", "", -1ms), errc::invalid_argument);
        refused(co_await s.zk.create_with_ttl("/x", "", longest + 1ms), errc::invalid_argument);
        const std::array<create_mode, 3> others{
            create_mode::ephemeral, create_mode::ephemeral_sequential, create_mode::container};
        for (const create_mode mode : others) {
            refused(co_await s.zk.create_with_ttl("/x", "", 1h, mode), errc::invalid_argument);
        }
        refused(co_await s.zk.multi(op::create_with_ttl("/x", "", 0ms)), errc::invalid_argument);
        fails(co_await s.zk.create_with_ttl("/plain", "", 1h), errc::node_exists);
    });
}

TEST_CASE("a multi of all kinds of creates is read by the results' own headers", "[admin][T39]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const client app = s.zk.chroot("/app");
        ok(co_await s.zk.create("/app"));
        const auto done =
            co_await app.multi(op::create("/c", "", create_mode::container),
                               op::create_with_stat("/s", "1"), op::create_with_ttl("/t", "2", 1h),
                               op::create_with_stat("/k", "", create_mode::container),
                               op::create("/p-", "", create_mode::persistent_sequential));
        REQUIRE(done);
        const auto& [container, with_stat, with_ttl, another, plain] = done->results;
        CHECK(container == "/c");
        CHECK(with_stat.path == "/s");
        CHECK_FALSE(with_stat.stat);  // 3.8: ZOOKEEPER-4026
        CHECK(with_ttl.path == "/t");
        CHECK(another.path == "/k");
        CHECK(plain == "/p-0000000004");
        const std::array<created_in_multi, 2> both{with_ttl, another};
        for (const created_in_multi& each : both) {
            const auto seen = co_await app.exists(each.path);
            REQUIRE((seen && seen->has_value()));
            CHECK((!each.stat || *each.stat == **seen));
        }

        std::vector<any_op> list;
        list.emplace_back(op::create_with_ttl("/l", "2", 1h));
        list.emplace_back(op::create_with_stat("/m", "2"));
        list.emplace_back(op::create("/d", "", create_mode::container));
        list.emplace_back(op::set("/m", "3"));
        const auto listed = co_await app.multi(std::move(list));
        REQUIRE(listed);
        CHECK(std::get<created_in_multi>(listed->results[0]).path == "/l");
        CHECK(std::get<created_in_multi>(listed->results[1]).path == "/m");
        CHECK(std::get<std::string>(listed->results[2]) == "/d");
        CHECK(std::get<stat>(listed->results[3]).version == 1);
    });
}

// --- access

TEST_CASE("an ACL is read and replaced, if its version is the expected one", "[admin][C108]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        const auto open = co_await s.zk.get_acl("/a");
        REQUIRE(open);
        CHECK(open->entries == acls::open_unsafe().entries());
        CHECK(open->stat.aversion == 0);

        const acls two(acl::world(perms::read | perms::admin), acl::ip("127.0.0.1", 8));
        const auto changed = co_await s.zk.set_acl("/a", two, 0);
        REQUIRE(changed);
        CHECK(changed->aversion == 1);
        const auto after = co_await s.zk.get_acl("/a");
        REQUIRE(after);
        CHECK(after->entries == two.entries());
        CHECK(after->stat == *changed);
        fails(co_await s.zk.set_acl("/a", two, 0), errc::bad_version);
        const auto any = co_await s.zk.set_acl("/a", acls::read_unsafe());
        REQUIRE(any);
        CHECK(any->aversion == 2);
        fails(co_await s.zk.set_acl("/a", two), errc::no_auth);
        fails(co_await s.zk.set("/a", "x"), errc::no_auth);

        ok(co_await s.zk.create("/b", "", create_mode::persistent, acls(acl::world(perms::write))));
        fails(co_await s.zk.get_acl("/b"), errc::no_auth);
        fails(co_await s.zk.get("/b"), errc::no_auth);
        fails(co_await s.zk.get_acl("/no"), errc::no_node);
        fails(co_await s.zk.set_acl("/no", two), errc::no_node);
        // The server's own root has one like any other.
        config plain = f.settings();
        plain.chroot.clear();
        const session r = co_await f.open(plain);
        const auto root = co_await r.zk.get_acl("/");
        REQUIRE(root);
        CHECK(root->entries == acls::open_unsafe().entries());
        const auto same = co_await r.zk.set_acl("/", acls::open_unsafe(), root->stat.aversion);
        REQUIRE(same);
        CHECK(same->aversion == root->stat.aversion + 1);
        // Nobody has introduced himself: "whoever creates this" is nobody.
        fails(co_await s.zk.set_acl("/b", acls::creator_all()), errc::invalid_acl);
    });
}

TEST_CASE("the server takes every ACL that we call well formed", "[admin]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const std::vector<acl> entries{
            acl::world(),          acl::digest("user", "secret"), acl::digest("", "x"),
            acl::ip("0.0.0.0", 0), acl::ip("10.0.0.1", 32),       acl::ip("255.255.255.255")};
        for (const acl& each : entries) {
            INFO(each.scheme << " " << each.id);
            const auto made = co_await s.zk.create("/n-", "", create_mode::persistent_sequential,
                                                   acls(each, acl::world(perms::admin)));
            REQUIRE(made);
            const auto back = co_await s.zk.get_acl(made->path);
            REQUIRE(back);
            CHECK(back->entries.front() == each);
        }
    });
}

TEST_CASE("an ACL that no server takes is refused before anything is sent", "[admin][C108]")
{
    fixture f;
    f.run([&]() -> task<> {
        // It is never run: a request that waited to be sent would wait for ever.
        const client zk = f.make(f.settings());
        const std::vector<acls> bad{acls(std::vector<acl>()), acls(acl(perms::all, "digest", "x")),
                                    acls(acl::world(), acl::ip("10.0.0")),
                                    acls(acl(perms::all, "", ""))};
        for (const acls& each : bad) {
            refused(co_await zk.create("/x", "", create_mode::persistent, each), errc::invalid_acl);
            refused(co_await zk.create_with_stat("/x", "", create_mode::persistent, each),
                    errc::invalid_acl);
            refused(co_await zk.create_with_ttl("/x", "", 1h, create_mode::persistent, each),
                    errc::invalid_acl);
            refused(co_await zk.set_acl("/x", each), errc::invalid_acl);
            refused(co_await zk.multi(op::create("/x", "", create_mode::persistent, each)),
                    errc::invalid_acl);
            const client by_default = zk.with_default_acls(each);
            refused(co_await by_default.create("/x"), errc::invalid_acl);
        }
        refused(co_await zk.get_acl("x"), errc::invalid_path);
        refused(co_await zk.set_acl("x", acls::open_unsafe()), errc::invalid_path);
        refused(co_await zk.count_descendants("/x/"), errc::invalid_path);
        refused(co_await zk.get_ephemerals("x"), errc::invalid_path);
        refused(co_await zk.check(""), errc::invalid_path);
        refused(co_await zk.multi_read(op::get("/a"), op::children("b")), errc::invalid_path);
        const membership_change nothing({}, {});
        refused(co_await zk.reconfig(nothing), errc::invalid_argument);
    });
}

TEST_CASE("a handle's default ACL is that of every create without one", "[admin]")
{
    fixture f;
    f.run([&]() -> task<> {
        config c = f.settings();
        c.default_acls = acls(acl::world(perms::read | perms::create));
        const session s = co_await f.open(c);
        const auto has = [&](std::string path, const acls& expected) -> task<> {
            const auto read = co_await f.observer().get_acl(path);
            REQUIRE(read);
            CHECK(read->entries == expected.entries());
        };
        ok(co_await s.zk.create("/configured"));
        co_await has("/configured", c.default_acls);
        const acls other(acl::world(perms::read | perms::write), acl::ip("10.0.0.1"));
        const client zk = s.zk.with_default_acls(other);
        ok(co_await zk.chroot("/configured").create("/below"));
        co_await has("/configured/below", other);
        ok(co_await zk.create_with_stat("/s"));
        co_await has("/s", other);
        ok(co_await zk.create_with_ttl("/t", "", 1h));
        co_await has("/t", other);
        ok(co_await zk.multi(op::create("/m"), op::create_with_stat("/n")));
        co_await has("/m", other);
        co_await has("/n", other);
        ok(co_await zk.create("/given", "", create_mode::persistent, acls::open_unsafe()));
        co_await has("/given", acls::open_unsafe());
    });
}

TEST_CASE("who_am_i names the address that the server sees", "[admin][C110]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto known = co_await s.zk.who_am_i();
        REQUIRE(known);
        REQUIRE(known->size() == 1);
        CHECK(known->front().scheme == "ip");
        CHECK(known->front().user == "127.0.0.1");
    });
}

// --- counting

TEST_CASE("ephemerals are those of this session, and of the handle's chroot",
          "[admin][C58][S38][T38]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const session other = co_await f.open();
        ok(co_await s.zk.create("/app"));
        ok(co_await s.zk.create("/apple"));
        ok(co_await s.zk.create("/app/sub"));
        const std::array<std::string, 5> mine{"/app/lock-1", "/app/lock-2", "/app/sub/x",
                                              "/apple/y", "/z"};
        for (const std::string& path : mine) {
            ok(co_await s.zk.create(path, "", create_mode::ephemeral));
        }
        ok(co_await other.zk.create("/app/theirs", "", create_mode::ephemeral));
        using names = std::vector<std::string>;
        const auto list = [](client zk, std::string prefix) -> task<names> {
            auto found = co_await zk.get_ephemerals(prefix);
            REQUIRE(found);
            std::sort(found->begin(), found->end());
            co_return *found;
        };
        const client app = s.zk.chroot("/app");
        const names found1 = co_await list(app, "/");
        CHECK(found1 == names{"/lock-1", "/lock-2", "/sub/x"});
        const names found2 = co_await list(app, "");
        CHECK(found2 == names{"/lock-1", "/lock-2", "/sub/x"});
        const names found3 = co_await list(app, "/lock");
        CHECK(found3 == names{"/lock-1", "/lock-2"});
        const names found4 = co_await list(app, "/lock-2");
        CHECK(found4 == names{"/lock-2"});
        const names found5 = co_await list(app, "/sub/");
        CHECK(found5 == names{"/sub/x"});
        const names found6 = co_await list(app, "/nothing");
        CHECK(found6 == names());
        const names found7 = co_await list(s.zk, "/app");
        CHECK(found7 == names{"/app/lock-1", "/app/lock-2", "/app/sub/x", "/apple/y"});
        const names found8 = co_await list(other.zk, "/");
        CHECK(found8 == names{"/app/theirs"});

        const auto below = co_await s.zk.count_descendants("/app");
        REQUIRE(below);
        CHECK(below->count == 5);
        CHECK_FALSE(below->is_emulated);
        const auto leaf = co_await s.zk.count_descendants("/z");
        REQUIRE(leaf);
        CHECK(leaf->count == 0);
        const auto all = co_await app.count_descendants("/");
        REQUIRE(all);
        CHECK(all->count == 5);
        fails(co_await s.zk.count_descendants("/no"), errc::no_node);
    });
}

TEST_CASE("below a chroot that does not exist operations say no_node", "[admin][S38]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const client nowhere = s.zk.chroot("/not/there");
        fails(co_await nowhere.create("/x"), errc::no_node);
        fails(co_await nowhere.get("/"), errc::no_node);
        fails(co_await nowhere.children("/"), errc::no_node);
        fails(co_await nowhere.get_acl("/"), errc::no_node);
        fails(co_await nowhere.count_descendants("/"), errc::no_node);
        fails(co_await nowhere.check("/"), errc::no_node);
        const auto ephemerals = co_await nowhere.get_ephemerals();
        REQUIRE(ephemerals);
        CHECK(ephemerals->empty());
        ok(co_await nowhere.sync());
    });
}

// --- several reads, and a check

TEST_CASE("several reads in one request fail one by one", "[admin][C74]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a", "data"));
        ok(co_await s.zk.create("/a/x", null_data));
        ok(co_await s.zk.create("/a/y"));
        ok(co_await s.zk.create("/secret", "", create_mode::persistent,
                                acls(acl::world(perms::write))));
        const client app = s.zk.chroot("/a");
        const auto read =
            co_await s.zk.multi_read(op::get("/a"), op::children("/a"), op::get("/no"),
                                     op::children("/no"), op::get("/secret"), op::get("/a/x"));
        REQUIRE(read);
        const auto& [data, names, missing, empty, secret, null] = read->results;
        REQUIRE(data);
        CHECK(data->data == "data");
        const auto alone = co_await s.zk.get("/a");
        REQUIRE(alone);
        CHECK(data->stat == alone->stat);
        REQUIRE(names);
        CHECK(std::set<std::string>(names->begin(), names->end()) ==
              std::set<std::string>{"x", "y"});
        fails(missing, errc::no_node);
        fails(empty, errc::no_node);
        fails(secret, errc::no_auth);
        REQUIRE(null);
        CHECK(null->is_null);

        std::vector<any_read_op> list;
        list.emplace_back(op::children("/"));
        list.emplace_back(op::get("/zzz"));
        list.emplace_back(op::get("/"));
        const auto listed = co_await app.multi_read(std::move(list));
        REQUIRE(listed);
        REQUIRE(listed->results.size() == 3);
        REQUIRE(listed->results[0]);
        CHECK(std::get<std::vector<std::string>>(*listed->results[0]).size() == 2);
        fails(listed->results[1], errc::no_node);
        REQUIRE(listed->results[2]);
        CHECK(std::get<get_result>(*listed->results[2]).data == "data");
        const auto nothing = co_await s.zk.multi_read(std::vector<any_read_op>());
        REQUIRE(nothing);
        CHECK(nothing->results.empty());
    });
}

TEST_CASE("a check alone is answered, and is no write in doubt", "[admin][C77][T55]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        ok(co_await s.zk.create("/a"));
        ok(co_await s.zk.check("/a"));
        ok(co_await s.zk.check("/a", 0));
        const auto wrong = co_await s.zk.check("/a", 1);
        fails(wrong, errc::bad_version);
        CHECK(wrong.error().op_index() == -1);
        fails(co_await s.zk.check("/no"), errc::no_node);
        CHECK(proxy.connections() == 1);
    });
}

// --- the ensemble

TEST_CASE("a standalone server has an empty configuration and no way to change it", "[admin]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto read = co_await s.zk.get_config();
        REQUIRE(read);
        const auto parsed = read->parse();
        REQUIRE(parsed);
        CHECK(parsed->members.empty());
        const membership_change leave({}, {1});
        fails(co_await s.zk.reconfig(leave), errc::reconfig_disabled);
        CHECK(s.zk.is_connected());
    });
}

TEST_CASE("an ensemble's configuration names its servers; who may not, cannot change it",
          "[admin][T37]")
{
    fixture f(shared_three());
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        // Not prefixed by any chroot, be it one that does not exist or no path at all.
        const std::array<client, 3> handles{s.zk, s.zk.chroot("/no/such"), s.zk.chroot("relative")};
        for (const client& zk : handles) {
            const auto read = co_await zk.get_config();
            REQUIRE(read);
            CHECK(read->stat.version == -1);
            const auto parsed = read->parse();
            INFO(read->text);
            REQUIRE(parsed);
            REQUIRE(parsed->members.size() == 3);
            CHECK(parsed->version.has_value());
            for (int i = 0; i < 3; ++i) {
                const ensemble_member& each = parsed->members[static_cast<std::size_t>(i)];
                CHECK(each.id == i + 1);
                CHECK(each.role == server_role::participant);
                CHECK(read->text.find(each.to_string()) != std::string::npos);
            }
        }
        const membership_change leave({}, {3});
        fails(co_await s.zk.reconfig(leave), errc::no_auth);
    });
}

TEST_CASE("servers leave and join, step by step and as a whole, and the watch tells",
          "[admin][C151][T37][slow]")
{
    ensemble_options how;
    how.servers = 3;
    how.jvm_args.push_back("-Dzookeeper.skipACL=yes");
    ensemble own(how);
    fixture f(own);
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const client nested = s.zk.chroot("/zookeeper");
        const auto before = co_await nested.get_config_and_watch();
        REQUIRE(before);
        const auto all = before->config.parse();
        REQUIRE(all);
        REQUIRE(all->members.size() == 3);

        // Not the leader, nor the server that we are on: our session is to go on as it is.
        const int leader = own.leader().value();
        const int leaves = leader == 2 ? 1 : 2;
        const std::int64_t id = leaves + 1;
        const membership_change stale({}, {id}, 1);
        fails(co_await s.zk.reconfig(stale), errc::bad_version);
        const membership_change leave({}, {id}, all->version);
        const auto two = co_await s.zk.reconfig(leave);
        REQUIRE(two);
        const auto left = two->parse();
        INFO(two->text);
        REQUIRE(left);
        CHECK(left->members.size() == 2);
        CHECK(left->version > all->version);
        const event told = co_await event_of(before->watch);
        CHECK(told.type == event_type::data_changed);
        CHECK(told.path == "/zookeeper/config");

        const auto& back = all->members[static_cast<std::size_t>(leaves)];
        const membership_change join({back}, {});
        const auto three = co_await s.zk.reconfig(join);
        INFO((three ? three->text : three.error().message()));
        REQUIRE(three);
        const auto joined = three->parse();
        REQUIRE(joined);
        CHECK(joined->members.size() == 3);

        std::vector<ensemble_member> chosen = joined->members;
        std::erase_if(chosen, [&](const ensemble_member& each) { return each.id == id; });
        const auto whole = membership_change::whole(chosen, joined->version);
        const auto replaced = co_await s.zk.reconfig(whole);
        INFO((replaced ? replaced->text : replaced.error().message()));
        REQUIRE(replaced);
        const auto again = replaced->parse();
        REQUIRE(again);
        CHECK(again->members.size() == 2);
        const auto now = co_await s.zk.get_config();
        REQUIRE(now);
        CHECK(now->text == replaced->text);

        // Two of three that nobody has ever seen.
        std::vector<ensemble_member> strangers{again->members.front()};
        strangers.emplace_back(8, peer_address("127.0.0.1", 1, 2), server_role::participant, 3);
        strangers.emplace_back(9, peer_address("127.0.0.1", 4, 5), server_role::participant, 6);
        const auto impossible = membership_change::whole(strangers);
        fails(co_await s.zk.reconfig(impossible), errc::new_config_no_quorum);
    });
}

}  // namespace coati::test
