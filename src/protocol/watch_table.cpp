// What is armed, what an event fires, what is registered again: see the header.

#include <coati/protocol/watch_table.hpp>

#include <coati/wire/jute.hpp>
#include <coati/wire/operation.hpp>
#include <coati/wire/operation_watch.hpp>

#include <cassert>

namespace coati::protocol {

bool watch_table::entry::empty() const noexcept
{
    for (const watch_link& list : lists) {
        if (list.linked()) {
            return false;
        }
    }
    return true;
}

std::size_t watch_table::index(wire::watch_kind kind) noexcept
{
    assert(kind >= wire::watch_kind::data && kind <= wire::watch_kind::child);
    return static_cast<std::size_t>(kind) - static_cast<std::size_t>(wire::watch_kind::data);
}

void watch_table::add(watcher& w, std::string_view server_path, wire::watch_kind kind)
{
    assert(w.path_ == nullptr);
    auto found = entries_.find(server_path);
    if (found == entries_.end()) {
        found = entries_.try_emplace(std::string(server_path)).first;
    }
    w.kind_ = kind;
    w.path_ = &found->first;
    w.insert_before(found->second.lists[index(kind)]);
    ++size_;
}

watch_table::remains watch_table::remove(watcher& w)
{
    if (w.path_ == nullptr) {
        return remains::others;  // it has fired: there is nothing on the server to remove
    }
    const auto found = entries_.find(*w.path_);
    assert(found != entries_.end());
    const bool is_child = w.kind_ == wire::watch_kind::child;
    w.unlink();
    w.path_ = nullptr;
    --size_;
    const auto& lists = found->second.lists;
    const bool others = is_child ? lists[index(wire::watch_kind::child)].linked()
                                 : lists[index(wire::watch_kind::data)].linked() ||
                                       lists[index(wire::watch_kind::exist)].linked();
    if (found->second.empty()) {
        entries_.erase(found);
    }
    return others ? remains::others : remains::nothing;
}

void watch_table::take(entry& from, wire::watch_kind kind, watch_link& into) noexcept
{
    watch_link& list = from.lists[index(kind)];
    while (list.linked()) {
        watch_link& first = *list.next_;
        first.unlink();
        first.insert_before(into);
        static_cast<watcher&>(first).path_ = nullptr;
        --size_;
    }
}

void watch_table::fire(event_type type, std::string_view server_path, std::int64_t zxid)
{
    const auto found = entries_.find(server_path);
    if (found == entries_.end()) {
        return;
    }
    // All are taken out before the first is told: what a subscriber does next (watch the same path
    // again, drop another watch) must meet a consistent table.
    watch_link fired;
    if (type != event_type::children_changed) {
        take(found->second, wire::watch_kind::data, fired);
        take(found->second, wire::watch_kind::exist, fired);
    }
    if (type == event_type::children_changed || type == event_type::deleted) {
        take(found->second, wire::watch_kind::child, fired);
    }
    if (found->second.empty()) {
        entries_.erase(found);
    }
    const std::string path(server_path);
    while (fired.linked()) {
        watch_link& first = *fired.next_;
        first.unlink();
        static_cast<watcher&>(first).on_event(type, path, zxid);
    }
}

void watch_table::end_all(const error& why)
{
    watch_link ended;
    for (auto& [path, each] : entries_) {
        take(each, wire::watch_kind::data, ended);
        take(each, wire::watch_kind::exist, ended);
        take(each, wire::watch_kind::child, ended);
    }
    entries_.clear();
    while (ended.linked()) {
        watch_link& first = *ended.next_;
        first.unlink();
        static_cast<watcher&>(first).on_end(why);
    }
}

std::vector<std::string> watch_table::collect(std::int64_t relative_zxid, std::size_t chunk) const
{
    std::vector<std::string> bodies;
    wire::set_watches::request batch;
    batch.relative_zxid = relative_zxid;
    std::size_t bytes = 0;
    const auto flush = [&] {
        if (bytes == 0) {
            return;
        }
        wire::encode(bodies.emplace_back(), batch);
        batch.data.clear();
        batch.exist.clear();
        batch.child.clear();
        bytes = 0;
    };
    const auto add_to = [&](auto& list, const std::string& path) {
        const std::size_t size = 4 + path.size();
        if (bytes + size > chunk) {
            flush();
        }
        list.push_back(path);
        bytes += size;
    };
    for (const auto& [path, each] : entries_) {
        if (each.lists[index(wire::watch_kind::data)].linked()) {
            add_to(batch.data, path);
        }
        if (each.lists[index(wire::watch_kind::exist)].linked()) {
            add_to(batch.exist, path);
        }
        if (each.lists[index(wire::watch_kind::child)].linked()) {
            add_to(batch.child, path);
        }
    }
    flush();
    return bodies;
}

}  // namespace coati::protocol
