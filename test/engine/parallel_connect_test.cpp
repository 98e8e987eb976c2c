// Several addresses of a name at once: who wins, what becomes of the others, and that the session's
// credentials go over one connection only.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace coati::test;
using coati::endpoint;
using coati::errc;
using coati::wire::op_code;

const endpoint six{"fd00::1", 2181, {}};
const endpoint six_two{"fd00::2", 2181, {}};

/// One name with these addresses.
coati::config one_name(bool parallel)
{
    coati::config c;
    c.servers = {{"zk", 2181}};
    c.server_policy = coati::server_policy::in_order();
    c.reconnect_spread = 0ms;
    c.parallel_connect = parallel;
    return c;
}

std::size_t handshakes(const scripted_server& server)
{
    const auto& log = server.log();
    return static_cast<std::size_t>(std::count_if(
        log.begin(), log.end(), [](const auto& r) { return r.op == op_code::create_session; }));
}

}  // namespace

TEST_CASE("an address family that leads nowhere costs 250 ms", "[hosts][S7]")
{
    for (const bool parallel : {true, false}) {
        simulation s(one_name(parallel));
        s.in.add_name("zk", {six.address, six_two.address, server_at(0).address});
        s.in.black_hole(six);
        s.in.black_hole(six_two);
        const auto start = s.in.now();
        const auto run = s.connect();
        CHECK(s.zk->session().server.address == server_at(0).address);
        const auto took = s.in.now() - start;
        if (parallel) {
            CHECK(took >= 250ms);
            CHECK(took < 252ms);  // the second address is of the other family
        } else {
            CHECK(took > 10s);
        }
    }
}

TEST_CASE("the distance can be set, within what RFC 8305 allows", "[hosts]")
{
    for (const auto& [asked, used] : {std::pair(100ms, 100ms), std::pair(0ms, 10ms)}) {
        coati::config c = one_name(true);
        c.connect_stagger = asked;
        simulation s(c);
        s.in.add_name("zk", {six.address, server_at(0).address});
        s.in.black_hole(six);
        const auto start = s.in.now();
        const auto run = s.connect();
        CHECK(s.in.now() - start >= used);
        CHECK(s.in.now() - start < used + 2ms);
    }
}

TEST_CASE("an address that refuses is followed by the next at once", "[hosts]")
{
    simulation s(one_name(true));
    s.in.add_name("zk", {six.address, "10.9.9.9", six_two.address, server_at(0).address});
    const auto start = s.in.now();
    const auto run = s.connect();
    CHECK(s.in.now() - start < 5ms);
    CHECK(s.zk->session().server == endpoint{server_at(0).address, 2181, "zk"});
    CHECK(s.zk->last_attempts().empty());
}

TEST_CASE("the first connection wins, the others are closed without a word", "[hosts]")
{
    simulation s(one_name(true), 2);
    scripted_server slow(s.ensemble, s.in, six);
    s.in.add_name("zk", {six.address, server_at(0).address, server_at(1).address});
    s.in.latency(six, 400ms);           // is up at 800 ms
    s.in.latency(server_at(0), 200ms);  // begins at 250 ms, is up at 650 ms
    s.in.latency(server_at(1), 50ms);   // begins at 500 ms, is up at 600 ms
    const auto start = s.in.now();
    const auto run = s.connect();
    CHECK(s.in.now() - start >= 700ms);  // and a round trip for the handshake
    CHECK(s.in.now() - start < 701ms);
    CHECK(s.zk->session().server.address == server_at(1).address);
    CHECK(s.in.connection_count(six) == 1);
    CHECK(s.in.connection_count(server_at(0)) == 1);
    s.pass(2s);
    CHECK(s.in.connections().size() == 1);
    CHECK(handshakes(slow) == 0);
    CHECK(handshakes(s.server(0)) == 0);
    CHECK(handshakes(s.server(1)) == 1);
    CHECK(slow.connections() + s.server(0).connections() == 0);
    CHECK(s.ensemble.sessions().size() == 1);
}

TEST_CASE("two connections in the same instant are one session", "[hosts][T62]")
{
    // Ten addresses that are all up at the same time, over and over: the session is never shown to
    // two servers at once, so nobody takes it from us.
    coati::config c = one_name(true);
    simulation s(c, 4);
    s.in.add_name("zk", {server_at(0).address, server_at(1).address, server_at(2).address,
                         server_at(3).address});
    for (std::size_t i = 0; i < 4; ++i) {
        s.in.latency(server_at(i), 125ms * static_cast<int>(4 - i));  // up at 1000 ms, all of them
    }
    const auto run = s.connect();
    const auto id = s.zk->session().id;
    for (int i = 1; i <= 20; ++i) {
        s.pass(20s);
        s.in.cut_all();
        s.until([&] { return !s.zk->is_connected(); });
        s.until([&] { return s.zk->is_connected(); });
        CHECK(s.in.connections().size() == 1);
        std::size_t all = 0;
        for (const auto& each : s.servers) {
            all += handshakes(*each);
        }
        CHECK(all == static_cast<std::size_t>(i) + 1);
    }
    CHECK(s.zk->session().id == id);
    CHECK(s.in.connection_count(server_at(1)) > 10);  // there was a race
    CHECK_FALSE(run.done());
}

TEST_CASE("a winner that does not hold what it promised is followed by the others", "[hosts]")
{
    simulation s(one_name(true), 2);
    s.in.add_name("zk", {server_at(0).address, server_at(1).address});
    s.in.latency(server_at(1), 300ms);
    s.in.latency(server_at(0), 200ms);  // up at 400 ms, when the other one has begun
    s.server(0).pause();                // accepts, and never answers
    const auto run = s.start(s.zk->run());
    REQUIRE(s.ask(s.zk->connected()));
    CHECK(s.zk->session().server.address == server_at(1).address);
    REQUIRE(s.zk->last_attempts().size() == 1);
    CHECK(s.zk->last_attempts()[0].error == errc::handshake_timed_out);
}

TEST_CASE("all addresses fail: the attempt says so, and the next name is tried", "[hosts]")
{
    coati::config c = one_name(true);
    c.servers.push_back({server_at(0).address, 2181});
    simulation s(c);
    s.in.add_name("zk", {six.address, "10.9.9.9"});
    const auto run = s.connect();
    CHECK(s.zk->session().server.address == server_at(0).address);
    REQUIRE(s.zk->last_attempts().size() == 1);
    CHECK(s.zk->last_attempts()[0].error == errc::connect_failed);
    CHECK(s.zk->last_attempts()[0].text.find("zk:2181") != std::string::npos);

    // Or they swallow what is sent: one connect timeout for the name, then the next name.
    simulation t(c);
    t.in.add_name("zk", {six.address, "10.9.9.9"});
    t.in.black_hole(six);
    t.in.black_hole({"10.9.9.9", 2181, {}});
    const auto start = t.in.now();
    const auto also = t.connect();
    CHECK(t.in.now() - start < 5s + 2ms);
    REQUIRE(t.zk->last_attempts().size() == 1);
    CHECK(t.zk->last_attempts()[0].error == errc::connect_timed_out);
}

TEST_CASE("a race that is given up leaves nothing behind", "[hosts]")
{
    for (int step = 0; step < 40; ++step) {
        simulation s(one_name(true), 3);
        s.in.add_name("zk", {server_at(0).address, server_at(1).address, server_at(2).address});
        s.in.latency(server_at(0), 500ms);
        s.in.latency(server_at(1), 300ms);
        s.in.latency(server_at(2), 150ms);
        asio::cancellation_signal stop;
        const auto run = s.start(s.zk->run(), stop);
        s.pass(25ms * step);
        stop.emit(asio::cancellation_type::total);
        s.until([&] { return run.done(); });
        CHECK(run.code() == errc::session_dropped);
        s.pass(5s);
        CHECK(s.in.connections().empty());
        CHECK(run.forgotten());
    }
    {
        // The world ends in the middle of it.
        simulation s(one_name(true), 2);
        s.in.add_name("zk", {server_at(0).address, server_at(1).address});
        s.in.latency(server_at(0), 500ms);
        s.in.latency(server_at(1), 500ms);
        const auto run = s.start(s.zk->run());
        s.pass(600ms);
        CHECK(s.in.connections().size() == 1);
    }
}
