// The tree of the scripted ensemble: the order of checks is the real server's.
//
// Knows paths, versions and counters; permissions are stored, never enforced.
#include "znode_tree.hpp"

#include <coati/wire/path.hpp>

#include <cstdio>

namespace coati::testing {

namespace {

wire::nullable<std::string> copy_of(data_view data)
{
    return {std::string(data.value), data.is_null};
}

std::vector<acl_entry> copy_of(const std::vector<wire::acl>& acls)
{
    std::vector<acl_entry> all;
    all.reserve(acls.size());
    for (const auto& each : acls) {
        all.push_back({each.perms, std::string(each.scheme), std::string(each.id)});
    }
    return all;
}

bool is_fixed(std::string_view path)
{
    return path == "/" || path == "/zookeeper" || path == "/zookeeper/quota";
}

}  // namespace

znode_tree::znode_tree()
{
    writing w;
    nodes_["/"].acls = {{31, "world", "anyone"}};
    std::string created;
    for (const auto* path : {"/zookeeper", "/zookeeper/quota", "/zookeeper/config"}) {
        create(w, path, data_view{}, {{31, "world", "anyone"}}, false, false, created);
    }
    nodes_.find("/zookeeper/config")->second.stat.version = -1;
}

const znode* znode_tree::find(std::string_view path) const
{
    const auto found = nodes_.find(path.empty() ? std::string_view("/") : path);
    return found == nodes_.end() ? nullptr : &found->second;
}

znode* znode_tree::lookup(std::string_view path)
{
    const auto found = nodes_.find(path);
    return found == nodes_.end() ? nullptr : &found->second;
}

coati::stat znode_tree::stat_of(const znode& node)
{
    coati::stat all = node.stat;
    all.num_children = static_cast<std::int32_t>(node.children.size());
    all.cversion = 2 * node.created_children - all.num_children;
    all.data_length = static_cast<std::int32_t>(node.data.value.size());
    return all;
}

std::vector<std::string> znode_tree::ephemerals_of(std::int64_t session) const
{
    std::vector<std::string> all;
    for (const auto& [path, node] : nodes_) {
        if (session != 0 && node.stat.ephemeral_owner == session) {
            all.push_back(path);
        }
    }
    return all;
}

std::int32_t znode_tree::count_descendants(std::string_view path) const
{
    const std::string below = path == "/" || path.empty() ? "/" : std::string(path) + "/";
    std::int32_t count = 0;
    for (auto at = nodes_.lower_bound(below); at != nodes_.end(); ++at) {
        if (!at->first.starts_with(below)) {
            break;
        }
        count += at->first == "/" ? 0 : 1;
    }
    return count;
}

std::int32_t znode_tree::create(writing& w, std::string_view path, data_view data,
                                const std::vector<wire::acl>& acls, bool ephemeral, bool sequential,
                                std::string& created)
{
    const auto valid =
        sequential ? wire::validate_sequential_path(path) : wire::validate_path(path);
    if (valid != wire::path_error::none) {
        return number(errc::bad_arguments);
    }
    if (acls.empty()) {
        return number(errc::invalid_acl);
    }
    if (path == "/" && !sequential) {
        return number(errc::node_exists);
    }
    const std::size_t slash = path.rfind('/');
    znode* const parent = lookup(slash == 0 ? std::string_view("/") : path.substr(0, slash));
    if (parent == nullptr) {
        return number(errc::no_node);
    }
    created = path;
    if (sequential) {
        char digits[16];
        std::snprintf(digits, sizeof digits, "%010d", static_cast<int>(parent->created_children));
        created += digits;
    }
    if (nodes_.contains(created)) {
        return number(errc::node_exists);
    }
    if (parent->stat.ephemeral_owner != 0) {
        return number(errc::no_children_for_ephemerals);
    }
    parent->children.insert(created.substr(slash + 1));
    ++parent->created_children;
    parent->stat.pzxid = w.zxid;
    znode& made = nodes_[created];
    made.data = copy_of(data);
    made.acls = copy_of(acls);
    made.stat.czxid = made.stat.mzxid = made.stat.pzxid = w.zxid;
    made.stat.ctime = made.stat.mtime = w.now_ms;
    made.stat.ephemeral_owner = ephemeral ? w.session : 0;
    w.changes.push_back({event_type::created, created});
    return 0;
}

std::int32_t znode_tree::remove(writing& w, std::string_view path, std::int32_t version)
{
    if (is_fixed(path)) {
        return number(errc::bad_arguments);
    }
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) {
        return number(errc::no_node);
    }
    if (version != -1 && version != found->second.stat.version) {
        return number(errc::bad_version);
    }
    if (!found->second.children.empty()) {
        return number(errc::not_empty);
    }
    if (znode* const parent = lookup(wire::parent_path(path))) {
        parent->children.erase(std::string(wire::last_component(path)));
        parent->stat.pzxid = w.zxid;
    }
    w.changes.push_back({event_type::deleted, found->first});
    nodes_.erase(found);
    return 0;
}

std::int32_t znode_tree::set_data(writing& w, std::string_view path, data_view data,
                                  std::int32_t version)
{
    if (wire::validate_path(path) != wire::path_error::none) {
        return number(errc::bad_arguments);
    }
    znode* const node = lookup(path);
    if (node == nullptr) {
        return number(errc::no_node);
    }
    if (version != -1 && version != node->stat.version) {
        return number(errc::bad_version);
    }
    node->data = copy_of(data);
    ++node->stat.version;
    node->stat.mzxid = w.zxid;
    node->stat.mtime = w.now_ms;
    w.changes.push_back({event_type::changed, std::string(path)});
    return 0;
}

std::int32_t znode_tree::set_acl(std::string_view path, const std::vector<wire::acl>& acls,
                                 std::int32_t version)
{
    if (wire::validate_path(path) != wire::path_error::none) {
        return number(errc::bad_arguments);
    }
    if (acls.empty()) {
        return number(errc::invalid_acl);
    }
    znode* const node = lookup(path);
    if (node == nullptr) {
        return number(errc::no_node);
    }
    if (version != -1 && version != node->stat.aversion) {
        return number(errc::bad_version);
    }
    node->acls = copy_of(acls);
    ++node->stat.aversion;
    return 0;
}

std::int32_t znode_tree::check(std::string_view path, std::int32_t version) const
{
    if (wire::validate_path(path) != wire::path_error::none) {
        return number(errc::bad_arguments);
    }
    const znode* const node = find(path);
    if (node == nullptr) {
        return number(errc::no_node);
    }
    return version == -1 || version == node->stat.version ? 0 : number(errc::bad_version);
}

}  // namespace coati::testing
