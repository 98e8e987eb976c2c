// Which server a client goes to, and that it moves to a better one without losing the session, a
// request, or its patience.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::server_policy;
using coati::wire::op_code;

/// Server 0 stands in "us", all others in "eu", where the client is.
coati::config at_home_in_eu(std::size_t servers)
{
    coati::config c = plain_config(servers);
    for (std::size_t i = 0; i < servers; ++i) {
        c.servers[i].zone = i == 0 ? "us" : "eu";
    }
    c.server_policy = server_policy::prefer_zone("eu");
    return c;
}

bool is_at(const simulation& s, const coati::client& zk, std::size_t server)
{
    (void)s;
    return zk.is_connected() && zk.session().server.address == server_at(server).address;
}

std::size_t handshakes(simulation& s, std::size_t server)
{
    const auto& log = s.server(server).log();
    return static_cast<std::size_t>(std::count_if(
        log.begin(), log.end(), [](const auto& r) { return r.op == op_code::create_session; }));
}

/// Writes as fast as it is answered, and counts what went wrong.
struct busy_writer {
    explicit busy_writer(simulation& in) : s(in) { write(); }
    busy_writer(const busy_writer&) = delete;
    busy_writer& operator=(const busy_writer&) = delete;

    void write()
    {
        s.zk->set("/busy", std::to_string(++sent))([this](coati::result<coati::stat> r) {
            failed += r ? 0 : 1;
            if (!stop) {
                write();
            }
        });
    }

    simulation& s;
    int sent = 0;
    int failed = 0;
    bool stop = false;
};

}  // namespace

TEST_CASE("the zone's servers are used, and evenly", "[hosts]")
{
    std::array<int, 3> seen{};
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        simulation s(at_home_in_eu(3), 3, seed);
        const auto run = s.connect();
        for (std::size_t i = 0; i < 3; ++i) {
            seen.at(i) += is_at(s, *s.zk, i) ? 1 : 0;
        }
        // One of the zone is lost: the other one is next, whatever the order of the list.
        const std::size_t here = is_at(s, *s.zk, 1) ? 1 : 2;
        s.server(here).kill();
        s.until([&] { return is_at(s, *s.zk, 3 - here); });
        CHECK(s.in.connection_count(server_at(0)) == 0);
    }
    CHECK(seen[0] == 0);
    CHECK(seen[1] > 15);
    CHECK(seen[2] > 15);
}

TEST_CASE("when the zone fails others serve, and it is returned to with the session", "[hosts]")
{
    simulation s(at_home_in_eu(2), 2);
    s.in.latency(server_at(0), 5ms);
    s.in.latency(server_at(1), 5ms);
    s.server(1).kill();
    state_recorder states(*s.zk);
    const auto run = s.connect();
    CHECK(is_at(s, *s.zk, 0));
    const auto id = s.zk->session().id;
    REQUIRE(s.ask(s.zk->create("/mine", "", coati::create_mode::ephemeral)));
    REQUIRE(s.ask(s.zk->create("/busy")));
    const auto watched = s.ask(s.zk->get_and_watch("/mine"));
    REQUIRE(watched);
    const auto event = s.start(watched->watch.next());
    s.pass(10min);
    CHECK(is_at(s, *s.zk, 0));
    s.server(1).restart();
    busy_writer writer(s);
    // Within the minute between two probes, and two more of them.
    s.until([&] { return is_at(s, *s.zk, 1); }, 64s);
    CHECK(s.zk->session().id == id);
    CHECK(s.ensemble.ephemeral_owner("/mine") == id);
    s.pass(1s);
    writer.stop = true;
    CHECK(writer.failed == 0);
    CHECK(writer.sent > 100);
    s.pass(1h);
    CHECK(is_at(s, *s.zk, 1));
    CHECK(handshakes(s, 0) == 1);
    CHECK(handshakes(s, 1) == 1);
    const auto seen = states.states();
    CHECK(std::none_of(seen.begin(), seen.end(), &coati::is_terminal));
    CHECK_FALSE(event.done());
    s.ensemble.put("/mine", "x");
    s.until([&] { return event.done(); });
    CHECK(*event);
    CHECK_FALSE(run.done());
}

TEST_CASE("a server of the zone that answers but does not serve is not returned to", "[hosts]")
{
    simulation s(at_home_in_eu(2), 1);
    scripted_ensemble others(s.in);
    scripted_server cut_off(others, s.in, server_at(1));
    others.has_quorum(false);
    const auto run = s.connect();
    const auto made = s.in.connection_count(server_at(1));
    s.pass(1h);
    CHECK(is_at(s, *s.zk, 0));
    const auto asked = s.in.connection_count(server_at(1)) - made;
    CHECK(asked > 60);
    CHECK(asked < 130);  // one a minute, each between half of it and all
    CHECK(cut_off.log().empty());
}

TEST_CASE("a server that does not say whether it serves is not returned to", "[hosts][T50]")
{
    coati::testing::ensemble_options silent;
    silent.four_letter_words = false;
    simulation s(at_home_in_eu(2), 2, 1, silent);
    s.server(1).kill();
    const auto run = s.connect();
    s.server(1).restart();
    s.pass(10min);
    CHECK(is_at(s, *s.zk, 0));
    s.server(0).kill();  // of course it is used when it is needed
    s.until([&] { return is_at(s, *s.zk, 1); });
}

TEST_CASE("a zone that promises and does not hold is tried less and less", "[hosts]")
{
    simulation s(at_home_in_eu(2), 2);
    s.server(1).kill();
    const auto run = s.connect();
    const auto id = s.zk->session().id;
    s.server(1).restart();
    // It says that it serves, and then refuses every handshake.
    s.server(1).on_frame(
        [](const frame_view& f) { return f.handshake ? verdict::close() : verdict::pass(); });
    s.pass(24h);
    CHECK(s.zk->session().id == id);
    CHECK(handshakes(s, 1) >= 5);
    // 3, 6, 12, 24, 48, 96, 96... probes in a row, at distances of up to a minute.
    CHECK(handshakes(s, 1) <= 30);
    s.until([&] { return is_at(s, *s.zk, 0); });
    CHECK_FALSE(run.done());
}

TEST_CASE("a move waits for what is under way, and is put off when that takes long", "[hosts][C27]")
{
    simulation s(at_home_in_eu(2), 2);
    s.server(1).kill();
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/a")));
    s.server(1).restart();
    s.server(0).on_frame([](const frame_view& f) {
        const bool is_answer = f.direction == frame_view::way::reply && f.op == op_code::set_data;
        return is_answer ? verdict::withhold() : verdict::pass();
    });
    const auto slow = s.start(s.zk->set("/a", "slow"));
    // As long as a session lives without an answer, and longer than the client returns in.
    s.pass(6s);
    CHECK(is_at(s, *s.zk, 0));
    CHECK_FALSE(slow.done());
    const auto meanwhile = s.start(s.zk->get("/a"));
    s.server(0).on_frame(nullptr);
    s.server(0).release();
    s.until([&] { return is_at(s, *s.zk, 1) && meanwhile.done(); }, 3min);
    CHECK(*slow);
    CHECK(*meanwhile);
    CHECK(handshakes(s, 1) == 1);
}

TEST_CASE("a list that changes makes clients move without failing a write", "[hosts][rebalance]")
{
    simulation s(plain_config(1), 2);
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/busy")));
    busy_writer writer(s);
    for (int i = 0; i < 20; ++i) {
        const std::size_t to = is_at(s, *s.zk, 0) ? 1 : 0;
        REQUIRE(s.ask(s.zk->set_servers({{server_at(to).address, server_at(to).port}})));
        s.until([&] { return is_at(s, *s.zk, to); });
        s.pass(10ms);
    }
    writer.stop = true;
    CHECK(writer.failed == 0);
    CHECK(writer.sent > 100);
}

TEST_CASE("a removed server that does not answer any more is left all the same",
          "[hosts][rebalance]")
{
    simulation s(plain_config(1), 2);
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/a")));
    s.server(0).pause();
    const auto lost = s.start(s.zk->set("/a", "x"));
    s.pass(1ms);
    REQUIRE(s.ask(s.zk->set_servers({{server_at(1).address, server_at(1).port}})));
    s.until([&] { return is_at(s, *s.zk, 1); }, 2s);  // a sixth of the session timeout
    CHECK(lost.fate() == coati::fate::maybe_applied);
}

TEST_CASE("a whole zone comes back one by one", "[hosts]")
{
    constexpr int count = 100;
    simulation s(at_home_in_eu(3), 3);
    std::vector<coati::client> clients;
    std::vector<answer<void>> runs;
    for (int i = 0; i < count; ++i) {
        clients.push_back(s.make_client(at_home_in_eu(3)));
        runs.push_back(s.start(clients.back().run()));
    }
    const auto at_home = [&] {
        return std::count_if(clients.begin(), clients.end(), [&](const coati::client& zk) {
            return is_at(s, zk, 1) || is_at(s, zk, 2);
        });
    };
    s.pass(1s);
    CHECK(at_home() == count);
    s.server(1).kill();
    s.server(2).kill();
    s.pass(3min);
    CHECK(at_home() == 0);
    const auto before = s.server(0).log().size();
    CHECK(before > 0);
    s.server(1).restart();
    s.server(2).restart();
    const auto start = s.in.now();
    std::array<int, 70> by_second{};
    for (int seen = 0; seen < count && s.in.now() - start < 70s;) {
        s.pass(1s);
        const int now = static_cast<int>(at_home());
        by_second.at(static_cast<std::size_t>((s.in.now() - start) / 1s) - 1) = now - seen;
        seen = now;
    }
    CHECK(at_home() == count);
    // Spread over the minute: no second has more than three times its share.
    CHECK(*std::max_element(by_second.begin(), by_second.end()) <= 3 * count / 45 + 4);
    // Each moved once, and they share the zone evenly.
    const auto one = handshakes(s, 1);
    const auto other = handshakes(s, 2);
    s.pass(3min);
    CHECK(handshakes(s, 1) == one);
    CHECK(handshakes(s, 2) == other);
    const auto on_one = std::count_if(clients.begin(), clients.end(),
                                      [&](const coati::client& zk) { return is_at(s, zk, 1); });
    CHECK(on_one > count / 2 - 16);
    CHECK(on_one < count / 2 + 16);
}

TEST_CASE("the nearest server is found, and kept", "[hosts]")
{
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        coati::config c = plain_config(3);
        c.server_policy = server_policy::nearest();
        simulation s(c, 3, seed);
        s.in.latency(server_at(0), 40ms);
        s.in.latency(server_at(1), 2ms);
        s.in.latency(server_at(2), 30ms);
        const auto run = s.connect();
        const auto id = s.zk->session().id;
        REQUIRE(s.ask(s.zk->create("/busy")));
        busy_writer writer(s);
        s.until([&] { return is_at(s, *s.zk, 1); }, 5min);
        writer.stop = true;
        CHECK(writer.failed == 0);
        const auto made = handshakes(s, 0) + handshakes(s, 1) + handshakes(s, 2);
        CHECK(made <= 3);
        s.pass(30min);
        CHECK(is_at(s, *s.zk, 1));
        CHECK(handshakes(s, 0) + handshakes(s, 1) + handshakes(s, 2) == made);
        // Lost: the next nearest serves. Back: it is moved to again.
        s.server(1).kill();
        s.until([&] { return is_at(s, *s.zk, 2); });
        s.server(1).restart();
        s.until([&] { return is_at(s, *s.zk, 1); }, 30min);
        CHECK(s.zk->session().id == id);
        CHECK_FALSE(run.done());
    }
}

TEST_CASE("a policy costs nothing that is not asked for", "[hosts]")
{
    simulation s(plain_config(3), 3);
    const auto run = s.connect();
    s.pass(1h);
    CHECK(s.in.connection_count(server_at(0)) == 1);
    CHECK(s.in.connection_count(server_at(1)) == 0);
    CHECK(s.in.connection_count(server_at(2)) == 0);
}

TEST_CASE("a search for a better server ends with its session", "[hosts]")
{
    for (const bool closes : {false, true}) {
        simulation s(at_home_in_eu(2), 2);
        s.in.black_hole(server_at(1));
        asio::cancellation_signal stop;
        const auto run = s.start(s.zk->run(), stop);
        REQUIRE(s.ask(s.zk->connected()));
        // In the pause, then while a probe hangs.
        for (const auto d : {100ms, 1500ms}) {
            s.pass(d);
        }
        if (closes) {
            CHECK(s.ask(s.zk->close()));
        } else {
            stop.emit(asio::cancellation_type::total);
        }
        s.until([&] { return run.done(); });
        s.in.settle();
        CHECK(s.in.connections().empty());
    }
}
