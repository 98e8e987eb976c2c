// The reconnect coroutine. It owns the session's credentials as its own local state, replays them
// to one server after another, and puts every ending through one classification (coati/errc.hpp).

#include "engine.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cctype>
#include <variant>

namespace coati::detail {

namespace {

/// The beginning of what a stranger said, for the message.
std::string printable(std::string_view bytes)
{
    std::string text;
    for (const char c : bytes.substr(0, 24)) {
        text += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '.';
    }
    return text;
}

/// Whether it is only what we have told it, password included: that is for no log.
bool repeats(std::string_view said, std::string_view password)
{
    constexpr std::size_t piece = 4;
    for (std::size_t i = 0; i + piece <= password.size(); ++i) {
        if (said.find(password.substr(i, piece)) != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

session_state state_after(errc code) noexcept
{
    switch (code) {
    case errc::session_expired:
    case errc::session_id_changed:
    case errc::session_stolen: return session_state::expired;
    case errc::auth_failed:
    case errc::server_has_no_sasl:
    case errc::session_closed_require_sasl_auth: return session_state::auth_failed;
    default: return session_state::closed;
    }
}

/// What stands where a ConnectResponse should: a bare reply header is a server's refusal (3.8.0 in
/// read-only mode says -119 so, unless sessions may be local), all else is another protocol.
ending refusal_in(std::string_view payload)
{
    wire::reader in(payload);
    wire::reply_header header;
    if (wire::decode(in, header) && in.rest().empty() && header.xid == 0 && header.err < 0) {
        return ending{errc::handshake_refused, make_error_code(static_cast<errc>(header.err))};
    }
    return ending{errc::not_zookeeper, {}};
}

/// What a step of an attempt is called when it takes too long.
errc too_late(attempt_step step) noexcept
{
    switch (step) {
    case attempt_step::resolve: return errc::resolve_failed;
    case attempt_step::connect: return errc::connect_timed_out;
    case attempt_step::handshake:
    case attempt_step::authenticate: break;
    }
    return errc::handshake_timed_out;
}

}  // namespace

asio::awaitable<result<void>> engine::run(std::shared_ptr<engine> self)
{
    co_await asio::this_coro::reset_cancellation_state(any_to_terminal{});
    ending why{errc::session_dropped, {}};
    try {
        auto ended = co_await (self->hold_session() || self->until_closed() ||
                               self->until_unreachable() || self->until_presumed());
        why = ending_of(ended);
    } catch (...) {
        // Cancelled. With all operands cancelled the operator throws a type of its own, so this one
        // ending for every path catches everything.
    }
    co_return self->finish(why);
}

void engine::begin(std::shared_ptr<session_life> life)
{
    life_ = std::move(life);
    life_->begun = true;
    running_ = true;
    established_ = false;
    closing_ = detaching_ = close_confirmed_ = close_sent_ = moving_ = false;
    lease_.reset();
    takeover_.reset();
    abilities_.reset();
    close_requested_.reset();
    output_ready_.reset();
    pace_ = protocol::reconnect_pace();
    addresses_.clear();
    attempts_.clear();
}

// The promised order: the reason is fixed, every pending request completes with it, waiting closes,
// then run itself.
result<void> engine::finish(const ending& why)
{
    const error reason = why.as_error();
    connection_.reset();  // a run that was cancelled leaves it open
    connected_ = false;
    life_->credentials.last_zxid = exchange_.last_zxid();
    life_->ended = reason;  // from here on requests are refused, also those made by what follows
    set_state(state_after(why.code));
    exchange_.fail_all(reason);
    watches_.end_all(reason);
    end_waiters(connected_waiters_, reason);
    end_lease(reason);
    for (const auth_waiter& each : std::exchange(auth_waiters_, {})) {
        if (auto* const op = parking_.take_as<void>(each.id)) {
            op->on_error(reason);
        }
    }
    const bool in_order = why.code == errc::closed;
    end_waiters(close_waiters_, in_order ? std::nullopt : std::optional(reason));
    for (const operation_id id : std::exchange(detach_waiters_, {})) {
        if (auto* const op = parking_.take_as<session_credentials>(id)) {
            if (why.code == errc::session_left && life_->credentials.id != 0) {
                op->deliver(life_->credentials);
            } else {
                op->on_error(reason);
            }
        }
    }
    running_ = false;
    if (in_order || why.code == errc::close_unconfirmed || why.code == errc::session_left) {
        return success();
    }
    return reason;
}

asio::awaitable<ending> engine::hold_session()
{
    session_credentials mine = config_.session.value_or(session_credentials());
    exchange_.set_last_zxid(mine.last_zxid);
    established_ = seen_quorum_ = mine.id != 0;
    for (;;) {
        co_await pause();
        step_ = attempt_step::resolve;
        auto tried = co_await (reach_server(mine) || until_too_late());
        const ending reached = ending_of(tried);
        if (life_->info.id != 0) {
            mine = life_->credentials;  // also when the server's answer met the deadline
        }
        if (reached.code != errc::no_result) {
            const auto state = co_await asio::this_coro::cancellation_state;
            // What our own ending interrupts says nothing about the server.
            const bool is_cut = state.cancelled() != asio::cancellation_type::none;
            if (repeats({in_.data(), in_end_}, mine.password)) {
                in_end_ = 0;
            }
            note_attempt(is_cut ? ending{too_late(step_), {}} : reached, is_cut);
        }
        if (classify(reached.code) == disposition::session_over) {
            co_return reached;
        }
        if (reached.code != errc::no_result) {
            connection_.reset();
            pace_.on_attempt_failed();
            continue;
        }
        const ending lost = co_await serve();
        connection_.reset();  // nothing goes out on an old connection once the session may move
        const auto stopped = co_await asio::this_coro::cancellation_state;
        if (stopped.cancelled() != asio::cancellation_type::none) {
            co_return ending{errc::session_dropped, {}};  // no loss: finish tells everybody why
        }
        mine.last_zxid = life_->credentials.last_zxid = exchange_.last_zxid();
        if (classify(lost.code) == disposition::session_over) {
            co_return lost;
        }
        if (has_lost(lost)) {
            co_return ending{errc::session_stolen, lost.cause};
        }
        set_state(session_state::disconnected);
        exchange_.on_lost(lost.as_error());
        if (close_sent_) {
            co_return ending{errc::close_unconfirmed, lost.cause};
        }
    }
}

// What a lost connection means for the next attempt. True: somebody else uses the session.
bool engine::has_lost(const ending& why)
{
    const time_point now = transport_->now();
    const duration timeout = life_->info.negotiated_timeout;
    if (std::exchange(moving_, false)) {
        pace_.on_moved(now, timeout);
        takeover_.reset();
        return false;
    }
    pace_.on_lost(now, timeout);
    if (config_.sticky && addresses_.empty()) {
        addresses_.push_back(where_);
    }
    const bool by_other_side = why.code == errc::connection_closed ||
                               why.code == errc::connection_loss || why.code == errc::session_moved;
    if (by_other_side && exchange_.refused_last()) {
        abilities_.on_refused(*exchange_.refused_last());
    }
    const bool between_frames = in_begin_ == in_end_ && skip_ == 0;
    if (!by_other_side || !between_frames || now - connected_at_ >= timeout / 3) {
        takeover_.reset();
        return false;
    }
    const bool has_served = exchange_.frames_answered() != 0;
    return takeover_.on_cut(has_served, order_.size(), config_.session.has_value());
}

// Bounds a close in every phase: a session that was never established has nothing to close.
asio::awaitable<ending> engine::until_closed()
{
    auto requested = close_requested_.wait();
    const auto [cancelled] = co_await std::move(requested)(asio::as_tuple(asio::deferred));
    if (cancelled) {
        co_return ending{errc::session_dropped, {}};
    }
    if (!established_) {
        co_return ending{detaching_ ? errc::session_left : errc::closed, {}};
    }
    if (detaching_ && (!connected_ || exchange_.pending() == 0)) {
        co_return ending{errc::session_left, {}};
    }
    auto bound = sleep_until(*transport_, transport_->now() + config_.close_wait);
    const auto [stopped] = co_await std::move(bound)(asio::as_tuple(asio::deferred));
    const errc late = detaching_ ? errc::session_left : errc::close_unconfirmed;
    co_return ending{stopped ? errc::session_dropped : late, {}};
}

// The client's own clock beside the servers' verdict: once the session's lease is over and nobody
// is there to say otherwise, the session is presumed to have expired. Attempts go on.
asio::awaitable<ending> engine::until_presumed()
{
    for (;;) {
        const time_point now = transport_->now();
        const duration timeout = session_timeout();
        time_point wake = now + timeout;
        if (const auto proved = lease_.proved()) {
            const time_point over = *proved + timeout;
            if (now < over) {
                wake = over;
            } else if (connected_) {
                wake = now + timeout / 10;  // it does not renew the lease, and will be given up
            } else {
                set_state(session_state::presumed_expired);
                if (config_.expire_locally_after) {
                    const duration patience = *config_.expire_locally_after;
                    wake = *proved + std::max(patience, timeout);
                    if (now >= wake) {
                        co_return ending{errc::presumed_expired, {}};
                    }
                }
            }
        }
        auto sleep = sleep_until(*transport_, wake);
        const auto [cancelled] = co_await std::move(sleep)(asio::as_tuple(asio::deferred));
        if (cancelled) {
            co_return ending{errc::session_dropped, {}};
        }
    }
}

// Ends a session that could not be established in time.
asio::awaitable<ending> engine::until_unreachable()
{
    if (config_.connect_deadline) {
        auto limit = sleep_until(*transport_, transport_->now() + *config_.connect_deadline);
        const auto [cancelled] = co_await std::move(limit)(asio::as_tuple(asio::deferred));
        if (!cancelled && life_->info.id == 0) {
            co_return ending{errc::no_server_reachable, {}};
        }
    }
    auto for_ever = never_.wait();
    co_await std::move(for_ever)(asio::as_tuple(asio::deferred));
    co_return ending{errc::session_dropped, {}};  // cancelled
}

asio::awaitable<void> engine::pause()
{
    const duration delay = pace_.next_delay(transport_->random(), order_.size(),
                                            config_.reconnect_spread, session_timeout());
    if (delay == duration::zero()) {
        co_return;
    }
    set_state(session_state::disconnected);
    auto sleep = sleep_until(*transport_, transport_->now() + delay);
    co_await std::move(sleep)(asio::as_tuple(asio::deferred));
}

duration engine::session_timeout() const noexcept
{
    return life_->info.negotiated_timeout > duration::zero() ? life_->info.negotiated_timeout
                                                             : config_.session_timeout;
}

// One attempt at one address, from the look-up of its name to the server's answer. The deadline of
// all of it is until_too_late.
asio::awaitable<ending> engine::reach_server(session_credentials mine)
{
    set_state(session_state::connecting);
    auto look_up = find_addresses();
    const ending found = co_await std::move(look_up);
    if (found.code != errc::no_result) {
        co_return found;
    }
    step_ = attempt_step::connect;
    auto dialling = config_.parallel_connect ? dial_in_parallel() : dial();
    const ending dialled = co_await std::move(dialling);
    if (dialled.code != errc::no_result) {
        co_return dialled;
    }
    step_ = attempt_step::handshake;
    set_state(session_state::associating);
    auto handshake = shake_hands(std::move(mine));
    const ending shaken = co_await std::move(handshake);
    if (shaken.code != errc::no_result || !config_.sasl) {
        co_return shaken;
    }
    step_ = attempt_step::authenticate;
    auto proof = authenticate();
    co_return co_await std::move(proof);
}

asio::awaitable<ending> engine::until_too_late()
{
    auto limit = sleep_until(*transport_, transport_->now() + attempt_budget());
    const auto [cancelled] = co_await std::move(limit)(asio::as_tuple(asio::deferred));
    co_return ending{cancelled ? errc::session_dropped : too_late(step_), {}};
}

asio::awaitable<ending> engine::shake_hands(session_credentials mine)
{
    std::string hello = connect_frame(mine);
    hello_sent_ = transport_->now();
    auto send = write_all(*connection_, asio::buffer(hello));
    const auto [failed, sent] = co_await std::move(send)(asio::as_tuple(asio::deferred));
    wipe(hello);
    if (failed) {
        co_return ending{unless_tls(failed, errc::handshake_refused), failed};
    }
    // A ConnectResponse has 36 or 37 bytes; room is left for longer passwords of later servers.
    constexpr std::size_t longest = 1024;
    in_begin_ = in_end_ = skip_ = 0;
    for (;;) {
        const auto scan = wire::next_frame({in_.data(), in_end_}, longest);
        if (scan.status == wire::frame_status::malformed) {
            co_return ending{errc::not_zookeeper, {}};
        }
        if (scan.status == wire::frame_status::complete) {
            in_begin_ = scan.consumed;
            const ending answered = accept_session(scan.payload, mine);
            if (answered.code == errc::no_result) {
                wipe(in_.data(), in_begin_);  // it had the session's password
            }
            co_return answered;
        }
        auto more = read_some(*connection_, room_to_read());
        const auto [ec, n] = co_await std::move(more)(asio::as_tuple(asio::deferred));
        if (ec) {
            co_return ending{unless_tls(ec, errc::handshake_refused), ec};
        }
        check_lease();
        in_end_ += n;
    }
}

std::string engine::connect_frame(const session_credentials& mine) const
{
    const std::string no_password(16, '\0');
    wire::connect_request hello;
    hello.last_zxid_seen = exchange_.last_zxid();
    // Always what the user asked for: the last negotiated value would ratchet down and never up.
    hello.timeout_ms = static_cast<std::int32_t>(
        std::min<std::int64_t>(config_.session_timeout.count(), INT32_MAX));
    // What a server without a quorum has given is known to that server alone, and not for long.
    hello.session_id = seen_quorum_ ? mine.id : 0;
    hello.read_only = config_.allow_read_only;
    hello.password =
        hello.session_id == 0 ? std::string_view(no_password) : std::string_view(mine.password);
    std::string frame;
    frame.reserve(128);  // growing would leave the password behind
    const std::size_t at = wire::open_frame(frame);
    wire::encode(frame, hello);
    wire::close_frame(frame, at);
    return frame;
}

ending engine::accept_session(std::string_view payload, const session_credentials& mine)
{
    wire::reader in(payload);
    wire::connect_response answer;
    ending why;
    if (!wire::decode(in, answer)) {
        why = refusal_in(payload);
    } else if (answer.timeout_ms <= 0 || answer.session_id == 0) {
        why.code = errc::session_expired;
    } else if (seen_quorum_ && answer.session_id != mine.id) {
        why.code = errc::session_id_changed;  // the old one is gone, and its ephemerals with it
    }
    if (why.code != errc::no_result) {
        return why;
    }
    established_ = true;
    const bool is_read_only = answer.read_only.value.value_or(false);
    life_->info.is_read_only = is_read_only;
    seen_quorum_ = seen_quorum_ || !is_read_only;
    life_->credentials.id = life_->info.id = answer.session_id;
    life_->credentials.password.assign(answer.password);
    life_->info.negotiated_timeout = std::chrono::milliseconds(answer.timeout_ms);
    life_->info.server = where_;
    order_.on_connected();
    abilities_.on_connected(to_string(where_));
    placement_.on_connected();
    addresses_.clear();
    connected_at_ = transport_->now();
    pace_.on_established(connected_at_);
    lease_.on_connected(hello_sent_);
    arm_lease();
    return why;
}

// An attempt that was cut short is noted only where nothing better is known.
void engine::note_attempt(const ending& why, bool is_cut)
{
    const auto same = std::find_if(attempts_.begin(), attempts_.end(),
                                   [&](const attempt& a) { return a.server == target_; });
    if (is_cut && same != attempts_.end()) {
        return;
    }
    std::string text;
    text.append(name(step_)).append(" ").append(target_.host).append(":");
    text.append(std::to_string(target_.port));
    if (!where_.address.empty() && where_.address != target_.host) {
        text.append(" (").append(to_string(where_)).append(")");
    }
    text.append(": ").append(why.as_error().message());
    if (why.code == errc::not_zookeeper && in_end_ != 0) {
        text.append(", it said \"").append(printable({in_.data(), in_end_})).append("\"");
    }
    if (step_ == attempt_step::authenticate && !sasl_said_.empty()) {
        text.append("; ").append(sasl_said_);
    }
    if (step_ == attempt_step::connect) {
        const std::string more = transport_->explain(where_);
        text.append(more.empty() ? "" : "; ").append(more);
    }
    attempt made(target_, step_, why.as_error(), std::move(text));
    if (same != attempts_.end()) {
        *same = std::move(made);
    } else {
        attempts_.push_back(std::move(made));
    }
}

}  // namespace coati::detail
