// hold: one session with its application, joined, closed in order.
//
// Only client API and Asio; the order at the end of a session is the engine's promise: the reason
// is fixed, every pending request completes with it, then waiting closes, then run; then the
// application is cancelled and joined.
#pragma once

#include <coati/body.hpp>
#include <coati/client.hpp>
#include <coati/detail/cancellation.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace coati {

/// How a held session and its application ended.
template <class T>
struct held {
    /// A result, or an exception that left the application.
    using app_end = std::variant<result<T>, std::exception_ptr>;

    result<void> session;  ///< What `run` completed with: success after an orderly close.
    app_end app;           ///< What the application returned or threw.
};

namespace detail {

namespace asio = boost::asio;

/// T of an application `awaitable<result<T>>(client)`.
template <class App>
using app_value = body_value<App, client>;

/// A handle bound to the session that its `run` will hold, for ever.
client pinned_to_next_session(const client& of);

/// The application, then an orderly close: unless it was dropped or its session is over already.
template <class T, class App>
asio::awaitable<typename held<T>::app_end> app_then_close(client zk, App app)
{
    co_await asio::this_coro::reset_cancellation_state(keep_type{}, any_to_terminal{});
    typename held<T>::app_end end;
    try {
        end = co_await app(zk);
    } catch (...) {
        end = std::current_exception();
    }
    const auto state = co_await asio::this_coro::cancellation_state;
    if ((state.cancelled() & asio::cancellation_type::terminal) == asio::cancellation_type::none) {
        // A polite cancellation is spent: the close that follows is bounded by config.close_wait.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        auto close = zk.close();
        co_await std::move(close)(asio::as_tuple(asio::deferred));
    }
    co_return end;
}

/// The session, deaf to polite cancellation: that is the application's, which closes after it.
inline asio::awaitable<result<void>> session_of(client zk)
{
    auto run = zk.run();
    co_return co_await std::move(run);
}

template <class T, class App>
asio::awaitable<held<T>> hold_with(client zk, App app)
{
    const client pinned = pinned_to_next_session(zk);
    auto both = asio::experimental::make_parallel_group(
        asio::co_spawn(zk.get_executor(), session_of(pinned), asio::deferred),
        asio::co_spawn(zk.get_executor(), app_then_close<T>(pinned, std::move(app)),
                       asio::deferred));
    auto done = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    auto& [order, session_failed, session, app_failed, app_end] = done;
    if (session_failed) {
        std::rethrow_exception(session_failed);
    }
    if (app_failed) {
        std::rethrow_exception(app_failed);
    }
    held<T> ended;
    ended.session = std::move(session);
    ended.app = std::move(app_end);
    co_return ended;
}

template <class T, class App>
asio::awaitable<held<T>> hold_root(client zk, App app)
{
    co_await asio::this_coro::reset_cancellation_state(keep_type{}, keep_type{});
    auto body = hold_with<T>(std::move(zk), std::move(app));
    co_return co_await std::move(body);
}

}  // namespace detail

/// Runs one session with its application on the client's executor, and completes when both are
/// over.
///
/// `app` is `boost::asio::awaitable<coati::result<T>>(coati::client)`: a function, a named object
/// (copied), or a lambda without captures that need a destructor. It gets a handle that is pinned
/// to this session: after its end every operation of it completes with that ending.
///
/// When the application returns or throws, the session is closed in order. When the session ends
/// first, the application's requests complete with the reason, then it is cancelled and joined.
/// Cancellation: `total` cancels the application, then closes politely within `config.close_wait`;
/// `terminal` drops both.
///
///     auto ended = co_await coati::hold(zk, app);    // held<T>{ result<void> session; ... app; }
template <class App>
auto hold(client zk, App&& app)
{
    static_assert(detail::is_safe_body<App>,
                  "give this lambda a name first and pass the name: GCC 12.2 destroys a capturing "
                  "temporary inside a co_await expression twice");
    using body = std::remove_cvref_t<App>;
    using value = detail::app_value<body>;
    const auto ex = zk.get_executor();
    held<value> early{errc::session_dropped, result<value>(errc::cancelled)};
    return detail::spawn_root(ex,
                              detail::hold_root<value, body>(std::move(zk), std::forward<App>(app)),
                              std::move(early));
}

}  // namespace coati
