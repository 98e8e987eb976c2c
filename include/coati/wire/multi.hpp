// Owns the inside of multi and multi_read: parts with a header each, no count, and a terminator.
// Requests are appended part by part. Replies are read by the type in each *result* header, never
// by what was asked: servers before 3.9 answer create2 inside a multi with the result of create,
// and a refused part is answered with an error. Which result belongs to which part, and what a
// failed multi means, is the caller's business.

#pragma once

#include <coati/stat.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/op_code.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coati::wire {

// -1 where a server expects nothing: it reads neither field, but clients agree on these values.
inline constexpr multi_header multi_end{-1, true, -1};

template <class Op>
void append_multi_op(std::string& out, const typename Op::request& request)
{
    encode(out, multi_header{static_cast<std::int32_t>(Op::code), false, -1}, request);
}

inline void finish_multi(std::string& out)
{
    encode(out, multi_end);
}

struct multi_result_view {
    std::int32_t type = 0;              // an op code, or -1: this part failed or was undone
    std::int32_t err = 0;               // of this part; the reply's own header says 0 all the same
    std::string_view created_path{};    // type 1 and 15
    std::optional<coati::stat> stat{};  // type 4, 5 and 15
    nullable<std::string_view> data{};  // type 4
    std::vector<std::string_view> children{};  // type 8
};

class multi_reader {
public:
    explicit multi_reader(std::string_view body) noexcept : in_(body) {}

    // Reads the next result. False at the terminator (then finished()) and at a fault (then not
    // ok()). Reusing one view keeps its memory.
    bool next(multi_result_view& result)
    {
        if (finished_) {
            return false;
        }
        multi_header header;
        if (!decode(in_, header)) {
            return false;
        }
        if (header.done) {
            finished_ = true;
            return false;
        }
        result.type = header.type;
        result.err = header.err;
        result.created_path = {};
        result.stat.reset();
        result.data = {};
        result.children.clear();
        return read_body(result);
    }

    bool ok() const noexcept { return in_.ok(); }
    decode_error error() const noexcept { return in_.error(); }

    // The terminator was seen. A list without one is a fault, never an end.
    bool finished() const noexcept { return finished_; }

private:
    // What stands behind a result header, in this order.
    struct shape {
        op_code type;
        bool path;
        bool data;
        bool children;
        bool stat;
        bool err;
    };

    static constexpr std::array shapes{
        shape{op_code::create, true, false, false, false, false},
        shape{op_code::remove, false, false, false, false, false},
        shape{op_code::get_data, false, true, false, true, false},
        shape{op_code::set_data, false, false, false, true, false},
        shape{op_code::get_children, false, false, true, false, false},
        shape{op_code::check, false, false, false, false, false},
        shape{op_code::create2, true, false, false, true, false},
        shape{op_code::error, false, false, false, false, true},
    };

    bool read_body(multi_result_view& result)
    {
        for (const shape& has : shapes) {
            if (static_cast<std::int32_t>(has.type) != result.type) {
                continue;
            }
            return (!has.path || decode(in_, result.created_path)) &&
                   (!has.data || decode(in_, result.data)) &&
                   (!has.children || decode(in_, result.children)) &&
                   (!has.stat || decode(in_, result.stat.emplace())) &&
                   (!has.err || decode(in_, result.err));
        }
        // Its length is not known, so nothing behind it can be read either.
        in_.fail(decode_error::bad_value);
        return false;
    }

    reader in_;
    bool finished_ = false;
};

}  // namespace coati::wire
