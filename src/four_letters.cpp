// Asking servers by four letter words, and understanding what they say.

#include "four_letters.hpp"

#include "coroutines.hpp"
#include "transport_ops.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>

#include <array>
#include <utility>
#include <variant>

namespace coati::detail {

namespace {

std::string_view word_of(four_letters word) noexcept
{
    return word == four_letters::isro ? "isro" : "srvr";
}

/// Anything else, however it sounds, is a no (trap 50). A server without a quorum has the mode
/// read-only, or says that it is not currently serving requests.
bool says_serving(four_letters word, std::string_view said) noexcept
{
    if (word == four_letters::isro) {
        return said == "rw";
    }
    for (const std::string_view mode : {"leader", "follower", "observer", "standalone"}) {
        const std::size_t at = said.find(mode);
        constexpr std::string_view before = "Mode: ";
        if (at != std::string_view::npos && said.substr(0, at).ends_with(before)) {
            return true;
        }
    }
    return false;
}

bool says_forbidden(std::string_view said) noexcept
{
    return said.find("is not executed because it is not in the whitelist") !=
           std::string_view::npos;
}

/// What only a ZooKeeper says, whatever its state.
bool says_zookeeper(std::string_view said) noexcept
{
    return said == "rw" || said == "ro" || says_forbidden(said) ||
           said.starts_with("Zookeeper version") ||
           said.starts_with("This ZooKeeper instance is not currently serving");
}

asio::awaitable<word_answer> ask(std::shared_ptr<transport> world, endpoint where,
                                 four_letters word)
{
    auto dial = connect(*world, std::move(where));
    auto [ec, connection] = co_await std::move(dial)(asio::as_tuple(asio::deferred));
    if (ec) {
        co_return word_answer(ending{errc::connect_failed, ec});
    }
    const time_point asked = world->now();
    const std::string_view question = word_of(word);
    auto send = write_all(*connection, asio::buffer(question));
    const auto [failed, sent] = co_await std::move(send)(asio::as_tuple(asio::deferred));
    if (failed) {
        co_return word_answer(ending{errc::connection_loss, failed});
    }
    word_answer answer;
    constexpr std::size_t enough = 4096;
    std::array<char, 512> chunk{};
    while (answer.said.size() < enough) {
        auto more = read_some(*connection, asio::buffer(chunk));
        const auto [over, n] = co_await std::move(more)(asio::as_tuple(asio::deferred));
        if (answer.said.empty()) {
            answer.round_trip = world->now() - asked;
        }
        answer.said.append(chunk.data(), n);
        if (over) {
            break;
        }
    }
    if (answer.said.empty()) {
        answer.how = ending{errc::connection_closed, {}};
    }
    co_return answer;
}

asio::awaitable<std::vector<endpoint>> resolved(std::shared_ptr<transport> world,
                                                server_address server)
{
    auto look = resolve(*world, server.host, server.port);
    auto [ec, found] = co_await std::move(look)(asio::as_tuple(asio::deferred));
    if (ec) {
        found.clear();
    }
    co_return std::move(found);
}

}  // namespace

asio::awaitable<ending> patience_over(std::shared_ptr<transport> world, duration patience)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    auto sleep = sleep_until(*world, world->now() + patience);
    co_await std::move(sleep)(asio::as_tuple(asio::deferred));
    co_return ending{errc::connect_timed_out, {}};
}

asio::awaitable<word_answer> ask_word(std::shared_ptr<transport> world, endpoint where,
                                      four_letters word, duration patience)
{
    auto question = ask(world, std::move(where), word);
    auto limit = patience_over(world, patience);
    auto first = co_await (std::move(question) || std::move(limit));
    if (first.index() == 0) {
        co_return std::get<0>(std::move(first));
    }
    co_return word_answer(std::get<1>(first));
}

asio::awaitable<std::vector<endpoint>> look_up(std::shared_ptr<transport> world,
                                               server_address server, duration patience)
{
    auto look = resolved(world, std::move(server));
    auto limit = patience_over(world, patience);
    auto first = co_await (std::move(look) || std::move(limit));
    if (first.index() == 0) {
        co_return std::get<0>(std::move(first));
    }
    co_return std::vector<endpoint>();
}

asio::awaitable<sighting> look_at(std::shared_ptr<transport> world, server_address server,
                                  duration patience)
{
    auto look = look_up(world, std::move(server), patience);
    const std::vector<endpoint> found = co_await std::move(look);
    sighting seen;
    for (const endpoint& where : found) {
        four_letters word = four_letters::srvr;
        auto first = ask_word(world, where, word, patience);
        word_answer answer = co_await std::move(first);
        const bool is_there = says_zookeeper(answer.said);
        if (says_forbidden(answer.said)) {
            word = four_letters::isro;
            auto second = ask_word(world, where, word, patience);
            answer = co_await std::move(second);
        }
        seen.serves = says_serving(word, answer.said);
        if (seen.serves || (is_there && !seen.where)) {
            seen.where = where;
            seen.round_trip = answer.round_trip;
        }
        if (seen.serves) {
            break;
        }
    }
    co_return seen;
}

}  // namespace coati::detail
