// Which event fires which watch, what is left of the server's watch when one goes, what is set
// again after a reconnect; and that a watcher may do anything to the table while it is told.

#include "random.hpp"
#include "watch_ear.hpp"

#include <coati/protocol/watch_table.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation_watch.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

using coati::errc;
using coati::event_type;
using coati::protocol::watch_table;
using coati_test::ear;
using coati_test::seeded_random;
using enum coati::wire::watch_kind;
using coati::wire::watch_kind;
using remains = watch_table::remains;

namespace {

/// The body of one SetWatches, with strings of its own.
struct chunk {
    std::int64_t zxid = 0;
    std::vector<std::string> data;
    std::vector<std::string> exist;
    std::vector<std::string> child;
    std::size_t bytes = 0;
};

std::vector<chunk> chunks_of(const watch_table& table, std::int64_t zxid, std::size_t size)
{
    std::vector<chunk> all;
    for (const auto& each : table.collect(zxid, size)) {
        REQUIRE(each.op == coati::wire::op_code::set_watches);  // no other without persistent ones
        coati::wire::reader in(each.body);
        coati::wire::set_watches::request r;
        REQUIRE(coati::wire::decode(in, r));
        REQUIRE(in.rest().empty());
        const auto copy = [](const auto& list) {
            return std::vector<std::string>(list.begin(), list.end());
        };
        all.push_back(
            {r.relative_zxid, copy(r.data), copy(r.exist), copy(r.child), each.body.size()});
    }
    return all;
}

}  // namespace

TEST_CASE("each event fires the kinds that it ends, and no other", "[T32][C85]")
{
    struct row {
        event_type type;
        bool fires_data, fires_exist, fires_child;
    };
    const auto now = GENERATE(row{event_type::created, true, true, false},
                              row{event_type::data_changed, true, true, false},
                              row{event_type::deleted, true, true, true},
                              row{event_type::children_changed, false, false, true});
    watch_table table;
    ear on_data;
    ear on_exist;
    ear on_child;
    ear elsewhere[3];
    table.add(on_data, "/a", data);
    table.add(on_exist, "/a", exist);
    table.add(on_child, "/a", child);
    table.add(elsewhere[0], "/a/b", data);
    table.add(elsewhere[1], "/", child);
    table.add(elsewhere[2], "/aa", exist);
    CHECK(table.size() == 6);
    table.fire(now.type, "/a", 17);
    CHECK(on_data.told == (now.fires_data ? 1 : 0));
    CHECK(on_exist.told == (now.fires_exist ? 1 : 0));
    CHECK(on_child.told == (now.fires_child ? 1 : 0));
    for (const ear* each : {&on_data, &on_exist, &on_child}) {
        if (each->told == 1) {
            CHECK(each->last == std::tuple(now.type, "/a", 17));
        }
        CHECK(each->linked() == (each->told == 0));
    }
    for (const ear& each : elsewhere) {
        CHECK(each.told == 0);
    }
    // One-shot: the rest fires with a removal, and nobody twice.
    table.fire(event_type::deleted, "/a", 18);
    table.fire(event_type::deleted, "/a", 19);
    CHECK(on_data.told == 1);
    CHECK(on_exist.told == 1);
    CHECK(on_child.told == 1);
    CHECK(table.size() == 3);
    for (ear& each : elsewhere) {
        table.remove(each);
    }
    CHECK(table.size() == 0);
}

TEST_CASE("events that nobody waits for are harmless", "[T33]")
{
    watch_table table;
    table.fire(event_type::deleted, "/nobody", 1);
    table.fire(event_type::created, "", 1);
    ear one;
    table.add(one, "/a", child);
    table.fire(event_type::data_changed, "/a", 1);
    CHECK(one.told == 0);
    CHECK(table.size() == 1);
    table.end_all(errc::closed);
}

TEST_CASE("all watchers of a path are told, in the order of arming", "[S27][C85]")
{
    watch_table table;
    std::vector<int> order;
    std::vector<std::unique_ptr<ear>> all;
    for (int i = 0; i < 100; ++i) {
        auto& made = *all.emplace_back(std::make_unique<ear>());
        made.then = [&order, i] { order.push_back(i); };
        table.add(made, "/a", data);
    }
    // One entry on the server.
    const auto sent = chunks_of(table, 1, 1000);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].data == std::vector<std::string>{"/a"});
    table.fire(event_type::data_changed, "/a", 1);
    REQUIRE(order.size() == 100);
    CHECK(std::ranges::is_sorted(order));
    CHECK(table.size() == 0);
    CHECK(chunks_of(table, 1, 1000).empty());
}

TEST_CASE("the last watcher that leaves takes the server's watch along", "[S27][T35]")
{
    watch_table table;
    ear a;
    ear b;
    table.add(a, "/p", data);
    SECTION("another of the same kind stays")
    {
        table.add(b, "/p", data);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(b) == remains::nothing);
    }
    SECTION("data and exist are one watch there")
    {
        table.add(b, "/p", exist);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(b) == remains::nothing);
    }
    SECTION("and so in the other order")
    {
        table.add(b, "/p", exist);
        CHECK(table.remove(b) == remains::others);
        CHECK(table.remove(a) == remains::nothing);
    }
    SECTION("a child watch is another")
    {
        table.add(b, "/p", child);
        CHECK(table.remove(a) == remains::nothing);
        CHECK(table.size() == 1);
        CHECK(table.remove(b) == remains::nothing);
    }
    SECTION("another path is another")
    {
        table.add(b, "/p/q", data);
        CHECK(table.remove(a) == remains::nothing);
        CHECK(table.remove(b) == remains::nothing);
    }
    SECTION("after it has fired there is nothing to remove")
    {
        table.fire(event_type::data_changed, "/p", 1);
        CHECK(table.remove(a) == remains::others);
        // Not even when the path is watched again by somebody else.
        table.add(b, "/p", data);
        CHECK(table.remove(a) == remains::others);
        CHECK(table.remove(b) == remains::nothing);
    }
    SECTION("removing twice is removing once")
    {
        CHECK(table.remove(a) == remains::nothing);
        CHECK(table.remove(a) == remains::others);
    }
    CHECK(table.size() == 0);
}

TEST_CASE("a watcher that was told can be armed again", "[S26]")
{
    watch_table table;
    ear one;
    for (int i = 1; i <= 3; ++i) {
        table.add(one, "/a", i % 2 == 0 ? data : child);
        CHECK(one.kind() == (i % 2 == 0 ? data : child));
        table.fire(event_type::deleted, "/a", i);
        CHECK(one.told == i);
    }
}

TEST_CASE("the end of the session is told to everybody, once", "[S11][C92]")
{
    watch_table table;
    std::vector<std::unique_ptr<ear>> all;
    for (const watch_kind kind : {data, exist, child}) {
        for (const char* const path : {"/a", "/a", "/b"}) {
            table.add(*all.emplace_back(std::make_unique<ear>()), path, kind);
        }
    }
    table.end_all(errc::session_expired);
    CHECK(table.size() == 0);
    for (const auto& each : all) {
        CHECK(each->told == 1);
        CHECK(each->end == errc::session_expired);
        CHECK(!each->linked());
    }
    table.end_all(errc::closed);
    table.fire(event_type::deleted, "/a", 1);
    for (const auto& each : all) {
        CHECK(each->told == 1);
    }
}

// --- what is set again ---------------------------------------------------------------------------

TEST_CASE("each watch is set again in the list of its kind", "[T1][T31]")
{
    watch_table table;
    CHECK(table.collect(5, 1000).empty());
    ear all[4];
    table.add(all[0], "/present", data);
    table.add(all[1], "/missing", exist);
    table.add(all[2], "/parent", child);
    table.add(all[3], "/present", child);
    const auto sent = chunks_of(table, 0x1'0000'0005, 1000);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].zxid == 0x1'0000'0005);
    CHECK(sent[0].data == std::vector<std::string>{"/present"});
    CHECK(sent[0].exist == std::vector<std::string>{"/missing"});
    auto children = sent[0].child;
    std::ranges::sort(children);
    CHECK(children == std::vector<std::string>{"/parent", "/present"});
    table.end_all(errc::closed);
}

TEST_CASE("chunks are below their size, with one zxid, and every path is in one of them", "[T3]")
{
    const std::size_t limit =
        GENERATE(std::size_t{64}, std::size_t{1000}, watch_table::set_watches_chunk);
    seeded_random random(limit);
    watch_table table;
    std::vector<std::unique_ptr<ear>> all;
    std::multiset<std::pair<watch_kind, std::string>> expected;
    const int count = limit > 1000 ? 6'000 : 500;
    for (int i = 0; i < count; ++i) {
        const std::string path = "/" + std::to_string(i) + std::string(random() % 55, 'x');
        for (const watch_kind kind : {data, exist, child}) {
            if (random() % 2 == 0) {
                table.add(*all.emplace_back(std::make_unique<ear>()), path, kind);
                table.add(*all.emplace_back(std::make_unique<ear>()), path, kind);
                expected.emplace(kind, path);
            }
        }
    }
    const auto sent = chunks_of(table, 42, limit);
    std::multiset<std::pair<watch_kind, std::string>> found;
    for (const chunk& each : sent) {
        CHECK(each.zxid == 42);
        CHECK(each.bytes <= limit + 8 + 3 * 4);  // the zxid and three counts come on top
        for (const auto& [kind, list] : {std::pair(data, each.data), std::pair(exist, each.exist),
                                         std::pair(child, each.child)}) {
            for (const std::string& path : list) {
                found.emplace(kind, path);
            }
        }
    }
    CHECK(found == expected);
    std::size_t bytes = 0;
    for (const auto& [kind, path] : expected) {
        bytes += 4 + path.size();
    }
    // Nor are there more of them than it takes, with room for one path that did not fit.
    CHECK(sent.size() > 1);
    CHECK(sent.size() <= bytes / (limit - 64 + 1) + 1);
    table.end_all(errc::closed);
}

TEST_CASE("a path longer than a chunk travels alone", "[T3]")
{
    watch_table table;
    ear all[3];
    const std::string giant = "/" + std::string(100, 'g');
    table.add(all[0], "/a", data);
    table.add(all[1], giant, data);
    table.add(all[2], "/b", data);
    std::size_t seen = 0;
    for (const chunk& each : chunks_of(table, 1, 20)) {
        seen += each.data.size();
        if (std::ranges::find(each.data, giant) != each.data.end()) {
            CHECK(each.data.size() == 1);
        }
    }
    CHECK(seen == 3);
    table.end_all(errc::closed);
}

// --- from inside ---------------------------------------------------------------------------------

TEST_CASE("a watcher that is told may drop, arm and fire, on the same path too", "[C89][C16]")
{
    watch_table table;
    ear first;
    auto second = std::make_unique<ear>();
    ear third;
    ear later;
    table.add(first, "/a", data);
    table.add(*second, "/a", data);
    table.add(third, "/a", child);
    SECTION("drop one that is about to be told")
    {
        first.then = [&] {
            CHECK(table.remove(*second) == remains::others);
            second.reset();
        };
        table.fire(event_type::deleted, "/a", 1);
        CHECK(third.told == 1);
    }
    SECTION("drop itself")
    {
        second->then = [&] { second.reset(); };
        table.fire(event_type::deleted, "/a", 1);
        CHECK(third.told == 1);
    }
    SECTION("drop one that is not concerned")
    {
        first.then = [&] { CHECK(table.remove(third) == remains::nothing); };
        table.fire(event_type::data_changed, "/a", 1);
        CHECK(third.told == 0);
        CHECK(second->told == 1);
    }
    SECTION("arm again, also itself: that is for the next event")
    {
        first.then = [&] {
            table.add(first, "/a", data);
            table.add(later, "/a", exist);
        };
        table.fire(event_type::data_changed, "/a", 1);
        CHECK(first.told == 1);
        CHECK(later.told == 0);
        CHECK(second->told == 1);
        CHECK(table.size() == 3);
        table.fire(event_type::data_changed, "/a", 2);
        CHECK(first.told == 2);
        CHECK(later.told == 1);
        CHECK(second->told == 1);
    }
    SECTION("fire within firing")
    {
        first.then = [&] {
            table.add(later, "/a", data);
            table.fire(event_type::children_changed, "/a", 2);
        };
        table.fire(event_type::data_changed, "/a", 1);
        CHECK(third.told == 1);
        CHECK(later.told == 0);
        CHECK(second->told == 1);
    }
    SECTION("end within firing")
    {
        first.then = [&] { table.end_all(errc::closed); };
        table.fire(event_type::data_changed, "/a", 1);
        CHECK(second->told == 1);
        CHECK(!second->end);
        CHECK(third.end == errc::closed);
    }
    SECTION("many new paths, so that the table is built anew below")
    {
        std::vector<std::unique_ptr<ear>> many;
        first.then = [&] {
            for (int i = 0; i < 1'000; ++i) {
                table.add(*many.emplace_back(std::make_unique<ear>()), "/" + std::to_string(i),
                          data);
            }
        };
        table.fire(event_type::deleted, "/a", 1);
        CHECK(second->told == 1);
        CHECK(third.told == 1);
        CHECK(table.size() == 1'000);
        table.end_all(errc::closed);
    }
    SECTION("drop, arm and fire while all are told of the end")
    {
        // Whoever is told first drops the others, arms a new one, and asks for the end again.
        for (ear* each : {&first, second.get(), &third}) {
            each->then = [&] {
                table.remove(first);
                table.remove(*second);
                table.remove(third);
                if (!later.linked()) {
                    table.add(later, "/a", data);
                }
                table.fire(event_type::deleted, "/a", 3);
            };
        }
        table.end_all(errc::session_expired);
        CHECK(first.told + second->told + third.told == 3);
        CHECK(later.told == 3);
    }
    table.end_all(errc::closed);
    CHECK(table.size() == 0);
}

TEST_CASE("the path outlives the frame and the entry that it came from", "[T33]")
{
    watch_table table;
    ear first;
    ear second;
    table.add(first, "/a/path/longer/than/a/small/string", data);
    table.add(second, "/a/path/longer/than/a/small/string", data);
    auto frame = std::make_unique<std::string>("/a/path/longer/than/a/small/string");
    first.then = [&] { frame.reset(); };
    const std::string_view seen = *frame;
    table.fire(event_type::data_changed, seen, 1);
    REQUIRE(second.last);
    CHECK(std::get<1>(*second.last) == "/a/path/longer/than/a/small/string");
}

TEST_CASE("any sequence of arming, firing and dropping leaves what a model says", "[C89][C91]")
{
    seeded_random random(99);
    const std::vector<std::string> paths = {"/", "/a", "/a/b", "/b"};
    watch_table table;
    std::map<ear*, std::pair<std::string, watch_kind>> armed;
    std::vector<std::unique_ptr<ear>> all;
    for (int i = 0; i < 30; ++i) {
        all.push_back(std::make_unique<ear>());
    }
    const auto is_child = [](watch_kind kind) { return kind == child; };
    for (int step = 0; step < 20'000; ++step) {
        const std::string& path = paths[random() % paths.size()];
        ear& one = *all[random() % all.size()];
        if (const auto choice = random() % 8; choice < 4) {
            if (armed.contains(&one)) {
                continue;
            }
            const watch_kind kind = std::vector{data, exist, child}[random() % 3];
            table.add(one, path, kind);
            armed[&one] = {path, kind};
        } else if (choice < 7) {
            const auto found = armed.find(&one);
            remains expected = remains::others;
            if (found != armed.end()) {
                const auto [at, kind] = found->second;
                armed.erase(found);
                const bool others = std::ranges::any_of(armed, [&](const auto& each) {
                    return each.second.first == at &&
                           is_child(each.second.second) == is_child(kind);
                });
                expected = others ? remains::others : remains::nothing;
            }
            REQUIRE(table.remove(one) == expected);
        } else {
            const auto type = static_cast<event_type>(1 + random() % 4);
            std::map<ear*, int> before;
            for (const auto& each : all) {
                before[each.get()] = each->told;
            }
            table.fire(type, path, step);
            for (const auto& each : all) {
                const auto found = armed.find(each.get());
                const bool fires =
                    found != armed.end() && found->second.first == path &&
                    (is_child(found->second.second)
                         ? type == event_type::deleted || type == event_type::children_changed
                         : type != event_type::children_changed);
                REQUIRE(each->told == before[each.get()] + (fires ? 1 : 0));
                if (fires) {
                    armed.erase(found);
                }
            }
        }
        REQUIRE(table.size() == armed.size());
    }
    table.end_all(errc::closed);
}
