// Access control lists: their form, and the verdict.
#include "access.hpp"

#include "../../digest.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <arpa/inet.h>

namespace coati::testing {

namespace {

/// Two parts around a colon, where empty ones at the end do not count.
bool is_digest_id(std::string_view id)
{
    while (!id.empty() && id.back() == ':') {
        id.remove_suffix(1);
    }
    return std::count(id.begin(), id.end(), ':') == 1;
}

struct address_range {
    std::string bytes;
    std::size_t bits = 0;
};

std::optional<address_range> range_of(std::string_view id)
{
    const std::size_t slash = id.find('/');
    const std::string address(id.substr(0, slash));
    address_range range;
    range.bytes.resize(16);
    if (inet_pton(AF_INET, address.c_str(), range.bytes.data()) == 1) {
        range.bytes.resize(4);
    } else if (inet_pton(AF_INET6, address.c_str(), range.bytes.data()) != 1) {
        return std::nullopt;
    }
    range.bits = range.bytes.size() * 8;
    if (slash != std::string_view::npos) {
        const auto text = id.substr(slash + 1);
        std::size_t bits = 0;
        const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), bits);
        if (fault != std::errc() || end != text.data() + text.size() || bits > range.bits) {
            return std::nullopt;
        }
        range.bits = bits;
    }
    return range;
}

bool is_within(std::string_view address, std::string_view id)
{
    const auto one = range_of(address);
    const auto all = range_of(id);
    if (!one || !all || one->bytes.size() != all->bytes.size()) {
        return false;
    }
    for (std::size_t bit = 0; bit < all->bits; ++bit) {
        const auto mask = 0x80 >> (bit % 8);
        if (((one->bytes[bit / 8] ^ all->bytes[bit / 8]) & mask) != 0) {
            return false;
        }
    }
    return true;
}

bool is_valid_id(std::string_view scheme, std::string_view id)
{
    if (scheme == "world") {
        return id == "anyone";
    }
    if (scheme == "digest") {
        return is_digest_id(id);
    }
    return scheme == "ip" && range_of(id).has_value();
}

bool matches(const acl_entry& entry, const identity& who)
{
    if (entry.scheme != who.scheme) {
        return false;
    }
    return entry.scheme == "ip" ? is_within(who.id, entry.id) : entry.id == who.id;
}

void add_once(std::vector<acl_entry>& to, acl_entry entry)
{
    if (std::find(to.begin(), to.end(), entry) == to.end()) {
        to.push_back(std::move(entry));
    }
}

}  // namespace

const acl_list& open_to_all()
{
    static const auto list = std::make_shared<const std::vector<acl_entry>>(
        std::vector<acl_entry>{{may_all, "world", "anyone"}});
    return list;
}

const acl_list& read_by_all()
{
    static const auto list = std::make_shared<const std::vector<acl_entry>>(
        std::vector<acl_entry>{{may_read, "world", "anyone"}});
    return list;
}

acl_list stored_form(const std::vector<wire::acl>& asked, const std::vector<identity>& who)
{
    std::vector<acl_entry> unique;
    for (const auto& each : asked) {
        add_once(unique, {each.perms, std::string(each.scheme), std::string(each.id)});
    }
    std::vector<acl_entry> stored;
    for (auto& each : unique) {
        if (each.scheme != "auth") {
            if (!is_valid_id(each.scheme, each.id)) {
                return nullptr;
            }
            stored.push_back(std::move(each));
            continue;
        }
        const auto before = stored.size();
        for (const auto& proved : who) {
            if (proved.scheme == "digest") {
                stored.push_back({each.perms, proved.scheme, proved.id});
            }
        }
        if (stored.size() == before) {
            return nullptr;  // nobody in particular asks
        }
    }
    if (stored.empty()) {
        return nullptr;
    }
    if (stored == *open_to_all()) {
        return open_to_all();
    }
    return std::make_shared<const std::vector<acl_entry>>(std::move(stored));
}

bool allows(const acl_list& acls, std::int32_t perms, const std::vector<identity>& who)
{
    if (acls == open_to_all() || !acls || acls->empty()) {
        return true;
    }
    const auto is_super = [](const identity& each) { return each.scheme == "super"; };
    if (std::any_of(who.begin(), who.end(), is_super)) {
        return true;
    }
    return std::any_of(acls->begin(), acls->end(), [&](const acl_entry& entry) {
        if ((entry.perms & perms) == 0) {
            return false;
        }
        return entry.scheme == "world" ||
               std::any_of(who.begin(), who.end(),
                           [&](const identity& each) { return matches(entry, each); });
    });
}

bool authenticate(std::vector<identity>& who, std::string_view scheme, std::string_view credentials,
                  std::string_view super_digest)
{
    if (scheme == "ip") {
        return true;  // known already
    }
    if (scheme != "digest") {
        return false;
    }
    const auto add = [&](identity proved) {
        if (std::find(who.begin(), who.end(), proved) == who.end()) {
            who.push_back(std::move(proved));
        }
    };
    std::string id = detail::digest_id(credentials);
    if (!super_digest.empty() && id == super_digest) {
        add({"super", ""});
    }
    add({"digest", std::move(id)});
    return true;
}

std::string_view user_name(const identity& who)
{
    const std::string_view id = who.id;
    return who.scheme == "digest" ? id.substr(0, id.find(':')) : id;
}

}  // namespace coati::testing
