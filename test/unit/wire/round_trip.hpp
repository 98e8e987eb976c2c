// Says of each captured frame what it is: which records to read it into. Reading one and writing
// it again must give the same bytes; reading a damaged one must give an error or a record that is
// legal on its own. Both are the same call here.

#pragma once

#include "unit/vectors/vectors.hpp"

#include <coati/wire/all_operations.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/multi.hpp>

#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace coati::test {

struct trip {
    wire::decode_error error = wire::decode_error::none;
    std::string frame{};                 // what was read, written again
    bool right_type = true;              // a request header names the op it was read as
    bool complete = true;                // nothing was left unread
    std::vector<wire::op_code> codes{};  // the ops whose records took part
};

template <class... Records>
trip round_trip_records(std::string_view payload)
{
    trip result;
    wire::reader in{payload};
    std::tuple<Records...> records;
    std::apply([&](auto&... each) { (wire::decode(in, each), ...); }, records);
    result.error = in.error();
    result.complete = in.remaining() == 0;
    if (in.ok()) {
        const std::size_t at = wire::open_frame(result.frame);
        std::apply([&](auto&... each) { wire::encode(result.frame, each...); }, records);
        wire::close_frame(result.frame, at);
    }
    return result;
}

template <wire::operation Op>
trip round_trip_request(std::string_view payload)
{
    trip result = round_trip_records<wire::request_header, typename Op::request>(payload);
    result.codes = {Op::code};
    wire::request_header header;
    wire::reader in{payload};
    result.right_type = wire::decode(in, header) && header.type == Op::code;
    return result;
}

template <wire::operation Op>
trip round_trip_reply(std::string_view payload)
{
    trip result = round_trip_records<wire::reply_header, typename Op::response>(payload);
    result.codes = {Op::code};
    return result;
}

// One part of a multi, if it is of this op.
template <class Op>
bool repeat_part(wire::reader& in, const wire::multi_header& header, trip& result)
{
    if (header.type != static_cast<std::int32_t>(Op::code)) {
        return false;
    }
    typename Op::request request;
    if (wire::decode(in, request)) {
        wire::append_multi_op<Op>(result.frame, request);
        result.codes.push_back(Op::code);
    }
    return true;
}

template <class Multi, class... Parts>
trip round_trip_multi_request(std::string_view payload)
{
    trip result;
    result.codes = {Multi::code};
    wire::reader in{payload};
    wire::request_header header;
    wire::decode(in, header);
    result.right_type = header.type == Multi::code;
    const std::size_t at = wire::open_frame(result.frame);
    wire::encode(result.frame, header);
    wire::multi_header part;
    while (wire::decode(in, part) && !part.done) {
        if (!(repeat_part<Parts>(in, part, result) || ...)) {
            in.fail(wire::decode_error::bad_value);
        }
    }
    wire::finish_multi(result.frame);
    wire::close_frame(result.frame, at);
    result.error = in.error();
    result.complete = in.remaining() == 0;
    return result;
}

template <class Multi>
trip round_trip_multi_reply(std::string_view payload)
{
    trip result;
    result.codes = {Multi::code};
    wire::reader in{payload};
    wire::reply_header header;
    if (!wire::decode(in, header)) {
        result.error = in.error();
        return result;
    }
    const std::size_t at = wire::open_frame(result.frame);
    wire::encode(result.frame, header);
    wire::multi_reader parts{in.rest()};
    wire::multi_result_view part;
    while (parts.next(part)) {
        const auto type = static_cast<wire::op_code>(part.type);
        wire::encode(result.frame, wire::multi_header{part.type, false, part.err});
        if (type == wire::op_code::create || type == wire::op_code::create2) {
            wire::encode(result.frame, part.created_path);
        }
        if (type == wire::op_code::get_data) {
            wire::encode(result.frame, part.data);
        }
        if (type == wire::op_code::get_children) {
            wire::encode(result.frame, part.children);
        }
        if (part.stat) {
            wire::encode(result.frame, *part.stat);
        }
        if (type == wire::op_code::error) {
            wire::encode(result.frame, part.err);
        }
    }
    wire::finish_multi(result.frame);
    wire::close_frame(result.frame, at);
    result.error = parts.error();
    result.complete = parts.finished();
    return result;
}

using round_trip = trip (*)(std::string_view payload);

// Indexed by the number of the vector, less one.
inline constexpr std::array<round_trip, vector_count> round_trips{
    &round_trip_records<wire::connect_request>,                    // V1
    &round_trip_records<wire::connect_response>,                   // V2
    &round_trip_records<wire::connect_request>,                    // V3
    &round_trip_request<wire::auth>,                               // V4
    &round_trip_reply<wire::auth>,                                 // V5
    &round_trip_request<wire::create>,                             // V6
    &round_trip_reply<wire::create>,                               // V7
    &round_trip_request<wire::create>,                             // V8
    &round_trip_reply<wire::create>,                               // V9
    &round_trip_request<wire::get_data>,                           // V10
    &round_trip_reply<wire::get_data>,                             // V11
    &round_trip_request<wire::exists>,                             // V12
    &round_trip_records<wire::reply_header>,                       // V13: an error has no body
    &round_trip_reply<wire::get_children>,                         // V14
    &round_trip_request<wire::set_data>,                           // V15
    &round_trip_records<wire::reply_header, wire::watcher_event>,  // V16
    &round_trip_reply<wire::set_data>,                             // V17
    &round_trip_multi_request<wire::multi, wire::create, wire::check, wire::set_data, wire::remove>,
    &round_trip_multi_reply<wire::multi>,  // V19
    &round_trip_multi_request<wire::multi, wire::create, wire::check, wire::set_data, wire::remove>,
    &round_trip_multi_reply<wire::multi>,                                             // V21
    &round_trip_request<wire::sync>,                                                  // V22
    &round_trip_reply<wire::sync>,                                                    // V23
    &round_trip_reply<wire::get_acl>,                                                 // V24
    &round_trip_request<wire::ping>,                                                  // V25
    &round_trip_reply<wire::ping>,                                                    // V26
    &round_trip_request<wire::close_session>,                                         // V27
    &round_trip_reply<wire::close_session>,                                           // V28
    &round_trip_reply<wire::create2>,                                                 // V29
    &round_trip_request<wire::create_container>,                                      // V30
    &round_trip_request<wire::create_ttl>,                                            // V31
    &round_trip_request<wire::add_watch>,                                             // V32
    &round_trip_reply<wire::add_watch>,                                               // V33
    &round_trip_request<wire::set_watches2>,                                          // V34
    &round_trip_records<wire::reply_header, wire::watcher_event>,                     // V35
    &round_trip_records<wire::reply_header, wire::watcher_event>,                     // V36
    &round_trip_reply<wire::set_watches2>,                                            // V37
    &round_trip_records<wire::reply_header, wire::watcher_event>,                     // V38
    &round_trip_multi_request<wire::multi_read, wire::get_data, wire::get_children>,  // V39
    &round_trip_multi_reply<wire::multi_read>,                                        // V40
    &round_trip_request<wire::who_am_i>,                                              // V41
    &round_trip_reply<wire::who_am_i>,                                                // V42
    &round_trip_request<wire::check_watches>,                                         // V43
    &round_trip_request<wire::sasl>,                                                  // V44
    &round_trip_reply<wire::sasl>,                                                    // V45
    &round_trip_reply<wire::sasl>,                       // V46: a body behind an error
    &round_trip_records<wire::connect_response>,         // V47
    &round_trip_records<wire::reply_header>,             // V48: an error has no body
    &round_trip_request<wire::set_acl>,                  // V49
    &round_trip_reply<wire::set_acl>,                    // V50
    &round_trip_request<wire::get_children2>,            // V51
    &round_trip_reply<wire::get_children2>,              // V52
    &round_trip_request<wire::get_ephemerals>,           // V53
    &round_trip_reply<wire::get_ephemerals>,             // V54
    &round_trip_request<wire::get_all_children_number>,  // V55
    &round_trip_reply<wire::get_all_children_number>,    // V56
    &round_trip_request<wire::remove_watches>,           // V57
    &round_trip_reply<wire::remove_watches>,             // V58
    &round_trip_request<wire::set_watches>,              // V59
    &round_trip_reply<wire::set_watches>,                // V60
    &round_trip_request<wire::reconfig>,                 // V61
};

inline trip round_trip_vector(int number, std::string_view payload)
{
    return round_trips[static_cast<std::size_t>(number - 1)](payload);
}

}  // namespace coati::test
