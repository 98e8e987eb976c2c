// The order in which the servers of an ensemble are tried.
//
// Round robin over a list that was shuffled once, so that clients spread over the servers, and a
// server which was just lost comes last. A preference (a cost for each, see placement.hpp) sorts
// every round; servers to fall back on end it. Holds names only: who tries one resolves it each
// time anew, since pods and their addresses move. Knows no delays (back_off.hpp) and no sockets.

#pragma once

#include <coati/config.hpp>
#include <coati/protocol/rebalance.hpp>
#include <coati/protocol/uniform.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace coati::protocol {

/// All servers are equal.
struct no_preference {
    double operator()(const server_address&) const noexcept { return 0; }
};

/// What a list of servers is replaced by.
class server_list {
public:
    server_list() = default;
    explicit server_list(std::vector<server_address> all, std::vector<server_address> last = {})
        : servers(std::move(all)), fall_back(std::move(last))
    {
    }

    std::vector<server_address> servers;
    /// Tried when a round over all the others has failed; those that are in `servers` count there.
    std::vector<server_address> fall_back;
};

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
    /// a server. `cost` is asked at the beginning of a round.
    template <class Cost>
    server_address next(Cost&& cost)
    {
        assert(!servers_.empty());
        ++attempts_;
        if (ahead_.empty()) {
            begin_round(cost);
        }
        server_address server = std::move(ahead_.front());
        ahead_.pop_front();
        go_behind(server);
        return server;
    }
    server_address next() { return next(no_preference()); }

    /// Somebody chose this one to be tried now.
    void take(const server_address& server)
    {
        ahead_.clear();
        go_behind(server);
    }

    /// A handshake succeeded: the count of rounds starts anew, the order goes on from here.
    void on_connected()
    {
        attempts_ = 0;
        ahead_.clear();
    }

    /// Other servers from now on. True: leave `present` (null: there is none) for `next()`, so that
    /// all the clients that are told the same spread evenly. Among those of the lowest cost, that
    /// is: the others are for the time when those fail.
    template <random_source Random, class Cost>
    bool update(server_list list, bool shuffle, const server_address* present, Random&& random,
                Cost&& cost)
    {
        if (shuffle) {
            protocol::shuffle(std::span(list.servers), random);
        }
        const auto before = std::exchange(servers_, std::move(list.servers));
        fall_back_ = std::move(list.fall_back);
        std::erase_if(fall_back_, [this](const server_address& each) { return lists(each); });
        position_ = attempts_ = 0;
        ahead_.clear();
        if (present == nullptr) {
            return false;
        }
        const bool is_listed = go_behind(*present);
        const auto best = cheapest(servers_, cost);
        if (is_listed && !detail::contains(best, *present)) {
            return false;  // it is where it is since the best ones failed
        }
        move_plan plan = plan_move(cheapest(before, cost), best, is_listed, random);
        ahead_.assign(plan.first.begin(), plan.first.end());
        return plan.leave;
    }
    template <random_source Random>
    bool update(std::vector<server_address> servers, bool shuffle, const server_address* present,
                Random&& random)
    {
        return update(server_list(std::move(servers)), shuffle, present, random, no_preference());
    }

    /// How often every server has been tried since the last `on_connected`.
    std::size_t cycle() const { return servers_.empty() ? 0 : attempts_ / size(); }

    /// Those to fall back on included.
    std::size_t size() const { return servers_.size() + fall_back_.size(); }
    /// Without those to fall back on.
    const std::vector<server_address>& servers() const { return servers_; }
    bool lists(const server_address& server) const { return detail::contains(servers_, server); }

private:
    template <class Cost>
    static std::vector<server_address> cheapest(const std::vector<server_address>& all, Cost&& cost)
    {
        std::vector<server_address> best;
        for (const server_address& each : all) {
            if (!best.empty() && cost(each) < cost(best.front())) {
                best.clear();
            }
            if (best.empty() || cost(each) <= cost(best.front())) {
                best.push_back(each);
            }
        }
        return best;
    }

    /// Every server once, from behind the one that was tried last.
    template <class Cost>
    void begin_round(Cost&& cost)
    {
        std::vector<std::pair<double, server_address>> round;
        for (std::size_t i = 0; i < servers_.size(); ++i) {
            const server_address& each = servers_[(position_ + i) % servers_.size()];
            round.emplace_back(cost(each), each);
        }
        const auto is_cheaper = [](const auto& a, const auto& b) { return a.first < b.first; };
        std::stable_sort(round.begin(), round.end(), is_cheaper);
        for (auto& each : round) {
            ahead_.push_back(std::move(each.second));
        }
        ahead_.insert(ahead_.end(), fall_back_.begin(), fall_back_.end());
        // The cheapest of its kind may be the one that has just failed.
        if (ahead_.size() > 1 && last_ && ahead_.front() == *last_) {
            ahead_.push_back(std::move(ahead_.front()));
            ahead_.pop_front();
        }
    }

    /// The round goes on behind this server. False: it is not in the list.
    bool go_behind(const server_address& one)
    {
        last_ = one;
        const auto at = std::find(servers_.begin(), servers_.end(), one);
        if (at == servers_.end()) {
            return false;
        }
        position_ = static_cast<std::size_t>(at - servers_.begin() + 1) % servers_.size();
        return true;
    }

    std::vector<server_address> servers_;
    std::vector<server_address> fall_back_;
    std::deque<server_address> ahead_;  // the rest of this round
    std::optional<server_address> last_;
    std::size_t position_ = 0;
    std::size_t attempts_ = 0;
};

}  // namespace coati::protocol
