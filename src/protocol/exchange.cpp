// Order, xids, replay and fate: see the header.

#include <coati/protocol/exchange.hpp>

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace coati::protocol {

namespace {

/// Codes that are about the connection or the session, whatever the request was: they end it.
std::optional<errc> ending_of(std::int32_t err) noexcept
{
    if (err == 0) {
        return std::nullopt;
    }
    const auto code = static_cast<errc>(err);
    if (classify(code) == disposition::answer) {
        return std::nullopt;
    }
    return code;
}

}  // namespace

ticket exchange::submit(request& what)
{
    slots_.push_back(slot{&what, 0, 0});
    ++waiting_;
    return first_ + slots_.size() - 1;
}

request_state exchange::state_of(ticket which) const noexcept
{
    const ticket index = which - first_;
    if (which < first_ || index >= slots_.size()) {
        return request_state::done;
    }
    const slot& s = slots_[index];
    if (s.what == nullptr) {
        return s.xid != 0 ? request_state::abandoned : request_state::done;
    }
    if (index >= staged_) {
        return request_state::waiting;
    }
    return is_written(s) ? request_state::written : request_state::staged;
}

bool exchange::is_written(const slot& s) const noexcept
{
    return s.end <= written_ || s.end <= received_;
}

fate exchange::fate_of(const slot& s, bool staged) const noexcept
{
    if (!staged) {
        return fate::not_sent;
    }
    if (!s.what->mutates) {
        return fate::not_applied;
    }
    return is_written(s) ? fate::maybe_applied : fate::not_sent;
}

bool exchange::abandon(ticket which, errc code)
{
    const ticket index = which - first_;
    if (which < first_ || index >= slots_.size() || slots_[index].what == nullptr) {
        return false;
    }
    slot& s = slots_[index];
    const bool staged = index < staged_;
    fate what = fate_of(s, staged);
    if (staged && s.what->mutates) {
        what = fate::maybe_applied;  // a write that is staged is on its way and will not be stopped
    }
    request* const gone = std::exchange(s.what, nullptr);
    if (!staged) {
        --waiting_;
    }
    drop_dead_front();
    gone->on_error(error(code, what));
    return true;
}

bool exchange::is_arming(std::string_view path) const noexcept
{
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        const request* const what = slots_[i].what;
        if (what == nullptr || what->watches == wire::watch_kind::none) {
            continue;
        }
        // The body of every request that arms a watch begins with the path.
        wire::reader in(what->body);
        std::string_view armed;
        if (wire::decode(in, armed) && armed == path) {
            return true;
        }
    }
    return false;
}

std::int32_t exchange::take_xid() noexcept
{
    const std::int32_t xid = next_xid_;
    // Past 2^31-1 lie the reserved negative numbers (ZOOKEEPER-3253, -3286).
    next_xid_ = xid == wire::last_xid ? wire::first_xid : xid + 1;
    return xid;
}

void exchange::on_connected(std::vector<registration> set_watches)
{
    assert(staged_ == 0);
    handed_out_ = written_ = received_ = 0;
    frames_sent_ = frames_answered_ = 0;
    auth_sent_ = auth_accepted_ = 0;
    set_watches_ = std::move(set_watches);
    set_watches_due_ = 0;
    ping_queued_ = false;
    refused_.reset();
}

void exchange::queue_ping()
{
    ping_queued_ = true;
}

bool exchange::has_output() const noexcept
{
    return waiting_ != 0 || ping_queued_ || !set_watches_.empty() || auth_sent_ != auths_.size();
}

void exchange::stage(std::string& out, std::int32_t xid, wire::op_code op, std::string_view body)
{
    // Every request passes here: length and header are put together aside and appended at once.
    using header = wire::codec<wire::request_header>;
    std::array<char, wire::frame_prefix_size + header::min_size> front;
    const auto length = static_cast<std::int32_t>(header::min_size + body.size());
    header::put(wire::codec<std::int32_t>::put(front.data(), length), {xid, op});
    out.append(front.data(), front.size()).append(body);
    handed_out_ += front.size() + body.size();
    frames_sent_ += xid != wire::auth_xid ? 1U : 0U;
}

std::size_t exchange::authenticate(secret body)
{
    const auto same = std::find(auths_.begin(), auths_.end(), body);
    const auto number = static_cast<std::size_t>(same - auths_.begin());
    if (same == auths_.end()) {
        auths_.push_back(std::move(body));
    }
    return number;
}

void exchange::stage_credentials(std::string& out)
{
    constexpr std::size_t front = wire::frame_prefix_size + 8;
    std::size_t size = out.size();
    for (std::size_t i = auth_sent_; i < auths_.size(); ++i) {
        size += front + auths_[i].view().size();
    }
    out.reserve(size);  // growing would leave a copy behind
    for (; auth_sent_ < auths_.size(); ++auth_sent_) {
        stage(out, wire::auth_xid, wire::op_code::auth, auths_[auth_sent_].view());
    }
}

bool exchange::take_output(std::string& out, std::size_t limit, watch_table& watches)
{
    if (auth_sent_ != auths_.size()) {
        stage_credentials(out);
        return true;
    }
    for (const registration& each : std::exchange(set_watches_, {})) {
        stage(out, wire::set_watches_xid, each.op, each.body);
        ++set_watches_due_;
    }
    if (std::exchange(ping_queued_, false)) {
        stage(out, wire::ping_xid, wire::op_code::ping, {});
    }
    while (waiting_ != 0 && out.size() < limit) {
        slot& s = slots_[staged_];
        if (s.what != nullptr && !may_go(*s.what)) {
            break;
        }
        ++staged_;
        if (s.what == nullptr) {
            continue;  // abandoned while it waited
        }
        --waiting_;
        s.xid = take_xid();
        if (s.what->watches != wire::watch_kind::none) {
            watches.on_staging(*s.what);
        }
        stage(out, s.xid, s.what->op, s.what->body);
        s.end = handed_out_;
    }
    return false;
}

knowledge exchange::of_next() const noexcept
{
    for (std::size_t i = staged_; i < slots_.size(); ++i) {
        if (slots_[i].what != nullptr) {
            return server_ == nullptr ? knowledge::known : server_->of(slots_[i].what->op);
        }
    }
    return knowledge::known;
}

void exchange::refuse_next()
{
    for (std::size_t i = staged_; i < slots_.size(); ++i) {
        if (slots_[i].what != nullptr) {
            abandon(first_ + i, errc::unimplemented);
            return;
        }
    }
}

void exchange::pop_front() noexcept
{
    slots_.pop_front();
    ++first_;
    if (staged_ != 0) {
        --staged_;
    }
}

void exchange::drop_dead_front() noexcept
{
    while (!slots_.empty() && slots_.front().what == nullptr && slots_.front().xid == 0) {
        pop_front();
    }
}

bool exchange::is_due(std::int32_t xid) noexcept
{
    if (staged_ == 0 || slots_.front().xid != xid) [[unlikely]] {
        drop_dead_front();
    }
    return staged_ != 0 && slots_.front().xid == xid;
}

std::optional<errc> exchange::on_frame(std::string_view payload, watch_table& watches)
{
    wire::reader in(payload);
    wire::reply_header header;
    if (!wire::decode(in, header)) {
        return errc::malformed_reply;
    }
    const reply r{header.zxid, header.err, in.rest()};
    return header.xid < wire::first_xid ? on_special(header.xid, r, watches)
                                        : on_reply(header.xid, r);
}

std::optional<errc> exchange::on_special(std::int32_t xid, const reply& r, watch_table& watches)
{
    if (const auto ending = ending_of(r.err)) {
        return ending;  // -112, -115 and -124 come with any xid, also a ping's
    }
    if (xid == wire::notification_xid) {
        wire::reader in(r.body);
        wire::watcher_event e;
        if (!wire::decode(in, e)) {
            return errc::malformed_reply;
        }
        if (e.type >= static_cast<std::int32_t>(event_type::created) &&
            e.type <= static_cast<std::int32_t>(event_type::children_changed)) {
            watches.fire(static_cast<event_type>(e.type), e.path, r.zxid);
        }
        return std::nullopt;  // a type of a newer server is nobody's
    }
    if (xid == wire::ping_xid) {
        ++frames_answered_;
        return std::nullopt;
    }
    if (xid == wire::auth_xid && auth_accepted_ != auth_sent_) {
        if (r.err != 0) {
            return errc::auth_failed;  // servers say -115; whatever they say, it was no
        }
        ++auth_accepted_;
        return std::nullopt;
    }
    if (xid == wire::set_watches_xid && set_watches_due_ != 0) {
        --set_watches_due_;
        ++frames_answered_;
        // Swallowing a failed SetWatches would leave waiters hanging for ever (trap 2).
        return r.err == 0 ? std::nullopt : std::optional(errc::connection_loss);
    }
    return errc::malformed_reply;
}

std::optional<errc> exchange::on_reply(std::int32_t xid, const reply& r)
{
    if (!is_due(xid)) {
        return errc::malformed_reply;  // everything behind it would be misattributed (trap 45)
    }
    const auto ending = ending_of(r.err);
    if (ending && classify(*ending) == disposition::connection_loss) {
        // The request is still pending: on_lost decides what becomes of it. It was received, so it
        // was written, even if the writer has not been told yet.
        received_ = slots_.front().end;
        return ending;
    }
    if (r.zxid > last_zxid_) {
        last_zxid_ = r.zxid;
    }
    ++frames_answered_;
    request* const what = slots_.front().what;
    pop_front();
    refused_.reset();
    if (what != nullptr) {
        if (r.err == static_cast<std::int32_t>(errc::unimplemented)) [[unlikely]] {
            refused_ = what->op;
        }
        what->on_reply(r);
    }
    return ending;
}

std::optional<errc> exchange::on_oversized(std::string_view header)
{
    wire::reader in(header);
    wire::reply_header h;
    if (!wire::decode(in, h)) {
        return errc::malformed_reply;
    }
    if (h.err != 0 && h.xid >= wire::first_xid) {
        return on_reply(h.xid, reply{h.zxid, h.err, {}});  // what follows an error is not a body
    }
    if (!is_due(h.xid)) {
        return errc::malformed_reply;
    }
    if (h.zxid > last_zxid_) {
        last_zxid_ = h.zxid;
    }
    ++frames_answered_;
    request* const what = slots_.front().what;
    pop_front();
    if (what != nullptr) {
        // The server has answered: what was asked for has been done. Only of a multi the header
        // does not say so.
        const fate done = what->op == wire::op_code::multi ? fate::maybe_applied : fate::applied;
        what->on_error(error(errc::reply_too_large, what->mutates ? done : fate::not_applied));
    }
    return std::nullopt;
}

void exchange::on_lost(const error& why)
{
    std::vector<std::pair<request*, error>> failed;
    waiting_ = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        slot& s = slots_[i];
        if (s.what != nullptr) {
            const fate f = fate_of(s, i < staged_);
            if (f == fate::maybe_applied || s.what->fail_fast) {
                failed.emplace_back(std::exchange(s.what, nullptr),
                                    error(errc::connection_loss, f, why.cause()));
            } else {
                ++waiting_;
            }
        }
        s.xid = 0;
    }
    staged_ = 0;
    set_watches_.clear();
    set_watches_due_ = 0;
    ping_queued_ = false;
    auth_accepted_ = 0;
    drop_dead_front();
    for (const auto& [what, e] : failed) {
        what->on_error(e);
    }
}

void exchange::fail_all(const error& why)
{
    std::vector<std::pair<request*, error>> failed;
    failed.reserve(slots_.size());
    while (!slots_.empty()) {
        slot& s = slots_.front();
        if (s.what != nullptr) {
            failed.emplace_back(s.what, error(why.code(), fate_of(s, staged_ != 0), why.cause()));
        }
        pop_front();
    }
    waiting_ = 0;
    auth_accepted_ = 0;
    for (const auto& [what, e] : failed) {
        what->on_error(e);
    }
}

void exchange::discard_all() noexcept
{
    while (!slots_.empty()) {
        request* const what = slots_.front().what;
        pop_front();
        if (what != nullptr) {
            what->discard();
        }
    }
    waiting_ = 0;
}

}  // namespace coati::protocol
