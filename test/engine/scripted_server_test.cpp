// The scripted server against the protocol reference: raw frames in a simulated world, no client.

#include "raw_client.hpp"

#include <coati/wire/multi.hpp>
#include <coati/wire/operation_admin.hpp>
#include <coati/wire/operation_watch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

namespace {

namespace wire = coati::wire;
using namespace coati::test;

}  // namespace

TEST_CASE("a handshake gives a session, its timeout within the limits", "[scripted]")
{
    bench at;
    for (const auto& [asked, given] :
         {std::pair(10'000, 10'000ms), {1, 4'000ms}, {-5, 4'000ms}, {1'000'000'000, 40'000ms}}) {
        raw client(at.in, first_at);
        REQUIRE(client.shake_hands(0, {}, 0, asked) == true);
        CHECK(client.timeout == given);
        CHECK(client.id != 0);
        CHECK(client.secret.size() == 16);
        CHECK(client.handshake_bytes.size() == 37);
    }
    CHECK(at.ensemble.sessions().size() == 4);
    REQUIRE(at.first.log().size() == 4);
    CHECK(at.first.log()[0].op == wire::op_code::create_session);
}

TEST_CASE("a refusal is the frame V47, then the end", "[scripted]")
{
    bench at;
    session owner(at);
    for (const auto id : {std::int64_t{4711}, owner.id}) {
        raw client(at.in, second_at);
        CHECK(client.shake_hands(id, "wrong password!!") == false);
        const std::string v47("\0\0\0\0"
                              "\0\0\0\0"
                              "\0\0\0\0\0\0\0\0"
                              "\0\0\0\x10",
                              20);
        CHECK(client.handshake_bytes == v47 + std::string(17, '\0'));
        CHECK(client.is_closed());
    }
    // A stranger with a wrong password on the same server disconnects the owner, no more than that.
    raw stranger(at.in, first_at);
    CHECK(stranger.shake_hands(owner.id, "wrong password!!") == false);
    CHECK(owner.is_closed());
    raw again(at.in, first_at);
    CHECK(again.shake_hands(owner.id, owner.secret) == true);
}

TEST_CASE("a server behind the client closes without a byte", "[scripted]")
{
    bench at;
    raw client(at.in, first_at);
    CHECK(client.shake_hands(0, {}, 1'000) == std::nullopt);
    at.ensemble.set_zxid(1'000);
    raw again(at.in, first_at);
    CHECK(again.shake_hands(0, {}, 1'000) == true);
    at.ensemble.has_quorum(false);
    raw without(at.in, first_at);
    CHECK(without.shake_hands() == std::nullopt);
}

TEST_CASE("a session belongs to its newest connection", "[scripted]")
{
    bench at;
    session owner(at);
    raw same(at.in, first_at);
    CHECK(same.shake_hands(owner.id, owner.secret, 0, 6'000) == true);
    CHECK(same.timeout == 6'000ms);
    CHECK(owner.is_closed());

    // On another server the old one stays, answers reads, and is closed by its first write.
    raw moved(at.in, second_at);
    CHECK(moved.shake_hands(owner.id, owner.secret) == true);
    CHECK(same.ask<wire::exists>({"/", false}).err() == 0);
    CHECK(same.ask<wire::create>({"/late", {}, open_acl, 0}).closed);
    CHECK_FALSE(at.ensemble.exists("/late"));
    CHECK(moved.ask<wire::create>({"/new", {}, open_acl, 0}).err() == 0);
}

TEST_CASE("znodes are created, read, changed and deleted", "[scripted]")
{
    bench at;
    session zk(at);
    const reply made = zk.create("/a");
    CHECK(made.err() == 0);
    CHECK(made.as<wire::create::response>().path == "/a");
    CHECK(made.header.zxid == at.ensemble.zxid());
    CHECK(zk.create("/a").err() == -110);
    CHECK(zk.create("/x/y").err() == -101);
    CHECK(zk.create("bad").err() == -8);
    CHECK(zk.ask<wire::create>({"/b", {}, {}, 0}).err() == -114);
    CHECK(zk.ask<wire::create>({"/b", {}, open_acl, 5}).err() == -8);

    auto got = zk.ask<wire::get_data>({"/a", false});
    auto data = got.as<wire::get_data::response>();
    CHECK(data.data.value == "data");
    CHECK(data.stat.version == 0);
    CHECK(data.stat.data_length == 4);
    CHECK(data.stat.czxid == made.header.zxid);

    CHECK(zk.ask<wire::set_data>({"/a", {"new"}, 7}).err() == -103);
    const auto set = zk.ask<wire::set_data>({"/a", wire::nullable<std::string_view>::null(), 0});
    CHECK(set.as<wire::set_data::response>().stat.version == 1);
    got = zk.ask<wire::get_data>({"/a", false});
    CHECK(got.as<wire::get_data::response>().data.is_null);

    CHECK(zk.create("/a/b").err() == 0);
    CHECK(zk.create("/a/c").err() == 0);
    const auto list = zk.ask<wire::get_children2>({"/a", false});
    CHECK(list.as<wire::get_children2::response>().children.size() == 2);
    CHECK(list.as<wire::get_children2::response>().stat.cversion == 2);
    CHECK(zk.ask<wire::get_all_children_number>({"/a"})
              .as<wire::get_all_children_number::response>()
              .count == 2);
    CHECK(zk.ask<wire::remove>({"/a", -1}).err() == -111);
    CHECK(zk.ask<wire::remove>({"/a/b", 3}).err() == -103);
    CHECK(zk.ask<wire::remove>({"/a/b", 0}).err() == 0);
    CHECK(zk.ask<wire::remove>({"/a/c", -1}).err() == 0);
    CHECK(zk.ask<wire::remove>({"/a", -1}).err() == 0);
    CHECK(zk.ask<wire::exists>({"/a", false}).err() == -101);
    CHECK(zk.ask<wire::remove>({"/", -1}).err() == -8);
    CHECK(zk.ask<wire::exists>({"", false}).err() == 0);
    CHECK(zk.ask<wire::sync>({"/nowhere"}).as<wire::sync::response>().path == "/nowhere");
}

TEST_CASE("sequential names count what was ever created", "[scripted]")
{
    bench at;
    session zk(at);
    const auto name = [&](const std::string& path) {
        const auto r = zk.create(path, 2);
        return std::string(r.as<wire::create::response>().path);
    };
    zk.create("/q");
    CHECK(name("/q/n-") == "/q/n-0000000000");
    zk.ask<wire::remove>({"/q/n-0000000000", -1});
    CHECK(name("/q/n-") == "/q/n-0000000001");
    CHECK(name("/q/") == "/q/0000000002");
    CHECK(name("/").size() == 11);
}

TEST_CASE("ephemerals go with their session: closed, expired, or silent", "[scripted]")
{
    bench at;
    session watcher(at);
    const auto leave = [&](auto&& how) {
        session owner(at, second_at);
        CHECK(owner.create("/e", 1).err() == 0);
        CHECK(owner.create("/e/child").err() == -108);
        CHECK(at.ensemble.ephemeral_owner("/e") == owner.id);
        CHECK(watcher.ask<wire::exists>({"/e", true}).err() == 0);
        how(owner);
        watcher.expect_event(2, "/e", at.ensemble.zxid());
        CHECK_FALSE(at.ensemble.exists("/e"));
        raw again(at.in, second_at);
        CHECK(again.shake_hands(owner.id, owner.secret) == false);
    };
    leave([](session& owner) {
        CHECK(owner.ask<wire::close_session>({}).err() == 0);
        CHECK(owner.is_closed());
    });
    leave([&](session& owner) {
        at.ensemble.expire(owner.id);
        CHECK(owner.is_closed());
    });
    leave([&](session& owner) {
        const auto start = at.in.now();
        for (int i = 0; i < 3; ++i) {
            at.in.run_for(9s);
            owner.request<wire::ping>(wire::ping_xid, {});
            CHECK(owner.next().header.xid == wire::ping_xid);
            watcher.request<wire::ping>(wire::ping_xid, {});
            CHECK(watcher.next().header.xid == wire::ping_xid);
        }
        at.in.run_for(9s);
        watcher.request<wire::ping>(wire::ping_xid, {});
        watcher.next();
        CHECK(at.ensemble.exists("/e"));
        CHECK(owner.is_closed());
        CHECK(at.in.now() - start > 37s - 1ms);
        CHECK(at.in.now() - start < 37s + 10ms);
    });
}

TEST_CASE("events come before the reply of the write that caused them", "[scripted]")
{
    bench at;
    session zk(at);
    CHECK(zk.ask<wire::exists>({"/a", true}).err() == -101);    // armed all the same
    CHECK(zk.ask<wire::get_data>({"/b", true}).err() == -101);  // not armed
    CHECK(zk.ask<wire::get_children>({"/", true}).err() == 0);
    zk.request<wire::create>(100, {"/a", {"1"}, open_acl, 0});
    const auto created = at.ensemble.zxid() + 1;
    zk.expect_event(1, "/a", created);
    zk.expect_event(4, "/", created);
    CHECK(zk.next().header.xid == 100);
    CHECK(zk.create("/b").err() == 0);

    // One deletion, one event, though two tables hold the path; one-shots fire once.
    CHECK(zk.ask<wire::get_data>({"/a", true}).err() == 0);
    CHECK(zk.ask<wire::get_children>({"/a", true}).err() == 0);
    CHECK(at.ensemble.remove("/a"));
    zk.expect_event(2, "/a", at.ensemble.zxid());
    CHECK(zk.create("/a").err() == 0);
    CHECK(at.first.watches() == 0);
}

TEST_CASE("persistent watches stay, recursive ones see descendants", "[scripted]")
{
    bench at;
    session zk(at);
    zk.create("/p");
    CHECK(zk.ask<wire::add_watch>({"/p", wire::add_watch_mode::persistent}).err() == 0);
    for (int i = 0; i < 2; ++i) {
        at.ensemble.put("/p", "x");
        zk.expect_event(3, "/p", at.ensemble.zxid());
    }
    at.ensemble.put("/p/c", "x");
    zk.expect_event(4, "/p", at.ensemble.zxid());
    const auto mode = wire::add_watch_mode::persistent_recursive;
    CHECK(zk.ask<wire::add_watch>({"/r", mode}).err() == 0);
    at.ensemble.put("/r/s/t", "x");
    zk.expect_event(1, "/r", at.ensemble.zxid() - 2);
    zk.expect_event(1, "/r/s", at.ensemble.zxid() - 1);
    zk.expect_event(1, "/r/s/t", at.ensemble.zxid());
    CHECK(zk.ask<wire::remove_watches>({"/p", wire::watcher_type::data}).err() == -121);
    CHECK(zk.ask<wire::remove_watches>({"/p", wire::watcher_type::any}).err() == 0);
    CHECK(zk.ask<wire::check_watches>({"/p", wire::watcher_type::any}).err() == -121);
    CHECK(at.first.watches() == 1);
}

TEST_CASE("setWatches catches up before its reply", "[scripted]")
{
    bench at;
    for (const auto* path : {"/changed", "/same", "/grown", "/parent"}) {
        at.ensemble.put(path, "x");
    }
    const auto seen = at.ensemble.zxid();
    at.ensemble.put("/changed", "y");
    at.ensemble.put("/grown/child", "y");
    at.ensemble.put("/appeared", "y");
    session zk(at);
    wire::set_watches2::request r;
    r.relative_zxid = seen;
    r.data = {"/changed", "/same", "/gone"};
    r.exist = {"/appeared", "/missing"};
    r.child = {"/grown", "/parent", "/lost"};
    r.persistent = {"/persistent"};
    zk.request<wire::set_watches2>(wire::set_watches_xid, r);
    zk.expect_event(3, "/changed", -1);
    zk.expect_event(2, "/gone", -1);
    zk.expect_event(1, "/appeared", -1);
    zk.expect_event(4, "/grown", -1);
    zk.expect_event(2, "/lost", -1);
    CHECK(zk.next().header.xid == wire::set_watches_xid);
    CHECK(at.first.watches() == 4);
    CHECK(at.first.log().back().zxid == seen);
    at.ensemble.put("/missing", "z");
    zk.expect_event(1, "/missing", at.ensemble.zxid());
}

TEST_CASE("a multi is all or nothing", "[scripted]")
{
    bench at;
    session zk(at);
    std::string good;
    wire::append_multi_op<wire::create>(good, {"/m", {"1"}, open_acl, 0});
    wire::append_multi_op<wire::create2>(good, {"/m/n-", {"1"}, open_acl, 2});
    wire::append_multi_op<wire::set_data>(good, {"/m", {"22"}, 0});
    wire::append_multi_op<wire::check>(good, {"/m", 1});
    wire::finish_multi(good);
    const auto done = zk.ask<wire::multi>({{good}});
    REQUIRE(done.err() == 0);
    wire::multi_reader results(done.body);
    wire::multi_result_view each;
    REQUIRE(results.next(each));
    CHECK((each.type == 1 && each.created_path == "/m"));
    REQUIRE(results.next(each));
    CHECK((each.type == 15 && each.created_path == "/m/n-0000000000" && each.stat));
    REQUIRE(results.next(each));
    CHECK((each.type == 5 && each.stat->version == 1 && each.stat->data_length == 2));
    REQUIRE(results.next(each));
    CHECK(each.type == 13);
    CHECK_FALSE(results.next(each));
    CHECK(results.finished());

    std::string bad;
    wire::append_multi_op<wire::remove>(bad, {"/m/n-0000000000", -1});
    wire::append_multi_op<wire::check>(bad, {"/m", 99});
    wire::append_multi_op<wire::remove>(bad, {"/m", -1});
    wire::finish_multi(bad);
    const auto failed = zk.ask<wire::multi>({{bad}});
    CHECK(failed.err() == 0);
    wire::multi_reader errors(failed.body);
    for (const int err : {0, -103, -2}) {
        REQUIRE(errors.next(each));
        CHECK((each.type == -1 && each.err == err));
    }
    CHECK_FALSE(errors.next(each));
    CHECK(at.ensemble.exists("/m/n-0000000000"));

    CHECK(zk.ask<wire::multi>({{"\0\0\0\1"}}).err() == -5);
    std::string read;
    wire::append_multi_op<wire::get_data>(read, {"/m", false});
    wire::append_multi_op<wire::get_children>(read, {"/none", false});
    wire::append_multi_op<wire::get_children>(read, {"/m", false});
    wire::finish_multi(read);
    const auto got = zk.ask<wire::multi_read>({{read}});
    wire::multi_reader values(got.body);
    REQUIRE(values.next(each));
    CHECK(each.data.value == "22");
    REQUIRE(values.next(each));
    CHECK(each.err == -101);
    REQUIRE(values.next(each));
    CHECK(each.children.size() == 1);
}

TEST_CASE("auth, whoAmI, and what is not known", "[scripted]")
{
    bench at;
    session zk(at);
    zk.request<wire::auth>(wire::auth_xid, {0, "digest", "me:secret"});
    auto r = zk.next();
    CHECK((r.header.xid == -4 && r.err() == 0 && r.header.zxid == 0));
    const auto who = zk.ask<wire::who_am_i>({}).as<wire::who_am_i::response>();
    CHECK(who.clients.size() == 2);
    zk.request<wire::auth>(wire::auth_xid, {0, "bad", "x"});
    CHECK(zk.next().err() == -115);
    CHECK(zk.is_closed());

    session other(at);
    other.send(std::string("\0\0\0\x08\0\0\0\x01\0\0\x56\xce", 12));
    r = other.next();
    CHECK((r.header.xid == 1 && r.header.zxid == -1 && r.err() == -6));
    CHECK(other.is_closed());

    raw word(at.in, first_at);
    word.send("srvr");
    CHECK(word.is_closed());
    CHECK(word.unread().starts_with("Zookeeper version: 3.9.3"));
}
