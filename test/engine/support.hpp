// The fixture of the engine's tests: a world, a scripted ensemble, the real client, in virtual
// time.
//
// Every wait has a watchdog of its own: so much virtual time, and so many turns without any of it
// passing. What an operation completed with is counted, so that "exactly once" can be asserted.
#pragma once

#include <coati/hold.hpp>
#include <coati/supervise.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace coati::test {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using coati::testing::direction;
using coati::testing::frame_view;
using coati::testing::scripted_ensemble;
using coati::testing::scripted_server;
using coati::testing::verdict;
using coati::testing::world;

/// What an operation completed with, and how often. Copies share it.
template <class T>
class answer {
public:
    bool done() const { return state_->completed != 0; }
    int completed() const { return state_->completed; }
    /// The handler is gone, called or not.
    bool forgotten() const { return state_->handlers.expired(); }
    const result<T>& operator*() const
    {
        REQUIRE(done());
        return *state_->value;
    }
    /// For results that cannot be copied.
    result<T> take() const
    {
        REQUIRE(done());
        return std::move(*state_->value);
    }
    /// Of the value.
    auto operator->() const
    {
        REQUIRE(**this);
        return (**this).operator->();
    }
    const coati::error& error() const
    {
        REQUIRE_FALSE(**this);
        return (**this).error();
    }
    /// errc{0} after a success.
    errc code() const { return **this ? errc{0} : error().code(); }
    coati::fate fate() const { return error().fate(); }
    time_point at() const { return state_->at; }

    auto handler(world& in, std::function<void()> then = {})
    {
        auto token = std::make_shared<int>();
        state_->handlers = token;
        return [state = state_, token, &in, then = std::move(then)](result<T> r) {
            ++state->completed;
            state->at = in.now();
            state->value.emplace(std::move(r));
            if (then) {
                then();
            }
        };
    }

private:
    struct state {
        int completed = 0;
        std::optional<result<T>> value;
        time_point at;
        std::weak_ptr<int> handlers;
    };
    std::shared_ptr<state> state_ = std::make_shared<state>();
};

inline endpoint server_at(std::size_t i)
{
    return {"10.0.0." + std::to_string(i + 1), 2181, {}};
}

/// Servers in order, no spread: what a test of one thing wants.
inline config plain_config(std::size_t servers)
{
    config c;
    for (std::size_t i = 0; i < servers; ++i) {
        c.servers.push_back({server_at(i).address, server_at(i).port});
    }
    c.server_policy = coati::server_policy::in_order();
    c.reconnect_spread = 0ms;
    return c;
}

/// A world with one ensemble and one client of it.
class simulation {
public:
    explicit simulation(std::size_t n = 1, std::uint64_t seed = 1,
                        testing::ensemble_options options = {})
        : simulation(plain_config(n), n, seed, std::move(options))
    {
    }
    explicit simulation(config settings, std::size_t n = 1, std::uint64_t seed = 1,
                        testing::ensemble_options options = {})
        : in(seed), ensemble(in, std::move(options))
    {
        for (std::size_t i = 0; i < n; ++i) {
            servers.push_back(std::make_unique<scripted_server>(ensemble, in, server_at(i)));
        }
        zk.emplace(make_client(std::move(settings)));
    }

    client make_client(config settings)
    {
        return client(coati::serial(in.get_executor()), std::move(settings), in.make_transport());
    }

    // --- operations ------------------------------------------------------------------------------

    template <class T>
    answer<T> start(operation<T> op)
    {
        answer<T> a;
        std::move(op)(a.handler(in));
        return a;
    }
    template <class T>
    answer<T> start(operation<T> op, std::function<void()> then)
    {
        answer<T> a;
        std::move(op)(a.handler(in, std::move(then)));
        return a;
    }
    template <class T>
    answer<T> start(operation<T> op, asio::cancellation_signal& stop)
    {
        answer<T> a;
        std::move(op)(asio::bind_cancellation_slot(stop.slot(), a.handler(in)));
        return a;
    }
    /// Starts it and waits for it.
    template <class T>
    result<T> ask(operation<T> op, duration limit = 1min,
                  std::source_location here = std::source_location::current())
    {
        const answer<T> a = start(std::move(op));
        until([&] { return a.done(); }, limit, here);
        return a.take();
    }
    /// Runs and waits for the session.
    answer<void> connect()
    {
        const answer<void> run = start(zk->run());
        REQUIRE(ask(zk->connected()));
        return run;
    }
    /// `body` is a named lambda or function `awaitable<void>(client)`; runs it to its end.
    template <class Body>
    void play(Body& body, duration limit = 10min,
              std::source_location here = std::source_location::current())
    {
        bool done = false;
        std::exception_ptr failed;
        asio::co_spawn(zk->get_executor(), body(*zk), [&](std::exception_ptr e) {
            done = true;
            failed = e;
        });
        until([&] { return done; }, limit, here);
        if (failed) {
            std::rethrow_exception(failed);
        }
    }

    // --- time ------------------------------------------------------------------------------------

    /// False when the virtual time is over first. Throws when turns go on without any passing.
    bool reaches(const std::function<bool()>& what, duration limit)
    {
        std::size_t turns = 0;
        time_point last = in.now();
        const auto watched = [&] {
            turns = in.now() == last ? turns + 1 : 0;
            last = in.now();
            if (turns > 1'000'000) {
                throw std::runtime_error("the simulation spins: virtual time stands still");
            }
            return what();
        };
        return in.run_until(watched, limit);
    }
    void until(const std::function<bool()>& what, duration limit = 1min,
               std::source_location here = std::source_location::current())
    {
        INFO("waiting in " << here.file_name() << ":" << here.line());
        REQUIRE(reaches(what, limit));
    }
    void pass(duration d)
    {
        const time_point end = in.now() + d;
        reaches([] { return false; }, d);
        in.run_for(end - in.now());
    }

    // --- looking ---------------------------------------------------------------------------------

    scripted_server& server(std::size_t i) { return *servers.at(i); }
    /// The newest live connection.
    std::uint64_t connection_id() const { return in.connections().back().id; }
    std::size_t connections_made() const
    {
        std::size_t n = 0;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            n += in.connection_count(server_at(i));
        }
        return n;
    }

    world in;
    scripted_ensemble ensemble;
    std::vector<std::unique_ptr<scripted_server>> servers;
    std::optional<client> zk;
};

/// Reads a state stream as fast as it goes.
class state_recorder {
public:
    explicit state_recorder(const client& zk) : stream_(zk.states()) { ask(); }
    state_recorder(const state_recorder&) = delete;
    state_recorder& operator=(const state_recorder&) = delete;

    std::vector<session_state> states() const
    {
        std::vector<session_state> all;
        for (const state_change& each : seen) {
            all.push_back(each.state);
        }
        return all;
    }

    std::vector<state_change> seen;
    std::optional<error> end;

private:
    void ask()
    {
        stream_.next()([this](result<state_change> r) {
            if (!r) {
                end = r.error();
                return;
            }
            seen.push_back(*r);
            ask();
        });
    }

    state_stream stream_;  // last: its destructor completes the wait
};

}  // namespace coati::test

template <>
struct Catch::StringMaker<coati::errc> {
    static std::string convert(coati::errc e) { return std::string(coati::name(e)); }
};
template <>
struct Catch::StringMaker<coati::fate> {
    static std::string convert(coati::fate f) { return std::string(coati::name(f)); }
};
template <>
struct Catch::StringMaker<coati::session_state> {
    static std::string convert(coati::session_state s) { return std::string(coati::name(s)); }
};
