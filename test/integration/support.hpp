// What the tests against real servers share: a loop that runs one coroutine to its end under a
// watchdog, sessions whose end can be waited for, and two observers that are independent of the
// client under test: a second client, and the servers' own four-letter words.
//
// Time is the wall's here, so limits are generous; what has a bound is tested in virtual time.
#pragma once

#include <coati/client.hpp>
#include <coati/hold.hpp>

#include "support/ensemble.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/catch_tostring.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace coati::test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

template <class T = void>
using task = asio::awaitable<T>;

/// The code of a failure; errc{0} of a success.
template <class T>
errc code_of(const result<T>& r)
{
    return r.has_value() ? errc{0} : r.error().code();
}

/// Fails the test unless the request succeeded. A function, for no assertion may be open while a
/// coroutine waits: `ok(co_await zk.sync())`.
template <class T>
void ok(const result<T>& r, std::source_location at = std::source_location::current())
{
    INFO(at.file_name() << ":" << at.line() << ": " << name(code_of(r)));
    REQUIRE(r.has_value());
}

/// One run of a client: how it ended, and a hand to drop it.
class session {
public:
    explicit session(client of) : zk(std::move(of)), state_(std::make_shared<state>(zk)) {}

    client zk;

    void run();
    /// SIGKILL as the servers see it: TCP is dropped, nothing is said.
    void drop() const { state_->stop.emit(asio::cancellation_type::terminal); }
    bool is_over() const { return state_->end.has_value(); }
    /// Waits for the end of `run`.
    task<result<void>> ended() const;

private:
    struct state {
        explicit state(const client& zk)
            : over(zk.get_executor(), asio::steady_timer::time_point::max())
        {
        }
        asio::steady_timer over;  // cancelled at the end
        asio::cancellation_signal stop;
        std::optional<result<void>> end;
    };
    std::shared_ptr<state> state_;
};

/// A test's loop, its own znode on the servers, and its sessions.
class fixture {
public:
    explicit fixture(ensemble& servers = shared_single());
    ~fixture();

    /// Runs `body() -> task<>` to its end; what it throws is thrown here. Sessions that it leaves
    /// open are closed. Too late is a failed test, and a loop that does not even turn an aborted
    /// one.
    template <class Body>
    void run(Body&& body, std::chrono::seconds limit = 90s)
    {
        run_task(body(), limit);
    }

    ensemble& servers() noexcept { return *servers_; }
    asio::io_context& context() noexcept { return *context_; }
    /// The server's path of a path below this test's znode, which is the chroot of its clients.
    std::string full(const std::string& path = {}) const { return root_ + path; }

    /// Settings of a client of all servers, or of one, or of whatever listens there. The session
    /// timeout is 4 s: 8 ticks of the servers.
    config settings() const;
    config settings(std::uint16_t port) const;

    /// A client that nobody runs.
    client make(config c) const { return client(context_->get_executor(), std::move(c)); }
    /// A running session, which need not be connected.
    session start(config c) { return start(make(std::move(c))); }
    session start(client of);
    /// A connected session.
    task<session> open(config c) { return open(make(std::move(c))); }
    task<session> open(client of);
    task<session> open();

    /// The second client: connected to the servers themselves, in this test's znode.
    const client& observer() const { return *observer_; }

    /// Runs beside the body, which has to wait for all of these before it returns.
    void spawn(task<> beside);
    task<> joined();

    task<> sleep(std::chrono::milliseconds how_long) const;
    /// Waits until `condition()`; fails the test when that takes too long.
    template <class Condition>
    task<> until(Condition condition, const char* what, std::chrono::seconds limit = 30s)
    {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) {
                FAIL("waited in vain for: " << what);
            }
            co_await sleep(10ms);
        }
    }

private:
    void run_task(task<> body, std::chrono::seconds limit);
    task<> around(task<> body);

    ensemble* servers_;
    std::unique_ptr<asio::io_context> context_;
    std::string root_;
    std::vector<session> sessions_;
    std::optional<client> observer_;
    std::size_t beside_ = 0;
    std::exception_ptr beside_failed_;
};

/// Puts servers back that a test has harmed, also when it fails.
class healed {
public:
    explicit healed(ensemble& servers) : servers_(&servers) {}
    ~healed() { now(); }
    healed(const healed&) = delete;
    healed& operator=(const healed&) = delete;

    void now() noexcept;

private:
    ensemble* servers_;
};

// --- what the servers themselves say

/// Sessions that have a data or an exist watch on this path of this server, by `wchp`, which does
/// not list child watches.
std::size_t watchers_of(const ensemble& servers, int server, const std::string& server_path);
/// All watches of a server, of both kinds, by `mntr`.
std::size_t watches_at(const ensemble& servers, int server);
/// The ephemerals of a session, by `dump`.
std::set<std::string> ephemerals_of(const ensemble& servers, int server, std::int64_t session_id);
/// Whether the server tracks this session, by `dump`.
bool knows_session(const ensemble& servers, int server, std::int64_t session_id);

// --- waiting

/// The next event of a watch, which has to come.
task<event> event_of(const watch& w, std::chrono::seconds limit = 20s);
/// Whether a watch is silent for a moment. The silence of a watch is proved by what comes after:
/// call it behind a `sync`, so that an event would have arrived.
bool is_silent(const watch& w);

}  // namespace coati::test

template <>
struct Catch::StringMaker<coati::errc> {
    static std::string convert(coati::errc code) { return std::string(name(code)); }
};
template <>
struct Catch::StringMaker<coati::fate> {
    static std::string convert(coati::fate f) { return std::string(name(f)); }
};
template <>
struct Catch::StringMaker<coati::session_state> {
    static std::string convert(coati::session_state s) { return std::string(name(s)); }
};
template <>
struct Catch::StringMaker<coati::event_type> {
    static std::string convert(coati::event_type t) { return std::string(name(t)); }
};
template <class T>
struct Catch::StringMaker<coati::result<T>> {
    static std::string convert(const coati::result<T>& r)
    {
        return r.has_value() ? "success" : r.error().message();
    }
};
