// Access control lists: who may do what with one znode (not with its children).
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace coati {

/// Permission bits (org.apache.zookeeper.ZooDefs.Perms). create and remove are about children.
enum class perms : std::int32_t {
    none = 0,
    read = 1,
    write = 2,
    create = 4,
    remove = 8,
    admin = 16,
    all = 31
};

constexpr perms operator|(perms a, perms b) noexcept
{
    return static_cast<perms>(static_cast<std::int32_t>(a) | static_cast<std::int32_t>(b));
}

/// One entry: these permissions for this id of this scheme ("world", "auth", "digest", "ip", ...).
class acl {
public:
    acl(coati::perms what, std::string which_scheme, std::string who)
        : permissions(what), scheme(std::move(which_scheme)), id(std::move(who))
    {
    }

    coati::perms permissions;
    std::string scheme;
    std::string id;

    friend bool operator==(const acl&, const acl&) = default;
};

/// A list of entries: `acls(acl(...), acl(...))`, or one of the predefined ones.
class acls {
public:
    template <class... Entries>
        requires(sizeof...(Entries) > 0 && (std::is_same_v<std::decay_t<Entries>, acl> && ...))
    explicit acls(Entries&&... entries)
    {
        entries_.reserve(sizeof...(entries));
        (entries_.push_back(std::forward<Entries>(entries)), ...);
    }
    explicit acls(std::vector<acl> entries) : entries_(std::move(entries)) {}

    /// Anybody may do anything (ZooDefs.Ids.OPEN_ACL_UNSAFE).
    static acls open_unsafe() { return acls(acl(perms::all, "world", "anyone")); }
    /// Anybody may read (ZooDefs.Ids.READ_ACL_UNSAFE).
    static acls read_unsafe() { return acls(acl(perms::read, "world", "anyone")); }
    /// Everything for the identities of the creating connection (ZooDefs.Ids.CREATOR_ALL_ACL).
    static acls creator_all() { return acls(acl(perms::all, "auth", "")); }

    const std::vector<acl>& entries() const noexcept { return entries_; }

    friend bool operator==(const acls&, const acls&) = default;

private:
    std::vector<acl> entries_;
};

}  // namespace coati
