// What is watched on the server by this session, by server path: data, exist and child watches,
// which fire once, and persistent and recursive ones, which stay; what an event fires, and what has
// to be registered again on the next connection.
//
// Several watchers on one path are one watch on the server. A server before 3.9 keeps one mode a
// path, so that a one-shot watch ends a persistent one and a recursive one takes its place
// (ZOOKEEPER-4466); the rules that keep all of them alive there are in `stage_read`, `stage_add`
// and `fire`, and hold for newer servers as well. Knows no handler and no
// coroutine. Server paths only: the chroot is the client's.
#pragma once

#include <coati/error.hpp>
#include <coati/event.hpp>
#include <coati/wire/op_code.hpp>
#include <coati/wire/watch_kind.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coati::protocol {

class request;
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
    /// A one-shot watch has fired; the watcher is out of the table. To a persistent watcher, which
    /// stays, this is a note to take: it must not touch the table now.
    virtual void on_event(event_type type, std::string_view server_path, std::int64_t zxid) = 0;
    /// A persistent watcher has missed events. A note to take, as above.
    virtual void on_gap(gap_reason) {}
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

/// A SetWatches or a SetWatches2, without its header.
class registration {
public:
    registration(wire::op_code which, std::string bytes) : op(which), body(std::move(bytes)) {}

    wire::op_code op;
    std::string body;
};

/// What one path is watched for, for those who want to know.
class watch_count {
public:
    std::string_view server_path;  ///< Of the table: valid until it changes.
    wire::watch_kind kind = wire::watch_kind::none;
    std::size_t watchers = 0;
};

class watch_table {
public:
    /// Arms a watcher: of a one-shot watch with the reply of its read, of a persistent one with the
    /// reply of its addWatch, before `on_add_answered`.
    void add(watcher& w, std::string_view server_path, wire::watch_kind kind);

    /// What `remove` found to be left of the server's watches on the path.
    enum class remains {
        others,       ///< Others need what the server has.
        nothing,      ///< Nobody needs its watch of this kind; data and exist are one there.
        nothing_else  ///< Nobody needs any, and it may have a persistent one: remove them all.
    };
    /// Takes the watcher out and says what of the server's may be removed.
    remains remove(watcher& w);
    /// A removal of everything that the server has for the path has been submitted.
    void forget(std::string_view server_path);

    /// Fires and removes what an event of a server fires; an event that nobody waits for is normal.
    void fire(event_type type, std::string_view server_path, std::int64_t zxid);

    /// The session is over: every watcher is told and out.
    void end_all(const error& why);

    // --- what goes out ---------------------------------------------------------------------------

    /// The bodies that register everything armed on a new connection, each with the same
    /// `relative_zxid` and at most about `chunk` bytes of paths, since one giant request exceeds
    /// jute.maxbuffer. Persistent watches come last, for they must have the last word.
    std::vector<registration> collect(std::int64_t relative_zxid, std::size_t chunk) const;
    /// A connection begins with what `collect` gave. Persistent watchers are told of the gap: a
    /// server replays nothing for them.
    void on_connected();

    /// A request that arms a watch is about to be sent: makes its body ask for what leaves every
    /// other watch of its path alive.
    void on_staging(request& what);
    /// What an addWatch was answered with, after its watcher has been added; `sent` is what its
    /// body asked for in the end. True: it has to be sent again.
    [[nodiscard]] bool on_add_answered(std::string_view server_path, wire::watch_kind sent,
                                       bool succeeded);

    /// Paths whose last watcher has gone while the server still has a persistent watch there.
    std::vector<std::string> take_forsaken() { return std::exchange(forsaken_, {}); }
    bool has_forsaken() const noexcept { return !forsaken_.empty(); }

    // --- looking

    std::size_t size() const noexcept { return size_; }
    bool is_watched(std::string_view server_path) const
    {
        return entries_.find(server_path) != entries_.end();
    }
    std::vector<watch_count> counts() const;

    /// ClientCnxn.java SET_WATCHES_MAX_LENGTH; ZOOKEEPER-706.
    static constexpr std::size_t set_watches_chunk = 128 * 1024;

private:
    static constexpr std::size_t kinds = 5;
    struct entry {
        std::array<watch_link, kinds> lists;
        bool empty() const noexcept;
    };
    /// The server's persistent watch of one path, in the order of this connection's replies.
    /// Kinds are compared: a recursive watch is the stronger one.
    struct server_watch {
        wire::watch_kind held = wire::watch_kind::none;   // by the last reply
        wire::watch_kind asked = wire::watch_kind::none;  // by what is on its way
        std::size_t in_flight = 0;                        // so many addWatch
        bool disturbed = false;  // a one-shot watch was sent behind the last addWatch
        bool owes_gap = false;   // and something may have been missed
    };
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept
        {
            return std::hash<std::string_view>{}(s);
        }
    };
    template <class T>
    using map = std::unordered_map<std::string, T, hash, std::equal_to<>>;

    static std::size_t index(wire::watch_kind kind) noexcept;
    static watch_link& list_of(entry& of, wire::watch_kind kind) noexcept;
    static bool has(const entry& of, wire::watch_kind kind) noexcept;
    static wire::watch_kind strongest(const entry& of) noexcept;
    void count(wire::watch_kind kind, std::size_t change) noexcept;
    void take(entry& from, wire::watch_kind kind, watch_link& into) noexcept;
    void erase_if_empty(map<entry>::iterator at);
    wire::watch_kind held_at(std::string_view server_path) const;
    bool stage_read(std::string_view server_path, wire::watch_kind kind);
    wire::watch_kind stage_add(std::string_view server_path, wire::watch_kind kind);

    void tell_streams(event_type type, const std::string& path, std::int64_t zxid);
    void tell_parent(const std::string& path, std::int64_t zxid, watch_link& fired);
    static void tell(entry& of, wire::watch_kind kind, event_type type, const std::string& path,
                     std::int64_t zxid);
    static void tell_gap(entry& of, gap_reason why);

    map<entry> entries_;
    map<server_watch> server_;  // empty while there are no persistent watches: the usual case
    std::vector<std::string> forsaken_;
    std::size_t size_ = 0;
    std::size_t persistent_ = 0;  // of size_: persistent and recursive ones
    std::size_t recursive_ = 0;   // of these
};

}  // namespace coati::protocol
