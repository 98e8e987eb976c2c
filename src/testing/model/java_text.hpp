// What becomes of a string in a server, which is Java: it is read as UTF-8 and written from UTF-16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coati::testing {

/// Each byte that is not UTF-8 has become U+FFFD, each character beyond U+FFFF its two surrogates.
/// Most texts come back as they are.
inline std::string as_java_has_it(std::string_view text)
{
    std::string out;
    const auto is_more = [&](std::size_t at) {
        return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
    };
    const auto put = [&](std::uint32_t unit) {
        out += static_cast<char>(0xE0U | (unit >> 12U));
        out += static_cast<char>(0x80U | ((unit >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (unit & 0x3FU));
    };
    for (std::size_t at = 0; at < text.size();) {
        const auto first = static_cast<unsigned char>(text[at]);
        const std::size_t size = first < 0x80   ? 1
                                 : first < 0xC2 ? 0
                                 : first < 0xE0 ? 2
                                 : first < 0xF0 ? 3
                                 : first < 0xF5 ? 4
                                                : 0;
        bool complete = size != 0;
        for (std::size_t more = 1; more < size; ++more) {
            complete = complete && is_more(at + more);
        }
        if (!complete) {
            put(0xFFFD);
            ++at;
            continue;
        }
        if (size == 4) {
            std::uint32_t c = first & 0x07U;
            for (std::size_t more = 1; more < size; ++more) {
                c = (c << 6U) | (static_cast<unsigned char>(text[at + more]) & 0x3FU);
            }
            put(0xD800U + ((c - 0x10000U) >> 10U));
            put(0xDC00U + ((c - 0x10000U) & 0x3FFU));
        } else {
            out += text.substr(at, size);
        }
        at += size;
    }
    return out;
}

}  // namespace coati::testing
