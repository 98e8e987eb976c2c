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
