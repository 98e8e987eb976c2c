// coati::testing: scripts of faults for `scripted_server::on_frame`, ready made.
//
// Each makes a hook; `first_of` puts several together. A hook that counts ("once") counts by itself
// and its copies.
#pragma once

#include <coati/errc.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/wire/op_code.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace coati::testing {

/// How often something happens before the script has run out.
inline constexpr std::size_t always = std::numeric_limits<std::size_t>::max();

/// The connection ends behind the reply to this xid, which still arrives.
scripted_server::frame_hook cut_after_reply(std::int32_t xid);
/// It ends in place of the reply to the next such operation: executed, and the client cannot know.
scripted_server::frame_hook lose_reply(wire::op_code op, std::size_t times = 1);
/// It ends in place of the next such request: not executed, and the client cannot know.
scripted_server::frame_hook lose_request(wire::op_code op, std::size_t times = 1);
/// The next such request is not executed: this code is the answer.
scripted_server::frame_hook answer_with(wire::op_code op, errc code, std::size_t times = 1);
/// What goes to clients, replies and events, waits for so long.
scripted_server::frame_hook delay_replies(duration by);
/// What comes from clients does.
scripted_server::frame_hook delay_requests(duration by);

/// What no server says.
enum class lie : std::uint8_t {
    wrong_xid,        ///< A reply to a request that nobody has sent.
    zxid_back,        ///< A reply from before what this session has seen: zxid 1.
    other_session,    ///< The handshake grants somebody else's session.
    stranger_event,   ///< Before a reply: an event for a path that nobody watches.
    oversized_frame,  ///< A length that is none: 2 GiB less one.
    truncated_frame,  ///< Half a reply, then the end of the connection.
};

/// Tells it once, with the next reply or handshake that can carry it (of an operation: neither
/// ping nor authentication).
scripted_server::frame_hook tell(lie what);

/// Asks each in turn; the first answer that is not `pass` counts.
scripted_server::frame_hook first_of(std::vector<scripted_server::frame_hook> hooks);

}  // namespace coati::testing
