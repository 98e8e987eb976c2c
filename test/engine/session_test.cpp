// One session through losses of its connections: what it keeps, what goes out first, what requests
// find, and the verdicts of servers that end it.

#include "support.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::event_type;
using coati::fate;
using coati::session_state;
using coati::wire::op_code;
namespace wire = coati::wire;

/// No server can be reached from now on.
void unplug(simulation& at)
{
    for (std::size_t i = 0; i < at.servers.size(); ++i) {
        at.in.refuse(server_at(i));
    }
    at.in.cut_all();
    at.in.settle();
}

void plug_in(simulation& at)
{
    for (std::size_t i = 0; i < at.servers.size(); ++i) {
        at.in.allow(server_at(i));
    }
}

std::string connect_response(std::int64_t id, int timeout_ms, const std::string& password)
{
    wire::connect_response response;
    response.timeout_ms = timeout_ms;
    response.session_id = id;
    response.password = password;
    response.read_only.value = false;
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, response);
    wire::close_frame(frame, at);
    return frame;
}

std::string reply_frame(std::int32_t xid, std::int32_t err)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{xid, 0, err});
    wire::close_frame(frame, at);
    return frame;
}

/// A thousand ephemerals, and a thousand watches whose paths need several SetWatches.
struct thousand {
    static constexpr std::size_t count = 1'000;

    explicit thousand(simulation& at)
    {
        at.ensemble.put("/e", "");
        std::vector<answer<coati::created>> made;
        for (std::size_t i = 0; i < count; ++i) {
            watched_paths.push_back("/w/" + std::string(200, 'p') + std::to_string(i));
            at.ensemble.put(watched_paths[i], "0");
            made.push_back(
                at.start(at.zk->create("/e/" + std::to_string(i), "mine", create_mode::ephemeral)));
            watches.push_back(at.start(at.zk->get_and_watch(watched_paths[i])));
        }
        at.until([&] { return watches.back().done(); });
        for (std::size_t i = 0; i < count; ++i) {
            REQUIRE(*made[i]);
            czxids.push_back(made[i]->zxid);
            events.push_back(at.start(watches[i]->watch.next()));
        }
    }

    int fired() const
    {
        int n = 0;
        for (const auto& each : events) {
            n += each.completed();
        }
        return n;
    }

    std::vector<std::string> watched_paths;
    std::vector<answer<coati::watched_data>> watches;
    std::vector<answer<coati::event>> events;
    std::vector<std::int64_t> czxids;
};

}  // namespace

TEST_CASE("half a timeout without a connection costs a session nothing",
          "[S10][S28][T1][T3][T4][T63][C78][C80][session]")
{
    simulation at(2);
    const auto run = at.connect();
    const auto session = at.zk->session().id;
    thousand all(at);
    state_recorder states(*at.zk);
    at.in.settle();
    states.seen.clear();

    unplug(at);
    const auto reads = at.start(at.zk->children("/e"));
    const auto writes = at.start(at.zk->create("/late"));
    at.pass(at.zk->negotiated_timeout() / 2);
    at.server(0).clear_log();
    at.server(1).clear_log();
    plug_in(at);
    at.until([&] { return writes.done(); });

    // First the session, then its watches, then what users have asked for meanwhile.
    const auto& log =
        at.server(at.zk->session().server.address == server_at(0).address ? 0 : 1).log();
    std::vector<op_code> order;
    for (const auto& each : log) {
        order.push_back(each.op);
    }
    REQUIRE(order.size() >= 5);
    CHECK(order == std::vector{op_code::create_session, op_code::set_watches, op_code::set_watches,
                               op_code::get_children2, op_code::create});
    CHECK(log[1].zxid == log[2].zxid);
    CHECK(log[1].zxid == log[0].zxid);
    const auto seen = states.states();
    CHECK(seen.front() == session_state::disconnected);
    CHECK(seen.back() == session_state::connected);
    CHECK(std::count(seen.begin(), seen.end(), session_state::connected) == 1);
    CHECK(std::none_of(seen.begin(), seen.end(), &coati::is_terminal));
    CHECK(at.zk->session().id == session);
    CHECK(reads->names.size() == thousand::count);
    CHECK(all.fired() == 0);

    for (std::size_t i = 0; i < thousand::count; ++i) {
        at.ensemble.put(all.watched_paths[i], "1");
        at.ensemble.put(all.watched_paths[i], "2");
    }
    at.pass(1s);
    CHECK(all.fired() == thousand::count);
    bool right = true;
    for (std::size_t i = 0; i < thousand::count; ++i) {
        const auto found = at.ask(at.zk->exists("/e/" + std::to_string(i)));
        right = right && *found && (*found)->czxid == all.czxids[i] &&
                (*found)->ephemeral_owner == session && all.events[i].completed() == 1 &&
                all.events[i]->path == all.watched_paths[i];
    }
    CHECK(right);
    CHECK_FALSE(run.done());
}

TEST_CASE("what changed during a cut fires its watches once", "[S28][T31][T32][C79][session]")
{
    simulation at(2);
    const auto run = at.connect();
    for (const char* path : {"/data", "/gone", "/parent/child", "/still"}) {
        at.ensemble.put(path, "0");
    }
    const auto data = at.ask(at.zk->get_and_watch("/data"));
    const auto gone = at.ask(at.zk->get_and_watch("/gone"));
    const auto new_one = at.ask(at.zk->exists_and_watch("/new"));
    const auto there = at.ask(at.zk->exists_and_watch("/still"));
    const auto parent = at.ask(at.zk->children_and_watch("/parent"));
    CHECK_FALSE(at.ask(at.zk->get_and_watch("/missing")));
    unplug(at);
    at.ensemble.put("/data", "1");
    at.ensemble.remove("/gone");
    at.ensemble.put("/new", "");
    at.ensemble.put("/parent/second", "");
    at.ensemble.put("/missing", "");
    plug_in(at);
    const auto event_of = [&](const coati::watch& w) {
        const auto e = at.ask(w.next(), 3s);
        REQUIRE(e);
        CHECK(at.ask(w.next()).error() == errc::watch_ended);
        return e->type;
    };
    CHECK(event_of(data->watch) == event_type::data_changed);
    CHECK(event_of(gone->watch) == event_type::deleted);
    CHECK(event_of(new_one->watch) == event_type::created);
    CHECK(event_of(parent->watch) == event_type::children_changed);
    CHECK(there->watch.is_armed());
    at.ensemble.remove("/still");
    CHECK(event_of(there->watch) == event_type::deleted);
}

TEST_CASE("two timeouts without a connection cost the session",
          "[S11][S32][T48][C20][C92][session]")
{
    simulation at(2);
    std::optional<coati::client> pinned;
    std::optional<coati::watch> watch;
    at.ensemble.put("/w", "0");
    // The application leaves its handle and its watch behind, and stays until it is cancelled.
    const auto app = [&](coati::client zk) -> asio::awaitable<coati::result<void>> {
        pinned.emplace(zk);
        auto watched = co_await zk.get_and_watch("/w");
        watch.emplace(std::move(watched->watch));
        const auto made = co_await zk.create("/mine", "", create_mode::ephemeral);
        CHECK(made);
        co_return co_await zk.sleep_for(24h);
    };
    state_recorder states(*at.zk);
    std::optional<coati::held<void>> ended;
    coati::hold(*at.zk, app)([&](std::exception_ptr, coati::held<void> h) { ended.emplace(h); });
    at.until([&] { return at.ensemble.exists("/mine"); });
    at.pass(1s);
    const auto old = at.zk->session().id;

    unplug(at);
    const auto event = at.start(watch->next());
    const auto read = at.start(pinned->get("/w"));
    const auto write = at.start(at.zk->set("/w", "1"));
    at.pass(at.zk->negotiated_timeout() * 2);
    CHECK_FALSE(ended);  // nobody has said so yet
    CHECK_FALSE(at.ensemble.exists("/mine"));
    plug_in(at);
    at.until([&] { return ended.has_value(); }, 6s);

    REQUIRE_FALSE(ended->session);
    CHECK(ended->session.error() == errc::session_expired);
    CHECK(std::get<coati::result<void>>(ended->app).error() == errc::cancelled);
    for (const auto& error : {read.error(), write.error(), event.error()}) {
        CHECK(error == errc::session_expired);
        CHECK(error.session_lost());
    }
    CHECK(write.fate() == fate::not_sent);
    const auto all = states.states();
    CHECK(std::count(all.begin(), all.end(), session_state::expired) == 1);
    CHECK(all.back() == session_state::expired);

    // The handle stays with its session, for ever; a new session is one await away.
    const auto run = at.start(at.zk->run());
    REQUIRE(at.ask(at.zk->connected()));
    CHECK(at.zk->session().id != old);
    CHECK(at.ask(at.zk->get("/w")));
    CHECK(at.ask(pinned->get("/w")).error() == errc::session_expired);
    CHECK(at.ask(pinned->chroot("/w").create("/x")).error() == errc::session_expired);
    CHECK(at.ask(pinned->connected()).error() == errc::session_expired);
    CHECK(at.ask(watch->next()).error() == errc::session_expired);
    CHECK(pinned->session().id == old);
    CHECK(at.ask(pinned->run()).error() == errc::session_expired);
}

TEST_CASE("a server of three dies under load: the next takes over, time never goes back",
          "[S15][C22][session]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        INFO("seed " << seed);
        coati::config settings = plain_config(3);
        settings.server_policy = coati::server_policy::random();
        settings.reconnect_spread = 100ms;
        simulation at(settings, 3, seed);
        at.ensemble.put("/n", "");
        const auto run = at.connect();
        int sure = 0;
        int unsure = 0;
        bool stop = false;
        const auto load = [&](coati::client zk) -> asio::awaitable<void> {
            std::int64_t seen = 0;
            while (!stop) {
                const auto set = co_await zk.set("/n", "x");
                if (!set) {
                    CHECK(set.error() == errc::connection_loss);
                    CHECK(set.error().fate() == fate::maybe_applied);
                }
                ++(set ? sure : unsure);
                const auto got = co_await zk.get("/n");
                CHECK(got);
                CHECK(got->stat.mzxid >= seen);
                seen = got->stat.mzxid;
            }
        };
        asio::co_spawn(at.zk->get_executor(), load(*at.zk),
                       [](std::exception_ptr e) { CHECK_FALSE(e); });
        at.pass(10ms + std::chrono::microseconds(at.in.random() % 1'000));
        const auto dead = at.zk->session().server;
        const auto index = static_cast<std::size_t>(dead.address.back() - '1');
        at.server(index).kill();
        const auto lost = at.in.now();
        at.until([&] { return at.zk->is_connected() && at.zk->session().server != dead; }, 4s);
        CHECK(at.in.now() - lost < 10s / 3);
        at.pass(10ms);
        stop = true;
        at.pass(1s);
        const auto stat = at.ask(at.zk->get("/n"))->stat;
        CHECK(stat.version >= sure);
        CHECK(stat.version <= sure + unsure);
        CHECK(unsure <= 1);
        CHECK(sure > 40);
        CHECK_FALSE(run.done());
    }
}

// --- requests without a connection

TEST_CASE("a hundred requests made while connecting succeed in the order of the calls",
          "[S35][C66][session]")
{
    simulation at;
    at.ensemble.put("/seq", "");
    at.server(0).on_frame(
        [](const frame_view& f) { return f.handshake ? verdict::delay(500ms) : verdict::pass(); });
    const auto run = at.start(at.zk->run());
    at.pass(100ms);
    std::vector<int> order;
    std::vector<answer<coati::created>> made;
    for (int i = 0; i < 100; ++i) {
        made.push_back(at.start(at.zk->create("/seq/n-", "", create_mode::persistent_sequential),
                                [&order, i] { order.push_back(i); }));
    }
    const coati::options at_once{.fail_fast = true};
    const auto impatient = at.start(at.zk->with(at_once).create("/never"));
    at.in.settle();
    CHECK(impatient.code() == errc::connection_loss);
    CHECK(impatient.fate() == fate::not_sent);
    at.until([&] { return order.size() == 100; });
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(made[0]->path == "/seq/n-0000000000");
    CHECK(made[99]->path == "/seq/n-0000000099");
    CHECK_FALSE(at.ensemble.exists("/never"));
}

TEST_CASE("fail_fast requests never survive a connection", "[S35][C70][session]")
{
    simulation at;
    at.ensemble.put("/a", "0");
    const auto run = at.connect();
    const coati::options at_once{.fail_fast = true};
    const coati::client impatient = at.zk->with(at_once);
    at.server(0).pause();
    const auto read = at.start(impatient.get("/a"));
    const auto write = at.start(impatient.set("/a", "1"));
    const auto patient = at.start(at.zk->get("/a"));
    at.pass(1ms);
    at.in.cut_all();
    at.in.settle();
    CHECK(read.code() == errc::connection_loss);
    CHECK(read.fate() == fate::not_applied);
    CHECK(write.code() == errc::connection_loss);
    CHECK(write.fate() == fate::maybe_applied);
    CHECK_FALSE(patient.done());
    at.server(0).resume();
    at.until([&] { return patient.done(); });
    CHECK(patient->data == "1");  // it had arrived: that is what the fate says
}

// --- verdicts

TEST_CASE("auth failures end the session, whatever frame they come with",
          "[S36][C104][C111][session]")
{
    for (const errc code : {errc::auth_failed, errc::session_closed_require_sasl_auth}) {
        for (const std::int32_t xid : {-4, -2, -1, -8, 1}) {
            INFO(coati::name(code) << " with xid " << xid);
            simulation at(2);
            const auto run = at.connect();
            state_recorder states(*at.zk);
            at.server(0).pause();
            const auto first = at.start(at.zk->get("/"));
            const auto second = at.start(at.zk->create("/x"));
            at.pass(1ms);
            at.server(0).on_frame([](const frame_view& f) {
                return f.direction == frame_view::way::reply ? verdict::drop() : verdict::pass();
            });
            at.server(0).resume();
            at.server(0).inject(reply_frame(xid, static_cast<std::int32_t>(code)));
            at.pass(10ms);
            CHECK(run.code() == code);
            CHECK(run.error().session_lost());
            CHECK(first.code() == code);
            CHECK(second.code() == code);
            CHECK(second.fate() == fate::maybe_applied);
            CHECK(states.states().back() == session_state::auth_failed);
            at.pass(1min);
            CHECK(at.connections_made() == 1);
        }
    }
}

TEST_CASE("a reconnect presents the session's id, password and last zxid",
          "[S39][T9][C17][session]")
{
    simulation at(2);
    std::vector<wire::connect_request> hellos;
    std::vector<std::string> passwords;
    const auto look = [&](const frame_view& f) {
        if (f.handshake && f.direction == frame_view::way::request) {
            wire::reader in(f.payload);
            wire::connect_request hello;
            CHECK(wire::decode(in, hello));
            passwords.emplace_back(hello.password);
            hellos.push_back(hello);
        }
        return verdict::pass();
    };
    at.server(0).on_frame(look);
    at.server(1).on_frame(look);
    const auto run = at.connect();
    const auto mine = at.zk->credentials();
    const auto made = at.ask(at.zk->create("/a"));
    at.ensemble.put("/b", "");  // somebody else's zxid, which no reply has shown us
    at.in.cut_all();
    at.in.settle();
    REQUIRE(at.ask(at.zk->connected()));
    REQUIRE(hellos.size() == 2);
    CHECK(hellos[0].session_id == 0);
    CHECK(hellos[0].last_zxid_seen == 0);
    CHECK(passwords[0] == std::string(16, '\0'));
    CHECK(hellos[0].timeout_ms == 10'000);
    CHECK(hellos[1].session_id == mine.id);
    CHECK(passwords[1] == mine.password);
    CHECK(hellos[1].last_zxid_seen == made->zxid);
    CHECK(hellos[1].timeout_ms == 10'000);
    CHECK(at.zk->session().server.address == server_at(1).address);

    // Exported, they are the session in another process too.
    coati::config settings = plain_config(2);
    settings.session = at.zk->credentials();
    const coati::client other = at.make_client(settings);
    const auto second = at.start(other.run());
    REQUIRE(at.ask(other.connected()));
    CHECK(other.session().id == mine.id);
    CHECK(hellos[2].last_zxid_seen == made->zxid);
    CHECK(at.ensemble.sessions().size() == 1);
}

TEST_CASE("another session's id in the answer ends the session", "[S40][T48][session]")
{
    simulation at(2);
    const auto run = at.connect();
    state_recorder states(*at.zk);
    at.server(1).on_frame([](const frame_view& f) {
        const bool welcome = f.handshake && f.direction == frame_view::way::reply;
        return welcome ? verdict::replace(connect_response(4711, 10'000, std::string(16, 'n')))
                       : verdict::pass();
    });
    at.in.cut_all();
    at.in.settle();
    const auto pending = at.start(at.zk->create("/x"));
    at.until([&] { return run.done(); });
    CHECK(run.code() == errc::session_id_changed);
    CHECK(run.error().session_lost());
    CHECK(pending.code() == errc::session_id_changed);
    CHECK(pending.fate() == fate::not_sent);
    CHECK(states.states().back() == session_state::expired);
    CHECK_FALSE(at.ensemble.exists("/x"));
}

TEST_CASE("a new session starts with nothing of the old one", "[T10][session]")
{
    simulation at;
    auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a")));
    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return run.done(); });
    at.ensemble.set_zxid(1);  // a restored back-up, which refuses everybody who has seen more
    run = at.start(at.zk->run());
    CHECK(at.ask(at.zk->connected(), 1s));
}
