// coati::state_stream: every transition of the session's state, in order.
#pragma once

#include <coati/operation.hpp>
#include <coati/session_state.hpp>

#include <memory>

namespace coati {

namespace detail {
class state_observer;
}

/// The state of a client's sessions as a stream, beginning with the present state. A slow reader
/// never loses a terminal state: the last 64 transitions are exact, older ones are merged and
/// counted. It spans sessions and ends, with errc::closed, when the last handle to the client is
/// gone.
class state_stream {
public:
    /// For `client::states`.
    explicit state_stream(std::shared_ptr<detail::state_observer> observer)
        : observer_(std::move(observer))
    {
    }
    /// The other one is not to be read any more.
    state_stream(state_stream&&) noexcept = default;
    /// Ends what was observed here.
    state_stream& operator=(state_stream&& other) noexcept;
    ~state_stream();

    /// The next transition. Completes with: closed, cancelled, already_waiting.
    operation<state_change> next() const;

private:
    std::shared_ptr<detail::state_observer> observer_;
};

}  // namespace coati
