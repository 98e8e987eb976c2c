// The transport's functions as deferred operations, so that a coroutine awaits them without a frame
// of its own. One line each; the contract is in coati/transport.hpp.
#pragma once

#include <coati/transport.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <utility>

namespace coati::detail {

namespace asio = boost::asio;
using boost::system::error_code;

inline auto read_some(stream& from, asio::mutable_buffer into)
{
    asio::deferred_t token;
    return asio::async_initiate<asio::deferred_t&, void(error_code, std::size_t)>(
        [](auto&& h, stream* s, asio::mutable_buffer b) {
            s->read_some(b, std::forward<decltype(h)>(h));
        },
        token, &from, into);
}

inline auto write_all(stream& to, asio::const_buffer all)
{
    asio::deferred_t token;
    return asio::async_initiate<asio::deferred_t&, void(error_code, std::size_t)>(
        [](auto&& h, stream* s, asio::const_buffer b) {
            s->write(b, std::forward<decltype(h)>(h));
        },
        token, &to, all);
}

inline auto sleep_until(transport& on, time_point when)
{
    asio::deferred_t token;
    return asio::async_initiate<asio::deferred_t&, void(error_code)>(
        [](auto&& h, transport* t, time_point w) {
            t->sleep_until(w, std::forward<decltype(h)>(h));
        },
        token, &on, when);
}

inline auto resolve(transport& on, std::string host, std::uint16_t port)
{
    asio::deferred_t token;
    return asio::async_initiate<asio::deferred_t&, void(error_code, std::vector<endpoint>)>(
        [](auto&& h, transport* t, std::string name, std::uint16_t p) {
            t->resolve(std::move(name), p, std::forward<decltype(h)>(h));
        },
        token, &on, std::move(host), port);
}

inline auto connect(transport& on, endpoint to)
{
    asio::deferred_t token;
    return asio::async_initiate<asio::deferred_t&, void(error_code, std::unique_ptr<stream>)>(
        [](auto&& h, transport* t, endpoint e) {
            t->connect(std::move(e), std::forward<decltype(h)>(h));
        },
        token, &on, std::move(to));
}

}  // namespace coati::detail
