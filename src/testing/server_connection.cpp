// One connection of the scripted server: bytes to frames, the script, and back.
//
// Frames pass the script when they are received and when they are about to be queued for writing;
// each queue keeps its order whatever the script does. What is said in them is server_dialogue.cpp.
#include "server_core.hpp"

#include <utility>

namespace coati::testing {

namespace asio = boost::asio;
using boost::system::error_code;

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
    if (std::exchange(splitting_, true)) {
        return;  // a script is at work on one of them: the loop below goes on with the rest
    }
    split_all();
    splitting_ = false;
}

void server_connection::split_all()
{
    const auto server = server_.lock();
    std::string_view rest = received_;
    if (!seen_handshake_ && rest.size() >= wire::frame_prefix_size) {
        if (answer_word(rest.substr(0, wire::frame_prefix_size))) {
            received_.clear();
            return;
        }
        if (!server->takes(true)) {
            close();
            return;
        }
    }
    while (!closing_) {
        const auto found = wire::next_frame(rest, ensemble().options.max_request);
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

bool server_connection::answer_word(std::string_view word)
{
    auto text = word_answer(*server_.lock(), word);
    if (text) {
        item what{std::move(*text)};
        what.then_close = true;
        out_.push_back(std::move(what));
    }
    return text.has_value();
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
    item what{std::string(payload)};
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
        {ensemble().time->now(), number_, session(), header.xid, header.type,
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
    if (v.what == verdict::kind::answer && view.direction == frame_view::way::request) {
        what.answer = static_cast<std::int32_t>(v.code);
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
    while (!closing_ && !closes_when_done_ && ready(in_) && may_process(in_.front())) {
        const item next = std::move(in_.front());
        in_.pop_front();
        if (!next.bytes.empty()) {
            process(next);
        }
        if (next.then_close && next.bytes.empty()) {
            close();
        } else if (next.then_close && unfinished_ > 0) {
            closes_when_done_ = true;
        } else if (next.then_close) {
            close_when_sent();
        }
    }
    processing_ = false;
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
    item what{std::move(frame)};
    if (ask_script(view, what)) {
        out_.push_back(std::move(what));
    }
    if (!processing_) {
        write();
    }
}

void server_connection::send_raw(std::string bytes)
{
    out_.push_back({std::move(bytes)});
    write();
}

void server_connection::close_when_sent()
{
    if (!closing_) {
        in_.clear();
        out_.emplace_back().then_close = true;
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
    peer_.watches = {};
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

}  // namespace coati::testing
