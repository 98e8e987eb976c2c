// The tree of the scripted ensemble: znodes, stats, versions, sequence counters.
//
// Owns what a change means and records the events it causes. Error codes are the wire's numbers.
// Knows nothing of sessions (but the number of an owner), watches, connections or time.
#pragma once

#include <coati/errc.hpp>
#include <coati/stat.hpp>
#include <coati/wire/acl.hpp>
#include <coati/wire/jute.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

constexpr std::int32_t number(errc code) noexcept
{
    return static_cast<std::int32_t>(code);
}

enum class event_type : std::int32_t { created = 1, deleted = 2, changed = 3, children = 4 };

/// What happened to a path. Children events of the parent follow from created and deleted.
struct change {
    event_type type;
    std::string path;
};

/// Who changes what, when.
struct writing {
    std::int64_t session = 0;
    std::int64_t zxid = 0;
    std::int64_t now_ms = 0;
    std::vector<change> changes{};
};

struct acl_entry {
    std::int32_t perms = 0;
    std::string scheme;
    std::string id;
};

struct znode {
    wire::nullable<std::string> data{};
    std::vector<acl_entry> acls{};
    coati::stat stat{};  // num_children and cversion are filled in by stat_of
    std::set<std::string> children{};
    std::int32_t created_children = 0;
};

using data_view = wire::nullable<std::string_view>;

class znode_tree {
public:
    znode_tree();

    /// Null where there is none. The empty path is the root, as servers have it for reads.
    const znode* find(std::string_view path) const;
    static coati::stat stat_of(const znode& node);
    std::vector<std::string> ephemerals_of(std::int64_t session) const;
    std::int32_t count_descendants(std::string_view path) const;

    /// The flags of op create; others have been refused before. `created` is the path in the end.
    std::int32_t create(writing& w, std::string_view path, data_view data,
                        const std::vector<wire::acl>& acls, bool ephemeral, bool sequential,
                        std::string& created);
    std::int32_t remove(writing& w, std::string_view path, std::int32_t version);
    std::int32_t set_data(writing& w, std::string_view path, data_view data, std::int32_t version);
    std::int32_t set_acl(std::string_view path, const std::vector<wire::acl>& acls,
                         std::int32_t version);
    std::int32_t check(std::string_view path, std::int32_t version) const;

private:
    znode* lookup(std::string_view path);

    std::map<std::string, znode, std::less<>> nodes_;
};

}  // namespace coati::testing
