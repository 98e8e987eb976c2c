// The faults that a world can be told: cuts, stalls, partitions.
//
// By number of a connection, or by who is on its ends; what they do to it is world_network.cpp.
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

}  // namespace coati::testing
