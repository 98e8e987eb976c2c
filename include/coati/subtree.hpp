// A znode and everything below it: walking it lazily, removing it. Compositions of many requests,
// of which a bounded number is under way at any time; nothing is atomic, and what others do
// meanwhile is met as it comes.
#pragma once

#include <coati/client.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati {

namespace detail {
class walk_state;
}

/// A znode that a walk has come to.
class walked {
public:
    walked() = default;

    std::string path;                ///< Relative to the handle's chroot.
    coati::stat stat;                ///< Of this znode, when it was listed.
    std::vector<std::string> names;  ///< Of its children, which the walk will come to.
};

/// A walk through a subtree, a few znodes ahead of its reader. Made by `walk`. Move-only; whoever
/// drops it ends it.
class tree_walk {
public:
    /// For `walk`.
    explicit tree_walk(std::shared_ptr<detail::walk_state> state) : state_(std::move(state)) {}
    /// The other one is not to be read any more.
    tree_walk(tree_walk&&) noexcept = default;
    /// Ends the walk that was here.
    tree_walk& operator=(tree_walk&&) noexcept = default;
    ~tree_walk();

    /// The next znode: every parent before its children. Empty: that was all. A znode that is gone
    /// when the walk comes to it is left out, and so is what is created behind its back.
    ///
    /// Completes with: no_auth and whatever else `children` fails with; the next call goes on
    /// behind the znode that could not be listed. already_waiting.
    operation<std::optional<walked>> next() const;

private:
    std::shared_ptr<detail::walk_state> state_;
};

/// Walks the subtree of `path`, the znode itself first, with at most `width` requests at a time and
/// at most that many znodes read ahead. Nothing is sent before the first `next`. A `path` that does
/// not exist makes an empty walk.
///
///     auto all = coati::walk(zk, "/app");
///     for (;;) {
///         BOOST_OUTCOME_CO_TRY(auto at, co_await all.next());
///         if (!at) { break; }
///         use(at->path, at->stat);
///     }
tree_walk walk(const client& zk, std::string path, std::size_t width = 16);

/// How `remove_recursively` goes about it.
class remove_options {
public:
    remove_options() = default;

    std::size_t batch = 128;    ///< Znodes in one multi.
    std::size_t in_flight = 4;  ///< Multis, or listings, on their way at a time.
    /// Keep the znode itself, remove only what is below it.
    bool keep_root = false;
    /// Is told after each round of batches how many znodes are gone so far. On the client's
    /// executor.
    std::function<void(std::size_t removed)> progress;
};

/// Removes a znode and everything below it, children first, and gives the number of znodes that it
/// removed. Children that appear meanwhile are removed as well, by another round; znodes that
/// others remove meanwhile are fine. A znode that does not exist is success: zero.
///
/// When the answer to a batch is lost, the subtree is listed again: what is gone was meant to go,
/// and counts as removed, the rest is sent again. On an old connection a batch can be under way for
/// a while longer than the operation: do not create the same paths anew right behind a loss.
///
/// Notable errors: invalid_argument for the server's root and for "/zookeeper" and below (not
/// sent); no_auth; not_empty when children appear faster than they can be removed. Every error has
/// fate maybe_applied when it comes while a batch is in doubt.
operation<std::size_t> remove_recursively(const client& zk, std::string path,
                                          remove_options how = {});

}  // namespace coati
