// The text of /zookeeper/config: every form of a line that servers write, and what is malformed.

#include <coati/ensemble_config.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace coati;

TEST_CASE("a configuration is its servers, its version, and whatever else stands there",
          "[ensemble_config]")
{
    const std::string text = "server.1=127.0.0.1:2888:3888:participant;0.0.0.0:2181\n"
                             "server.2=zk2.example.org:2888:3888:observer;2182\n"
                             "server.10=[::1]:2888:3888:participant;[fe80::1]:2183\r\n"
                             "group.1=1:2\n"
                             "weight.1=3\n"
                             "\n"
                             "version=1f00000003";
    const auto read = ensemble_config::parse(text);
    REQUIRE(read);
    REQUIRE(read->members.size() == 3);
    const ensemble_member& first = read->members[0];
    CHECK(first.id == 1);
    CHECK(first.peers == std::vector<peer_address>{{"127.0.0.1", 2888, 3888}});
    CHECK(first.role == server_role::participant);
    CHECK(first.client_host == "0.0.0.0");
    CHECK(first.client_port == 2181);
    const ensemble_member& second = read->members[1];
    CHECK(second.peers[0].host == "zk2.example.org");
    CHECK(second.role == server_role::observer);
    CHECK(second.client_host.empty());
    CHECK(second.client_port == 2182);
    const ensemble_member& third = read->members[2];
    CHECK(third.id == 10);
    CHECK(third.peers[0].host == "::1");
    CHECK(third.client_host == "fe80::1");
    CHECK(third.client_port == 2183);
    CHECK(read->other == std::vector<std::string>{"group.1=1:2", "weight.1=3"});
    CHECK(read->version == 0x1f00000003);
    CHECK(explain_ensemble_config_error(text).empty());
}

TEST_CASE("a server may have several addresses, no role and no client port", "[ensemble_config]")
{
    const auto bare = ensemble_member::parse("server.3=h:1:2");
    REQUIRE(bare);
    CHECK(bare->role == server_role::participant);
    CHECK_FALSE(bare->client_port);
    const auto many = ensemble_member::parse("server.3=a:1:2|[::2]:3:4:observer;5");
    REQUIRE(many);
    CHECK(many->peers == std::vector<peer_address>{{"a", 1, 2}, {"::2", 3, 4}});
    CHECK(many->role == server_role::observer);
    CHECK(many->client_port == 5);
}

TEST_CASE("what is read is written again", "[ensemble_config]")
{
    for (const std::string line :
         {"server.1=127.0.0.1:2888:3888:participant;0.0.0.0:2181", "server.-7=h:1:2:observer;5",
          "server.3=h:1:65535:participant", "server.3=a:1:2|[::2]:3:4:observer;[::1]:5"}) {
        CAPTURE(line);
        const auto read = ensemble_member::parse(line);
        REQUIRE(read);
        CHECK(read->to_string() == line);
    }
    const ensemble_member made(4, peer_address("zk4", 2888, 3888), server_role::observer, 2181);
    CHECK(made.to_string() == "server.4=zk4:2888:3888:observer;2181");
    const auto again = ensemble_member::parse(made.to_string());
    REQUIRE(again);
    CHECK(*again == made);
}

TEST_CASE("a standalone server has an empty configuration", "[ensemble_config]")
{
    const auto read = ensemble_config::parse("");
    REQUIRE(read);
    CHECK(*read == ensemble_config());
}

TEST_CASE("a malformed line is an error that names it", "[ensemble_config]")
{
    const std::vector<std::string> lines{
        "server.=h:1:2:participant",
        "server.x=h:1:2:participant",
        "server.1",
        "server.1=",
        "server.1=h",
        "server.1=h:1",
        "server.1=:1:2:participant",
        "server.1=h:0:2:participant",
        "server.1=h:1:65536:participant",
        "server.1=h:one:2:participant",
        "server.1=h:1:2:leader",
        "server.1=h:1:2:participant:more",
        "server.1=h:1:2:participant|g:1:2",
        "server.1=h:1:2|:participant",
        "server.1=[::1:1:2:participant",
        "server.1=[]:1:2:participant",
        "server.1=[::1]1:2:participant",
        "server.1=h:1:2:participant;",
        "server.1=h:1:2:participant;port",
        "server.1=h:1:2:participant;:2181",
        "server.1=h:1:2:participant;0.0.0.0:99999",
        "version=",
        "version=xyz",
        "version=10000000000000000",
        "what is this",
    };
    for (const std::string& line : lines) {
        CAPTURE(line);
        const std::string text = "server.9=h:1:2:participant;3\n" + line + "\nversion=1\n";
        const auto read = ensemble_config::parse(text);
        REQUIRE_FALSE(read);
        CHECK(read.error() == errc::invalid_config);
        const std::string words = explain_ensemble_config_error(text);
        CHECK(words.starts_with("line 2: "));
        CHECK(words.ends_with(line));
    }
    CHECK_FALSE(ensemble_config::parse("version=1\nversion=1"));
    CHECK_FALSE(ensemble_config::parse("server.1=a:1:2\nserver.1=b:1:2"));
    CHECK_FALSE(ensemble_member::parse("version=1"));
}

TEST_CASE("a change of members is what the request says", "[ensemble_config]")
{
    const ensemble_member one(1, peer_address("a", 1, 2), server_role::participant, 3);
    const ensemble_member two(2, peer_address("b", 1, 2), server_role::observer, 3, "0.0.0.0");
    const membership_change both({one, two}, {3, 4}, 0x1f);
    CHECK_FALSE(both.is_whole());
    CHECK_FALSE(both.is_malformed());
    CHECK(both.members() == "server.1=a:1:2:participant;3,server.2=b:1:2:observer;0.0.0.0:3");
    CHECK(both.leaving() == "3,4");
    CHECK(both.expected_version() == 0x1f);
    const auto whole = membership_change::whole({one});
    CHECK(whole.is_whole());
    CHECK_FALSE(whole.expected_version());
    CHECK_FALSE(membership_change({}, {3}).is_malformed());
    CHECK(membership_change({}, {}).is_malformed());
    CHECK(membership_change::whole({}).is_malformed());
    CHECK(membership_change({ensemble_member()}, {}).is_malformed());
}
