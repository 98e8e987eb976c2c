// Sessions as recipes see them, one after another.
#pragma once

#include <coati/client.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/awaitable.hpp>

#include <utility>

namespace coati::detail {

/// Waits until a session is connected, and gives a handle that is pinned to it. Of a handle that is
/// not pinned it waits through the end of a session for the next one, if a new one makes sense.
/// Else, and of a pinned handle: the ending.
inline boost::asio::awaitable<result<client>> next_session(client zk)
{
    for (;;) {
        auto connecting = zk.connected();
        const result<void> connected = co_await std::move(connecting);
        if (connected) {
            co_return zk.pinned();
        }
        const error why = connected.error();
        if (!why.session_lost() || zk.is_pinned() || !deserves_new_session(why.code())) {
            co_return why;
        }
    }
}

}  // namespace coati::detail
