// Operations of your own, made of the client's: what a recipe needs to be awaited, stored,
// cancelled and limited in time as every other operation is. And work that outlives its caller.
//
// Owned and joined: the operation is parked with the client while its coroutine runs, on the
// client's executor, and completes when that has returned.
#pragma once

#include <coati/client.hpp>
#include <coati/detail/cancellation.hpp>
#include <coati/detail/composed.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace coati {

namespace detail {

/// What an operation is made of: a function that begins its coroutine. It is kept until that has
/// ended and can be called again.
template <class T>
class composition {
public:
    using body = std::function<boost::asio::awaitable<result<T>>(client)>;

    explicit composition(body how) : start(std::move(how)) {}
    body start;
};

/// One run of it.
template <class T>
class composed final : public composed_base {
public:
    explicit composed(std::shared_ptr<const composition<T>> what) : what_(std::move(what)) {}

    static boost::asio::awaitable<void> run(std::shared_ptr<composed> self, client zk)
    {
        namespace asio = boost::asio;
        co_await asio::this_coro::reset_cancellation_state(any_to_terminal{}, any_to_terminal{});
        try {
            // A turn of its own: no operation completes inside its initiation.
            co_await asio::post(zk.get_executor(), asio::deferred);
            auto body = self->what_->start(zk);
            self->ended_ = co_await std::move(body);
        } catch (const boost::system::system_error& failed) {
            if (failed.code() != asio::error::operation_aborted) {
                self->fail(*zk.scope(), std::current_exception());
            }
            // Else between two steps: `ended_` says so.
        } catch (...) {
            self->fail(*zk.scope(), std::current_exception());
        }
    }

    void deliver(pending_base& to) override
    {
        if (!ended_ && ended_.error() == errc::cancelled && why) {
            ended_ = error(*why, ended_.error().fate());
        }
        static_cast<pending_op<T>&>(to).deliver(std::move(ended_));
    }

private:
    /// A callable of the user's; nobody else throws.
    void fail(const scope& s, std::exception_ptr what)
    {
        rethrow_from_composed(s, std::move(what));
        ended_ = error(errc::cancelled, fate::not_applied);
    }

    std::shared_ptr<const composition<T>> what_;
    result<T> ended_ = error(errc::cancelled, fate::not_sent);
};

template <class T>
operation_id start_composed(pending_base& op)
{
    if (!may_compose(op)) {
        return 0;
    }
    auto task =
        std::make_shared<composed<T>>(std::static_pointer_cast<const composition<T>>(op.target));
    auto body = composed<T>::run(task, client(op.owner));
    return run_composed(op, std::move(task), std::move(body));
}

}  // namespace detail

/// An operation that is made of other operations: a coroutine, which its caller sees as one
/// operation<T>, with any token, a cancellation slot and `within`. `zk.with({.timeout})` limits the
/// whole of it.
///
/// `body` is called on the client's executor when the operation is started, each time anew, with
/// the handle; it is no coroutine itself but calls one, with its arguments by value. Cancelling the
/// operation, and its time limit, cancel what the coroutine awaits, which completes with
/// errc::cancelled; when the coroutine goes on to await something else, it ends there by the
/// exception that Asio makes of that, and the operation completes with cancelled and fate not_sent.
/// Any other exception leaves through the executor.
///
/// A `refused` other than zero completes the operation with it at once, not sent: for arguments
/// that were found wrong when it was made.
///
///     coati::operation<std::string> name_of(const coati::client& zk, std::string id)
///     {
///         return coati::compose<std::string>(zk, coati::errc{0}, [id](const coati::client& via) {
///             return find_name(via, id);   // a coroutine: awaitable<result<std::string>>
///         });
///     }
template <class T>
operation<T> compose(const client& zk, errc refused, typename detail::composition<T>::body body)
{
    detail::operation_state<T> state;
    state.owner = zk.scope();
    state.start = &detail::start_composed<T>;
    state.refused = refused;
    state.target = std::make_shared<detail::composition<T>>(std::move(body));
    return operation<T>(std::move(state));
}

/// The same with nothing wrong about it.
template <class T>
operation<T> compose(const client& zk, typename detail::composition<T>::body body)
{
    return compose<T>(zk, errc{0}, std::move(body));
}

/// Work that outlives its caller, such as cleaning up from a destructor or after a cancellation. It
/// runs on the client's executor, belongs to the client, and gets a handle that is pinned to the
/// session of the moment: at the end of that at the latest all its operations complete, and it
/// should return. Closing a session does not wait for errands. May be called on any thread, and
/// does not block; where the execution context has ended, nothing happens.
void start_errand(const client& zk,
                  std::function<boost::asio::awaitable<result<void>>(client)> body);

}  // namespace coati
