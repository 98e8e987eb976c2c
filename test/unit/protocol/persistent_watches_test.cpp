// Persistent and recursive watches in the table: what reaches them and what does not, how they are
// registered again, and how they stay alive beside one-shot watches on a server that keeps one mode
// a path.

#include "random.hpp"
#include "watch_arming.hpp"

#include <coati/protocol/request.hpp>
#include <coati/protocol/watch_table.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation_watch.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace wire = coati::wire;
using coati::errc;
using coati::event_type;
using coati::gap_reason;
using coati::protocol::watch_table;
using coati_test::arm;
using coati_test::arming;
using coati_test::asks;
using coati_test::ear;
using coati_test::lists;
using coati_test::registered;
using coati_test::seeded_random;
using coati_test::sends;
using enum coati::wire::watch_kind;
using enum coati::event_type;
using coati::wire::watch_kind;
using remains = watch_table::remains;
using heard = ear::heard;

// --- what reaches whom ---------------------------------------------------------------------------

TEST_CASE("a persistent watch hears of its znode and of its children's coming and going, and stays",
          "[persistent]")
{
    watch_table table;
    ear one;
    ear above;
    ear beside;
    arm(table, one, "/a", persistent);
    arm(table, above, "/", persistent);
    arm(table, beside, "/aa", persistent);
    std::int64_t zxid = 0;
    std::vector<heard> expected;
    for (const event_type type : {created, data_changed, children_changed, deleted, created}) {
        table.fire(type, "/a", ++zxid);
        expected.emplace_back(type, "/a", zxid);
    }
    table.fire(data_changed, "/a/b", ++zxid);
    CHECK(one.all == expected);
    CHECK(above.told == 0);
    CHECK(beside.told == 0);
    CHECK(table.size() == 3);
    table.end_all(errc::closed);
    CHECK(one.end == errc::closed);
}

TEST_CASE("a recursive watch hears of all below, of no neighbours and of no children events",
          "[persistent]")
{
    watch_table table;
    ear root;
    ear a;
    ear deep;
    arm(table, root, "/", persistent_recursive);
    arm(table, a, "/a", persistent_recursive);
    arm(table, deep, "/a/b/c", persistent_recursive);
    const auto told = [&](std::string_view path) {
        const std::vector before = {root.told, a.told, deep.told};
        table.fire(data_changed, path, 1);
        return std::vector{root.told - before[0], a.told - before[1], deep.told - before[2]};
    };
    CHECK(told("/") == std::vector{1, 0, 0});
    CHECK(told("/a") == std::vector{1, 1, 0});
    CHECK(told("/a/b") == std::vector{1, 1, 0});
    CHECK(told("/a/b/c") == std::vector{1, 1, 1});
    CHECK(told("/a/b/c/d/e/f") == std::vector{1, 1, 1});
    CHECK(told("/a/b/cc") == std::vector{1, 1, 0});
    CHECK(told("/aa") == std::vector{1, 0, 0});
    CHECK(told("/a-b/c") == std::vector{1, 0, 0});
    CHECK(told("") == std::vector{0, 0, 0});
    CHECK(told("nonsense") == std::vector{0, 0, 0});
    // A 3.8 server may send it.
    const int before = root.told;
    table.fire(children_changed, "/", 1);
    table.fire(children_changed, "/a", 1);
    CHECK(root.told == before);
    table.end_all(errc::closed);
}

TEST_CASE("persistent and one-shot watches of a path are told by the same event", "[persistent]")
{
    watch_table table;
    ear stays;
    ear below;
    ear on_data;
    ear on_child;
    arm(table, stays, "/a", persistent);
    arm(table, below, "/", persistent_recursive);
    table.add(on_data, "/a", data);
    table.add(on_child, "/a", child);
    table.fire(data_changed, "/a", 5);
    table.fire(data_changed, "/a", 6);
    table.fire(deleted, "/a", 7);
    CHECK(on_data.told == 1);
    CHECK(on_child.told == 1);
    CHECK(stays.told == 3);
    CHECK(below.told == 3);
    CHECK(table.size() == 2);
    table.end_all(errc::closed);
}

// --- both modes on one path ----------------------------------------------------------------------

TEST_CASE(
    "where a recursive watch has taken a persistent one's place, its children events are made",
    "[persistent][T34]")
{
    watch_table table;
    ear plain;
    ear deep;
    ear once;
    if (GENERATE(true, false)) {
        arm(table, plain, "/a", persistent);
        table.add(once, "/a", child);  // the server was not asked for it
        arm(table, deep, "/a", persistent_recursive);
    } else {
        arm(table, deep, "/a", persistent_recursive);
        arm(table, plain, "/a", persistent);
        table.add(once, "/a", child);
    }
    table.fire(created, "/a/x", 1);
    table.fire(children_changed, "/a", 1);  // of a 3.9 server, which has both
    CHECK(plain.all == std::vector{heard(children_changed, "/a", 1)});
    CHECK(once.all == std::vector{heard(children_changed, "/a", 1)});
    table.fire(created, "/a/x/y", 2);
    table.fire(data_changed, "/a/x", 3);
    CHECK(plain.told == 1);
    table.fire(deleted, "/a/x", 4);
    table.fire(data_changed, "/a", 5);
    CHECK(plain.all == std::vector{heard(children_changed, "/a", 1),
                                   heard(children_changed, "/a", 4), heard(data_changed, "/a", 5)});
    CHECK(deep.all == std::vector{heard(created, "/a/x", 1), heard(created, "/a/x/y", 2),
                                  heard(data_changed, "/a/x", 3), heard(deleted, "/a/x", 4),
                                  heard(data_changed, "/a", 5)});
    // The recursive one goes, but the server keeps it: still made. On a new connection, no more.
    CHECK(table.remove(deep) == remains::others);
    table.fire(created, "/a/x", 6);
    CHECK(plain.all.back() == heard(children_changed, "/a", 6));
    table.on_connected();
    CHECK(registered(table, 1, 1000)[0].paths ==
          std::vector{std::pair(persistent, std::string("/a"))});
    const int before = plain.told;
    table.fire(created, "/a/z", 7);
    CHECK(plain.told == before);
    table.fire(children_changed, "/a", 7);
    CHECK(plain.told == before + 1);
    table.end_all(errc::closed);
}

TEST_CASE("an addWatch never asks for less than what others on the path need", "[persistent][T34]")
{
    watch_table table;
    ear deep;
    SECTION("of what is held")
    {
        arm(table, deep, "/a", persistent_recursive);
        CHECK(sends(table, "/a", persistent) == persistent_recursive);
        CHECK(sends(table, "/b", persistent) == persistent);
    }
    SECTION("of what is on its way")
    {
        CHECK(sends(table, "/a", persistent_recursive) == persistent_recursive);
        CHECK(sends(table, "/a", persistent) == persistent_recursive);
        // It fails: the next one is on its own again.
        CHECK_FALSE(table.on_add_answered("/a", persistent_recursive, false));
        CHECK_FALSE(table.on_add_answered("/a", persistent_recursive, false));
        CHECK(sends(table, "/a", persistent) == persistent);
    }
    table.end_all(errc::closed);
}

// --- one-shot watches on a path with a persistent one --------------------------------------------

TEST_CASE("the server is not asked for a one-shot watch that a persistent one covers",
          "[persistent][T34]")
{
    watch_table table;
    ear one;
    CHECK(asks(table, "/a", data));
    SECTION("persistent: all three kinds")
    {
        arm(table, one, "/a", persistent);
        CHECK_FALSE(asks(table, "/a", data));
        CHECK_FALSE(asks(table, "/a", exist));
        CHECK_FALSE(asks(table, "/a", child));
        CHECK(asks(table, "/a/b", data));
        CHECK(asks(table, "/", child));
    }
    SECTION("recursive: it reports no children, and a child watch does not disturb it")
    {
        arm(table, one, "/a", persistent_recursive);
        CHECK_FALSE(asks(table, "/a", data));
        CHECK_FALSE(asks(table, "/a", exist));
        CHECK(asks(table, "/a", child));
        CHECK_FALSE(asks(table, "/a", data));
        CHECK(asks(table, "/a/b", data));
    }
    SECTION("a request that waits through a reconnect is asked anew")
    {
        arm(table, one, "/a", persistent);
        arming r("/a", data);
        table.on_staging(r);
        CHECK(r.body.back() == 0);
        CHECK(table.remove(one) == remains::nothing_else);
        table.on_connected();
        table.on_staging(r);
        CHECK(r.body.back() == 1);
    }
    table.end_all(errc::closed);
}

TEST_CASE("a one-shot watch that crosses an addWatch makes it be sent again, with a gap",
          "[persistent][T34]")
{
    watch_table table;
    ear one;
    const watch_kind kind = GENERATE(persistent, persistent_recursive);
    CHECK(sends(table, "/a", kind) == kind);
    CHECK(asks(table, "/a", data));  // the addWatch may fail: this one must not depend on it
    table.add(one, "/a", kind);
    SECTION("once")
    {
        CHECK(table.on_add_answered("/a", kind, true));
        CHECK(asks(table, "/a", data));  // still not in order
        CHECK(sends(table, "/a", kind) == kind);
        CHECK_FALSE(asks(table, "/a", data));  // behind it the watch is whole
        CHECK(one.gaps.empty());
        CHECK_FALSE(table.on_add_answered("/a", kind, true));
        CHECK(one.gaps == std::vector{gap_reason::set_again});
        CHECK_FALSE(asks(table, "/a", exist));
    }
    SECTION("another addWatch behind it does as well")
    {
        CHECK(sends(table, "/a", kind) == kind);
        CHECK_FALSE(table.on_add_answered("/a", kind, true));
        CHECK_FALSE(table.on_add_answered("/a", kind, true));
        CHECK(one.gaps == std::vector{gap_reason::set_again});
    }
    SECTION("not when the watch has gone meanwhile")
    {
        table.remove(one);
        CHECK_FALSE(table.on_add_answered("/a", kind, true));
        CHECK(table.take_forsaken() == std::vector<std::string>{"/a"});
    }
    SECTION("not when it failed")
    {
        table.remove(one);
        CHECK_FALSE(table.on_add_answered("/a", kind, false));
        CHECK_FALSE(table.has_forsaken());
        CHECK(asks(table, "/a", data));
    }
    SECTION("a new connection puts it in order, by the gap that it has anyway")
    {
        table.on_connected();
        CHECK(one.gaps == std::vector{gap_reason::reconnected});
        CHECK_FALSE(asks(table, "/a", data));
        CHECK_FALSE(table.on_add_answered("/a", kind, true));  // of no request of this connection
        CHECK(one.gaps.size() == 1);
    }
    table.end_all(errc::closed);
}

// --- leaving -------------------------------------------------------------------------------------

TEST_CASE("the server's watch goes when nothing of any kind remains on the path",
          "[persistent][T35]")
{
    watch_table table;
    ear a;
    ear b;
    ear once;
    const watch_kind kind = GENERATE(persistent, persistent_recursive);
    arm(table, a, "/p", kind);
    SECTION("the only one")
    {
        CHECK(table.remove(a) == remains::nothing_else);
    }
    SECTION("another of the same mode")
    {
        arm(table, b, "/p", kind);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(b) == remains::nothing_else);
    }
    SECTION("another of the other mode")
    {
        arm(table, b, "/p", kind == persistent ? persistent_recursive : persistent);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(b) == remains::nothing_else);
    }
    SECTION("a one-shot watch that goes first takes nothing along")
    {
        table.add(once, "/p", data);
        CHECK(table.remove(once) == remains::others);
        CHECK(table.remove(a) == remains::nothing_else);
    }
    SECTION("a one-shot watch that goes last takes all along")
    {
        table.add(once, "/p", child);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(once) == remains::nothing_else);
    }
    SECTION("and so when it fires")
    {
        table.add(once, "/p", data);
        CHECK(table.remove(a) == remains::others);
        CHECK_FALSE(table.has_forsaken());
        table.fire(data_changed, "/p", 1);
        CHECK(table.take_forsaken() == std::vector<std::string>{"/p"});
        CHECK_FALSE(table.is_watched("/p"));
        table.forget("/p");
        CHECK(asks(table, "/p", data));
    }
    CHECK(table.size() == 0);
    table.forget("/p");
    // Afterwards one-shot watches are what they were.
    table.add(once, "/p", data);
    CHECK(table.remove(once) == remains::nothing);
}

// --- reconnecting --------------------------------------------------------------------------------

TEST_CASE("each of the five lists is registered again, and streams have a gap", "[T1][T5][T6]")
{
    watch_table table;
    ear all[7];
    arm(table, all[0], "/p", persistent);
    arm(table, all[1], "/p", persistent);
    arm(table, all[2], "/r", persistent_recursive);
    arm(table, all[3], "/r", persistent);
    table.add(all[4], "/d", data);
    table.add(all[5], "/e", exist);
    table.add(all[6], "/p", child);
    const auto sent = registered(table, 77, 1000);
    table.on_connected();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].op == wire::op_code::set_watches2);
    CHECK(sent[0].zxid == 77);
    const decltype(sent[0].paths) expected = {{data, "/d"},
                                              {exist, "/e"},
                                              {child, "/p"},
                                              {persistent, "/p"},
                                              {persistent_recursive, "/r"}};
    CHECK(sent[0].paths == expected);
    for (const ear& each : all) {
        CHECK(each.gaps.size() == (each.kind() >= persistent ? 1 : 0));
        CHECK(each.told == 0);
    }
    table.end_all(errc::closed);
}

TEST_CASE("SetWatches2 is sent only with persistent watches in it, and behind all others",
          "[T3][T34][T54]")
{
    const std::size_t limit =
        GENERATE(std::size_t{64}, std::size_t{1000}, watch_table::set_watches_chunk);
    seeded_random random(limit);
    watch_table table;
    std::vector<std::unique_ptr<ear>> all;
    std::multiset<std::pair<watch_kind, std::string>> expected;
    const int count = limit > 1000 ? 4'000 : 300;
    for (int i = 0; i < count; ++i) {
        const std::string path = "/" + std::to_string(i) + std::string(random() % 55, 'x');
        for (const watch_kind kind : {data, exist, child}) {
            if (random() % 2 == 0) {
                table.add(*all.emplace_back(std::make_unique<ear>()), path, kind);
                expected.emplace(kind, path);
            }
        }
        if (const auto choice = random() % 3; choice != 0) {
            const watch_kind kind = choice == 1 ? persistent : persistent_recursive;
            arm(table, *all.emplace_back(std::make_unique<ear>()), path, kind);
            expected.emplace(kind, path);
        }
    }
    std::multiset<std::pair<watch_kind, std::string>> found;
    bool persistent_seen = false;
    bool other_seen_behind = false;
    std::size_t old = 0;
    for (const lists& each : registered(table, 42, limit)) {
        CHECK(each.zxid == 42);
        CHECK(each.bytes <= limit + 8 + 5 * 4);
        const bool has_persistent = each.paths.back().first >= persistent;
        const bool has_other = each.paths.front().first < persistent;
        CHECK((each.op == wire::op_code::set_watches2) == has_persistent);
        other_seen_behind = other_seen_behind || (persistent_seen && has_other);
        persistent_seen = persistent_seen || has_persistent;
        old += has_persistent ? 0 : 1;
        found.insert(each.paths.begin(), each.paths.end());
    }
    CHECK(found == expected);
    CHECK_FALSE(other_seen_behind);  // in one request the server takes them in this order, too
    CHECK(old > 0);
    table.end_all(errc::closed);
}

TEST_CASE("the table says who watches what", "[persistent]")
{
    watch_table table;
    ear all[3];
    arm(table, all[0], "/a", persistent);
    arm(table, all[1], "/a", persistent);
    table.add(all[2], "/a", exist);
    auto counts = table.counts();
    std::ranges::sort(counts, {}, &coati::protocol::watch_count::kind);
    REQUIRE(counts.size() == 2);
    CHECK((counts[0].server_path == "/a" && counts[0].kind == exist && counts[0].watchers == 1));
    CHECK((counts[1].kind == persistent && counts[1].watchers == 2));
    table.end_all(errc::closed);
    CHECK(table.counts().empty());
}
