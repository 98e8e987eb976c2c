// Every captured frame, whole, cut short at every byte, and with every byte damaged in turn. What
// is in them is checked field by field in operation_test.cpp and multi_test.cpp.

#include "unit/wire/round_trip.hpp"

#include <coati/wire/all_operations.hpp>
#include <coati/wire/frame.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace coati;
using namespace coati::test;

TEST_CASE("every captured frame is read and written again byte for byte", "[wire][vectors]")
{
    for (int number = 1; number <= vector_count; ++number) {
        CAPTURE(number);
        const exact_copy payload{vector_payload(number)};
        const trip result = round_trip_vector(number, payload.view());
        CHECK(result.error == wire::decode_error::none);
        CHECK(result.right_type);
        CHECK(result.complete);
        CHECK(result.frame == vector_frame(number));
    }
}

TEST_CASE("a frame that has not arrived completely is waited for", "[wire][vectors]")
{
    for (int number = 1; number <= vector_count; ++number) {
        const std::string& frame = vector_frame(number);
        std::size_t wrong = 0;
        for (std::size_t size = 0; size < frame.size(); ++size) {
            const exact_copy arrived{std::string_view{frame}.substr(0, size)};
            const auto scan = wire::next_frame(arrived.view(), wire::default_max_reply);
            const std::size_t needed = size < wire::frame_prefix_size ? 4 : frame.size();
            const bool right = scan.status == wire::frame_status::need_more &&
                               scan.needed == needed && scan.consumed == 0;
            wrong += right ? 0U : 1U;
        }
        CAPTURE(number);
        CHECK(wrong == 0);
    }
}

TEST_CASE("a payload that ends too early is an error or a shorter legal record", "[wire][vectors]")
{
    std::vector<std::pair<int, std::size_t>> legal;  // vector, bytes cut off
    for (int number = 1; number <= vector_count; ++number) {
        const std::string_view payload = vector_payload(number);
        for (std::size_t size = 0; size < payload.size(); ++size) {
            std::string shorter;
            const std::size_t at = wire::open_frame(shorter);
            shorter.append(payload.substr(0, size));
            wire::close_frame(shorter, at);

            const exact_copy arrived{shorter};
            const auto scan = wire::next_frame(arrived.view(), wire::default_max_reply);
            const trip result = round_trip_vector(number, scan.payload);
            CAPTURE(number, size);
            if (scan.payload.size() != size) {
                FAIL_CHECK("the frame is not found");
            } else if (result.error == wire::decode_error::none) {
                legal.emplace_back(number, payload.size() - size);
                CHECK(result.frame == shorter);
            } else if (result.error != wire::decode_error::truncated) {
                FAIL_CHECK("truncation seen as: " << wire::describe(result.error));
            }
        }
    }
    // The handshake's answer may lack its read-only byte; nothing else may lack anything.
    CHECK(legal == std::vector<std::pair<int, std::size_t>>{{2, 1}, {47, 1}});
}

TEST_CASE("a frame with any one byte changed is read safely", "[wire][vectors]")
{
    std::map<wire::decode_error, std::size_t> seen;
    for (int number = 1; number <= vector_count; ++number) {
        std::string payload{vector_payload(number)};
        for (char& byte : payload) {
            const char before = byte;
            for (int bit = 0; bit < 8; ++bit) {
                byte = static_cast<char>(before ^ (1 << bit));
                const exact_copy damaged{payload};
                const trip result = round_trip_vector(number, damaged.view());
                ++seen[result.error];
            }
            byte = before;
        }
    }
    CHECK(seen[wire::decode_error::truncated] > 0);
    CHECK(seen[wire::decode_error::bad_length] > 0);
    CHECK(seen[wire::decode_error::bad_count] > 0);
    CHECK(seen[wire::decode_error::bad_value] > 0);
}

TEST_CASE("every op code has a struct and a captured frame", "[wire][completeness]")
{
    std::vector<wire::op_code> captured;
    for (int number = 1; number <= vector_count; ++number) {
        const trip result = round_trip_vector(number, vector_payload(number));
        captured.insert(captured.end(), result.codes.begin(), result.codes.end());
    }

    std::vector<wire::op_code> structs;
    wire::for_each_operation(wire::all_operations{},
                             [&]<class Op>() { structs.push_back(Op::code); });

    CHECK(structs.size() == wire::all_op_codes.size());
    for (const wire::op_code code : wire::all_op_codes) {
        CAPTURE(wire::name(code));
        CHECK(std::count(structs.begin(), structs.end(), code) == 1);
        const bool has_vector = std::count(captured.begin(), captured.end(), code) > 0;
        CHECK(has_vector);
    }
}
