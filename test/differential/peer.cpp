// Connections and sessions of one side, step by step.
#include "peer.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/op_code.hpp>

#include <sys/socket.h>
#include <sys/time.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace coati::differential {

using wire::op_code;

namespace {

constexpr std::size_t chunk_size = 65'536;
constexpr int patience_s = 15;

test::unique_fd connect(std::uint16_t port)
{
    test::unique_fd fd = test::connect_loopback(port, patience_s * 1'000);
    if (!fd) {
        throw std::runtime_error("no connection to port " + std::to_string(port));
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval limit{patience_s, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

/// What cannot be written is noticed by reading.
void write_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

constexpr auto ping_number = static_cast<std::int32_t>(op_code::ping);

std::string prefix_of(std::size_t slot)
{
    return "slot " + std::to_string(slot) + ": ";
}

void prefix(transcript& lines, std::size_t from, std::size_t slot)
{
    for (; from < lines.size(); ++from) {
        lines[from].insert(0, prefix_of(slot));
    }
}

}  // namespace

// --- frames --------------------------------------------------------------------------------------

std::optional<std::string> peer::receive(connection& at, transcript& out)
{
    char chunk[chunk_size];
    while (at.fd) {
        const auto found = wire::next_frame(at.received, wire::default_max_reply);
        if (found.status == wire::frame_status::complete) {
            std::string payload(found.payload);
            at.received.erase(0, found.consumed);
            return payload;
        }
        const ssize_t n = ::recv(at.fd.get(), chunk, sizeof chunk, 0);
        if (n > 0) {
            at.received.append(chunk, static_cast<std::size_t>(n));
            continue;
        }
        out.push_back(n < 0 && errno == EAGAIN ? "silence" : "closed");
        at = connection{};
    }
    return std::nullopt;
}

void peer::note(client& s, connection& at, std::string_view payload, transcript& out)
{
    wire::reader in(payload);
    wire::reply_header header;
    if (!wire::decode(in, header)) {
        out.push_back("not a reply " + quoted(payload));
        return;
    }
    if (header.xid == wire::notification_xid) {
        out.push_back(words_.event(header.zxid, in.rest()));
        return;
    }
    s.zxid = std::max(s.zxid, header.zxid);
    newest_ = std::max(newest_, header.zxid);
    // What is not answered at all is skipped by the answer to the next.
    while (!at.waiting.empty() && at.waiting.front().first != header.xid) {
        at.waiting.pop_front();
    }
    std::int32_t op = 0;
    if (!at.waiting.empty()) {
        op = at.waiting.front().second;
        at.waiting.pop_front();
    }
    out.push_back(words_.reply(op, header, in.rest()));
    has_changed_ = has_changed_ || (header.err == 0 && may_change(op));
    const bool is_over = op == static_cast<std::int32_t>(op_code::close_session) && header.err == 0;
    s.lives = s.lives && !is_over;
    constexpr std::int32_t unimplemented = -6;
    constexpr std::int32_t auth_failed = -115;
    s.is_dismissed =
        is_over || header.err == auth_failed || (header.err == unimplemented && header.zxid == -1);
}

void peer::hear(client& s, connection& at, transcript& out, std::size_t left)
{
    while (at.waiting.size() > left) {
        const auto payload = receive(at, out);
        if (!payload) {
            return;
        }
        note(s, at, *payload, out);
    }
}

void peer::send_request(client& s, const request& r, std::string& out)
{
    const std::int32_t xid = r.xid ? *r.xid : ++s.at.xid;
    s.at.waiting.emplace_back(r.op == ping_number ? wire::ping_xid : xid, r.op);
    out += frame_of(r, xid, {words_.root(), newest_});
}

void peer::append_ping(connection& at, std::string& out)
{
    wire::encode(out, std::int32_t{8}, wire::ping_xid, ping_number);
    at.waiting.emplace_back(wire::ping_xid, ping_number);
}

void peer::send_ping(connection& at)
{
    std::string frame;
    append_ping(at, frame);
    write_all(at.fd.get(), frame);
}

// --- steps ---------------------------------------------------------------------------------------

void peer::start(const step& s)
{
    client& mine = slots_[s.slot];
    has_changed_ = false;
    switch (s.what) {
    case step::kind::drop: ::shutdown(mine.at.fd.get(), SHUT_WR); break;
    case step::kind::open:
    case step::kind::resume: say_hello(s); break;
    case step::kind::batch: {
        if (!mine.at.fd) {
            return;
        }
        std::string bytes;
        for (const request& each : s.requests) {
            send_request(mine, each, bytes);
        }
        if (!may_end_connection(s.requests.back()) || may_be_silent(s.requests.back())) {
            append_ping(mine.at, bytes);
        }
        write_all(mine.at.fd.get(), bytes);
        break;
    }
    }
}

transcript peer::finish(const step& s)
{
    transcript out;
    client& mine = slots_[s.slot];
    if (s.what == step::kind::batch) {
        hear(mine, mine.at, out);
        if (mine.at.fd && mine.is_dismissed) {
            hear_end(mine, out);
        } else if (mine.at.fd && may_end_connection(s.requests.back()) &&
                   !may_be_silent(s.requests.back())) {
            send_ping(mine.at);
            hear(mine, mine.at, out);
        }
        mine.is_dismissed = false;
    } else if (s.what == step::kind::drop) {
        // Until the server has noticed: only then it has forgotten what was watched.
        while (receive(mine.at, out)) {}
    } else {
        hear_hello(s, out);
    }
    prefix(out, 0, s.slot);
    return out;
}

void peer::say_hello(const step& s)
{
    client& mine = slots_[s.slot];
    const bool is_new = s.what == step::kind::open;
    mine.before = std::move(mine.at);
    mine.at = connection{connect(port_), {}, {}, 0};
    if (is_new) {
        mine.before = connection{};
    }
    std::int64_t zxid = 0;
    switch (s.hello.last_zxid) {
    case greeting::zxid::none: break;
    case greeting::zxid::seen: zxid = mine.zxid; break;
    case greeting::zxid::negative: zxid = -5; break;
    case greeting::zxid::future: zxid = newest_ + 1'000'000; break;
    }
    std::string password = is_new ? std::string(16, '\0') : mine.password;
    switch (s.hello.with) {
    case greeting::password::right: break;
    case greeting::password::wrong: password[3] = static_cast<char>(password[3] ^ 1); break;
    case greeting::password::too_long: password += 'x'; break;
    case greeting::password::empty: password.clear(); break;
    }
    std::string frame;
    const auto at = wire::open_frame(frame);
    const std::int64_t session = is_new ? 0 : mine.session;
    wire::encode(frame, std::int32_t{0}, zxid, s.hello.timeout_ms, session, password);
    if (s.hello.has_flag) {
        wire::encode(frame, s.hello.read_only);
    }
    wire::close_frame(frame, at);
    write_all(mine.at.fd.get(), frame);
}

void peer::hear_hello(const step& s, transcript& out)
{
    client& mine = slots_[s.slot];
    if (const auto payload = receive(mine.at, out)) {
        wire::reader in(*payload);
        wire::connect_response r;
        wire::decode(in, r);
        out.push_back("hello: timeout " + std::to_string(r.timeout_ms) + ", password of " +
                      std::to_string(r.password.size()) +
                      (r.read_only.value ? *r.read_only.value ? ", read-only" : ", flag" : "") +
                      (r.session_id == 0              ? ", no session"
                       : r.session_id == mine.session ? ", the same session"
                                                      : ", a new session"));
        if (r.timeout_ms > 0) {
            mine.session = r.session_id;
            mine.lives = true;
            mine.password = r.password;
            words_.add_session(r.session_id);
            send_ping(mine.at);
            hear(mine, mine.at, out);
        } else {
            receive(mine.at, out);  // the end of it
            mine.at = connection{};
        }
    }
    hear_old(mine, out);
}

/// Who resumes a session throws out whoever has it, sometimes even when refused.
void peer::hear_old(client& s, transcript& out)
{
    if (!s.before.fd) {
        return;
    }
    out.push_back("the connection before:");
    send_ping(s.before);
    hear(s, s.before, out);
    if (!s.at.fd) {
        s.at = std::move(s.before);
    }
    s.before = connection{};
}

/// The server hangs up, now or soon: a ping may still be answered, or not. Without one a real
/// server sometimes forgets to.
void peer::hear_end(client& s, transcript& out)
{
    send_ping(s.at);
    transcript last;
    hear(s, s.at, last);
    if (s.at.fd) {
        last.clear();
        receive(s.at, last);
    }
    s.at = connection{};
    out.push_back(last.empty() ? "more" : last.back());
}

void peer::ask_others(std::size_t but)
{
    for (std::size_t i = 0; i < slots; ++i) {
        if (i != but && slots_[i].at.fd) {
            send_ping(slots_[i].at);
        }
    }
}

transcript peer::hear_others(std::size_t but)
{
    transcript out;
    for (std::size_t i = 0; i < slots; ++i) {
        const std::size_t from = out.size();
        if (i != but) {
            hear(slots_[i], slots_[i].at, out);
        }
        prefix(out, from, i);
    }
    return out;
}

// --- between rounds ------------------------------------------------------------------------------

void peer::connect_control()
{
    control_.at = connection{connect(port_), {}, {}, 0};
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, std::int32_t{0}, std::int64_t{0}, std::int32_t{1'000'000}, std::int64_t{0},
                 std::string(16, '\0'), false);
    wire::close_frame(frame, at);
    write_all(control_.at.fd.get(), frame);
    transcript lines;
    if (!receive(control_.at, lines)) {
        throw std::runtime_error("no session on port " + std::to_string(port_));
    }
    std::vector<question> auth{{static_cast<std::int32_t>(op_code::auth)}};
    wire::encode(auth[0].body, std::int32_t{0}, std::string("digest"), std::string("super:secret"));
    ask(auth);
}

void peer::ask(std::vector<question>& all)
{
    std::string frames;
    for (const question& each : all) {
        const auto at = wire::open_frame(frames);
        wire::encode(frames, ++control_.at.xid, each.op);
        frames += each.body;
        wire::close_frame(frames, at);
    }
    write_all(control_.at.fd.get(), frames);
    for (question& each : all) {
        transcript lines;
        const auto payload = receive(control_.at, lines);
        wire::reader in(payload ? std::string_view(*payload) : std::string_view());
        wire::reply_header header;
        if (!wire::decode(in, header)) {
            throw std::runtime_error("the server on port " + std::to_string(port_) +
                                     " does not answer the clean-up");
        }
        each.err = header.err;
        each.answer = in.rest();
        newest_ = std::max(newest_, header.zxid);
    }
}

void peer::clean()
{
    std::vector<std::string> paths{""};
    for (std::size_t seen = 0; seen < paths.size();) {
        std::vector<question> level;
        for (std::size_t i = seen; i < paths.size(); ++i) {
            level.push_back({static_cast<std::int32_t>(op_code::get_children)});
            wire::encode(level.back().body, paths[i].empty() ? std::string("/") : paths[i], false);
        }
        ask(level);
        for (const question& each : level) {
            const std::string above = paths[seen++];
            std::vector<std::string> names;
            wire::reader in(each.answer);
            if (each.err == 0 && wire::decode(in, names)) {
                for (const auto& name : names) {
                    paths.push_back(above + '/' + name);
                }
            }
        }
    }
    std::vector<question> removals;
    for (; paths.size() > 1; paths.pop_back()) {
        const std::string& path = paths.back();
        if (path != "/zookeeper" && path != "/zookeeper/config" && path != "/zookeeper/quota") {
            removals.push_back({static_cast<std::int32_t>(op_code::remove)});
            wire::encode(removals.back().body, path, std::int32_t{-1});
        }
    }
    ask(removals);
}

/// Ends a session that a difference has left behind.
void peer::leave(std::size_t number)
{
    client& mine = slots_[number];
    transcript ignored;
    if (!mine.lives) {
        return;
    }
    if (!mine.at.fd) {
        const step back{step::kind::resume, number};
        start(back);
        finish(back);
    }
    if (mine.at.fd) {
        step end{step::kind::batch, number};
        end.requests.push_back({static_cast<std::int32_t>(op_code::close_session)});
        start(end);
        finish(end);
    }
}

void peer::quit()
{
    for (std::size_t i = 0; i < slots; ++i) {
        leave(i);
    }
    clean();
    std::vector<question> last{{static_cast<std::int32_t>(op_code::close_session)}};
    ask(last);
    control_ = client{};
}

void peer::begin_round(const std::string& root)
{
    for (std::size_t i = 0; i < slots; ++i) {
        leave(i);
        slots_[i] = client{};
    }
    if (!control_.at.fd) {
        connect_control();
    }
    clean();
    std::vector<question> all;
    const auto add = [&](op_code op, const std::string& path) {
        const request r{static_cast<std::int32_t>(op), path};
        all.push_back({r.op, frame_of(r, 0, {}).substr(wire::frame_prefix_size + 8)});
    };
    // What is not the round's own begins as it began the round before.
    for (const char* path : {"/", "/zookeeper", "/zookeeper/quota"}) {
        add(op_code::set_acl, path);
        add(op_code::set_data, path);
    }
    add(op_code::create, root);
    ask(all);
    words_.begin_round(root, newest_);
}

}  // namespace coati::differential
