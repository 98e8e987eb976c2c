// What a connection of the scripted server says: the handshake, answers, events.
//
// Requests are answered in their order: whatever depends on a transaction that is not done yet
// waits for it. Knows frames and sessions; bytes and scripts are server_connection.cpp's.
#include "handshake_frames.hpp"
#include "model/java_text.hpp"
#include "server_core.hpp"

#include <coati/wire/operation_admin.hpp>

#include <utility>

namespace coati::testing {

namespace {

/// Whether the ensemble is asked: without it, a server with its own copy cannot answer.
bool is_for_all(wire::op_code op)
{
    return is_transaction(op) || op == wire::op_code::sync;
}

}  // namespace

// --- requests ------------------------------------------------------------------------------------

bool server_connection::may_process(const item& next) const
{
    if (unfinished_ == 0) {
        return true;
    }
    // Behind transactions under way only what becomes one too: an answer of its own would overtake
    // theirs.
    wire::reader in(next.bytes);
    wire::request_header header;
    const bool is_one = established_ && !next.answer && wire::decode(in, header) &&
                        is_for_all(header.type) && server_.lock()->serves() && owns_session() &&
                        is_known(header.type, server_.lock()->copy->settings()) &&
                        is_readable(header.type, in.rest());
    const auto& options = ensemble().options;
    const bool may_be_refused = options.local_sessions && !options.local_session_upgrading;
    return is_one && !may_be_refused;
}

void server_connection::process(const item& next)
{
    if (!established_) {
        shake_hands(next.bytes);
        return;
    }
    wire::reader in(next.bytes);
    wire::request_header header;
    if (!wire::decode(in, header)) {
        close();
        return;
    }
    const auto server = server_.lock();
    if (!ensemble().options.elections || ensemble().can_commit(*server)) {
        ensemble().touch(session());
    }
    if (next.answer) {
        answer(header, *next.answer, server->copy->zxid());
    } else {
        execute(header, in.rest());
    }
}

void server_connection::execute(const wire::request_header& header, std::string_view body)
{
    const auto server = server_.lock();
    const server_state& copy = *server->copy;
    const bool asks_all = is_for_all(header.type) && is_known(header.type, copy.settings());
    if (!asks_all) {
        const auto keep = server->copy;  // while its answer is read
        if (header.type == wire::op_code::check_watches) {
            for (const auto& [number, each] : server->connections) {
                peer_.of_all.push_back(&each->peer_.watches);
            }
        }
        const reply r = serve(copy, peer_, header.type, body);
        peer_.of_all.clear();
        for (const auto& each : r.before) {
            send_event(each);
        }
        answer(header, r.err, r.zxid, r.body);
        if (r.hangs_up) {
            close_when_sent();
        }
    } else if (server->serves()) {
        ask(header, body);
    } else if (header.type == wire::op_code::close_session) {
        ensemble().forget(session());
        answer(header, 0, copy.zxid());
        close_when_sent();
    } else {
        answer(header, number(errc::not_read_only), copy.zxid());
    }
}

void server_connection::ask(const wire::request_header& header, std::string_view body)
{
    const auto server = server_.lock();
    if (!owns_session()) {
        close();  // it has moved: an old connection may read, and no more
        return;
    }
    // These are read before they get a number; since 3.9 all are.
    const bool is_read_first = header.type == wire::op_code::sync ||
                               header.type == wire::op_code::reconfig ||
                               server->copy->settings().is_39();
    if (is_read_first && !is_readable(header.type, body)) {
        answer(header, number(errc::marshalling_error), server->copy->zxid());
        return;
    }
    if (makes_ephemeral(header.type, body) && !upgrade_session()) {
        answer(header, number(errc::ephemeral_on_local_session), server->copy->zxid());
        return;
    }
    transaction t;
    t.op = header.type;
    t.body = body;
    if (header.type == wire::op_code::sync && !body.starts_with("\xff\xff\xff\xff")) {
        wire::sync::request synced;
        wire::reader in(body);
        wire::decode(in, synced);
        t.body.clear();
        wire::encode(t.body, as_java_has_it(synced.path));  // without what stood behind it
    }
    t.session = session();
    t.who = peer_.who;
    ++unfinished_;
    server->ask(std::move(t), {weak_from_this(), header.xid});
}

bool server_connection::owns_session() const
{
    const auto mine = ensemble().sessions.find(session());
    return mine != ensemble().sessions.end() && mine->second.owner.lock().get() == this;
}

bool server_connection::upgrade_session()
{
    server_session& mine = ensemble().sessions.at(session());
    if (!mine.is_local) {
        return true;
    }
    if (!ensemble().options.local_session_upgrading) {
        return false;
    }
    mine.is_local = false;
    transaction t;
    t.session = session();
    ensemble().submit(std::move(t));
    return true;
}

void server_connection::finish(const outcome& done, const transaction& t, std::int32_t xid)
{
    const auto self = shared_from_this();
    --unfinished_;
    if (t.op == wire::op_code::create_session) {
        welcome();
    } else if (!done.is_silent) {
        answer({xid, t.op}, done.err, t.zxid, done.body);
    }
    const bool is_over = closes_when_done_ && unfinished_ == 0;
    if (t.op == wire::op_code::close_session || is_over) {
        close_when_sent();
    }
    if (!processing_) {
        go_on();
    }
}

void server_connection::answer(const wire::request_header& header, std::int32_t err,
                               std::int64_t zxid, std::string_view body)
{
    const std::int32_t xid = header.type == wire::op_code::ping ? wire::ping_xid : header.xid;
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{xid, zxid, err});
    frame += body;
    wire::close_frame(frame, at);
    send(std::move(frame), header.type, xid);
}

// --- events --------------------------------------------------------------------------------------

void server_connection::send_event(const event& what)
{
    constexpr std::int32_t sync_connected = 3;
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(
        frame, wire::reply_header{wire::notification_xid, what.zxid, 0},
        wire::watcher_event{static_cast<std::int32_t>(what.type), sync_connected, what.path});
    wire::close_frame(frame, at);
    send(std::move(frame), wire::op_code::notification, wire::notification_xid, what.path);
}

void server_connection::hear(const std::vector<change>& changes, std::int64_t zxid)
{
    if (closing_ || peer_.watches.empty()) {
        return;
    }
    const auto self = shared_from_this();
    const auto copy = server_.lock()->copy;
    const rules& has = copy->settings();
    for (const auto& what : changes) {
        for (const auto& each : heard_by(peer_, what, zxid, has)) {
            send_event(each);
        }
    }
}

// --- the handshake -------------------------------------------------------------------------------

void server_connection::shake_hands(std::string_view payload)
{
    // Clients before 3.4 end without the read-only flag, and get an answer without it.
    const std::string padded = std::string(payload) + '\0';
    wire::reader exact(payload);
    wire::reader with_flag(padded);
    wire::connect_request request;
    has_flag_ = wire::decode(exact, request);
    if (!has_flag_ && !wire::decode(with_flag, request)) {
        close();
        return;
    }
    const auto server = server_.lock();
    const bool is_for_it = server->takes(request.read_only && request.session_id == 0);
    if (request.last_zxid_seen > server->copy->zxid() || !is_for_it) {
        close();
        return;
    }
    if (request.session_id != 0) {
        take_session(request);
        return;
    }
    ensemble_core& all = ensemble();
    peer_.session = all.open_session(all.negotiate(request.timeout_ms), *server);
    established_ = true;
    server_session& mine = all.sessions.at(session());
    mine.owner = weak_from_this();
    if (mine.is_local) {
        welcome();
        return;
    }
    transaction t;
    t.session = session();
    ++unfinished_;
    server->ask(std::move(t), {weak_from_this(), 0});
}

void server_connection::take_session(const wire::connect_request& request)
{
    ensemble_core& all = ensemble();
    const auto server = server_.lock();
    const auto found = all.sessions.find(request.session_id);
    if (found == all.sessions.end() ||
        (found->second.is_local && found->second.home != server.get())) {
        refuse_session();
        return;
    }
    // Before the password is looked at: that is how a stranger disconnects the owner.
    const auto owner = found->second.owner.lock();
    if (owner && owner->server() == server.get()) {
        owner->close();
    }
    if (found->second.password != request.password) {
        refuse_session();
        return;
    }
    peer_.session = request.session_id;
    established_ = true;
    found->second.timeout = all.negotiate(request.timeout_ms);
    found->second.owner = weak_from_this();
    all.touch(session());
    welcome();
}

void server_connection::welcome()
{
    const auto found = ensemble().sessions.find(session());
    if (found == ensemble().sessions.end()) {
        refuse_session();  // ended before it was known here
        return;
    }
    const server_session& mine = found->second;
    wire::connect_response response;
    response.timeout_ms = static_cast<std::int32_t>(mine.timeout.count());
    response.session_id = session();
    response.password = mine.password;
    if (has_flag_) {
        response.read_only.value = !server_.lock()->serves();
    }
    send(frame_of(response), wire::op_code::notification, 0);
}

void server_connection::refuse_session()
{
    established_ = true;  // whatever comes behind it is dropped with the connection
    send(refusal_frame(has_flag_), wire::op_code::notification, 0);
    close_when_sent();
}

// --- four-letter words ---------------------------------------------------------------------------

std::optional<std::string> word_answer(const server_core& server, std::string_view word)
{
    if (word != "srvr" && word != "ruok" && word != "isro") {
        return std::nullopt;
    }
    const ensemble_core& all = *server.ensemble;
    if (!all.options.four_letter_words) {
        return std::string(word) + " is not executed because it is not in the whitelist.\n";
    }
    if (word == "ruok") {
        return "imok";
    }
    if (word == "isro") {
        return server.serves() ? "rw" : all.options.read_only_mode ? "ro" : "null";
    }
    if (!server.takes(true)) {
        return "This ZooKeeper instance is not currently serving requests\n";
    }
    std::array<char, 19> zxid{};
    std::snprintf(zxid.data(), zxid.size(), "0x%llx",
                  static_cast<unsigned long long>(server.copy->zxid()));
    return "Zookeeper version: " + all.options.version +
           "-scripted, built on 2024-01-01 00:00 UTC\n"
           "Connections: " +
           std::to_string(server.connections.size()) + "\nZxid: " + zxid.data() +
           "\nMode: " + std::string(all.role_of(server)) +
           "\nNode count: " + std::to_string(server.copy->tree().count_descendants("/") + 1) + "\n";
}

}  // namespace coati::testing
