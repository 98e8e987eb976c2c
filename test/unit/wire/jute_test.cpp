// The codec: each kind of value in both directions, and what happens when the bytes are wrong.

#include "unit/vectors/vectors.hpp"

#include <coati/stat.hpp>
#include <coati/wire/acl.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

using namespace coati;
using coati::test::exact_copy;
using coati::test::from_hex;
using wire::decode_error;

namespace {

enum class colour : std::int32_t { red = 1, green = -2 };

struct mixed {
    std::string owned{};
    std::vector<std::int64_t> numbers{};
    std::vector<wire::acl> acls{};
    wire::nullable<std::string> maybe{};
    wire::trailing<std::int32_t> last{};

    friend bool operator==(const mixed&, const mixed&) = default;
    using wire_fields =
        wire::fields<&mixed::owned, &mixed::numbers, &mixed::acls, &mixed::maybe, &mixed::last>;
};

template <class T>
std::string encoded(const T& value)
{
    std::string out;
    wire::encode(out, value);
    CHECK(out.size() == wire::encoded_size(value));
    return out;
}

template <class T>
decode_error error_of(std::string_view bytes, T& value)
{
    const exact_copy copy{bytes};
    wire::reader in{copy.view()};
    const bool decoded = wire::decode(in, value);
    CHECK(decoded == in.ok());
    return in.error();
}

template <class T>
T decoded(std::string_view bytes)
{
    T value{};
    wire::reader in{bytes};
    CHECK(wire::decode(in, value));
    CHECK(in.remaining() == 0);
    return value;
}

}  // namespace

// Whether a record is read with one check of its bounds is decided here, at compile time.
static_assert(wire::codec<stat>::fixed && wire::codec<stat>::min_size == 68);
static_assert(wire::codec<wire::reply_header>::fixed);
static_assert(wire::codec<wire::reply_header>::min_size == 16);
static_assert(wire::codec<wire::multi_header>::fixed);
static_assert(wire::codec<wire::multi_header>::min_size == 9);
static_assert(!wire::codec<wire::acl>::fixed && wire::codec<wire::acl>::min_size == 12);
static_assert(wire::codec<wire::remove::response>::fixed);
static_assert(wire::codec<wire::remove::response>::min_size == 0);
static_assert(!wire::codec<wire::connect_response>::fixed);

TEST_CASE("numbers are big-endian two's complement", "[wire][jute]")
{
    CHECK(encoded(std::int32_t{0x01020304}) == from_hex("01020304"));
    CHECK(encoded(std::int32_t{-2}) == from_hex("fffffffe"));
    CHECK(encoded(std::int64_t{0x0102030405060708}) == from_hex("0102030405060708"));
    CHECK(encoded(std::numeric_limits<std::int64_t>::min()) == from_hex("8000000000000000"));
    CHECK(decoded<std::int32_t>(from_hex("80000001")) == -0x7fffffff);
    CHECK(decoded<std::int64_t>(from_hex("fffffffffffffffe")) == -2);
}

TEST_CASE("booleans are one byte, and any but zero is true", "[wire][jute]")
{
    CHECK(encoded(true) == from_hex("01"));
    CHECK(encoded(false) == from_hex("00"));
    CHECK(decoded<bool>(from_hex("02")));
    CHECK(decoded<bool>(from_hex("ff")));
    CHECK_FALSE(decoded<bool>(from_hex("00")));
}

TEST_CASE("enumerations keep numbers that they have no name for", "[wire][jute]")
{
    CHECK(encoded(colour::green) == from_hex("fffffffe"));
    CHECK(decoded<colour>(from_hex("00000001")) == colour::red);
    CHECK(encoded(decoded<colour>(from_hex("12345678"))) == from_hex("12345678"));
}

TEST_CASE("strings decode as views into the payload, or as copies", "[wire][jute]")
{
    const std::string bytes = from_hex("00000003 616263");
    CHECK(decoded<std::string>(bytes) == "abc");
    const auto view = decoded<std::string_view>(bytes);
    CHECK(view == "abc");
    CHECK(view.data() == bytes.data() + 4);
    CHECK(encoded(std::string_view{"abc"}) == bytes);
    CHECK(encoded(std::string{"abc"}) == bytes);
    CHECK(encoded(std::string_view{}) == from_hex("00000000"));
}

TEST_CASE("null and empty stay apart where it matters", "[wire][jute][T65][C54]")
{
    using token = wire::nullable<std::string_view>;
    const std::string null = from_hex("ffffffff");
    const std::string empty = from_hex("00000000");

    CHECK(decoded<token>(null) == token::null());
    CHECK(decoded<token>(empty) == token{});
    CHECK(token::null() != token{});
    CHECK(encoded(token::null()) == null);
    CHECK(encoded(token{}) == empty);
    CHECK(encoded(token{"x"}) == from_hex("00000001 78"));

    token reused = token::null();
    CHECK(error_of(from_hex("00000001 78"), reused) == decode_error::none);
    CHECK_FALSE(reused.is_null);
    reused = {"old"};
    CHECK(error_of(null, reused) == decode_error::none);
    CHECK(reused == token::null());
}

TEST_CASE("null is read as empty where nobody cares, and never written", "[wire][jute]")
{
    const std::string null = from_hex("ffffffff");
    std::string_view text = "old";
    CHECK(error_of(null, text) == decode_error::none);
    CHECK(text.empty());
    std::vector<std::string_view> list{"old"};
    CHECK(error_of(null, list) == decode_error::none);
    CHECK(list.empty());
    CHECK(encoded(list) == from_hex("00000000"));
}

TEST_CASE("lengths and counts below -1 are refused", "[wire][jute]")
{
    for (const std::string_view hex : {"fffffffe", "80000000"}) {
        const std::string bytes = from_hex(hex) + std::string(16, 'x');
        std::string_view text;
        std::string copy;
        wire::nullable<std::string_view> token;
        std::vector<std::string_view> list;
        CHECK(error_of(bytes, text) == decode_error::bad_length);
        CHECK(error_of(bytes, copy) == decode_error::bad_length);
        CHECK(error_of(bytes, token) == decode_error::bad_length);
        CHECK_FALSE(token.is_null);
        CHECK(error_of(bytes, list) == decode_error::bad_count);
    }
}

TEST_CASE("a length or count beyond the payload costs no memory", "[wire][jute]")
{
    const std::string huge = from_hex("7fffffff 00000000 00000000");
    std::string copy;
    const std::size_t before = copy.capacity();
    CHECK(error_of(huge, copy) == decode_error::truncated);
    CHECK(copy.capacity() == before);

    std::vector<std::string_view> names;
    CHECK(error_of(huge, names) == decode_error::truncated);
    CHECK(names.capacity() == 0);

    std::vector<wire::acl> acls;
    CHECK(error_of(huge, acls) == decode_error::truncated);
    CHECK(acls.capacity() == 0);

    // An ACL takes at least 12 bytes: two of them cannot be in 23.
    CHECK(error_of(from_hex("00000002") + std::string(23, '\0'), acls) == decode_error::truncated);
    CHECK(acls.capacity() == 0);
    CHECK(error_of(from_hex("00000002") + std::string(24, '\0'), acls) == decode_error::none);
    CHECK(acls.size() == 2);
}

TEST_CASE("a failed read is sticky and keeps its first reason", "[wire][jute]")
{
    const std::string bytes = from_hex("00000007 fffffffd 00000001");
    wire::reader in{bytes};
    std::int32_t number = 0;
    std::string_view text;
    CHECK(wire::decode(in, number));
    CHECK_FALSE(wire::decode(in, text));
    CHECK(in.error() == decode_error::bad_length);
    CHECK(in.offset() == 8);
    CHECK(in.remaining() == 0);
    CHECK(in.rest().empty());

    CHECK_FALSE(wire::decode(in, number));
    CHECK(number == 7);
    in.fail(decode_error::bad_value);
    CHECK(in.error() == decode_error::bad_length);

    wire::remove::response nothing;
    wire::trailing<std::int32_t> trailing;
    wire::remainder rest;
    CHECK_FALSE(wire::decode(in, nothing));
    CHECK_FALSE(wire::decode(in, trailing));
    CHECK_FALSE(wire::decode(in, rest));
}

TEST_CASE("an empty payload without memory behind it is safe", "[wire][jute]")
{
    wire::reader in{std::string_view{}};
    wire::remove::response nothing;
    wire::remainder rest{"old"};
    CHECK(wire::decode(in, nothing));
    CHECK(wire::decode(in, rest));
    CHECK(rest.bytes.empty());
    CHECK(in.offset() == 0);
    bool flag = true;
    CHECK_FALSE(wire::decode(in, flag));
    CHECK(in.error() == decode_error::truncated);
}

TEST_CASE("the last field may be missing", "[wire][jute]")
{
    wire::trailing<std::int32_t> field{5};
    CHECK(error_of("", field) == decode_error::none);
    CHECK_FALSE(field.value.has_value());
    CHECK(encoded(field).empty());

    CHECK(error_of(from_hex("00000009"), field) == decode_error::none);
    CHECK(field.value == 9);
    CHECK(encoded(field) == from_hex("00000009"));

    CHECK(error_of(from_hex("000000"), field) == decode_error::truncated);
}

TEST_CASE("bytes behind a record are left to the caller", "[wire][jute]")
{
    const std::string bytes = from_hex("00000001 78 797a");
    wire::reader in{bytes};
    wire::create::response response;
    CHECK(wire::decode(in, response));
    CHECK(response.path == "x");
    CHECK(in.rest() == "yz");
    CHECK(in.offset() == 5);
}

TEST_CASE("a record of everything goes both ways", "[wire][jute]")
{
    mixed value{.owned = std::string("a\0b", 3),
                .numbers = {1, -1},
                .acls = {{31, "world", "anyone"}, {1, "auth", ""}},
                .maybe = wire::nullable<std::string>::null(),
                .last = {}};
    const std::string bytes = encoded(value);
    CHECK(bytes == from_hex("00000003 610062"
                            "00000002 0000000000000001 ffffffffffffffff"
                            "00000002 0000001f 00000005 776f726c64 00000006 616e796f6e65"
                            "         00000001 00000004 61757468 00000000"
                            "ffffffff"));
    CHECK(decoded<mixed>(bytes) == value);

    value.last.value = 7;
    const std::string longer = encoded(value);
    CHECK(longer == bytes + from_hex("00000007"));
    CHECK(decoded<mixed>(longer) == value);

    for (std::size_t size = 0; size < bytes.size(); ++size) {
        mixed cut;
        CHECK(error_of(std::string_view{bytes}.substr(0, size), cut) == decode_error::truncated);
    }
}

TEST_CASE("encoding appends, several values in one go", "[wire][jute]")
{
    std::string out = "kept";
    wire::encode(out, std::int32_t{1}, std::string_view{"x"}, true);
    CHECK(out == "kept" + from_hex("00000001 00000001 78 01"));
}

TEST_CASE("every decode error has a text", "[wire][jute]")
{
    for (int i = 0; i <= static_cast<int>(decode_error::bad_value); ++i) {
        CHECK(std::string_view{wire::describe(static_cast<decode_error>(i))} !=
              "unknown decode error");
    }
    CHECK(std::string_view{wire::describe(static_cast<decode_error>(99))} ==
          "unknown decode error");
}
