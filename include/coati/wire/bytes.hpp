// Owns the one primitive under everything on this floor: a big-endian integer in raw memory.
// No bounds are known here; whoever calls has checked them. Records are wire/jute.hpp, frames are
// wire/frame.hpp.

#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace coati::wire {

// Spelled with shifts since std::byteswap is C++23; every compiler we know makes one instruction
// of it.
constexpr std::uint32_t swap_bytes(std::uint32_t v) noexcept
{
    return (v << 24) | ((v & 0xff00U) << 8) | ((v >> 8) & 0xff00U) | (v >> 24);
}

constexpr std::uint64_t swap_bytes(std::uint64_t v) noexcept
{
    return (std::uint64_t{swap_bytes(static_cast<std::uint32_t>(v))} << 32) |
           swap_bytes(static_cast<std::uint32_t>(v >> 32));
}

template <class Int>
inline Int load_big_endian(const char* from) noexcept
{
    std::make_unsigned_t<Int> raw;
    std::memcpy(&raw, from, sizeof raw);
    if constexpr (std::endian::native == std::endian::little) {
        raw = swap_bytes(raw);
    }
    return static_cast<Int>(raw);
}

template <class Int>
inline void store_big_endian(char* to, Int value) noexcept
{
    auto raw = static_cast<std::make_unsigned_t<Int>>(value);
    if constexpr (std::endian::native == std::endian::little) {
        raw = swap_bytes(raw);
    }
    std::memcpy(to, &raw, sizeof raw);
}

}  // namespace coati::wire
