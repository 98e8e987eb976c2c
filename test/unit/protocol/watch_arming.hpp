// Arms persistent watches in a table as the read loop does, and reads what it would register.
#pragma once

#include "watch_ear.hpp"

#include <coati/protocol/request.hpp>
#include <coati/protocol/watch_table.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation_watch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coati_test {

namespace wire = coati::wire;
using coati::protocol::watch_table;
using enum coati::wire::watch_kind;

/// A request that arms a watch, for the moment in which it is sent.
class arming final : public coati::protocol::request {
public:
    arming(std::string_view path, wire::watch_kind kind)
    {
        watches = kind;
        wire::encode(body, path);
        if (kind < persistent) {
            wire::encode(body, true);
        } else {
            wire::encode(body, kind == persistent ? wire::add_watch_mode::persistent
                                                  : wire::add_watch_mode::persistent_recursive);
        }
    }
    void on_reply(const coati::protocol::reply&) override {}
    void on_error(const coati::error&) override {}
    void discard() noexcept override {}
};

/// Whether the server is asked for the watch of a read.
inline bool asks(watch_table& table, std::string_view path, wire::watch_kind kind)
{
    arming r(path, kind);
    table.on_staging(r);
    return r.body.back() != 0;
}

/// The kind that an addWatch asks for in the end.
inline wire::watch_kind sends(watch_table& table, std::string_view path, wire::watch_kind kind)
{
    arming r(path, kind);
    table.on_staging(r);
    return r.body.back() == 0 ? persistent : persistent_recursive;
}

/// A persistent watch, asked for, answered and armed.
inline void arm(watch_table& table, ear& one, std::string_view path, wire::watch_kind kind)
{
    const wire::watch_kind sent = sends(table, path, kind);
    table.add(one, path, kind);
    REQUIRE_FALSE(table.on_add_answered(path, sent, true));
}

struct lists {
    wire::op_code op;
    std::int64_t zxid;
    std::vector<std::pair<wire::watch_kind, std::string>> paths;
    std::size_t bytes;
};

inline std::vector<lists> registered(const watch_table& table, std::int64_t zxid, std::size_t chunk)
{
    std::vector<lists> all;
    for (const auto& each : table.collect(zxid, chunk)) {
        wire::reader in(each.body);
        wire::set_watches2::request r;
        if (each.op == wire::op_code::set_watches) {
            wire::set_watches::request old;
            REQUIRE(wire::decode(in, old));
            r = {old.relative_zxid, old.data, old.exist, old.child, {}, {}};
        } else {
            REQUIRE(each.op == wire::op_code::set_watches2);
            REQUIRE(wire::decode(in, r));
        }
        REQUIRE(in.rest().empty());
        lists& made = all.emplace_back(lists{each.op, r.relative_zxid, {}, each.body.size()});
        for (const auto& [kind, list] :
             {std::pair(data, r.data), std::pair(exist, r.exist), std::pair(child, r.child),
              std::pair(persistent, r.persistent),
              std::pair(persistent_recursive, r.persistent_recursive)}) {
            for (const auto path : list) {
                made.paths.emplace_back(kind, path);
            }
        }
        std::ranges::sort(made.paths);
    }
    return all;
}

}  // namespace coati_test
