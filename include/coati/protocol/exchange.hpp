// The exchange of requests and replies over one connection after another: who waits, who is on the
// wire, whose reply this is, and what becomes of everybody when the connection is lost.
//
// All rules about order, xids, replay and fate live here; nothing here knows a socket or a clock.
// The shell (src/engine.cpp) moves bytes: take_output -> write -> on_written, read -> on_frame.
#pragma once

#include <coati/auth.hpp>
#include <coati/protocol/abilities.hpp>
#include <coati/protocol/request.hpp>
#include <coati/protocol/ring.hpp>
#include <coati/protocol/watch_table.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coati::protocol {

/// A request is in one of these states; `abandoned` keeps its place until its reply has passed.
enum class request_state : std::uint8_t { waiting, staged, written, abandoned, done };

class exchange {
public:
    exchange() = default;
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;
    ~exchange() { discard_all(); }

    // --- what the application wants --------------------------------------------------------------

    /// Takes ownership. Requests go out and are answered in the order of submission.
    ticket submit(request& what);

    /// Completes the request with `code` now; its reply, if one is due, is read and dropped.
    /// False: it has been answered already.
    bool abandon(ticket which, errc code);

    request_state state_of(ticket which) const noexcept;

    /// Shows these credentials, the body of an auth request, on this connection and on every later
    /// one, ahead of everything else. Gives their number: they have been accepted on this
    /// connection when `authenticated()` is above it. The same ones again are not sent again.
    std::size_t authenticate(secret body);
    std::size_t authenticated() const noexcept { return auth_accepted_; }

    // --- what the connection does ----------------------------------------------------------------

    /// A connection is up and its handshake done: counters start anew, `set_watches` (from
    /// watch_table::collect) go ahead of everything.
    void on_connected(std::vector<registration> set_watches = {});

    void queue_ping();
    bool has_output() const noexcept;
    /// Appends frames of waiting requests, in order, until about `limit` bytes; they are `staged`.
    /// The table has a say in requests that arm watches. True: what it appended are credentials, in
    /// a write of their own; to be wiped afterwards.
    bool take_output(std::string& out, std::size_t limit, watch_table& watches);
    /// From now on no request is staged that `server` does not know, nor one behind it; null: all
    /// are.
    void consult(const abilities* server) noexcept { server_ = server; }
    /// About the next request that waits. Anything but `known` holds it and all behind it back.
    knowledge of_next() const noexcept;
    /// The next request that waits fails with unimplemented.
    void refuse_next();
    /// So many more bytes of the output were handed to the kernel, also when the write failed.
    void on_written(std::size_t bytes) noexcept { written_ += bytes; }

    /// One frame's payload. Empty: go on. Otherwise the connection (or the session) ends with it.
    [[nodiscard]] std::optional<errc> on_frame(std::string_view payload, watch_table& watches);
    /// The header of a frame that is too large to be read: its request fails, the session does not.
    [[nodiscard]] std::optional<errc> on_oversized(std::string_view header);

    /// The connection is gone: a written write fails with connection_loss and maybe_applied, every
    /// other request waits for the next connection, in its old order; fail_fast ones fail.
    void on_lost(const error& why);

    // --- endings

    /// Everything pending completes with this code, each with its own fate.
    void fail_all(const error& why);
    void discard_all() noexcept;

    // --- looking

    /// Highest zxid of a reply in this session; notifications, pings and auth do not move it.
    std::int64_t last_zxid() const noexcept { return last_zxid_; }
    void set_last_zxid(std::int64_t zxid) noexcept { last_zxid_ = zxid; }
    /// Frames sent on this connection that are answered in order, and how many of them have been.
    std::uint64_t frames_sent() const noexcept { return frames_sent_; }
    std::uint64_t frames_answered() const noexcept { return frames_answered_; }
    std::size_t pending() const noexcept { return slots_.size(); }
    std::size_t in_flight() const noexcept { return staged_; }
    /// The request that the last reply of this connection said is unimplemented.
    std::optional<wire::op_code> refused_last() const noexcept { return refused_; }
    /// True while a request that would arm a watch on `path` is on its way.
    bool is_arming(std::string_view path) const noexcept;
    /// For tests of the wrap: the next xid to be used.
    void set_next_xid(std::int32_t xid) noexcept { next_xid_ = xid; }

private:
    struct slot {
        request* what = nullptr;  // null: abandoned
        std::int32_t xid = 0;     // 0: no reply is due
        std::uint64_t end = 0;    // where its frame ends in this connection's byte stream
    };

    std::optional<errc> on_reply(std::int32_t xid, const reply& r);
    std::optional<errc> on_special(std::int32_t xid, const reply& r, watch_table& watches);
    void stage_credentials(std::string& out);
    void stage(std::string& out, std::int32_t xid, wire::op_code op, std::string_view body);
    bool is_written(const slot& s) const noexcept;
    fate fate_of(const slot& s, bool staged) const noexcept;
    bool may_go(const request& what) const noexcept
    {
        return server_ == nullptr || server_->of(what.op) == knowledge::known;
    }
    void pop_front() noexcept;
    void drop_dead_front() noexcept;
    /// Is this the reply that comes next? Replies come in the order of the requests.
    bool is_due(std::int32_t xid) noexcept;
    std::int32_t take_xid() noexcept;

    ring<slot> slots_;  // [0, staged_) were staged on this connection, the rest waits
    std::size_t staged_ = 0;
    ticket first_ = 1;         // the ticket of slots_[0]
    std::size_t waiting_ = 0;  // live requests behind staged_

    std::uint64_t handed_out_ = 0;  // bytes given to the writer on this connection
    std::uint64_t written_ = 0;     // of these, bytes in the kernel
    std::uint64_t received_ = 0;    // of these, bytes that a lossy reply proves the server has
    std::uint64_t frames_sent_ = 0;
    std::uint64_t frames_answered_ = 0;
    std::vector<registration> set_watches_;  // they go first
    std::size_t set_watches_due_ = 0;        // replies to come, matched by order (trap 4)
    bool ping_queued_ = false;

    // Credentials in the order in which they are shown, which is that of the answers: those may
    // overtake all other replies, but not each other.
    std::vector<secret> auths_;
    std::size_t auth_sent_ = 0;  // of these, on this connection
    std::size_t auth_accepted_ = 0;

    const abilities* server_ = nullptr;
    std::optional<wire::op_code> refused_;
    std::int32_t next_xid_ = 1;
    std::int64_t last_zxid_ = 0;
};

}  // namespace coati::protocol
