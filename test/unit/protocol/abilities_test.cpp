// What is known of the servers, and when they are asked.

#include <coati/protocol/abilities.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using coati::protocol::abilities;
using coati::protocol::knowledge;
using coati::wire::op_code;
using coati::wire::server_version;

TEST_CASE("only what came after 3.5.3 is worth a question", "[T54]")
{
    abilities a;
    a.on_connected("a");
    for (const op_code old : {op_code::create, op_code::create2, op_code::create_ttl,
                              op_code::remove_watches, op_code::reconfig}) {
        CHECK(a.of(old) == knowledge::known);
    }
    for (const op_code later : {op_code::multi_read, op_code::get_ephemerals, op_code::add_watch,
                                op_code::get_all_children_number, op_code::who_am_i}) {
        CHECK(a.of(later) == knowledge::ask);
    }
}

TEST_CASE("a version settles every operation", "[T54]")
{
    abilities a;
    a.on_connected("a");
    a.on_version(server_version(3, 6, 4));
    CHECK(a.of(op_code::add_watch) == knowledge::known);
    CHECK(a.of(op_code::who_am_i) == knowledge::unknown);
    a.on_version(server_version(3, 4, 14));
    CHECK(a.of(op_code::create2) == knowledge::unknown);
    CHECK(a.of(op_code::create) == knowledge::known);
}

TEST_CASE("a server that does not say its version is tried, and remembered", "[T54]")
{
    abilities a;
    a.on_connected("a");
    a.on_version(std::nullopt);
    CHECK(a.of(op_code::who_am_i) == knowledge::known);
    a.on_refused(op_code::who_am_i);
    CHECK(a.of(op_code::who_am_i) == knowledge::unknown);
    CHECK(a.of(op_code::add_watch) == knowledge::known);
    a.on_connected("b");
    CHECK(a.of(op_code::who_am_i) == knowledge::ask);
    a.on_connected("a");
    CHECK(a.of(op_code::who_am_i) == knowledge::unknown);
    a.reset();
    a.on_connected("a");
    CHECK(a.of(op_code::who_am_i) == knowledge::ask);
}

TEST_CASE("what a server can, it can; what it could not is asked again")
{
    abilities a;
    a.on_connected("a");
    a.on_version(server_version(3, 9, 3));
    a.on_connected("b");
    a.on_version(server_version(3, 6, 0));
    a.on_connected("a");
    CHECK(a.of(op_code::who_am_i) == knowledge::known);
    a.on_connected("b");
    CHECK(a.of(op_code::who_am_i) == knowledge::ask);  // it may have been upgraded
}

TEST_CASE("of addresses that change for ever the last 64 are remembered")
{
    abilities a;
    for (int i = 0; i < 65; ++i) {
        a.on_connected(std::to_string(i));
        a.on_refused(op_code::multi);
    }
    a.on_connected("1");
    CHECK(a.of(op_code::multi) == knowledge::unknown);
    a.on_connected("0");
    CHECK(a.of(op_code::multi) == knowledge::known);
}
