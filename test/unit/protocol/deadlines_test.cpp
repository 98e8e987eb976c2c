// The timers of a connection, to the nanosecond.

#include <coati/protocol/deadlines.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

using namespace std::chrono_literals;
using coati::duration;
using coati::time_point;
using coati::protocol::connect_timeout;
using coati::protocol::deadlines;

namespace {

constexpr time_point start = time_point{} + 1000h;

}  // namespace

TEST_CASE("without a connection nothing is due")
{
    deadlines d;
    CHECK(d.next() == coati::never);
    CHECK(!d.read_expired(start));
    CHECK(!d.ping_due(start));
    d.on_connected(start, 6s);
    CHECK(d.next() == start + 2s);
    d.on_disconnected();
    CHECK(d.next() == coati::never);
    CHECK(!d.read_expired(start + 1h));
    CHECK(!d.ping_due(start + 1h));
}

TEST_CASE("pings go out after a third of the timeout, or ten seconds, of silence", "[C25]")
{
    struct row {
        duration timeout;
        duration ping;
        duration read;
    };
    const row r = GENERATE(row{600ms, 200ms, 400ms}, row{6s, 2s, 4s}, row{30s, 10s, 20s},
                           row{60s, 10s, 40s}, row{24h, 10s, 16h});
    deadlines d;
    d.on_connected(start, r.timeout);
    CHECK(d.ping_interval() == r.ping);
    CHECK(d.read_timeout() == r.read);
    CHECK(d.next() == start + r.ping);
    CHECK(!d.ping_due(start + r.ping - 1ns));
    CHECK(d.ping_due(start + r.ping));

    // Whatever is sent postpones the ping, what is received does not.
    d.on_sent(start + r.ping / 2);
    CHECK(!d.ping_due(start + r.ping));
    d.on_received(start + r.ping);
    CHECK(d.ping_due(start + r.ping / 2 + r.ping));
    CHECK(d.next() == start + r.ping / 2 + r.ping);
}

TEST_CASE("two thirds of the timeout without a frame are the end, however busy we are", "[T16]")
{
    deadlines d;
    d.on_connected(start, 6s);
    for (duration t = 1s; t < 4s; t += 1s) {
        d.on_sent(start + t);
        CHECK(!d.read_expired(start + t));
    }
    CHECK(d.next() == start + 4s);
    CHECK(!d.read_expired(start + 4s - 1ns));
    CHECK(d.read_expired(start + 4s));
    // One frame and it has all its time again.
    d.on_received(start + 3s);
    CHECK(!d.read_expired(start + 7s - 1ns));
    CHECK(d.read_expired(start + 7s));
}

TEST_CASE("an idle connection to a server that answers lives for ever", "[C25]")
{
    deadlines d;
    d.on_connected(start, 4s);
    const duration round_trip = 500ms;
    std::vector<time_point> pings;
    time_point now = start;
    for (int i = 0; i < 1000; ++i) {
        now = d.next();
        REQUIRE(!d.read_expired(now));
        REQUIRE(d.ping_due(now));
        pings.push_back(now);
        d.on_sent(now);
        d.on_received(now + round_trip);
    }
    for (std::size_t i = 1; i < pings.size(); ++i) {
        CHECK(pings[i] - pings[i - 1] == d.ping_interval());
    }
}

TEST_CASE("the timeout is that of the newest handshake", "[T60]")
{
    deadlines d;
    d.on_connected(start, 60s);
    d.on_connected(start + 1s, 3s);
    CHECK(d.ping_interval() == 1s);
    CHECK(d.next() == start + 2s);
}

TEST_CASE("no overflow with the longest timeout that a server can give")
{
    deadlines d;
    d.on_connected(start, std::chrono::milliseconds(0x7fffffff));
    CHECK(d.next() == start + 10s);
    CHECK(d.read_timeout() > 300h);
}

TEST_CASE("the connect timeout is a share of the session's, within bounds", "[C32]")
{
    coati::config c;
    CHECK(connect_timeout(c, 5, 10s) == 2s);
    CHECK(connect_timeout(c, 2, 10s) == 5s);
    CHECK(connect_timeout(c, 1, 9s) == 6s);  // two thirds: the read timeout
    CHECK(connect_timeout(c, 0, 9s) == 6s);
    CHECK(connect_timeout(c, 100, 5s) == 100ms);
    CHECK(connect_timeout(c, 100, 90ms) == 60ms);
    c.connect_timeout = 250ms;
    CHECK(connect_timeout(c, 5, 10s) == 250ms);
    c.connect_timeout = std::chrono::milliseconds::max();
    CHECK(connect_timeout(c, 5, 10s) > 24h * 365 * 100);
}
