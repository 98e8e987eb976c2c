// Bodies: callables of the user's that run inside an operation of ours (hold, supervise, the
// recipes), and co_spawn for what runs them: cancelled before the first step, it ends by a value
// like at any other moment.
//
// Asio's own lets an exception out of the context's run() then (as of Boost 1.83): it finds the
// cancellation in front of the coroutine's body, and again on its way to the handler. So a
// cancellation that is early waits here until the body has begun.
#pragma once

#include <coati/detail/cancellation.hpp>
#include <coati/result.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace coati::detail {

namespace asio = boost::asio;

/// A callable argument of a co_await expression. GCC 12.2 destroys a temporary with captures twice,
/// whatever the signature, so only what it gets right compiles.
template <class App>
inline constexpr bool is_safe_body =
    std::is_lvalue_reference_v<App> || std::is_trivially_destructible_v<std::remove_cvref_t<App>>;

template <class T>
struct awaited_result;
template <class T, class Executor>
struct awaited_result<asio::awaitable<result<T>, Executor>> {
    using type = T;
};

/// T of a body that is called with `Arguments` and is an `awaitable<result<T>>`.
template <class Body, class... Arguments>
using body_value = typename awaited_result<std::invoke_result_t<Body&, Arguments...>>::type;

/// Between the user's slot and the coroutine. On the coroutine's executor only.
struct cancellation_gate {
    asio::cancellation_signal signal;
    bool is_open = false;
    bool is_early = false;

    void emit(asio::cancellation_type type)
    {
        if (is_open) {
            signal.emit(type);
        } else {
            is_early = true;
        }
    }
};

template <class T>
asio::awaitable<T> behind(std::shared_ptr<cancellation_gate> gate, asio::awaitable<T> root,
                          T if_early)
{
    gate->is_open = true;
    if (gate->is_early) {
        co_return if_early;
    }
    co_return co_await std::move(root);
}

/// Starts `root` on `ex`, as co_spawn does, with asio::deferred; `if_early` is the result where it
/// was cancelled before it began.
template <class T>
auto spawn_root(asio::any_io_executor ex, asio::awaitable<T> root, T if_early)
{
    auto start = [](auto handler, asio::any_io_executor on, asio::awaitable<T> body, T early) {
        const auto gate = std::make_shared<cancellation_gate>();
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([gate, on](asio::cancellation_type type) {
                asio::dispatch(on, [gate, type] { gate->emit(type); });
            });
        }
        const auto where = asio::get_associated_executor(handler, on);
        auto done = [gate, handler = std::move(handler)](std::exception_ptr failed,
                                                         T result) mutable {
            std::move(handler)(failed, std::move(result));
        };
        asio::co_spawn(on, behind<T>(gate, std::move(body), std::move(early)),
                       asio::bind_cancellation_slot(gate->signal.slot(),
                                                    asio::bind_executor(where, std::move(done))));
    };
    return asio::async_initiate<const asio::deferred_t&, void(std::exception_ptr, T)>(
        start, asio::deferred, std::move(ex), std::move(root), std::move(if_early));
}

}  // namespace coati::detail
