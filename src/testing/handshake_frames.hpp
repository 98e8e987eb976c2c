// The server's side of a handshake, as frames: what the scripted server and a faked expiry say.
//
// Private to src/testing.
#pragma once

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>

#include <string>

namespace coati::testing {

inline std::string frame_of(const wire::connect_response& response)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, response);
    wire::close_frame(frame, at);
    return frame;
}

/// The session is over: no id, no password, no time. Clients before 3.4 send no read-only flag, and
/// get none.
inline std::string refusal_frame(bool with_flag = true)
{
    const std::string no_password(16, '\0');
    wire::connect_response response;
    response.password = no_password;
    if (with_flag) {
        response.read_only.value = false;
    }
    return frame_of(response);
}

}  // namespace coati::testing
