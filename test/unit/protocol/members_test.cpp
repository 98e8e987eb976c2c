// Where a member of the ensemble may be asked for: wildcards, internal names, missing ports.

#include <coati/protocol/members.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using coati::ensemble_member;
using coati::server_address;
using coati::protocol::client_addresses;

namespace {

std::vector<server_address> places(const std::string& line,
                                   const std::vector<server_address>& configured = {})
{
    const auto member = ensemble_member::parse(line);
    REQUIRE(member);
    return client_addresses(*member, configured);
}

}  // namespace

TEST_CASE("a wildcard stands for the host by which the servers reach this one", "[hosts]")
{
    const std::vector<server_address> expected = {{"zk1", 2182}};
    CHECK(places("server.1=zk1:2888:3888:participant;2182") == expected);
    CHECK(places("server.1=zk1:2888:3888:participant;0.0.0.0:2182") == expected);
    CHECK(places("server.1=zk1:2888:3888:participant;[::]:2182") == expected);
    CHECK(places("server.1=zk1:2888:3888:participant;[0:0:0:0:0:0:0:0]:2182") == expected);
}

TEST_CASE("a client address is asked first, the other hosts after it, each once", "[hosts]")
{
    CHECK(places("server.1=zk1:2888:3888;10.0.0.1:2181") ==
          std::vector<server_address>{{"10.0.0.1", 2181}, {"zk1", 2181}});
    CHECK(places("server.1=zk1:2888:3888;zk1:2181") == std::vector<server_address>{{"zk1", 2181}});
    CHECK(places("server.1=zk1:2888:3888|zk1b:2889:3889|zk1:1:2;2181") ==
          std::vector<server_address>{{"zk1", 2181}, {"zk1b", 2181}});
    CHECK(places("server.1=[fd00::1]:2888:3888;2181") ==
          std::vector<server_address>{{"fd00::1", 2181}});
}

TEST_CASE("without a port only a configured server on the same host tells it", "[hosts]")
{
    CHECK(places("server.1=zk1:2888:3888").empty());
    CHECK(places("server.1=zk1:2888:3888", {{"zk2", 2281}}).empty());
    CHECK(places("server.1=zk1:2888:3888", {{"zk2", 2281}, {"zk1", 2282}}) ==
          std::vector<server_address>{{"zk1", 2282}});
}

TEST_CASE("the zone is that of the configured server on the same host", "[hosts]")
{
    const auto found = places("server.1=zk1:2888:3888;2199", {{"zk1", 2181, "eu"}});
    REQUIRE(found.size() == 1);
    CHECK(found[0].port == 2199);
    CHECK(found[0].zone == "eu");
    CHECK(places("server.1=zk2:2888:3888;2199", {{"zk1", 2181, "eu"}})[0].zone.empty());
}
