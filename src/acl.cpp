// Entries of access control lists: the ids of each scheme, and which of them no server would take.

#include "digest.hpp"

#include <coati/acl.hpp>
#include <coati/auth.hpp>

#include <algorithm>
#include <cstddef>

namespace coati {

namespace {

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
    id.append(":").append(detail::base64_of(detail::sha1_of(plain.data.view())));
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
