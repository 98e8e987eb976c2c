// How a znode lives: org.apache.zookeeper.CreateMode, whose numbers go over the wire; and the
// number in the name of a sequential one.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace coati {

/// How a znode lives, and whether the server numbers it.
enum class create_mode : std::int32_t {
    persistent = 0,             ///< Until somebody removes it.
    ephemeral = 1,              ///< Deleted by the server when the session ends.
    persistent_sequential = 2,  ///< The server appends a counter of the parent: ten digits.
    ephemeral_sequential = 3,   ///< Both of them.
    container = 4,              ///< Deleted by the server some time after its last child is.
};

/// Whether the server appends a number to the name.
constexpr bool is_sequential(create_mode mode) noexcept
{
    return mode == create_mode::persistent_sequential || mode == create_mode::ephemeral_sequential;
}

/// The number that the server appended to `prefix`: 7 of "lock-0000000007" after "lock-". The
/// counter is the parent's, and signed: behind 2147483647 comes -2147483648, with eleven
/// characters, and sorts as text no more. Empty: the name is not the prefix with such a number.
inline std::optional<std::int32_t> sequence_of(std::string_view name,
                                               std::string_view prefix) noexcept
{
    constexpr std::size_t width = 10;
    if (!name.starts_with(prefix) || name.size() < prefix.size() + width) {
        return std::nullopt;
    }
    name.remove_prefix(prefix.size());
    std::int32_t number = 0;
    const char* const end = name.data() + name.size();
    const auto read = std::from_chars(name.data(), end, number);
    const bool fits = name.size() == width || number <= -1'000'000'000;
    return read.ec == std::errc{} && read.ptr == end && fits ? std::optional(number) : std::nullopt;
}

}  // namespace coati
