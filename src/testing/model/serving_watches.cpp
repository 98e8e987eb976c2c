// The watch operations: setting persistent ones, removing any, catching up after a reconnect; and
// what a connection hears of a change.
#include "java_text.hpp"
#include "serving_parts.hpp"

namespace coati::testing {

void serve_op(tag<wire::add_watch>, const question& q, const wire::add_watch::request& r)
{
    if (r.mode == wire::add_watch_mode::persistent) {
        q.to.watches.add_persistent(r.path, q.has().is_39());
    } else if (r.mode == wire::add_watch_mode::persistent_recursive) {
        q.to.watches.add_recursive(r.path, q.has().is_39());
    } else {
        return q.refuse(errc::marshalling_error);
    }
    q.answer(wire::add_watch::response{0});
}

namespace {

/// The modes that a removal of this type is about, in the data and in the child manager.
struct removed_modes {
    unsigned data = 0;
    unsigned child = 0;
};

removed_modes modes_of(wire::watcher_type type, bool is_39)
{
    // Before 3.9 a removal took the one entry of the path, whatever its mode.
    const unsigned plain = is_39 ? watch_tables::standard : watch_tables::all;
    switch (type) {
    case wire::watcher_type::children: return {0, plain};
    case wire::watcher_type::data: return {plain, 0};
    case wire::watcher_type::any: return {watch_tables::all, watch_tables::all};
    case wire::watcher_type::persistent:
        return is_39 ? removed_modes{watch_tables::persistent, watch_tables::persistent}
                     : removed_modes{};
    case wire::watcher_type::persistent_recursive:
        return is_39 ? removed_modes{watch_tables::recursive, watch_tables::recursive}
                     : removed_modes{};
    }
    return {};
}

void find_watches(const question& q, const wire::check_watches::request& r, bool remove)
{
    const auto modes = modes_of(r.type, q.has().is_39());
    watch_tables& w = q.to.watches;
    const bool any = w.has_data(r.path, modes.data) || w.has_child(r.path, modes.child);
    if (any && remove) {
        w.remove_data(r.path, modes.data);
        w.remove_child(r.path, modes.child);
    }
    if (!any) {
        const bool is_known = modes.data != 0 || modes.child != 0;
        q.refuse(is_known ? errc::no_watcher : errc::marshalling_error);
    }
}

/// Before 3.9 it does not matter whose watch it is that is found. Where a table has none, a server
/// goes up the path, if anybody watches recursively, and stumbles when it does not begin with a
/// slash.
void check_watches_38(const question& q, const wire::check_watches::request& r)
{
    struct view {
        bool is_asked = false;
        bool found = false;
        bool goes_up = false;
    };
    const auto modes = modes_of(r.type, false);
    view data{modes.data != 0};
    view child{modes.child != 0};
    if (!data.is_asked && !child.is_asked) {
        return q.refuse(errc::marshalling_error);
    }
    for (const watch_tables* const each : q.to.of_all) {
        data.found = data.found || each->has_data(r.path, modes.data);
        data.goes_up = data.goes_up || each->has_recursive_data();
        child.found = child.found || each->has_child(r.path, modes.child);
        child.goes_up = child.goes_up || each->has_recursive_child();
    }
    const bool has_slash = r.path.find('/') != std::string_view::npos;
    const auto stumbles = [&](const view& in) {
        return in.is_asked && !r.path.empty() &&
               (!has_slash || (in.goes_up && !in.found && r.path[0] != '/'));
    };
    if (stumbles(data) || stumbles(child)) {
        q.refuse(errc::marshalling_error);
    } else if (r.path.empty() || (!data.found && !child.found)) {
        q.refuse(errc::no_watcher);
    }
}

}  // namespace

void serve_op(tag<wire::check_watches>, const question& q, const wire::check_watches::request& r)
{
    if (!q.has().is_39()) {
        return check_watches_38(q, r);
    }
    find_watches(q, r, false);
}

void serve_op(tag<wire::remove_watches>, const question& q, const wire::remove_watches::request& r)
{
    find_watches(q, r, true);
}

namespace {

/// What changed while the client was away fires now, and is not armed again.
template <class Request>
void catch_up(const question& q, const Request& r)
{
    const znode_tree& tree = q.from.tree();
    watch_tables& watches = q.to.watches;
    const bool is_39 = q.has().is_39();
    const auto tell = [&](event_type type, std::string_view path) {
        q.out.before.push_back({type, as_java_has_it(path), -1});
    };
    for (const auto path : r.data) {
        const znode* const node = tree.find(path);
        if (node == nullptr) {
            tell(event_type::deleted, path);
        } else if (node->stat.mzxid > r.relative_zxid) {
            tell(event_type::changed, path);
        } else {
            watches.add_data(path, is_39);
        }
    }
    for (const auto path : r.exist) {
        if (tree.find(path) != nullptr) {
            tell(event_type::created, path);
        } else {
            watches.add_data(path, is_39);
        }
    }
    for (const auto path : r.child) {
        const znode* const node = tree.find(path);
        if (node == nullptr) {
            tell(event_type::deleted, path);
        } else if (node->stat.pzxid > r.relative_zxid) {
            tell(event_type::children, path);
        } else {
            watches.add_child(path, is_39);
        }
    }
}

}  // namespace

void serve_op(tag<wire::set_watches>, const question& q, const wire::set_watches::request& r)
{
    catch_up(q, r);
}

void serve_op(tag<wire::set_watches2>, const question& q, const wire::set_watches2::request& r)
{
    catch_up(q, r);
    for (const auto path : r.persistent) {
        q.to.watches.add_persistent(path, q.has().is_39());
    }
    for (const auto path : r.persistent_recursive) {
        q.to.watches.add_recursive(path, q.has().is_39());
    }
}

std::vector<event> heard_by(peer& by, const change& what, std::int64_t zxid, const rules& has)
{
    std::vector<event> all;
    const auto tell = [&](event_type type, std::string_view path, const acl_list& acls) {
        if (!has.does_hide_events() || allows(acls, may_read, by.who)) {
            all.push_back({type, std::string(path), has.is_39() ? zxid : -1});
        }
    };
    bool fires = by.watches.fire_data(what.path);
    if (what.type == event_type::deleted) {
        fires = by.watches.fire_child(what.path, false) || fires;
    }
    if (fires) {
        tell(what.type, what.path, what.acls);
    }
    if (what.type != event_type::changed && by.watches.fire_child(parent_of(what.path), true)) {
        tell(event_type::children, parent_of(what.path), what.parent_acls);
    }
    return all;
}

}  // namespace coati::testing
