// coati::result<T>: a value or a coati::error. What every operation completes with.
//
// Derives from Boost.Outcome's basic_result so that BOOST_OUTCOME_CO_TRY works, and adds what a
// plain Outcome result forbids: an explicit default constructor. Asio (co_spawn, ||, use_future,
// channels) makes placeholders; explicit keeps `return {}` from compiling, where it would mean
// failure.
#pragma once

#include <coati/error.hpp>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/base.hpp>
#include <boost/outcome/success_failure.hpp>
#include <boost/outcome/try.hpp>

#include <cassert>
#include <type_traits>
#include <utility>

namespace coati {

template <class T>
class result;

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;

/// `value()` of a failure throws coati::exception; `error()` of a success asserts.
struct value_policy : boost::outcome_v2::policy::base {
    template <class Impl>
    static constexpr void wide_value_check(Impl&& self)
    {
        if (!base::_has_value(self)) {
            throw exception(base::_error(self));
        }
    }
    template <class Impl>
    static constexpr void wide_error_check([[maybe_unused]] Impl&& self)
    {
        assert(base::_has_error(self));
    }
    template <class Impl>
    static constexpr void wide_exception_check(Impl&&)
    {
    }
};

/// A value of T, or a coati::error that says which code and what became of the request.
template <class T>
class [[nodiscard]] result : public boost::outcome_v2::basic_result<T, error, value_policy> {
    using base = boost::outcome_v2::basic_result<T, error, value_policy>;
    static_assert(!is_result<T>, "a result of a result says nothing that one result cannot say");
    static_assert(!std::is_convertible_v<T, error> && !std::is_convertible_v<error, T>,
                  "a result needs a value type that cannot be mistaken for an error");

public:
    using value_type = T;
    using base::base;

    /// Asio's placeholder: holds errc::no_result, is never a success, is never delivered.
    explicit result() noexcept : base(coati::error(errc::no_result)) {}
    result(errc code) noexcept : base(coati::error(code)) {}  // NOLINT: co_return errc::no_node;

    template <class U = T>
        requires(!std::is_void_v<U>)
    U* operator->()
    {
        assert(this->has_value());
        return &this->assume_value();
    }
    template <class U = T>
        requires(!std::is_void_v<U>)
    const U* operator->() const
    {
        assert(this->has_value());
        return &this->assume_value();
    }
    template <class U = T>
        requires(!std::is_void_v<U>)
    U& operator*() &
    {
        assert(this->has_value());
        return this->assume_value();
    }
    template <class U = T>
        requires(!std::is_void_v<U>)
    const U& operator*() const&
    {
        assert(this->has_value());
        return this->assume_value();
    }
    template <class U = T>
        requires(!std::is_void_v<U>)
    U&& operator*() &&
    {
        assert(this->has_value());
        return std::move(this->assume_value());
    }
};

/// `co_return coati::success();` from a coroutine whose result has no value.
constexpr auto success() noexcept
{
    return boost::outcome_v2::success();
}

}  // namespace coati
