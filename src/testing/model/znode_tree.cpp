// The tree: changes, their traces in stats, and their undoing.
#include "znode_tree.hpp"

namespace coati::testing {

namespace {

data_value copy_of(data_view data)
{
    return {std::string(data.value), data.is_null};
}

/// Counters of the protocol wrap.
std::int32_t next(std::int32_t n)
{
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(n) + 1U);
}

std::string_view last_name(std::string_view path)
{
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string_view parent_of(std::string_view path)
{
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string_view::npos ? std::string_view("/")
                                                         : path.substr(0, slash);
}

znode_tree::znode_tree()
{
    // These came into being without a transaction: no zxid, no time, and nobody counted them.
    for (const auto* const path : {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"}) {
        nodes_[path].acls = open_to_all();
    }
    at("/").children = {"zookeeper"};
    at("/zookeeper").children = {"config", "quota"};
    znode& config = at("/zookeeper/config");
    config.acls = read_by_all();
    config.stat.version = -1;
    config.stat.aversion = -1;
}

const znode* znode_tree::find(std::string_view path) const
{
    const auto found = nodes_.find(path.empty() ? std::string_view("/") : path);
    return found == nodes_.end() ? nullptr : &found->second;
}

coati::stat znode_tree::stat_of(const znode& node)
{
    coati::stat all = node.stat;
    all.num_children = static_cast<std::int32_t>(node.children.size());
    all.cversion =
        static_cast<std::int32_t>(2U * static_cast<std::uint32_t>(node.created_children) -
                                  static_cast<std::uint32_t>(all.num_children));
    all.data_length = static_cast<std::int32_t>(node.data.value.size());
    return all;
}

std::vector<std::string> znode_tree::ephemerals_of(std::int64_t session) const
{
    const auto found = ephemerals_.find(session);
    return found == ephemerals_.end()
               ? std::vector<std::string>()
               : std::vector<std::string>(found->second.begin(), found->second.end());
}

std::vector<std::string> znode_tree::outlived(std::int64_t now_ms) const
{
    std::vector<std::string> all;
    for (const auto& path : mortals_) {
        const znode& node = *find(path);
        const bool over = node.kind == znode_kind::container
                              ? node.created_children > 0
                              : now_ms - node.stat.mtime > node.ttl_ms;
        if (over && node.children.empty()) {
            all.push_back(path);
        }
    }
    return all;
}

std::int32_t znode_tree::count_descendants(std::string_view path) const
{
    if (path == "/") {
        return static_cast<std::int32_t>(nodes_.size()) - 1;
    }
    const std::string below = std::string(path) + "/";
    std::int32_t count = 0;
    for (auto each = nodes_.lower_bound(below); each != nodes_.end(); ++each) {
        if (!each->first.starts_with(below)) {
            break;
        }
        ++count;
    }
    return count;
}

znode& znode_tree::put(std::string path, const znode& node)
{
    if (node.kind == znode_kind::ephemeral) {
        ephemerals_[node.stat.ephemeral_owner].insert(path);
    } else if (node.kind != znode_kind::persistent) {
        mortals_.insert(path);
    }
    return nodes_[std::move(path)] = node;
}

void znode_tree::drop(nodes::iterator at)
{
    if (const auto of = ephemerals_.find(at->second.stat.ephemeral_owner);
        of != ephemerals_.end()) {
        of->second.erase(at->first);
        if (of->second.empty()) {
            ephemerals_.erase(of);
        }
    }
    mortals_.erase(at->first);
    nodes_.erase(at);
}

void znode_tree::create(writing& w, const std::string& path, const new_znode& made)
{
    znode& parent = at(parent_of(path));
    if (w.can_undo) {
        w.steps.push_back(
            {event_type::created, path, {}, parent.stat.pzxid, parent.created_children});
    }
    parent.children.emplace(last_name(path));
    parent.created_children = next(parent.created_children);
    parent.stat.pzxid = w.zxid;
    znode node;
    node.data = copy_of(made.data);
    node.acls = made.acls;
    node.kind = made.kind;
    node.ttl_ms = made.ttl_ms;
    node.stat.czxid = node.stat.mzxid = node.stat.pzxid = w.zxid;
    node.stat.ctime = node.stat.mtime = w.now_ms;
    node.stat.ephemeral_owner = made.kind == znode_kind::ephemeral ? w.session : 0;
    put(path, node);
    w.changes.push_back({event_type::created, path, made.acls, parent.acls});
}

void znode_tree::remove(writing& w, std::string_view path)
{
    const auto found = nodes_.find(path);
    znode& parent = at(parent_of(path));
    w.changes.push_back({event_type::deleted, found->first, found->second.acls, parent.acls});
    if (w.can_undo) {
        // What a move leaves behind still says whose it was, for `drop`.
        w.steps.push_back({event_type::deleted, found->first, std::move(found->second),
                           parent.stat.pzxid, parent.created_children});
    }
    parent.children.erase(parent.children.find(last_name(path)));
    parent.stat.pzxid = w.zxid;
    drop(found);
}

void znode_tree::set_data(writing& w, std::string_view path, data_view data)
{
    const auto found = nodes_.find(path);
    znode& node = found->second;
    if (w.can_undo) {
        undo_step step{event_type::changed, found->first};
        step.before.data = std::move(node.data);
        step.before.stat = node.stat;
        w.steps.push_back(std::move(step));
    }
    node.data = copy_of(data);
    node.stat.version = next(node.stat.version);
    node.stat.mzxid = w.zxid;
    node.stat.mtime = w.now_ms;
    w.changes.push_back({event_type::changed, found->first, node.acls, nullptr});
}

void znode_tree::set_acl(std::string_view path, acl_list acls)
{
    znode& node = at(path);
    node.acls = std::move(acls);
    node.stat.aversion = next(node.stat.aversion);
}

void znode_tree::roll_back(writing& w)
{
    for (auto step = w.steps.rbegin(); step != w.steps.rend(); ++step) {
        if (step->type == event_type::changed) {
            znode& node = at(step->path);
            node.data = std::move(step->before.data);
            node.stat = step->before.stat;
            continue;
        }
        znode& parent = at(parent_of(step->path));
        if (step->type == event_type::created) {
            parent.children.erase(std::string(last_name(step->path)));
            drop(nodes_.find(step->path));
        } else {
            parent.children.emplace(last_name(step->path));
            put(step->path, step->before);
        }
        parent.stat.pzxid = step->parent_pzxid;
        parent.created_children = step->parent_created;
    }
    w.steps.clear();
    w.changes.clear();
}

}  // namespace coati::testing
