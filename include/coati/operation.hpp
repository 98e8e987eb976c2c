// operation<T>: a request that has not been sent yet. `co_await` sends it; another completion token
// is given by calling it.
#pragma once

#include <coati/detail/initiate.hpp>
#include <coati/result.hpp>

#include <boost/asio/async_result.hpp>

#include <type_traits>
#include <utility>

namespace coati {

template <class T>
class operation;

/// Types that are safe as by-value parameters inside a co_await expression on GCC 12.2, which
/// destroys an aggregate temporary with a non-trivial destructor twice. It cannot see capturing
/// lambdas.
template <class T>
concept co_await_safe = !std::is_aggregate_v<T> || std::is_trivially_destructible_v<T>;

/// Tokens that take a completion of `void(result<T>)`.
template <class Token, class T>
concept token_for = boost::asio::completion_token_for<Token, void(result<T>)>;

namespace detail {

/// The same with its type.
template <class T>
class operation_state : public operation_parts {
public:
    typename pending_op<T>::decode_fn decode = nullptr;
};

}  // namespace detail

/// A request, prepared but not sent. It is sent when it is awaited or called with a token, and the
/// order on the wire is the order of that, not of the calls that made the operations.
///
///     auto r = co_await zk.get("/a");                      // result<get_result>
///     auto f = zk.get("/a")(boost::asio::use_future);      // std::future<result<get_result>>
///     zk.get("/a")([](coati::result<coati::get_result> r) { ... });
///
/// It holds its arguments, so it can be stored and outlives the handle that made it. Cancelling it
/// completes it with errc::cancelled and its fate; the session is never harmed.
template <class T>
class [[nodiscard]] operation {
public:
    /// T of the result.
    using value_type = T;

    /// For the library itself.
    explicit operation(detail::operation_state<T>&& state) : state_(std::move(state)) {}

    /// Sends it with another token than `co_await`; gives what that token gives.
    template <token_for<T> Token>
    auto operator()(Token&& token) &&
    {
        return boost::asio::async_initiate<Token, void(result<T>)>(detail::initiate<T>{}, token,
                                                                   std::move(state_));
    }
    /// The same, and it can be sent again.
    template <token_for<T> Token>
    auto operator()(Token&& token) const&
    {
        return boost::asio::async_initiate<Token, void(result<T>)>(
            detail::initiate<T>{}, token, detail::operation_state<T>(state_));
    }

    /// The same operation, completing with errc::timed_out and its fate when `limit` is over first.
    [[nodiscard]] operation within(duration limit) &&
    {
        state_.timeout = limit > duration::zero() ? limit : duration(1);  // zero would be none
        return std::move(*this);
    }

private:
    detail::operation_state<T> state_;
};

}  // namespace coati
