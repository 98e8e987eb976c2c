// The bytes of a znode as a parameter: a string, or null, which ZooKeeper keeps apart from empty.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace coati {

/// The type of `null_data`.
struct null_data_t {
    explicit constexpr null_data_t() = default;  ///< Explicit: `{}` is no null data.
};
/// `zk.create("/a", coati::null_data)`: no data at all, which reads back as `is_null`.
inline constexpr null_data_t null_data{};

/// Data of a znode on its way to the server. Converts from strings and from `null_data`.
class data {
public:
    data() = default;  ///< Empty, not null.
    /// These bytes, whatever they are.
    data(std::string bytes) : bytes_(std::move(bytes)) {}  // NOLINT
    /// A copy of these bytes.
    data(std::string_view bytes) : bytes_(bytes) {}  // NOLINT
    /// A copy of the text up to its NUL.
    data(const char* text) : bytes_(text) {}  // NOLINT
    /// No data at all.
    data(null_data_t) : is_null_(true) {}  // NOLINT
    data(std::nullptr_t) = delete;         ///< Null data has a name: coati::null_data.

    /// The bytes; none of null data.
    std::string_view bytes() const noexcept { return bytes_; }
    /// Whether there are no data at all, which is not empty data.
    bool is_null() const noexcept { return is_null_; }

private:
    std::string bytes_;
    bool is_null_ = false;
};

}  // namespace coati
