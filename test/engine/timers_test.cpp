// Every bound on time, to the millisecond, in virtual time: the negotiated timeout and what follows
// from it, silence, attempts, deadlines.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::fate;
using coati::session_state;
using coati::time_point;
using coati::wire::op_code;
using std::chrono::milliseconds;

constexpr coati::duration whole = 10s;  // the session timeout of plain_config

/// When frames of one operation arrived at a server.
std::vector<time_point> times_of(simulation& at, op_code op, std::size_t server = 0)
{
    std::vector<time_point> times;
    for (const auto& each : at.server(server).log()) {
        if (each.op == op) {
            times.push_back(each.at);
        }
    }
    return times;
}

coati::duration longest_gap(const std::vector<time_point>& times)
{
    coati::duration longest{};
    for (std::size_t i = 1; i < times.size(); ++i) {
        longest = std::max(longest, times[i] - times[i - 1]);
    }
    return longest;
}

/// The server grants another timeout than the ensemble has it at.
void grant(simulation& at, std::size_t server, int timeout_ms)
{
    at.server(server).on_frame([timeout_ms](const frame_view& f) {
        if (!f.handshake || f.direction == frame_view::way::request) {
            return verdict::pass();
        }
        std::string frame("\0\0\0\x25", 4);
        frame.append(f.payload);
        for (std::size_t i = 0; i < 4; ++i) {
            frame.at(8 + i) = static_cast<char>(timeout_ms >> (24 - 8 * i) & 0xff);
        }
        return verdict::replace(frame);
    });
}

}  // namespace

// --- timers of a connection

TEST_CASE("the server's timeout counts, and all timers follow from it",
          "[S3][S4][S5][T60][C24][timers]")
{
    struct row {
        milliseconds asked;
        milliseconds given;
        milliseconds ping;
    };
    // A ping leaves after 10 s at the latest, however long the timeout.
    for (const row& each :
         {row{1ms, 4'000ms, 1'334ms}, {1h, 40'000ms, 10'000ms}, {12'000ms, 12'000ms, 4'000ms}}) {
        coati::config settings = plain_config(1);
        settings.session_timeout = each.asked;
        settings.connect_timeout = 500ms;
        simulation at(settings);
        const auto run = at.connect();
        CHECK(at.zk->negotiated_timeout() == each.given);
        at.pass(10min);
        const auto pings = times_of(at, op_code::ping);
        CHECK(pings.size() + 1 >= static_cast<std::size_t>(10min / each.ping));
        CHECK(longest_gap(pings) <= each.ping);
        CHECK(at.connections_made() == 1);

        REQUIRE(at.ask(at.zk->get("/")));
        const auto heard = at.in.now();
        at.server(0).pause();
        at.until([&] { return !at.zk->is_connected(); });
        CHECK(at.in.now() - heard >= each.given * 2 / 3);
        CHECK(at.in.now() - heard <= each.given * 2 / 3 * 11 / 10);
    }
}

TEST_CASE("under traffic no ping is needed, under a slow request they go on",
          "[S4][T13][C25][timers]")
{
    simulation at;
    const auto run = at.connect();
    for (int i = 0; i < 100; ++i) {
        REQUIRE(at.ask(at.zk->get("/")));
        at.pass(3s);
    }
    CHECK(times_of(at, op_code::ping).empty());
    at.server(0).on_frame([](const frame_view& f) {
        const bool answer = f.direction == frame_view::way::reply && f.op == op_code::get_data;
        return answer ? verdict::drop() : verdict::pass();
    });
    const auto slow = at.start(at.zk->get("/").within(1min));
    at.pass(1min);
    CHECK(slow.code() == errc::timed_out);
    CHECK(times_of(at, op_code::ping).size() >= 17);
    CHECK(at.connections_made() == 1);
    CHECK(at.ensemble.sessions().size() == 1);
}

TEST_CASE("any frame is a sign of life, half a frame is none", "[T15][T16][T18][timers]")
{
    simulation at(2);
    const auto run = at.connect();
    // Events keep the connection alive although nobody gets an answer.
    at.server(0).on_frame([](const frame_view& f) {
        return f.direction == frame_view::way::reply ? verdict::drop() : verdict::pass();
    });
    const std::string event("\0\0\0\x20\xff\xff\xff\xff\0\0\0\0\0\0\0\1\0\0\0\0"
                            "\0\0\0\3\0\0\0\3\0\0\0\4/any",
                            36);
    for (int i = 0; i < 10; ++i) {
        at.server(0).inject(event);
        at.pass(6s);
    }
    CHECK(at.connections_made() == 1);
    at.server(0).inject(event);
    at.pass(1ms);
    const auto heard = at.in.now() - 1ms;
    for (int i = 0; i < 30 && at.connections_made() == 1; ++i) {
        at.server(0).inject(event.substr(static_cast<std::size_t>(i), 1));
        at.pass(500ms);
    }
    CHECK(at.connections_made() == 2);
    CHECK(at.in.now() - heard <= whole * 2 / 3 + 501ms);
}

TEST_CASE("a server gone silent is left for another, with the session", "[S5][C35][timers]")
{
    for (const auto which : {direction::to_client, direction::to_server}) {
        simulation at(3);
        const auto run = at.connect();
        const auto session = at.zk->session().id;
        const auto made = at.ask(at.zk->create("/mine", "", create_mode::ephemeral));
        const auto heard = at.in.now();
        at.in.stall(at.connection_id(), which);
        at.until([&] { return !at.zk->is_connected(); });
        CHECK(at.in.now() - heard >= whole * 2 / 3);
        CHECK(at.in.now() - heard <= whole * 2 / 3 * 11 / 10);
        const auto left = at.in.now();
        REQUIRE(at.ask(at.zk->connected()));
        CHECK(at.in.now() - left < 10ms);
        CHECK(at.zk->session().id == session);
        CHECK(at.zk->session().server.address == server_at(1).address);
        const auto found = at.ask(at.zk->exists("/mine"));
        REQUIRE(*found);
        CHECK((*found)->czxid == made->zxid);
        CHECK((*found)->ephemeral_owner == session);
        CHECK_FALSE(run.done());
    }
}

TEST_CASE("timers are computed anew after each handshake", "[S8][T60][timers]")
{
    simulation at(2);
    grant(at, 1, 6'000);
    const auto run = at.connect();
    CHECK(at.zk->negotiated_timeout() == 10s);
    at.pass(1min);
    CHECK(longest_gap(times_of(at, op_code::ping)) <= whole / 3);
    CHECK(times_of(at, op_code::ping).size() <= 19);
    at.in.cut_all();
    at.in.settle();
    REQUIRE(at.ask(at.zk->connected()));
    CHECK(at.zk->negotiated_timeout() == 6s);
    at.pass(1min);
    CHECK(longest_gap(times_of(at, op_code::ping, 1)) <= 2s);
    const auto heard = at.in.now();
    at.server(1).pause();
    at.until([&] { return !at.zk->is_connected(); });
    CHECK(at.in.now() - heard <= 4s * 11 / 10);
    // Up again as well: what is asked for is always what the user wants.
    REQUIRE(at.ask(at.zk->connected()));
    CHECK(at.zk->session().server.address == server_at(0).address);
    CHECK(at.zk->negotiated_timeout() == 10s);
}

TEST_CASE("a silent client's session ends after its timeout, not before", "[S14][S16][timers]")
{
    for (const int wait_ms : {0, 1'000, 3'000, 7'777}) {
        simulation at;
        asio::cancellation_signal stop;
        const auto run = at.start(at.zk->run(), stop);
        REQUIRE(at.ask(at.zk->create("/mine", "", create_mode::ephemeral)));
        at.pass(milliseconds(wait_ms));
        const auto last = at.server(0).log().back().at;
        stop.emit(asio::cancellation_type::terminal);
        at.in.settle();
        CHECK(run.code() == errc::session_dropped);
        constexpr auto tick = 2s;
        at.pass(last + 10s - tick - at.in.now());
        CHECK(at.ensemble.exists("/mine"));
        at.pass(3 * tick);
        CHECK_FALSE(at.ensemble.exists("/mine"));
        CHECK(at.connections_made() == 1);
    }
}

TEST_CASE("an ensemble that was down for three timeouts has the session still",
          "[S13][C21][timers]")
{
    simulation at(3);
    const auto run = at.connect();
    const auto session = at.zk->session().id;
    REQUIRE(at.ask(at.zk->create("/mine", "", create_mode::ephemeral)));
    state_recorder states(*at.zk);
    at.ensemble.has_quorum(false);
    at.pass(30s);
    CHECK_FALSE(run.done());
    at.ensemble.has_quorum(true);
    REQUIRE(at.ask(at.zk->connected(), 5s));
    CHECK(at.zk->session().id == session);
    CHECK(at.ensemble.ephemeral_owner("/mine") == session);
    const auto all = states.states();
    CHECK(std::none_of(all.begin(), all.end(), &coati::is_terminal));
}

// --- reaching a server

TEST_CASE("a host that swallows connections, or handshakes, costs one connect timeout",
          "[S6][S7][S37][C13][C32][timers]")
{
    for (const bool accepts : {false, true}) {
        for (const auto configured : {std::optional<milliseconds>(), std::optional(500ms)}) {
            for (std::uint64_t seed = 1; seed <= 12; ++seed) {
                coati::config settings = plain_config(3);
                settings.server_policy = coati::server_policy::random();
                settings.connect_timeout = configured;
                simulation at(settings, 3, seed);
                if (accepts) {
                    at.server(1).pause();
                } else {
                    at.in.black_hole(server_at(1));
                }
                const auto start = at.in.now();
                const auto run = at.start(at.zk->run());
                REQUIRE(at.ask(at.zk->connected()));
                // By default a share of the timeout, so that every server has its turn within it.
                CHECK(at.in.now() - start <= configured.value_or(3'334ms) + 2ms);
                if (at.in.now() - start > 2ms) {
                    REQUIRE(at.zk->last_attempts().size() == 1);
                    CHECK(at.zk->last_attempts()[0].error ==
                          (accepts ? errc::handshake_timed_out : errc::connect_timed_out));
                }
            }
        }
    }
}

TEST_CASE("never connected: the deadline says which servers were tried, and why not",
          "[S9][T20][T23][C7][timers]")
{
    coati::config settings = plain_config(4);
    settings.servers.push_back({"nowhere", 2181});
    settings.servers.push_back({"slow", 2181});
    settings.connect_deadline = 20s;
    simulation at(settings, 4);
    at.in.refuse(server_at(0));
    at.in.black_hole(server_at(1));
    at.server(2).close_on_accept(true);
    at.server(3).on_frame([](const frame_view& f) {
        return f.direction == frame_view::way::reply ? verdict::replace_and_close("GO AWAY, please")
                                                     : verdict::pass();
    });
    at.in.add_name("slow", {"10.0.0.9"});
    at.in.slow_name("slow", coati::duration::max());
    const auto start = at.in.now();
    const auto run = at.start(at.zk->run());
    const auto parked = at.start(at.zk->create("/a"));
    const auto impatient = at.start(at.zk->get("/").within(7s));
    const auto connected = at.start(at.zk->connected());
    at.until([&] { return run.done(); });
    CHECK(at.in.now() - start == 20s);
    CHECK(run.code() == errc::no_server_reachable);
    CHECK(parked.code() == errc::no_server_reachable);
    CHECK(parked.fate() == fate::not_sent);
    CHECK(connected.code() == errc::no_server_reachable);
    CHECK(impatient.code() == errc::timed_out);
    CHECK(impatient.fate() == fate::not_sent);
    CHECK(impatient.at() - start == 7s);

    const std::vector<std::pair<coati::attempt_step, errc>> expected{
        {coati::attempt_step::connect, errc::connect_failed},
        {coati::attempt_step::connect, errc::connect_timed_out},
        {coati::attempt_step::handshake, errc::handshake_refused},
        {coati::attempt_step::handshake, errc::not_zookeeper},
        {coati::attempt_step::resolve, errc::resolve_failed},
        {coati::attempt_step::resolve, errc::resolve_failed},
    };
    REQUIRE(at.zk->last_attempts().size() == 6);
    for (const auto& each : at.zk->last_attempts()) {
        const auto which = std::find(settings.servers.begin(), settings.servers.end(), each.server);
        const auto index = static_cast<std::size_t>(which - settings.servers.begin());
        INFO(each.text);
        REQUIRE(index < 6);
        CHECK(each.step == expected[index].first);
        CHECK(each.error == expected[index].second);
        CHECK(each.text.find(each.server.host) != std::string::npos);
    }
    CHECK(at.zk->last_attempts()[0].error.cause() == asio::error::connection_refused);
    at.in.run_until_idle();  // nothing of it goes on
    CHECK(at.in.connections().empty());
}

TEST_CASE("never connected: cancelled at once, and without a deadline tried for ever",
          "[S9][C149][C150][timers]")
{
    simulation at(2);
    at.in.black_hole(server_at(0));
    at.in.refuse(server_at(1));
    asio::cancellation_signal stop;
    const auto run = at.start(at.zk->run(), stop);
    at.pass(24h);
    CHECK_FALSE(run.done());
    stop.emit(asio::cancellation_type::total);
    at.in.settle();
    CHECK(run.code() == errc::session_dropped);
    CHECK(at.in.stuck());

    const auto again = at.start(at.zk->run());
    at.pass(24h);
    at.in.allow(server_at(1));
    CHECK(at.ask(at.zk->connected(), 10s));
    CHECK_FALSE(again.done());
}

TEST_CASE("the deadline is for the first connection only", "[S9][timers]")
{
    coati::config settings = plain_config(1);
    settings.connect_deadline = 2s;
    simulation at(settings);
    const auto run = at.connect();
    at.in.refuse(server_at(0));
    at.in.cut_all();
    at.pass(5s);
    CHECK_FALSE(run.done());
    at.in.allow(server_at(0));
    CHECK(at.ask(at.zk->connected(), 5s));
}

TEST_CASE("connections spread evenly over the servers", "[S37][C8][timers]")
{
    coati::config settings = plain_config(3);
    settings.server_policy = coati::server_policy::random();
    simulation at(settings, 3);
    for (int i = 0; i < 3'000; ++i) {
        const coati::client zk = at.make_client(settings);
        const auto run = at.start(zk.run());
        REQUIRE(at.ask(zk.connected()));
        REQUIRE(at.ask(zk.close()));
    }
    for (std::size_t i = 0; i < 3; ++i) {
        const auto n = static_cast<double>(at.in.connection_count(server_at(i)));
        CHECK(n > 1'000 - 3 * 25.82);  // sqrt(3000 * 1/3 * 2/3)
        CHECK(n < 1'000 + 3 * 25.82);
    }
}

TEST_CASE("names: every address is used, and looked up anew when it is needed",
          "[S37][T19][T20][C6][C7][C10][C11][timers]")
{
    coati::config settings;
    settings.servers = {{"gone", 2181}, {"zk", 2181}, {"fd00::1", 2181}};
    settings.server_policy = coati::server_policy::in_order();
    settings.reconnect_spread = 0ms;
    simulation at(settings, 3);
    scripted_server six(at.ensemble, at.in, {"fd00::1", 2181, {}});
    at.in.add_name("zk", {server_at(0).address, server_at(1).address});
    const auto run = at.connect();
    const auto session = at.zk->session().id;
    CHECK(at.zk->session().server == coati::endpoint{server_at(0).address, 2181, "zk"});
    CHECK(at.zk->last_attempts()[0].error == errc::resolve_failed);

    // The first address is down: the second one is tried, before the next name.
    at.server(0).kill();
    six.close_on_accept(true);
    REQUIRE(at.ask(at.zk->connected(), 1s));
    at.pass(5s);
    CHECK(at.zk->session().server.address == server_at(1).address);
    six.close_on_accept(false);

    // A pod has moved: its name has a new address, and the client follows.
    at.in.add_name("zk", {server_at(2).address});
    at.server(1).kill();
    at.pass(1s);
    six.kill();
    at.pass(5s);
    REQUIRE(at.ask(at.zk->connected(), 1s));
    CHECK(at.zk->session().server.address == server_at(2).address);
    six.restart();
    at.server(2).kill();
    at.pass(5s);
    REQUIRE(at.ask(at.zk->connected(), 1s));
    CHECK(at.zk->session().server.address == "fd00::1");
    CHECK(at.zk->session().id == session);
    CHECK_FALSE(run.done());
}
