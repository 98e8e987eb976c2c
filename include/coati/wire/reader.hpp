// Owns the cursor over one received payload. A failure is sticky: the first one is kept, the rest
// of the payload vanishes, and every later read fails too, so that a chain of reads is checked
// once at its end. It never reads past the end and never throws. What the bytes mean is
// wire/jute.hpp's business.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coati::wire {

enum class decode_error : std::uint8_t {
    none,
    truncated,   // the payload ends before the record does
    bad_length,  // a buffer or string length below -1
    bad_count,   // a vector count below -1
    bad_value    // well-formed, but not a value this place can hold
};

constexpr const char* describe(decode_error error) noexcept
{
    switch (error) {
    case decode_error::none: return "no error";
    case decode_error::truncated: return "the payload ends inside a record";
    case decode_error::bad_length: return "negative length of a buffer or string";
    case decode_error::bad_count: return "negative number of elements";
    case decode_error::bad_value: return "a value that is not possible here";
    }
    return "unknown decode error";
}

class reader {
public:
    explicit reader(std::string_view bytes) noexcept
        : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size())
    {
    }

    bool ok() const noexcept { return error_ == decode_error::none; }
    decode_error error() const noexcept { return error_; }

    // After a failure: where it was noticed.
    std::size_t offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

    // After a failure: nothing is left.
    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - at_); }
    std::string_view rest() const noexcept { return {at_, remaining()}; }

    void fail(decode_error error) noexcept
    {
        if (ok()) {
            error_ = error;
        }
        end_ = at_;
    }

    // The next `size` bytes, or null when there are not that many (which is a failure).
    const char* take(std::size_t size) noexcept
    {
        if (remaining() < size) [[unlikely]] {
            fail(decode_error::truncated);
            return nullptr;
        }
        const char* taken = at_;
        at_ += size;
        return taken;
    }

private:
    const char* begin_;
    const char* at_;
    const char* end_;  // equals at_ after a failure: that is what makes a failure sticky
    decode_error error_ = decode_error::none;
};

}  // namespace coati::wire
