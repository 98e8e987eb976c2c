// A handle under a chroot knows relative paths only: in requests, in answers, in multi results, in
// the names of sequential znodes and in events. Against one real server.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <algorithm>
#include <variant>

namespace coati::test {

TEST_CASE("under a chroot every operation takes and gives relative paths",
          "[chroot][S38][C99][T38]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/app"));
        const client app = s.zk.chroot("/app");
        CHECK(app.chroot() == f.full("/app"));

        const auto made = co_await app.create("/a", "1");
        ok(made);
        CHECK(made->path == "/a");
        const auto numbered = co_await app.create("/a/n-", "", create_mode::ephemeral_sequential);
        ok(numbered);
        CHECK(numbered->path == "/a/n-0000000000");
        const auto seen = co_await f.observer().get("/app/a");
        ok(seen);
        CHECK(seen->data == "1");
        const auto owned = co_await f.observer().exists("/app/a/n-0000000000");
        REQUIRE((owned && owned->has_value()));

        ok(co_await app.set("/a", "2", 0));
        const auto back = co_await app.get("/a");
        ok(back);
        CHECK(back->data == "2");
        const auto there = co_await app.exists("/a");
        REQUIRE((there && there->has_value()));
        const auto names = co_await app.children("/a");
        ok(names);
        CHECK(names->names == std::vector<std::string>{"n-0000000000"});
        ok(co_await app.sync("/a"));

        const auto many = co_await app.multi(
            op::create("/b"), op::check("/a", 1),
            op::create("/b/s-", "", create_mode::persistent_sequential), op::set("/b", "x"));
        ok(many);
        CHECK(std::get<0>(many->results) == "/b");
        CHECK(std::get<2>(many->results) == "/b/s-0000000000");
        std::vector<any_op> list;
        list.emplace_back(op::create("/c"));
        list.emplace_back(op::remove("/c"));
        const auto listed = co_await app.multi(std::move(list));
        ok(listed);
        CHECK(std::get<std::string>(listed->results[0]) == "/c");

        ok(co_await app.remove("/b/s-0000000000"));
        ok(co_await app.remove("/b"));
        const auto gone = co_await f.observer().exists("/app/b");
        ok(gone);
        CHECK(!gone->has_value());
    });
}

TEST_CASE("the root of a chroot is its znode, and its parent is out of reach", "[chroot][S38]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/app", "the root"));
        ok(co_await s.zk.create("/apple", "no child of it"));
        const client app = s.zk.chroot("/app");
        const auto root = co_await app.get("/");
        ok(root);
        CHECK(root->data == "the root");
        ok(co_await app.set("/", "changed"));
        const auto seen = co_await f.observer().get("/app");
        ok(seen);
        CHECK(seen->data == "changed");
        // Directly below the root, and no sibling of it.
        const auto numbered = co_await app.create("/", "", create_mode::persistent_sequential);
        ok(numbered);
        CHECK(numbered->path == "/0000000000");
        const auto names = co_await app.children("/");
        ok(names);
        CHECK(names->names == std::vector<std::string>{"0000000000"});
        ok(co_await app.remove("/0000000000"));
        const auto outside = co_await app.get("/..");
        CHECK(code_of(outside) == errc::invalid_path);
        const auto again = co_await app.create("/");
        CHECK(code_of(again) == errc::node_exists);
        // "/" as a chroot is none, and a chroot below one adds to it.
        const client deeper = app.chroot("/").chroot("/x").chroot("/y");
        CHECK(deeper.chroot() == f.full("/app/x/y"));
        ok(co_await app.remove("/"));
        const auto gone = co_await f.observer().exists("/app");
        ok(gone);
        CHECK(!gone->has_value());
    });
}

TEST_CASE("watches under a chroot tell relative paths", "[chroot][S38][C100][T36]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/app"));
        ok(co_await s.zk.create("/app/a"));
        const client app = s.zk.chroot("/app");
        auto data = co_await app.get_and_watch("/a");
        ok(data);
        auto child = co_await app.children_and_watch("/");
        ok(child);
        auto missing = co_await app.exists_and_watch("/a/b");
        ok(missing);
        // The same znode, watched by a handle with another idea of its name.
        auto outer = co_await s.zk.get_and_watch("/app/a");
        ok(outer);

        ok(co_await f.observer().create("/app/a/b"));
        ok(co_await f.observer().set("/app/a", "new"));
        ok(co_await f.observer().create("/app/other"));
        const event made = co_await event_of(missing->watch);
        CHECK(made.type == event_type::created);
        CHECK(made.path == "/a/b");
        const event changed = co_await event_of(data->watch);
        CHECK(changed.type == event_type::data_changed);
        CHECK(changed.path == "/a");
        const event same = co_await event_of(outer->watch);
        CHECK(same.path == "/app/a");
        const event below = co_await event_of(child->watch);
        CHECK(below.type == event_type::children_changed);
        CHECK(below.path == "/");
    });
}

TEST_CASE("handles with different chroots share one session", "[chroot][S38]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        ok(co_await s.zk.create("/one"));
        ok(co_await s.zk.create("/two"));
        const client one = s.zk.chroot("/one");
        const client two = s.zk.chroot("/two");
        const std::int64_t id = s.zk.session().id;
        CHECK(one.session().id == id);
        CHECK(two.session().id == id);
        const auto first = co_await one.create("/e", "1", create_mode::ephemeral);
        ok(first);
        const auto second = co_await two.create("/e", "2", create_mode::ephemeral);
        ok(second);
        CHECK(first->path == second->path);
        const std::set<std::string> both{f.full("/one/e"), f.full("/two/e")};
        CHECK(ephemerals_of(f.servers(), 0, id) == both);
        CHECK(proxy.connections() == 1);
    });
}

TEST_CASE("a chroot that is not there gives no_node, and can be made", "[chroot][S38][C102]")
{
    fixture f;
    f.run([&]() -> task<> {
        config nowhere = f.settings();
        nowhere.chroot += "/no/where";
        const session s = co_await f.open(nowhere);
        const auto read = co_await s.zk.get("/");
        CHECK(code_of(read) == errc::no_node);
        const auto listed = co_await s.zk.children("/");
        CHECK(code_of(listed) == errc::no_node);
        const auto below = co_await s.zk.create("/a");
        CHECK(code_of(below) == errc::no_node);
        const auto root = co_await s.zk.exists("/");
        ok(root);
        CHECK(!root->has_value());
        ok(co_await f.observer().create("/no"));
        const auto made = co_await s.zk.create("/");
        ok(made);
        CHECK(made->path == "/");
        ok(co_await s.zk.create("/a"));
    });
}

}  // namespace coati::test
