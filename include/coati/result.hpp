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

/// Whether T is a coati::result.
template <class T>
inline constexpr bool is_result = false;
/// It is.
template <class T>
inline constexpr bool is_result<result<T>> = true;

/// `value()` of a failure throws coati::exception; `error()` of a success asserts.
struct value_policy : boost::outcome_v2::policy::base {
    /// Throws coati::exception unless there is a value.
    template <class Impl>
    static constexpr void wide_value_check(Impl&& self)
    {
        if (!base::_has_value(self)) {
            throw exception(base::_error(self));
        }
    }
    /// Asserts that there is an error.
    template <class Impl>
    static constexpr void wide_error_check([[maybe_unused]] Impl&& self)
    {
        assert(base::_has_error(self));
    }
    /// Results hold no exceptions.
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
    /// What a success holds.
    using value_type = T;
    using base::base;

    /// Asio's placeholder: holds errc::no_result, is never a success, is never delivered.
    explicit result() noexcept : base(coati::error(errc::no_result)) {}
    /// A failure that is an answer, of fate not_applied.
    result(errc code) noexcept : base(coati::error(code)) {}  // NOLINT: co_return errc::no_node;

    /// Of the value; a failure asserts, here and below.
    template <class U = T>
        requires(!std::is_void_v<U>)
    U* operator->()
    {
        assert(this->has_value());
        return &this->assume_value();
    }
    /// Of the value.
    template <class U = T>
        requires(!std::is_void_v<U>)
    const U* operator->() const
    {
        assert(this->has_value());
        return &this->assume_value();
    }
    /// The value.
    template <class U = T>
        requires(!std::is_void_v<U>)
    U& operator*() &
    {
        assert(this->has_value());
        return this->assume_value();
    }
    /// The value.
    template <class U = T>
        requires(!std::is_void_v<U>)
    const U& operator*() const&
    {
        assert(this->has_value());
        return this->assume_value();
    }
    /// The value, to be taken.
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
