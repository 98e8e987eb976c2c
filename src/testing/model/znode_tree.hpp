// The tree of a server: znodes, stats, counters, and who owns which ephemerals.
//
// Owns what a change does to the tree, and how to undo it. Asks nobody whether a change is allowed
// (transactions.cpp does), and knows neither watches nor connections nor time.
#pragma once

#include "access.hpp"

#include <coati/stat.hpp>
#include <coati/wire/jute.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

enum class event_type : std::int32_t { created = 1, deleted = 2, changed = 3, children = 4 };

/// What happened to a path. Children events of the parent follow from created and deleted.
struct change {
    event_type type;
    std::string path;
    acl_list acls{};         // of the znode
    acl_list parent_acls{};  // servers may keep events from who may not read
};

enum class znode_kind : std::uint8_t { persistent, ephemeral, container, ttl };

using data_value = wire::nullable<std::string>;
using data_view = wire::nullable<std::string_view>;

struct znode {
    data_value data{};
    acl_list acls{};
    coati::stat stat{};  // num_children, cversion and data_length are filled in by stat_of
    std::set<std::string, std::less<>> children{};
    std::int32_t created_children = 0;  // the number of the next sequential child
    znode_kind kind = znode_kind::persistent;
    std::int64_t ttl_ms = 0;
};

/// One step back.
struct undo_step {
    event_type type;
    std::string path;
    znode before{};  // of deleted and changed: without children
    std::int64_t parent_pzxid = 0;
    std::int32_t parent_created = 0;
};

/// One transaction on its way through the tree: who changes it, when, and what came of it.
struct writing {
    std::int64_t session = 0;
    std::int64_t zxid = 0;
    std::int64_t now_ms = 0;
    const std::vector<identity>* who = nullptr;
    bool can_undo = false;
    std::vector<change> changes{};
    std::vector<undo_step> steps{};
};

/// A znode to be.
struct new_znode {
    data_view data{};
    acl_list acls{};
    znode_kind kind = znode_kind::persistent;
    std::int64_t ttl_ms = 0;
};

class znode_tree {
public:
    /// Has what every server begins with: "/" and "/zookeeper" with "quota" and "config".
    znode_tree();

    /// Null where there is none. The empty path is the root, as servers have it.
    const znode* find(std::string_view path) const;
    static coati::stat stat_of(const znode& node);
    std::vector<std::string> ephemerals_of(std::int64_t session) const;
    /// Those that go by themselves: containers that had children, and TTL znodes past their time.
    std::vector<std::string> outlived(std::int64_t now_ms) const;
    bool has_mortals() const noexcept { return !mortals_.empty(); }
    std::int32_t count_descendants(std::string_view path) const;

    /// The parent is there and the path is free.
    void create(writing& w, const std::string& path, const new_znode& made);
    /// The znode is there and has no children.
    void remove(writing& w, std::string_view path);
    void set_data(writing& w, std::string_view path, data_view data);
    void set_acl(std::string_view path, acl_list acls);
    void set_config_version(std::int32_t n) { at("/zookeeper/config").stat.version = n; }
    /// As if nothing had happened. Only where `can_undo` was set before.
    void roll_back(writing& w);

private:
    using nodes = std::map<std::string, znode, std::less<>>;

    znode& at(std::string_view path) { return nodes_.find(path)->second; }
    znode& put(std::string path, const znode& node);
    void drop(nodes::iterator at);

    nodes nodes_;
    std::map<std::int64_t, std::set<std::string>> ephemerals_;
    std::set<std::string> mortals_;  // containers and TTL znodes
};

/// "/" for "/a", and for "/" itself.
std::string_view parent_of(std::string_view path);

}  // namespace coati::testing
