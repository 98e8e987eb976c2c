// Codecs: what the bytes of a znode are to an application, whatever the bytes and the application.

#include <coati/recipe/codec.hpp>

#include <catch2/catch_test_macros.hpp>

#include <charconv>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace coati::test::codec_story {

namespace {

decoded<int> parse_number(std::string_view bytes)
{
    int value = 0;
    const auto [end, wrong] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
    if (wrong != std::errc{} || end != bytes.data() + bytes.size()) {
        return undecodable("\"" + std::string(bytes) + "\" is no number");
    }
    return value;
}

std::string print_number(const int& value)
{
    return std::to_string(value);
}

/// Throws whatever there is to throw.
struct throwing_codec {
    using value_type = std::unique_ptr<int>;  // that it cannot be copied does not matter

    decoded<value_type> decode(std::string_view bytes) const
    {
        if (bytes == "number") {
            throw 1;
        }
        if (!bytes.empty()) {
            throw std::runtime_error("no " + std::string(bytes));
        }
        return std::make_unique<int>(1);
    }
    std::string encode(const value_type& value) const { return std::to_string(*value); }
};

struct no_way_back {
    using value_type = int;
    decoded<int> decode(std::string_view bytes) const { return static_cast<int>(bytes.size()); }
};

static_assert(codec<text_codec>);
static_assert(codec<throwing_codec>);
static_assert(!codec<no_way_back>);
static_assert(!codec<std::string>);

TEST_CASE("text is its bytes, whatever they are", "[codec]")
{
    const std::string bytes("\0a\n\xff", 4);
    const text_codec by;
    const auto text = detail::decode_by(by, bytes);
    REQUIRE(text);
    CHECK(*text == bytes);
    CHECK(by.encode(*text) == bytes);
    CHECK(detail::decode_by(by, "")->empty());
}

TEST_CASE("two functions are a codec, and what is no value says why", "[codec]")
{
    const function_codec by(&parse_number, &print_number);
    static_assert(codec<std::remove_const_t<decltype(by)>>);
    const auto good = detail::decode_by(by, "-17");
    REQUIRE(good);
    CHECK(*good == -17);
    CHECK(by.encode(*good) == "-17");
    for (const char* const text : {"", "1x", "x", " 1"}) {
        const auto bad = detail::decode_by(by, text);
        REQUIRE_FALSE(bad);
        CHECK(bad.why() == "\"" + std::string(text) + "\" is no number");
    }
}

TEST_CASE("an exception of a codec is an answer", "[codec]")
{
    const throwing_codec by;
    CHECK(**detail::decode_by(by, "") == 1);
    const auto bad = detail::decode_by(by, "bread");
    REQUIRE_FALSE(bad);
    CHECK(bad.why() == "no bread");
    CHECK_FALSE(detail::decode_by(by, "number"));
}

}  // namespace

}  // namespace coati::test::codec_story
