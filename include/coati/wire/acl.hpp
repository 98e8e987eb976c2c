// Owns the record of one ACL entry as it stands on the wire. What the permission bits and schemes
// mean, and the predefined lists, belong to the client API.

#pragma once

#include <coati/wire/fields.hpp>

#include <cstdint>
#include <string_view>

namespace coati::wire {

struct acl {
    std::int32_t perms = 0;
    std::string_view scheme{};
    std::string_view id{};

    friend bool operator==(const acl&, const acl&) = default;
    using wire_fields = fields<&acl::perms, &acl::scheme, &acl::id>;
};

}  // namespace coati::wire
