// Operations that are made of other operations: a coroutine on the engine's executor, which the
// caller sees as one operation<T>, with any token, a cancellation slot and `within`.
//
// Owned and joined: the operation is parked while its coroutine runs and completes when that has
// returned. Cancelling it, and its time limit, cancel what the coroutine awaits; a coroutine that
// goes on to await something else then ends by the exception which Asio makes of that.
#pragma once

#include "coroutines.hpp"
#include "engine.hpp"

#include <coati/client.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace coati::detail {

/// What an operation is made of: a function that begins its coroutine. It is kept until that has
/// ended and can be called again.
template <class T>
class composition {
public:
    using body = std::function<asio::awaitable<result<T>>(client)>;

    explicit composition(body how) : start(std::move(how)) {}
    body start;
};

template <class T>
asio::awaitable<result<T>> composed_root(std::shared_ptr<const composition<T>> what, client zk)
{
    co_await asio::this_coro::reset_cancellation_state(any_to_terminal{}, any_to_terminal{});
    try {
        // A turn of its own: no operation completes inside its initiation.
        co_await asio::post(zk.get_executor(), asio::deferred);
        auto body = what->start(zk);
        co_return co_await std::move(body);
    } catch (const boost::system::system_error& failed) {
        if (failed.code() != asio::error::operation_aborted) {
            throw;
        }
    }
    co_return error(errc::cancelled, fate::not_sent);  // between two steps
}

template <class T>
operation_id start_composed(pending_base& op)
{
    engine& core = engine_of(op);
    if (core.is_shut()) {
        op.discard();
        return 0;
    }
    if (op.refused != errc{0}) {
        core.refuse(op, error(op.refused, fate::not_sent));
        return 0;
    }
    const auto what = std::static_pointer_cast<const composition<T>>(op.target);
    const client zk(op.owner);
    auto self = std::static_pointer_cast<engine>(core.shared_from_this());
    auto task = std::make_shared<composed_task>();
    const operation_id id = core.park_composed(op, task);
    auto done = [self, task, id](std::exception_ptr failed, result<T> ended) {
        self->forget_composed(id);
        if (failed) {
            self->rethrow_later(failed);  // a callable of the user's; nobody else throws
            ended = error(errc::cancelled, fate::not_applied);
        }
        if (!ended && ended.error() == errc::cancelled && task->why) {
            ended = error(*task->why, ended.error().fate());
        }
        if (auto* const waiting = self->template take_parked<T>(id)) {
            waiting->deliver(std::move(ended));
        }
    };
    asio::co_spawn(core.executor(), composed_root<T>(what, zk),
                   asio::bind_cancellation_slot(
                       task->stop.slot(), asio::bind_executor(core.executor(), std::move(done))));
    return id;
}

/// `body`: a function object that is no coroutine itself and calls one, with its arguments by
/// value.
template <class T>
operation<T> compose(const client& zk, errc refused, typename composition<T>::body body)
{
    operation_state<T> state;
    state.owner = zk.scope();
    state.start = &start_composed<T>;
    state.refused = refused;
    state.target = std::make_shared<composition<T>>(std::move(body));
    return operation<T>(std::move(state));
}

/// The write may have happened, and the session lives: it can be found out.
inline bool is_in_doubt(const error& e) noexcept
{
    return e == errc::connection_loss && e.fate() == fate::maybe_applied;
}

/// A body that may be cancelled between two steps while a write of an earlier one is in doubt,
/// which it says by the flag: the cancellation has that fate then.
template <class T>
asio::awaitable<result<T>> telling_doubt(std::shared_ptr<const bool> in_doubt,
                                         asio::awaitable<result<T>> body)
{
    try {
        co_return co_await std::move(body);
    } catch (const boost::system::system_error& failed) {
        if (failed.code() != asio::error::operation_aborted || !*in_doubt) {
            throw;
        }
    }
    co_return error(errc::cancelled, fate::maybe_applied);
}

/// All of them at once, sent in their order; joined.
template <class T>
asio::awaitable<std::vector<result<T>>> together(std::vector<operation<T>> all)
{
    if (all.empty()) {
        co_return std::vector<result<T>>();
    }
    auto group = asio::experimental::make_parallel_group(std::move(all));
    auto done = co_await group.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    co_return std::get<1>(std::move(done));
}

}  // namespace coati::detail
