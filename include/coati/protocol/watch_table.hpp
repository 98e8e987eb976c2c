// What is watched on the server by this session: data, exist and child watches by server path, what
// an event fires, and what has to be registered again on the next connection.
//
// Several watchers on one path and kind are one watch on the server. Knows no handler and no
// coroutine: a watcher is told once, then it is out of the table. Server paths only: the chroot is
// the client's.
#pragma once

#include <coati/error.hpp>
#include <coati/event.hpp>
#include <coati/wire/watch_kind.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace coati::protocol {

class watch_table;

/// A node of a circular list that unlinks itself wherever it is.
class watch_link {
public:
    watch_link() noexcept : prev_(this), next_(this) {}
    watch_link(const watch_link&) = delete;
    watch_link& operator=(const watch_link&) = delete;
    ~watch_link() { unlink(); }

    bool linked() const noexcept { return next_ != this; }
    void unlink() noexcept
    {
        prev_->next_ = next_;
        next_->prev_ = prev_;
        prev_ = next_ = this;
    }

protected:
    friend class watch_table;
    void insert_before(watch_link& other) noexcept
    {
        prev_ = other.prev_;
        next_ = &other;
        prev_->next_ = this;
        other.prev_ = this;
    }

    watch_link* prev_;
    watch_link* next_;
};

/// One subscriber of one watch. Not owned by the table; its destructor does not tell the server, so
/// the owner calls watch_table::remove first.
class watcher : public watch_link {
public:
    /// The watch has fired; the watcher is out of the table.
    virtual void on_event(event_type type, std::string_view server_path, std::int64_t zxid) = 0;
    /// The session is over; the watcher is out of the table.
    virtual void on_end(const error& why) = 0;

    wire::watch_kind kind() const noexcept { return kind_; }

protected:
    ~watcher() = default;

private:
    friend class watch_table;
    wire::watch_kind kind_ = wire::watch_kind::none;
    const std::string* path_ = nullptr;  // the key of its entry
};

class watch_table {
public:
    /// Arms a watcher. Only data, exist and child watches are one-shot watches.
    void add(watcher& w, std::string_view server_path, wire::watch_kind kind);

    /// What `remove` found to be left of the server's one watch.
    enum class remains { others, nothing };
    /// Takes the watcher out. `nothing`: it was the last that this path and server table had, so
    /// the server's watch may be removed. Data and exist watches are one table on the server.
    remains remove(watcher& w);

    /// Fires and removes what an event of a server fires; an event that nobody waits for is normal.
    void fire(event_type type, std::string_view server_path, std::int64_t zxid);

    /// The session is over: every watcher is told and out.
    void end_all(const error& why);

    /// Bodies of SetWatches requests for everything armed, each with the same `relative_zxid` and
    /// at most about `chunk` bytes of paths, since one giant request exceeds jute.maxbuffer.
    std::vector<std::string> collect(std::int64_t relative_zxid, std::size_t chunk) const;

    std::size_t size() const noexcept { return size_; }

    /// ClientCnxn.java SET_WATCHES_MAX_LENGTH; ZOOKEEPER-706.
    static constexpr std::size_t set_watches_chunk = 128 * 1024;

private:
    static constexpr std::size_t kinds = 3;  // data, exist, child
    struct entry {
        std::array<watch_link, kinds> lists;
        bool empty() const noexcept;
    };
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept
        {
            return std::hash<std::string_view>{}(s);
        }
    };
    using map = std::unordered_map<std::string, entry, hash, std::equal_to<>>;

    static std::size_t index(wire::watch_kind kind) noexcept;
    void take(entry& from, wire::watch_kind kind, watch_link& into) noexcept;

    map entries_;
    std::size_t size_ = 0;
};

}  // namespace coati::protocol
