// Where a session stands, which steps between such states there are, and one observed step.
//
// Rule: what is legal is in `legal_transitions` and nowhere else. Holds no machine: the engine
// makes the steps, `protocol::state_log` keeps them for an observer.
//
//     disconnected -> connecting -> associating -> connected | connected_read_only
//          ^______________|______________|__________________________|
//
// and from there the endings: expired, auth_failed, closed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coati {

/// The state of the session, as `states()` reports it. Java's counterpart is named for each;
/// `is_alive` and `is_connected` give the answers that Java's states give.
enum class session_state : std::uint8_t {
    /// No connection and none being made: before `run`, after a loss, during back-off. Requests
    /// wait. Java: NOT_CONNECTED (and CONNECTING, which there covers the back-off).
    disconnected,
    /// Looking for a server: name look-up, TCP, TLS. Java: CONNECTING.
    connecting,
    /// Connected, waiting for the server to accept the session. Java: ASSOCIATING, which no version
    /// of it ever enters.
    associating,
    /// The session is established. Java: CONNECTED.
    connected,
    /// Established on a server that has no quorum: reads only. Java: CONNECTEDREADONLY.
    connected_read_only,
    /// No server heard of us for the session timeout, so the session has probably expired: stop
    /// what depends on it. No verdict: stays while attempts go on, until a server accepts or
    /// refuses the session. Java: CONNECTING.
    presumed_expired,
    /// A server says that the session is over, or that it is no longer ours; its ephemerals are
    /// gone or somebody else's. Terminal. Java: CLOSED.
    expired,
    /// The server refused our credentials. Terminal. Java: AUTH_FAILED.
    auth_failed,
    /// We ended it: by `close`, by cancelling `run`, or by giving up. Terminal. Java: CLOSED.
    closed,
};

/// The number of states, for tables.
inline constexpr std::size_t session_state_count = 9;

/// The session is over for good; what follows belongs to a new one.
constexpr bool is_terminal(session_state s) noexcept
{
    return s == session_state::expired || s == session_state::auth_failed ||
           s == session_state::closed;
}

/// Not over, as far as we know; a presumed expiry is no verdict.
constexpr bool is_alive(session_state s) noexcept
{
    return !is_terminal(s);
}

/// A server holds the session right now, in either mode.
constexpr bool is_connected(session_state s) noexcept
{
    return s == session_state::connected || s == session_state::connected_read_only;
}

/// The name as written above ("connected_read_only").
constexpr std::string_view name(session_state s) noexcept
{
    constexpr std::array<std::string_view, session_state_count> names = {
        "disconnected",     "connecting", "associating", "connected", "connected_read_only",
        "presumed_expired", "expired",    "auth_failed", "closed",
    };
    const auto index = static_cast<std::size_t>(s);
    return index < names.size() ? names[index] : "unknown";
}

namespace detail {

// One bit a state: the set of states that may come next.
using session_state_set = std::uint16_t;

template <class... States>
constexpr session_state_set state_set(States... states) noexcept
{
    return static_cast<session_state_set>((0U | ... | (1U << static_cast<unsigned>(states))));
}

// Every legal step, one line a state, in the order of the enum.
inline constexpr auto legal_transitions = [] {
    using enum session_state;
    return std::array<session_state_set, session_state_count>{
        // disconnected: a loss may also turn out to be a takeover, or the end of our patience
        state_set(connecting, presumed_expired, expired, closed),
        // connecting: straight on to the next server, without a wait, is no step
        state_set(disconnected, associating, presumed_expired, closed),
        // associating: the next server may be tried at once
        state_set(disconnected, connecting, connected, connected_read_only, presumed_expired,
                  expired, auth_failed, closed),
        // connected: every way out to another server is through the loss of this one
        state_set(disconnected, expired, auth_failed, closed),
        // connected_read_only: the same, a move to a server with a quorum included
        state_set(disconnected, expired, auth_failed, closed),
        // presumed_expired: attempts go on unseen, only their outcome counts
        state_set(connected, connected_read_only, expired, auth_failed, closed),
        // expired, auth_failed, closed: the first state of a *new* session
        state_set(disconnected, connecting),
        state_set(disconnected, connecting),
        state_set(disconnected, connecting),
    };
}();

}  // namespace detail

/// Whether a session may go from one state to the other in one step. Staying is no step.
/// From a terminal state only a new session begins.
constexpr bool is_legal_transition(session_state from, session_state to) noexcept
{
    const auto row = static_cast<std::size_t>(from);
    const auto column = static_cast<std::size_t>(to);
    return row < session_state_count && column < session_state_count &&
           (detail::legal_transitions[row] & detail::state_set(to)) != 0;
}

/// One step, as an observer sees it.
class state_change {
public:
    /// A step to this state.
    constexpr explicit state_change(session_state to, std::int64_t id = 0,
                                    std::uint64_t dropped = 0) noexcept
        : state(to), session_id(id), merged(dropped)
    {
    }

    /// The state from now on.
    session_state state;
    /// Whose: 0 while there is no session yet. May be negative.
    std::int64_t session_id;
    /// How many steps just before this one were left out, since the observer was too slow for
    /// them; never one to a terminal state.
    std::uint64_t merged;

    friend constexpr bool operator==(const state_change&, const state_change&) noexcept = default;
};

}  // namespace coati
