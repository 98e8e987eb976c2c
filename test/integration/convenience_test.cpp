// The compositions against a real server: what the scripted one answers in virtual time, a real one
// has to answer too.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/convenience.hpp>
#include <coati/subtree.hpp>

#include <algorithm>
#include <array>

namespace coati::test {

TEST_CASE("znodes are made with their parents, set or created, and updated", "[convenience][C65]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto made = co_await create_with_parents(s.zk, "/a/b/c", "leaf");
        REQUIRE(made);
        CHECK(made->path == "/a/b/c");
        const auto again = co_await create_with_parents(s.zk, "/a/b/c", "leaf");
        CHECK(code_of(again) == errc::node_exists);
        const auto contained = co_await create_with_parents(
            s.zk, "/x/y/n-", "", create_mode::ephemeral_sequential, {}, create_mode::container);
        REQUIRE(contained);
        CHECK(contained->path == "/x/y/n-0000000000");
        const client deep = s.zk.chroot("/not/yet");
        ok(co_await create_with_parents(deep, "/"));
        ok(co_await deep.create("/there"));

        const auto first = co_await create_or_set(s.zk, "/v", "1");
        REQUIRE(first);
        CHECK(first->version == 0);
        const auto second = co_await create_or_set(s.zk, "/v", "2");
        REQUIRE(second);
        CHECK(second->version == 1);
        const auto increment = [](const std::string& now) {
            return std::optional<data>(std::to_string(std::stoi(now) + 1));
        };
        const auto updated = co_await update(s.zk, "/v", increment);
        REQUIRE(updated);
        CHECK(updated->version == 2);
        const auto seen = co_await f.observer().get("/v");
        REQUIRE(seen);
        CHECK(seen->data == "3");
    });
}

TEST_CASE("fifty concurrent updates count to fifty", "[convenience]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session one = co_await f.open();
        const session two = co_await f.open();
        ok(co_await one.zk.create("/count", "0"));
        const auto increment = [](const std::string& now) {
            return std::optional<data>(std::to_string(std::stoi(now) + 1));
        };
        int done = 0;
        for (int i = 0; i < 50; ++i) {
            update(i % 2 == 0 ? one.zk : two.zk, "/count",
                   increment)([&](const result<stat>& r) { done += r ? 1 : 0; });
        }
        co_await f.until([&] { return done == 50; }, "fifty updates");
        const auto seen = co_await f.observer().get("/count");
        REQUIRE(seen);
        CHECK(seen->data == "50");
        CHECK(seen->stat.version == 50);
    });
}

TEST_CASE("waiting for a znode to come and to go", "[convenience]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        std::optional<result<stat>> there;
        wait_until_exists(s.zk, "/a")([&](result<stat> r) { there = std::move(r); });
        ok(co_await s.zk.sync());
        CHECK_FALSE(there);
        ok(co_await f.observer().create("/a"));
        co_await f.until([&] { return there.has_value(); }, "the znode");
        CHECK(*there);
        std::optional<result<void>> gone;
        wait_until_gone(s.zk, "/a")([&](result<void> r) { gone = std::move(r); });
        ok(co_await f.observer().set("/a", "changed"));
        ok(co_await s.zk.sync());
        CHECK_FALSE(gone);
        ok(co_await f.observer().remove("/a"));
        co_await f.until([&] { return gone.has_value(); }, "its end");
        CHECK(*gone);
        const auto never = co_await s.zk.within(100ms, wait_until_exists(s.zk, "/never"));
        CHECK(code_of(never) == errc::timed_out);
    });
}

TEST_CASE("a protected create finds its own znode when the answer is lost", "[convenience]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        ok(co_await s.zk.create("/d"));
        const std::array<create_mode, 2> modes{create_mode::ephemeral_sequential,
                                               create_mode::ephemeral};
        for (const create_mode mode : modes) {
            // The request goes through, the answer does not.
            proxy.stall(direction::to_client);
            std::optional<result<created>> made;
            create_protected(s.zk, "/d/lock-", "x",
                             mode)([&](result<created> r) { made = std::move(r); });
            for (;;) {
                const auto names = co_await f.observer().children("/d");
                REQUIRE(names);
                if (!names->names.empty()) {
                    break;
                }
                co_await f.sleep(10ms);
            }
            CHECK_FALSE(made);
            proxy.cut();
            proxy.unstall(direction::to_client);
            co_await f.until([&] { return made.has_value(); }, "its resolution");
            REQUIRE(*made);
            const auto names = co_await f.observer().children("/d");
            REQUIRE(names);
            REQUIRE(names->names.size() == 1);
            CHECK((*made)->path == "/d/" + names->names.front());
            CHECK(unprotected((*made)->path).starts_with("lock-"));
            const auto seen = co_await s.zk.exists((*made)->path);
            REQUIRE((seen && seen->has_value()));
            CHECK((*seen)->czxid == (*made)->zxid);
            CHECK((*seen)->ephemeral_owner == s.zk.session().id);
            ok(co_await s.zk.remove((*made)->path));
        }
    });
}

TEST_CASE("a subtree of thousands is walked and removed", "[convenience][C65]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/t"));
        std::vector<any_op> ops;
        for (int i = 0; i < 20; ++i) {
            const std::string parent = "/t/" + std::to_string(i);
            ops.push_back(op::create(parent));
            for (int j = 0; j < 100; ++j) {
                ops.push_back(op::create(parent + "/" + std::to_string(j)));
            }
        }
        ok(co_await s.zk.multi(std::move(ops)));
        constexpr std::size_t count = 20 * 101 + 1;

        std::set<std::string> seen;
        const tree_walk all = walk(s.zk, "/t");
        for (;;) {
            auto at = co_await all.next();
            REQUIRE(at);
            if (!at->has_value()) {
                break;
            }
            CHECK(seen.insert((*at)->path).second);
        }
        CHECK(seen.size() == count);

        std::vector<std::size_t> told;
        remove_options how;
        how.keep_root = true;
        how.progress = [&](std::size_t n) { told.push_back(n); };
        const auto below = co_await remove_recursively(s.zk, "/t", how);
        REQUIRE(below);
        CHECK(*below == count - 1);
        CHECK(told.size() > 2);
        CHECK(std::is_sorted(told.begin(), told.end()));
        CHECK(told.back() == count - 1);
        const auto left = co_await f.observer().children("/t");
        REQUIRE(left);
        CHECK(left->names.empty());
        const auto root = co_await remove_recursively(s.zk, "/t");
        REQUIRE(root);
        CHECK(*root == 1);
        const auto nothing = co_await remove_recursively(s.zk, "/t");
        REQUIRE(nothing);
        CHECK(*nothing == 0);
    });
}

}  // namespace coati::test
