// What an application can see of a session: its identity, and what the last attempts to reach a
// server ended with. Plain values; the reconnect coroutine (src/engine.cpp) owns the real ones.
#pragma once

#include <coati/config.hpp>
#include <coati/transport.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace coati {

/// How far an attempt to reach a server came.
enum class attempt_step : std::uint8_t { resolve, connect, handshake, authenticate };

/// The name as written here ("handshake").
std::string_view name(attempt_step step) noexcept;

/// The last attempt at one server, for logs and for the user who asks why nothing works.
class attempt {
public:
    /// For the library itself.
    attempt(server_address which, attempt_step how_far, coati::error what, std::string words)
        : server(std::move(which)), step(how_far), error(what), text(std::move(words))
    {
    }

    server_address server;  ///< As it was configured.
    attempt_step step;      ///< What it was doing when it ended.
    coati::error error;     ///< How it ended.
    std::string text;       ///< One line: which address, what happened.
};

/// A session as the server granted it.
class session_info {
public:
    session_info() = default;

    std::int64_t id = 0;                              ///< 0: none yet.
    std::chrono::milliseconds negotiated_timeout{0};  ///< The server's, not what was asked for.
    endpoint server;                                  ///< Where it was last connected to.
    bool is_read_only = false;  ///< Of a server without a quorum; not known to any other.
    /// How late the session's own timers ran at worst: a handler on its executor that takes long
    /// delays the pings, and beyond a third of the session timeout it costs the session.
    duration longest_stall = duration::zero();
};

}  // namespace coati
