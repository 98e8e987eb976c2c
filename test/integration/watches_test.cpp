// One-shot watches against a real server: what fires which, once; how many the server holds for how
// many of ours; and that they come through a reconnect, with what happened meanwhile.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/op_code.hpp>

#include <algorithm>
#include <array>

namespace coati::test {

namespace {

/// Every one-shot watch that can be set on a znode and on its parent.
struct all_watches {
    std::optional<watch> data;    // of the znode, by get
    std::optional<watch> exists;  // of the znode, there or not
    std::optional<watch> child;   // of the znode
    std::optional<watch> parent_data, parent_exists, parent_child;
};

task<> arm(client zk, std::string parent, std::string path, all_watches& all)
{
    if (auto seen = co_await zk.get_and_watch(path)) {
        all.data = std::move(seen->watch);
    }
    if (auto seen = co_await zk.children_and_watch(path)) {
        all.child = std::move(seen->watch);
    }
    auto exists = co_await zk.exists_and_watch(path);
    ok(exists);
    all.exists = std::move(exists->watch);
    auto data = co_await zk.get_and_watch(parent);
    ok(data);
    all.parent_data = std::move(data->watch);
    auto there = co_await zk.exists_and_watch(parent);
    ok(there);
    all.parent_exists = std::move(there->watch);
    auto child = co_await zk.children_and_watch(parent);
    ok(child);
    all.parent_child = std::move(child->watch);
}

task<> fires(const std::optional<watch>& w, event_type expected, std::string path)
{
    REQUIRE(w);
    const event seen = co_await event_of(*w);
    CHECK(seen.type == expected);
    CHECK(seen.path == path);
    const auto more = co_await w->next();
    CHECK(code_of(more) == errc::watch_ended);
}

/// Cuts the client off, so that it cannot come back until `heal`.
void cut(byte_proxy& proxy)
{
    proxy.refuse(true);
    proxy.cut();
}

task<> heal(fixture& f, byte_proxy& proxy, const session& s)
{
    co_await f.until([&] { return !s.zk.is_connected(); }, "the loss");
    proxy.refuse(false);
    co_await f.until([&] { return s.zk.is_connected(); }, "the server");
    ok(co_await s.zk.sync());
}

/// Sizes of the SetWatches frames that a client sent.
std::vector<std::size_t> set_watches_of(const std::string& sent)
{
    std::vector<std::size_t> sizes;
    std::string_view rest = sent;
    for (bool hello = true;; hello = false) {
        const auto frame = wire::next_frame(rest, 16U << 20U);
        if (frame.status != wire::frame_status::complete) {
            return sizes;
        }
        wire::reader in(frame.payload);
        wire::request_header header;
        if (!hello && wire::decode(in, header) && header.type == wire::op_code::set_watches) {
            sizes.push_back(frame.payload.size());
        }
        rest.remove_prefix(frame.consumed);
    }
}

}  // namespace

// --- what fires what

TEST_CASE("a creation fires the exist watch and the parent's child watch", "[watches][C85]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/p"));
        all_watches w;
        co_await arm(s.zk, "/p", "/p/a", w);
        CHECK_FALSE(w.data);
        CHECK_FALSE(w.child);
        ok(co_await f.observer().create("/p/a"));
        co_await fires(w.exists, event_type::created, "/p/a");
        co_await fires(w.parent_child, event_type::children_changed, "/p");
        ok(co_await s.zk.sync());
        CHECK(is_silent(*w.parent_data));
        CHECK(is_silent(*w.parent_exists));
    });
}

TEST_CASE("a change of data fires data and exist watches, and no child watch", "[watches][C85]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/p"));
        ok(co_await s.zk.create("/p/a"));
        all_watches w;
        co_await arm(s.zk, "/p", "/p/a", w);
        ok(co_await f.observer().set("/p/a", "new"));
        co_await fires(w.data, event_type::data_changed, "/p/a");
        co_await fires(w.exists, event_type::data_changed, "/p/a");
        ok(co_await s.zk.sync());
        CHECK(is_silent(*w.child));
        CHECK(is_silent(*w.parent_data));
        CHECK(is_silent(*w.parent_exists));
        CHECK(is_silent(*w.parent_child));
    });
}

TEST_CASE("a removal fires every watch of the znode and the parent's child watch",
          "[watches][C85][T32]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/p"));
        ok(co_await s.zk.create("/p/a"));
        all_watches w;
        co_await arm(s.zk, "/p", "/p/a", w);
        ok(co_await f.observer().remove("/p/a"));
        co_await fires(w.data, event_type::deleted, "/p/a");
        co_await fires(w.exists, event_type::deleted, "/p/a");
        co_await fires(w.child, event_type::deleted, "/p/a");
        co_await fires(w.parent_child, event_type::children_changed, "/p");
        ok(co_await s.zk.sync());
        CHECK(is_silent(*w.parent_data));
        CHECK(is_silent(*w.parent_exists));
    });
}

TEST_CASE("the end of a session fires like the removal of its ephemerals", "[watches]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const session owner = co_await f.open();
        ok(co_await s.zk.create("/p"));
        ok(co_await owner.zk.create("/p/a", "", create_mode::ephemeral));
        all_watches w;
        co_await arm(s.zk, "/p", "/p/a", w);
        ok(co_await owner.zk.close());
        co_await fires(w.data, event_type::deleted, "/p/a");
        co_await fires(w.exists, event_type::deleted, "/p/a");
        co_await fires(w.child, event_type::deleted, "/p/a");
        co_await fires(w.parent_child, event_type::children_changed, "/p");
    });
}

TEST_CASE("a change of our own fires our watches too", "[watches]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/p"));
        all_watches w;
        co_await arm(s.zk, "/p", "/p/a", w);
        ok(co_await s.zk.multi(op::create("/p/a"), op::set("/p", "x")));
        co_await fires(w.exists, event_type::created, "/p/a");
        co_await fires(w.parent_child, event_type::children_changed, "/p");
        co_await fires(w.parent_data, event_type::data_changed, "/p");
        co_await fires(w.parent_exists, event_type::data_changed, "/p");
    });
}

TEST_CASE("two quick changes fire a one-shot watch once", "[watches][S26][C91]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        for (int round = 0; round < 20; ++round) {
            auto w = co_await s.zk.get_and_watch("/a");
            ok(w);
            const auto before = w->stat.version;
            int heard = 0;
            w->watch.next()([&](result<event> e) { heard += e ? 1 : 100; });
            f.observer().set("/a", "1")([](result<stat>) {});
            ok(co_await f.observer().set("/a", "2"));
            const auto after = co_await s.zk.get("/a");
            ok(after);
            CHECK(after->stat.version == before + 2);
            ok(co_await s.zk.sync());
            CHECK(heard == 1);
            const auto more = co_await w->watch.next();
            CHECK(code_of(more) == errc::watch_ended);
        }
    });
}

TEST_CASE("get of a missing znode arms nothing, exists of it does", "[watches][C87][T30]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto data = co_await s.zk.get_and_watch("/missing");
        CHECK(code_of(data) == errc::no_node);
        const auto children = co_await s.zk.children_and_watch("/missing");
        CHECK(code_of(children) == errc::no_node);
        CHECK(watchers_of(f.servers(), 0, f.full("/missing")) == 0);
        auto exists = co_await s.zk.exists_and_watch("/missing");
        ok(exists);
        CHECK_FALSE(exists->stat);
        CHECK(watchers_of(f.servers(), 0, f.full("/missing")) == 1);
        ok(co_await f.observer().create("/missing"));
        const event made = co_await event_of(exists->watch);
        CHECK(made.type == event_type::created);
        CHECK(watchers_of(f.servers(), 0, f.full("/missing")) == 0);
    });
}

// --- ours and the server's

TEST_CASE("a hundred watchers of a path are one on the server, until the last is dropped",
          "[watches][S27]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        const std::string path = f.full("/a");
        const std::size_t others = watches_at(f.servers(), 0);
        std::vector<watched_data> all;
        for (int i = 0; i < 100; ++i) {
            auto w = co_await s.zk.get_and_watch("/a");
            ok(w);
            all.push_back(std::move(*w));
        }
        CHECK(watchers_of(f.servers(), 0, path) == 1);
        CHECK(watches_at(f.servers(), 0) == others + 1);
        ok(co_await f.observer().set("/a", "x"));
        for (const watched_data& each : all) {
            const event seen = co_await event_of(each.watch);
            CHECK(seen.type == event_type::data_changed);
        }
        CHECK(watchers_of(f.servers(), 0, path) == 0);

        all.clear();
        for (int i = 0; i < 100; ++i) {
            auto w = co_await s.zk.get_and_watch("/a");
            ok(w);
            all.push_back(std::move(*w));
        }
        all.resize(1);
        ok(co_await s.zk.sync());
        CHECK(watchers_of(f.servers(), 0, path) == 1);
        all.clear();
        ok(co_await s.zk.sync());  // behind the removal
        CHECK(watchers_of(f.servers(), 0, path) == 0);
        // And the path can be watched again.
        auto again = co_await s.zk.get_and_watch("/a");
        ok(again);
        ok(co_await f.observer().set("/a", "y"));
        (void)co_await event_of(again->watch);
    });
}

TEST_CASE("data and child watches of a path come and go apart", "[watches][S27][C88]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        const std::size_t others = watches_at(f.servers(), 0);
        auto data = co_await s.zk.get_and_watch("/a");
        ok(data);
        auto child = co_await s.zk.children_and_watch("/a");
        ok(child);
        CHECK(watches_at(f.servers(), 0) == others + 2);
        data->watch = watch();
        ok(co_await s.zk.sync());
        CHECK(watches_at(f.servers(), 0) == others + 1);
        CHECK(watchers_of(f.servers(), 0, f.full("/a")) == 0);
        ok(co_await f.observer().create("/a/b"));
        const event seen = co_await event_of(child->watch);
        CHECK(seen.type == event_type::children_changed);

        data = co_await s.zk.get_and_watch("/a");
        ok(data);
        child = co_await s.zk.children_and_watch("/a");
        ok(child);
        child->watch = watch();
        ok(co_await s.zk.sync());
        CHECK(watches_at(f.servers(), 0) == others + 1);
        CHECK(watchers_of(f.servers(), 0, f.full("/a")) == 1);
        ok(co_await f.observer().set("/a", "x"));
        (void)co_await event_of(data->watch);
    });
}

TEST_CASE("dropping the last watch does not take a new one with it", "[watches][C89][T35]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        for (int round = 0; round < 30; ++round) {
            std::optional<watched_data> first, second;
            s.zk.get_and_watch("/a")([&](result<watched_data> r) { first = std::move(*r); });
            co_await f.until([&] { return first.has_value(); }, "the first watch");
            s.zk.get_and_watch("/a")([&](result<watched_data> r) { second = std::move(*r); });
            first.reset();  // while the second is on its way
            co_await f.until([&] { return second.has_value(); }, "the second watch");
            ok(co_await s.zk.sync());
            ok(co_await f.observer().set("/a", "x"));
            const event seen = co_await event_of(second->watch);
            REQUIRE(seen.type == event_type::data_changed);
        }
    });
}

TEST_CASE("to stop waiting for a watch leaves it armed", "[watches]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        auto w = co_await s.zk.get_and_watch("/");
        ok(w);
        auto soon = w->watch.next().within(20ms);
        const auto nothing = co_await std::move(soon);
        CHECK(code_of(nothing) == errc::timed_out);
        CHECK(w->watch.is_armed());
        ok(co_await f.observer().set("/", "x"));
        const event seen = co_await event_of(w->watch);
        CHECK(seen.path == "/");
    });
}

// --- reconnecting

TEST_CASE("what changed while the client was away fires its watches when it is back",
          "[watches][C78][C79][T1][T31]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        all_watches created, deleted, changed, parent, untouched;
        const std::array<std::string, 5> paths{"/p", "/p/deleted", "/p/changed", "/q",
                                               "/q/untouched"};
        for (const std::string& path : paths) {
            ok(co_await s.zk.create(path));
        }
        co_await arm(s.zk, "/", "/p/created", created);
        co_await arm(s.zk, "/", "/p/deleted", deleted);
        co_await arm(s.zk, "/", "/p/changed", changed);
        co_await arm(s.zk, "/", "/p", parent);
        co_await arm(s.zk, "/q", "/q/untouched", untouched);

        cut(proxy);
        ok(co_await f.observer().create("/p/created"));
        ok(co_await f.observer().remove("/p/deleted"));
        ok(co_await f.observer().set("/p/changed", "x"));
        co_await heal(f, proxy, s);

        co_await fires(created.exists, event_type::created, "/p/created");
        co_await fires(deleted.data, event_type::deleted, "/p/deleted");
        co_await fires(deleted.exists, event_type::deleted, "/p/deleted");
        co_await fires(deleted.child, event_type::deleted, "/p/deleted");
        co_await fires(changed.data, event_type::data_changed, "/p/changed");
        co_await fires(changed.exists, event_type::data_changed, "/p/changed");
        co_await fires(parent.child, event_type::children_changed, "/p");
        CHECK(is_silent(*changed.child));
        CHECK(is_silent(*parent.data));
        CHECK(is_silent(*parent.parent_child));
        CHECK(is_silent(*untouched.data));
        // A znode that was there when it was looked for was not created meanwhile.
        CHECK(is_silent(*untouched.exists));
        CHECK(is_silent(*untouched.parent_child));

        // What did not fire is armed on the new connection, and fires once.
        ok(co_await f.observer().remove("/q/untouched"));
        co_await fires(untouched.data, event_type::deleted, "/q/untouched");
        co_await fires(untouched.exists, event_type::deleted, "/q/untouched");
        co_await fires(untouched.child, event_type::deleted, "/q/untouched");
        co_await fires(untouched.parent_child, event_type::children_changed, "/q");
    });
}

TEST_CASE("a cut is seen as disconnected, then connected, and every watch still fires once",
          "[watches][S28]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        std::vector<watched_data> all;
        int heard = 0;
        for (int i = 0; i < 20; ++i) {
            const std::string path = "/" + std::to_string(i);
            ok(co_await s.zk.create(path));
            auto w = co_await s.zk.get_and_watch(path);
            ok(w);
            w->watch.next()([&](result<event> e) { heard += e ? 1 : 100; });
            all.push_back(std::move(*w));
        }
        state_stream states = s.zk.states();
        for (int round = 1; round <= 3; ++round) {
            cut(proxy);
            co_await heal(f, proxy, s);
            CHECK(heard == 0);
        }
        std::vector<session_state> seen;
        while (std::count(seen.begin(), seen.end(), session_state::connected) < 4) {
            auto next = states.next().within(10s);
            const auto change = co_await std::move(next);
            ok(change);
            if (change->state == session_state::connected ||
                (change->state == session_state::disconnected &&
                 seen.back() == session_state::connected)) {
                seen.push_back(change->state);
            }
        }
        for (std::size_t i = 0; i < seen.size(); ++i) {
            CHECK(seen[i] == (i % 2 == 0 ? session_state::connected : session_state::disconnected));
        }
        for (int i = 0; i < 20; ++i) {
            ok(co_await f.observer().set("/" + std::to_string(i), "x"));
        }
        ok(co_await s.zk.sync());
        CHECK(heard == 20);
    });
}

TEST_CASE("thousands of watches with long paths are registered again in chunks",
          "[watches][C80][T3][T4]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        constexpr std::size_t count = 6000;
        const session s = co_await f.open(f.settings(proxy.port()));
        const std::string prefix = "/" + std::string(200, 'x');
        const std::size_t others = watches_at(f.servers(), 0);
        std::vector<watch> all(count);
        std::size_t armed = 0;
        for (std::size_t i = 0; i < count; ++i) {
            s.zk.exists_and_watch(prefix + std::to_string(i))([&, i](result<watched_existence> r) {
                armed += r ? 1 : 0;
                all[i] = std::move(r->watch);
            });
        }
        co_await f.until([&] { return armed == count; }, "all watches");
        CHECK(watches_at(f.servers(), 0) == others + count);

        const std::size_t before = proxy.connections();
        cut(proxy);
        co_await heal(f, proxy, s);
        CHECK(proxy.connections() == before + 1);
        CHECK(watches_at(f.servers(), 0) == others + count);
        const auto chunks = set_watches_of(proxy.captured(direction::to_server, before));
        CHECK(chunks.size() >= count * prefix.size() / (128 * 1024));
        CHECK(chunks.size() <= 2 * (count * prefix.size() / (128 * 1024)));
        CHECK(std::all_of(chunks.begin(), chunks.end(), [](auto n) { return n < 140 * 1024; }));

        for (std::size_t i = 0; i < count; i += 599) {
            ok(co_await f.observer().create(prefix + std::to_string(i)));
            const event made = co_await event_of(all[i]);
            CHECK(made.type == event_type::created);
        }
    });
}

// --- ending

TEST_CASE("a watch ends with its session, and says how", "[watches][C92]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session closes = co_await f.open();
        const session drops = co_await f.open();
        auto first = co_await closes.zk.get_and_watch("/");
        ok(first);
        auto second = co_await drops.zk.get_and_watch("/");
        ok(second);
        std::vector<errc> heard;
        first->watch.next()([&](result<event> e) { heard.push_back(code_of(e)); });
        second->watch.next()([&](result<event> e) { heard.push_back(code_of(e)); });
        ok(co_await closes.zk.close());
        drops.drop();
        (void)co_await drops.ended();
        CHECK(heard == std::vector{errc::closed, errc::session_dropped});
        CHECK_FALSE(first->watch.is_armed());
        REQUIRE(second->watch.end());
        CHECK(second->watch.end()->code() == errc::session_dropped);
        const auto later = co_await first->watch.next();
        CHECK(code_of(later) == errc::closed);
    });
}

}  // namespace coati::test
