// One of the two servers that are compared, and what is done to it: connections, sessions, and
// what came back, put into words that mean the same on both sides.
//
// Blocking sockets and the fuzzer's own idea of the protocol. Knows nothing of the other side.
#pragma once

#include "sequence.hpp"

#include <coati/stat.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/reader.hpp>

#include <support/port.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati::differential {

/// Frames of one step in the order in which they came, a line each.
using transcript = std::vector<std::string>;

/// Puts frames into words. Zxids are said relative to the start of the round, sessions by the
/// order in which they were opened; a time is "its own" when it is the one of its transaction.
class interpreter {
public:
    void begin_round(std::string root, std::int64_t zxid);
    const std::string& root() const { return root_; }

    std::string reply(std::int32_t op, const wire::reply_header& header, std::string_view body);
    std::string event(std::int64_t zxid, std::string_view body);
    void add_session(std::int64_t id) { sessions_.emplace(id, sessions_.size()); }

private:
    void body(std::string& out, std::int32_t op, wire::reader& in);
    void multi(std::string& out, wire::reader& in);
    void stat(std::string& out, wire::reader& in);
    void names(std::string& out, wire::reader& in, std::string_view group);
    void text(std::string& out, wire::reader& in);
    void data(std::string& out, wire::reader& in);
    void acls(std::string& out, wire::reader& in);
    void identities(std::string& out, wire::reader& in);
    std::string shown(std::string path) const;
    std::string relative(std::int64_t zxid) const;
    bool is_own_time(std::int64_t zxid, std::int64_t ms);

    std::string root_;
    std::int64_t base_ = 0;
    std::map<std::int64_t, std::size_t> sessions_;
    std::map<std::int64_t, std::int64_t> times_;  // of the transactions of this round
};

/// One server: slots with sessions, and a connection that cleans up.
class peer {
public:
    peer(std::uint16_t port, bool is_39) : port_(port), is_39_(is_39) {}

    /// An empty root for the round, and nothing of the last one.
    void begin_round(const std::string& root);

    /// Ends every session, that of the clean-up too: nothing expires later.
    void quit();

    // A step, in halves, so that both servers work on it at the same time.
    void start(const step& s);
    transcript finish(const step& s);
    /// What the others have heard of it.
    void ask_others(std::size_t but);
    transcript hear_others(std::size_t but);

    /// One that has not ended.
    bool has_session(std::size_t slot) const { return slots_[slot].lives; }
    /// One that may have ended.
    bool had_session(std::size_t slot) const { return slots_[slot].session != 0; }
    /// Whether the last step has changed something, as far as its replies tell.
    bool has_changed() const { return has_changed_; }
    bool is_connected(std::size_t slot) const { return bool(slots_[slot].at.fd); }

private:
    struct connection {
        test::unique_fd fd = test::unique_fd();
        std::string received;
        std::deque<std::pair<std::int32_t, std::int32_t>> waiting;  // xid, op
        std::int32_t xid = 0;
    };
    struct client {
        connection at;
        std::int64_t session = 0;
        bool lives = false;         // the session
        bool is_dismissed = false;  // the last reply says that the server hangs up
        std::string password;
        std::int64_t zxid = 0;  // the newest of a reply
        connection before;      // the one that a resume replaces, until that is decided
    };

    void send_request(client& s, const request& r, std::string& out);
    static void append_ping(connection& at, std::string& out);
    static void send_ping(connection& at);
    void say_hello(const step& s);
    void hear_hello(const step& s, transcript& out);
    void hear_end(client& s, transcript& out);
    void hear_old(client& s, transcript& out);
    /// One frame; nothing at the end of the connection, which is then let go.
    std::optional<std::string> receive(connection& at, transcript& out);
    /// Frames until none is waited for.
    void hear(client& s, connection& at, transcript& out, std::size_t left = 0);
    void note(client& s, connection& at, std::string_view payload, transcript& out);

    /// What the connection that cleans up asks: an op with its body, and what is answered.
    struct question {
        std::int32_t op = 0;
        std::string body{};
        std::string answer{};
        std::int32_t err = 0;
    };
    void ask(std::vector<question>& all);
    void leave(std::size_t number);
    void connect_control();
    /// Everything that the rounds left is removed, with the power to do so.
    void clean();

    /// Before 3.9 a check on its own is not answered when it is true; later it is unknown.
    bool may_be_silent(const request& r) const
    {
        return !is_39_ && r.op == static_cast<std::int32_t>(wire::op_code::check);
    }

    std::uint16_t port_;
    bool is_39_;
    interpreter words_;
    std::array<client, slots> slots_;
    client control_;
    std::int64_t newest_ = 0;
    bool has_changed_ = false;
};

}  // namespace coati::differential
