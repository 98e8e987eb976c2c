// What a client handle is: an engine, a chroot, options, and perhaps the one session it is pinned
// to. Shared and never changed, so that with() and chroot() cost nothing per operation.
#pragma once

#include <coati/acl.hpp>
#include <coati/detail/engine_base.hpp>
#include <coati/error.hpp>
#include <coati/session.hpp>

#include <memory>
#include <optional>
#include <string>

namespace coati::detail {

/// One session from the first attempt to its end. Handles pinned to it complete with its ending for
/// ever, whatever their client does next.
struct session_life {
    session_info info;
    session_credentials credentials;  // as last granted; the reconnect coroutine owns the real ones
    bool begun = false;
    std::optional<error> ended;
};

struct scope {
    std::shared_ptr<engine> core;
    std::shared_ptr<const void>
        handle;               // all scopes of one client share it: the last one ends streams
    std::string chroot;       // "" for none
    bool is_invalid = false;  // the chroot is not a path: every operation says so
    duration timeout = duration::zero();  // zero: none
    bool fail_fast = false;
    std::shared_ptr<const acls> default_acls;  // never null in the scope of a handle
    std::shared_ptr<session_life> pinned;      // null: follows the newest session
};

using scope_ptr = std::shared_ptr<const scope>;

/// The engine as the templates may see it. Not inline: here `engine` is incomplete.
engine_base& base_ref(const scope& s) noexcept;

}  // namespace coati::detail
