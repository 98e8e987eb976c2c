// The loop, the sessions and the observers of the tests against real servers.

#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <sstream>

namespace coati::test {

namespace {

// A loop that does not turn any more cannot fail a test; the process says so and ends, and its
// servers with it.
void give_up(int)
{
    constexpr char text[] = "a test blocks its loop: the watchdog ends the process\n";
    [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text, sizeof text - 1);
    std::abort();
}

std::string hex(std::int64_t session_id)
{
    std::ostringstream text;
    text << "0x" << std::hex << static_cast<std::uint64_t>(session_id);
    return text.str();
}

std::int64_t number_behind(const std::string& text, const std::string& label)
{
    const std::size_t at = text.find(label);
    REQUIRE(at != std::string::npos);
    return std::stoll(text.substr(at + label.size()));
}

}  // namespace

// --- sessions

void session::run()
{
    auto kept = state_;
    auto done = [kept](result<void> how) {
        kept->end = std::move(how);
        kept->over.cancel();
    };
    auto op = zk.run();
    std::move(op)(asio::bind_cancellation_slot(
        state_->stop.slot(), asio::bind_executor(zk.get_executor(), std::move(done))));
}

task<result<void>> session::ended() const
{
    const auto kept = state_;
    while (!kept->end) {
        auto wait = kept->over.async_wait(asio::as_tuple(asio::deferred));
        co_await std::move(wait);
    }
    co_return *kept->end;
}

// --- the fixture

fixture::fixture(ensemble& servers)
    : servers_(&servers), context_(std::make_unique<asio::io_context>(1))
{
    static int tests = 0;
    root_ = "/test-" + std::to_string(++tests);
}

fixture::~fixture() = default;

config fixture::settings() const
{
    auto parsed = config::parse(servers_->connect_string() + root_);
    REQUIRE(parsed);
    parsed->session_timeout = 4s;
    return *parsed;
}

config fixture::settings(std::uint16_t port) const
{
    auto parsed = config::parse("127.0.0.1:" + std::to_string(port) + root_);
    REQUIRE(parsed);
    parsed->session_timeout = 4s;
    return *parsed;
}

session fixture::start(client of)
{
    session started(std::move(of));
    started.run();
    sessions_.push_back(started);
    return started;
}

task<session> fixture::open(client of)
{
    session started = start(std::move(of));
    auto connected = started.zk.connected().within(30s);
    const auto r = co_await std::move(connected);
    REQUIRE(r);
    co_return started;
}

task<session> fixture::open()
{
    return open(settings());
}

task<> fixture::sleep(std::chrono::milliseconds how_long) const
{
    asio::steady_timer timer(*context_, how_long);
    auto wait = timer.async_wait(asio::as_tuple(asio::deferred));
    co_await std::move(wait);
}

void fixture::spawn(task<> beside)
{
    ++beside_;
    asio::co_spawn(*context_, std::move(beside), [this](std::exception_ptr e) {
        --beside_;
        if (e && !beside_failed_) {
            beside_failed_ = std::move(e);
        }
    });
}

task<> fixture::joined()
{
    co_await until([this] { return beside_ == 0 || beside_failed_; }, "what runs beside the test");
    if (beside_failed_) {
        std::rethrow_exception(beside_failed_);
    }
}

task<> fixture::around(task<> body)
{
    if (!observer_) {
        config outside = settings();
        outside.chroot.clear();
        outside.session_timeout = 10s;
        session second = co_await open(std::move(outside));
        const auto made = co_await second.zk.create(root_);
        REQUIRE((made.has_value() || made.error() == errc::node_exists));
        observer_ = second.zk.chroot(root_);
    }
    co_await std::move(body);
    for (const session& each : sessions_) {
        if (!each.is_over()) {
            (void)co_await each.zk.close();
        }
    }
    sessions_.clear();
    observer_.reset();
}

void fixture::run_task(task<> body, std::chrono::seconds limit)
{
    struct sigaction at_alarm {};
    at_alarm.sa_handler = &give_up;
    ::sigaction(SIGALRM, &at_alarm, nullptr);
    ::alarm(static_cast<unsigned>(limit.count() + 60));

    bool done = false;
    std::exception_ptr failed;
    asio::co_spawn(*context_, around(std::move(body)), [&](std::exception_ptr e) {
        done = true;
        failed = std::move(e);
    });
    const auto end = std::chrono::steady_clock::now() + limit;
    context_->restart();
    while (!done && context_->run_one_until(end) != 0) {}
    ::alarm(0);
    if (!done) {
        // What hangs refers to the test's variables: it dies before they do.
        sessions_.clear();
        observer_.reset();
        context_.reset();
        FAIL("the test did not end within " << limit.count() << " s");
    }
    if (failed) {
        std::rethrow_exception(failed);
    }
}

void healed::now() noexcept
{
    try {
        for (int i = 0; i < servers_->size(); ++i) {
            if (servers_->pid(i) <= 0) {
                servers_->start(i);
            } else {
                servers_->resume(i);
            }
        }
        servers_->wait_quorum();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "the servers are not well: %s\n", e.what());
    }
}

// --- what the servers themselves say

std::size_t watchers_of(const ensemble& servers, int server, const std::string& server_path)
{
    std::istringstream lines(servers.four_letter(server, "wchp"));
    std::size_t watchers = 0;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('/')) {
            inside = line == server_path;
        } else if (inside && line.starts_with("\t0x")) {
            ++watchers;
        }
    }
    return watchers;
}

std::size_t watches_at(const ensemble& servers, int server)
{
    const std::string answer = servers.four_letter(server, "mntr");
    return static_cast<std::size_t>(number_behind(answer, "zk_watch_count\t"));
}

std::set<std::string> ephemerals_of(const ensemble& servers, int server, std::int64_t session_id)
{
    std::istringstream lines(servers.four_letter(server, "dump"));
    std::set<std::string> paths;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("0x")) {
            inside = line == hex(session_id) + ":";
        } else if (inside && line.starts_with("\t/")) {
            paths.insert(line.substr(1));
        }
    }
    return paths;
}

bool knows_session(const ensemble& servers, int server, std::int64_t session_id)
{
    std::istringstream lines(servers.four_letter(server, "dump"));
    for (std::string line; std::getline(lines, line);) {
        if (line == "\t" + hex(session_id)) {
            return true;
        }
    }
    return false;
}

// --- waiting

task<event> event_of(const watch& w, std::chrono::seconds limit)
{
    auto next = w.next().within(limit);
    auto seen = co_await std::move(next);
    REQUIRE(seen);
    co_return std::move(*seen);
}

bool is_silent(const watch& w)
{
    return w.is_armed() && !w.end();
}

}  // namespace coati::test
