// Locks: one holder at a time, in the order of coming, and a body that is stopped before somebody
// else can hold the lock.
#pragma once

#include <coati/recipe/tenure.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace coati {

namespace detail {
class held_claim;
}

/// How a lock is acquired.
class lock_options {
public:
    lock_options() = default;

    /// How long before the end of the session's lease a holder is told to stop, which is the time
    /// that it has to finish. By default a sixth of the negotiated session timeout; at most a half.
    std::optional<duration> margin;
    /// Waits that long for others at most, then gives up with timed_out; zero: does not wait. Time
    /// without a connection counts, but is waited out.
    std::optional<duration> patience;
    /// Data of the znode, for people who look: who holds the lock.
    coati::data bytes;
    /// Its ACL; by default the handle's.
    std::optional<acls> who;
};

/// What a body gets that runs under a lock.
using lock_scope = tenure;

/// A lock that is held, as `acquire` gives it. Move-only. Who drops it without `release` leaves the
/// release to an errand: the destructor does not block. On the client's executor only.
class held_lock {
public:
    /// For `acquire`.
    held_lock(std::shared_ptr<detail::claim> mine, std::shared_ptr<detail::tenure_state> state);
    /// The other one holds nothing then.
    held_lock(held_lock&&) noexcept = default;
    /// Leaves what was held here to an errand.
    held_lock& operator=(held_lock&&) noexcept = default;
    ~held_lock();

    /// What `with_lock` would give its body: fence, guarded writes, how long it is good.
    const lock_scope& scope() const noexcept { return scope_; }
    /// Never succeeds: completes once the lock is lost, or may be soon, with lock_lost or the
    /// ending of the session. Whoever uses `acquire` has to wait for it, and to stop then.
    operation<void> lost() const;
    /// Removes the znode, again until it is certain to be gone. Success as well where the lock had
    /// been lost. Completes with: cancelled, timed_out (an errand goes on), no_auth.
    operation<void> release();

    /// For the library itself.
    const std::shared_ptr<detail::held_claim>& claim() const noexcept { return claim_; }
    /// For the library itself.
    const std::shared_ptr<detail::tenure_state>& state() const noexcept { return state_; }

private:
    std::shared_ptr<detail::held_claim> claim_;
    std::shared_ptr<detail::tenure_state> state_;
    lock_scope scope_;
};

/// Waits for the lock at `path`, a directory of contenders, which is created if it is missing. They
/// are served in the order of coming; each watches the one before it. A znode that somebody removes
/// while it waits is made again, at the end of the line.
///
/// No znode is left behind, whatever happens to the replies: a GUID names the acquisition, and its
/// create is void once it is in doubt (`docs/howto/lock.md`). Cancelling the wait removes the
/// znode, also behind its back. A handle that is not pinned goes on waiting in the next session.
///
/// Notable errors: timed_out (`patience`), no_auth, invalid_argument (margin), invalid_path.
operation<held_lock> acquire(const client& zk, std::string path, lock_options how = {});

namespace detail {

boost::asio::awaitable<result<held_lock>> acquire_lock(client zk, std::string path,
                                                       lock_options how);

/// As `release_in_time`.
boost::asio::awaitable<void> release_held(std::shared_ptr<held_claim> held,
                                          std::shared_ptr<tenure_state> state);

template <class T, class Body>
asio::awaitable<result<T>> lock_root(client zk, std::string path, Body body, lock_options how)
{
    auto acquiring = acquire_lock(std::move(zk), std::move(path), std::move(how));
    result<held_lock> held = co_await std::move(acquiring);
    if (!held) {
        co_return held.error();
    }
    auto serving = serve<T, Body>(held->state(), std::move(body));
    const served<T> done = co_await std::move(serving);
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool is_cancelled = state.cancelled() != asio::cancellation_type::none;
    if (!done.lost && !is_cancelled) {
        auto releasing = release_held(held->claim(), held->state());
        co_await std::move(releasing);
    }
    co_return done.answer();
}

}  // namespace detail

/// Runs the body while the lock at `path` is held: as `acquire`, the body, the release.
///
/// `body` is `boost::asio::awaitable<coati::result<T>>(coati::lock_scope)`: a function, a named
/// object (copied), or a lambda without captures that need a destructor. It is cancelled when the
/// lock's znode is gone, when the session is over, or when it may be within the margin: that counts
/// from the time at which the last acknowledged request was sent, and goes on while the process or
/// the machine is suspended. A cancelled body has the margin to finish; what it awaits completes
/// with errc::cancelled, and awaiting anything more throws. with_lock completes only after the body
/// has, and then releases the lock, for as long as that can be waited for.
///
/// Gives the body's result, or its exception. A body that was stopped and has not succeeded all the
/// same: lock_lost, or the ending of the session. Cancelling it cancels the wait, or the body.
///
///     auto done = co_await coati::with_lock(zk, "/locks/report", write_report);
template <class Body>
auto with_lock(client zk, std::string path, Body&& body, lock_options how = {})
{
    static_assert(detail::is_safe_body<Body>,
                  "give this lambda a name first and pass the name: GCC 12.2 destroys a capturing "
                  "temporary inside a co_await expression twice");
    using body_type = std::remove_cvref_t<Body>;
    using value = detail::body_value<body_type, lock_scope>;
    const auto ex = zk.get_executor();
    auto inside = detail::lock_root<value, body_type>(std::move(zk), std::move(path),
                                                      std::forward<Body>(body), std::move(how));
    return detail::spawn_root(ex, detail::scope_root<value>(std::move(inside)),
                              result<value>(errc::cancelled));
}

}  // namespace coati
