// Access control lists: who may do what with one znode (not with its children).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

/// Both sets of permissions: `perms::read | perms::write`.
constexpr perms operator|(perms a, perms b) noexcept
{
    return static_cast<perms>(static_cast<std::int32_t>(a) | static_cast<std::int32_t>(b));
}

/// What both sets permit.
constexpr perms operator&(perms a, perms b) noexcept
{
    return static_cast<perms>(static_cast<std::int32_t>(a) & static_cast<std::int32_t>(b));
}

/// One entry: these permissions for this id of this scheme ("world", "auth", "digest", "ip", ...).
class acl {
public:
    /// An entry as it is; the functions below make those of the known schemes.
    acl(coati::perms what, std::string which_scheme, std::string who)
        : permissions(what), scheme(std::move(which_scheme)), id(std::move(who))
    {
    }

    /// Everybody.
    static acl world(coati::perms what = coati::perms::all);
    /// Whoever creates the znode: the server puts every identity of the connection in its place, of
    /// which there has to be one (else invalid_acl).
    static acl auth(coati::perms what = coati::perms::all);
    /// Who authenticates with scheme "digest" as this user: the id is `user:` and the base64 of the
    /// SHA-1 of `user:password`, as servers compare it by default. The password is not kept.
    static acl digest(std::string_view user, std::string_view password,
                      coati::perms what = coati::perms::all);
    /// Connections from one address, or from all that agree with it in the first `bits` bits.
    /// Servers before 3.9 know IPv4 only.
    static acl ip(std::string address, std::optional<int> bits = {},
                  coati::perms what = coati::perms::all);
    /// Who has a TLS certificate of this subject, in the order of RFC 2253: "CN=client1,O=example".
    static acl x509(std::string subject, coati::perms what = coati::perms::all);
    /// Who authenticated by SASL as this id.
    static acl sasl(std::string who, coati::perms what = coati::perms::all);

    /// False: no server would take it. An unknown scheme may be known to the server.
    bool is_well_formed() const noexcept;

    coati::perms permissions;  ///< What is permitted.
    std::string scheme;        ///< How `id` is to be read: "world", "auth", "digest" ...
    std::string id;            ///< Who, in the form of the scheme.

    friend bool operator==(const acl&, const acl&) = default;
};

/// A list of entries: `acls(acl(...), acl(...))`, or one of the predefined ones.
class acls {
public:
    /// A list of these entries, one at least.
    template <class... Entries>
        requires(sizeof...(Entries) > 0 && (std::is_same_v<std::decay_t<Entries>, acl> && ...))
    explicit acls(Entries&&... entries)
    {
        entries_.reserve(sizeof...(entries));
        (entries_.push_back(std::forward<Entries>(entries)), ...);
    }
    /// A list that is made at run time; an empty one is not well formed.
    explicit acls(std::vector<acl> entries) : entries_(std::move(entries)) {}

    /// Anybody may do anything (ZooDefs.Ids.OPEN_ACL_UNSAFE).
    static acls open_unsafe() { return acls(acl(perms::all, "world", "anyone")); }
    /// Anybody may read (ZooDefs.Ids.READ_ACL_UNSAFE).
    static acls read_unsafe() { return acls(acl(perms::read, "world", "anyone")); }
    /// Everything for the identities of the creating connection (ZooDefs.Ids.CREATOR_ALL_ACL).
    static acls creator_all() { return acls(acl(perms::all, "auth", "")); }

    /// The entries, in the order in which they were given.
    const std::vector<acl>& entries() const noexcept { return entries_; }

    /// False for a list that no server would take: an empty one, or with a malformed entry.
    /// Requests with such a list fail with invalid_acl and are not sent.
    bool is_well_formed() const noexcept;

    friend bool operator==(const acls&, const acls&) = default;

private:
    std::vector<acl> entries_;
};

}  // namespace coati
