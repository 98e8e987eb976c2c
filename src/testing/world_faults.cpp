// The faults that a world can be told: cuts, stalls, partitions, hosts that stand still.
//
// By number of a connection, or by who is on its ends; what they do to it is world_network.cpp.
// Owns what waits for a frozen host.
#include "world_state.hpp"

namespace coati::testing {

namespace asio = boost::asio;

// --- faults --------------------------------------------------------------------------------------

namespace {

link_ptr find_link(const world_state& state, std::uint64_t id)
{
    const auto found = state.wires.find(id);
    return found == state.wires.end() ? nullptr : found->second;
}

}  // namespace

void world::cut(std::uint64_t connection_id)
{
    if (const auto w = find_link(*state_, connection_id)) {
        state_->break_wire(w, {}, false);
    }
}

void world::cut_all()
{
    for (const auto& each : connections()) {
        cut(each.id);
    }
}

void world::reset(std::uint64_t connection_id)
{
    if (const auto w = find_link(*state_, connection_id)) {
        state_->break_wire(w, asio::error::connection_reset, true);
    }
}

void world::half_close(std::uint64_t connection_id, direction which)
{
    if (const auto w = find_link(*state_, connection_id)) {
        state_->end_way(w, static_cast<std::size_t>(which));
    }
}

void world::stall(std::uint64_t connection_id, direction which)
{
    if (const auto w = find_link(*state_, connection_id)) {
        w->ways[static_cast<std::size_t>(which)].stalled = true;
    }
}

void world::unstall(std::uint64_t connection_id, direction which)
{
    if (const auto w = find_link(*state_, connection_id)) {
        state_->release(w, static_cast<std::size_t>(which));
    }
}

void world::cut_after(std::uint64_t connection_id, direction which, std::size_t n, bool lost)
{
    if (const auto w = find_link(*state_, connection_id)) {
        way& out = w->ways[static_cast<std::size_t>(which)];
        out.limit = n;
        out.lose = lost;
    }
}

// --- partitions ----------------------------------------------------------------------------------

void world::separate(const std::string& host, const endpoint& server)
{
    state_->partitions.insert({host, place_of(server)});
    state_->part_and_join();
}

void world::separate(const std::string& host)
{
    state_->partitions.insert({host, std::nullopt});
    state_->part_and_join();
}

void world::separate(const endpoint& server)
{
    state_->partitions.insert({std::nullopt, place_of(server)});
    state_->part_and_join();
}

void world::rejoin()
{
    state_->partitions.clear();
    state_->part_and_join();
}

void world::rejoin(const std::string& host)
{
    std::erase_if(state_->partitions, [&](const auto& each) { return each.first == host; });
    state_->part_and_join();
}

void world::rejoin(const endpoint& server)
{
    std::erase_if(state_->partitions,
                  [&](const auto& each) { return each.second == place_of(server); });
    state_->part_and_join();
}

// --- hosts that stand still ----------------------------------------------------------------------

void world_state::freeze(const std::string& host, std::optional<duration> d, wake_order order)
{
    const std::uint64_t number = ++last_freeze_;
    note(number);
    frozen_[host].since = number;
    if (!d) {
        return;
    }
    schedule(after(*d), [this, host, number, order] {
        if (const auto still = frozen_.find(host);
            still != frozen_.end() && still->second.since == number) {
            thaw(host, order);
        }
    });
}

void world_state::deliver(const std::string& host, due kind, std::uint64_t id,
                          std::function<void()> what)
{
    const auto still = frozen_.find(host);
    if (still == frozen_.end()) {
        what();
    } else if (is_waiting(id)) {
        waiting_.at(id)->due = std::move(what);
        (kind == due::timer ? still->second.timers : still->second.network).push_back(id);
    }
}

bool world_state::holds_back(const link_ptr& w, std::size_t side)
{
    if (side != 0 || frozen_.empty()) {
        return false;  // servers are not frozen by this
    }
    const auto still = frozen_.find(w->host);
    if (still == frozen_.end()) {
        return false;
    }
    still->second.links.emplace(w->id, w);
    return true;
}

void world_state::thaw(const std::string& host, wake_order order)
{
    const auto thawed = frozen_.extract(host);
    if (thawed.empty()) {
        return;
    }
    note(thawed.mapped().since);
    const auto end_waits = [this](const std::vector<std::uint64_t>& all) {
        for (const auto id : all) {
            if (is_waiting(id)) {
                const auto what = std::move(waiting_.at(id)->due);  // the wait dies in the call
                what();
            }
        }
    };
    if (order == wake_order::timers_first) {
        end_waits(thawed.mapped().timers);
    }
    for (const auto& [id, each] : thawed.mapped().links) {
        wake_reader(each, 1);
        wake_writer(each, 0);
    }
    end_waits(thawed.mapped().network);
    if (order == wake_order::network_first) {
        end_waits(thawed.mapped().timers);
    }
}

void world::freeze(const std::string& host)
{
    state_->freeze(host, std::nullopt, wake_order::network_first);
}

void world::freeze(const std::string& host, duration d, wake_order order)
{
    state_->freeze(host, d, order);
}

void world::thaw(const std::string& host, wake_order order)
{
    state_->thaw(host, order);
}

}  // namespace coati::testing
