// Owns the records around the operations: the headers of requests, replies and multi parts, the
// handshake, and the event. Also the reserved xids, and the one call that writes a whole request.
// It must not know any operation, nor what a client does with a header.

#pragma once

#include <coati/wire/bytes.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/op_code.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace coati::wire {

// Requests count from first_xid to last_xid and start over; the rest are reserved.
inline constexpr std::int32_t notification_xid = -1;
inline constexpr std::int32_t ping_xid = -2;
inline constexpr std::int32_t auth_xid = -4;
inline constexpr std::int32_t set_watches_xid = -8;
inline constexpr std::int32_t first_xid = 1;
inline constexpr std::int32_t last_xid = std::numeric_limits<std::int32_t>::max();

struct request_header {
    std::int32_t xid = 0;
    op_code type = op_code::notification;

    friend bool operator==(const request_header&, const request_header&) = default;
    using wire_fields = fields<&request_header::xid, &request_header::type>;
};

// When `err` is not 0 the body must not be decoded, even if there is one.
struct reply_header {
    std::int32_t xid = 0;
    std::int64_t zxid = 0;
    std::int32_t err = 0;

    friend bool operator==(const reply_header&, const reply_header&) = default;
    using wire_fields = fields<&reply_header::xid, &reply_header::zxid, &reply_header::err>;
};

// The first frame of a connection, in both directions, has no header.
struct connect_request {
    std::int32_t protocol_version = 0;
    std::int64_t last_zxid_seen = 0;
    std::int32_t timeout_ms = 0;
    std::int64_t session_id = 0;  // 0 asks for a new session
    std::string_view password{};  // 16 zero bytes with a new session
    bool read_only = false;       // always sent; read-only servers refuse clients without it

    friend bool operator==(const connect_request&, const connect_request&) = default;
    using wire_fields = fields<&connect_request::protocol_version, &connect_request::last_zxid_seen,
                               &connect_request::timeout_ms, &connect_request::session_id,
                               &connect_request::password, &connect_request::read_only>;
};

struct connect_response {
    std::int32_t protocol_version = 0;
    std::int32_t timeout_ms = 0;  // 0 or less: the session is refused, it is over
    std::int64_t session_id = 0;
    std::string_view password{};
    trailing<bool> read_only{};  // 3.3 servers end before it: absent means false

    friend bool operator==(const connect_response&, const connect_response&) = default;
    using wire_fields = fields<&connect_response::protocol_version, &connect_response::timeout_ms,
                               &connect_response::session_id, &connect_response::password,
                               &connect_response::read_only>;
};

// The body behind a reply header with notification_xid. Plain numbers: a type nobody knows must
// survive up to where it can be logged.
struct watcher_event {
    std::int32_t type = 0;
    std::int32_t state = 0;
    std::string_view path{};

    friend bool operator==(const watcher_event&, const watcher_event&) = default;
    using wire_fields = fields<&watcher_event::type, &watcher_event::state, &watcher_event::path>;
};

// Before each part of a multi, in requests and replies; {-1, true, -1} ends the list.
struct multi_header {
    std::int32_t type = 0;
    bool done = false;
    std::int32_t err = 0;

    friend bool operator==(const multi_header&, const multi_header&) = default;
    using wire_fields = fields<&multi_header::type, &multi_header::done, &multi_header::err>;
};

// The payload of a request, to be compared with the limit before it is written.
template <class Op>
std::size_t request_size(const typename Op::request& request)
{
    return codec<request_header>::min_size + encoded_size(request);
}

// Appends the complete frame of a request: one measurement, one resize.
template <class Op>
void append_request(std::string& out, std::int32_t xid, const typename Op::request& request)
{
    const auto length = static_cast<std::int32_t>(request_size<Op>(request));
    encode(out, length, request_header{xid, Op::code}, request);
}

}  // namespace coati::wire
