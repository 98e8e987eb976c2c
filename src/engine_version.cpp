// What a server can do, asked of it beside the connection, and only when a request depends on it.

#include "engine.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <variant>

namespace coati::detail {

namespace {

// The answer to srvr has some 200 bytes, and begins with what we want.
constexpr std::size_t longest_answer = 512;

// The writer waits meanwhile. Pings are due after a third of the session timeout.
constexpr duration longest_question = std::chrono::seconds(1);

}  // namespace

// What it said, over a connection of its own: "" when it said nothing.
asio::awaitable<std::string> engine::ask_in_four_letters(endpoint where, std::string_view word)
{
    std::string said;
    auto dial = connect(*transport_, where);
    auto [ec, connection] = co_await std::move(dial)(asio::as_tuple(asio::deferred));
    if (ec) {
        co_return said;
    }
    auto send = write_all(*connection, asio::buffer(word));
    const auto [failed, sent] = co_await std::move(send)(asio::as_tuple(asio::deferred));
    if (failed) {
        co_return said;
    }
    std::array<char, 256> chunk{};
    while (said.size() < longest_answer) {
        auto more = read_some(*connection, asio::buffer(chunk));
        const auto [over, n] = co_await std::move(more)(asio::as_tuple(asio::deferred));
        said.append(chunk.data(), n);
        if (over) {
            break;
        }
    }
    co_return said;
}

// A server that does not say it in time is taken to know everything, until it hangs up.
asio::awaitable<void> engine::learn_version()
{
    const time_point limit = transport_->now() + std::min(longest_question, session_timeout() / 10);
    auto asked = co_await (ask_in_four_letters(where_, "srvr") || until(limit));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() == asio::cancellation_type::none) {
        const auto* const said = std::get_if<std::string>(&asked);
        abilities_.on_version(said == nullptr ? std::nullopt : wire::version_in_srvr(*said));
    }
}

asio::awaitable<ending> engine::until(time_point when)
{
    auto sleep = sleep_until(*transport_, when);
    co_await std::move(sleep)(asio::as_tuple(asio::deferred));
    co_return ending{errc::timed_out, {}};
}

}  // namespace coati::detail
