// What a client does when the list of servers changes under it: stay, or go to which server first,
// so that all clients together end up spread evenly, with as few of them moving as that takes.
//
// The probabilities are those of the Java and C clients (ZOOKEEPER-1355), so that mixed clients of
// one ensemble stay in balance. Pure: lists and random words in, a plan out.

#pragma once

#include <coati/config.hpp>
#include <coati/protocol/uniform.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace coati::protocol {

/// Whether to leave the present server, and whom to try first then.
struct move_plan {
    bool leave = false;
    /// Before the ordinary round robin over the new list.
    std::vector<server_address> first;
};

namespace detail {

/// A number in 0..1, of 53 random bits.
template <random_source Source>
double fraction(Source& random)
{
    return static_cast<double>(random() >> 11U) / 9007199254740992.0;
}

inline bool contains(const std::vector<server_address>& all, const server_address& one)
{
    return std::find(all.begin(), all.end(), one) != all.end();
}

/// The order of the first attempts: each is one of the added servers with probability `p_added`,
/// else one of those kept, as long as there are any.
template <random_source Source>
std::vector<server_address> interleave(std::vector<server_address> added,
                                       std::vector<server_address> kept, double p_added,
                                       Source& random)
{
    std::vector<server_address> order;
    auto next_added = added.begin();
    auto next_kept = kept.begin();
    while (next_added != added.end() || next_kept != kept.end()) {
        const bool wants_added = fraction(random) <= p_added;
        const bool takes_added =
            next_added != added.end() && (wants_added || next_kept == kept.end());
        order.push_back(takes_added ? *next_added++ : *next_kept++);
    }
    return order;
}

}  // namespace detail

/// `now` is the new list in the order in which it will be used, `before` the old one. `is_listed`:
/// the present server is among the new ones; also true where there is no present server to leave.
template <random_source Source>
move_plan plan_move(const std::vector<server_address>& before,
                    const std::vector<server_address>& now, bool is_listed, Source& random)
{
    std::vector<server_address> added;
    std::vector<server_address> kept;
    for (const server_address& each : now) {
        (detail::contains(before, each) ? kept : added).push_back(each);
    }
    const auto old_size = static_cast<double>(before.size());
    const auto new_size = static_cast<double>(now.size());
    const auto kept_size = static_cast<double>(kept.size());
    double p_added = 1;
    move_plan plan;
    if (now.size() > before.size()) {
        // It grows: every client leaves with the probability that fills the added servers.
        plan.leave = !is_listed || detail::fraction(random) <= 1 - old_size / new_size;
    } else {
        // It shrinks, or servers change: who sits on one that stays, stays.
        plan.leave = !is_listed;
        const bool none_removed = kept.size() == before.size();
        const double p_kept =
            none_removed ? 1
                         : kept_size * (old_size - new_size) / (new_size * (old_size - kept_size));
        p_added = 1 - p_kept;
    }
    if (plan.leave) {
        plan.first = detail::interleave(std::move(added), std::move(kept), p_added, random);
    }
    return plan;
}

}  // namespace coati::protocol
