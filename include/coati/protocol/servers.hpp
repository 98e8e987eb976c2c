// The order in which the servers of an ensemble are tried.
//
// Shuffled once, so that clients spread over the servers; then round robin, so that a server which
// was just lost comes last. Holds names only: who tries one resolves it each time anew, since pods
// and their addresses move. Knows no delays (back_off.hpp) and no sockets.

#pragma once

#include <coati/config.hpp>
#include <coati/protocol/uniform.hpp>

#include <cassert>
#include <cstddef>
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
    const server_address& next()
    {
        assert(!servers_.empty());
        const server_address& server = servers_[position_];
        position_ = (position_ + 1) % servers_.size();
        ++attempts_;
        return server;
    }

    /// A handshake succeeded: the count of rounds starts anew, the order goes on from here.
    void on_connected() { attempts_ = 0; }

    /// How often every server has been tried since the last `on_connected`.
    std::size_t cycle() const { return servers_.empty() ? 0 : attempts_ / servers_.size(); }

    std::size_t size() const { return servers_.size(); }

private:
    std::vector<server_address> servers_;
    std::size_t position_ = 0;
    std::size_t attempts_ = 0;
};

}  // namespace coati::protocol
