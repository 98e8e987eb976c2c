// Tells whether somebody else uses the same session: each of two owners that reconnect takes it
// from the other, for ever.
//
// Nothing on the wire says so; a server just closes the connection of whoever was there before. The
// sign is a session that is accepted, served and cut between two frames, again and again, and never
// left alone for long. Knows no clock.

#pragma once

#include <algorithm>
#include <cstddef>

namespace coati::protocol {

/// Counts, in a row, the connections that a server accepted, served and soon cut.
class takeover_watch {
public:
    /// Cuts in a row that end the session with session_stolen. A rolling restart costs one or two
    /// for each server, and a network that flaps should have an end before this: a session that is
    /// given up for nothing costs more than a fight that lasts a little longer. Who attached to a
    /// session that somebody else has made is the newcomer and holds out for longer, so that a
    /// session which is handed over without a word ends up with its new owner.
    static constexpr std::size_t limit(std::size_t servers, bool is_newcomer) noexcept
    {
        return 2 * std::max<std::size_t>(servers, 1) + (is_newcomer ? 20 : 14);
    }

    /// The other side closed an established connection between two frames, long before a third of
    /// the session timeout. One that was not served (a proxy without its server hangs up at once)
    /// says nothing, neither for nor against. True: the session is stolen.
    bool on_cut(bool has_served, std::size_t servers, bool is_newcomer) noexcept
    {
        ++in_a_row_;
        served_ += has_served ? 1U : 0U;
        return served_ >= limit(servers, is_newcomer);
    }

    /// It was lost in another way, or has lived for long enough.
    void reset() noexcept { in_a_row_ = served_ = 0; }

    /// Whether it is worth a request of our own to learn if the next connection is served.
    bool is_suspicious() const noexcept { return in_a_row_ >= 2; }

private:
    std::size_t in_a_row_ = 0;
    std::size_t served_ = 0;
};

}  // namespace coati::protocol
