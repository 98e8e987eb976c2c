// A byte proxy between the client and a real server: connections that break at every byte, fall
// silent, or bring everything in crumbs. The server's tree is the judge of what the client says.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <random>

namespace coati::test {

namespace {

constexpr std::size_t hello_size = 49;    // ConnectRequest, its length included
constexpr std::size_t welcome_size = 41;  // ConnectResponse

/// A create that may happen twice only as two children: a sequential one, below its own parent.
struct witness {
    std::string parent;
    result<created> told;
};

/// The judge: how many there are must not contradict what the client was told.
task<> judge(client observer, const witness& w)
{
    const auto children = co_await observer.children(w.parent);
    ok(children);
    const std::size_t made = children->names.size();
    INFO(w.parent << ": " << made << " made, " << (w.told ? "told so" : w.told.error().message()));
    if (w.told) {
        CHECK(made == 1);
        CHECK(w.told->path == w.parent + "/n-0000000000");
    } else {
        CHECK(w.told.error().code() == errc::connection_loss);
        CHECK(w.told.error().fate() == fate::maybe_applied);
        CHECK(made <= 1);
    }
}

/// One session whose first connection breaks after so many bytes.
task<> break_after(fixture& f, byte_proxy& proxy, direction d, std::size_t bytes,
                   std::string parent, std::array<int, 3>& seen)
{
    ok(co_await f.observer().create(parent));
    proxy.cut_after(d, bytes);
    config c = f.settings(proxy.port());
    c.reconnect_spread = 0ms;
    const session s = f.start(c);
    witness w{parent, result<created>()};
    auto create = s.zk.create(parent + "/n-", "data", create_mode::persistent_sequential);
    w.told = co_await std::move(create);
    // It heals: the session goes on over another connection.
    ok(co_await s.zk.sync());
    ok(co_await f.observer().sync());
    co_await judge(f.observer(), w);
    const auto made = co_await f.observer().exists(parent);
    ok(made);
    ++seen.at(w.told ? 2 : (*made)->num_children == 1 ? 1 : 0);
    ok(co_await s.zk.close());
}

/// Every count of bytes from the end of the handshake to `frame` bytes behind it, eight at a time.
task<> break_everywhere(fixture& f, direction d, std::size_t handshake, std::size_t frame,
                        std::array<int, 3>& seen)
{
    constexpr std::size_t at_once = 8;
    const auto some = [](fixture& fix, direction dir, std::size_t from, std::size_t first,
                         std::size_t last, std::array<int, 3>& count) -> task<> {
        byte_proxy proxy(fix.servers().client_port(0));
        for (std::size_t k = first; k <= last; k += at_once) {
            co_await break_after(fix, proxy, dir, from + k, "/" + std::to_string(k), count);
        }
    };
    for (std::size_t i = 0; i < at_once; ++i) {
        f.spawn(some(f, d, handshake, i, frame, seen));
    }
    co_await f.joined();
}

/// The ConnectRequest at the beginning of what a client sent; refers to that.
wire::connect_request hello_in(std::string_view sent)
{
    const auto frame = wire::next_frame(sent, 1024);
    REQUIRE(frame.status == wire::frame_status::complete);
    wire::reader in(frame.payload);
    wire::connect_request hello;
    REQUIRE(wire::decode(in, hello));
    return hello;
}

/// The session has come through: same id, and it works.
task<> goes_on(fixture& f, const session& s, std::int64_t id)
{
    co_await f.until([&] { return s.zk.is_connected(); }, "the server");
    ok(co_await s.zk.set("/", "x"));
    CHECK(s.zk.session().id == id);
    CHECK_FALSE(s.is_over());
}

}  // namespace

// --- breaking

TEST_CASE("a request that breaks off at any byte is never executed twice nor told wrong",
          "[proxy][M1][C51]")
{
    fixture f;
    f.run([&]() -> task<> {
        // "/100/n-" under the chroot, "data", one ACL entry: a frame of about 85 bytes.
        std::array<int, 3> seen{};
        co_await break_everywhere(f, direction::to_server, hello_size, 90, seen);
        // Broken off: not executed, and the client cannot know. Whole: executed, or told.
        CHECK(seen[0] > 50);
        CHECK(seen[2] > 0);
    });
}

TEST_CASE("a reply that breaks off at any byte leaves the fate open, a whole one closes it",
          "[proxy][M1][C51]")
{
    fixture f;
    f.run([&]() -> task<> {
        // Length, header, length, path under the chroot.
        std::array<int, 3> seen{};
        co_await break_everywhere(f, direction::to_client, welcome_size, 48, seen);
        // Some breaks come before the request: then it is sent on the next connection.
        CHECK(seen[1] > 20);
        CHECK(seen[2] > 0);
        CHECK(seen[0] <= 2);
    });
}

TEST_CASE("a session outlives breaks at random bytes in both directions", "[proxy][M1]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        std::minstd_rand random(20260);
        config c = f.settings(proxy.port());
        c.reconnect_spread = 0ms;
        c.session_timeout = 3s;  // the pace of reconnecting goes with it
        const session s = co_await f.open(c);
        const std::int64_t id = s.zk.session().id;
        ok(co_await s.zk.create("/e", "", create_mode::ephemeral));
        std::vector<witness> all;
        int number = 0;
        for (int round = 0; round < 25; ++round) {
            const direction d = round % 2 == 0 ? direction::to_server : direction::to_client;
            proxy.cut_after(d, 60 + random() % 2000);
            proxy.cut();
            std::vector<witness> now(20);
            std::size_t told = 0;
            for (witness& w : now) {
                w.parent = "/" + std::to_string(number++);
                f.observer().create(w.parent)([](result<created>) {});
            }
            ok(co_await f.observer().sync());
            for (witness& w : now) {
                auto create = s.zk.create(w.parent + "/n-", "", create_mode::persistent_sequential);
                std::move(create)([&](result<created> r) {
                    w.told = std::move(r);
                    ++told;
                });
            }
            co_await f.until([&] { return told == now.size(); }, "twenty answers");
            std::move(now.begin(), now.end(), std::back_inserter(all));
        }
        proxy.cut_after(direction::to_server, 1U << 30U);
        proxy.cut_after(direction::to_client, 1U << 30U);
        ok(co_await s.zk.sync());
        for (const witness& w : all) {
            co_await judge(f.observer(), w);
        }
        co_await goes_on(f, s, id);
        CHECK(ephemerals_of(f.servers(), 0, id).size() == 1);
    });
}

TEST_CASE("a half-closed and a reset connection are left, and the session goes on", "[proxy][C35]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        const std::int64_t id = s.zk.session().id;
        for (int way = 0; way < 3; ++way) {
            const std::size_t before = proxy.connections();
            // In the middle of a write whose answer is held back.
            proxy.stall(direction::to_client);
            std::optional<result<stat>> told;
            s.zk.set("/", "x")([&](result<stat> r) { told = std::move(r); });
            const auto sent = proxy.bytes(direction::to_server);
            co_await f.until([&] { return proxy.bytes(direction::to_server) > sent; }, "a request");
            switch (way) {
            case 0: proxy.half_close(direction::to_client); break;
            case 1: proxy.half_close(direction::to_server); break;
            default: proxy.reset(); break;
            }
            if (way == 1) {
                proxy.unstall(direction::to_client);  // the server hangs up, and that must pass
            }
            co_await f.until([&] { return told.has_value(); }, "the loss");
            proxy.unstall(direction::to_client);
            if (way != 1) {
                REQUIRE_FALSE(*told);
                CHECK(told->error().code() == errc::connection_loss);
                CHECK(told->error().fate() == fate::maybe_applied);
                CHECK(told->error().cause() == (way == 0
                                                    ? boost::system::error_code(asio::error::eof)
                                                    : asio::error::connection_reset));
            }
            co_await f.until([&] { return proxy.connections() > before; }, "another connection");
            co_await goes_on(f, s, id);
            CHECK(proxy.connections() == before + 1);
        }
    });
}

TEST_CASE("servers that refuse or hang up for a while do not end the session", "[proxy][C23]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        const std::int64_t id = s.zk.session().id;
        proxy.refuse(true);
        proxy.cut();
        co_await f.until([&] { return s.zk.last_attempts().size() == 1; }, "an attempt");
        proxy.refuse(false);
        co_await goes_on(f, s, id);

        proxy.accept_then_close(true);
        proxy.cut();
        const std::size_t before = proxy.connections();
        co_await f.until([&] { return proxy.connections() >= before + 3; }, "three attempts");
        co_await f.sleep(500ms);
        CHECK(proxy.connections() - before < 40);
        proxy.accept_then_close(false);
        co_await goes_on(f, s, id);
    });
}

TEST_CASE("every reconnect shows the session's id and password, and the last zxid seen",
          "[proxy][S39][T9]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        const auto made = co_await s.zk.create("/a");
        ok(made);
        const session_credentials mine = s.zk.credentials();
        CHECK(mine.last_zxid == made->zxid);
        proxy.cut();
        co_await f.until([&] { return proxy.connections() == 2; }, "another connection");
        co_await goes_on(f, s, mine.id);
        const std::string said = proxy.captured(direction::to_server, 0);
        const wire::connect_request first = hello_in(said);
        CHECK(first.session_id == 0);
        CHECK(first.last_zxid_seen == 0);
        const std::string sent = proxy.captured(direction::to_server, 1);
        const wire::connect_request second = hello_in(sent);
        CHECK(second.session_id == mine.id);
        CHECK(second.password == mine.password);
        CHECK(second.last_zxid_seen == mine.last_zxid);
        CHECK(second.timeout_ms == first.timeout_ms);
    });
}

// --- silence and crumbs

TEST_CASE("a silent connection is left after two thirds of the session timeout", "[proxy][S5]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        config c = f.settings(proxy.port());
        c.session_timeout = 3s;
        const session s = co_await f.open(c);
        const std::int64_t id = s.zk.session().id;
        ok(co_await s.zk.create("/e", "", create_mode::ephemeral));
        std::optional<result<get_result>> read;
        const auto begun = std::chrono::steady_clock::now();
        proxy.stall(direction::to_client);
        s.zk.get("/e")([&](result<get_result> r) { read = std::move(r); });
        co_await f.until([&] { return !s.zk.is_connected(); }, "that the silence is noticed");
        const auto took = std::chrono::steady_clock::now() - begun;
        CHECK(took >= 900ms);  // at most one ping, T/3, older than the stall
        CHECK(took < 5s);
        proxy.unstall(direction::to_client);
        co_await f.until([&] { return read.has_value(); }, "the read, on another connection");
        CHECK(read->has_value());
        co_await goes_on(f, s, id);
        CHECK(ephemerals_of(f.servers(), 0, id).size() == 1);
    });
}

TEST_CASE("replies and events that come byte by byte are the same", "[proxy][C30]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        proxy.split(1, 20us);
        const session s = co_await f.open(f.settings(proxy.port()));
        const std::string data(3000, 'd');
        ok(co_await s.zk.create("/a", data));
        auto watched = co_await s.zk.get_and_watch("/a");
        ok(watched);
        CHECK(watched->data == data);
        std::vector<int> order;
        for (int i = 0; i < 20; ++i) {
            s.zk.create("/a/" + std::to_string(i))([&, i](result<created> r) {
                REQUIRE(r);
                order.push_back(i);
            });
        }
        ok(co_await f.observer().set("/a", "short"));
        const event seen = co_await event_of(watched->watch);
        CHECK(seen.type == event_type::data_changed);
        ok(co_await s.zk.sync());
        CHECK(order.size() == 20);
        CHECK(std::is_sorted(order.begin(), order.end()));
        const auto children = co_await s.zk.children("/a");
        ok(children);
        CHECK(children->names.size() == 20);
        const auto failed = co_await s.zk.multi(op::create("/b"), op::check("/missing"));
        CHECK(code_of(failed) == errc::no_node);
        CHECK(failed.error().op_index() == 1);
        CHECK(proxy.connections() == 1);
        proxy.split(0);
    });
}

TEST_CASE("a long way to the server costs pipelined requests one delay, not one each", "[proxy]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        proxy.delay(direction::to_client, 150ms);
        const session s = co_await f.open(f.settings(proxy.port()));
        const auto begun = std::chrono::steady_clock::now();
        int done = 0;
        for (int i = 0; i < 100; ++i) {
            s.zk.exists("/")([&](result<std::optional<stat>> r) { done += r ? 1 : 0; });
        }
        co_await f.until([&] { return done == 100; }, "a hundred replies");
        CHECK(std::chrono::steady_clock::now() - begun < 5s);  // one after the other: 15 s
        CHECK(proxy.connections() == 1);
    });
}

// --- late

TEST_CASE("what reaches the old server after a move does the session no harm", "[proxy][S43]")
{
    ensemble& servers = shared_three();
    const int old_server = *servers.leader();
    const int next_server = (old_server + 1) % 3;
    fixture f(servers);
    byte_proxy old_way(servers.client_port(old_server));
    byte_proxy next_way(servers.client_port(next_server));
    f.run([&]() -> task<> {
        config c = f.settings(old_way.port());
        c.servers.push_back({"127.0.0.1", next_way.port()});
        c.server_policy = coati::server_policy::in_order();
        c.reconnect_spread = 0ms;
        const session s = co_await f.open(c);
        ok(co_await s.zk.create("/a", "before"));
        ok(co_await s.zk.create("/mine", "", create_mode::ephemeral));
        const auto id = s.zk.session().id;
        REQUIRE(next_way.connections() == 0);

        // The write is on its way to the old server when that falls silent; the session moves.
        old_way.stall(direction::to_server);
        auto late = s.zk.set("/a", "late");
        const auto told = co_await std::move(late);
        CHECK(code_of(told) == errc::connection_loss);
        CHECK(told.error().fate() == fate::maybe_applied);
        ok(co_await s.zk.set("/a", "after"));
        CHECK(next_way.connections() == 1);
        CHECK(s.zk.session().id == id);

        const auto passed = old_way.bytes(direction::to_server);
        old_way.unstall(direction::to_server);
        co_await f.until([&] { return old_way.bytes(direction::to_server) > passed; }, "the rest");
        co_await f.until([&] { return old_way.open_connections() == 0; }, "the old server");
        // Refused there: the session has another connection.
        ok(co_await s.zk.sync("/a"));
        const auto got = co_await s.zk.get("/a");
        ok(got);
        CHECK(got->data == "after");
        CHECK(got->stat.version == 1);
        CHECK(s.zk.session().id == id);
        CHECK(next_way.connections() == 1);
        const auto mine = co_await f.observer().exists("/mine");
        ok(mine);
        CHECK(mine->has_value());
        CHECK_FALSE(s.is_over());
    });
}

}  // namespace coati::test
