// Streams of persistent watches against real servers: both modes, what the servers hold for them,
// one-shot watches beside them on servers that keep one mode a path (ZOOKEEPER-4466), and the way
// through a server that is killed.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/follow.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace coati::test {

namespace {

/// Reads a stream as fast as it goes, in words.
class reader {
public:
    explicit reader(watch_stream s) : stream(std::move(s)) { ask(); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;

    std::vector<std::string> taken() { return std::exchange(seen, {}); }

    std::vector<std::string> seen;
    std::vector<stream_event> events;

private:
    void ask()
    {
        stream.next()([this](result<stream_event> r) {
            if (!r) {
                return;
            }
            seen.push_back(std::string(name(r->type)) + " " + r->path);
            events.push_back(std::move(*r));
            ask();
        });
    }

public:
    watch_stream stream;  // last: its destructor completes the wait
};

using texts = std::vector<std::string>;

task<std::unique_ptr<reader>> open_stream(client zk, std::string path, watch_mode mode)
{
    auto made = co_await zk.watch(path, mode);
    ok(made);
    co_return std::make_unique<reader>(std::move(*made));
}

/// What an observer did has been heard of once the session has seen what came after it.
task<> settle(fixture& f, client zk)
{
    ok(co_await f.observer().sync());
    ok(co_await zk.sync());
    ok(co_await zk.sync());
}

/// Changes of every kind below and at a path that exists, and what each mode hears of them.
task<> play(fixture& f, std::string at)
{
    ok(co_await f.observer().set(at, "1"));
    ok(co_await f.observer().create(at + "/x"));
    ok(co_await f.observer().create(at + "/x/y"));
    ok(co_await f.observer().set(at + "/x/y", "2"));
    ok(co_await f.observer().remove(at + "/x/y"));
    ok(co_await f.observer().remove(at + "/x"));
}

texts heard_by_persistent(const std::string& at)
{
    return {"data_changed " + at, "children_changed " + at, "children_changed " + at};
}

texts heard_by_recursive(const std::string& at)
{
    return {"data_changed " + at,          "created " + at + "/x",   "created " + at + "/x/y",
            "data_changed " + at + "/x/y", "deleted " + at + "/x/y", "deleted " + at + "/x"};
}

}  // namespace

// --- events

TEST_CASE("streams of both modes deliver every change, under a chroot and at the root",
          "[streams][T36]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        auto plain_settings = f.settings();
        plain_settings.chroot.clear();
        const session bare = co_await f.open(plain_settings);
        ok(co_await s.zk.create("/p"));
        const auto plain = co_await open_stream(s.zk, "/p", watch_mode::persistent);
        const auto deep = co_await open_stream(s.zk, "/p", watch_mode::recursive);
        const auto mine = co_await open_stream(s.zk, "/", watch_mode::recursive);
        const auto under = co_await open_stream(s.zk.chroot("/p"), "/", watch_mode::recursive);
        const auto root = co_await open_stream(bare.zk, "/", watch_mode::recursive);
        const auto root_itself = co_await open_stream(bare.zk, "/", watch_mode::persistent);
        ok(co_await f.observer().create("/pp"));
        co_await play(f, "/p");
        ok(co_await f.observer().remove("/p"));
        ok(co_await f.observer().create("/p"));
        co_await settle(f, s.zk);
        co_await settle(f, bare.zk);

        texts expected = heard_by_persistent("/p");
        expected.insert(expected.end(), {"deleted /p", "created /p"});
        CHECK(plain->seen == expected);
        expected = heard_by_recursive("/p");
        expected.insert(expected.end(), {"deleted /p", "created /p"});
        CHECK(deep->seen == expected);
        expected.insert(expected.begin(), "created /pp");
        CHECK(mine->seen == expected);
        for (auto& each : expected) {
            const auto space = each.find(' ') + 1;
            each.insert(space, f.full());
        }
        CHECK(root->seen == expected);
        CHECK(root_itself->seen.empty());
        expected = heard_by_recursive("");
        expected.front() = "data_changed /";
        expected.insert(expected.end(), {"deleted /", "created /"});
        CHECK(under->seen == expected);
        CHECK(s.zk.live_watches().size() == 3);  // "/p" twice, and "/"
        CHECK(s.zk.chroot("/p").live_watches().size() == 2);
    });
}

TEST_CASE("a path that the server would take and never fire is refused here", "[streams][T57]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto made = co_await s.zk.watch("/a/", watch_mode::recursive);
        CHECK(code_of(made) == errc::invalid_path);
        CHECK(s.zk.live_watches().empty());
    });
}

// --- ours and the server's

TEST_CASE("many streams of a path are one watch on the server, until the last is dropped",
          "[streams][S27][T35]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        const std::string path = f.full("/a");
        for (const auto mode : {watch_mode::persistent, watch_mode::recursive}) {
            const std::size_t others = watches_at(f.servers(), 0);
            std::vector<std::unique_ptr<reader>> all;
            for (int i = 0; i < 20; ++i) {
                all.push_back(co_await open_stream(s.zk, "/a", mode));
            }
            CHECK(watchers_of(f.servers(), 0, path) == 1);
            CHECK(watches_at(f.servers(), 0) == others + 2);  // one in each of its two tables
            all.resize(1);
            ok(co_await s.zk.sync());
            CHECK(watchers_of(f.servers(), 0, path) == 1);
            ok(co_await f.observer().set("/a", "x"));
            co_await settle(f, s.zk);
            CHECK(all.front()->seen == texts{"data_changed /a"});
            all.clear();
            ok(co_await s.zk.sync());  // behind the removal
            CHECK(watchers_of(f.servers(), 0, path) == 0);
            CHECK(watches_at(f.servers(), 0) == others);
        }
    });
}

TEST_CASE("a one-shot watch outlives the stream beside it, and then the server has none",
          "[streams][T35]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        const std::size_t others = watches_at(f.servers(), 0);
        for (const auto mode : {watch_mode::persistent, watch_mode::recursive}) {
            auto stream = co_await open_stream(s.zk, "/a", mode);
            auto data = co_await s.zk.get_and_watch("/a");
            ok(data);
            auto child = co_await s.zk.children_and_watch("/a");
            ok(child);
            stream.reset();
            ok(co_await s.zk.sync());
            ok(co_await f.observer().set("/a", "x"));
            const event changed = co_await event_of(data->watch);
            CHECK(changed.type == event_type::data_changed);
            ok(co_await f.observer().create("/a/x"));
            const event grown = co_await event_of(child->watch);
            CHECK(grown.type == event_type::children_changed);
            ok(co_await f.observer().remove("/a/x"));
            ok(co_await s.zk.sync());
            ok(co_await s.zk.sync());
            CHECK(watches_at(f.servers(), 0) == others);
        }
    });
}

// --- one mode a path -----------------------------------------------------------------------------

TEST_CASE("a stream outlives one-shot watches of every kind on its path", "[streams][T34]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        for (const auto mode : {watch_mode::persistent, watch_mode::recursive}) {
            const auto stream = co_await open_stream(s.zk, "/a", mode);
            for (int round = 0; round < 3; ++round) {
                const auto data = co_await s.zk.get_and_watch("/a");
                ok(data);
                const auto exist = co_await s.zk.exists_and_watch("/a");
                ok(exist);
                const auto child = co_await s.zk.children_and_watch("/a");
                ok(child);
                co_await play(f, "/a");
                co_await settle(f, s.zk);
                const texts expected = mode == watch_mode::persistent ? heard_by_persistent("/a")
                                                                      : heard_by_recursive("/a");
                CHECK(stream->taken() == expected);
                CHECK_FALSE(data->watch.is_armed());
                CHECK_FALSE(exist->watch.is_armed());
                CHECK_FALSE(child->watch.is_armed());
            }
        }
    });
}

TEST_CASE("both modes on one path, in either order, each hear all that is theirs", "[streams][T34]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        ok(co_await s.zk.create("/b"));
        for (const std::string at : {"/a", "/b"}) {
            const bool swapped = at == "/b";
            auto first = co_await open_stream(
                s.zk, at, swapped ? watch_mode::recursive : watch_mode::persistent);
            auto second = co_await open_stream(
                s.zk, at, swapped ? watch_mode::persistent : watch_mode::recursive);
            reader& plain = swapped ? *second : *first;
            reader& deep = swapped ? *first : *second;
            co_await play(f, at);
            co_await settle(f, s.zk);
            CHECK(plain.taken() == heard_by_persistent(at));
            CHECK(deep.taken() == heard_by_recursive(at));
            // With a child watch, which the servers put in the place of half of theirs.
            const auto child = co_await s.zk.children_and_watch(at);
            ok(child);
            co_await play(f, at);
            co_await settle(f, s.zk);
            CHECK(plain.taken() == heard_by_persistent(at));
            CHECK(deep.taken() == heard_by_recursive(at));
            CHECK_FALSE(child->watch.is_armed());
            (swapped ? first : second).reset();
            co_await play(f, at);
            co_await settle(f, s.zk);
            CHECK(plain.taken() == heard_by_persistent(at));
        }
    });
}

TEST_CASE("a read that crosses the setting of a stream does not end it unnoticed", "[streams][T34]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        int gaps = 0;
        for (int round = 0; round < 20; ++round) {
            const std::string path = "/a" + std::to_string(round);
            ok(co_await s.zk.create(path));
            std::optional<watch_stream> made;
            std::optional<watched_data> read;
            const auto mode = round % 2 == 0 ? watch_mode::persistent : watch_mode::recursive;
            s.zk.watch(path, mode)([&](result<watch_stream> r) { made = std::move(*r); });
            s.zk.get_and_watch(path)([&](result<watched_data> r) { read = std::move(*r); });
            co_await f.until([&] { return made && read; }, "both replies");
            const reader stream(std::move(*made));
            co_await settle(f, s.zk);
            gaps += static_cast<int>(stream.seen.size());
            for (int i = 0; i < 3; ++i) {
                ok(co_await f.observer().set(path, "x"));
            }
            co_await settle(f, s.zk);
            const auto changes =
                std::count(stream.seen.begin(), stream.seen.end(), "data_changed " + path);
            REQUIRE(changes == 3);
            REQUIRE_FALSE(read->watch.is_armed());
        }
        CHECK(gaps == 20);
    });
}

// --- reconnecting

TEST_CASE("streams come through the death of their server: a gap, then live events",
          "[streams][T1][T5][T6][S16]")
{
    fixture f(shared_three());
    healed servers(f.servers());
    f.run([&]() -> task<> {
        config c = f.settings();
        c.session_timeout = 8s;
        const session s = co_await f.open(c);
        ok(co_await s.zk.create("/p"));
        const auto plain = co_await open_stream(s.zk, "/p", watch_mode::persistent);
        const auto deep = co_await open_stream(s.zk, "/p", watch_mode::recursive);
        const auto other = co_await open_stream(s.zk, "/q", watch_mode::recursive);
        const auto once = co_await s.zk.exists_and_watch("/q");
        ok(once);
        co_await play(f, "/p");
        co_await settle(f, s.zk);
        CHECK(plain->taken() == heard_by_persistent("/p"));
        CHECK(deep->taken() == heard_by_recursive("/p"));

        const int first = f.servers().server_at_port(s.zk.session().server.port);
        f.servers().kill(first);
        // It may be with another server before anybody has seen it without one.
        const auto present = [&] { return f.servers().server_at_port(s.zk.session().server.port); };
        co_await f.until([&] { return s.zk.is_connected() && present() != first; },
                         "another server");
        ok(co_await s.zk.sync());
        const int second = present();
        CHECK(second != first);
        CHECK(watchers_of(f.servers(), second, f.full("/p")) == 1);
        co_await f.until([&] { return f.observer().is_connected(); }, "the observer");
        co_await play(f, "/p");
        ok(co_await f.observer().create("/q"));
        co_await settle(f, s.zk);

        texts expected = heard_by_persistent("/p");
        expected.insert(expected.begin(), "gap /p");
        CHECK(plain->taken() == expected);
        CHECK(plain->events[3].reason == gap_reason::reconnected);
        expected = heard_by_recursive("/p");
        expected.insert(expected.begin(), "gap /p");
        CHECK(deep->taken() == expected);
        CHECK(other->taken() == texts{"gap /q", "created /q"});
        CHECK_FALSE(once->watch.is_armed());
    });
    servers.now();
}

// --- values

TEST_CASE("a followed value ends in the newest, with the versions between visibly skipped",
          "[streams][S26]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        const value_stream value = follow(s.zk, "/a");
        const auto missing = co_await value.next();
        ok(missing);
        CHECK_FALSE(missing->exists());
        ok(co_await f.observer().create("/a", "0"));
        const auto first = co_await value.next();
        ok(first);
        CHECK(first->data == "0");
        for (int i = 1; i < 20; ++i) {
            f.observer().set("/a", std::to_string(i))([](result<stat>) {});
        }
        ok(co_await f.observer().set("/a", "20"));
        int given = 0;
        std::int32_t version = 0;
        for (std::string last; last != "20"; ++given) {
            const auto next = co_await value.next();
            ok(next);
            REQUIRE(next->exists());
            REQUIRE(next->stat->version > version);
            version = next->stat->version;
            last = next->data;
        }
        CHECK(version == 20);
        CHECK(given <= 20);
        // What happens while the client is away is seen when it is back.
        proxy.refuse(true);
        proxy.cut();
        co_await f.until([&] { return !s.zk.is_connected(); }, "the loss");
        ok(co_await f.observer().set("/a", "between"));
        ok(co_await f.observer().set("/a", "away"));
        proxy.refuse(false);
        const auto later = co_await value.next();
        ok(later);
        CHECK(later->data == "away");
        CHECK(later->stat->version == 22);
    });
}

}  // namespace coati::test
