// A raw connection that takes a session over and closes it, in one write.
//
// Awaits the functions of transport.hpp through shells; keeps every co_await alone in its
// statement.
#include <coati/testing/expire_session.hpp>

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/operation_admin.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace coati::testing {

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// The shells: no coroutine frame of their own, results as a tuple.
constexpr auto token = asio::as_tuple(asio::deferred);

auto connecting(transport& t, endpoint to)
{
    return asio::async_initiate<decltype(token), void(error_code, std::unique_ptr<stream>)>(
        [](auto handler, transport* through, endpoint at) {
            through->connect(std::move(at), std::move(handler));
        },
        token, &t, std::move(to));
}

auto writing_all(stream& s, asio::const_buffer all)
{
    return asio::async_initiate<decltype(token), void(error_code, std::size_t)>(
        [](auto handler, stream* to, asio::const_buffer bytes) {
            to->write(bytes, std::move(handler));
        },
        token, &s, all);
}

auto reading(stream& s, asio::mutable_buffer into)
{
    return asio::async_initiate<decltype(token), void(error_code, std::size_t)>(
        [](auto handler, stream* from, asio::mutable_buffer buffer) {
            from->read_some(buffer, std::move(handler));
        },
        token, &s, into);
}

auto sleeping(transport& t, time_point when)
{
    return asio::async_initiate<decltype(token), void(error_code)>(
        [](auto handler, transport* through, time_point at) {
            through->sleep_until(at, std::move(handler));
        },
        token, &t, when);
}

std::string both_requests(std::int64_t session_id, const std::string& password)
{
    constexpr std::int32_t asked_ms = 10'000;
    std::string out;
    const auto at = wire::open_frame(out);
    wire::encode(out, wire::connect_request{0, 0, asked_ms, session_id, password, false});
    wire::close_frame(out, at);
    wire::append_request<wire::close_session>(out, wire::first_xid, {});
    return out;
}

/// The verdict of the answers so far; nothing while they are incomplete.
std::optional<result<void>> judge(std::string_view received, std::int64_t session_id)
{
    const auto first = wire::next_frame(received, wire::default_max_reply);
    if (first.status == wire::frame_status::need_more) {
        return std::nullopt;
    }
    wire::reader in(first.payload);
    wire::connect_response response;
    if (first.status == wire::frame_status::malformed || !wire::decode(in, response)) {
        return errc::not_zookeeper;
    }
    if (response.timeout_ms <= 0) {
        return errc::session_expired;
    }
    if (response.session_id != session_id) {
        return errc::session_id_changed;
    }
    const auto second = wire::next_frame(received.substr(first.consumed), wire::default_max_reply);
    if (second.status == wire::frame_status::need_more) {
        return std::nullopt;
    }
    wire::reader rest(second.payload);
    wire::reply_header header;
    if (second.status == wire::frame_status::malformed || !wire::decode(rest, header)) {
        return errc::malformed_reply;
    }
    if (header.err != 0) {
        return static_cast<errc>(header.err);
    }
    return result<void>(success());
}

asio::awaitable<result<void>> take_over_and_close(std::shared_ptr<transport> through,
                                                  endpoint server, std::int64_t session_id,
                                                  std::string password)
{
    auto [refused, made] = co_await connecting(*through, std::move(server));
    if (refused) {
        co_return error(errc::connect_failed, fate::not_sent, refused);
    }
    const std::string requests = both_requests(session_id, password);
    auto [unsent, sent] = co_await writing_all(*made, asio::buffer(requests));
    if (unsent) {
        co_return error(errc::handshake_refused, fate::not_sent, unsent);
    }
    std::string received;
    std::array<char, 4096> chunk{};
    for (;;) {
        auto [ended, n] = co_await reading(*made, asio::buffer(chunk));
        received.append(chunk.data(), n);
        if (auto verdict = judge(received, session_id)) {
            co_return std::move(*verdict);
        }
        if (ended) {
            const auto what = received.empty() ? errc::handshake_refused : errc::connection_closed;
            co_return error(what, fate::maybe_applied, ended);
        }
    }
}

asio::awaitable<void> wait_until(std::shared_ptr<transport> through, time_point when)
{
    co_await sleeping(*through, when);
}

}  // namespace

asio::awaitable<result<void>> expire_session(std::shared_ptr<transport> through, endpoint server,
                                             std::int64_t session_id, std::string password)
{
    using namespace asio::experimental::awaitable_operators;
    constexpr std::chrono::seconds bound{10};
    const time_point end = through->now() + bound;
    auto work = take_over_and_close(through, std::move(server), session_id, std::move(password));
    auto limit = wait_until(through, end);
    auto first = co_await (std::move(work) || std::move(limit));
    if (auto* const done = std::get_if<0>(&first)) {
        co_return std::move(*done);
    }
    co_return error(errc::handshake_timed_out, fate::maybe_applied);
}

}  // namespace coati::testing
