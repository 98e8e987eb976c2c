// What proves that a server still takes the session for alive.

#include <coati/protocol/lease.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>

using namespace std::chrono_literals;
using coati::time_point;
using coati::protocol::lease;

namespace {

time_point at(std::chrono::milliseconds ms)
{
    return time_point(ms);
}

}  // namespace

TEST_CASE("nothing is proved before the first handshake", "[lease]")
{
    lease of;
    CHECK(!of.proved());
    of.on_sent(at(1ms), 0);
    CHECK(!of.proved());
    of.on_connected(at(5ms));
    CHECK(of.proved() == at(5ms));
    of.reset();
    CHECK(!of.proved());
}

TEST_CASE("a request counts from when it was sent, once it has been answered", "[lease][S12]")
{
    lease of;
    of.on_connected(at(0ms));
    of.on_sent(at(10ms), 0);
    of.on_answered(0);
    CHECK(of.proved() == at(0ms));
    of.on_answered(1);
    CHECK(of.proved() == at(10ms));
}

TEST_CASE("an answer to what was sent before proves nothing about what is sent now", "[lease]")
{
    lease of;
    of.on_connected(at(0ms));
    of.on_sent(at(10ms), 0);  // frames 0 to 4
    of.on_sent(at(20ms), 5);  // no second probe meanwhile
    of.on_answered(5);
    CHECK(of.proved() == at(10ms));
    of.on_sent(at(30ms), 6);
    of.on_answered(6);
    CHECK(of.proved() == at(10ms));
    of.on_answered(7);
    CHECK(of.proved() == at(30ms));
}

TEST_CASE("a lost connection takes its probe along, and the lease never goes back", "[lease]")
{
    lease of;
    of.on_connected(at(0ms));
    of.on_sent(at(50ms), 0);
    of.on_connected(at(40ms));
    of.on_answered(1);
    CHECK(of.proved() == at(40ms));
    of.on_connected(at(10ms));
    CHECK(of.proved() == at(40ms));
}
