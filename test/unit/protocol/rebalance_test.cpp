// A list of servers that changes under many clients: afterwards they are spread evenly, and no more
// of them have moved than that takes.

#include "random.hpp"

#include <coati/protocol/rebalance.hpp>
#include <coati/protocol/servers.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

using coati::server_address;
using coati::protocol::plan_move;
using coati::protocol::server_order;

namespace {

/// Servers named by a letter each.
std::vector<server_address> named(const std::string& letters)
{
    std::vector<server_address> all;
    for (const char each : letters) {
        all.push_back({std::string(1, each), 2181});
    }
    return all;
}

struct outcome {
    std::map<std::string, int> clients;  // by server
    int moved = 0;
};

/// Many clients, evenly on `before`, are told of `now`; every server answers.
outcome tell(const std::string& before, const std::string& now, int clients)
{
    coati_test::seeded_random random(20260101);
    outcome after;
    for (int i = 0; i < clients; ++i) {
        server_order order(named(before), true, random);
        const server_address present = order.next();
        order.on_connected();
        if (order.update(named(now), true, &present, random)) {
            ++after.moved;
            ++after.clients[order.next().host];
        } else {
            ++after.clients[present.host];
        }
    }
    return after;
}

}  // namespace

TEST_CASE("clients are spread evenly after every change of the list", "[T21][rebalance]")
{
    struct change {
        const char* before;
        const char* now;
        double moving;  // the share of clients that has to move
    };
    const auto c = GENERATE(change{"abc", "abcd", 1.0 / 4},    // one is added
                            change{"abc", "abcdef", 1.0 / 2},  // three are
                            change{"abcd", "abc", 1.0 / 4},    // one is removed
                            change{"abcde", "ab", 3.0 / 5},    // three are
                            change{"abc", "abd", 1.0 / 3},     // one is replaced
                            change{"abc", "def", 1.0},         // all are
                            change{"abcd", "abef", 1.0 / 2},   // two are
                            change{"abcde", "abcf", 2.0 / 5},  // fewer, and another one
                            change{"abc", "abc", 0.0});
    CAPTURE(c.before, c.now);
    constexpr int clients = 30'000;
    const outcome after = tell(c.before, c.now, clients);
    const double share = 1.0 / static_cast<double>(std::string(c.now).size());
    const double mean = clients * share;
    const double sigma = std::sqrt(clients * share * (1 - share));
    CHECK(after.clients.size() == std::string(c.now).size());
    for (const auto& [server, count] : after.clients) {
        CAPTURE(server);
        CHECK(std::abs(count - mean) < 4 * sigma);
    }
    CHECK(std::abs(after.moved - clients * c.moving) <=
          4 * std::sqrt(clients * 0.25) * (c.moving > 0));
}

TEST_CASE("after the first attempts the new list goes round, without the old one", "[rebalance]")
{
    coati_test::seeded_random random(3);
    server_order order(named("abc"), false, random);
    const server_address present = order.next();
    REQUIRE(order.update(named("de"), false, &present, random));
    std::string seen;
    for (int i = 0; i < 6; ++i) {
        seen += order.next().host;
    }
    CHECK(std::count(seen.begin(), seen.end(), 'd') == 3);
    CHECK(std::count(seen.begin(), seen.end(), 'e') == 3);
    CHECK(order.size() == 2);
}

TEST_CASE("who stays goes on behind its own server when that is lost", "[rebalance]")
{
    coati_test::seeded_random random(3);
    server_order order(named("abc"), false, random);
    order.next();
    const server_address present = order.next();  // b
    order.on_connected();
    CHECK(!order.update(named("cba"), false, &present, random));
    CHECK(order.next().host == "a");
    CHECK(order.next().host == "c");
    CHECK(order.next().host == "b");
}

TEST_CASE("a success ends the order of a move", "[rebalance]")
{
    coati_test::seeded_random random(3);
    server_order order(named("abc"), false, random);
    const server_address present = order.next();
    REQUIRE(order.update(named("defg"), false, &present, random));
    order.next();
    order.on_connected();
    CHECK(order.cycle() == 0);
    std::string seen;
    for (int i = 0; i < 4; ++i) {
        seen += order.next().host;
    }
    std::sort(seen.begin(), seen.end());
    CHECK(seen == "defg");
}

TEST_CASE("without a present server there is nothing to leave", "[rebalance]")
{
    coati_test::seeded_random random(3);
    server_order order(named("abc"), false, random);
    CHECK(!order.update(named("de"), false, nullptr, random));
    CHECK(order.next().host == "d");
}
