// The embedded server over real TCP, with coati's own client on a thread of its own; and the
// commands of coati-testserver, which are a face of it.

#include "testing/server_commands.hpp"

#include <coati/client.hpp>
#include <coati/testing/embedded_server.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace coati::testing;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using Catch::Matchers::MessageMatches;

/// A session in the background, asked from the test's thread.
class session {
public:
    explicit session(const embedded_server& server)
        : zk(context_.get_executor(), settings(server)), ended_(zk.run()(asio::use_future)),
          thread_([this] { context_.run(); })
    {
    }
    ~session()
    {
        zk.close()(asio::use_future).wait();
        context_.stop();
        thread_.join();
    }

    /// What an operation came to. Of a test that hangs its suite's time limit makes an end.
    template <class Operation>
    static auto of(Operation op)
    {
        return std::move(op)(asio::use_future).get();
    }
    /// As the client's own thread sees it.
    coati::session_info info()
    {
        return asio::post(zk.get_executor(), asio::use_future([this] { return zk.session(); }))
            .get();
    }
    coati::error end() { return ended_.get().error(); }

private:
    static coati::config settings(const embedded_server& server)
    {
        auto made = coati::config::parse(server.connect_string()).value();
        made.reconnect_spread = 0ms;
        made.server_policy = coati::server_policy::in_order();
        return made;
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};

public:
    coati::client zk;

private:
    std::future<coati::result<void>> ended_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("an embedded server serves a client, and its test, from construction on", "[embedded]")
{
    embedded_server server;
    server.put("/a/b", "from the test");
    session on(server);
    CHECK(session::of(on.zk.get("/a/b")).value().data == "from the test");
    auto made = session::of(on.zk.create("/a/c", "x", coati::create_mode::ephemeral));
    REQUIRE(made);
    CHECK(server.data("/a/c") == "x");
    CHECK(server.children("/a") == std::vector<std::string>{"b", "c"});
    CHECK(server.ephemeral_owner("/a/c") == on.info().id);
    CHECK(server.ephemeral_owner("/a/b") == 0);
    REQUIRE(server.sessions().size() == 1);
    CHECK(server.sessions()[0].id == on.info().id);

    auto seen = session::of(on.zk.get_and_watch("/a/b")).value();
    server.put("/a/b", "changed");
    CHECK(session::of(seen.watch.next()).value().type == coati::event_type::data_changed);
    CHECK_FALSE(server.remove("/a"));
    CHECK(server.remove("/a/b"));
    CHECK_FALSE(server.exists("/a/b"));
    CHECK(server.data("/a/b") == std::nullopt);
}

TEST_CASE("servers are killed and restarted on their ports, and sessions live on", "[embedded]")
{
    embedded_server server({.servers = 3});
    REQUIRE(server.size() == 3);
    session on(server);
    REQUIRE(session::of(on.zk.create("/mine", "", coati::create_mode::ephemeral)));
    const auto id = on.info().id;
    REQUIRE(on.info().server.port == server.endpoint(0).port);

    server.kill(0);
    CHECK(server.state(0) == process_state::killed);
    server.pause(0);  // nothing to pause
    CHECK(server.state(0) == process_state::killed);
    CHECK(session::of(on.zk.get("/mine")).value().stat.ephemeral_owner == id);
    const auto second = on.info().server.port;
    CHECK(second != server.endpoint(0).port);

    server.restart(0);
    CHECK(server.state(0) == process_state::running);
    server.kill(second == server.endpoint(1).port ? 1U : 2U);
    CHECK(session::of(on.zk.get("/mine")).value().stat.ephemeral_owner == id);
    CHECK(on.info().server.port != second);

    server.drop_connections(0);
    server.drop_connections();
    CHECK(session::of(on.zk.get("/mine")));
    CHECK(on.info().id == id);
}

TEST_CASE("embedded servers need most of each other, and a leader", "[embedded]")
{
    embedded_options options{.servers = 4, .observers = 1};
    options.ensemble.election_time = 10ms;
    embedded_server server(options);
    REQUIRE(server.leader() == 0U);
    session on(server);
    REQUIRE(session::of(on.zk.create("/a")));
    server.kill(0);
    REQUIRE(session::of(on.zk.get("/a")));  // is sent again, until there is a leader
    CHECK(session::of(on.zk.set("/a", "1")));
    CHECK((server.leader() == 1U || server.leader() == 2U));
    server.kill(1);
    auto waiting = on.zk.get("/a")(asio::use_future);
    CHECK(waiting.wait_for(50ms) == std::future_status::timeout);
    CHECK(server.leader() == std::nullopt);
    server.restart(0);
    CHECK(waiting.get().value().data == "1");

    embedded_server alone({.servers = 2, .elections = false});
    session other(alone);
    alone.kill(1);
    CHECK(session::of(other.zk.create("/a")));
}

TEST_CASE("an isolated or a lagging server shows its clients the past", "[embedded]")
{
    embedded_options options{.servers = 5};
    options.ensemble.peer_timeout = 1h;  // nobody gives up while this machine is busy
    embedded_server server(options);
    session on(server);
    REQUIRE(session::of(on.zk.create("/a", "old")));
    const auto now = [&] { return session::of(on.zk.get("/a")).value().data; };
    const auto port = on.info().server.port;
    std::size_t where = 0;
    while (server.endpoint(where).port != port) {
        ++where;
    }
    server.isolate(where);
    server.put("/a", "new");
    CHECK(now() == "old");
    server.heal(where);
    CHECK(session::of(on.zk.sync()));
    CHECK(now() == "new");
    server.lag(where, 1h);
    server.put("/a", "newer");
    CHECK(now() == "new");
}

TEST_CASE("a paused server answers when it is resumed", "[embedded]")
{
    embedded_server server;
    session on(server);
    REQUIRE(session::of(on.zk.create("/a")));
    server.pause(0);
    CHECK(server.state(0) == process_state::paused);
    auto waiting = on.zk.get("/a")(asio::use_future);
    CHECK(waiting.wait_for(30ms) == std::future_status::timeout);
    server.resume(0);
    CHECK(waiting.get());
    CHECK(server.state(0) == process_state::running);
    CHECK(name(server.state(0)) == "running");
}

TEST_CASE("the embedded server ends a session", "[embedded]")
{
    embedded_server server;
    session on(server);
    REQUIRE(session::of(on.zk.create("/mine", "", coati::create_mode::ephemeral)));
    CHECK_FALSE(server.expire(on.info().id + 1));
    CHECK(server.expire(on.info().id));
    CHECK_FALSE(server.exists("/mine"));
    CHECK(on.end() == coati::errc::session_expired);
    CHECK(server.sessions().empty());
}

TEST_CASE("without a quorum the embedded servers serve nobody", "[embedded]")
{
    embedded_server server({.servers = 2});
    session on(server);
    REQUIRE(session::of(on.zk.create("/a")));
    server.has_quorum(false);
    auto waiting = on.zk.get("/a")(asio::use_future);
    CHECK(waiting.wait_for(30ms) == std::future_status::timeout);
    server.has_quorum(true);
    CHECK(waiting.get());
}

TEST_CASE("a function on the servers' thread scripts faults", "[embedded]")
{
    embedded_server server;
    session on(server);
    REQUIRE(session::of(on.zk.create("/a")));
    const auto before = server.run([](embedded_server::stage& at) {
        at.server().on_frame([](const frame_view& frame) {
            return frame.op == coati::wire::op_code::set_data &&
                           frame.direction == frame_view::way::reply
                       ? verdict::close()
                       : verdict::pass();
        });
        return at.server().log().size();
    });
    auto lost = session::of(on.zk.set("/a", "1"));
    REQUIRE_FALSE(lost);
    CHECK(lost.error() == coati::errc::connection_loss);
    CHECK(lost.error().fate() == coati::fate::maybe_applied);
    CHECK(server.data("/a") == "1");
    CHECK(server.run([](auto& at) { return at.server().log().size(); }) > before);

    // Calls of its own from there are direct, and what is thrown arrives here.
    server.run([&](embedded_server::stage& at) {
        server.put("/from-inside", "2");
        CHECK(at.ensemble().data("/from-inside") == "2");
        CHECK_THROWS_AS(at.server(1), std::out_of_range);
    });
    CHECK_THROWS_MATCHES(server.run([](auto&) { throw std::runtime_error("mine"); }),
                         std::runtime_error, Message("mine"));
}

TEST_CASE("an exception in a script is thrown by the next call, and once", "[embedded]")
{
    embedded_server server;
    session on(server);
    REQUIRE(session::of(on.zk.create("/a")));
    std::promise<void> thrown;
    server.run([&](embedded_server::stage& at) {
        at.server().on_frame([&](const frame_view& frame) {
            if (frame.op == coati::wire::op_code::set_data) {
                thrown.set_value();
                throw std::logic_error("a bad script");
            }
            return verdict::pass();
        });
    });
    auto waiting = on.zk.set("/a", "1")(asio::use_future);
    thrown.get_future().wait();
    CHECK_THROWS_MATCHES(server.exists("/a"), std::logic_error, Message("a bad script"));
    CHECK(server.exists("/a"));
    server.run([](embedded_server::stage& at) { at.server().on_frame({}); });
    server.drop_connections();
    CHECK_FALSE(waiting.get());
}

TEST_CASE("any number of threads may ask the embedded server", "[embedded]")
{
    embedded_server server({.servers = 2, .elections = false});
    std::atomic<int> seen = 0;
    std::vector<std::thread> all;
    for (int t = 0; t < 4; ++t) {
        all.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                const auto path = "/t" + std::to_string(t) + '/' + std::to_string(i);
                server.put(path, path);
                seen += server.data(path) == path ? 1 : 0;
                server.drop_connections(static_cast<std::size_t>(i % 2));
            }
        });
    }
    for (auto& each : all) {
        each.join();
    }
    CHECK(seen == 200);
    CHECK(server.children("/t3").size() == 50);
}

TEST_CASE("what an embedded server cannot be is refused, and says why", "[embedded]")
{
    CHECK_THROWS_MATCHES(embedded_server({.servers = 0}), std::invalid_argument,
                         MessageMatches(ContainsSubstring("servers is 0; it takes 1 to 64")));
    CHECK_THROWS_MATCHES(embedded_server({.servers = 2, .observers = 2}), std::invalid_argument,
                         MessageMatches(ContainsSubstring("observers is 2 of 2 servers")));
    CHECK_THROWS_MATCHES(embedded_server({.servers = 3, .port = 65'534}), std::invalid_argument,
                         MessageMatches(ContainsSubstring("port is 65534")));
    embedded_options upside_down;
    upside_down.ensemble.min_session_timeout = 50'000ms;
    CHECK_THROWS_MATCHES(embedded_server(upside_down), std::invalid_argument,
                         MessageMatches(ContainsSubstring("min_session_timeout is 50000 ms")));
    embedded_options unheard_of;
    unheard_of.ensemble.version = "three";
    CHECK_THROWS_AS(embedded_server(unheard_of), std::invalid_argument);

    embedded_server server({.servers = 2});
    const auto out_of_two = MessageMatches(ContainsSubstring("there is no server 2; there are 2"));
    CHECK_THROWS_MATCHES(server.kill(2), std::out_of_range, out_of_two);
    CHECK_THROWS_MATCHES(server.restart(2), std::out_of_range, out_of_two);
    CHECK_THROWS_MATCHES(server.endpoint(2), std::out_of_range, out_of_two);
    CHECK_THROWS_MATCHES(server.put("a", ""), std::invalid_argument,
                         MessageMatches(ContainsSubstring("does not begin with a slash")));
}

TEST_CASE("the ports of embedded servers are their own", "[embedded]")
{
    // Below what outgoing connections are given, where nobody takes the port of a killed server.
    int outgoing = 65'536;
    std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> outgoing;
    embedded_server free_ones({.servers = 2});
    CHECK(free_ones.endpoint(0).port != free_ones.endpoint(1).port);
    CHECK(free_ones.endpoint(1).port < outgoing);
    CHECK(free_ones.connect_string() ==
          to_string(free_ones.endpoint(0)) + ',' + to_string(free_ones.endpoint(1)));

    const auto port = free_ones.endpoint(0).port;
    const auto names_it =
        MessageMatches(ContainsSubstring("cannot listen on 127.0.0.1:" + std::to_string(port)));
    CHECK_THROWS_MATCHES(embedded_server({.port = port}), std::system_error, names_it);
    free_ones.kill(0);
    {
        const embedded_server usurper({.port = port});
        CHECK(usurper.endpoint().port == port);
        CHECK_THROWS_MATCHES(free_ones.restart(0), std::system_error, names_it);
        CHECK(free_ones.state(0) == process_state::killed);
    }
    free_ones.restart(0);
    CHECK(free_ones.state(0) == process_state::running);
    CHECK(free_ones.endpoint(0).port == port);
}

TEST_CASE("a command is one line in and one line out", "[embedded][commands]")
{
    embedded_server server({.servers = 2, .elections = false});
    server_commands commands(server);
    const auto second = to_string(server.endpoint(1));
    session on(server);
    REQUIRE(session::of(on.zk.create("/mine", "", coati::create_mode::ephemeral)));
    std::ostringstream id;
    id << "0x" << std::hex << on.info().id;

    const std::vector<std::pair<std::string, std::string>> story = {
        {"", ""},
        {"  # a comment", ""},
        {"create /a/b two  words\\n\\x01\\\\", "ok"},
        {"create /a/b x", "error: /a/b is there already; `put` sets it"},
        {"get /a/b", "ok two  words\\n\\x01\\\\"},
        {"put /a/b", "ok"},
        {"get /a/b", "ok"},
        {"put /a/c \\t", "error: data has a backslash that is not \\\\, \\n or \\xHH; write \\\\ "
                         "for a backslash"},
        {"ls /a\r", "ok b"},
        {"get /nope", "error: there is no znode /nope"},
        {"get", "error: get takes a path, as in `get /a/b`"},
        {"delete /a", "error: /a cannot be deleted: it has children, or it is the server's own"},
        {"delete /a/b", "ok"},
        {"delete /a/b", "error: there is no znode /a/b"},
        {"sessions", "ok " + id.str()},
        {"kill 1", "ok"},
        {"kill " + second, "error: server 1 is killed already; `revive` brings it back"},
        {"status", "ok " + to_string(server.endpoint(0)) + "=running " + second + "=killed"},
        {"revive " + std::to_string(server.endpoint(1).port), "ok"},
        {"revive 1", "error: server 1 is running; only a killed one can be revived"},
        {"kill 2",
         "error: there is no server \"2\"; there are 2, numbered from 0 in the order of " +
             server.connect_string()},
        {"kill", "error: there is no server \"\"; there are 2, numbered from 0 in the order of " +
                     server.connect_string()},
        {"pause", "ok"},
        {"status", "ok " + to_string(server.endpoint(0)) + "=paused " + second + "=paused"},
        {"resume 0", "ok"},
        {"resume", "ok"},
        {"drop", "ok"},
        {"leader", "ok 0"},
        {"lag 1 5", "ok"},
        {"lag 1 0", "ok"},
        {"lag 1", "error: lag takes a server and milliseconds, as in `lag 0 250`"},
        {"isolate 1", "ok"},
        {"heal", "ok"},
        {"fault 0 delay 1", "ok"},
        {"fault 0 answer set_acl no_auth", "ok"},
        {"fault 0 none", "ok"},
        {"fault 0 lose-reply dance",
         "error: there is no operation \"dance\"; `set_data`, `create`, "
         "`get_children2` are some"},
        {"fault 0 answer create dance", "error: there is no error \"dance\" of a server; "
                                        "`no_node`, `bad_version`, `no_auth` are some"},
        {"fault 0", "error: fault takes a server and lose-reply OP, lose-request OP, answer OP "
                    "ERROR, delay MS or none, as in `fault 0 lose-reply set_data`"},
        {"quorum maybe", "error: quorum takes on or off"},
        {"quorum off", "ok"},
        {"quorum on", "ok"},
        {"expire 0x12", "error: there is no session 0x12; `sessions` lists those that there are"},
        {"expire him", "error: expire takes the id of a session, as in `expire 0x1f`, or `expire "
                       "all`"},
        {"expire " + id.str(), "ok"},
        {"sessions", "ok"},
        {"expire all", "ok"},
        {"dance", "error: unknown command \"dance\"; `help` lists what there is"},
    };
    for (const auto& [line, answer] : story) {
        CAPTURE(line);
        CHECK(commands.execute(line) == answer);
    }
    CHECK(on.end() == coati::errc::session_expired);
    CHECK_THAT(commands.execute("help"), ContainsSubstring("expire ID|all, "));
    CHECK_THAT(server_commands::help(), ContainsSubstring("\n  revive S            server S"));
    CHECK_FALSE(commands.has_quit());
    CHECK(commands.execute("quit") == "ok");
    CHECK(commands.has_quit());
}
