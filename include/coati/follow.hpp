// A znode's value as a stream: not what happened to it, but what it is now, each time that this has
// changed.
#pragma once

#include <coati/client.hpp>

#include <memory>
#include <optional>
#include <string>

namespace coati {

namespace detail {
class follow_state;
}

/// What a znode was when it was read.
class followed {
public:
    followed() = default;

    /// False: there is no such znode; data and stat are empty.
    bool exists() const noexcept { return stat.has_value(); }

    std::string data;      ///< The bytes; empty where there is no znode.
    bool is_null = false;  ///< The znode has no data at all, which is not empty data.
    /// Versions that were skipped show in it: `version` and `mzxid` jump, and a `czxid` that is
    /// another one says that the znode was removed and created again meanwhile.
    std::optional<coati::stat> stat;
    std::int64_t zxid = 0;  ///< The server's last zxid when it answered.

    friend bool operator==(const followed&, const followed&) = default;
};

/// The value of one znode as a stream, made by `follow`. Quick changes are seen as one, and the
/// last one is always seen: the value was read by the same request that watches for the next
/// change. Reconnects need no care, and a znode that is missing is a value as well.
///
/// Move-only; its destructor unregisters, ends a wait with errc::cancelled, and does not block. May
/// be destroyed on any thread.
class value_stream {
public:
    /// For `follow`.
    explicit value_stream(std::shared_ptr<detail::follow_state> state) : state_(std::move(state)) {}
    /// The other one is not to be read any more.
    value_stream(value_stream&&) noexcept = default;
    /// Ends what was followed here.
    value_stream& operator=(value_stream&& other) noexcept;
    ~value_stream();

    /// The first time: the value. Then the value once it is another one than was given last. After
    /// a failure it can be called again, and goes on from the value that was given last.
    ///
    /// Completes with: the errors of reading (no_auth ...), the ending of the session, cancelled
    /// (nothing is lost by it), already_waiting.
    operation<followed> next() const;

private:
    std::shared_ptr<detail::follow_state> state_;
};

/// Follows the value of a znode, which need not exist. Nothing is asked of a server before the
/// first `next()`; a malformed path shows there, as invalid_path. The stream of a handle that is
/// not pinned to a session goes on in the next one.
value_stream follow(const client& zk, std::string path);

}  // namespace coati
