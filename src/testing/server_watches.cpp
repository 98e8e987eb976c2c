// The scripted server's watch operations: setting persistent ones, removing any, and catching up
// after a reconnect.
//
// Only the tables of one connection are touched here; firing is server_connection.cpp.
#include "server_exchange.hpp"

namespace coati::testing {

void execute_op(tag<wire::add_watch>, const exchange& x, const wire::add_watch::request& r)
{
    if (r.mode == wire::add_watch_mode::persistent) {
        x.on.watches.persistent.emplace(r.path);
    } else if (r.mode == wire::add_watch_mode::persistent_recursive) {
        x.on.watches.recursive.emplace(r.path);
    } else {
        x.answer_error(number(errc::marshalling_error));
        return;
    }
    x.answer(x.ensemble.zxid, wire::add_watch::response{0});
}

namespace {

using path_set = std::set<std::string, std::less<>>;

/// The tables that a removal of this type is about; none: the type is unknown.
std::vector<path_set*> tables_of(const exchange& x, wire::watcher_type type)
{
    watch_tables& w = x.on.watches;
    const bool is_39 = x.ensemble.is_39();
    const std::map<wire::watcher_type, std::vector<path_set*>> all{
        {wire::watcher_type::children, {&w.child}},
        {wire::watcher_type::data, {&w.data}},
        {wire::watcher_type::any, {&w.child, &w.data, &w.persistent, &w.recursive}},
        {wire::watcher_type::persistent, {&w.persistent}},
        {wire::watcher_type::persistent_recursive, {&w.recursive}},
    };
    const auto found = all.find(type);
    const bool known = found != all.end() && (is_39 || type <= wire::watcher_type::any);
    return known ? found->second : std::vector<path_set*>();
}

void find_watches(const exchange& x, const wire::check_watches::request& r, bool remove)
{
    const auto tables = tables_of(x, r.type);
    bool any = false;
    for (path_set* const each : tables) {
        if (const auto found = each->find(r.path); found != each->end()) {
            any = true;
            if (remove) {
                each->erase(found);
            }
        }
    }
    const auto refused = tables.empty() ? errc::marshalling_error : errc::no_watcher;
    x.answer_code(any ? 0 : number(refused));
}

}  // namespace

void execute_op(tag<wire::check_watches>, const exchange& x, const wire::check_watches::request& r)
{
    find_watches(x, r, false);
}

void execute_op(tag<wire::remove_watches>, const exchange& x,
                const wire::remove_watches::request& r)
{
    find_watches(x, r, true);
}

namespace {

/// What changed while the client was away fires now, and is not armed again.
template <class Request>
void catch_up(const exchange& x, const Request& r)
{
    const znode_tree& tree = x.ensemble.tree;
    watch_tables& watches = x.on.watches;
    for (const auto path : r.data) {
        const znode* const node = tree.find(path);
        if (node == nullptr) {
            x.on.send_event(event_type::deleted, path, -1);
        } else if (node->stat.mzxid > r.relative_zxid) {
            x.on.send_event(event_type::changed, path, -1);
        } else {
            watches.data.emplace(path);
        }
    }
    for (const auto path : r.exist) {
        if (tree.find(path) != nullptr) {
            x.on.send_event(event_type::created, path, -1);
        } else {
            watches.data.emplace(path);
        }
    }
    for (const auto path : r.child) {
        const znode* const node = tree.find(path);
        if (node == nullptr) {
            x.on.send_event(event_type::deleted, path, -1);
        } else if (node->stat.pzxid > r.relative_zxid) {
            x.on.send_event(event_type::children, path, -1);
        } else {
            watches.child.emplace(path);
        }
    }
}

}  // namespace

void execute_op(tag<wire::set_watches>, const exchange& x, const wire::set_watches::request& r)
{
    catch_up(x, r);
    x.answer_code(0);
}

void execute_op(tag<wire::set_watches2>, const exchange& x, const wire::set_watches2::request& r)
{
    catch_up(x, r);
    x.on.watches.persistent.insert(r.persistent.begin(), r.persistent.end());
    x.on.watches.recursive.insert(r.persistent_recursive.begin(), r.persistent_recursive.end());
    x.answer_code(0);
}

}  // namespace coati::testing
