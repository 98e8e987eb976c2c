// How the bytes of a znode become a value of the application's, and back. Bytes that are no value
// are an answer as well: a text that says why.
//
// Knows nothing of znodes.
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace coati {

/// What `decode` of a codec gives for bytes that are no value.
class undecodable {
public:
    /// `text` is for people, one line.
    explicit undecodable(std::string text) : why(std::move(text)) {}

    std::string why;  ///< For people, one line.

    friend bool operator==(const undecodable&, const undecodable&) = default;
};

/// What `decode` of a codec gives: a value, or why the bytes are none.
template <class T>
class decoded {
public:
    /// T.
    using value_type = T;

    /// The bytes are this value.
    decoded(T value) : what_(std::in_place_index<0>, std::move(value)) {}  // NOLINT
    /// The bytes are none.
    decoded(undecodable wrong) : what_(std::in_place_index<1>, std::move(wrong)) {}  // NOLINT

    /// Whether there is a value.
    explicit operator bool() const noexcept { return what_.index() == 0; }
    /// The value; undefined without one.
    const T& operator*() const noexcept { return *std::get_if<0>(&what_); }
    /// The same, to be moved from.
    T& operator*() noexcept { return *std::get_if<0>(&what_); }
    /// Members of the value.
    const T* operator->() const noexcept { return std::get_if<0>(&what_); }
    /// Why there is no value; undefined with one.
    const std::string& why() const noexcept { return std::get_if<1>(&what_)->why; }

private:
    std::variant<T, undecodable> what_;
};

/// Something that has `value_type`, `decoded<value_type> decode(std::string_view) const` and
/// `std::string encode(const value_type&) const`. An exception that leaves `decode` counts as
/// `undecodable` with its `what()`; one that leaves `encode` reaches whoever asked for a write.
template <class C>
concept codec = std::copy_constructible<C> &&
                requires(const C& by, std::string_view bytes, const typename C::value_type& value) {
                    {
                        by.decode(bytes)
                    } -> std::same_as<decoded<typename C::value_type>>;
                    {
                        by.encode(value)
                    } -> std::convertible_to<std::string>;
                };

/// Plain text: the bytes themselves, whatever they are.
class text_codec {
public:
    /// The bytes.
    using value_type = std::string;

    /// Always a value.
    decoded<std::string> decode(std::string_view bytes) const { return std::string(bytes); }
    /// The text itself.
    std::string encode(const std::string& text) const { return text; }
};

/// A codec of two functions: `coati::function_codec by(parse, print)`, where `parse` takes a
/// `std::string_view` and gives a `decoded<T>`, and `print` takes a `const T&` and gives a string.
template <class Parse, class Print>
class function_codec {
public:
    /// T.
    using value_type = typename std::invoke_result_t<const Parse&, std::string_view>::value_type;

    /// Copies both.
    function_codec(Parse parse, Print print) : parse_(std::move(parse)), print_(std::move(print)) {}

    /// By `parse`.
    decoded<value_type> decode(std::string_view bytes) const { return std::invoke(parse_, bytes); }
    /// By `print`.
    std::string encode(const value_type& value) const { return std::invoke(print_, value); }

private:
    Parse parse_;
    Print print_;
};

namespace detail {

/// An exception of the user's is one more way to say that the bytes are no value.
template <codec C>
decoded<typename C::value_type> decode_by(const C& by, std::string_view bytes)
{
    try {
        return by.decode(bytes);
    } catch (const std::exception& failed) {
        return undecodable(failed.what());
    } catch (...) {
        return undecodable("decode has thrown something that is no std::exception");
    }
}

}  // namespace detail

}  // namespace coati
