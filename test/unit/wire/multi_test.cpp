// Multi: parts of requests, and results that are read by what they say they are.

#include "unit/vectors/vectors.hpp"

#include <coati/wire/header.hpp>
#include <coati/wire/multi.hpp>
#include <coati/wire/operation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace coati;
using coati::test::exact_copy;
using coati::test::from_hex;
using coati::test::vector_payload;
using wire::decode_error;

namespace {

// The results of a reply, behind its header.
std::string_view results_of(int number)
{
    return vector_payload(number).substr(wire::codec<wire::reply_header>::min_size);
}

std::string stat_bytes(std::int32_t version)
{
    std::string bytes;
    stat written;
    written.version = version;
    wire::encode(bytes, written);
    return bytes;
}

const std::string end = from_hex("ffffffff 01 ffffffff");

}  // namespace

TEST_CASE("the parts of a multi are appended as a real client wrote them", "[wire][multi]")
{
    const std::string_view parent = "/kz1795290166";
    const std::vector<wire::acl> open{{31, "world", "anyone"}};
    std::string body;
    wire::append_multi_op<wire::create>(body, {"/kz1795290166/t1", {"a"}, open, 0});
    wire::append_multi_op<wire::check>(body, {parent, 1});
    wire::append_multi_op<wire::set_data>(body, {parent, {"b"}, 1});
    wire::append_multi_op<wire::remove>(body, {"/kz1795290166/t1"});
    wire::finish_multi(body);

    std::string frame;
    wire::append_request<wire::multi>(frame, 8, {{body}});
    CHECK(frame == test::vector_frame(18));
}

TEST_CASE("a multi_read is appended as a real client wrote it", "[wire][multi]")
{
    std::string body;
    wire::append_multi_op<wire::get_data>(body, {"/jv1795290193"});
    wire::append_multi_op<wire::get_data>(body, {"/jv1795290193/missing"});
    wire::append_multi_op<wire::get_children>(body, {"/jv1795290193"});
    wire::finish_multi(body);
    std::string frame;
    wire::append_request<wire::multi_read>(frame, 15, {{body}});
    CHECK(frame == test::vector_frame(39));
}

TEST_CASE("an empty multi is just its end", "[wire][multi]")
{
    std::string body;
    wire::finish_multi(body);
    CHECK(body == end);

    wire::multi_reader in{body};
    wire::multi_result_view result;
    CHECK_FALSE(in.next(result));
    CHECK(in.finished());
    CHECK(in.ok());
}

TEST_CASE("the results of a multi that succeeded", "[wire][multi]")
{
    wire::multi_reader in{results_of(19)};
    wire::multi_result_view result;

    REQUIRE(in.next(result));
    CHECK(result.type == 1);
    CHECK(result.err == 0);
    CHECK(result.created_path == "/kz1795290166/t1");
    CHECK_FALSE(result.stat.has_value());

    REQUIRE(in.next(result));
    CHECK(result.type == 13);
    CHECK(result.created_path.empty());

    REQUIRE(in.next(result));
    CHECK(result.type == 5);
    REQUIRE(result.stat.has_value());
    CHECK(result.stat->czxid == 0x4b5);
    CHECK(result.stat->mzxid == 0x4b8);
    CHECK(result.stat->version == 2);
    CHECK(result.stat->data_length == 1);
    CHECK(result.stat->num_children == 2);

    REQUIRE(in.next(result));
    CHECK(result.type == 2);
    CHECK_FALSE(result.stat.has_value());

    CHECK_FALSE(in.finished());
    CHECK_FALSE(in.next(result));
    CHECK(in.finished());
    CHECK(in.ok());
    CHECK_FALSE(in.next(result));
}

TEST_CASE("the results of a multi that failed, under a header that says 0", "[wire][multi]")
{
    wire::reader whole{vector_payload(21)};
    wire::reply_header header;
    REQUIRE(wire::decode(whole, header));
    CHECK(header.err == 0);

    std::vector<std::int32_t> errors;
    wire::multi_reader in{whole.rest()};
    wire::multi_result_view result;
    while (in.next(result)) {
        CHECK(result.type == -1);
        errors.push_back(result.err);
    }
    CHECK(in.finished());
    CHECK(errors == std::vector<std::int32_t>{0, -103, -2});
}

TEST_CASE("the parts of a multi_read fail alone", "[wire][multi]")
{
    wire::multi_reader in{results_of(40)};
    wire::multi_result_view result;

    REQUIRE(in.next(result));
    CHECK(result.type == 4);
    CHECK(result.data == wire::nullable<std::string_view>{"v0"});
    REQUIRE(result.stat.has_value());
    CHECK(result.stat->num_children == 3);
    CHECK(result.stat->pzxid == 0x494);

    REQUIRE(in.next(result));
    CHECK(result.type == -1);
    CHECK(result.err == -101);
    CHECK_FALSE(result.stat.has_value());
    CHECK(result.data == wire::nullable<std::string_view>{});

    REQUIRE(in.next(result));
    CHECK(result.type == 8);
    CHECK(result.err == 0);
    CHECK(result.children == std::vector<std::string_view>{"del", "c", "t"});

    CHECK_FALSE(in.next(result));
    CHECK(in.finished());
}

TEST_CASE("a create2 inside a multi is read by the type of its result", "[wire][multi][T39]")
{
    const std::string path = from_hex("00000002 2f61");
    const std::string removed = from_hex("00000002 00 00000000");

    // Before 3.9: type 1, and no stat. From 3.9 on: type 15, with one. What follows must still
    // be found in both.
    const std::string older = from_hex("00000001 00 00000000") + path + removed + end;
    const std::string newer =
        from_hex("0000000f 00 00000000") + path + stat_bytes(7) + removed + end;
    for (const bool has_stat : {false, true}) {
        const exact_copy copy{has_stat ? newer : older};
        wire::multi_reader in{copy.view()};
        wire::multi_result_view result;
        REQUIRE(in.next(result));
        CHECK(result.created_path == "/a");
        CHECK(result.stat.has_value() == has_stat);
        CHECK((!has_stat || result.stat->version == 7));
        REQUIRE(in.next(result));
        CHECK(result.type == 2);
        CHECK_FALSE(in.next(result));
        CHECK(in.finished());
    }
}

TEST_CASE("null data in a multi_read stays null", "[wire][multi][T65]")
{
    const std::string header = from_hex("00000004 00 00000000");
    for (const bool is_null : {true, false}) {
        const std::string body =
            header + from_hex(is_null ? "ffffffff" : "00000000") + stat_bytes(0) + end;
        wire::multi_reader in{body};
        wire::multi_result_view result;
        REQUIRE(in.next(result));
        CHECK(result.data.is_null == is_null);
    }
}

TEST_CASE("a result of an unknown type ends the reading", "[wire][multi]")
{
    for (const std::string_view type : {"00000003", "00000010", "00000000", "fffffffe"}) {
        const std::string body = from_hex(type) + from_hex("00 00000000") + end;
        wire::multi_reader in{body};
        wire::multi_result_view result;
        CHECK_FALSE(in.next(result));
        CHECK_FALSE(in.ok());
        CHECK_FALSE(in.finished());
        CHECK(in.error() == decode_error::bad_value);
        CHECK_FALSE(in.next(result));
    }
}

TEST_CASE("results without an end are a fault", "[wire][multi]")
{
    for (const int number : {19, 21, 40}) {
        const std::string_view body = results_of(number);
        for (std::size_t size = 0; size < body.size(); ++size) {
            const exact_copy cut{body.substr(0, size)};
            wire::multi_reader in{cut.view()};
            wire::multi_result_view result;
            while (in.next(result)) {}
            CHECK_FALSE(in.finished());
            CHECK(in.error() == decode_error::truncated);
        }
    }
}

TEST_CASE("a list of children with an impossible count costs no memory", "[wire][multi]")
{
    const std::string body = from_hex("00000008 00 00000000 7fffffff 00000000");
    const exact_copy copy{body};
    wire::multi_reader in{copy.view()};
    wire::multi_result_view result;
    CHECK_FALSE(in.next(result));
    CHECK(in.error() == decode_error::truncated);
    CHECK(result.children.capacity() == 0);
}
