// When a live connection is to be pinged, when it counts as dead, and how long one may take to
// come up.
//
// All of it follows from the negotiated session timeout T, anew after each ConnectResponse. Knows
// no clock and no frames: the caller says what time it is and what has happened.

#pragma once

#include <coati/clock.hpp>
#include <coati/config.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace coati::protocol {

/// However long the session timeout, a ping leaves after this much silence of ours: the cap that
/// the Java and Rust clients have. It also keeps address translators from forgetting us.
inline constexpr duration longest_ping_interval = std::chrono::seconds(10);
/// With many servers T/n is less than a TLS handshake takes.
inline constexpr duration shortest_connect_timeout = std::chrono::milliseconds(100);

/// Two thirds of T, as in the Java, C and Go clients: a third is left to reach another server.
constexpr duration read_timeout_of(duration session_timeout) noexcept
{
    return session_timeout / 3 * 2;
}

/// For one address: config.connect_timeout, else a share of the session timeout that lets every
/// server be tried before the session is over.
inline duration connect_timeout(const config& settings, std::size_t servers,
                                duration session_timeout) noexcept
{
    if (settings.connect_timeout) {
        using std::chrono::milliseconds;  // reach further than our nanoseconds
        return std::min(*settings.connect_timeout,
                        std::chrono::duration_cast<milliseconds>(duration::max()));
    }
    const auto n = static_cast<duration::rep>(std::max<std::size_t>(servers, 1));
    return std::min(std::max(session_timeout / n, shortest_connect_timeout),
                    read_timeout_of(session_timeout));
}

/// The two deadlines of one live connection.
class deadlines {
public:
    void on_connected(time_point now, duration session_timeout)
    {
        session_timeout_ = session_timeout;
        received_ = now;
        sent_ = now;
    }

    /// There is no connection to watch: nothing is due until the next `on_connected`.
    void on_disconnected() { session_timeout_ = duration{0}; }

    /// A complete frame arrived. Half a frame is no sign of life, nor is a connect attempt.
    void on_received(time_point now) { received_ = now; }

    /// Bytes went out, whatever they were: the server takes every request for a ping.
    void on_sent(time_point now) { sent_ = now; }

    /// When to look again; `never` without a connection.
    time_point next() const { return is_live() ? std::min(read_deadline(), ping_time()) : never; }

    /// The server has been silent for too long: this connection is lost.
    bool read_expired(time_point now) const { return is_live() && now >= read_deadline(); }

    /// We have been silent for so long that the server has to hear from us. Requests in flight do
    /// not count: a server that is slow to answer them hears nothing meanwhile.
    bool ping_due(time_point now) const { return is_live() && now >= ping_time(); }

    duration read_timeout() const { return read_timeout_of(session_timeout_); }

    /// A third of T, so that the answer is back before the read deadline, and a second ping can
    /// leave before the server's own.
    duration ping_interval() const { return std::min(session_timeout_ / 3, longest_ping_interval); }

private:
    bool is_live() const { return session_timeout_ > duration{0}; }
    time_point read_deadline() const { return received_ + read_timeout(); }
    time_point ping_time() const { return sent_ + ping_interval(); }

    duration session_timeout_{0};
    time_point received_{};
    time_point sent_{};
};

}  // namespace coati::protocol
