// The connections of a simulated world: bytes that travel, arrive, wait to be read, and the ways in
// which that can go wrong.
//
// Models TCP as far as a client can tell: order, back-pressure by a window, half close, EOF after
// the data, a reset for bytes that nobody will read. Knows nothing of names, listeners or the
// agenda's inside.
#include "world_state.hpp"

#include <algorithm>
#include <cstring>

namespace coati::testing {

namespace asio = boost::asio;

void world_state::read(const link_ptr& w, std::size_t side, asio::mutable_buffer into,
                       transport_handler<std::size_t> handler)
{
    way& in = w->ways[side];
    if (side == 1 && is_frozen(w->host)) {
        in.into = into;
        in.reader = park(std::move(handler), std::size_t{0});
        wake_reader(w, side);
    } else if (in.unread() > 0 && into.size() > 0) {
        complete(std::move(handler), error_code(), give_bytes(w, side, into));
    } else if (in.read_error) {
        complete(std::move(handler), in.read_error, std::size_t{0});
    } else if (in.ended) {
        complete(std::move(handler), error_code(asio::error::eof), std::size_t{0});
    } else {
        in.into = into;
        in.reader = park(std::move(handler), std::size_t{0});
    }
}

void world_state::write(const link_ptr& w, std::size_t side, asio::const_buffer all,
                        transport_handler<std::size_t> handler)
{
    way& out = w->ways[side];
    out.rest = all;
    out.done = 0;
    out.writer = park(std::move(handler), std::size_t{0});
    wake_writer(w, side);
}

/// Takes what fits into the window and below the limit of cut_after.
std::size_t world_state::take_bytes(const link_ptr& w, std::size_t side, asio::const_buffer from)
{
    way& out = w->ways[side];
    std::size_t n = std::min(from.size(), w->window - std::min(w->window, out.outstanding));
    if (out.limit) {
        n = std::min(n, *out.limit);
        *out.limit -= n;
    }
    if (n > 0) {
        const char* const data = static_cast<const char*>(from.data());
        note_bytes(data, n);
        if (!out.lose) {
            out.outstanding += n;
            send(w, side, {std::string(data, n), false});
        }
    }
    return n;
}

/// Goes on with the write that waits on this way.
void world_state::wake_writer(const link_ptr& w, std::size_t side)
{
    way& out = w->ways[side];
    if (!is_waiting(out.writer) || holds_back(w, side)) {
        return;
    }
    if (out.write_error) {
        finish(std::exchange(out.writer, 0), out.write_error, out.done);
        return;
    }
    const std::size_t n = take_bytes(w, side, out.rest);
    out.rest += n;
    out.done += n;
    if (out.limit && *out.limit == 0) {
        cross_limit(w, side);
    } else if (out.rest.size() == 0) {
        finish(std::exchange(out.writer, 0), error_code(), out.done);
    } else {
        auto& op = static_cast<waiting_for<std::size_t>&>(*waiting_.at(out.writer));
        op.on_abort = std::tuple(out.done);
    }
}

/// The writer finds the connection broken now, the reader when what was taken has arrived.
void world_state::cross_limit(const link_ptr& w, std::size_t side)
{
    const error_code reset = asio::error::connection_reset;
    way& out = w->ways[side];
    out.limit.reset();
    out.write_error = reset;
    finish(std::exchange(out.writer, 0), reset, out.done);
    way& in = w->ways[1 - side];
    in.read_error = reset;
    wake_reader(w, 1 - side);
    schedule(std::max(now(), out.last_arrival), [this, w, side] {
        if (!w->dead) {
            // Its own reads have failed already; only the other side is told by this.
            w->ways[side].ended = true;
            break_wire(w, {}, false);
        }
    });
}

void world_state::send(const link_ptr& w, std::size_t side, way::segment what)
{
    way& out = w->ways[side];
    duration trip = w->latency;
    if (jitter > duration::zero()) {
        trip += duration(
            static_cast<duration::rep>(random() % static_cast<std::uint64_t>(jitter.count())));
    }
    out.last_arrival = std::max(after(trip), out.last_arrival);
    schedule(out.last_arrival, [this, w, side, what = std::move(what)] { arrive(w, side, what); });
}

void world_state::arrive(const link_ptr& w, std::size_t side, way::segment what)
{
    way& at = w->ways[side];
    if (w->dead) {
        return;
    }
    if (at.stalled || w->separated) {
        at.held.push_back(std::move(what));
        return;
    }
    if (what.end) {
        at.ended = true;
    } else if (at.reader_gone) {
        refuse_bytes(w, side);
        return;
    } else {
        at.arrived += what.bytes;
    }
    wake_reader(w, side);
}

/// Nobody will ever read this: the writer is told, one trip later.
void world_state::refuse_bytes(const link_ptr& w, std::size_t side)
{
    schedule(after(w->latency), [this, w, side] {
        if (w->dead) {
            return;
        }
        w->ways[side].write_error = asio::error::broken_pipe;
        if (!w->ways[1 - side].ended) {
            w->ways[1 - side].read_error = asio::error::connection_reset;
        }
        wake_writer(w, side);
        wake_reader(w, 1 - side);
    });
}

std::size_t world_state::give_bytes(const link_ptr& w, std::size_t side, asio::mutable_buffer into)
{
    way& in = w->ways[side];
    std::size_t n = std::min(in.unread(), into.size());
    if (fragments) {
        n = 1 + static_cast<std::size_t>(random() % n);
    }
    std::memcpy(into.data(), in.arrived.data() + in.read_position, n);
    in.read_position += n;
    in.outstanding -= std::min(in.outstanding, n);
    if (in.unread() == 0) {
        in.arrived.clear();
        in.read_position = 0;
    }
    wake_writer(w, side);
    return n;
}

void world_state::wake_reader(const link_ptr& w, std::size_t side)
{
    way& in = w->ways[side];
    if (!is_waiting(in.reader) || holds_back(w, 1 - side)) {
        return;
    }
    if (in.unread() > 0 && in.into.size() > 0) {
        finish(std::exchange(in.reader, 0), error_code(), give_bytes(w, side, in.into));
    } else if (in.read_error) {
        finish(std::exchange(in.reader, 0), in.read_error, std::size_t{0});
    } else if (in.ended) {
        finish(std::exchange(in.reader, 0), error_code(asio::error::eof), std::size_t{0});
    }
}

/// EOF travels behind everything that is under way.
void world_state::end_way(const link_ptr& w, std::size_t side)
{
    way& out = w->ways[side];
    if (w->dead || out.ending) {
        return;
    }
    out.ending = true;
    if (!out.write_error) {
        out.write_error = asio::error::broken_pipe;
    }
    send(w, side, {{}, true});
    wake_writer(w, side);
}

void world_state::close(const link_ptr& w, std::size_t side)
{
    if (shut_ || w->closed[side]) {
        return;
    }
    note(w->id * 4 + side);
    w->closed[side] = true;
    way& in = w->ways[1 - side];
    abort(std::exchange(in.reader, 0));
    abort(std::exchange(w->ways[side].writer, 0));
    in.reader_gone = true;
    end_way(w, side);
    if (in.unread() > 0) {
        refuse_bytes(w, 1 - side);
    }
    if (w->closed[0] && w->closed[1]) {
        w->dead = true;
        wires.erase(w->id);
    }
}

void world_state::break_wire(const link_ptr& w, error_code read_error, bool drop_arrived)
{
    if (w->dead) {
        return;
    }
    note(w->id * 4 + 2);
    w->dead = true;
    wires.erase(w->id);
    for (std::size_t side : {0U, 1U}) {
        way& each = w->ways[side];
        each.held.clear();
        if (drop_arrived) {
            each.arrived.clear();
            each.read_position = 0;
        }
        if (!each.read_error) {
            each.read_error = read_error;
        }
        each.ended = true;
        if (!each.write_error) {
            each.write_error = asio::error::broken_pipe;
        }
        wake_reader(w, side);
        wake_writer(w, side);
    }
}

void world_state::release(const link_ptr& w, std::size_t side)
{
    way& each = w->ways[side];
    each.stalled = false;
    if (w->separated) {
        return;
    }
    for (auto& segment : std::exchange(each.held, {})) {
        arrive(w, side, std::move(segment));
    }
}

bool world_state::is_separated(const std::string& host, const place& server) const
{
    return partitions.contains({host, server}) || partitions.contains({host, std::nullopt}) ||
           partitions.contains({std::nullopt, server});
}

void world_state::part_and_join()
{
    const auto all = wires;  // what arrives may end a connection
    for (const auto& [id, each] : all) {
        const bool was =
            std::exchange(each->separated, is_separated(each->host, place_of(each->server)));
        for (const std::size_t side : {0U, 1U}) {
            if (was && !each->separated && !each->ways[side].stalled) {
                release(each, side);
            }
        }
    }
}

}  // namespace coati::testing
