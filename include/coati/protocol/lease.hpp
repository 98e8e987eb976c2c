// How long the ensemble must still take the session for alive, by what can be proved here.
//
// A server counts the session timeout from the last request that reached it. So the proof is not
// the last thing that we heard (events arrive though nothing of ours gets through), but the moment
// at which we sent the last request that was answered. Knows no clock and no connection.

#pragma once

#include <coati/clock.hpp>

#include <cstdint>
#include <optional>

namespace coati::protocol {

/// The session's lease: T from the last answered request. Frames are counted by the caller, each
/// connection from 0, in the order in which they are answered.
class lease {
public:
    /// Another session: nothing is proved.
    void reset() { *this = lease(); }

    /// A handshake that began at `sent` was answered: the server has renewed the session.
    void on_connected(time_point sent)
    {
        renew(sent);
        probe_.reset();
    }

    /// Bytes leave at `now`, the first frame of which is number `frame`. One probe at a time: of
    /// what is sent while it is on its way the next one is taken.
    void on_sent(time_point now, std::uint64_t frame)
    {
        if (!probe_) {
            probe_ = probe{now, frame};
        }
    }

    /// So many frames have been answered on this connection.
    void on_answered(std::uint64_t frames)
    {
        if (probe_ && frames > probe_->frame) {
            renew(probe_->sent);
            probe_.reset();
        }
    }

    /// When the last request left that is known to have been answered; nothing before the first.
    const std::optional<time_point>& proved() const { return proved_; }

private:
    struct probe {
        time_point sent;
        std::uint64_t frame;
    };

    void renew(time_point sent)
    {
        if (!proved_ || *proved_ < sent) {
            proved_ = sent;
        }
    }

    std::optional<time_point> proved_;
    std::optional<probe> probe_;
};

}  // namespace coati::protocol
