// What applications do with a few requests each: operations that are made of other operations.
//
// Each is an ordinary operation<T>: co_await, futures and callbacks take it, a cancellation slot
// and `within` end it, after the request that it is at. It is one thing to its caller and many to
// the servers: nothing is atomic but what says so. A failure is that of the step that failed and
// has that step's fate; what earlier steps did stays. A write whose answer was lost is sent again
// only where it cannot happen twice, as each says. The time limit of a handle,
// `with({.timeout})`, is for the whole.
//
// A callable of the user's runs on the client's executor. What it throws leaves through that, as
// from a plain callback, and the operation completes with errc::cancelled.
#pragma once

#include <coati/body.hpp>
#include <coati/client.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace coati {

/// Creates a znode and the parents that are missing: `mkdir -p`. The parents are empty, of mode
/// `parents` (persistent or container) and have the handle's default ACL. Notable errors: those of
/// `create`, node_exists for the znode itself (not for a parent), invalid_argument (`parents` is
/// another mode; not sent).
///
/// "/" of a handle with a chroot is the chroot itself, which may be missing as well: that is how it
/// is made on request.
operation<created> create_with_parents(const client& zk, std::string path, coati::data bytes = {},
                                       create_mode mode = create_mode::persistent,
                                       std::optional<acls> who = {},
                                       create_mode parents = create_mode::persistent);

/// Sets the data, whatever the version, or creates the znode with them; gives the stat. Notable
/// errors: no_node (the parent), no_auth, invalid_argument (a sequential mode; not sent).
operation<stat> create_or_set(const client& zk, std::string path, coati::data bytes,
                              create_mode mode = create_mode::persistent,
                              std::optional<acls> who = {});

/// Completes with the stat once the znode exists, at once if it does. By a watch: nothing is
/// polled, and no creation is missed, unless the znode is gone again before it can be seen.
operation<stat> wait_until_exists(const client& zk, std::string path);

/// Completes once the znode does not exist, at once if there is none.
operation<void> wait_until_gone(const client& zk, std::string path);

/// How `update` goes about it.
struct update_options {
    /// A promise: nobody else ever writes the very bytes that this update writes to that znode, as
    /// when they carry a random name or there is one writer only. Then they prove, after a lost
    /// answer, that they were written. A counter keeps no such promise: two writers may both write
    /// "6".
    bool unique = false;
};

namespace detail {

using update_function = std::function<std::optional<data>(const std::string&)>;
operation<stat> update_by(const client& zk, std::string path, update_function change,
                          update_options how);

}  // namespace detail

/// Compare and set, again until nobody came between: `change(const std::string& data)` gives the
/// new data, or an empty optional to leave them. Gives the stat, of the new data or of those that
/// were left. `change` may be called several times, always with what is there.
///
/// When the answer to the write is lost, the znode is read again. Unchanged: the same bytes are
/// sent once more, for the same version, so that they are written once at most. Changed once, into
/// other bytes: by somebody else, so `change` is called with those. Changed once, into ours:
/// success if they are `unique`. All else cannot be told: connection_loss with maybe_applied.
///
/// Notable errors: no_node, no_auth. A znode that is deleted and created again between read and
/// write, and has the same version by then, is taken for the same.
template <class F>
operation<stat> update(const client& zk, std::string path, F&& change, update_options how = {})
{
    static_assert(detail::is_safe_body<F>,
                  "give this lambda a name first and pass the name: GCC 12.2 destroys a capturing "
                  "temporary inside a co_await expression twice");
    return detail::update_by(zk, std::move(path), detail::update_function(std::forward<F>(change)),
                             how);
}

// --- a znode that is found again ---------------------------------------------------------------

/// A new name for one creation: 36 characters, as a random UUID is written. From the client's own
/// randomness, hence on its executor only.
std::string make_guid(const client& zk);

/// Creates `/dir/_c_<guid>-name` where `/dir/name` was asked for, as Curator names it: a znode that
/// can be told from all others, so that a lost answer can be found out about.
///
/// When the answer to the create is lost, and may have been a success: a name that is not
/// sequential is created again, since "exists" is then the proof; of a sequential one the children
/// are listed behind a committed write, and the one with the guid is it. Found is certain. Not
/// found is not: the first create may still be on its way, so the operation completes with
/// connection_loss and maybe_applied, and later listings can look for the guid (`is_protected_by`):
/// an own one is worth giving then.
///
/// Notable errors: those of `create`; no_node with fate applied, when it was created and is gone
/// again. `zxid` of the result is that of the creation.
operation<created> create_protected(const client& zk, std::string path, coati::data bytes = {},
                                    create_mode mode = create_mode::persistent,
                                    std::optional<acls> who = {}, std::string guid = {});

/// Whether the znode of this name (or path) was created with this guid.
bool is_protected_by(std::string_view name, std::string_view guid) noexcept;

/// The name that was asked for: "lock-0000000001" of "_c_<guid>-lock-0000000001". A name that is
/// not protected is given back as it is.
std::string_view unprotected(std::string_view name) noexcept;

}  // namespace coati
