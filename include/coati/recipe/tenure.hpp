// A tenure: the time for which somebody holds what a znode stands for, a lock or a leadership, and
// a body that is stopped before that time can be over.
//
// What lock.hpp and leadership.hpp have in common; to be used through them.
#pragma once

#include <coati/body.hpp>
#include <coati/client.hpp>
#include <coati/recipe/guarded.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace coati {

namespace detail {
class claim;
class tenure_state;
}  // namespace detail

/// What a body gets that runs while a lock or a leadership is held. A cheap handle; belongs on the
/// client's executor, as the body does. May outlive the tenure, and says then that it is over.
class tenure {
public:
    /// For the recipes.
    explicit tenure(std::shared_ptr<const detail::tenure_state> state) : state_(std::move(state)) {}

    /// The fencing token: the czxid of the znode. Grows from holder to holder, ensemble-wide and
    /// for ever, also when the directory was removed meanwhile. Whatever is guarded outside
    /// ZooKeeper has to remember the highest one that it has seen, and to refuse lower ones.
    std::int64_t fence() const noexcept;
    /// The znode, relative to the handle's chroot.
    const std::string& path() const noexcept;
    /// The handle that it is held through, pinned to its session.
    const client& zk() const noexcept;
    /// Writes that happen only while it is held.
    guarded_client guarded() const;

    /// Until when it is certain to be held, if nothing is heard from a server from now on: the
    /// session timeout after the last acknowledged request was sent, less the margin. Moves on with
    /// every answer; `time_point::min()` once it is over. By the client's clock, `zk().now()`.
    time_point good_until() const;
    /// `good_until` is still to come. Ask before a step that cannot be taken back.
    bool is_good() const { return good_until() > zk().now(); }

private:
    std::shared_ptr<const detail::tenure_state> state_;
};

namespace detail {

/// Completes when the znode is gone: lock_lost, or the ending of the session.
boost::asio::awaitable<result<void>> until_taken_away(std::shared_ptr<tenure_state> state);
/// Gives the znode up, for as long as that makes sense: where no server confirms it before the
/// tenure would be over anyway, an errand is left to do it.
boost::asio::awaitable<void> release_in_time(std::shared_ptr<claim> mine,
                                             std::shared_ptr<tenure_state> state);
/// Completes when the margin before the end of the session's lease begins.
operation<void> lease_of(const tenure_state& state);
const client& client_of(const tenure_state& state) noexcept;
/// Why the tenure is over, if it is. `looks`: asks a server.
boost::asio::awaitable<std::optional<error>> end_by_now(std::shared_ptr<tenure_state> state,
                                                        bool looks);
/// From here on the scope says that it is over.
void end_tenure(tenure_state& state) noexcept;

/// What Asio throws where something is awaited after a cancellation.
inline bool is_abort(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& e) {
        return e.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

/// How a body ended that ran in a tenure.
template <class T>
struct served {
    std::variant<result<T>, std::exception_ptr> end{result<T>(errc::cancelled)};
    std::optional<error> lost;  // why the tenure is over, beside by the body's end
    bool is_stopped = false;    // the body was told to end

    /// An exception, other than the one that being stopped ends by.
    bool has_thrown() const
    {
        const auto* const thrown = std::get_if<std::exception_ptr>(&end);
        return thrown != nullptr && !(is_stopped && is_abort(*thrown));
    }
    /// What the caller gets: a body that was cut short answers for that.
    result<T> answer() const
    {
        if (has_thrown()) {
            std::rethrow_exception(std::get<std::exception_ptr>(end));
        }
        const auto* const given = std::get_if<result<T>>(&end);
        const bool is_cut_short =
            given == nullptr || (!*given && given->error() == errc::cancelled);
        return is_stopped && is_cut_short ? result<T>(*lost) : *given;
    }
};

/// The root of a scope: cancelled between two steps, it ends by a value as anywhere else.
template <class T>
asio::awaitable<result<T>> scope_root(asio::awaitable<result<T>> inside)
{
    co_await asio::this_coro::reset_cancellation_state(any_to_terminal{}, any_to_terminal{});
    try {
        co_return co_await std::move(inside);
    } catch (const boost::system::system_error& failed) {
        if (failed.code() != asio::error::operation_aborted) {
            throw;
        }
    }
    co_return errc::cancelled;
}

template <class T, class Body>
asio::awaitable<std::variant<result<T>, std::exception_ptr>> body_in(tenure scope, Body body)
{
    std::variant<result<T>, std::exception_ptr> end;
    try {
        auto run = body(std::move(scope));
        end = co_await std::move(run);
    } catch (...) {
        end = std::current_exception();
    }
    co_return end;
}

/// Why a tenure is over before its body has ended; nothing: it is the caller who is cancelled.
inline std::optional<error> loss_of(const result<void>& told)
{
    if (!told && told.error() == errc::cancelled) {
        return std::nullopt;
    }
    return told ? error(errc::lock_lost) : told.error();
}

/// Runs the body until it ends, by itself or because it was stopped.
template <class T, class Body>
asio::awaitable<served<T>> serve(std::shared_ptr<tenure_state> state, Body body)
{
    using end_type = std::variant<result<T>, std::exception_ptr>;
    served<T> how;
    if (!tenure(state).is_good()) {
        // The process stood still between the last answer and here.
        end_tenure(*state);
        how.lost = error(errc::lock_lost);
        how.is_stopped = true;
        co_return how;
    }
    const auto ex = client_of(*state).get_executor();
    auto all = asio::experimental::make_parallel_group(
        spawn_root<end_type>(ex, body_in<T, Body>(tenure(state), std::move(body)),
                             result<T>(errc::cancelled)),
        spawn_root<result<void>>(ex, until_taken_away(state), result<void>(errc::cancelled)),
        lease_of(*state));
    auto done = co_await all.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    auto& [order, body_failed, end, watch_failed, taken, lease] = done;
    if (order[0] == 1) {
        if (watch_failed && !is_abort(watch_failed)) {
            std::rethrow_exception(watch_failed);
        }
        how.lost = watch_failed ? std::nullopt : loss_of(taken);
    } else if (order[0] == 2) {
        how.lost = loss_of(lease);
    }
    how.is_stopped = how.lost.has_value();
    if (body_failed) {
        how.end = body_failed;
    } else {
        how.end = std::move(end);
    }
    const auto state_of_caller = co_await asio::this_coro::cancellation_state;
    if (order[0] == 0 && state_of_caller.cancelled() == asio::cancellation_type::none) {
        // It may have seen the end before we did.
        const auto* const given = std::get_if<result<T>>(&how.end);
        const bool has_seen = given != nullptr && !*given && given->error() == errc::lock_lost;
        auto looking = end_by_now(state, has_seen);
        how.lost = co_await std::move(looking);
    }
    end_tenure(*state);
    co_return how;
}

}  // namespace detail

}  // namespace coati
