// The referee itself: a proxy that cuts late or a server that keeps nothing would make every
// verdict about the client worthless.

#include "support/byte_proxy.hpp"
#include "support/ensemble.hpp"

#include <catch2/catch_test_macros.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

using namespace coati::test;
using namespace std::chrono_literals;

namespace {

enum class answer { bytes, end, reset, silence };

// What a socket has to say within the given time.
answer hear(const unique_fd& fd, std::string& out, std::chrono::milliseconds limit = 5s)
{
    pollfd waiting{fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(limit.count())) == 0)
        return answer::silence;
    char buffer[4'096];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got > 0)
        out.append(buffer, static_cast<std::size_t>(got));
    return got > 0 ? answer::bytes : got == 0 ? answer::end : answer::reset;
}

std::string hear_exactly(const unique_fd& fd, std::size_t n)
{
    std::string out;
    while (out.size() < n && hear(fd, out) == answer::bytes) {}
    return out;
}

void say(const unique_fd& fd, const std::string& text)
{
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
}

// A server of which the test holds the other end of each connection.
class plain_server {
public:
    plain_server()
    {
        held_port port;
        number_ = port.number();
        port.release();
        listener_ = bind_loopback(number_);
        REQUIRE(::listen(listener_.get(), 8) == 0);
    }
    std::uint16_t port() const { return number_; }
    unique_fd accept() { return unique_fd(::accept(listener_.get(), nullptr, nullptr)); }

private:
    unique_fd listener_;
    std::uint16_t number_ = 0;
};

struct wire {
    plain_server backend;
    byte_proxy proxy{backend.port()};
    unique_fd client;
    unique_fd server;

    wire() { connect(); }
    void connect()
    {
        client = connect_loopback(proxy.port(), 2'000);
        REQUIRE(client);
        server = backend.accept();
    }
};

}  // namespace

TEST_CASE("the proxy passes bytes both ways and counts them", "[support]")
{
    wire w;
    say(w.client, "question");
    CHECK(hear_exactly(w.server, 8) == "question");
    say(w.server, "answer");
    CHECK(hear_exactly(w.client, 6) == "answer");
    CHECK(w.proxy.connections() == 1);
    CHECK(w.proxy.bytes(direction::to_server) == 8);
    CHECK(w.proxy.bytes(direction::to_client) == 6);
    CHECK(w.proxy.captured(direction::to_server) == "question");
    CHECK(w.proxy.captured(direction::to_client, 0) == "answer");
}

TEST_CASE("a cut ends both sides with FIN", "[support]")
{
    wire w;
    w.proxy.cut();
    std::string nothing;
    CHECK(hear(w.client, nothing) == answer::end);
    CHECK(hear(w.server, nothing) == answer::end);
    CHECK(w.proxy.open_connections() == 0);
    w.connect();  // and the next one passes
    say(w.client, "x");
    CHECK(hear_exactly(w.server, 1) == "x");
}

TEST_CASE("a reset ends both sides with RST", "[support]")
{
    wire w;
    w.proxy.reset();
    std::string nothing;
    CHECK(hear(w.client, nothing) == answer::reset);
    CHECK(hear(w.server, nothing) == answer::reset);
}

TEST_CASE("a stalled direction is silent and loses nothing", "[support]")
{
    wire w;
    w.proxy.stall(direction::to_client);
    say(w.server, "held");
    std::string heard;
    CHECK(hear(w.client, heard, 100ms) == answer::silence);
    say(w.client, "the other way flows");
    CHECK(hear_exactly(w.server, 19) == "the other way flows");
    w.proxy.unstall(direction::to_client);
    CHECK(hear_exactly(w.client, 4) == "held");
}

TEST_CASE("a half close ends one direction only", "[support]")
{
    wire w;
    w.proxy.half_close(direction::to_client);
    std::string nothing;
    CHECK(hear(w.client, nothing) == answer::end);
    say(w.client, "still");
    CHECK(hear_exactly(w.server, 5) == "still");
}

TEST_CASE("the end of one side reaches the other", "[support]")
{
    wire w;
    w.client.reset();
    std::string nothing;
    CHECK(hear(w.server, nothing) == answer::end);
}

TEST_CASE("a cut after n bytes forwards exactly n bytes", "[support]")
{
    wire w;
    for (const std::size_t n : {std::size_t(0), std::size_t(1), std::size_t(5)}) {
        w.proxy.cut_after(direction::to_server, n);
        w.connect();
        ::send(w.client.get(), "0123456789", 10, MSG_NOSIGNAL);  // at 0 it may be cut already
        std::string heard;
        while (hear(w.server, heard) == answer::bytes) {}
        CHECK(heard == std::string("0123456789").substr(0, n));
    }
    w.connect();
    say(w.client, "0123456789");
    CHECK(hear_exactly(w.server, 10) == "0123456789");
}

TEST_CASE("a proxy that refuses is a closed port until it does not", "[support]")
{
    wire w;
    w.proxy.refuse(true);
    CHECK_FALSE(connect_loopback(w.proxy.port(), 500));
    w.proxy.refuse(false);
    w.connect();
    w.proxy.accept_then_close(true);
    const unique_fd turned_away = connect_loopback(w.proxy.port(), 500);
    REQUIRE(turned_away);
    std::string nothing;
    CHECK(hear(turned_away, nothing) == answer::end);
}

TEST_CASE("a server that is gone looks gone through the proxy, and retargeting helps", "[support]")
{
    std::optional<plain_server> gone(std::in_place);
    byte_proxy proxy(gone->port());
    gone.reset();
    const unique_fd client = connect_loopback(proxy.port(), 500);
    std::string nothing;
    CHECK(hear(client, nothing) == answer::end);

    plain_server next;
    proxy.retarget(next.port());
    const unique_fd second = connect_loopback(proxy.port(), 500);
    const unique_fd peer = next.accept();
    say(second, "y");
    CHECK(hear_exactly(peer, 1) == "y");
}

TEST_CASE("delays and pieces keep order and content", "[support]")
{
    wire w;
    w.proxy.delay(direction::to_server, 60ms);
    w.proxy.split(3);
    const auto begin = std::chrono::steady_clock::now();
    const std::string text = "0123456789";
    say(w.client, text);
    std::string heard;
    std::size_t reads = 0;
    while (heard.size() < text.size() && hear(w.server, heard) == answer::bytes)
        ++reads;
    CHECK(heard == text);
    CHECK(reads >= 2);
    CHECK(std::chrono::steady_clock::now() - begin >= 60ms);
}

TEST_CASE("a held port is nobody else's until it is released", "[support]")
{
    held_port held;
    CHECK_FALSE(bind_loopback(held.number()));
    held.release();
    CHECK(bind_loopback(held.number()));
}

TEST_CASE("a server keeps its data through a kill and its port through a restart", "[support]")
{
    ensemble servers;
    CHECK(servers.mode(0) == "standalone");
    CHECK(servers.four_letter(0, "ruok") == "imok");
    CHECK(servers.server_at_port(servers.client_port(0)) == 0);
    const auto folder = servers.directory() / "s1" / "data";
    REQUIRE(std::filesystem::exists(folder / "version-2"));

    const pid_t pid = servers.pid(0);
    servers.kill(0);
    CHECK(::kill(pid, 0) == -1);
    CHECK(errno == ESRCH);
    CHECK(servers.pid(0) == -1);
    CHECK(servers.four_letter(0, "ruok").empty());
    CHECK(std::filesystem::exists(folder / "version-2"));

    servers.start(0);
    servers.wait_ready(0);
    CHECK(servers.mode(0) == "standalone");
    CHECK(servers.pid(0) != pid);
}

TEST_CASE("a paused server is silent and goes on where it was", "[support]")
{
    ensemble& servers = shared_single();
    servers.pause(0);
    const unique_fd open = connect_loopback(servers.client_port(0), 500);
    CHECK(open);  // the kernel still accepts
    say(open, "ruok");
    std::string heard;
    CHECK(hear(open, heard, 200ms) == answer::silence);
    servers.resume(0);
    CHECK(hear_exactly(open, 4) == "imok");
}

TEST_CASE("three servers elect a leader and another one when it is killed", "[support]")
{
    ensemble& servers = shared_three();
    const std::optional<int> first = servers.leader();
    REQUIRE(first);
    servers.kill(*first);
    servers.wait_quorum();
    const std::optional<int> second = servers.leader();
    REQUIRE(second);
    CHECK(second != first);
    servers.start(*first);
    servers.wait_quorum();
    CHECK(servers.mode(*first) == "follower");
}

TEST_CASE("options reach the server", "[support]")
{
    ensemble_options options;
    options.tick_time_ms = 200;
    options.max_session_timeout_ms = 3'000;
    options.extra_cfg["globalOutstandingLimit"] = "17";
    options.each.resize(1);
    options.each[0].extra_cfg["snapCount"] = "4242";
    options.jvm_args = {"-Duser.name=somebody"};
    const ensemble servers(options);
    const std::string conf = servers.four_letter(0, "conf");
    CHECK(conf.find("tickTime=200\n") != std::string::npos);
    CHECK(conf.find("maxSessionTimeout=3000\n") != std::string::npos);
    CHECK(servers.four_letter(0, "envi").find("user.name=somebody\n") != std::string::npos);
}

TEST_CASE("a server that cannot start says why", "[support]")
{
    ensemble_options options;
    options.extra_cfg["tickTime"] = "not a number";
    std::string text;
    try {
        const ensemble servers(options);
    } catch (const std::runtime_error& error) {
        text = error.what();
    }
    CHECK(text.find("not a number") != std::string::npos);
}
