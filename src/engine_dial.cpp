// From a name to a connection: look-up, and one address after another, or several beside each
// other (RFC 8305). What comes out is one stream over which nothing was said yet: the credentials
// of the session travel over a single connection at a time, since a second one would take the
// session from the first.

#include "engine.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <coati/protocol/alternate.hpp>
#include <coati/tls_error.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <span>
#include <utility>

namespace coati::detail {

namespace {

/// What RFC 8305 allows at least.
constexpr duration shortest_stagger = std::chrono::milliseconds(10);
/// Nobody waits for the 17th address.
constexpr std::size_t most_lanes = 16;

bool is_v6(const endpoint& where) noexcept
{
    return where.address.find(':') != std::string::npos;
}

std::vector<endpoint> families_in_turn(std::vector<endpoint> all, bool v6_first)
{
    return protocol::alternate(std::move(all),
                               [v6_first](const endpoint& e) { return is_v6(e) == v6_first; });
}

}  // namespace

/// The first connection ends all other lanes. Not in an unnamed namespace: it is part of a
/// coroutine's frame.
struct until_connected {
    asio::cancellation_type operator()(const std::exception_ptr&,
                                       const dialled& lane) const noexcept
    {
        return lane.connection ? asio::cancellation_type::all : asio::cancellation_type::none;
    }
};

errc unless_tls(const error_code& ec, errc otherwise) noexcept
{
    return ec.category() == tls_category() ? errc::ssl_connection_error : otherwise;
}

// Names are resolved anew each round; every address of a name is used before the next name.
asio::awaitable<ending> engine::find_addresses()
{
    if (!addresses_.empty()) {
        co_return ending{};
    }
    target_ = next_server();
    where_ = endpoint{};
    auto look_up = resolve(*transport_, target_.host, target_.port);
    auto [ec, found] = co_await std::move(look_up)(asio::as_tuple(asio::deferred));
    if (ec || found.empty()) {
        co_return ending{errc::resolve_failed, ec};
    }
    // The resolver sorts by what this machine can reach (RFC 6724): its first family begins.
    const bool v6_first = is_v6(found.front());
    addresses_ = std::move(found);
    if (placement_.is_shuffled()) {
        random_of random{*transport_};
        protocol::shuffle(std::span(addresses_), random);
    }
    if (config_.parallel_connect) {
        addresses_ = families_in_turn(std::move(addresses_), v6_first);
    }
    std::reverse(addresses_.begin(), addresses_.end());  // taken from the back
    co_return ending{};
}

// One address.
asio::awaitable<ending> engine::dial()
{
    where_ = std::move(addresses_.back());
    addresses_.pop_back();
    auto dialling = connect(*transport_, where_);
    auto [ec, connection] = co_await std::move(dialling)(asio::as_tuple(asio::deferred));
    connection_ = std::move(connection);
    co_return ec ? ending{unless_tls(ec, errc::connect_failed), ec} : ending{};
}

// All addresses of the name, in lanes that begin one after the other; the first connection wins.
asio::awaitable<ending> engine::dial_in_parallel()
{
    where_ = addresses_.back();  // for the message, should the time be over first
    using lane = decltype(asio::co_spawn(executor_, dial_lane(0), asio::deferred));
    std::vector<lane> lanes;
    for (std::size_t i = 0; i < std::min(addresses_.size(), most_lanes); ++i) {
        lanes.push_back(asio::co_spawn(executor_, dial_lane(i), asio::deferred));
    }
    auto race = asio::experimental::make_parallel_group(std::move(lanes));
    auto done = co_await race.async_wait(until_connected{}, asio::deferred);
    auto& [order, failures, ends] = done;
    ending how{errc::connect_failed, {}};
    for (const std::size_t i : order) {  // as they ended
        dialled& each = ends[i];
        if (each.connection && !connection_) {
            connection_ = std::move(each.connection);
            where_ = std::move(each.where);
        } else if (each.how.code != errc::no_result && !connection_) {
            how = each.how;
            where_ = std::move(each.where);
        }
    }
    if (!connection_) {
        co_return how;
    }
    // The others are as good as before, should this one not hold what it promised.
    for (dialled& each : ends) {
        const bool was_stopped = each.how.cause == asio::error::operation_aborted;
        if (each.connection || was_stopped) {
            addresses_.insert(addresses_.begin(), std::move(each.where));
            each.connection.reset();
        }
    }
    co_return ending{};
}

// Begins when those before it had their time, and goes on at once when an address fails.
asio::awaitable<dialled> engine::dial_lane(std::size_t lane)
{
    dialled end;
    if (lane > 0) {
        const duration stagger = std::max<duration>(config_.connect_stagger, shortest_stagger);
        const auto turn = transport_->now() + stagger * static_cast<duration::rep>(lane);
        auto sleep = sleep_until(*transport_, turn);
        const auto [cancelled] = co_await std::move(sleep)(asio::as_tuple(asio::deferred));
        if (cancelled) {
            co_return std::move(end);
        }
    }
    while (!end.connection && !addresses_.empty()) {
        end.where = std::move(addresses_.back());
        addresses_.pop_back();
        auto dialling = connect(*transport_, end.where);
        auto [ec, connection] = co_await std::move(dialling)(asio::as_tuple(asio::deferred));
        end.connection = std::move(connection);
        end.how = ec ? ending{unless_tls(ec, errc::connect_failed), ec} : ending{};
        if (ec == asio::error::operation_aborted) {
            break;
        }
    }
    co_return std::move(end);
}

}  // namespace coati::detail
