// Frames: finding them in what has arrived, and closing them in what is to be sent.

#include "unit/vectors/vectors.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/operation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using namespace coati;
using coati::test::exact_copy;
using coati::test::from_hex;
using status = wire::frame_status;

TEST_CASE("a complete frame is found, and what follows is left alone", "[wire][frame]")
{
    const std::string buffered = from_hex("00000003 616263 00000000 00000002 78");

    const auto first = wire::next_frame(buffered, wire::default_max_reply);
    CHECK(first.status == status::complete);
    CHECK(first.payload == "abc");
    CHECK(first.payload.data() == buffered.data() + 4);
    CHECK(first.consumed == 7);
    CHECK(first.needed == 7);

    const std::string_view behind = std::string_view{buffered}.substr(first.consumed);
    const auto empty = wire::next_frame(behind, wire::default_max_reply);
    CHECK(empty.status == status::complete);
    CHECK(empty.payload.empty());
    CHECK(empty.consumed == 4);

    const auto partial = wire::next_frame(behind.substr(4), wire::default_max_reply);
    CHECK(partial.status == status::need_more);
    CHECK(partial.needed == 6);
}

TEST_CASE("a connect response is found however it is split", "[wire][frame][C30]")
{
    for (const int number : {2, 47}) {
        for (const std::size_t cut_off : {0U, 1U}) {  // 3.3 servers end before the read-only byte
            const auto payload = test::vector_payload(number);
            std::string frame;
            const std::size_t at = wire::open_frame(frame);
            frame.append(payload.substr(0, payload.size() - cut_off));
            wire::close_frame(frame, at);

            for (std::size_t split = 0; split < frame.size(); ++split) {
                std::string buffered = frame.substr(0, split);
                CHECK(wire::next_frame(exact_copy{buffered}.view(), 1024).status ==
                      status::need_more);
                buffered.append(frame, split);
                const auto scan = wire::next_frame(buffered, 1024);
                REQUIRE(scan.status == status::complete);
                wire::reader in{scan.payload};
                wire::connect_response response;
                REQUIRE(wire::decode(in, response));
                CHECK(response.password.size() == 16);
                CHECK(response.read_only.value.has_value() == (cut_off == 0));
                CHECK(response.timeout_ms == (number == 2 ? 10000 : 0));
            }
        }
    }
}

TEST_CASE("a length that cannot be is malformed at once", "[wire][frame]")
{
    for (const std::string_view hex : {"ffffffff", "80000000", "fffffff9"}) {
        const std::string prefix = from_hex(hex);
        const auto scan = wire::next_frame(exact_copy{prefix}.view(), wire::default_max_reply);
        CHECK(scan.status == status::malformed);
        CHECK(scan.consumed == 0);
        CHECK(scan.needed == 0);
    }
}

TEST_CASE("the limit is on the payload and inclusive", "[wire][frame]")
{
    const std::string at_limit = from_hex("000fffff");
    const std::string above = from_hex("00100000");
    CHECK(wire::next_frame(at_limit, wire::default_max_request).status == status::need_more);
    CHECK(wire::next_frame(at_limit, wire::default_max_request).needed == 1'048'579);

    const auto refused = wire::next_frame(above, wire::default_max_request);
    CHECK(refused.status == status::malformed);
    CHECK(refused.needed == 1'048'580);  // so that it can be skipped

    // A list of 1,254,020 bytes came from a server with default settings.
    const std::string long_list = from_hex("00132284");
    CHECK(wire::next_frame(long_list, wire::default_max_reply).status == status::need_more);

    const std::string longest = from_hex("7fffffff");
    const auto unlimited = wire::next_frame(longest, std::numeric_limits<std::size_t>::max());
    CHECK(unlimited.status == status::need_more);
    CHECK(unlimited.needed == std::size_t{0x7fffffff} + 4);
}

TEST_CASE("frames are closed one behind the other", "[wire][frame]")
{
    std::string out = "kept";
    const std::size_t first = wire::open_frame(out);
    CHECK(first == 4);
    out += "ab";
    wire::close_frame(out, first);
    const std::size_t second = wire::open_frame(out);
    wire::close_frame(out, second);
    CHECK(out == "kept" + from_hex("00000002 6162 00000000"));
}

TEST_CASE("a request is appended as one complete frame", "[wire][frame]")
{
    const wire::get_data::request request{"/kz1795290166", true};
    std::string out = test::vector_frame(25);
    wire::append_request<wire::get_data>(out, 2, request);
    CHECK(out == test::vector_frame(25) + test::vector_frame(10));
    CHECK(wire::request_size<wire::get_data>(request) == test::vector_payload(10).size());
}
