// The life of a session on a real server: negotiated, attached to, closed, dropped, killed,
// expired. And servers that are none.

#include "support.hpp"

#include "support/byte_proxy.hpp"
#include "support/process.hpp"

#include <coati/testing/expire_session.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

namespace coati::test {

namespace {

/// Whether a znode is there, as the observer sees it.
task<bool> is_there(client observer, std::string path)
{
    const auto seen = co_await observer.exists(path);
    ok(seen);
    co_return seen->has_value();
}

const char child_port[] = "COATI_TEST_CHILD_PORT";
const char child_chroot[] = "COATI_TEST_CHILD_CHROOT";

}  // namespace

// --- beginning

TEST_CASE("the session timeout is the server's, within its limits", "[session][S3][C24]")
{
    fixture f;
    f.run([&]() -> task<> {
        config short_one = f.settings();
        short_one.session_timeout = 1ms;
        const session shortest = co_await f.open(short_one);
        CHECK(shortest.zk.negotiated_timeout() == 1s);  // 2 ticks of 500 ms
        config long_one = f.settings();
        long_one.session_timeout = 1h;
        const session longest = co_await f.open(long_one);
        CHECK(longest.zk.negotiated_timeout() == 10s);  // 20 ticks
        const session middle = co_await f.open();
        CHECK(middle.zk.negotiated_timeout() == 4s);
        // The shortest session lives: its pings follow what was granted, not what was asked for.
        const std::int64_t id = shortest.zk.session().id;
        co_await f.sleep(2500ms);
        CHECK(shortest.zk.is_connected());
        CHECK(shortest.zk.session().id == id);
        CHECK_FALSE(shortest.is_over());
    });
}

TEST_CASE("the lease of a session is known, and runs out behind a wire that stands still",
          "[session]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        REQUIRE(s.zk.proved_until());
        CHECK(*s.zk.proved_until() > s.zk.now());
        CHECK(*s.zk.proved_until() <= s.zk.now() + s.zk.negotiated_timeout());
        auto early = s.zk.within(100ms, s.zk.lease_runs_out(0ms));
        const auto not_yet = co_await std::move(early);
        CHECK(not_yet.error() == errc::timed_out);
        proxy.stall(direction::to_client);
        const auto end = *s.zk.proved_until();
        ok(co_await s.zk.lease_runs_out(500ms));
        CHECK(s.zk.now() >= end - 500ms);
        CHECK(s.zk.now() < end);
        proxy.unstall(direction::to_client);
    });
}

TEST_CASE("the states of a plain session are told once each and in order", "[session][C15]")
{
    fixture f;
    f.run([&]() -> task<> {
        session s(f.make(f.settings()));
        state_stream states = s.zk.states();
        s.run();
        auto first = s.zk.connected().within(30s);
        ok(co_await std::move(first));
        ok(co_await s.zk.close());
        const auto end = co_await s.ended();
        CHECK(end);
        std::vector<session_state> seen;
        do {
            auto next = states.next().within(10s);
            const auto change = co_await std::move(next);
            ok(change);
            seen.push_back(change->state);
        } while (!is_terminal(seen.back()));
        using enum session_state;
        CHECK(seen == std::vector{disconnected, connecting, associating, connected, closed});
    });
}

TEST_CASE("requests made before the handshake go out in their order, or fail at once if asked to",
          "[session][S35]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        proxy.stall(direction::to_client);
        const session s = f.start(f.settings(proxy.port()));
        std::vector<std::string> made;
        for (int i = 0; i < 100; ++i) {
            s.zk.create("/n-", "", create_mode::persistent_sequential)(
                [&](result<created> r) { made.push_back(r ? r->path : "failed"); });
        }
        options strict;
        strict.fail_fast = true;
        const auto refused = co_await s.zk.with(strict).create("/refused");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == errc::connection_loss);
        CHECK(refused.error().fate() == fate::not_sent);
        CHECK(made.empty());
        proxy.unstall(direction::to_client);
        co_await f.until([&] { return made.size() == 100; }, "a hundred requests");
        CHECK(made.front() == "/n-0000000000");
        CHECK(made.back() == "/n-0000000099");
        CHECK(std::is_sorted(made.begin(), made.end()));
    });
}

TEST_CASE("timers of operations come one after another", "[session]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        // Each is armed after the last one's sleep is over, in both ways that there are.
        for (int i = 0; i < 3; ++i) {
            ok(co_await s.zk.sleep_for(1ms));
            auto quick = s.zk.exists("/").within(10s);
            ok(co_await std::move(quick));
        }
    });
}

// --- handing over

TEST_CASE("a session is attached to by its id and password, and its ephemerals with it",
          "[session][S39][C17]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session first = co_await f.open(f.settings(proxy.port()));
        const std::int64_t id = first.zk.session().id;
        ok(co_await first.zk.create("/e", "", create_mode::ephemeral));
        REQUIRE(proxy.open_connections() == 1);
        proxy.refuse(true);  // the first must not steal it back

        config attach = f.settings();
        attach.session = first.zk.credentials();
        CHECK(attach.session->last_zxid > 0);
        const session second = co_await f.open(attach);
        CHECK(second.zk.session().id == id);
        co_await f.until([&] { return proxy.open_connections() == 0; }, "the old owner cut off");
        CHECK_FALSE(first.is_over());
        const std::set<std::string> mine{f.full("/e")};
        CHECK(ephemerals_of(f.servers(), 0, id) == mine);

        ok(co_await second.zk.close());
        CHECK(ephemerals_of(f.servers(), 0, id).empty());
        proxy.refuse(false);
        const auto end = co_await first.ended();
        CHECK(code_of(end) == errc::session_expired);
    });
}

TEST_CASE("a dropped session waits for whoever attaches to it", "[session][S39][C17]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session first = co_await f.open();
        const auto made = co_await first.zk.create("/e", "", create_mode::ephemeral);
        ok(made);
        config attach = f.settings();
        attach.session = first.zk.credentials();
        first.drop();
        const auto end = co_await first.ended();
        CHECK(code_of(end) == errc::session_dropped);
        const auto later = co_await first.zk.exists("/e");
        CHECK(code_of(later) == errc::session_dropped);
        CHECK(knows_session(f.servers(), 0, attach.session->id));

        const session second = co_await f.open(attach);
        const auto seen = co_await second.zk.exists("/e");
        REQUIRE((seen && seen->has_value()));
        CHECK((*seen)->czxid == made->zxid);
        CHECK((*seen)->ephemeral_owner == second.zk.session().id);
    });
}

TEST_CASE("a wrong password and an unknown id are an expired session", "[session][C18]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session owner = co_await f.open();
        config wrong = f.settings();
        wrong.session = owner.zk.credentials();
        wrong.session->password[3] ^= 1;
        const session thief = f.start(wrong);
        const auto pending = co_await thief.zk.exists("/");
        CHECK(code_of(pending) == errc::session_expired);
        const auto caught = co_await thief.ended();
        CHECK(code_of(caught) == errc::session_expired);

        config unknown = f.settings();
        unknown.session = session_credentials(0x123456789abcdef, std::string(16, 'x'));
        const session stranger = f.start(unknown);
        const auto refused = co_await stranger.ended();
        CHECK(code_of(refused) == errc::session_expired);
        // Whoever owns the session has lost nothing by the attempt.
        ok(co_await owner.zk.exists("/"));
        CHECK_FALSE(owner.is_over());
    });
}

// --- ending

TEST_CASE("a close that is confirmed has taken the ephemerals away",
          "[session][S14][S32][C42][C45][C46]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const std::int64_t id = s.zk.session().id;
        for (int i = 0; i < 50; ++i) {
            ok(co_await s.zk.create("/e-", "", create_mode::ephemeral_sequential));
        }
        errc last = errc::no_result;
        s.zk.create("/before")([&](result<created> r) { last = code_of(r); });
        const auto closed = co_await s.zk.close();
        ok(closed);
        CHECK(ephemerals_of(f.servers(), 0, id).empty());
        CHECK_FALSE(knows_session(f.servers(), 0, id));
        CHECK(last == errc{0});  // what was submitted before the close went out before it
        const auto left = co_await f.observer().children("/");
        ok(left);
        CHECK(left->names == std::vector<std::string>{"before"});

        const auto end = co_await s.ended();
        CHECK(end);
        const auto after = co_await s.zk.get("/");
        CHECK(code_of(after) == errc::closed);
        CHECK(after.error().session_lost());
        ok(co_await s.zk.close());
    });
}

TEST_CASE("a client that never ran, or found no server, closes at once", "[session][C42]")
{
    fixture f;
    held_port nobody;
    f.run([&]() -> task<> {
        const client idle = f.make(f.settings());
        ok(co_await idle.close());
        const session s = f.start(f.settings(nobody.number()));
        ok(co_await s.zk.close());
        const auto end = co_await s.ended();
        CHECK(end);
    });
}

TEST_CASE("child: holds a session until it is killed", "[.child]")
{
    const char* const port = std::getenv(child_port);
    REQUIRE(port != nullptr);
    asio::io_context context;
    auto settings = config::parse("127.0.0.1:" + std::string(port) + std::getenv(child_chroot));
    REQUIRE(settings);
    settings->session_timeout = 2s;
    const client zk(context.get_executor(), *settings);
    zk.run()([](result<void>) {});
    zk.create("/e", "", create_mode::ephemeral)([](result<created>) {});
    context.run();
}

TEST_CASE("a killed process keeps its ephemerals for the session timeout, and no longer",
          "[session][S14]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        constexpr auto timeout = 2s;
        constexpr auto tick = 500ms;
        spawn_options child;
        child.command = {"/proc/self/exe", "[.child]"};
        child.environment = {child_port + ("=" + std::to_string(proxy.port())),
                             child_chroot + ("=" + f.full())};
        child.output_file = "/dev/null";
        const pid_t pid = spawn(child);
        while (!co_await is_there(f.observer(), "/e")) {
            co_await f.sleep(20ms);
        }
        // From its last sign of life on, which is a ping that we saw pass.
        const auto sent = proxy.bytes(direction::to_server);
        co_await f.until([&] { return proxy.bytes(direction::to_server) != sent; }, "a ping");
        const auto last = std::chrono::steady_clock::now();
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        while (co_await is_there(f.observer(), "/e")) {
            co_await f.sleep(10ms);
        }
        const auto lived = std::chrono::steady_clock::now() - last;
        CHECK(lived >= timeout - tick);
        CHECK(lived <= timeout + 2 * tick + 1s);  // a second for a busy machine
    });
}

// --- expiry

TEST_CASE("an expired session surfaces once, to everything that is bound to it",
          "[session][S11][S33][C20][C92]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        state_stream states = s.zk.states();
        ok(co_await s.zk.create("/e", "", create_mode::ephemeral));
        ok(co_await s.zk.create("/other"));
        auto watched = co_await s.zk.get_and_watch("/e");
        ok(watched);
        auto waiting = co_await s.zk.get_and_watch("/");
        ok(waiting);
        std::vector<errc> ended;
        waiting->watch.next()([&](result<event> e) { ended.push_back(code_of(e)); });

        proxy.stall(direction::to_client);
        s.zk.get("/e")([&](result<get_result> r) { ended.push_back(code_of(r)); });
        s.zk.set("/other", "x")([&](result<stat> r) { ended.push_back(code_of(r)); });
        const auto mine = s.zk.credentials();
        const endpoint server{"127.0.0.1", f.servers().client_port(0), {}};
        auto through = make_tcp_transport(f.context().get_executor());
        ok(co_await testing::expire_session(through, server, mine.id, mine.password));
        // The ephemeral is gone before its owner knows.
        const bool still_there = co_await is_there(f.observer(), "/e");
        CHECK_FALSE(still_there);
        CHECK(ended.empty());
        CHECK_FALSE(s.is_over());

        proxy.unstall(direction::to_client);
        const auto end = co_await s.ended();
        CHECK(code_of(end) == errc::session_expired);
        // The read and the write were answered or lost before the end; the rest hears of the end.
        co_await f.until([&] { return ended.size() == 3; }, "all that was pending");
        CHECK(std::count(ended.begin(), ended.end(), errc::session_expired) >= 1);
        const auto last = watched->watch.end();
        REQUIRE(last);
        CHECK((last->code() == errc::session_expired || last->code() == errc::watch_ended));
        const auto more = co_await waiting->watch.next();
        CHECK(code_of(more) == errc::session_expired);
        const auto later = co_await s.zk.get("/");
        CHECK(code_of(later) == errc::session_expired);
        int expired = 0;
        for (session_state at = session_state::connected; !is_terminal(at);) {
            auto next = states.next().within(10s);
            const auto change = co_await std::move(next);
            ok(change);
            at = change->state;
            expired += at == session_state::expired ? 1 : 0;
        }
        CHECK(expired == 1);

        // A new session of the same client is one call away.
        session again(s.zk);
        again.run();
        auto connected = again.zk.connected().within(30s);
        ok(co_await std::move(connected));
        CHECK(again.zk.session().id != mine.id);
        ok(co_await again.zk.create("/e", "", create_mode::ephemeral));
        ok(co_await again.zk.close());
    });
}

}  // namespace coati::test
