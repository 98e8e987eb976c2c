// The order in which the servers of an ensemble are tried.
//
// Shuffled once, so that clients spread over the servers; then round robin, so that a server which
// was just lost comes last. Holds names only: who tries one resolves it each time anew, since pods
// and their addresses move. Knows no delays (back_off.hpp) and no sockets.

#pragma once

#include <coati/config.hpp>
#include <coati/protocol/rebalance.hpp>
#include <coati/protocol/uniform.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <deque>
#include <span>
#include <utility>
#include <vector>

namespace coati::protocol {

/// Round robin over the servers, from a random order or as written.
class server_order {
public:
    /// `random` gives 64 random bits a call; used here only, and not at all without `shuffle`.
    template <random_source Random>
    server_order(std::vector<server_address> servers, bool shuffle, Random&& random)
        : servers_(std::move(servers))
    {
        if (shuffle) {
            protocol::shuffle(std::span(servers_), random);
        }
    }

    /// The server to try now. Never the one of the call before when there are others. There must be
    /// a server.
    server_address next()
    {
        assert(!servers_.empty());
        ++attempts_;
        if (!first_.empty()) {
            server_address server = std::move(first_.front());
            first_.pop_front();
            go_behind(server);
            return server;
        }
        const server_address& server = servers_[position_];
        position_ = (position_ + 1) % servers_.size();
        return server;
    }

    /// A handshake succeeded: the count of rounds starts anew, the order goes on from here.
    void on_connected()
    {
        attempts_ = 0;
        first_.clear();
    }

    /// Other servers from now on. True: leave `present` (null: there is none) for `next()`, so that
    /// all the clients that are told the same spread evenly.
    template <random_source Random>
    bool update(std::vector<server_address> servers, bool shuffle, const server_address* present,
                Random&& random)
    {
        if (shuffle) {
            protocol::shuffle(std::span(servers), random);
        }
        const auto before = std::exchange(servers_, std::move(servers));
        position_ = attempts_ = 0;
        first_.clear();
        if (present == nullptr) {
            return false;
        }
        const bool is_listed = go_behind(*present);
        move_plan plan = plan_move(before, servers_, is_listed, random);
        first_.assign(plan.first.begin(), plan.first.end());
        return plan.leave;
    }

    /// How often every server has been tried since the last `on_connected`.
    std::size_t cycle() const { return servers_.empty() ? 0 : attempts_ / servers_.size(); }

    std::size_t size() const { return servers_.size(); }

private:
    /// The round goes on behind this server. False: it is not in the list.
    bool go_behind(const server_address& one)
    {
        const auto at = std::find(servers_.begin(), servers_.end(), one);
        if (at == servers_.end()) {
            return false;
        }
        position_ = static_cast<std::size_t>(at - servers_.begin() + 1) % servers_.size();
        return true;
    }

    std::vector<server_address> servers_;
    std::deque<server_address> first_;  // of a move, ahead of the round
    std::size_t position_ = 0;
    std::size_t attempts_ = 0;
};

}  // namespace coati::protocol
