// The id by which scheme "digest" knows a user and a password: "user:" and the base64 of the SHA-1
// of "user:password".
//
// Private: acl.cpp makes such ids, the testing kit's server compares them.
#pragma once

#include <coati/auth.hpp>

#include <boost/uuid/detail/sha1.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace coati::detail {

/// Boost's digest was five words once and is twenty bytes since 1.86.
inline std::array<std::uint8_t, 20> sha1_of(std::string_view text)
{
    boost::uuids::detail::sha1 hash;
    hash.process_bytes(text.data(), text.size());
    boost::uuids::detail::sha1::digest_type digest;
    hash.get_digest(digest);
    static_assert(std::is_trivially_destructible_v<decltype(hash)>);
    wipe(reinterpret_cast<char*>(&hash), sizeof hash);  // the last bytes of the text are in it
    constexpr std::size_t width = sizeof(digest[0]);
    std::array<std::uint8_t, 20> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t shift = 8 * (width - 1 - i % width);
        bytes[i] = static_cast<std::uint8_t>(digest[i / width] >> shift);
    }
    return bytes;
}

inline std::string base64_of(const std::array<std::uint8_t, 20>& bytes)
{
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t three = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            three = (three << 8) | (i + j < bytes.size() ? bytes[i + j] : 0U);
        }
        for (std::size_t j = 0; j < 4; ++j) {
            const bool is_padding = i + j > bytes.size();
            text += is_padding ? '=' : alphabet[(three >> (18 - 6 * j)) & 63U];
        }
    }
    return text;
}

/// Of "user:password" as it stands in an auth packet; without a colon all of it is the user.
inline std::string digest_id(std::string_view credentials)
{
    std::string id(credentials.substr(0, credentials.find(':')));
    id.append(":").append(base64_of(sha1_of(credentials)));
    return id;
}

}  // namespace coati::detail
