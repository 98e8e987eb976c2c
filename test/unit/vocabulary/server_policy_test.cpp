// The value that names a preference among servers.

#include <coati/config.hpp>
#include <coati/server_policy.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <type_traits>

using namespace std::chrono_literals;
using coati::server_policy;
using kind = server_policy::kind;

TEST_CASE("a policy is made by name, and random by default", "[hosts]")
{
    CHECK(server_policy() == server_policy::random());
    CHECK(coati::config().server_policy == server_policy::random());
    CHECK(server_policy::random().what() == kind::random);
    CHECK(server_policy::in_order().what() == kind::in_order);
    const auto zone = server_policy::prefer_zone("eu-1");
    CHECK(zone.what() == kind::zone);
    CHECK(zone.zone() == "eu-1");
    CHECK(zone != server_policy::prefer_zone("eu-2"));
    const auto near = server_policy::nearest();
    CHECK(near.what() == kind::nearest);
    CHECK(near.needed().factor == 1.5);
    CHECK(near.needed().difference == 1ms);
    CHECK(near.needed().rounds == 5);
    CHECK(near != server_policy::nearest({2.0, 500us, 3}));
    STATIC_CHECK(!std::is_aggregate_v<server_policy>);
    STATIC_CHECK(std::is_trivially_destructible_v<coati::latency_advantage>);
}

TEST_CASE("a zone is a label: the same server with another one is the same server", "[hosts]")
{
    const coati::server_address plain{"zk1", 2181};
    const coati::server_address labelled{"zk1", 2181, "eu-1"};
    CHECK(plain == labelled);
    CHECK(plain != coati::server_address{"zk1", 2182});
    CHECK(plain != coati::server_address{"zk2", 2181});
    CHECK(plain.zone.empty());
}
