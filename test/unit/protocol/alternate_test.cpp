// Two kinds in turn: IPv6 and IPv4, beginning with the resolver's first.

#include <coati/protocol/alternate.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cctype>
#include <string>
#include <vector>

using coati::protocol::alternate;

namespace {

std::string in_turn(const std::string& all)
{
    const auto is_upper = [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; };
    const auto turns = alternate(std::vector<char>(all.begin(), all.end()), is_upper);
    return {turns.begin(), turns.end()};
}

}  // namespace

TEST_CASE("two kinds take turns, each in its order, the rest comes last", "[hosts]")
{
    CHECK(in_turn("ABCabc") == "AaBbCc");
    CHECK(in_turn("abcABC") == "AaBbCc");
    CHECK(in_turn("aAbBcC") == "AaBbCc");
    CHECK(in_turn("Aabcd") == "Aabcd");
    CHECK(in_turn("ABCDa") == "AaBCD");
    CHECK(in_turn("abc") == "abc");
    CHECK(in_turn("ABC") == "ABC");
    CHECK(in_turn("").empty());
}
