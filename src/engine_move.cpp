// Leaving an established connection for a better server: because the list of servers has changed,
// or because this one is cut off from its ensemble. Then reads are served, and a server with a
// quorum is looked for beside, over connections of their own that ask `isro` and nothing else.

#include "engine.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <boost/asio/as_tuple.hpp>

#include <algorithm>
#include <chrono>
#include <string>

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
    auto asked = move_requested_.wait();
    const auto [cancelled] = co_await std::move(asked)(asio::as_tuple(asio::deferred));
    moving_ = !cancelled;
    co_return ending{cancelled ? errc::session_dropped : errc::connection_loss, {}};
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
    const server_address server = order_.next();
    auto look_up = resolve(*transport_, server.host, server.port);
    auto [ec, found] = co_await std::move(look_up)(asio::as_tuple(asio::deferred));
    if (ec) {
        co_return false;
    }
    for (endpoint& where : found) {
        auto answered = co_await (ask_is_read_write(where) || until_too_late());
        if (ending_of(answered).code == errc::no_result) {
            target_ = server;
            addresses_.clear();
            addresses_.push_back(std::move(where));
            co_return true;
        }
    }
    co_return false;
}

// no_result: it said "rw". Anything else, however it sounds, is a no (trap 50).
asio::awaitable<ending> engine::ask_is_read_write(endpoint where)
{
    auto ask = ask_in_four_letters(std::move(where), "isro");
    const std::string said = co_await std::move(ask);
    co_return ending{said == "rw" ? errc::no_result : errc::not_read_only, {}};
}

}  // namespace coati::detail
