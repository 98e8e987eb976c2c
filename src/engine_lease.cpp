// The session's lease as handles see it: until when it is proved to be alive, and who wants to know
// in time. No coroutines here.

#include "engine.hpp"

#include <algorithm>
#include <utility>

namespace coati::detail {

std::optional<time_point> engine::lease_end() const
{
    const auto& proved = lease_.proved();
    if (!running_ || life_->ended || !proved) {
        return std::nullopt;
    }
    return *proved + duration(life_->info.negotiated_timeout);
}

operation_id engine::start_lease(pending_base& op)
{
    if (shut_) {
        op.discard();
        return 0;
    }
    const session_life* const pinned = op.owner->pinned.get();
    const session_life& life = pinned != nullptr ? *pinned : *life_;
    if (life.ended) {
        refuse(op, life.ended->with_fate(fate::not_sent));
        return 0;
    }
    const duration margin(op.argument);
    const auto end = lease_end();
    if (end && transport_->now() >= *end - margin) {
        complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
        return 0;
    }
    const operation_id id = park(op);
    lease_waiters_.push_back({id, margin});
    arm_lease();
    return id;
}

// Looks early at the worst: answers move the end on, and nobody moves the alarm.
void engine::arm_lease()
{
    std::erase_if(lease_waiters_, [this](const lease_waiter& w) { return !is_parked(w.id); });
    time_point next = never;
    if (const auto end = lease_end()) {
        for (const lease_waiter& each : lease_waiters_) {
            next = std::min(next, *end - each.margin);
        }
    }
    if (next == never) {
        if (lease_alarm_ != never) {
            forget_timer(std::exchange(lease_alarm_, never), lease_check);
        }
    } else if (next < lease_alarm_) {
        if (lease_alarm_ != never) {
            alarm_.remove(lease_alarm_, lease_check);
        }
        lease_alarm_ = next;
        alarm_.add(next, lease_check);
        arm_alarm();
    }
}

// Before anything else is delivered, whatever it was that woke us up.
void engine::check_lease()
{
    if (lease_waiters_.empty()) {
        return;
    }
    const auto end = lease_end();
    if (!end) {
        return;
    }
    const time_point now = transport_->now();
    std::vector<operation_id> over;
    std::erase_if(lease_waiters_, [&](const lease_waiter& w) {
        const bool is_over = now >= *end - w.margin;
        if (is_over) {
            over.push_back(w.id);
        }
        return is_over;
    });
    end_waiters(over, std::nullopt);
}

void engine::end_lease(const error& why)
{
    std::vector<operation_id> waiting;
    for (const lease_waiter& each : std::exchange(lease_waiters_, {})) {
        waiting.push_back(each.id);
    }
    arm_lease();
    end_waiters(waiting, why);
}

}  // namespace coati::detail
