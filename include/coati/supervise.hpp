// supervise: hold, again and again: after an expiry a new session is made and the application
// started anew. It decides by how the session ended, never by who came first: the application
// usually does.
#pragma once

#include <coati/hold.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>
#include <variant>

namespace coati {

/// The wait before the session after an expired one: full jitter, uniform from zero to a bound that
/// doubles from `first` to `longest`, and starts anew after a session that lived for a minute.
class back_off {
public:
    back_off() = default;
    /// With other bounds.
    back_off(std::chrono::milliseconds first_bound, std::chrono::milliseconds longest_bound)
        : first(first_bound), longest(longest_bound)
    {
    }

    std::chrono::milliseconds first{100};       ///< The bound of the first wait.
    std::chrono::milliseconds longest{10'000};  ///< The bound of all after enough short sessions.

    /// The delay before session number `again` (from 1) of a row of short ones.
    duration delay(std::size_t again, std::uint64_t random) const noexcept;
};

/// True for endings after which a new session makes sense: expired, presumed expired, id changed.
bool deserves_new_session(errc ending) noexcept;

namespace detail {

std::uint64_t random_number(const client& zk);

template <class T>
result<T> answer_of(held<T>&& ended)
{
    // A session that could not be had says more than what the application made of it.
    if (!ended.session && ended.session.error().code() != errc::session_dropped) {
        return ended.session.error();
    }
    if (auto* const failed = std::get_if<std::exception_ptr>(&ended.app)) {
        std::rethrow_exception(*failed);
    }
    return std::get<result<T>>(std::move(ended.app));
}

template <class T, class App>
asio::awaitable<result<T>> supervise_root(client zk, App app, back_off pace)
{
    co_await asio::this_coro::reset_cancellation_state(keep_type{}, keep_type{});
    std::size_t again = 0;
    for (;;) {
        const time_point begun = zk.now();
        auto session = hold_with<T>(zk, app);
        held<T> ended = co_await std::move(session);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            if (auto* const answer = std::get_if<result<T>>(&ended.app)) {
                co_return std::move(*answer);
            }
            co_return errc::cancelled;
        }
        if (ended.session || !deserves_new_session(ended.session.error().code())) {
            co_return answer_of<T>(std::move(ended));
        }
        again = zk.now() - begun > std::chrono::minutes(1) ? 1 : again + 1;
        auto wait = zk.sleep_for(pace.delay(again, random_number(zk)));
        const auto slept = co_await std::move(wait);
        if (!slept) {
            co_return slept.error();  // cancelled between two sessions
        }
    }
}

}  // namespace detail

/// Keeps an application in a session: when the session expires, a new one is made and the
/// application started again, with a handle pinned to it. Completes with the application's result,
/// or its exception, or the error of a session that cannot be had again (auth_failed,
/// session_stolen, no_server_reachable).
///
/// Ephemerals and watches belong to a session: create them in the application, at its beginning.
/// Cancellation: `total` cancels the application and closes politely, `terminal` drops; then the
/// application's result, or errc::cancelled if it ended by an exception.
///
///     auto answer = co_await coati::supervise(zk, app);
template <class App>
auto supervise(client zk, App&& app, back_off pace = {})
{
    static_assert(detail::is_safe_body<App>,
                  "give this lambda a name first and pass the name: GCC 12.2 destroys a capturing "
                  "temporary inside a co_await expression twice");
    using body = std::remove_cvref_t<App>;
    using value = detail::app_value<body>;
    const auto ex = zk.get_executor();
    return detail::spawn_root(
        ex, detail::supervise_root<value, body>(std::move(zk), std::forward<App>(app), pace),
        result<value>(errc::cancelled));
}

}  // namespace coati
