// What a server can do, asked of it beside the connection, and only when a request depends on it.

#include "engine.hpp"
#include "four_letters.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>

namespace coati::detail {

namespace {

// The writer waits meanwhile. Pings are due after a third of the session timeout.
constexpr duration longest_question = std::chrono::seconds(1);

}  // namespace

// A server that does not say it in time is taken to know everything, until it hangs up.
asio::awaitable<void> engine::learn_version()
{
    const duration patience = std::min(longest_question, session_timeout() / 10);
    auto question = ask_word(transport_, where_, four_letters::srvr, patience);
    const word_answer answer = co_await std::move(question);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() == asio::cancellation_type::none) {
        abilities_.on_version(wire::version_in_srvr(answer.said));
    }
}

}  // namespace coati::detail
