// Random sequences of everything that can be done to the table, against a naive model of all five
// kinds of watches.

#include "random.hpp"
#include "watch_arming.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

using coati::errc;
using coati::event_type;
using coati::protocol::watch_table;
using coati_test::arm;
using coati_test::ear;
using coati_test::lists;
using coati_test::registered;
using coati_test::seeded_random;
using enum coati::wire::watch_kind;
using enum coati::event_type;
using coati::wire::watch_kind;
using remains = watch_table::remains;
using heard = ear::heard;

TEST_CASE("any sequence of arming, firing and dropping all five kinds leaves what a model says",
          "[property]")
{
    const std::vector<std::string> paths = {"/", "/a", "/a/b", "/a/bb", "/b"};
    const std::vector<watch_kind> kinds = {data, exist, child, persistent, persistent_recursive};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        seeded_random random(seed);
        watch_table table;
        std::map<ear*, std::pair<std::string, watch_kind>> armed;
        std::map<std::string, watch_kind> held;  // by the server, on this connection
        std::vector<std::unique_ptr<ear>> all;
        for (int i = 0; i < 25; ++i) {
            all.push_back(std::make_unique<ear>());
        }
        const auto parent = [](const std::string& path) {
            const auto slash = path.rfind('/');
            return path == "/" ? std::string() : path.substr(0, slash == 0 ? 1 : slash);
        };
        const auto is_below = [](const std::string& path, const std::string& top) {
            return path == top || top == "/" || path.starts_with(top + "/");
        };
        // What an event means to one watch, by the table of the protocol.
        const auto means = [&](event_type type, const std::string& path, const std::string& at,
                               watch_kind kind) -> event_type {
            const bool here = path == at;
            const bool makes_child = type == created || type == deleted;
            const bool made = makes_child && parent(path) == at && held[at] == persistent_recursive;
            switch (kind) {
            case data:
            case exist: return here && type != children_changed ? type : gap;
            case child:
                return here && (type == deleted || type == children_changed) ? type
                       : made                                                ? children_changed
                                                                             : gap;
            case persistent:
                if (here && type == children_changed) {
                    return held[at] == persistent_recursive ? gap : type;
                }
                return here ? type : made ? children_changed : gap;
            default: return type != children_changed && is_below(path, at) ? type : gap;
            }
        };
        for (int step = 0; step < 5'000; ++step) {
            const std::string& path = paths[random() % paths.size()];
            ear& one = *all[random() % all.size()];
            const auto choice = random() % 20;
            if (choice < 8 && !armed.contains(&one)) {
                const watch_kind kind = kinds[random() % kinds.size()];
                if (kind >= persistent) {
                    arm(table, one, path, kind);
                    held[path] = std::max(held[path], kind);
                } else {
                    table.add(one, path, kind);
                }
                armed[&one] = {path, kind};
            } else if (choice < 13 && armed.contains(&one)) {
                const auto [at, kind] = armed.at(&one);
                armed.erase(&one);
                const auto left = [&](auto like) {
                    return std::ranges::any_of(armed, [&](const auto& each) {
                        return each.second.first == at && like(each.second.second);
                    });
                };
                const bool any = left([](watch_kind) { return true; });
                const bool same = left([kind = kind](watch_kind k) {
                    return k < persistent && (k == child) == (kind == child);
                });
                const remains got = table.remove(one);
                if (held[at] != none) {
                    REQUIRE(got == (any ? remains::others : remains::nothing_else));
                } else {
                    REQUIRE(got == (same ? remains::others : remains::nothing));
                }
                if (got == remains::nothing_else) {
                    table.forget(at);
                    held[at] = none;
                }
            } else if (choice < 19) {
                const auto type = static_cast<event_type>(1 + random() % 4);
                std::map<ear*, std::vector<heard>> expected;
                for (const auto& each : all) {
                    each->all.clear();
                    expected[each.get()];
                }
                for (auto it = armed.begin(); it != armed.end();) {
                    const auto& [at, kind] = it->second;
                    const event_type meant = means(type, path, at, kind);
                    if (meant != gap) {
                        const auto where = meant == type ? path : at;
                        expected[it->first].emplace_back(meant, where, step);
                    }
                    it = meant != gap && kind < persistent ? armed.erase(it) : std::next(it);
                }
                table.fire(type, path, step);
                for (const auto& each : all) {
                    REQUIRE(each->all == expected[each.get()]);
                }
                for (const std::string& at : table.take_forsaken()) {
                    REQUIRE(held[at] != none);
                    table.forget(at);
                    held[at] = none;
                }
            } else if (choice == 19) {
                std::multiset<std::pair<watch_kind, std::string>> expected;
                std::map<std::string, watch_kind> strongest;
                for (const auto& [w, where] : armed) {
                    if (where.second >= persistent) {
                        auto& best = strongest[where.first];
                        best = std::max(best, where.second);
                    } else if (std::pair key(where.second, where.first); !expected.contains(key)) {
                        expected.insert(key);
                    }
                }
                for (const auto& [at, kind] : strongest) {
                    expected.emplace(kind, at);
                }
                std::multiset<std::pair<watch_kind, std::string>> found;
                for (const lists& each : registered(table, 1, 20)) {
                    found.insert(each.paths.begin(), each.paths.end());
                }
                REQUIRE(found == expected);
                table.on_connected();
                held = strongest;
            }
            REQUIRE(table.size() == armed.size());
        }
        table.end_all(errc::closed);
        CHECK(table.size() == 0);
    }
}
