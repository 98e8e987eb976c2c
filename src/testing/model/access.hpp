// Who may do what: the schemes world, auth, digest, ip and super, as servers judge them.
//
// Owns access control lists and identities. Knows no tree and no connection. The model of a server
// (this folder) is a function of what it is told: no Asio, no clock, no bytes of a network.
#pragma once

#include <coati/wire/acl.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

enum permission : std::int32_t {
    may_read = 1,
    may_write = 2,
    may_create = 4,
    may_delete = 8,
    may_admin = 16,
    may_all = 31
};

/// What a connection has proved to be.
struct identity {
    std::string scheme;
    std::string id;

    friend bool operator==(const identity&, const identity&) = default;
};

struct acl_entry {
    std::int32_t perms = 0;
    std::string scheme;
    std::string id;

    friend bool operator==(const acl_entry&, const acl_entry&) = default;
};

/// Shared: lists are many, and few of them differ.
using acl_list = std::shared_ptr<const std::vector<acl_entry>>;

/// Everybody may do everything, and everybody may read.
const acl_list& open_to_all();
const acl_list& read_by_all();

/// The list as it is stored: without doubles, `auth` replaced by who asks. Null where servers say
/// InvalidACL.
acl_list stored_form(const std::vector<wire::acl>& asked, const std::vector<identity>& who);

/// Whether one of these may do one of these things.
bool allows(const acl_list& acls, std::int32_t perms, const std::vector<identity>& who);

/// Adds what an auth packet proves. False where its scheme is refused.
bool authenticate(std::vector<identity>& who, std::string_view scheme, std::string_view credentials,
                  std::string_view super_digest);

/// Of whoAmI: a digest without its hash.
std::string_view user_name(const identity& who);

}  // namespace coati::testing
