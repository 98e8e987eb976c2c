// Guarded writes: each is one transaction with the proof that a znode is still there, the one that
// a lock or a leadership is held by.
#pragma once

#include <coati/client.hpp>
#include <coati/op.hpp>

#include <optional>
#include <string>
#include <vector>

namespace coati {

/// Writes that happen only while a certain znode exists, as scopes of locks and leaderships give
/// it: what somebody writes who has lost the lock and does not know it yet is refused. It guards
/// what is in ZooKeeper. Whatever is outside must compare fences itself.
///
/// Refused because the znode is gone: lock_lost with fate not_applied. All else as the operations
/// of `coati::client` of the same names. A cheap handle; may outlive the scope that it is from.
class guarded_client {
public:
    /// Through that handle, while there is a znode `proof` (relative to the handle's chroot).
    guarded_client(client through, std::string proof);

    /// As `client::create`.
    operation<created> create(std::string path, coati::data bytes = {},
                              create_mode mode = create_mode::persistent,
                              std::optional<acls> who = {}) const;
    /// As `client::set`.
    operation<stat> set(std::string path, coati::data bytes,
                        std::optional<std::int32_t> expected_version = {}) const;
    /// As `client::remove`.
    operation<void> remove(std::string path,
                           std::optional<std::int32_t> expected_version = {}) const;

    /// As `client::multi`, for a list that is made at run time. `op_index` counts in this list.
    operation<multi_results> multi(std::vector<any_op> ops) const;

    /// The check that makes a multi of your own a guarded one: put it first. A failure with
    /// `op_index` 0 and no_node means lock_lost then.
    op::check proof() const { return op::check(proof_); }

private:
    client zk_;
    std::string proof_;
};

}  // namespace coati
