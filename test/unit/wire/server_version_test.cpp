// Versions as servers say them, and the release of every operation.

#include <coati/wire/server_version.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using coati::wire::op_code;
using coati::wire::parse_server_version;
using coati::wire::server_version;
using coati::wire::since;
using coati::wire::version_in_srvr;

TEST_CASE("versions are compared number by number")
{
    CHECK(server_version(3, 10, 0) > server_version(3, 9, 9));
    CHECK(server_version(4, 0, 0) > server_version(3, 999, 999));
    CHECK(server_version(3, 5, 3) >= server_version(3, 5, 3));
}

TEST_CASE("a version is read up to its third number", "[C154]")
{
    CHECK(parse_server_version("3.8.0") == server_version(3, 8, 0));
    CHECK(parse_server_version("3.10.12-beta") == server_version(3, 10, 12));
    for (const char* wrong : {"", "3", "3.", "3.8", "3.8.", "3.8.x", "v3.8.0", "-3.8.0", "3.-8.0",
                              "3.8.1000", "3..8", "99999999999.1.1", " 3.8.0"}) {
        INFO(wrong);
        CHECK_FALSE(parse_server_version(wrong));
    }
}

TEST_CASE("the answer to srvr begins with the version, or does not say it", "[C154]")
{
    // As Debian's 3.8.0 says it.
    CHECK(version_in_srvr("Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, "
                          "built on 2022-02-25 08:49 UTC\nLatency min/avg/max: 0/0.0/0\n") ==
          server_version(3, 8, 0));
    for (const char* wrong : {"", "Zookeeper version: ", "Zookeeper version: unknown",
                              "srvr is not executed because it is not in the whitelist.\n",
                              "This ZooKeeper instance is not currently serving requests\n",
                              "ClickHouse Keeper version: v23.8.1-stable\n"}) {
        INFO(wrong);
        CHECK_FALSE(version_in_srvr(wrong));
    }
}

TEST_CASE("every operation has its release, and one knows them all", "[T54]")
{
    for (const op_code op : coati::wire::all_op_codes) {
        INFO(name(op));
        CHECK(since(op) >= server_version(3, 4, 0));
        CHECK(since(op) <= coati::wire::since_all);
    }
    CHECK(since(op_code::create) == server_version(3, 4, 0));
    CHECK(since(op_code::create2) == server_version(3, 5, 0));
    CHECK(since(op_code::create_ttl) == server_version(3, 5, 3));
    CHECK(since(op_code::add_watch) == server_version(3, 6, 0));
    CHECK(since(op_code::who_am_i) == server_version(3, 7, 0));
}
