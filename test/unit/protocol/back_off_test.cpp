// The delay before each attempt to connect: at once when one client is alone, spread when many are.

#include "random.hpp"

#include <coati/protocol/back_off.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>

using namespace std::chrono_literals;
using coati::duration;
using coati::time_point;
using coati::protocol::attempt_delay;
using coati::protocol::connect_reason;
using coati::protocol::longest_delay;
using coati::protocol::reconnect_pace;

namespace {

constexpr duration spread = 100ms;
constexpr duration timeout = 10s;
constexpr auto highest = std::numeric_limits<std::uint64_t>::max();

constexpr duration longest(connect_reason why, std::size_t attempt, std::size_t servers = 3)
{
    return longest_delay(why, attempt, servers, spread, timeout);
}

// The mean of the delays that a pace gives now.
duration mean_delay(const reconnect_pace& pace, std::size_t servers = 3)
{
    coati_test::seeded_random random(11);
    duration sum{0};
    for (int i = 0; i < 1000; ++i) {
        sum += pace.next_delay(random(), servers, spread, timeout);
    }
    return sum / 1000;
}

}  // namespace

TEST_CASE("the first connect ever does not wait during the first round", "[C31]")
{
    reconnect_pace pace;
    CHECK(pace.why() == connect_reason::first_ever);
    for (int attempt = 0; attempt < 3; ++attempt) {
        CHECK(pace.next_delay(highest, 3, spread, timeout) == 0ms);
        CHECK(pace.next_delay(7, 3, spread, timeout) == 0ms);
        pace.on_attempt_failed();
    }
    CHECK(mean_delay(pace) > 40ms);
}

TEST_CASE("after a loss the first attempt is spread, the rest of the round does not wait", "[C31]")
{
    reconnect_pace pace;
    pace.on_established(time_point{});
    pace.on_lost(time_point{} + 1h, timeout);
    CHECK(pace.why() == connect_reason::after_loss);
    CHECK(mean_delay(pace) > 45ms);
    CHECK(mean_delay(pace) < 55ms);
    for (int attempt = 1; attempt < 3; ++attempt) {
        pace.on_attempt_failed();
        CHECK(mean_delay(pace) == 0ms);
    }
    pace.on_attempt_failed();
    CHECK(mean_delay(pace) > 45ms);

    // 0 is for benchmarks: at once.
    CHECK(longest_delay(connect_reason::after_loss, 0, 3, 0ms, timeout) == 0ms);
}

TEST_CASE("a move that we chose does not wait", "[C31]")
{
    reconnect_pace pace;
    pace.on_established(time_point{});
    pace.on_moved(time_point{} + 1h, timeout);
    CHECK(pace.why() == connect_reason::moved_by_choice);
    CHECK(mean_delay(pace) == 0ms);
}

TEST_CASE("the bound doubles with each round up to its cap", "[C31][T21]")
{
    const auto failed = connect_reason::after_failure;
    STATIC_CHECK(longest(connect_reason::first_ever, 2) == 0ms);
    STATIC_CHECK(longest(connect_reason::after_failure, 3) == 100ms);
    CHECK(longest(failed, 5) == 100ms);
    CHECK(longest(failed, 6) == 200ms);
    CHECK(longest(failed, 9) == 400ms);
    CHECK(longest(failed, 12) == 800ms);
    CHECK(longest(failed, 15) == 1600ms);
    CHECK(longest(failed, 18) == 2500ms);  // a quarter of the session timeout
    CHECK(longest_delay(failed, 18, 3, spread, 60s) == 3200ms);
    CHECK(longest_delay(failed, 21, 3, spread, 60s) == 5s);
    CHECK(longest(failed, 3, 1) == 400ms);
    // Days of failures, an unknown number of servers, nonsense: bounded all the same.
    const auto days = std::numeric_limits<std::size_t>::max();
    CHECK(longest_delay(failed, days, 1, spread, 60s) == 5s);
    CHECK(longest_delay(failed, days, 0, spread, 60s) == 5s);
    CHECK(longest_delay(failed, days, 1, spread, 0s) == 0s);
    CHECK(longest_delay(failed, days, 1, -1s, -1s) == 0s);
    CHECK(attempt_delay(failed, days, 1, spread, 60s, highest) <= 5s);
}

TEST_CASE("delays are uniform from nothing to the longest", "[T21]")
{
    const auto [why, attempt] = GENERATE(std::pair(connect_reason::after_loss, std::size_t{0}),
                                         std::pair(connect_reason::after_failure, std::size_t{6}));
    const duration most = longest(why, attempt);
    coati_test::seeded_random random(12);
    std::array<int, 10> buckets{};
    constexpr int clients = 1000;
    for (int i = 0; i < clients; ++i) {
        const duration delay = attempt_delay(why, attempt, 3, spread, timeout, random());
        REQUIRE(delay >= 0ms);
        REQUIRE(delay <= most);
        const auto bucket = static_cast<std::size_t>(delay * 10 / (most + 1ns));
        ++buckets.at(bucket);
    }
    for (const int count : buckets) {
        CHECK(count > 60);  // a mean of 100, four sigma
        CHECK(count < 140);
    }
}

TEST_CASE("a server that accepts and closes at once is not asked in a tight loop", "[T22]")
{
    coati_test::seeded_random random(13);
    const std::size_t servers = GENERATE(1U, 3U);
    reconnect_pace pace;
    time_point now{};
    int connections = 0;
    while (now < time_point{} + 60s) {
        now += pace.next_delay(random(), servers, spread, timeout);
        now += 1ms;
        pace.on_established(now);
        ++connections;
        now += 1ms;
        pace.on_lost(now, timeout);
    }
    // Without the rule: 60 s at 50 ms of spread, more than 1100.
    CHECK(connections < 100);
    CHECK(connections > 20);
}

TEST_CASE("only a connection that lasted ends an outage", "[T22]")
{
    reconnect_pace pace;
    for (int i = 0; i < 8; ++i) {
        pace.on_attempt_failed();
    }
    time_point now{};
    pace.on_established(now);
    now += timeout / 3 - 1ns;
    pace.on_lost(now, timeout);
    CHECK(pace.attempt() == 9);
    CHECK(pace.next_delay(highest, 3, spread, timeout) <= 400ms);
    CHECK(mean_delay(pace) > 150ms);  // the longer of spread and back-off

    pace.on_established(now);
    now += timeout / 3;
    pace.on_lost(now, timeout);
    CHECK(pace.attempt() == 0);
    CHECK(mean_delay(pace) < 55ms);

    // A loss before anything was established counts as a failure.
    pace.on_lost(now, timeout);
    CHECK(pace.attempt() == 1);
    // A short stay that we left ourselves does not reset the count either.
    pace.on_established(now);
    pace.on_moved(now + 1ms, timeout);
    CHECK(pace.attempt() == 2);
}
