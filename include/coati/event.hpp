// What a watch delivers: the kind of change, the znode's path, and the zxid where the server sends
// it; and what a stream of a persistent watch delivers, which also tells what it could not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace coati {

/// Numbers of the protocol (org.apache.zookeeper.Watcher.Event.EventType), but for `gap`.
enum class event_type : std::int32_t {
    gap = 0,  ///< In streams only, and ours: events were missed here, so read again.
    created = 1,
    deleted = 2,
    data_changed = 3,
    children_changed = 4,
};

/// The name as written here ("data_changed"), or "unknown".
std::string_view name(event_type type) noexcept;

/// A change of a watched znode. It carries no data: read again, and arm again by the same read.
class event {
public:
    event() = default;
    /// What happened to which znode, by which zxid.
    event(event_type what, std::string where, std::int64_t when)
        : type(what), path(std::move(where)), zxid(when)
    {
    }

    event_type type = event_type::data_changed;  ///< Never `gap`.
    std::string path;  ///< Relative to the chroot of the handle that made the watch.
    /// The zxid of the change; -1 from servers before 3.9 and for changes made while disconnected.
    std::int64_t zxid = -1;

    friend bool operator==(const event&, const event&) = default;
};

/// Why a stream has a gap.
enum class gap_reason : std::uint8_t {
    none,  ///< It is no gap.
    /// The connection was lost. Servers replay nothing for persistent watches, so whatever happened
    /// until now is unknown.
    reconnected,
    overflow,  ///< The reader was too slow for the capacity of its stream.
    /// The watch had to be set again on the server, since a one-shot watch on the same path may
    /// have replaced it there for a moment (servers before 3.9, ZOOKEEPER-4466).
    set_again,
};

/// The name as written here ("reconnected").
std::string_view name(gap_reason why) noexcept;

/// One event of a persistent watch, or a gap: the place where events were missed.
class stream_event {
public:
    stream_event() = default;
    /// A change: what happened to which znode, by which zxid.
    stream_event(event_type what, std::string where, std::int64_t when)
        : type(what), path(std::move(where)), zxid(when)
    {
    }
    /// A gap, and how many events are missing, if anybody knows.
    explicit stream_event(gap_reason why, std::optional<std::uint64_t> lost = {})
        : type(event_type::gap), reason(why), dropped(lost)
    {
    }

    /// Whether it stands for events that were missed.
    bool is_gap() const noexcept { return type == event_type::gap; }

    event_type type = event_type::gap;  ///< What happened.
    /// Relative to the chroot of the handle that made the stream. Of a gap: the watched path.
    std::string path;
    /// The zxid of the change, of the last one if several were merged; -1 from servers before 3.9.
    std::int64_t zxid = -1;
    /// How many earlier events of the same type and path this one stands for, besides itself.
    std::uint64_t merged = 0;
    gap_reason reason = gap_reason::none;  ///< Why it is a gap; `none` for a change.
    /// Of a gap: how many events are missing. Empty: nobody knows.
    std::optional<std::uint64_t> dropped;

    friend bool operator==(const stream_event&, const stream_event&) = default;
};

}  // namespace coati
