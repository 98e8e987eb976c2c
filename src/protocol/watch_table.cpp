// What is armed, what an event fires, what is registered again: see the header.

#include <coati/protocol/watch_table.hpp>

#include <coati/protocol/request.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation.hpp>
#include <coati/wire/operation_watch.hpp>

#include <algorithm>
#include <cassert>

namespace coati::protocol {

using wire::watch_kind;

namespace {

constexpr std::array one_shots = {watch_kind::data, watch_kind::exist, watch_kind::child};
constexpr std::array persistents = {watch_kind::persistent, watch_kind::persistent_recursive};

constexpr auto minus_one = static_cast<std::size_t>(-1);

bool is_persistent(watch_kind kind) noexcept
{
    return kind >= watch_kind::persistent;
}

std::string_view parent_of(std::string_view path) noexcept
{
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos || path.size() == 1 ? std::string_view()
           : slash == 0                                        ? path.substr(0, 1)
                                                               : path.substr(0, slash);
}

}  // namespace

// --- lists

bool watch_table::entry::empty() const noexcept
{
    return std::ranges::none_of(lists, [](const watch_link& list) { return list.linked(); });
}

std::size_t watch_table::index(watch_kind kind) noexcept
{
    assert(kind >= watch_kind::data && kind <= watch_kind::persistent_recursive);
    return static_cast<std::size_t>(kind) - static_cast<std::size_t>(watch_kind::data);
}

watch_link& watch_table::list_of(entry& of, watch_kind kind) noexcept
{
    return of.lists[index(kind)];
}

bool watch_table::has(const entry& of, watch_kind kind) noexcept
{
    return of.lists[index(kind)].linked();
}

watch_kind watch_table::strongest(const entry& of) noexcept
{
    return has(of, watch_kind::persistent_recursive) ? watch_kind::persistent_recursive
           : has(of, watch_kind::persistent)         ? watch_kind::persistent
                                                     : watch_kind::none;
}

void watch_table::add(watcher& w, std::string_view server_path, watch_kind kind)
{
    assert(w.path_ == nullptr);
    auto found = entries_.find(server_path);
    if (found == entries_.end()) {
        found = entries_.try_emplace(std::string(server_path)).first;
    }
    w.kind_ = kind;
    w.path_ = &found->first;
    w.insert_before(list_of(found->second, kind));
    count(kind, 1);
}

void watch_table::count(watch_kind kind, std::size_t change) noexcept
{
    size_ += change;
    persistent_ += is_persistent(kind) ? change : 0;
    recursive_ += kind == watch_kind::persistent_recursive ? change : 0;
}

watch_table::remains watch_table::remove(watcher& w)
{
    if (w.path_ == nullptr) {
        return remains::others;  // it has fired: there is nothing on the server to remove
    }
    const auto found = entries_.find(*w.path_);
    assert(found != entries_.end());
    w.unlink();
    w.path_ = nullptr;
    count(w.kind_, minus_one);
    const entry& left = found->second;
    const bool same = w.kind_ == watch_kind::child
                          ? has(left, watch_kind::child)
                          : has(left, watch_kind::data) || has(left, watch_kind::exist);
    const bool empty = left.empty();
    const bool persists = held_at(found->first) != watch_kind::none;
    if (empty) {
        entries_.erase(found);
    }
    if (persists || is_persistent(w.kind_)) {
        // Servers before 3.9 take a removal of data or child watches for half of a persistent one,
        // and know no removal of that alone (ZOOKEEPER-4471, 4472).
        return empty ? remains::nothing_else : remains::others;
    }
    return same ? remains::others : remains::nothing;
}

void watch_table::forget(std::string_view server_path)
{
    if (const auto found = server_.find(server_path); found != server_.end()) {
        server_.erase(found);
    }
}

void watch_table::take(entry& from, watch_kind kind, watch_link& into) noexcept
{
    watch_link& list = list_of(from, kind);
    while (list.linked()) {
        watch_link& first = *list.next_;
        first.unlink();
        first.insert_before(into);
        static_cast<watcher&>(first).path_ = nullptr;
        count(kind, minus_one);
    }
}

void watch_table::erase_if_empty(map<entry>::iterator at)
{
    if (!at->second.empty()) {
        return;
    }
    if (held_at(at->first) != watch_kind::none) {
        forsaken_.push_back(at->first);
    }
    entries_.erase(at);
}

// --- events

void watch_table::fire(event_type type, std::string_view server_path, std::int64_t zxid)
{
    const auto found = entries_.find(server_path);
    if (found == entries_.end() && recursive_ == 0 && server_.empty()) {
        return;
    }
    // All are taken out before the first is told: what a subscriber does next (watch the same path
    // again, drop another watch) must meet a consistent table.
    const std::string path(server_path);
    watch_link fired;
    watch_link fired_above;
    if (found != entries_.end()) {
        if (type != event_type::children_changed) {
            take(found->second, watch_kind::data, fired);
            take(found->second, watch_kind::exist, fired);
        }
        if (type == event_type::children_changed || type == event_type::deleted) {
            take(found->second, watch_kind::child, fired);
        }
        erase_if_empty(found);
    }
    if (persistent_ != 0) {
        tell_streams(type, path, zxid);
    }
    if (!server_.empty() && (type == event_type::created || type == event_type::deleted)) {
        tell_parent(path, zxid, fired_above);
    }
    while (fired.linked()) {
        watch_link& first = *fired.next_;
        first.unlink();
        static_cast<watcher&>(first).on_event(type, path, zxid);
    }
    const std::string parent(fired_above.linked() ? parent_of(path) : std::string_view());
    while (fired_above.linked()) {
        watch_link& first = *fired_above.next_;
        first.unlink();
        static_cast<watcher&>(first).on_event(event_type::children_changed, parent, zxid);
    }
}

void watch_table::tell(entry& of, watch_kind kind, event_type type, const std::string& path,
                       std::int64_t zxid)
{
    const watch_link& list = list_of(of, kind);
    for (watch_link* each = list.next_; each != &list; each = each->next_) {
        static_cast<watcher&>(*each).on_event(type, path, zxid);
    }
}

void watch_table::tell_streams(event_type type, const std::string& path, std::int64_t zxid)
{
    const auto here = entries_.find(path);
    if (type == event_type::children_changed) {
        // Where the server has a recursive watch the news of a child was this event already.
        if (here != entries_.end() && held_at(path) != watch_kind::persistent_recursive) {
            tell(here->second, watch_kind::persistent, type, path, zxid);
        }
        return;
    }
    if (here != entries_.end()) {
        tell(here->second, watch_kind::persistent, type, path, zxid);
    }
    if (recursive_ == 0) {
        return;
    }
    for (std::string_view at = path; !at.empty(); at = parent_of(at)) {
        if (const auto above = entries_.find(at); above != entries_.end()) {
            tell(above->second, watch_kind::persistent_recursive, type, path, zxid);
        }
    }
}

// A recursive watch reports the child and not its parent. For others on the parent that event is
// made here: a server before 3.9 has put the recursive watch in their watch's place.
void watch_table::tell_parent(const std::string& path, std::int64_t zxid, watch_link& fired)
{
    const std::string parent(parent_of(path));
    if (parent.empty() || held_at(parent) != watch_kind::persistent_recursive) {
        return;
    }
    if (const auto above = entries_.find(parent); above != entries_.end()) {
        tell(above->second, watch_kind::persistent, event_type::children_changed, parent, zxid);
        take(above->second, watch_kind::child, fired);
        erase_if_empty(above);
    }
}

void watch_table::tell_gap(entry& of, gap_reason why)
{
    for (const watch_kind kind : persistents) {
        const watch_link& list = list_of(of, kind);
        for (watch_link* each = list.next_; each != &list; each = each->next_) {
            static_cast<watcher&>(*each).on_gap(why);
        }
    }
}

void watch_table::end_all(const error& why)
{
    watch_link ended;
    for (auto& [path, each] : entries_) {
        for (const watch_kind kind : one_shots) {
            take(each, kind, ended);
        }
        for (const watch_kind kind : persistents) {
            take(each, kind, ended);
        }
    }
    entries_.clear();
    server_.clear();
    forsaken_.clear();
    while (ended.linked()) {
        watch_link& first = *ended.next_;
        first.unlink();
        static_cast<watcher&>(first).on_end(why);
    }
}

// --- what goes out -------------------------------------------------------------------------------

namespace {

/// Fills SetWatches requests up to a number of bytes of paths each.
class chunks {
public:
    chunks(std::int64_t relative_zxid, std::size_t limit) : limit_(limit)
    {
        batch_.relative_zxid = relative_zxid;
    }

    void add(watch_kind kind, std::string_view path)
    {
        const std::size_t size = 4 + path.size();
        if (bytes_ + size > limit_) {
            flush();
        }
        list_of(kind).push_back(path);
        bytes_ += size;
    }

    std::vector<registration> finish()
    {
        flush();
        return std::move(all_);
    }

private:
    std::vector<std::string_view>& list_of(watch_kind kind)
    {
        switch (kind) {
        case watch_kind::exist: return batch_.exist;
        case watch_kind::child: return batch_.child;
        case watch_kind::persistent: return batch_.persistent;
        case watch_kind::persistent_recursive: return batch_.persistent_recursive;
        case watch_kind::none:
        case watch_kind::data: break;
        }
        return batch_.data;
    }

    void flush()
    {
        if (bytes_ == 0) {
            return;
        }
        std::string body;
        if (batch_.persistent.empty() && batch_.persistent_recursive.empty()) {
            // Servers before 3.6 hang up on the other one.
            wire::encode(body, wire::set_watches::request{batch_.relative_zxid, batch_.data,
                                                          batch_.exist, batch_.child});
            all_.emplace_back(wire::op_code::set_watches, std::move(body));
        } else {
            wire::encode(body, batch_);
            all_.emplace_back(wire::op_code::set_watches2, std::move(body));
        }
        const std::int64_t zxid = batch_.relative_zxid;
        batch_ = {};
        batch_.relative_zxid = zxid;
        bytes_ = 0;
    }

    std::vector<registration> all_;
    wire::set_watches2::request batch_;
    std::size_t bytes_ = 0;
    std::size_t limit_;
};

}  // namespace

std::vector<registration> watch_table::collect(std::int64_t relative_zxid, std::size_t chunk) const
{
    chunks all(relative_zxid, chunk);
    for (const auto& [path, each] : entries_) {
        for (const watch_kind kind : one_shots) {
            if (has(each, kind)) {
                all.add(kind, path);
            }
        }
    }
    for (const auto& [path, each] : entries_) {
        if (const watch_kind kind = strongest(each); kind != watch_kind::none) {
            all.add(kind, path);
        }
    }
    return all.finish();
}

void watch_table::on_connected()
{
    server_.clear();
    forsaken_.clear();
    for (auto& [path, each] : entries_) {
        if (const watch_kind kind = strongest(each); kind != watch_kind::none) {
            server_[path].held = kind;
            tell_gap(each, gap_reason::reconnected);
        }
    }
}

watch_kind watch_table::held_at(std::string_view server_path) const
{
    if (server_.empty()) {
        return watch_kind::none;
    }
    const auto found = server_.find(server_path);
    return found == server_.end() ? watch_kind::none : found->second.held;
}

void watch_table::on_staging(request& what)
{
    // The body begins with the path and ends with what may be changed: a mode, or a bool.
    const bool adds = is_persistent(what.watches);
    if (what.body.empty() || (!adds && server_.empty() && what.body.back() == 1)) {
        return;  // the usual case
    }
    wire::reader in(what.body);
    std::string_view path;
    if (!wire::decode(in, path) || in.rest().empty()) {
        return;
    }
    if (adds) {
        const bool recursive = stage_add(path, what.watches) == watch_kind::persistent_recursive;
        const auto mode = recursive ? wire::add_watch_mode::persistent_recursive
                                    : wire::add_watch_mode::persistent;
        what.body.back() = static_cast<char>(mode);
    } else {
        what.body.back() = stage_read(path, what.watches) ? '\1' : '\0';
    }
}

// A persistent watch reports all that a one-shot watch on its path would, so the server need not be
// asked for that: before 3.9 it would end the persistent one. False: it is not asked.
bool watch_table::stage_read(std::string_view server_path, watch_kind kind)
{
    const auto found = server_.find(server_path);
    if (found == server_.end()) {
        return true;
    }
    server_watch& at = found->second;
    if (kind == watch_kind::child) {
        // Recursive watches report no changes of children; nor do child watches disturb them.
        const watch_kind then = std::max(at.held, at.asked);
        if (then == watch_kind::persistent_recursive) {
            return true;
        }
    }
    if (at.held != watch_kind::none && !at.disturbed) {
        return false;
    }
    // The addWatch ahead may fail, so this watch is set; what it may have ended is set again then.
    at.disturbed = at.owes_gap = true;
    return true;
}

watch_kind watch_table::stage_add(std::string_view server_path, watch_kind kind)
{
    auto found = server_.find(server_path);
    if (found == server_.end()) {
        found = server_.try_emplace(std::string(server_path)).first;
    }
    server_watch& at = found->second;
    at.asked = std::max({at.held, at.asked, kind});
    at.disturbed = false;
    ++at.in_flight;
    return at.asked;
}

bool watch_table::on_add_answered(std::string_view server_path, watch_kind sent, bool succeeded)
{
    const auto found = server_.find(server_path);
    if (found == server_.end() || found->second.in_flight == 0) {
        return false;
    }
    server_watch& at = found->second;
    if (succeeded) {
        at.held = std::max(at.held, sent);
    }
    if (--at.in_flight != 0) {
        return false;
    }
    at.asked = watch_kind::none;
    if (at.held == watch_kind::none) {
        server_.erase(found);
        return false;
    }
    const auto here = entries_.find(server_path);
    if (here == entries_.end()) {
        forsaken_.emplace_back(server_path);  // whoever asked has gone meanwhile
        return false;
    }
    if (strongest(here->second) == watch_kind::none) {
        return false;
    }
    if (at.disturbed) {
        return true;
    }
    if (std::exchange(at.owes_gap, false)) {
        tell_gap(here->second, gap_reason::set_again);
    }
    return false;
}

std::vector<watch_count> watch_table::counts() const
{
    std::vector<watch_count> all;
    for (const auto& [path, each] : entries_) {
        for (std::size_t i = 0; i < kinds; ++i) {
            watch_count one{path, static_cast<watch_kind>(i + 1), 0};
            const watch_link& list = each.lists[i];
            for (const watch_link* at = list.next_; at != &list; at = at->next_) {
                ++one.watchers;
            }
            if (one.watchers != 0) {
                all.push_back(one);
            }
        }
    }
    return all;
}

}  // namespace coati::protocol
