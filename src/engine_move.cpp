// Leaving an established connection for a better server: because the list of servers has changed,
// because the policy knows a better one (protocol/placement.hpp), or because this one is cut off
// from its ensemble. What there is beside it is found out over connections of their own
// (four_letters.hpp), while this one serves.

#include "engine.hpp"

#include "coroutines.hpp"
#include "four_letters.hpp"
#include "transport_ops.hpp"

#include <boost/asio/as_tuple.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace coati::detail {

namespace {

// The pace of Java's client: 100 ms, doubling to a minute.
constexpr duration first_pause = std::chrono::milliseconds(100);
constexpr duration longest_pause = std::chrono::minutes(1);

}  // namespace

// Ends the connection once there is a better one; until then it costs nobody anything.
asio::awaitable<ending> engine::until_moved()
{
    if (life_->info.is_read_only) {
        auto seek = seek_quorum();
        co_return co_await std::move(seek);
    }
    for (;;) {
        better_.reset();
        auto reason = may_seek() ? until_better() : until_asked_to_move();
        const ending why = co_await std::move(reason);
        if (why.code != errc::no_result) {
            co_return why;
        }
        auto drained = drain();
        const bool is_drained = co_await std::move(drained);
        // A list that came meanwhile may not know the better one any more.
        if (better_ && is_drained && order_.lists(better_->server)) {
            target_ = std::move(better_->server);
            addresses_.assign(1, better_->where);
            order_.take(target_);
            placement_.on_moved(transport_->now());
        } else if (better_ && order_.lists(target_)) {
            draining_ = false;  // it was a matter of choice: another time
            output_ready_.set();
            continue;
        }
        moving_ = true;
        co_return ending{errc::connection_loss, {}};
    }
}

// Nothing new goes out until everything that did is answered, so that a move fails no write. Not
// for long: a server that does not answer is worth leaving. False: something is still under way.
asio::awaitable<bool> engine::drain()
{
    draining_ = true;
    drained_.reset();
    if (exchange_.in_flight() == 0) {
        co_return true;
    }
    auto answered = until_drained();
    auto limit = patience_over(transport_, session_timeout() / 6);
    auto first = co_await (std::move(answered) || std::move(limit));
    co_return ending_of(first).code == errc::no_result;
}

asio::awaitable<ending> engine::until_drained()
{
    auto drained = drained_.wait();
    const auto [cancelled] = co_await std::move(drained)(asio::as_tuple(asio::deferred));
    co_return ending{cancelled ? errc::session_dropped : errc::no_result, {}};
}

// no_result: the list has changed, and this server is to be left.
asio::awaitable<ending> engine::until_asked_to_move()
{
    auto asked = move_requested_.wait();
    const auto [cancelled] = co_await std::move(asked)(asio::as_tuple(asio::deferred));
    co_return ending{cancelled ? errc::session_dropped : errc::no_result, {}};
}

asio::awaitable<ending> engine::until_better()
{
    auto first = co_await (until_asked_to_move() || seek_better());
    co_return ending_of(first);
}

// Rounds of probes beside the connection. no_result: `better_` is worth a move.
asio::awaitable<ending> engine::seek_better()
{
    for (;;) {
        const time_point next = transport_->now() + placement_.next_pause(transport_->random());
        auto sleep = sleep_until(*transport_, next);
        const auto [cancelled] = co_await std::move(sleep)(asio::as_tuple(asio::deferred));
        if (cancelled) {
            co_return ending{errc::session_dropped, {}};
        }
        std::vector<better_server> seen;
        for (const server_address& each : placement_.to_probe(target_, order_.servers())) {
            auto look = look_at(transport_, each, attempt_budget());
            sighting found = co_await std::move(look);
            if (found.serves) {
                placement_.on_answer(each, found.round_trip);
                seen.emplace_back(each, std::move(*found.where));
            } else {
                placement_.on_silence(each);
            }
        }
        const auto best = placement_.better_than(target_, transport_->now());
        for (better_server& each : seen) {
            if (best && each.server == *best) {
                better_ = std::move(each);
                co_return ending{};
            }
        }
    }
}

asio::awaitable<ending> engine::seek_quorum()
{
    for (duration pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
        auto sleep = sleep_until(*transport_, transport_->now() + pause);
        const auto [cancelled] = co_await std::move(sleep)(asio::as_tuple(asio::deferred));
        if (cancelled) {
            co_return ending{errc::session_dropped, {}};
        }
        auto asked = ask_next_server();
        const bool found = co_await std::move(asked);
        if (found) {
            moving_ = true;
            co_return ending{errc::connection_loss, {}};
        }
    }
}

// One server: all its addresses, until one answers that it can write. That one is next.
asio::awaitable<bool> engine::ask_next_server()
{
    const server_address server = next_server();
    auto look = look_up(transport_, server, attempt_budget());
    std::vector<endpoint> found = co_await std::move(look);
    for (const endpoint& where : found) {
        auto question = ask_word(transport_, where, four_letters::isro, attempt_budget());
        const word_answer answer = co_await std::move(question);
        if (answer.said == "rw") {
            target_ = server;
            addresses_.assign(1, where);
            co_return true;
        }
    }
    co_return false;
}

}  // namespace coati::detail
