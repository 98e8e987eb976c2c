// The scripted server's watch operations: setting persistent ones, removing any, and catching up
// after a reconnect.
//
// Only the tables of one connection are touched here; firing is server_connection.cpp.
#include "server_exchange.hpp"

namespace coati::testing {

// --- the tables

void watch_tables::set(table& in, std::string_view path, mode m, bool is_39)
{
    unsigned& modes = in[std::string(path)];
    modes = is_39 ? modes | m : m;
}

bool watch_tables::has(const table& in, std::string_view path, unsigned modes)
{
    const auto found = in.find(path);
    return found != in.end() && (found->second & modes) != 0;
}

void watch_tables::remove(table& in, std::string_view path, unsigned modes)
{
    const auto found = in.find(path);
    if (found == in.end()) {
        return;
    }
    found->second &= ~modes;
    if (found->second == 0) {
        in.erase(found);
    }
}

void watch_tables::add_persistent(std::string_view path, bool is_39)
{
    set(data_, path, persistent, is_39);
    set(child_, path, persistent, is_39);
}

void watch_tables::add_recursive(std::string_view path, bool is_39)
{
    set(data_, path, recursive, is_39);
    if (!is_39) {
        set(child_, path, recursive, is_39);
    }
}

// WatchManager.triggerWatch: the path with every mode, what is above it with the recursive one.
bool watch_tables::fire(table& in, std::string_view path, bool reaches_recursive)
{
    bool fires = has(in, path, standard | persistent);
    remove(in, path, standard);
    while (reaches_recursive && !fires && !path.empty()) {
        fires = has(in, path, recursive);
        const auto slash = path.rfind('/');
        path = path.size() == 1 || slash == std::string_view::npos
                   ? std::string_view()
                   : path.substr(0, slash == 0 ? 1 : slash);
    }
    return fires;
}

std::size_t watch_tables::size() const
{
    std::size_t n = 0;
    for (const auto& [path, modes] : data_) {
        for (const mode each : {standard, persistent, recursive}) {
            n += (modes & each) != 0 ? 1 : 0;
        }
    }
    for (const auto& [path, modes] : child_) {
        n += (modes & standard) != 0 || ((modes & persistent) != 0 && !has_data(path, persistent))
                 ? 1
                 : 0;
    }
    return n;
}

// --- the operations

void execute_op(tag<wire::add_watch>, const exchange& x, const wire::add_watch::request& r)
{
    if (r.mode == wire::add_watch_mode::persistent) {
        x.on.watches.add_persistent(r.path, x.ensemble.is_39());
    } else if (r.mode == wire::add_watch_mode::persistent_recursive) {
        x.on.watches.add_recursive(r.path, x.ensemble.is_39());
    } else {
        x.answer_error(number(errc::marshalling_error));
        return;
    }
    x.answer(x.ensemble.zxid, wire::add_watch::response{0});
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

void find_watches(const exchange& x, const wire::check_watches::request& r, bool remove)
{
    const auto modes = modes_of(r.type, x.ensemble.is_39());
    watch_tables& w = x.on.watches;
    const bool any = w.has_data(r.path, modes.data) || w.has_child(r.path, modes.child);
    if (any && remove) {
        w.remove_data(r.path, modes.data);
        w.remove_child(r.path, modes.child);
    }
    const bool is_known = modes.data != 0 || modes.child != 0;
    const auto refused = is_known ? errc::no_watcher : errc::marshalling_error;
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
            watches.add_data(path, x.ensemble.is_39());
        }
    }
    for (const auto path : r.exist) {
        if (tree.find(path) != nullptr) {
            x.on.send_event(event_type::created, path, -1);
        } else {
            watches.add_data(path, x.ensemble.is_39());
        }
    }
    for (const auto path : r.child) {
        const znode* const node = tree.find(path);
        if (node == nullptr) {
            x.on.send_event(event_type::deleted, path, -1);
        } else if (node->stat.pzxid > r.relative_zxid) {
            x.on.send_event(event_type::children, path, -1);
        } else {
            watches.add_child(path, x.ensemble.is_39());
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
    for (const auto path : r.persistent) {
        x.on.watches.add_persistent(path, x.ensemble.is_39());
    }
    for (const auto path : r.persistent_recursive) {
        x.on.watches.add_recursive(path, x.ensemble.is_39());
    }
    x.answer_code(0);
}

}  // namespace coati::testing
