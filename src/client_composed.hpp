// What the client's own composed operations share: writes in doubt, and many requests at once.
#pragma once

#include "coroutines.hpp"
#include "engine.hpp"

#include <coati/compose.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace coati::detail {

/// The write may have happened, and the session lives: it can be found out.
inline bool is_in_doubt(const error& e) noexcept
{
    return e == errc::connection_loss && e.fate() == fate::maybe_applied;
}

/// A body that may be cancelled between two steps while a write of an earlier one is in doubt,
/// which it says by the flag: the cancellation has that fate then.
template <class T>
asio::awaitable<result<T>> telling_doubt(std::shared_ptr<const bool> in_doubt,
                                         asio::awaitable<result<T>> body)
{
    try {
        co_return co_await std::move(body);
    } catch (const boost::system::system_error& failed) {
        if (failed.code() != asio::error::operation_aborted || !*in_doubt) {
            throw;
        }
    }
    co_return error(errc::cancelled, fate::maybe_applied);
}

/// All of them at once, sent in their order; joined.
template <class T>
asio::awaitable<std::vector<result<T>>> together(std::vector<operation<T>> all)
{
    if (all.empty()) {
        co_return std::vector<result<T>>();
    }
    auto group = asio::experimental::make_parallel_group(std::move(all));
    auto done = co_await group.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    co_return std::get<1>(std::move(done));
}

}  // namespace coati::detail
