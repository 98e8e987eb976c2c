// coati::watch_stream: an owned persistent watch, whose events come as a stream.
#pragma once

#include <coati/event.hpp>
#include <coati/operation.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace coati {

namespace detail {
class stream_state;
}

/// What a persistent watch covers.
enum class watch_mode : std::uint8_t {
    /// The znode itself: its creation, removal and changes, and that its children came or went.
    persistent,
    /// The znode and everything below: every creation, removal and change, each by the path that it
    /// happened to. No event is of type children_changed.
    recursive,
};

/// How a stream keeps what its reader has not read yet: `zk.watch("/a", mode, {.merge = true})`.
struct stream_options {
    /// So many events wait at most. One more, and all of them give way to one gap that counts them.
    std::size_t capacity = 1024;
    /// An event replaces an unread one of the same type and path, and counts it: a burst of changes
    /// of one znode takes one place, and the order of what is left ends in the newest state.
    bool merge = false;
};

/// A persistent watch that was set by `client::watch`, as a stream of what it reports. It survives
/// reconnects. Nothing is lost unnoticed: wherever events may be missing there is a gap, and what
/// is read from the server after a gap holds everything from before it.
///
/// Move-only; its destructor unregisters, on the server too when nobody else watches the path, and
/// does not block. May be destroyed on any thread; everything else belongs on the client's
/// executor.
class watch_stream {
public:
    watch_stream() = default;
    /// For `client::watch`.
    explicit watch_stream(std::shared_ptr<detail::stream_state> state) : state_(std::move(state)) {}
    /// The other one holds nothing then.
    watch_stream(watch_stream&& other) noexcept = default;
    /// Unregisters what was here.
    watch_stream& operator=(watch_stream&& other) noexcept;
    ~watch_stream();

    /// The next event or gap, in the order of the server's. When the session has ended: first what
    /// still waits, then for ever the session's ending.
    ///
    /// Completes with: session_expired and every other ending of the session, cancelled (nothing is
    /// lost by it), already_waiting.
    operation<stream_event> next() const;

    /// The watched path, relative to the chroot of the handle that made the stream.
    const std::string& path() const noexcept;
    /// What it covers.
    watch_mode mode() const noexcept;
    /// Events that wait to be read; a gap is not counted.
    std::size_t unread() const noexcept;
    /// How the session ended; nothing while it lives, watch_ended for a stream that holds nothing.
    std::optional<error> end() const;

private:
    std::shared_ptr<detail::stream_state> state_;
};

/// One watch of this session, as the client keeps it: `zk.live_watches()`.
class live_watch {
public:
    /// Names the five kinds of watches.
    enum class watch_type : std::uint8_t { data, exist, child, persistent, recursive };

    /// For `client::live_watches`.
    live_watch(std::string where, watch_type what, std::size_t count)
        : path(std::move(where)), type(what), watchers(count)
    {
    }

    std::string path;      ///< Relative to the handle's chroot.
    watch_type type;       ///< Which of the five kinds.
    std::size_t watchers;  ///< So many watches of ours are this one on the server.

    friend bool operator==(const live_watch&, const live_watch&) = default;
};

}  // namespace coati
