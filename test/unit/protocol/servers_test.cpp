// The order of the servers: spread evenly, round robin, never the lost one first.

#include "random.hpp"

#include <coati/protocol/servers.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

using coati::server_address;
using coati::protocol::server_order;

namespace {

std::vector<server_address> three()
{
    return {{"a", 1}, {"b", 2}, {"c", 3}};
}

std::string hosts(server_order& order, int count)
{
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += order.next().host;
    }
    return text;
}

}  // namespace

TEST_CASE("first servers are uniform within three sigma", "[S37][T21]")
{
    constexpr int connects = 3000;
    const double mean = connects / 3.0;
    const double sigma = std::sqrt(connects * (1.0 / 3) * (2.0 / 3));
    coati_test::seeded_random random(20240117);
    // Where a client goes first, and where it goes when that one is lost.
    std::array<std::array<int, 3>, 2> seen{};
    for (int i = 0; i < connects; ++i) {
        server_order order(three(), true, random);
        ++seen[0].at(order.next().port - 1U);
        ++seen[1].at(order.next().port - 1U);
    }
    for (const auto& round : seen) {
        for (const int count : round) {
            CHECK(std::abs(count - mean) < 3 * sigma);
        }
    }
}

TEST_CASE("the clients of a lost server spread over all the others", "[T21]")
{
    coati_test::seeded_random random(5);
    int to_b = 0;
    int from_a = 0;
    for (int i = 0; i < 9000; ++i) {
        server_order order(three(), true, random);
        if (order.next().host == "a") {
            order.on_connected();
            ++from_a;
            to_b += order.next().host == "b" ? 1 : 0;
        }
    }
    CHECK(std::abs(to_b - from_a / 2.0) < 3 * std::sqrt(from_a * 0.25));
}

TEST_CASE("shuffling keeps every server and can be switched off", "[C8]")
{
    int calls = 0;
    const auto counting = [&] {
        ++calls;
        return std::uint64_t{0};
    };
    server_order written(three(), false, counting);
    CHECK(hosts(written, 6) == "abcabc");
    CHECK(calls == 0);

    std::set<std::string> orders;
    coati_test::seeded_random random(6);
    for (int i = 0; i < 200; ++i) {
        server_order order(three(), true, random);
        const std::string round = hosts(order, 3);
        CHECK(std::set<char>(round.begin(), round.end()).size() == 3);
        CHECK(hosts(order, 3) == round);
        orders.insert(round);
    }
    CHECK(orders.size() == 6);

    // One seed, one order.
    coati_test::seeded_random one(7);
    coati_test::seeded_random same(7);
    server_order first(three(), true, one);
    server_order second(three(), true, same);
    CHECK(hosts(first, 3) == hosts(second, 3));
}

TEST_CASE("next goes round and counts the rounds since the last connection", "[C9]")
{
    coati_test::seeded_random random(8);
    server_order order(three(), false, random);
    CHECK(order.size() == 3);
    CHECK(order.cycle() == 0);
    CHECK(hosts(order, 2) == "ab");
    CHECK(order.cycle() == 0);
    CHECK(order.next().host == "c");
    CHECK(order.cycle() == 1);
    CHECK(hosts(order, 4) == "abca");
    CHECK(order.cycle() == 2);
    // Connected to a, lost it: the others come first, a comes last.
    order.on_connected();
    CHECK(order.cycle() == 0);
    CHECK(hosts(order, 3) == "bca");
    CHECK(order.cycle() == 1);
}

TEST_CASE("never the same server twice in a row when there are others", "[S37]")
{
    coati_test::seeded_random random(9);
    for (std::size_t count = 2; count < 6; ++count) {
        std::vector<server_address> servers;
        for (std::size_t i = 0; i < count; ++i) {
            servers.push_back({"zk", static_cast<std::uint16_t>(i + 1)});
        }
        server_order order(servers, true, random);
        std::uint16_t last = 0;
        for (int i = 0; i < 100; ++i) {
            const std::uint16_t port = order.next().port;
            CHECK(port != last);
            last = port;
            if (random() % 4 == 0) {
                order.on_connected();
            }
        }
    }
}

TEST_CASE("a single server is tried again and again")
{
    coati_test::seeded_random random(10);
    server_order order({{"only", 2181}}, true, random);
    CHECK(hosts(order, 3) == "onlyonlyonly");
    CHECK(order.cycle() == 3);
    const server_order none({}, true, random);
    CHECK(none.size() == 0);
    CHECK(none.cycle() == 0);
}

// --- preferences

namespace {

/// a and b are at home, c and d are not.
double cost_of(const server_address& server)
{
    return server.host < "c" ? 0 : 1;
}

std::vector<server_address> four()
{
    return {{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}};
}

std::string preferred(server_order& order, int count)
{
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += order.next(&cost_of).host;
    }
    return text;
}

}  // namespace

TEST_CASE("cheaper servers come first in every round, at random among themselves", "[hosts]")
{
    coati_test::seeded_random random(11);
    std::set<std::string> rounds;
    for (int i = 0; i < 200; ++i) {
        server_order order(four(), true, random);
        const std::string round = preferred(order, 4);
        CHECK(round.find_first_of("cd") == 2);
        CHECK(order.cycle() == 1);
        const std::string next = preferred(order, 4);
        CHECK(next.find_first_of("cd") == 2);
        rounds.insert(round);
    }
    CHECK(rounds.size() == 4);
}

TEST_CASE("a lost server is the last of its kind, and the last of all where it is the only one",
          "[hosts]")
{
    int calls = 0;
    const auto none = [&] { return static_cast<std::uint64_t>(++calls); };
    server_order order(four(), false, none);
    CHECK(preferred(order, 1) == "a");
    order.on_connected();
    CHECK(preferred(order, 4) == "bacd");

    server_order alone({{"c", 1}, {"a", 2}, {"d", 3}}, false, none);
    CHECK(preferred(alone, 1) == "a");
    alone.on_connected();
    CHECK(preferred(alone, 3) == "dca");
    alone.take({"c", 1});  // chosen by somebody else
    alone.on_connected();
    CHECK(preferred(alone, 3) == "adc");
}

TEST_CASE("servers to fall back on end each round, those that are listed do not count twice",
          "[hosts]")
{
    coati_test::seeded_random random(12);
    server_order order(three(), false, random);
    order.next();
    order.on_connected();
    const server_address present{"a", 1};
    const coati::protocol::server_list list({{"x", 1}, {"a", 1}}, three());
    CHECK_FALSE(order.update(list, false, &present, random, coati::protocol::no_preference()));
    CHECK(order.size() == 4);
    CHECK(order.servers().size() == 2);
    CHECK(hosts(order, 8) == "xabcxabc");
    CHECK(order.cycle() == 2);
    CHECK(order.lists({"x", 1}));
    CHECK_FALSE(order.lists({"b", 2}));
}

TEST_CASE("a growing zone is balanced within itself, and only by those who are in it", "[hosts]")
{
    coati_test::seeded_random random(13);
    int moved = 0;
    for (int i = 0; i < 3000; ++i) {
        server_order order({{"a", 1}, {"c", 3}, {"d", 4}}, true, random);
        REQUIRE(order.next(&cost_of).host == "a");
        order.on_connected();
        const server_address at_home{"a", 1};
        // Of two servers in the zone one is new: half of the clients go there.
        if (order.update(coati::protocol::server_list(four()), true, &at_home, random, &cost_of)) {
            CHECK(order.next(&cost_of).host == "b");
            ++moved;
        }
        // Who sits outside, since the zone has failed, is not sent there by a change of the list.
        const server_address outside{"c", 3};
        auto more = four();
        more.push_back({"aa", 5});
        CHECK_FALSE(
            order.update(coati::protocol::server_list(more), true, &outside, random, &cost_of));
        // But who has to leave goes home.
        const server_address gone{"z", 9};
        CHECK(order.update(coati::protocol::server_list(four()), true, &gone, random, &cost_of));
        CHECK(order.next(&cost_of).host < "c");
    }
    CHECK(std::abs(moved - 1500) < 3 * std::sqrt(3000 * 0.25));
}
