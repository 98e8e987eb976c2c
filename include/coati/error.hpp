// coati::error: a code, what became of the request (its fate), and the system's cause.
//
// The vocabulary of results. Knows Boost.System for the cause and the conversions, no Asio.
#pragma once

#include <coati/errc.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>

namespace coati {

/// What became of a request that failed. A read changes nothing, so it is never `maybe_applied`.
enum class fate : std::uint8_t {
    not_sent,       ///< No complete frame reached a socket: certainly not executed, safe to repeat.
    not_applied,    ///< The server said no, or the request was a read: nothing has changed.
    maybe_applied,  ///< A complete write left and no answer came: it may or may not have happened.
    applied,        ///< Found out later: it did happen.
};

/// The name as written here ("maybe_applied").
std::string_view name(fate f) noexcept;

/// The category of `errc` in Boost.System error codes; its name is "coati".
const boost::system::error_category& error_category() noexcept;

/// For Boost.System: an `errc` becomes an error code by itself.
inline boost::system::error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), error_category()};
}

/// 24 bytes, trivially copyable. `switch (e.code())` works.
class error {
public:
    /// A code alone is an answer: nothing has changed.
    constexpr error(errc code, coati::fate what = coati::fate::not_applied) noexcept  // NOLINT
        : code_(code), fate_(what)
    {
    }
    /// With the system's code behind it.
    error(errc code, coati::fate what, const boost::system::error_code& cause) noexcept
        : code_(code), fate_(what), cause_value_(cause.value()),
          cause_category_(cause ? &cause.category() : nullptr)
    {
    }

    /// What happened.
    constexpr errc code() const noexcept { return code_; }
    /// What became of the request.
    constexpr coati::fate fate() const noexcept { return fate_; }
    /// In a failed multi the index of the op that failed, or that is not worth sending; -1
    /// elsewhere.
    constexpr int op_index() const noexcept { return op_index_; }
    /// The system's code behind a connection loss; empty where there is none.
    boost::system::error_code cause() const noexcept
    {
        if (cause_category_ == nullptr) {
            return {};
        }
        return {cause_value_, *cause_category_};
    }

    /// What has to be done about it.
    coati::disposition disposition() const noexcept { return classify(code_); }
    /// The three disjoint questions about an error; exactly one is true of each code.
    bool retryable() const noexcept { return disposition() == coati::disposition::connection_loss; }
    /// The session is over, and what belonged to it with it.
    bool session_lost() const noexcept { return disposition() == coati::disposition::session_over; }
    /// The caller's own result; the session is untouched.
    bool is_answer() const noexcept { return disposition() == coati::disposition::answer; }

    /// The same error with another fate.
    constexpr error with_fate(coati::fate what) const noexcept
    {
        error copy = *this;
        copy.fate_ = what;
        return copy;
    }
    /// The same error with another index.
    constexpr error with_op_index(int index) const noexcept
    {
        error copy = *this;
        copy.op_index_ = index;
        return copy;
    }

    /// One line for a log: name, text, fate, cause. Never contains data or credentials.
    std::string message() const;

    /// The code alone; fate and cause are lost.
    operator boost::system::error_code() const noexcept
    {
        return make_error_code(code_);
    }  // NOLINT
    /// The code alone; fate and cause are lost.
    operator std::error_code() const noexcept { return make_error_code(code_); }  // NOLINT

    friend constexpr bool operator==(const error& a, errc b) noexcept { return a.code_ == b; }
    friend constexpr bool operator==(const error& a, const error& b) noexcept
    {
        return a.code_ == b.code_ && a.fate_ == b.fate_ && a.op_index_ == b.op_index_;
    }

private:
    errc code_;
    coati::fate fate_;
    std::int32_t op_index_ = -1;
    std::int32_t cause_value_ = 0;
    const boost::system::error_category* cause_category_ = nullptr;
};

static_assert(sizeof(error) <= 24 && std::is_trivially_copyable_v<error>);

/// What `result<T>::value()` throws.
class exception : public boost::system::system_error {
public:
    /// Its `code()` is that of the error.
    explicit exception(const coati::error& e) : system_error(make_error_code(e.code())), error_(e)
    {
    }
    /// The whole error, with its fate and cause.
    const coati::error& error() const noexcept { return error_; }

private:
    coati::error error_;
};

}  // namespace coati

/// @cond
template <>
struct boost::system::is_error_code_enum<coati::errc> : std::true_type {};
template <>
struct std::is_error_code_enum<coati::errc> : std::true_type {};
/// @endcond
