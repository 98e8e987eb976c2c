// What a watch delivers: the kind of change, the znode's path, and the zxid where the server sends
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace coati {

/// Numbers of the protocol (org.apache.zookeeper.Watcher.Event.EventType).
enum class event_type : std::int32_t {
    created = 1,
    deleted = 2,
    data_changed = 3,
    children_changed = 4,
};

std::string_view name(event_type type) noexcept;

/// A change of a watched znode. It carries no data: read again, and arm again by the same read.
class event {
public:
    event() = default;
    event(event_type what, std::string where, std::int64_t when)
        : type(what), path(std::move(where)), zxid(when)
    {
    }

    event_type type = event_type::data_changed;
    std::string path;  ///< Relative to the chroot of the handle that made the watch.
    /// The zxid of the change; -1 from servers before 3.9 and for changes made while disconnected.
    std::int64_t zxid = -1;

    friend bool operator==(const event&, const event&) = default;
};

}  // namespace coati
