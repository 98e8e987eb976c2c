// coati::names: unique numbers and names, each given to exactly one caller.
#pragma once

#include <coati/acl.hpp>
#include <coati/client.hpp>
#include <coati/data.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace coati {

namespace detail {
class names_core;
}

/// What becomes of the znodes behind the names.
class names_options {
public:
    names_options() = default;

    /// The znode goes with the session that asked for the name; the number is not given again all
    /// the same. By default it stays until somebody removes it.
    bool ephemeral = false;
    /// Data of the znodes.
    coati::data bytes;
    /// Their ACL; by default the handle's.
    std::optional<acls> who;
};

/// A name that belongs to its receiver.
class unique_name {
public:
    unique_name() = default;
    /// For the library itself.
    unique_name(std::int32_t given, std::string where, std::int64_t born)
        : number(given), path(std::move(where)), czxid(born)
    {
    }

    /// From 0 to 2147483647, and never the same of one directory again, while that lives. Larger
    /// than all that were given before it was asked for; not without gaps.
    std::int32_t number = 0;
    /// Of the znode, relative to the handle's chroot: "<directory>/_c_<guid>-<prefix><digits>".
    std::string path;
    /// Of the znode: larger than those of all names before, of any directory of the ensemble.
    std::int64_t czxid = 0;
};

/// Gives unique names: sequential znodes under a directory, which the servers number. Each znode is
/// found again after a lost reply by the GUID in its name, and a request that may still be on its
/// way is made void before another is sent, by a change of the directory's version: so a name is
/// given once, to one caller, and none is left that nobody was given.
///
/// A cheap handle; copies are the same. Any number of `next` may be under way at once.
class names {
public:
    /// Nothing is sent before the first `next`. The directory is created when it is missing, with
    /// its parents; it must be writable for its data (which stay as they are). `prefix` is what
    /// the server puts its number behind, and may be empty.
    names(const client& zk, std::string directory, std::string prefix, names_options how = {});

    /// The next name. Lost connections are ridden out, and so is the end of a session by a handle
    /// that is not pinned to one. Cancelled or out of time, it leaves an errand behind, which
    /// removes what was created meanwhile.
    ///
    /// Completes with: no_auth, invalid_path, invalid_acl and others of `create`; invalid_argument:
    /// the directory has given out all its 2147483648 numbers; the ending of the session (fate
    /// maybe_applied: then a znode may stay that nobody was given), cancelled, timed_out.
    operation<unique_name> next() const;

    /// The directory, relative to the handle's chroot.
    const std::string& directory() const noexcept;

private:
    client zk_;
    std::shared_ptr<detail::names_core> core_;
};

}  // namespace coati
