// A host that stands still while the world goes on, as under SIGSTOP: what does not complete, what
// the others see of it, and what it is told, in which order, when it goes on.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace coati::test::freeze_story {
namespace {

using boost::system::error_code;
using coati::testing::wake_order;
using said_things = std::vector<std::string>;

/// A process on a host of its own that writes down what it is told, beside a server that only
/// listens.
struct process {
    explicit process(const std::string& host = "a") : hosted(in.make_transport(host))
    {
        in.listen(at, [this](std::unique_ptr<stream> s) { accepted.push_back(std::move(s)); });
        in.add_name("name", {at.address});
    }

    void say(std::string what, error_code ec) { said.push_back(what + (ec ? " failed" : "")); }
    void sleep(duration d, const std::string& what)
    {
        hosted->sleep_until(in.now() + d, [this, what](error_code ec) { say(what, ec); });
    }
    void look_up()
    {
        hosted->resolve("name", 1,
                        [this](error_code ec, const std::vector<endpoint>&) { say("found", ec); });
    }
    void connect()
    {
        hosted->connect(at, [this](error_code ec, std::unique_ptr<stream> s) {
            say("connected", ec);
            mine.push_back(std::move(s));
        });
    }
    void read(std::size_t which)
    {
        mine.at(which)->read_some(asio::buffer(into.at(which)),
                                  [this, which](error_code ec, std::size_t n) {
                                      say("read " + std::string(into.at(which).data(), n), ec);
                                  });
    }
    void write(std::size_t which)
    {
        mine.at(which)->write(asio::buffer(out),
                              [this](error_code ec, std::size_t) { say("wrote", ec); });
    }
    /// By the server, to this process.
    void send(std::size_t which, const std::string& what)
    {
        sent.push_back(std::make_unique<std::string>(what));
        accepted.at(which)->write(asio::buffer(*sent.back()), [](error_code, std::size_t) {});
    }
    /// The server reads once.
    void listen_to(std::size_t which)
    {
        accepted.at(which)->read_some(asio::buffer(there), [this](error_code, std::size_t n) {
            heard.append(there.data(), n);
        });
    }
    /// Two connections.
    void set_up()
    {
        connect();
        connect();
        in.run_for(1s);
        REQUIRE(accepted.size() == 2);
        REQUIRE(std::exchange(said, {}) == said_things{"connected", "connected"});
    }

    world in;
    endpoint at = server_at(0);
    std::string out = "hello";
    std::array<std::array<char, 64>, 2> into{};
    std::vector<std::unique_ptr<std::string>> sent;
    std::array<char, 64> there{};
    std::string heard;
    said_things said;
    std::vector<std::unique_ptr<stream>> accepted;
    std::vector<std::unique_ptr<stream>> mine;
    std::shared_ptr<transport> hosted;
};

}  // namespace

TEST_CASE("nothing completes on a host that stands still, then all at once in a stated order",
          "[M6]")
{
    const auto order = GENERATE(wake_order::network_first, wake_order::timers_first);
    process a;
    a.set_up();
    a.sleep(2s, "later");
    a.sleep(1s, "sooner");
    a.sleep(1h, "in an hour");
    a.look_up();
    a.connect();
    a.read(1);
    a.read(0);
    a.in.freeze("a");
    a.send(1, "second");
    a.send(0, "first");
    a.in.run_for(1min);
    CHECK(a.said.empty());
    CHECK(a.accepted.size() == 3);  // the kernel has shaken hands

    a.in.thaw("a", order);
    const auto thawed = a.in.now();
    a.in.settle();
    CHECK(a.in.now() == thawed);
    const said_things network{"read first", "read second", "found", "connected"};
    const said_things timers{"sooner", "later"};
    const bool is_network_first = order == wake_order::network_first;
    said_things both = is_network_first ? network : timers;
    for (const auto& each : is_network_first ? timers : network) {
        both.push_back(each);
    }
    CHECK(a.said == both);
    a.in.run_for(1h);
    CHECK(a.said.back() == "in an hour");
}

TEST_CASE("others go on while a host stands still", "[M6]")
{
    process a;
    const auto other = a.in.make_transport("b");
    bool is_done = false;
    a.sleep(1s, "a");
    a.in.freeze("a");
    other->sleep_until(a.in.now() + 1s, [&](error_code) { is_done = true; });
    const auto of_nobody = a.in.spawn(a.in.sleep_for(1s));
    a.in.run_for(1s);
    CHECK(is_done);
    CHECK(of_nobody.done());
    CHECK(a.said.empty());
    CHECK(a.in.stuck());  // nobody would ever wake it
}

TEST_CASE("a host that was frozen for a time goes on by itself", "[M6]")
{
    process a;
    a.sleep(1s, "woken");
    a.in.freeze("a", 10s);
    a.in.run_for(5s);
    a.in.freeze("a", 10s);  // from now on
    a.in.run_for(9s);
    CHECK(a.said.empty());
    a.in.run_for(2s);
    CHECK(a.said == said_things{"woken"});

    // The end of a freeze that was cut short does not end the next one.
    a.in.freeze("a", 10s);
    a.in.thaw("a");
    a.in.freeze("a");
    a.sleep(1s, "again");
    a.in.run_for(1min);
    CHECK(a.said == said_things{"woken"});
    a.in.thaw("a");
    a.in.thaw("a");
    a.in.settle();
    CHECK(a.said == said_things{"woken", "again"});
}

TEST_CASE("what a frozen host writes leaves it when it thaws", "[M6]")
{
    process a;
    a.set_up();
    a.in.freeze("a");
    a.listen_to(0);
    a.write(0);
    a.in.run_for(1s);
    CHECK(a.heard.empty());
    CHECK(a.said.empty());
    a.in.thaw("a");
    a.in.run_for(1s);
    CHECK(a.heard == a.out);
    CHECK(a.said == said_things{"wrote"});
    CHECK(a.in.connections().size() == 2);
}

TEST_CASE("a frozen host that is full holds up who writes to it", "[M6]")
{
    process a;
    a.in.send_window(4);
    a.set_up();
    a.in.freeze("a");
    bool is_written = false;
    const std::string six = "abcdef";
    a.accepted[0]->write(asio::buffer(six), [&](error_code, std::size_t) { is_written = true; });
    a.read(0);
    a.in.run_for(1min);
    CHECK_FALSE(is_written);
    a.in.thaw("a");
    a.in.run_for(1s);
    CHECK(is_written);
    CHECK(a.said == said_things{"read abcd"});
}

TEST_CASE("connections that end under a frozen host are found so by it", "[M6]")
{
    process a;
    a.set_up();
    a.in.freeze("a");
    a.send(0, "last words");
    a.send(1, "lost words");
    a.in.run_for(1s);
    a.in.cut(1);
    a.in.reset(2);
    a.in.run_for(1s);
    a.read(0);
    a.read(1);
    a.in.run_for(1s);
    CHECK(a.said.empty());
    a.in.thaw("a");
    a.in.settle();
    CHECK(a.said == said_things{"read last words", "read  failed"});
    a.read(0);
    a.write(1);
    a.in.settle();
    CHECK(a.said == said_things{"read last words", "read  failed", "read  failed", "wrote failed"});
}

TEST_CASE("a frozen host can be killed", "[M6]")
{
    process a;
    a.set_up();
    asio::cancellation_signal kill;
    const auto bound = [&](auto handler) {
        return asio::bind_cancellation_slot(kill.slot(), std::move(handler));
    };
    a.hosted->sleep_until(a.in.now() + 1s, bound([&](error_code ec) { a.say("slept", ec); }));
    a.in.freeze("a");
    a.in.run_for(1min);
    kill.emit(asio::cancellation_type::terminal);
    a.mine.clear();
    a.in.run_for(1s);
    CHECK(a.said == said_things{"slept failed"});
    CHECK(a.in.connections().empty());
    a.in.thaw("a");
    a.in.run_for(1s);
    CHECK(a.said.size() == 1);
}

TEST_CASE("a connection that a frozen host never learns of is closed with it", "[M6]")
{
    process a;
    asio::cancellation_signal kill;
    a.hosted->connect(a.at, asio::bind_cancellation_slot(
                                kill.slot(), [&](error_code ec, std::unique_ptr<stream>) {
                                    a.say("connected", ec);
                                }));
    a.in.freeze("a");
    a.in.run_for(1s);
    CHECK(a.in.connections().size() == 1);
    kill.emit(asio::cancellation_type::terminal);
    a.in.run_for(1s);
    CHECK(a.said == said_things{"connected failed"});
    CHECK(a.in.connections().empty());
}

TEST_CASE("a world may end while a host of it is frozen", "[M6]")
{
    process a;
    a.set_up();
    a.read(0);
    a.connect();
    a.sleep(1s, "slept");
    a.in.freeze("a");
    a.send(0, "words");
    a.in.run_for(1min);
    CHECK(a.said.empty());
}

// --- a client on it ------------------------------------------------------------------------------

namespace {

/// A client on a host of that name.
struct resident {
    resident(simulation& at, const std::string& host)
        : zk(coati::serial(at.in.get_executor()), plain_config(2), at.in.make_transport(host)),
          run(at.start(zk.run()))
    {
        REQUIRE(at.ask(zk.connected()));
    }

    coati::client zk;
    state_recorder states{zk};
    answer<void> run;
};

}  // namespace

TEST_CASE("a client that stood still for too long learns of its end when it goes on", "[M6]")
{
    const auto order = GENERATE(wake_order::network_first, wake_order::timers_first);
    simulation at(2);
    resident a(at, "a");
    resident b(at, "b");
    REQUIRE(at.ask(a.zk.create("/a", "", create_mode::ephemeral)));
    at.in.freeze("a", 1h, order);
    at.pass(59min);
    CHECK_FALSE(at.ensemble.exists("/a"));
    CHECK(at.ensemble.sessions().size() == 1);
    CHECK(a.states.seen.back().state == session_state::connected);  // as far as it knows
    CHECK(b.states.seen.back().state == session_state::connected);
    CHECK_FALSE(a.run.done());
    at.pass(2min);
    REQUIRE(a.run.done());
    CHECK(a.run.code() == errc::session_expired);
    CHECK(b.states.seen.back().state == session_state::connected);
}

TEST_CASE("a client that stood still for a moment goes on in its session", "[M6]")
{
    simulation at(2);
    resident a(at, "a");
    const auto session = a.zk.session().id;
    for (int i = 0; i < 20; ++i) {
        at.in.freeze("a", 3s);
        const auto made = at.start(a.zk.create("/a-", "", create_mode::persistent_sequential));
        at.pass(2s);
        CHECK_FALSE(made.done());
        at.pass(2s);
        CHECK(*made);
    }
    CHECK(a.zk.session().id == session);
    CHECK(at.ensemble.children("/").size() == 21);
}

TEST_CASE("the same seed freezes the same", "[M6]")
{
    const auto story = [](std::uint64_t seed) {
        simulation at(2, seed);
        resident a(at, "a");
        at.in.jitter(5ms);
        for (int i = 0; i < 5; ++i) {
            const auto made = at.start(a.zk.create("/a-", "", create_mode::persistent_sequential));
            at.in.freeze("a", std::chrono::milliseconds(at.in.random() % 9000));
            at.pass(5s);
        }
        return at.in.trace_hash();
    };
    CHECK(story(1) == story(1));
    CHECK(story(1) != story(2));
}

}  // namespace coati::test::freeze_story
