// When to leave a server that works for a better one: back into the preferred zone, or to one that
// is nearer.
//
// Two things must not happen: a client that wanders between equals, and many that move at once. So
// a better server has to show itself several times in a row, as often again with every move that
// was made lately, and the probes that find it are spread at random. Sees probes and their round
// trips, knows neither sockets nor a clock.

#pragma once

#include <coati/clock.hpp>
#include <coati/config.hpp>
#include <coati/protocol/uniform.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace coati::protocol {

/// The first round of probes comes so long after a connection was made; the distance doubles.
inline constexpr duration first_probe_pause = std::chrono::seconds(1);
inline constexpr duration longest_probe_pause = std::chrono::minutes(1);
/// So often in a row must a server of the zone answer before a client returns to it.
inline constexpr std::size_t zone_rounds = 3;
/// A move is remembered for so long...
inline constexpr duration move_memory = std::chrono::hours(24);
/// ...and makes the next one need at most so many times the rounds.
inline constexpr std::size_t most_patience = 32;

/// A smoothed round trip and its mean deviation, by the estimators of TCP (RFC 6298): a new one
/// weighs an eighth, its deviation a quarter.
class smoothed_latency {
public:
    void add(duration round_trip) noexcept
    {
        if (!value_) {
            value_ = round_trip;
            deviation_ = round_trip / 2;
            return;
        }
        const duration off = round_trip - *value_;
        deviation_ += ((off < duration{0} ? -off : off) - deviation_) / 4;
        *value_ += off / 8;
    }
    void forget() noexcept { value_.reset(); }
    std::optional<duration> value() const noexcept { return value_; }
    duration deviation() const noexcept { return deviation_; }

private:
    std::optional<duration> value_;
    duration deviation_{0};
};

/// How often in a row something must be seen before it is acted on: more often after each time that
/// it was.
class patience {
public:
    explicit patience(std::size_t rounds)
        : first_(std::max<std::size_t>(rounds, 1)), needed_(first_)
    {
    }

    /// One round is over. True: it has been seen often enough.
    bool on_round(bool seen, time_point now) noexcept
    {
        if (acted_ && now - *acted_ >= move_memory) {
            acted_.reset();
            needed_ = first_;
        }
        seen_ = seen ? seen_ + 1 : 0;
        return seen_ >= needed_;
    }
    void on_acted(time_point now) noexcept
    {
        acted_ = now;
        seen_ = 0;
        needed_ = std::min(needed_ * 2, first_ * most_patience);
    }
    /// What was seen on one connection says little on the next.
    void on_connected() noexcept { seen_ = 0; }

    std::size_t seen() const noexcept { return seen_; }
    std::size_t needed() const noexcept { return needed_; }

private:
    std::size_t first_;
    std::size_t needed_;
    std::size_t seen_ = 0;
    std::optional<time_point> acted_;
};

/// The policy at work. One round of probes goes: `next_pause`, `to_probe`, an `on_answer` or
/// `on_silence` for each of them, `better_than`.
class placement {
public:
    explicit placement(server_policy policy)
        : policy_(std::move(policy)),
          patience_(policy_.what() == server_policy::kind::nearest ? policy_.needed().rounds
                                                                   : zone_rounds)
    {
    }

    const server_policy& policy() const noexcept { return policy_; }
    bool is_shuffled() const noexcept { return policy_.what() != server_policy::kind::in_order; }
    /// Does this policy ever look for a better server?
    bool seeks() const noexcept
    {
        return policy_.what() == server_policy::kind::zone ||
               policy_.what() == server_policy::kind::nearest;
    }

    /// The lower, the better; equal ones are tried in the order of the round.
    double cost(const server_address& server) const
    {
        if (policy_.what() == server_policy::kind::zone) {
            return is_at_home(server) ? 0 : 1;
        }
        if (policy_.what() == server_policy::kind::nearest) {
            const entry* const known = find(server);
            const auto value = known != nullptr ? known->latency.value() : std::nullopt;
            return value ? static_cast<double>(value->count())
                         : std::numeric_limits<double>::infinity();
        }
        return 0;
    }

    /// A connection was made, whether by a move or after a loss.
    void on_connected() noexcept
    {
        patience_.on_connected();
        pause_ = first_probe_pause;
    }

    /// How long until the next round: between half of the pause and all of it. It doubles.
    duration next_pause(std::uint64_t random) noexcept
    {
        const duration pause = pause_;
        pause_ = std::min(pause_ * 2, longest_probe_pause);
        const auto half = static_cast<std::uint64_t>(pause.count() / 2);
        return pause / 2 + duration(static_cast<duration::rep>(uniform(random, half + 1)));
    }

    /// The servers whose answer can matter, in the order of `all`. None: there is nothing better
    /// than `present`.
    std::vector<server_address> to_probe(const server_address& present,
                                         const std::vector<server_address>& all)
    {
        const auto is_listed = [&all](const server_address& server) {
            return std::find(all.begin(), all.end(), server) != all.end();
        };
        std::erase_if(known_, [&](const entry& each) { return !is_listed(each.server); });
        std::vector<server_address> some;
        if (policy_.what() == server_policy::kind::zone && !is_at_home(present)) {
            std::copy_if(all.begin(), all.end(), std::back_inserter(some),
                         [this](const server_address& each) { return is_at_home(each); });
        }
        if (policy_.what() == server_policy::kind::nearest && is_listed(present) &&
            all.size() > 1) {
            some = all;
        }
        return some;
    }

    /// It serves, and needed so long to say so.
    void on_answer(const server_address& server, duration round_trip)
    {
        entry& known = remember(server);
        known.has_answered = true;
        known.latency.add(round_trip);
    }
    /// It did not answer, or does not serve.
    void on_silence(const server_address& server) { remember(server).latency.forget(); }

    /// Ends the round. The server to leave `present` for, once there is reason enough.
    std::optional<server_address> better_than(const server_address& present, time_point now)
    {
        std::optional<server_address> best = best_of_round(present);
        for (entry& each : known_) {
            each.has_answered = false;
        }
        const bool is_enough = patience_.on_round(best.has_value(), now);
        if (patience_.seen() == 1 && policy_.what() == server_policy::kind::zone) {
            pause_ = first_probe_pause;  // it is back: now make sure, soon
        }
        return is_enough ? best : std::nullopt;
    }
    /// The client left for the server that `better_than` gave.
    void on_moved(time_point now) noexcept { patience_.on_acted(now); }

private:
    struct entry {
        server_address server;
        smoothed_latency latency;
        bool has_answered = false;  // in this round
    };

    bool is_at_home(const server_address& server) const { return server.zone == policy_.zone(); }

    const entry* find(const server_address& server) const
    {
        const auto at = std::find_if(known_.begin(), known_.end(),
                                     [&](const entry& e) { return e.server == server; });
        return at == known_.end() ? nullptr : &*at;
    }
    entry& remember(const server_address& server)
    {
        const auto at = std::find_if(known_.begin(), known_.end(),
                                     [&](const entry& e) { return e.server == server; });
        if (at == known_.end()) {
            return known_.emplace_back(entry{server, {}, false});
        }
        at->server.zone = server.zone;  // the list may have come anew
        return *at;
    }

    /// The first that is best, of those that answered and are enough better.
    std::optional<server_address> best_of_round(const server_address& present) const
    {
        const entry* best = nullptr;
        for (const entry& each : known_) {
            if (each.has_answered && is_enough_better(each.server, present) &&
                (best == nullptr || cost(each.server) < cost(best->server))) {
                best = &each;
            }
        }
        return best == nullptr ? std::nullopt : std::optional(best->server);
    }
    bool is_enough_better(const server_address& other, const server_address& present) const
    {
        if (policy_.what() == server_policy::kind::zone) {
            return is_at_home(other) && !is_at_home(present);
        }
        const entry* const here = find(present);
        const entry* const there = find(other);
        if (here == nullptr || !here->has_answered || !here->latency.value() || there == nullptr ||
            !there->latency.value()) {
            return false;  // a comparison needs two
        }
        const auto nanoseconds = [](duration d) { return static_cast<double>(d.count()); };
        const double fast = nanoseconds(*there->latency.value());
        const double slow = nanoseconds(*here->latency.value());
        const duration noise = here->latency.deviation() + there->latency.deviation();
        const duration least = std::max<duration>(policy_.needed().difference, noise);
        return fast * std::max(policy_.needed().factor, 1.0) <= slow &&
               slow - fast >= nanoseconds(least);
    }

    server_policy policy_;
    patience patience_;
    duration pause_ = first_probe_pause;
    std::vector<entry> known_;
};

}  // namespace coati::protocol
