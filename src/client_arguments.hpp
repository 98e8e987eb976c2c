// Arguments of writes on their way to the wire: data, versions, ACLs, how a znode is created. Each
// is used by a method and by the operation of the same name in a multi.
#pragma once

#include "client_requests.hpp"

#include <coati/acl.hpp>
#include <coati/create_mode.hpp>
#include <coati/data.hpp>

#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

namespace coati::detail {

inline wire::nullable<std::string_view> on_the_wire(const data& bytes)
{
    wire::nullable<std::string_view> sent;
    sent.value = bytes.bytes();
    sent.is_null = bytes.is_null();
    return sent;
}

/// A negative version other than "any" matches nothing; the server answers bad_version.
inline std::int32_t version_of(std::optional<std::int32_t> expected)
{
    return expected.value_or(wire::any_version);
}

inline std::vector<wire::acl> on_the_wire(const acls& who)
{
    std::vector<wire::acl> entries;
    entries.reserve(who.entries().size());
    for (const acl& each : who.entries()) {
        wire::acl entry;
        entry.perms = static_cast<std::int32_t>(each.permissions);
        entry.scheme = each.scheme;
        entry.id = each.id;
        entries.push_back(entry);
    }
    return entries;
}

/// A create of any kind: its path, its ACL, and what is wrong with them.
class create_arguments {
public:
    create_arguments(const scope& s, const std::string& path, create_mode mode,
                     const std::optional<acls>& who)
        : path_(s, path, is_sequential(mode)), who_(who ? *who : *s.default_acls), mode_(mode)
    {
    }

    errc wrong() const noexcept
    {
        if (path_.wrong() != errc{0}) {
            return path_.wrong();
        }
        return who_.is_well_formed() ? errc{0} : errc::invalid_acl;
    }

    wire::create::request request(const data& bytes) const
    {
        wire::create::request what;
        what.path = path_.view();
        what.data = on_the_wire(bytes);
        what.acls = on_the_wire(who_);
        what.flags = static_cast<std::int32_t>(mode_);
        return what;
    }

    wire::create_ttl::request request(const data& bytes, std::chrono::milliseconds ttl) const
    {
        const auto plain = request(bytes);
        wire::create_ttl::request what;
        what.path = plain.path;
        what.data = plain.data;
        what.acls = plain.acls;
        what.flags = is_sequential(mode_) ? sequential_with_ttl : persistent_with_ttl;
        what.ttl_ms = ttl.count();
        return what;
    }

private:
    static constexpr std::int32_t persistent_with_ttl = 5;
    static constexpr std::int32_t sequential_with_ttl = 6;

    server_path path_;
    const acls& who_;
    create_mode mode_;
};

/// What no server takes: it checks the ttl, but with a negative one not the mode.
inline errc check_ttl(std::chrono::milliseconds ttl, create_mode mode) noexcept
{
    constexpr std::chrono::milliseconds longest{(std::int64_t{1} << 40) - 1};
    const bool has_ttl =
        mode == create_mode::persistent || mode == create_mode::persistent_sequential;
    const bool in_range = ttl >= std::chrono::milliseconds(1) && ttl <= longest;
    return has_ttl && in_range ? errc{0} : errc::invalid_argument;
}

}  // namespace coati::detail
