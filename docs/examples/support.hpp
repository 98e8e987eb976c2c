// What every short example needs and none is about: servers from the environment, one thread, and
// the application's result as the exit code.
#pragma once

#include <coati/coati.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>

namespace example {

inline coati::config settings()
{
    const char* const servers = std::getenv("COATI_CONNECT");
    return coati::config::parse(servers != nullptr ? servers : "127.0.0.1:2181").value();
}

/// For what an example claims about itself: the tests run it.
inline void expect(bool holds, const char* claim)
{
    if (!holds) {
        std::cerr << "this does not hold: " << claim << '\n';
        std::exit(1);
    }
}

/// Keeps `app` in a session until it returns.
template <class App>
int run(App& app)
try {
    boost::asio::io_context context(1);
    const coati::client zk(context.get_executor(), settings());
    auto done = coati::supervise(zk, app)(boost::asio::use_future);
    context.run();
    const auto ended = done.get();
    if (!ended) {
        std::cerr << ended.error().message() << '\n';
    }
    return ended ? 0 : 1;
} catch (const std::exception& failed) {
    std::cerr << failed.what() << '\n';
    return 1;
}

}  // namespace example
