// What one observer of the session state has not seen yet.
//
// A slow observer must neither make memory grow without bound nor miss that a session ended. So the
// newest steps are kept exactly, older ones only if they end a session; how many were left out is
// told by the step behind them. Knows no observers, no waiting: who reads it, wakes up for it.

#pragma once

#include <coati/session_state.hpp>

#include <cstddef>
#include <deque>
#include <optional>

namespace coati::protocol {

/// The queue of state changes of one observer.
class state_log {
public:
    /// The newest changes, this many, are never merged.
    static constexpr std::size_t exact = 64;

    /// A change to the state that was pushed last, of the same session, is none.
    void push(state_change change)
    {
        if (last_ && last_->state == change.state && last_->session_id == change.session_id) {
            return;
        }
        last_ = change;
        waiting_.push_back(change);
        if (waiting_.size() > exact) {
            merge(waiting_.size() - exact - 1);
        }
    }

    /// The oldest change that was not delivered yet; nothing when the observer is up to date.
    std::optional<state_change> pop()
    {
        if (waiting_.empty()) {
            return std::nullopt;
        }
        const state_change oldest = waiting_.front();
        waiting_.pop_front();
        return oldest;
    }

    bool empty() const { return waiting_.empty(); }
    std::size_t size() const { return waiting_.size(); }

private:
    // Everything before `at` is terminal already: each push moves one change out of the exact part.
    void merge(std::size_t at)
    {
        const state_change left_out = waiting_[at];
        if (is_terminal(left_out.state)) {
            return;
        }
        waiting_[at + 1].merged += left_out.merged + 1;
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // Beyond `exact` it grows by the endings of sessions alone, whose pace the back-off limits.
    std::deque<state_change> waiting_;
    std::optional<state_change> last_;
};

}  // namespace coati::protocol
