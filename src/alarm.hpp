// Timers of operations: one sleep of the transport for the earliest of them all.
//
// Only operations that asked for a time are here. The sleep ends with the last of them, so that it
// does not keep an execution context busy for nothing. On the engine's executor only.
#pragma once

#include <coati/detail/engine_base.hpp>
#include <coati/transport.hpp>

#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <set>
#include <utility>

namespace coati::detail {

class alarm {
public:
    void add(time_point when, operation_id which) { due_.emplace(when, which); }
    void remove(time_point when, operation_id which) noexcept { due_.erase({when, which}); }

    time_point next() const noexcept { return due_.empty() ? never : due_.begin()->first; }

    /// The earliest that is due, taken out; 0 when none is.
    operation_id take_due(time_point now)
    {
        if (due_.empty() || due_.begin()->first > now) {
            return 0;
        }
        const operation_id which = due_.begin()->second;
        due_.erase(due_.begin());
        return which;
    }
    void clear() noexcept { due_.clear(); }

    // The sleep in progress: when it ends, and how to stop it.
    time_point armed_for = never;
    std::uint64_t generation = 0;
    boost::asio::cancellation_signal stop;

private:
    std::set<std::pair<time_point, operation_id>> due_;
};

}  // namespace coati::detail
