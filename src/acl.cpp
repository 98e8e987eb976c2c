// Entries of access control lists: the ids of each scheme, and which of them no server would take.

#include <coati/acl.hpp>
#include <coati/auth.hpp>

#include <boost/uuid/detail/sha1.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace coati {

namespace {

/// Boost's digest was five words once and is twenty bytes since 1.86.
std::array<std::uint8_t, 20> sha1_of(std::string_view text)
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

std::string base64_of(const std::array<std::uint8_t, 20>& bytes)
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

/// Decimal digits up to `largest`, nothing else.
bool is_number(std::string_view text, int largest)
{
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
        if (value > largest) {
            return false;
        }
    }
    return !text.empty();
}

bool is_ipv4(std::string_view text)
{
    for (int part = 0; part < 3; ++part) {
        const std::size_t dot = text.find('.');
        if (dot == std::string_view::npos || !is_number(text.substr(0, dot), 255)) {
            return false;
        }
        text.remove_prefix(dot + 1);
    }
    return is_number(text, 255);
}

/// Not more than what it is made of: the rest is the server's to judge.
bool is_ipv6(std::string_view text)
{
    return std::count(text.begin(), text.end(), ':') >= 2 &&
           text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

bool is_address(std::string_view id)
{
    const std::size_t slash = id.find('/');
    const std::string_view address = id.substr(0, slash);
    const bool v4 = is_ipv4(address);
    if (!v4 && !is_ipv6(address)) {
        return false;
    }
    return slash == std::string_view::npos || is_number(id.substr(slash + 1), v4 ? 32 : 128);
}

}  // namespace

acl acl::world(coati::perms what)
{
    return {what, "world", "anyone"};
}

acl acl::auth(coati::perms what)
{
    return {what, "auth", ""};
}

acl acl::digest(std::string_view user, std::string_view password, coati::perms what)
{
    const auth_info plain = auth_info::digest(user, password);  // which overwrites its memory
    std::string id(user);
    id.append(":").append(base64_of(sha1_of(plain.data.view())));
    return {what, "digest", std::move(id)};
}

acl acl::ip(std::string address, std::optional<int> bits, coati::perms what)
{
    if (bits) {
        address.append("/").append(std::to_string(*bits));
    }
    return {what, "ip", std::move(address)};
}

acl acl::x509(std::string subject, coati::perms what)
{
    return {what, "x509", std::move(subject)};
}

acl acl::sasl(std::string who, coati::perms what)
{
    return {what, "sasl", std::move(who)};
}

bool acl::is_well_formed() const noexcept
{
    if (scheme == "world") {
        return id == "anyone";
    }
    if (scheme == "digest") {
        return std::count(id.begin(), id.end(), ':') == 1 && !id.ends_with(':');
    }
    if (scheme == "ip") {
        return is_address(id);
    }
    return !scheme.empty();
}

bool acls::is_well_formed() const noexcept
{
    return !entries_.empty() && std::all_of(entries_.begin(), entries_.end(),
                                            [](const acl& each) { return each.is_well_formed(); });
}

}  // namespace coati
