// What a view answers out of memory: who is there, what has changed, and one of them to call.

#include "service_view_state.hpp"

#include <coati/supervise.hpp>

#include <algorithm>

namespace coati {

namespace detail {

view_state::view_state(client of, std::string name, const service_options& how)
    : zk(std::move(of)), service(std::move(name)),
      dir((how.base == "/" ? std::string() : how.base) + "/" + service), happened(zk),
      stale_from(zk.now())
{
}

view_status view_state::status() const noexcept
{
    if (!is_running || !is_connected) {
        return view_status::stale;
    }
    return is_synced ? view_status::live : view_status::resyncing;
}

bool view_state::is_aside(const view_entry& e) const
{
    return e.shown && e.aside_czxid == e.shown->czxid && zk.now() < e.aside_until;
}

std::optional<service_instance> view_state::any_of(const filter& among) const
{
    std::vector<const view_entry*> all;
    for (const auto& [id, e] : entries) {
        if (e->shown && among(*e)) {
            all.push_back(e.get());
        }
    }
    if (all.empty()) {
        return std::nullopt;
    }
    // The upper half of the number as a fraction: as good as even, for so few.
    const std::uint64_t fraction = random_number(zk) >> 32U;
    return all[(fraction * all.size()) >> 32U]->shown->instance;
}

namespace {

void take_removals(view_state& v, std::vector<service_change>& all)
{
    using kind = service_change::kind;
    std::erase_if(v.given, [&](const auto& each) {
        const auto now = v.entries.find(each.first);
        const bool is_gone = now == v.entries.end() || !now->second->shown;
        if (is_gone) {
            all.emplace_back(kind::removed, each.second->instance);
        }
        return is_gone;
    });
    std::erase_if(v.given_flaws, [&](const auto& each) {
        const auto now = v.entries.find(each.first);
        return now == v.entries.end() || !now->second->why;
    });
}

}  // namespace

std::vector<service_change> take_changes(view_state& v)
{
    using kind = service_change::kind;
    std::vector<service_change> all;
    take_removals(v, all);
    for (const auto& [id, e] : v.entries) {
        if (e->shown) {
            shown_ptr& last = v.given[id];
            if (!last) {
                all.emplace_back(kind::added, e->shown->instance);
            } else if (last->mzxid != e->shown->mzxid || last->czxid != e->shown->czxid) {
                all.emplace_back(kind::changed, e->shown->instance);
            }
            last = e->shown;
        }
        if (e->why) {
            const auto told = v.given_flaws.find(id);
            if (told == v.given_flaws.end() || told->second != *e->why) {
                all.emplace_back(malformed_instance(v.dir + "/" + id, *e->why));
            }
            v.given_flaws[id] = *e->why;
        }
    }
    if (v.given_status != v.status()) {
        v.given_status = v.status();
        all.emplace_back(*v.given_status);
    }
    return all;
}

}  // namespace detail

std::string_view name(view_status status) noexcept
{
    switch (status) {
    case view_status::live: return "live";
    case view_status::resyncing: return "resyncing";
    case view_status::stale: return "stale";
    }
    return "unknown";
}

std::vector<service_instance> service_view::instances() const
{
    std::vector<service_instance> all;
    for (const auto& [id, e] : state_->entries) {
        if (e->shown) {
            all.push_back(e->shown->instance);
        }
    }
    return all;
}

view_status service_view::status() const
{
    return state_->status();
}

std::optional<time_point> service_view::stale_since() const
{
    return status() == view_status::live ? std::nullopt : std::optional(state_->stale_from);
}

std::vector<malformed_instance> service_view::malformed() const
{
    std::vector<malformed_instance> all;
    for (const auto& [id, e] : state_->entries) {
        if (e->why) {
            all.emplace_back(state_->dir + "/" + id, *e->why);
        }
    }
    return all;
}

std::optional<service_instance> service_view::pick_random() const
{
    const detail::view_state& v = *state_;
    const auto good = v.any_of([&](const auto& e) { return !v.is_aside(e); });
    return good ? good : v.any_of([](const auto&) { return true; });
}

std::optional<service_instance> service_view::pick_near(std::string_view zone) const
{
    const detail::view_state& v = *state_;
    const auto near =
        v.any_of([&](const auto& e) { return !v.is_aside(e) && e.shown->instance.zone == zone; });
    return near ? near : pick_random();
}

std::optional<service_instance> service_view::pick_next() const
{
    const detail::view_state& v = *state_;
    const detail::view_entry* any = nullptr;
    auto at = v.entries.upper_bound(v.last_picked);
    for (std::size_t i = 0; i < v.entries.size(); ++i) {
        if (at == v.entries.end()) {
            at = v.entries.begin();
        }
        const detail::view_entry& e = *at->second;
        ++at;
        if (!e.shown) {
            continue;
        }
        any = any == nullptr ? &e : any;
        if (!v.is_aside(e)) {
            any = &e;
            break;
        }
    }
    if (any == nullptr) {
        return std::nullopt;
    }
    v.last_picked = any->id;
    return any->shown->instance;
}

void service_view::set_aside(const service_instance& which, duration how_long) const
{
    const auto found = state_->entries.find(which.id);
    if (found != state_->entries.end() && found->second->shown) {
        found->second->aside_czxid = found->second->shown->czxid;
        found->second->aside_until = state_->zk.now() + how_long;
    }
}

}  // namespace coati
