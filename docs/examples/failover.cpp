// ./dev demo: one client rides through the loss of its server, then through the loss of its
// session.
//
// Runs beside three servers; COATI_CONNECT says where they listen ("host:port,..."). Of real ones
// COATI_SERVER_PIDS says which process each is ("port=pid,..."); those of coati-testserver take
// commands at COATI_COMMAND ("host:port"), and can be revived as well. Act one kills the server
// that the client is connected to: the session, its ephemeral and its watch survive on another
// server. Act two ends the session on the server: the application is told, and `supervise` starts
// it again in a new session. Every claim that is printed has been checked; the first that fails
// ends the program.

#include <coati/coati.hpp>
#include <coati/testing/expire_session.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using coati::session_state;

constexpr auto config_path = "/demo-config";
constexpr auto member_path = "/demo-member";

void expect(bool holds, const std::string& claim)
{
    if (!holds) {
        throw std::runtime_error("this does not hold: " + claim);
    }
}

std::string hex(std::int64_t id)
{
    char text[19];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(id));
    return text;
}

std::string environment(const char* name)
{
    const char* const value = std::getenv(name);
    if (value == nullptr) {
        throw std::runtime_error(std::string(name) + " is not set; ./dev demo sets it");
    }
    return value;
}

/// The process that listens on a port, from "port=pid,port=pid".
pid_t server_at(std::uint16_t port)
{
    const std::string all = "," + environment("COATI_SERVER_PIDS");
    const std::string key = "," + std::to_string(port) + "=";
    expect(all.find(key) != std::string::npos, "COATI_SERVER_PIDS knows the server" + key);
    return static_cast<pid_t>(std::stol(all.substr(all.find(key) + key.size())));
}

/// Whether the servers are those of coati-testserver.
bool takes_commands()
{
    return std::getenv("COATI_COMMAND") != nullptr;
}

/// One line there, one line back.
asio::awaitable<void> command(std::string line)
{
    const std::string at = environment("COATI_COMMAND");
    const auto colon = at.rfind(':');
    const asio::ip::tcp::endpoint where(
        asio::ip::make_address(at.substr(0, colon)),
        static_cast<std::uint16_t>(std::stoi(at.substr(colon + 1))));
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(where, asio::use_awaitable);
    line += '\n';
    co_await asio::async_write(socket, asio::buffer(line), asio::use_awaitable);
    std::string answer;
    auto into = asio::dynamic_buffer(answer);
    co_await asio::async_read_until(socket, into, '\n', asio::use_awaitable);
    expect(answer == "ok\n", line + "is answered by ok, not " + answer);
}

asio::awaitable<void> kill_server(std::uint16_t port)
{
    if (takes_commands()) {
        co_await command("kill " + std::to_string(port));
    } else {
        expect(::kill(server_at(port), SIGKILL) == 0, "the server can be killed");
    }
}

class demo {
public:
    explicit demo(coati::client zk) : zk_(std::move(zk)), begun_(zk_.now()) {}

    asio::awaitable<void> run();

private:
    asio::awaitable<coati::result<void>> application(coati::client zk);
    asio::awaitable<coati::result<void>> first_session(coati::client zk);
    asio::awaitable<coati::result<void>> lose_server(coati::client zk);
    asio::awaitable<coati::result<void>> revive(coati::client zk, coati::endpoint dead);
    asio::awaitable<coati::result<void>> fire_once(coati::client zk, coati::watch watch);
    asio::awaitable<coati::result<void>> lose_session(coati::client zk);
    asio::awaitable<coati::result<void>> next_session(coati::client zk);
    asio::awaitable<void> print_states();
    asio::awaitable<void> give_up_after(std::chrono::seconds limit);
    void check_states() const;
    void say(const std::string& line) const;

    coati::client zk_;
    coati::time_point begun_;
    int sessions_ = 0;
    std::int64_t first_id_ = 0;
    std::vector<session_state> seen_;
};

/// One session's worth of work. `supervise` calls it again, with a new handle, for each session.
asio::awaitable<coati::result<void>> demo::application(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.connected());
    const auto session = zk.session();
    say("session " + hex(session.id) + " on " + to_string(session.server) + ", timeout " +
        std::to_string(session.negotiated_timeout.count()) + " ms");
    expect(session.id != 0 && session.negotiated_timeout > 0ms, "the server granted a session");
    auto act = ++sessions_ == 1 ? first_session(zk) : next_session(zk);
    co_return co_await std::move(act);
}

asio::awaitable<coati::result<void>> demo::first_session(coati::client zk)
{
    first_id_ = zk.session().id;
    BOOST_OUTCOME_CO_TRY(co_await zk.create(config_path, "blue"));
    BOOST_OUTCOME_CO_TRY(auto config, co_await zk.get_and_watch(config_path));
    BOOST_OUTCOME_CO_TRY(co_await zk.create(member_path, "", coati::create_mode::ephemeral));
    say(std::string("created the ephemeral ") + member_path + ", watching " + config_path);
    BOOST_OUTCOME_CO_TRY(co_await lose_server(zk));
    BOOST_OUTCOME_CO_TRY(co_await fire_once(zk, std::move(config.watch)));
    co_return co_await lose_session(zk);
}

// Act one: the server is lost.

asio::awaitable<coati::result<void>> demo::lose_server(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(auto before, co_await zk.get(member_path));
    const auto old_server = zk.session().server;
    say("killing the server at " + to_string(old_server));
    co_await kill_server(old_server.port);

    // No retry loop: a read that was in flight is sent again on the next connection.
    BOOST_OUTCOME_CO_TRY(auto after, co_await zk.get(member_path));
    const auto session = zk.session();
    expect(session.server != old_server, "the client moved to another server");
    expect(session.id == first_id_, "the session is the same");
    expect(after.stat.czxid == before.stat.czxid, "the ephemeral was never gone");
    expect(after.stat.ephemeral_owner == first_id_, "the ephemeral belongs to this session");
    say("same session " + hex(session.id) + " on " + to_string(session.server) +
        ", same ephemeral, czxid " + hex(after.stat.czxid));
    if (takes_commands()) {
        BOOST_OUTCOME_CO_TRY(co_await revive(zk, old_server));
    }
    co_return coati::success();
}

/// The server comes back, and the client goes back to it, with its session.
asio::awaitable<coati::result<void>> demo::revive(coati::client zk, coati::endpoint dead)
{
    say("reviving the server at " + to_string(dead));
    co_await command("revive " + std::to_string(dead.port));
    std::vector<coati::server_address> only_this = {{dead.address, dead.port}};
    BOOST_OUTCOME_CO_TRY(co_await zk.set_servers(std::move(only_this)));
    while (zk.session().server != dead) {
        BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(5ms));
    }
    BOOST_OUTCOME_CO_TRY(auto mine, co_await zk.get(member_path));
    expect(mine.stat.ephemeral_owner == first_id_, "the session has moved to the revived server");
    say("same session " + hex(first_id_) + " on " + to_string(dead) + " again");
    auto all = coati::config::parse(environment("COATI_CONNECT")).value().servers;
    co_return co_await zk.set_servers(std::move(all));
}

asio::awaitable<coati::result<void>> demo::fire_once(coati::client zk, coati::watch watch)
{
    expect(watch.is_armed(), "the watch is still armed on the new server");
    BOOST_OUTCOME_CO_TRY(co_await zk.set(config_path, "green"));
    BOOST_OUTCOME_CO_TRY(auto event, co_await watch.next());
    expect(event.type == coati::event_type::data_changed && event.path == config_path,
           "the watch told of the change");
    BOOST_OUTCOME_CO_TRY(co_await zk.set(config_path, "red"));
    auto again = co_await watch.next();
    expect(!again && again.error() == coati::errc::watch_ended, "the watch fired exactly once");
    say("the watch fired, once, for " + event.path);
    co_return coati::success();
}

// Act two: the session is lost.

asio::awaitable<coati::result<void>> demo::lose_session(coati::client zk)
{
    say("ending session " + hex(first_id_) + " on the server");
    auto ended =
        coati::testing::expire_session(coati::make_tcp_transport(zk.get_executor()),
                                       zk.session().server, first_id_, zk.credentials().password);
    BOOST_OUTCOME_CO_TRY(co_await std::move(ended));

    // Nothing to poll and no event to remember: whatever is asked of this session says that it
    // ended.
    auto lost = co_await zk.get(member_path);
    expect(!lost && lost.error() == coati::errc::session_expired, "the application is told");
    say("the application gets: " + lost.error().message());
    co_return lost.error();
}

asio::awaitable<coati::result<void>> demo::next_session(coati::client zk)
{
    const auto id = zk.session().id;
    expect(id != first_id_, "the session is a new one");
    BOOST_OUTCOME_CO_TRY(auto gone, co_await zk.exists(member_path));
    expect(!gone, "the ephemeral ended with its session");
    BOOST_OUTCOME_CO_TRY(co_await zk.create(member_path, "", coati::create_mode::ephemeral));
    BOOST_OUTCOME_CO_TRY(auto mine, co_await zk.get(member_path));
    expect(mine.stat.ephemeral_owner == id, "the new ephemeral belongs to the new session");
    say("created the ephemeral again, its owner is " + hex(mine.stat.ephemeral_owner));
    co_return co_await zk.remove(config_path);
}

asio::awaitable<void> demo::print_states()
{
    auto states = zk_.states();
    while (auto change = co_await states.next()) {
        seen_.push_back(change->state);
        say("    " + std::string(name(change->state)));
    }
}

asio::awaitable<void> demo::give_up_after(std::chrono::seconds limit)
{
    auto waited = co_await zk_.sleep_for(limit);
    if (waited) {
        throw std::runtime_error("not done after " + std::to_string(limit.count()) + " s");
    }
}

/// The landmarks, in this order; the steps between them depend on who was tried when.
void demo::check_states() const
{
    using enum session_state;
    auto at = seen_.begin();
    for (const auto landmark : {connected, disconnected, connected, expired, connected, closed}) {
        at = std::find(at, seen_.end(), landmark);
        expect(at != seen_.end(),
               "the states show " + std::string(name(landmark)) + " in its place");
        ++at;
    }
}

asio::awaitable<void> demo::run()
{
    const auto application_of = [this](coati::client zk) { return application(std::move(zk)); };
    auto work = coati::supervise(zk_, application_of)(asio::use_awaitable);
    auto first = co_await (std::move(work) || print_states() || give_up_after(55s));
    auto& answer = std::get<0>(first);  // the others go on until they are cancelled, or throw
    if (!answer) {
        throw std::runtime_error(answer.error().message());
    }
    expect(sessions_ == 2, "two sessions were enough");
    check_states();
    say("done");
}

void demo::say(const std::string& line) const
{
    const std::chrono::duration<double> since = zk_.now() - begun_;
    std::printf("%7.3f s  %s\n", since.count(), line.c_str());
    std::fflush(stdout);
}

}  // namespace

int main()
try {
    auto settings = coati::config::parse(environment("COATI_CONNECT")).value();
    asio::io_context context(1);
    demo story(coati::client(context.get_executor(), settings));
    auto done = asio::co_spawn(context, story.run(), asio::use_future);
    context.run();
    done.get();
    return 0;
} catch (const std::exception& failed) {
    std::fprintf(stderr, "failover: %s\n", failed.what());
    return 1;
}
