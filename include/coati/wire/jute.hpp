// Owns the encoding of values and records ("jute"), in both directions, from one list of members
// per record: encode and decode cannot disagree about the layout. It must not know any particular
// record, operation or frame; those are header.hpp, operation.hpp and frame.hpp.
//
// Decoding never allocates more than a small multiple of the bytes that are really there. Whoever
// encodes compares encoded_size() with the limit for requests first: a length is an int32 here.

#pragma once

#include <coati/wire/bytes.hpp>
#include <coati/wire/fields.hpp>
#include <coati/wire/reader.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace coati::wire {

// A buffer or string for which "null" (length -1) differs from "empty" (length 0): node data and
// SASL tokens above all. Where nobody cares use the plain type: null then decodes as empty, and
// null is never sent.
template <class T>
struct nullable {
    T value{};
    bool is_null = false;

    static constexpr nullable null() { return nullable{T{}, true}; }
    friend bool operator==(const nullable&, const nullable&) = default;
};

// The last field of a record that grew: read if bytes are left, written if engaged.
template <class T>
struct trailing {
    std::optional<T> value{};
    friend bool operator==(const trailing&, const trailing&) = default;
};

// Everything up to the end of the payload, as it is. Only as a last field: what a multi carries is
// a sequence without a count, which wire/multi.hpp walks.
struct remainder {
    std::string_view bytes{};
    friend bool operator==(const remainder&, const remainder&) = default;
};

template <class T>
concept record = requires { typename T::wire_fields; };

template <class T>
bool decode(reader& in, T& value);

// What a type looks like on the wire:
//   min_size  the fewest bytes that it can take;
//   fixed     it always takes exactly those, and any bytes will do: load() then needs no check;
//   size(v)   the bytes v takes;  put(to, v) writes them and returns the end;  get(in, v) reads.
template <class T>
struct codec;

template <>
struct codec<bool> {
    static constexpr bool fixed = true;
    static constexpr std::size_t min_size = 1;

    // Any non-zero byte is true, as the server has it.
    static void load(const char* from, bool& value) noexcept { value = *from != 0; }

    static char* put(char* to, bool value) noexcept
    {
        *to = value ? '\1' : '\0';
        return to + 1;
    }
};

template <class T>
    requires std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t>
struct codec<T> {
    static constexpr bool fixed = true;
    static constexpr std::size_t min_size = sizeof(T);

    static void load(const char* from, T& value) noexcept { value = load_big_endian<T>(from); }

    static char* put(char* to, T value) noexcept
    {
        store_big_endian(to, value);
        return to + sizeof(T);
    }
};

// Numbers without an enumerator survive: a newer server may send them, and somebody may log them.
template <class T>
    requires std::is_enum_v<T> && std::same_as<std::underlying_type_t<T>, std::int32_t>
struct codec<T> {
    static constexpr bool fixed = true;
    static constexpr std::size_t min_size = sizeof(std::int32_t);

    static void load(const char* from, T& value) noexcept
    {
        value = static_cast<T>(load_big_endian<std::int32_t>(from));
    }

    static char* put(char* to, T value) noexcept
    {
        return codec<std::int32_t>::put(to, static_cast<std::int32_t>(value));
    }
};

// std::string_view decodes as a view into the payload, std::string as a copy.
template <class T>
    requires std::same_as<T, std::string_view> || std::same_as<T, std::string>
struct codec<T> {
    static constexpr bool fixed = false;
    static constexpr std::size_t min_size = sizeof(std::int32_t);

    static std::size_t size(const T& value) noexcept { return min_size + value.size(); }

    static char* put(char* to, const T& value) noexcept
    {
        to = codec<std::int32_t>::put(to, static_cast<std::int32_t>(value.size()));
        if (!value.empty()) {  // memcpy from the null pointer of an empty view is undefined
            std::memcpy(to, value.data(), value.size());
        }
        return to + value.size();
    }

    static bool get(reader& in, T& value)
    {
        bool is_null = false;
        return get_or_null(in, value, is_null);
    }

    static bool get_or_null(reader& in, T& value, bool& is_null)
    {
        value = T{};
        const char* prefix = in.take(sizeof(std::int32_t));
        if (prefix == nullptr) {
            return false;
        }
        const auto length = load_big_endian<std::int32_t>(prefix);
        if (length < 0) {
            is_null = length == -1;
            if (!is_null) {
                in.fail(decode_error::bad_length);
            }
            return is_null;
        }
        const auto size = static_cast<std::size_t>(length);
        const char* bytes = in.take(size);
        if (bytes == nullptr) {
            return false;
        }
        value = T{bytes, size};
        return true;
    }
};

template <class T>
struct codec<nullable<T>> {
    static constexpr bool fixed = false;
    static constexpr std::size_t min_size = codec<T>::min_size;

    static std::size_t size(const nullable<T>& value) noexcept
    {
        return value.is_null ? min_size : codec<T>::size(value.value);
    }

    static char* put(char* to, const nullable<T>& value) noexcept
    {
        return value.is_null ? codec<std::int32_t>::put(to, -1) : codec<T>::put(to, value.value);
    }

    static bool get(reader& in, nullable<T>& value)
    {
        value.is_null = false;
        return codec<T>::get_or_null(in, value.value, value.is_null);
    }
};

// The size of a value whichever way its codec states it.
template <class T>
std::size_t encoded_size(const T& value)
{
    if constexpr (codec<T>::fixed) {
        return codec<T>::min_size;
    } else {
        return codec<T>::size(value);
    }
}

template <class T>
struct codec<std::vector<T>> {
    static_assert(codec<T>::min_size > 0, "a count of empty elements cannot be checked");

    static constexpr bool fixed = false;
    static constexpr std::size_t min_size = sizeof(std::int32_t);

    static std::size_t size(const std::vector<T>& values)
    {
        std::size_t total = min_size;
        for (const T& value : values) {
            total += encoded_size(value);
        }
        return total;
    }

    // Never -1 for empty: servers refuse null vectors (INVALIDACL, MARSHALLINGERROR).
    static char* put(char* to, const std::vector<T>& values)
    {
        to = codec<std::int32_t>::put(to, static_cast<std::int32_t>(values.size()));
        for (const T& value : values) {
            to = codec<T>::put(to, value);
        }
        return to;
    }

    static bool get(reader& in, std::vector<T>& values)
    {
        values.clear();
        std::int32_t count = 0;
        if (!decode(in, count)) {
            return false;
        }
        if (count < 0) {
            if (count != -1) {
                in.fail(decode_error::bad_count);
            }
            return count == -1;
        }
        // Before anything is reserved: a hostile count must not cost memory.
        if (static_cast<std::size_t>(count) > in.remaining() / codec<T>::min_size) {
            in.fail(decode_error::truncated);
            return false;
        }
        values.reserve(static_cast<std::size_t>(count));
        for (std::int32_t i = 0; i < count; ++i) {
            if (!decode(in, values.emplace_back())) {
                return false;
            }
        }
        return true;
    }
};

template <class T>
struct codec<trailing<T>> {
    static constexpr bool fixed = false;
    static constexpr std::size_t min_size = 0;

    static std::size_t size(const trailing<T>& field)
    {
        return field.value ? encoded_size(*field.value) : 0;
    }

    static char* put(char* to, const trailing<T>& field)
    {
        return field.value ? codec<T>::put(to, *field.value) : to;
    }

    static bool get(reader& in, trailing<T>& field)
    {
        field.value.reset();
        return in.remaining() == 0 ? in.ok() : decode(in, field.value.emplace());
    }
};

template <>
struct codec<remainder> {
    static constexpr bool fixed = false;
    static constexpr std::size_t min_size = 0;

    static std::size_t size(const remainder& field) noexcept { return field.bytes.size(); }

    static char* put(char* to, const remainder& field) noexcept
    {
        if (!field.bytes.empty()) {
            std::memcpy(to, field.bytes.data(), field.bytes.size());
        }
        return to + field.bytes.size();
    }

    static bool get(reader& in, remainder& field) noexcept
    {
        field.bytes = in.rest();
        in.take(field.bytes.size());
        return in.ok();
    }
};

namespace detail {

template <class Class, class Field>
Field field_type(Field Class::*);

template <auto Member>
using field_codec = codec<decltype(field_type(Member))>;

template <class T, class Fields>
struct record_codec;

template <class T, auto... Members>
struct record_codec<T, fields<Members...>> {
    static constexpr bool fixed = (field_codec<Members>::fixed && ...);
    static constexpr std::size_t min_size = (std::size_t{0} + ... + field_codec<Members>::min_size);

    static std::size_t size([[maybe_unused]] const T& value)
    {
        return (std::size_t{0} + ... + encoded_size(value.*Members));
    }

    static char* put(char* to, [[maybe_unused]] const T& value)
    {
        ((to = field_codec<Members>::put(to, value.*Members)), ...);
        return to;
    }

    static void load([[maybe_unused]] const char* from, [[maybe_unused]] T& value) noexcept
        requires fixed
    {
        ((field_codec<Members>::load(from, value.*Members), from += field_codec<Members>::min_size),
         ...);
    }

    static bool get(reader& in, T& value)
        requires(!fixed)
    {
        return (decode(in, value.*Members) && ...);
    }
};

}  // namespace detail

template <record T>
struct codec<T> : detail::record_codec<T, typename T::wire_fields> {};

// Reads one value. False, and the reader failed, when the payload does not hold it; `value` may
// then be half written. Bytes behind the value are left for the caller: a newer server may append.
template <class T>
bool decode(reader& in, T& value)
{
    if constexpr (codec<T>::fixed) {
        if constexpr (codec<T>::min_size > 0) {
            const char* from = in.take(codec<T>::min_size);
            if (from == nullptr) [[unlikely]] {
                return false;
            }
            codec<T>::load(from, value);
            return true;
        } else {
            return in.ok();
        }
    } else {
        return codec<T>::get(in, value);
    }
}

// Appends values: measures once, grows once, then writes without checks.
template <class... T>
void encode(std::string& out, const T&... values)
{
    const std::size_t at = out.size();
    out.resize(at + (std::size_t{0} + ... + encoded_size(values)));
    [[maybe_unused]] char* to = out.data() + at;
    ((to = codec<T>::put(to, values)), ...);
}

}  // namespace coati::wire
