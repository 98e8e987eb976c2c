// A client in a session with one scripted server in a simulated world, for tests of what is done
// with operations rather than of what they do.
#pragma once

#include <coati/client.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace coati_test {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using coati::errc;
using coati::fate;
using coati::result;

inline const coati::endpoint server_at{"10.0.0.1", 2181, {}};

inline coati::config settings()
{
    coati::config made;
    made.servers = {{server_at.address, server_at.port}};
    made.reconnect_spread = 0ms;
    return made;
}

class rig {
public:
    /// `wrap` says what the client makes its executor of.
    rig() : zk(in.get_executor(), settings(), in.make_transport()) { start(); }
    template <class Executor>
    rig(std::in_place_t, const Executor& wrap)
        : zk(wrap(in.context().get_executor()), settings(), in.make_transport())
    {
        start();
    }

    /// Runs a coroutine to its end, in the given executor. What it throws is thrown here.
    template <class Executor>
    void run(Executor&& ex, std::function<asio::awaitable<void>()> body)
    {
        std::optional<std::exception_ptr> done;
        asio::co_spawn(ex, body(), [&](std::exception_ptr thrown) { done = thrown; });
        REQUIRE(in.run_until([&] { return done.has_value(); }, 1min));
        if (*done) {
            std::rethrow_exception(*done);
        }
    }
    /// The same on the client's own executor, where a completion is a direct call.
    void run(std::function<asio::awaitable<void>()> body)
    {
        run(zk.get_executor(), std::move(body));
    }

    coati::testing::world in;
    coati::testing::scripted_ensemble ensemble{in};
    coati::testing::scripted_server server{ensemble, in, server_at};
    coati::client zk;
    std::optional<result<void>> session;  // how it ended

private:
    void start()
    {
        ensemble.put("/a", "data of a");
        ensemble.put("/b", "data of b");
        zk.run()([this](result<void> r) { session = r; });
        REQUIRE(in.run_until([&] { return zk.is_connected(); }, 10s));
    }
};

}  // namespace coati_test
