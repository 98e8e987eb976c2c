// coati::server_policy: which of its servers a client goes to, and for which other one it leaves
// the one that it has. A value; what follows from it is decided in protocol/placement.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace coati {

/// How much faster another server must be before a client leaves the one that it has: by the
/// factor, by the difference, and by more than the noise of both round trips, so often in a row.
class latency_advantage {
public:
    /// By half, by a millisecond, five times in a row.
    constexpr latency_advantage() = default;
    /// Each of the three members.
    constexpr latency_advantage(double times_faster, std::chrono::microseconds faster_by,
                                std::size_t probes_in_a_row)
        : factor(times_faster), difference(faster_by), rounds(probes_in_a_row)
    {
    }

    /// Its round trip times this is still no more than that of the present server. At least 1.
    double factor = 1.5;
    /// What a request gains at least. Zones of one region differ by less.
    std::chrono::microseconds difference{1'000};
    /// So often in a row; doubles with every move of the last 24 hours.
    std::size_t rounds = 5;

    /// All three are the same.
    friend constexpr bool operator==(const latency_advantage&,
                                     const latency_advantage&) noexcept = default;
};

/// The preference among the servers of an ensemble. Whatever it is, every server is tried in the
/// end: a preference orders, it does not exclude.
///
/// `prefer_zone` and `nearest` look for a better server beside the live connection, over
/// connections of their own that ask `srvr` (or `isro`, where that is not allowed) and nothing
/// else: after a second first, then at distances that double to a minute. A move takes the session
/// along and waits until what is under way is answered, so no request fails by it. With
/// `config.sticky` there are none: a local session would not survive them.
class server_policy {
public:
    /// The preferences, each by the function that makes it.
    enum class kind : std::uint8_t {
        random,    ///< `random()`
        in_order,  ///< `in_order()`
        zone,      ///< `prefer_zone(...)`
        nearest,   ///< `nearest(...)`
    };

    /// As `random()`.
    server_policy() = default;

    /// In an order of the client's own, so that clients spread evenly.
    static server_policy random() { return {}; }
    /// As written, beginning with the first. All clients crowd on it.
    static server_policy in_order() { return server_policy(kind::in_order); }
    /// The servers with this `server_address::zone` first, at random among them; others when those
    /// fail. One that went elsewhere comes back when a server of the zone has answered three probes
    /// in a row (six the next time, and so on, for 24 hours).
    static server_policy prefer_zone(std::string zone)
    {
        server_policy made(kind::zone);
        made.zone_ = std::move(zone);
        return made;
    }
    /// The server that answers fastest, as far as that is known; at random first. Left only for one
    /// that is faster by this advantage.
    static server_policy nearest(latency_advantage needed = {})
    {
        server_policy made(kind::nearest);
        made.needed_ = needed;
        return made;
    }

    /// Which preference it is.
    kind what() const noexcept { return kind_; }
    /// Of `prefer_zone`, else empty.
    const std::string& zone() const noexcept { return zone_; }
    /// Of `nearest`.
    const latency_advantage& needed() const noexcept { return needed_; }

    /// The same preference with the same parameters.
    friend bool operator==(const server_policy&, const server_policy&) = default;

private:
    explicit server_policy(kind what) : kind_(what) {}

    kind kind_ = kind::random;
    std::string zone_;
    latency_advantage needed_;
};

}  // namespace coati
