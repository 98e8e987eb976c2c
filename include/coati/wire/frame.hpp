// Owns the framing: every message in both directions is an int32 length, which does not count
// itself, and that many bytes. Finds frames in received bytes and closes them in outgoing ones.
// It must not know what is inside, nor where the bytes come from.

#pragma once

#include <coati/wire/bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coati::wire {

inline constexpr std::size_t frame_prefix_size = sizeof(std::int32_t);

// The server's jute.maxbuffer, 0xfffff unless configured. A longer request must be refused here:
// the server's only answer is to hang up, which fails everything else in flight.
inline constexpr std::size_t default_max_request = 1'048'575;

// Servers do not limit what they send: a full-size znode reads back longer than it could be
// written, and lists of children go beyond 1 MiB.
inline constexpr std::size_t default_max_reply = std::size_t{16} * 1024 * 1024;

struct frame_scan {
    enum class status : std::uint8_t { need_more, complete, malformed };

    status status = status::need_more;
    std::string_view payload{};  // when complete: without the length prefix
    std::size_t consumed = 0;    // when complete: bytes of `buffered` that are used up
    std::size_t needed = 0;      // bytes of the frame with its prefix, as far as known; 0 = never
};

// Inside frame_scan the member hides its type.
using frame_status = enum frame_scan::status;

// Looks for one frame at the front of `buffered`. A negative length, or one above `limit`, is
// malformed; in the latter case `needed` still says how long the frame claims to be, for a caller
// who can skip it.
inline frame_scan next_frame(std::string_view buffered, std::size_t limit) noexcept
{
    if (buffered.size() < frame_prefix_size) {
        return {frame_status::need_more, {}, 0, frame_prefix_size};
    }
    const auto length = load_big_endian<std::int32_t>(buffered.data());
    if (length < 0) {
        return {frame_status::malformed, {}, 0, 0};
    }
    const auto size = static_cast<std::size_t>(length);
    const std::size_t needed = frame_prefix_size + size;
    if (size > limit) {
        return {frame_status::malformed, {}, 0, needed};
    }
    if (buffered.size() < needed) {
        return {frame_status::need_more, {}, 0, needed};
    }
    return {frame_status::complete, buffered.substr(frame_prefix_size, size), needed, needed};
}

// Begins a frame whose length is not known yet; returns what close_frame wants to hear.
inline std::size_t open_frame(std::string& out)
{
    const std::size_t at = out.size();
    out.append(frame_prefix_size, '\0');
    return at;
}

// Everything appended since open_frame is the payload.
inline void close_frame(std::string& out, std::size_t at) noexcept
{
    store_big_endian(out.data() + at,
                     static_cast<std::int32_t>(out.size() - at - frame_prefix_size));
}

}  // namespace coati::wire
