// One connection, from its handshake to its loss: reader, writer and clock. When one of them ends,
// the others are cancelled and joined.

#include "engine.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <coati/wire/frame.hpp>

#include <boost/asio/as_tuple.hpp>

#include <algorithm>
#include <cstring>

namespace coati::detail {

namespace {

constexpr std::size_t first_read = 4 * 1024;     // an idle session stays small
constexpr std::size_t largest_read = 64 * 1024;  // one read for many replies
constexpr std::size_t largest_write = 256 * 1024;
constexpr std::size_t reply_header_size = 16;

std::size_t big_endian_length(const char* at) noexcept
{
    std::uint32_t length = 0;
    for (int i = 0; i < 4; ++i) {
        length = length << 8 | static_cast<unsigned char>(at[i]);
    }
    return length;
}

}  // namespace

asio::awaitable<ending> engine::serve()
{
    // The zxid is taken once, before the first chunk: replies to it would move it on.
    exchange_.on_connected(
        watches_.collect(exchange_.last_zxid(), protocol::watch_table::set_watches_chunk));
    watches_.on_connected();  // streams have their gap before any frame of this connection
    const time_point now = transport_->now();
    deadlines_.on_connected(now, life_->info.negotiated_timeout);
    out_.clear();
    if (takeover_.is_suspicious()) {
        exchange_.queue_ping();  // a server that does not even answer this is no thief's
    }
    connected_ = true;
    set_state(life_->info.is_read_only ? session_state::connected_read_only
                                       : session_state::connected);
    end_waiters(connected_waiters_, std::nullopt);
    wake_readers();
    output_ready_.reset();
    move_requested_.reset();
    draining_ = false;
    auto ended = co_await (reader() || writer() || clock_hand() || until_moved());
    connected_ = false;
    deadlines_.on_disconnected();
    co_return ending_of(ended);
}

asio::awaitable<ending> engine::reader()
{
    for (;;) {
        delivering_ = true;
        const auto over = deliver_frames();
        delivering_ = false;
        if (over) {
            co_return ending{*over, {}};
        }
        if (exchange_.has_output()) {
            output_ready_.set();  // the writer runs inside: one write for all that this read caused
        }
        auto more = read_some(*connection_, room_to_read());
        const auto [ec, n] = co_await std::move(more)(asio::as_tuple(asio::deferred));
        if (ec) {
            const errc code =
                ec == asio::error::eof ? errc::connection_closed : errc::connection_loss;
            co_return ending{code, ec};
        }
        in_end_ += n;
        check_lease();
    }
}

// Where the next read goes. Frames that are only half here are moved to the front; the buffer grows
// for large frames and for busy connections.
asio::mutable_buffer engine::room_to_read()
{
    if (in_begin_ == in_end_) {
        in_begin_ = in_end_ = 0;
    }
    std::size_t wanted = first_read;
    if (in_end_ - in_begin_ >= 4) {
        const std::size_t frame = 4 + big_endian_length(in_.data() + in_begin_);
        if (frame <= config_.max_reply) {
            // What a length claims is believed only as fast as bytes arrive.
            wanted = std::max(wanted, std::min(frame, std::max(largest_read, 2 * in_.size())));
        }
    }
    if (in_end_ == in_.size() && in_.size() < largest_read) {
        wanted = std::max(wanted, std::max(first_read, in_.size() * 2));  // the last read filled it
    }
    if (in_begin_ != 0) {
        std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
        in_end_ -= in_begin_;
        in_begin_ = 0;
    }
    if (in_.size() < wanted) {
        in_.resize(wanted);
    } else if (in_end_ == 0 && in_.size() > largest_read) {
        in_.resize(largest_read);  // a large frame has passed
        in_.shrink_to_fit();
    }
    return asio::buffer(in_.data() + in_end_, in_.size() - in_end_);
}

std::optional<errc> engine::deliver_frames()
{
    bool any = false;
    std::optional<errc> over;
    for (;;) {
        const std::size_t skipped = std::min(skip_, in_end_ - in_begin_);
        skip_ -= skipped;
        in_begin_ += skipped;
        const std::string_view buffered(in_.data() + in_begin_, in_end_ - in_begin_);
        const auto scan = wire::next_frame(buffered, config_.max_reply);
        if (scan.status == wire::frame_status::need_more) {
            break;
        }
        if (scan.status == wire::frame_status::malformed) {
            const std::size_t length = big_endian_length(buffered.data());
            if (length > INT32_MAX) {
                return errc::malformed_reply;
            }
            if (buffered.size() < 4 + reply_header_size) {
                break;
            }
            over = skip_oversized(buffered, length);
        } else {
            in_begin_ += scan.consumed;
            over = exchange_.on_frame(scan.payload, watches_);
            if (!woken_.empty() || watches_.has_forsaken()) {
                wake_readers();
            }
        }
        any = true;
        if (over || close_confirmed_) {
            break;
        }
    }
    if (any) {
        deadlines_.on_received(transport_->now());
        lease_.on_answered(exchange_.frames_answered());
    }
    if (!auth_waiters_.empty() && !over) {
        tell_authenticated();
    }
    if (draining_ && exchange_.in_flight() == 0) {
        drained_.set();
    }
    if (close_confirmed_) {
        return errc::closed;
    }
    if (!over && detaching_ && exchange_.pending() == 0) {
        return errc::session_left;
    }
    return over;
}

// A reply above max_reply: its request fails, the rest of the frame is dropped, the session goes
// on.
std::optional<errc> engine::skip_oversized(std::string_view buffered, std::size_t length)
{
    skip_ = 4 + length;
    return exchange_.on_oversized(buffered.substr(4, reply_header_size));
}

asio::awaitable<ending> engine::writer()
{
    for (;;) {
        while (!exchange_.has_output() || draining_) {
            auto woken = output_ready_.wait();
            co_await std::move(woken)(asio::as_tuple(asio::deferred));
        }
        const std::uint64_t first = exchange_.frames_sent();
        const bool is_secret = exchange_.take_output(out_, largest_write, watches_);
        if (out_.empty()) {
            auto settled = settle_next();
            co_await std::move(settled);
            continue;
        }
        const time_point now = transport_->now();
        deadlines_.on_sent(now);
        lease_.on_sent(now, first);
        auto send = write_all(*connection_, asio::buffer(out_));
        const auto [ec, n] = co_await std::move(send)(asio::as_tuple(asio::deferred));
        exchange_.on_written(n);
        if (is_secret) {
            wipe(out_);
        }
        out_.clear();
        if (ec) {
            co_return ending{errc::connection_loss, ec};
        }
    }
}

// The next request waits because this server may not know it.
asio::awaitable<void> engine::settle_next()
{
    switch (exchange_.of_next()) {
    case protocol::knowledge::known: break;  // all that waited has been abandoned
    case protocol::knowledge::unknown: exchange_.refuse_next(); break;
    case protocol::knowledge::ask: {
        auto learnt = learn_version();
        co_await std::move(learnt);
    }
    }
}

asio::awaitable<ending> engine::clock_hand()
{
    for (;;) {
        const time_point due = deadlines_.next();
        auto sleep = sleep_until(*transport_, due);
        co_await std::move(sleep)(asio::as_tuple(asio::deferred));
        const time_point now = transport_->now();
        life_->info.longest_stall = std::max(life_->info.longest_stall, duration(now - due));
        if (deadlines_.read_expired(now)) {
            co_return ending{errc::server_silent, {}};
        }
        if (deadlines_.ping_due(now)) {
            deadlines_.on_sent(now);  // it will be: a blocked writer must not make this loop spin
            exchange_.queue_ping();
            output_ready_.set();
        }
    }
}

}  // namespace coati::detail
