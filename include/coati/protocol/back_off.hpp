// How long to wait before the next attempt to connect.
//
// Two herds are to be kept away from the servers: the clients of a server that died, which would
// all arrive elsewhere at once, and the clients of an ensemble that is down, which would hammer it.
// Between them a single client that lost its connection must be back at once. So the first attempt
// after a loss is spread a little, the rest of the first round over the servers does not wait, and
// later rounds wait a random time with a growing bound. Knows no clock, no servers by name.

#pragma once

#include <coati/clock.hpp>
#include <coati/protocol/uniform.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace coati::protocol {

/// Why the next attempt is made.
enum class connect_reason : std::uint8_t {
    first_ever,       ///< The client starts.
    after_failure,    ///< The attempt before this one failed.
    after_loss,       ///< An established connection was lost.
    moved_by_choice,  ///< We left an established connection for another server.
};

/// Bound of the delay in the second round over the servers; it doubles with each round.
inline constexpr duration first_back_off = std::chrono::milliseconds(100);
/// A client is never further from its next attempt than this, nor than a quarter of its session.
inline constexpr duration longest_back_off = std::chrono::seconds(5);

/// The most that attempt `attempt` (from 0, within the outage) waits. `spread` is
/// config.reconnect_spread, `session_timeout` the negotiated one, or the one that is asked for.
constexpr duration longest_delay(connect_reason why, std::size_t attempt, std::size_t servers,
                                 duration spread, duration session_timeout) noexcept
{
    const std::size_t cycle = attempt / std::max<std::size_t>(servers, 1);
    duration longest{0};
    if (cycle > 0) {
        const auto doublings = std::min<std::size_t>(cycle - 1, 16);  // far above every cap
        longest = std::min({first_back_off * (std::int64_t{1} << doublings), longest_back_off,
                            session_timeout / 4});
    }
    if (why == connect_reason::after_loss) {
        longest = std::max(longest, spread);
    }
    return std::max(longest, duration{0});
}

/// The delay before that attempt: full jitter, uniform from nothing to the longest.
constexpr duration attempt_delay(connect_reason why, std::size_t attempt, std::size_t servers,
                                 duration spread, duration session_timeout,
                                 std::uint64_t random) noexcept
{
    const duration longest = longest_delay(why, attempt, servers, spread, session_timeout);
    const auto choices = static_cast<std::uint64_t>(longest.count()) + 1;
    return duration{static_cast<duration::rep>(uniform(random, choices))};
}

/// Counts the attempts of one outage for the functions above.
///
/// A connection that lived for less than a third of the session timeout has ended no outage:
/// something that accepts and hangs up at once (a proxy without its servers, a stolen session)
/// must not be asked again in a tight loop.
class reconnect_pace {
public:
    /// An attempt ended without ConnectResponse, at whatever step.
    void on_attempt_failed()
    {
        why_ = connect_reason::after_failure;
        ++attempt_;
    }

    /// A server accepted the session.
    void on_established(time_point now) { established_ = now; }

    /// The established connection broke.
    void on_lost(time_point now, duration session_timeout)
    {
        end_connection(now, session_timeout);
        why_ = connect_reason::after_loss;
    }

    /// We leave the established connection for a better server.
    void on_moved(time_point now, duration session_timeout)
    {
        end_connection(now, session_timeout);
        why_ = connect_reason::moved_by_choice;
    }

    /// How long to wait before the next attempt; does not count it.
    duration next_delay(std::uint64_t random, std::size_t servers, duration spread,
                        duration session_timeout) const
    {
        return attempt_delay(why_, attempt_, servers, spread, session_timeout, random);
    }

    connect_reason why() const { return why_; }
    /// Attempts of this outage before the next one.
    std::size_t attempt() const { return attempt_; }

private:
    void end_connection(time_point now, duration session_timeout)
    {
        const bool lasted = established_ && now - *established_ >= session_timeout / 3;
        attempt_ = lasted ? 0 : attempt_ + 1;
        established_.reset();
    }

    connect_reason why_ = connect_reason::first_ever;
    std::size_t attempt_ = 0;
    std::optional<time_point> established_;
};

}  // namespace coati::protocol
