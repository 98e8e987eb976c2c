// One connection of the scripted server: bytes to frames, the handshake, the script, and back.
//
// Frames pass the script when they are received and when they are about to be queued for writing;
// each queue keeps its order whatever the script does. What an operation means is
// server_operations.cpp.
#include "server_core.hpp"

#include <utility>

namespace coati::testing {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

std::string password_zero()
{
    return std::string(16, '\0');
}

std::string frame_of(const wire::connect_response& response)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, response);
    wire::close_frame(frame, at);
    return frame;
}

}  // namespace

ensemble_core& server_connection::ensemble()
{
    return *server_.lock()->ensemble;
}

void server_connection::go_on()
{
    const auto self = shared_from_this();
    const auto server = server_.lock();
    if (closing_ || !server) {
        let_go();
        return;
    }
    if (server->paused) {
        return;
    }
    split_frames();
    process_all();
    write();
    read();
}

// --- in ------------------------------------------------------------------------------------------

void server_connection::read()
{
    const auto server = server_.lock();
    if (reading_ || closing_ || !server || server->paused) {
        return;
    }
    reading_ = true;
    const auto done = [self = shared_from_this()](error_code ec, std::size_t n) {
        self->on_read(ec, n);
    };
    stream_->read_some(asio::buffer(chunk_),
                       asio::bind_cancellation_slot(
                           cancel_read_.slot(), asio::bind_executor(server->ensemble->ex, done)));
}

void server_connection::on_read(error_code ec, std::size_t n)
{
    reading_ = false;
    if (closing_) {
        let_go();
        return;
    }
    received_.append(chunk_.data(), n);
    if (ec) {
        close();
        return;
    }
    go_on();
}

void server_connection::split_frames()
{
    std::string_view rest = received_;
    if (!seen_handshake_ && rest.size() >= 4) {
        const std::string_view word = rest.substr(0, 4);
        if (word == "srvr" || word == "ruok" || word == "isro") {
            answer_word(word);
            received_.clear();
            return;
        }
        if (!ensemble().quorum && !ensemble().options.read_only_mode) {
            close();
            return;
        }
    }
    while (!closing_) {
        const auto found = wire::next_frame(rest, wire::default_max_request);
        if (found.status == wire::frame_status::malformed) {
            close();
            return;
        }
        if (found.status == wire::frame_status::need_more) {
            break;
        }
        rest.remove_prefix(found.consumed);
        receive(found.payload);
    }
    received_.erase(0, received_.size() - rest.size());
}

void server_connection::answer_word(std::string_view word)
{
    const auto& options = ensemble().options;
    std::string text;
    if (!options.four_letter_words) {
        text = std::string(word) + " is not executed because it is not in the whitelist.\n";
    } else if (word == "ruok") {
        text = "imok";
    } else if (word == "isro") {
        text = ensemble().quorum ? "rw" : options.read_only_mode ? "ro" : "null";
    } else if (ensemble().quorum) {
        text = "Zookeeper version: " + options.version +
               "-scripted, built on 2024-01-01 00:00 UTC\n"
               "Mode: standalone\n";
    } else {
        text = "This ZooKeeper instance is not currently serving requests\n";
    }
    out_.push_back({std::move(text), false, true, {}});
}

void server_connection::receive(std::string_view payload)
{
    const auto server = server_.lock();
    wire::reader in(payload);
    wire::request_header header;
    frame_view view;
    view.connection = number_;
    view.payload = payload;
    view.handshake = !std::exchange(seen_handshake_, true);
    if (view.handshake) {
        wire::connect_request request;
        wire::decode(in, request);
        server->log.push_back({ensemble().time->now(),
                               number_,
                               request.session_id,
                               0,
                               wire::op_code::create_session,
                               {},
                               request.last_zxid_seen,
                               payload.size()});
    } else if (wire::decode(in, header)) {
        view.xid = header.xid;
        view.op = header.type;
        view.path = path_of(header.type, in.rest());
        record(header, payload);
    }
    item what{std::string(payload), false, false, {}};
    if (ask_script(view, what)) {
        in_.push_back(std::move(what));
    }
}

void server_connection::record(const wire::request_header& header, std::string_view payload)
{
    wire::reader in(payload.substr(8));
    std::int64_t zxid = 0;
    if (header.type == wire::op_code::set_watches || header.type == wire::op_code::set_watches2) {
        wire::decode(in, zxid);
    }
    server_.lock()->log.push_back(
        {ensemble().time->now(), number_, session, header.xid, header.type,
         std::string(path_of(header.type, payload.substr(8))), zxid, payload.size()});
}

bool server_connection::ask_script(const frame_view& view, item& what)
{
    const auto server = server_.lock();
    if (!server->hook) {
        return true;
    }
    const auto hook = server->hook;  // it may replace itself
    verdict v = hook(view);
    if (v.what == verdict::kind::drop) {
        return false;
    }
    if (v.what == verdict::kind::delay) {
        what.not_before = ensemble().time->now() + v.by;
    }
    if (v.what == verdict::kind::replace || v.what == verdict::kind::close) {
        what.bytes = std::move(v.bytes);
    }
    what.held = v.what == verdict::kind::withhold;
    what.then_close = v.then_close || v.what == verdict::kind::close;
    return true;
}

bool server_connection::ready(std::deque<item>& queue)
{
    if (queue.empty() || queue.front().held) {
        return false;
    }
    const time_point when = queue.front().not_before;
    if (when <= ensemble().time->now()) {
        return true;
    }
    if (when < alarm_) {
        alarm_ = when;
        const auto woken = [weak = weak_from_this(), when](error_code) {
            if (const auto self = weak.lock()) {
                self->alarm_ = self->alarm_ == when ? never : self->alarm_;
                self->go_on();
            }
        };
        ensemble().time->sleep_until(when, asio::bind_executor(ensemble().ex, woken));
    }
    return false;
}

void server_connection::process_all()
{
    if (std::exchange(processing_, true)) {
        return;
    }
    while (!closing_ && ready(in_)) {
        const item next = std::move(in_.front());
        in_.pop_front();
        if (!next.bytes.empty()) {
            process(next.bytes);
        }
        if (next.then_close && next.bytes.empty()) {
            close();
        } else if (next.then_close) {
            close_when_sent();
        }
    }
    processing_ = false;
}

void server_connection::process(std::string_view payload)
{
    if (!established_) {
        shake_hands(payload);
        return;
    }
    ensemble().touch(session);
    execute(*this, payload);
}

// --- the handshake -------------------------------------------------------------------------------

void server_connection::shake_hands(std::string_view payload)
{
    // Clients before 3.4 end without the read-only flag, and get an answer without it.
    const std::string padded = std::string(payload) + '\0';
    wire::reader exact(payload);
    wire::reader with_flag(padded);
    wire::connect_request request;
    const bool has_flag = wire::decode(exact, request);
    if (!has_flag && !wire::decode(with_flag, request)) {
        close();
        return;
    }
    ensemble_core& all = ensemble();
    const bool is_for_it = all.quorum || (request.read_only && request.session_id == 0);
    if (request.last_zxid_seen > all.zxid || !is_for_it) {
        close();
        return;
    }
    if (request.session_id == 0) {
        session = all.open_session(all.negotiate(request.timeout_ms));
        all.sessions.at(session).is_local = !all.quorum;
    } else {
        const auto found = all.sessions.find(request.session_id);
        if (found == all.sessions.end()) {
            refuse_session(has_flag);
            return;
        }
        // Before the password is looked at: that is how a stranger disconnects the owner.
        const auto owner = found->second.owner.lock();
        if (owner && owner->server_.lock() == server_.lock()) {
            owner->close();
        }
        if (found->second.password != request.password) {
            refuse_session(has_flag);
            return;
        }
        session = request.session_id;
        found->second.timeout = all.negotiate(request.timeout_ms);
        all.touch(session);
    }
    established_ = true;
    server_session& mine = all.sessions.at(session);
    mine.owner = weak_from_this();
    wire::connect_response response;
    response.timeout_ms = static_cast<std::int32_t>(mine.timeout.count());
    response.session_id = session;
    response.password = mine.password;
    if (has_flag) {
        response.read_only.value = mine.is_local;
    }
    send(frame_of(response), wire::op_code::notification, 0);
}

bool server_connection::owns_session()
{
    const auto mine = ensemble().sessions.find(session);
    return mine == ensemble().sessions.end() || mine->second.owner.lock().get() == this;
}

void server_connection::refuse_session(bool with_flag)
{
    const std::string zero = password_zero();
    wire::connect_response response;
    response.password = zero;
    if (with_flag) {
        response.read_only.value = false;
    }
    established_ = true;  // whatever comes behind it is dropped with the connection
    send(frame_of(response), wire::op_code::notification, 0);
    close_when_sent();
}

// --- out -----------------------------------------------------------------------------------------

void server_connection::send(std::string frame, wire::op_code op, std::int32_t xid,
                             std::string_view path)
{
    if (closing_ || server_.expired() || (!out_.empty() && out_.back().then_close)) {
        return;
    }
    frame_view view;
    view.direction = frame_view::way::reply;
    view.connection = number_;
    view.xid = xid;
    view.op = op;
    view.handshake = op == wire::op_code::notification && xid == 0;
    view.path = path;
    // A copy: the script may put other bytes into the item.
    const std::string original = frame;
    view.payload = std::string_view(original).substr(wire::frame_prefix_size);
    item what{std::move(frame), false, false, {}};
    if (ask_script(view, what)) {
        out_.push_back(std::move(what));
    }
    if (!processing_) {
        write();
    }
}

void server_connection::send_event(event_type type, std::string_view path, std::int64_t zxid)
{
    constexpr std::int32_t sync_connected = 3;
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame,
                 wire::reply_header{wire::notification_xid, ensemble().is_39() ? zxid : -1, 0},
                 wire::watcher_event{static_cast<std::int32_t>(type), sync_connected, path});
    wire::close_frame(frame, at);
    send(std::move(frame), wire::op_code::notification, wire::notification_xid, path);
}

void server_connection::send_raw(std::string bytes)
{
    out_.push_back({std::move(bytes), false, false, {}});
    write();
}

void server_connection::close_when_sent()
{
    if (!closing_) {
        in_.clear();
        out_.push_back({{}, false, true, {}});
    }
    if (!processing_) {
        write();
    }
}

void server_connection::write()
{
    const auto server = server_.lock();
    if (is_writing_ || closing_ || !server || server->paused) {
        return;
    }
    writing_.clear();
    while (!last_written_ && ready(out_)) {
        writing_ += out_.front().bytes;
        last_written_ = out_.front().then_close;
        out_.pop_front();
    }
    if (writing_.empty()) {
        if (last_written_) {
            close();
        }
        return;
    }
    is_writing_ = true;
    const auto done = [self = shared_from_this()](error_code ec, std::size_t) {
        self->on_written(ec);
    };
    stream_->write(asio::buffer(writing_),
                   asio::bind_cancellation_slot(cancel_write_.slot(),
                                                asio::bind_executor(server->ensemble->ex, done)));
}

void server_connection::on_written(error_code ec)
{
    is_writing_ = false;
    if (closing_) {
        let_go();
    } else if (ec || last_written_) {
        close();
    } else {
        go_on();
    }
}

void server_connection::release()
{
    for (auto* const queue : {&in_, &out_}) {
        for (auto& each : *queue) {
            each.held = false;
        }
    }
    go_on();
}

void server_connection::close()
{
    if (std::exchange(closing_, true)) {
        return;
    }
    const auto self = shared_from_this();
    in_.clear();
    out_.clear();
    watches = {};
    if (const auto server = server_.lock()) {
        server->connections.erase(number_);
    }
    if (reading_) {
        cancel_read_.emit(asio::cancellation_type::terminal);
    }
    if (is_writing_) {
        cancel_write_.emit(asio::cancellation_type::terminal);
    }
    let_go();
}

/// The stream must live until its operations have completed.
void server_connection::let_go()
{
    if (!reading_ && !is_writing_) {
        stream_.reset();
    }
}

// --- watches -------------------------------------------------------------------------------------

void server_connection::notify(const change& what, std::int64_t zxid)
{
    const std::string& path = what.path;
    bool fires = watches.fire_data(path);
    if (what.type == event_type::deleted) {
        fires = watches.fire_child(path, false) || fires;
    }
    if (fires) {
        send_event(what.type, path, zxid);
    }
    if (what.type == event_type::changed) {
        return;
    }
    const auto slash = path.rfind('/');
    const std::string parent = path.substr(0, slash == 0 ? 1 : slash);
    if (watches.fire_child(parent, true)) {
        send_event(event_type::children, parent, zxid);
    }
}

}  // namespace coati::testing
