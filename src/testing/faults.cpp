// The ready-made scripts: hooks that wait for their frame.
#include "handshake_frames.hpp"

#include <coati/testing/faults.hpp>

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>

#include <memory>
#include <string>
#include <utility>

namespace coati::testing {

namespace {

using hook = scripted_server::frame_hook;
using side = frame_view::way;

/// The next `times` frames of an operation in one direction get this verdict.
hook next_frames(side direction, wire::op_code op, std::size_t times, const verdict& what)
{
    const auto left = std::make_shared<std::size_t>(times);
    return [=](const frame_view& frame) {
        const bool is_it = frame.direction == direction && frame.op == op && !frame.handshake;
        if (!is_it || *left == 0) {
            return verdict::pass();
        }
        *left -= *left == always ? 0 : 1;
        return what;
    };
}

std::string framed(std::string_view payload)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    frame += payload;
    wire::close_frame(frame, at);
    return frame;
}

bool is_reply(const frame_view& frame)
{
    return frame.direction == side::reply && !frame.handshake && frame.xid >= wire::first_xid &&
           frame.op != wire::op_code::auth && frame.op != wire::op_code::ping;
}

std::string with_header(const frame_view& frame, const wire::reply_header& header)
{
    std::string payload;
    wire::encode(payload, header);
    payload += frame.payload.substr(payload.size());
    return framed(payload);
}

wire::reply_header header_of(const frame_view& frame)
{
    wire::reader in(frame.payload);
    wire::reply_header header;
    wire::decode(in, header);
    return header;
}

std::string other_session(const frame_view& frame)
{
    wire::reader in(frame.payload);
    wire::connect_response response;
    wire::decode(in, response);
    ++response.session_id;
    return frame_of(response);
}

std::string stranger_event(const frame_view& frame)
{
    constexpr std::int32_t deleted = 2;
    constexpr std::int32_t sync_connected = 3;
    std::string payload;
    wire::encode(payload, wire::reply_header{wire::notification_xid, -1, 0},
                 wire::watcher_event{deleted, sync_connected, "/nobody/watches/this"});
    return framed(payload) + framed(frame.payload);
}

verdict told(lie what, const frame_view& frame)
{
    constexpr std::int32_t strange = 1'000'000;
    wire::reply_header header = header_of(frame);
    switch (what) {
    case lie::wrong_xid: header.xid += strange; return verdict::replace(with_header(frame, header));
    case lie::zxid_back: header.zxid = 1; return verdict::replace(with_header(frame, header));
    case lie::other_session: return verdict::replace(other_session(frame));
    case lie::stranger_event: return verdict::replace(stranger_event(frame));
    case lie::oversized_frame: return verdict::replace("\x7f\xff\xff\xff");
    case lie::truncated_frame: {
        const std::string whole = framed(frame.payload);
        return verdict::replace_and_close(whole.substr(0, whole.size() / 2));
    }
    }
    return verdict::pass();
}

}  // namespace

hook cut_after_reply(std::int32_t xid)
{
    return [xid](const frame_view& frame) {
        const bool is_it = frame.direction == side::reply && !frame.handshake && frame.xid == xid;
        return is_it ? verdict::pass_and_close() : verdict::pass();
    };
}

hook lose_reply(wire::op_code op, std::size_t times)
{
    return next_frames(side::reply, op, times, verdict::close());
}

hook lose_request(wire::op_code op, std::size_t times)
{
    return next_frames(side::request, op, times, verdict::close());
}

hook answer_with(wire::op_code op, errc code, std::size_t times)
{
    return next_frames(side::request, op, times, verdict::answer(code));
}

hook delay_replies(duration by)
{
    return [by](const frame_view& frame) {
        return frame.direction == side::reply ? verdict::delay(by) : verdict::pass();
    };
}

hook delay_requests(duration by)
{
    return [by](const frame_view& frame) {
        return frame.direction == side::request ? verdict::delay(by) : verdict::pass();
    };
}

hook tell(lie what)
{
    const auto is_told = std::make_shared<bool>(false);
    return [what, is_told](const frame_view& frame) {
        const bool is_answer = frame.direction == side::reply && frame.handshake;
        const bool can = what == lie::other_session ? is_answer : is_reply(frame);
        if (!can || std::exchange(*is_told, true)) {
            return verdict::pass();
        }
        return told(what, frame);
    };
}

hook first_of(std::vector<hook> hooks)
{
    return [hooks = std::move(hooks)](const frame_view& frame) {
        for (const auto& each : hooks) {
            verdict v = each(frame);
            if (v.what != verdict::kind::pass || v.then_close) {
                return v;
            }
        }
        return verdict::pass();
    };
}

}  // namespace coati::testing
