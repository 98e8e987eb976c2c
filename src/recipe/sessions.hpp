// Sessions as recipes see them, one after another.
#pragma once

#include <coati/client.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <utility>

namespace coati::detail {

/// The session is over, and what was done in it can be done again in the next one.
inline bool goes_on(const client& zk, const error& e)
{
    return e.session_lost() && !zk.is_pinned() && deserves_new_session(e.code());
}

/// Waits until a session is connected, and gives a handle that is pinned to it. Of a handle that is
/// not pinned it waits through the end of a session for the next one, if a new one makes sense.
/// Else, and of a pinned handle: the ending.
inline boost::asio::awaitable<result<client>> next_session(client zk)
{
    for (;;) {
        const client present = zk.pinned();  // which may be over: then it says how
        auto connecting = present.connected();
        const result<void> connected = co_await std::move(connecting);
        if (connected) {
            co_return present.pinned();
        }
        if (!goes_on(zk, connected.error())) {
            co_return connected.error();
        }
        auto waiting = zk.connected();
        const result<void> another = co_await std::move(waiting);
        if (!another && !goes_on(zk, another.error())) {
            co_return another.error();
        }
    }
}

/// Before something is asked again that a server had no room for.
inline boost::asio::awaitable<result<void>> take_breath(client zk)
{
    auto pause = zk.sleep_for(std::chrono::seconds(1));
    co_return co_await std::move(pause);
}

}  // namespace coati::detail
