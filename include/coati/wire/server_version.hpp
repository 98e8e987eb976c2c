// The version of a server, and the operations that came with it.
//
// A server hangs up on an operation that it does not know, so a client wants to know it first.
#pragma once

#include <coati/wire/op_code.hpp>

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace coati::wire {

/// "3.8.0": compared number by number.
class server_version {
public:
    /// Numbers below 1000 each.
    constexpr server_version(std::int32_t first, std::int32_t second, std::int32_t third) noexcept
        : number_((first * 1'000 + second) * 1'000 + third)
    {
    }
    friend constexpr auto operator<=>(const server_version&, const server_version&) = default;

private:
    std::int32_t number_;
};

/// From "3.8.0-5a02a05, built on ...". What follows the numbers does not matter, also not the
/// "-beta" of one: it has the operations of its release. Nothing where there are no three numbers.
inline std::optional<server_version> parse_server_version(std::string_view text) noexcept
{
    std::int32_t numbers[3] = {};
    const char* at = text.data();
    const char* const end = at + text.size();
    for (int i = 0; i < 3; ++i) {
        if (i != 0 && (at == end || *at++ != '.')) {
            return std::nullopt;
        }
        const auto [next, wrong] = std::from_chars(at, end, numbers[i]);
        if (wrong != std::errc{} || numbers[i] < 0 || numbers[i] >= 1'000) {
            return std::nullopt;
        }
        at = next;
    }
    return server_version(numbers[0], numbers[1], numbers[2]);
}

/// From the answer to the four-letter word `srvr`. Nothing where another server answers, or one
/// that may not say it (4lw.commands.whitelist).
inline std::optional<server_version> version_in_srvr(std::string_view answer) noexcept
{
    constexpr std::string_view before = "Zookeeper version: ";
    if (!answer.starts_with(before)) {
        return std::nullopt;
    }
    return parse_server_version(answer.substr(before.size()));
}

/// The first release that knows the operation; what is older than the others are since 3.4.
constexpr server_version since(op_code op) noexcept
{
    switch (op) {
    case op_code::create2:
    case op_code::reconfig:
    case op_code::check_watches:
    case op_code::remove_watches: return {3, 5, 0};
    case op_code::create_container: return {3, 5, 1};
    case op_code::create_ttl: return {3, 5, 3};
    case op_code::multi_read:
    case op_code::get_ephemerals:
    case op_code::get_all_children_number:
    case op_code::set_watches2:
    case op_code::add_watch: return {3, 6, 0};
    case op_code::who_am_i: return {3, 7, 0};
    default: return {3, 4, 0};
    }
}

/// The release that knows them all.
inline constexpr server_version since_all = since(op_code::who_am_i);

}  // namespace coati::wire
