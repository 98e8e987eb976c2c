// What differs between servers as the model knows it: their version and a few settings.
#pragma once

#include <coati/wire/server_version.hpp>

#include <optional>
#include <string>

namespace coati::testing {

struct rules {
    wire::server_version version{3, 9, 3};
    bool extended_types = true;
    bool is_standalone = false;
    std::string super_digest{};
    /// Events of znodes that a session may not read are kept from it: 3.8.4 and 3.9.2 began it.
    std::optional<bool> hides_events{};

    bool is_39() const { return version >= wire::server_version(3, 9, 0); }
    bool does_hide_events() const
    {
        const wire::server_version since_38(3, 8, 4);
        const wire::server_version since_39(3, 9, 2);
        return hides_events.value_or(version >= since_39 || (version >= since_38 && !is_39()));
    }
};

}  // namespace coati::testing
