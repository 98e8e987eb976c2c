// Which servers there are, and which of them is next: the list as the user gave it, or as the
// ensemble itself did. No coroutines here.

#include "engine.hpp"

#include "coroutines.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace coati::detail {

server_address engine::next_server()
{
    return order_.next([this](const server_address& each) { return placement_.cost(each); });
}

duration engine::attempt_budget() const noexcept
{
    return protocol::connect_timeout(config_, order_.size(), session_timeout());
}

operation_id engine::start_set_servers(pending_base& op)
{
    if (shut_) {
        op.discard();
        return 0;
    }
    auto servers = *std::static_pointer_cast<std::vector<server_address>>(op.target);
    if (servers.empty()) {
        refuse(op, error(errc::invalid_argument, fate::not_sent));
        return 0;
    }
    // The same server under another name: by the address that it was reached at.
    std::optional<server_address> alias;
    for (const server_address& each : servers) {
        if (each.port == where_.port && each.host == where_.address) {
            alias = each;
        }
    }
    config_.servers = servers;
    change_servers(protocol::server_list(std::move(servers)), alias);
    complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
    return 0;
}

bool engine::adopt_members(std::vector<better_server> members, std::int64_t version)
{
    if (shut_ || members.empty() || version < ensemble_version_) {
        return false;
    }
    ensemble_version_ = version;
    std::optional<server_address> alias;
    std::vector<server_address> servers;
    for (better_server& each : members) {
        if (each.where.port == where_.port && each.where.address == where_.address) {
            alias = each.server;
        }
        servers.push_back(std::move(each.server));
    }
    const auto is_listed = [this](const server_address& each) { return order_.lists(each); };
    const bool is_known = std::all_of(servers.begin(), servers.end(), is_listed);
    if (!is_known || servers.size() != order_.servers().size()) {
        change_servers(protocol::server_list(std::move(servers), config_.servers), alias);
    }
    return true;
}

// The probabilities of rebalance.hpp decide who leaves a server that may stay. `alias` is what the
// present server is called in the new list, if it has another name there.
void engine::change_servers(protocol::server_list list, const std::optional<server_address>& alias)
{
    server_address present = alias.value_or(target_);
    const auto label = std::find(list.servers.begin(), list.servers.end(), present);
    if (label != list.servers.end()) {
        present.zone = label->zone;
    }
    const auto cost = [this](const server_address& each) { return placement_.cost(each); };
    const bool leave = order_.update(std::move(list), placement_.is_shuffled(),
                                     connected_ ? &present : nullptr, random_of{*transport_}, cost);
    addresses_.clear();
    if (connected_) {
        target_ = std::move(present);
    }
    if (leave) {
        move_requested_.set();
    }
}

}  // namespace coati::detail
