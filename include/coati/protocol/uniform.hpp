// Uniform integers out of a source of random 64-bit words.
//
// Our own, since the distributions and shuffles of the standard libraries differ: one seed has to
// give the same run everywhere. Owns no generator; who calls brings the randomness.

#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace coati::protocol {

/// Something to call for 64 random bits.
template <class T>
concept random_source = requires(T& source) {
    {
        source()
    } -> std::convertible_to<std::uint64_t>;
};

/// One word mapped to 0..bound-1; 0 for no bound. The smallest values are likelier by bound / 2^64:
/// nothing for a delay, but a shuffle takes the exact form below.
constexpr std::uint64_t uniform(std::uint64_t word, std::uint64_t bound) noexcept
{
    return bound == 0 ? 0 : word % bound;
}

/// Exactly uniform in 0..bound-1: a word out of the incomplete last round is drawn again.
template <random_source Source>
constexpr std::uint64_t uniform(Source& source, std::uint64_t bound)
{
    if (bound < 2) {
        return 0;
    }
    // 2^64 mod bound: with that many words put aside the others fall evenly.
    const std::uint64_t aside = (0 - bound) % bound;
    std::uint64_t word = source();
    // Half of the words at most are put aside, so only a stuck source ever uses up the attempts.
    for (int attempt = 0; word < aside && attempt < 64; ++attempt) {
        word = source();
    }
    return word % bound;
}

/// Every order equally likely (Fisher-Yates).
template <class T, random_source Source>
constexpr void shuffle(std::span<T> items, Source& source)
{
    for (std::size_t left = items.size(); left > 1; --left) {
        const auto chosen = static_cast<std::size_t>(uniform(source, left));
        std::swap(items[left - 1], items[chosen]);
    }
}

}  // namespace coati::protocol
