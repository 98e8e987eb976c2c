// Addresses where no ZooKeeper server is: nobody listens, another protocol is spoken, the
// connection is closed at once, or nothing ever comes. Each has its own error, within the deadline,
// and none makes the client hammer it.

#include "support.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <string_view>

namespace coati::test {

namespace {

using asio::ip::tcp;

/// Accepts everybody, says its text, and hangs up or stays; silent after the first, if it `tires`.
class stranger {
public:
    stranger(fixture& f, std::string says, bool stays, bool tires = false)
        : acceptor_(f.context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
          says_(std::move(says)), stays_(stays), tires_(tires)
    {
        f.spawn(serve());
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    std::size_t connections() const { return connections_; }
    void stop() { acceptor_.close(); }

private:
    task<> serve()
    {
        for (;;) {
            auto accept = acceptor_.async_accept(asio::as_tuple(asio::deferred));
            auto [ec, socket] = co_await std::move(accept);
            if (ec) {
                co_return;
            }
            ++connections_;
            auto say =
                asio::async_write(socket, asio::buffer(says_), asio::as_tuple(asio::deferred));
            co_await std::move(say);
            if (stays_) {
                kept_.push_back(std::move(socket));
            }
            if (tires_) {
                says_.clear();
                stays_ = true;
            }
        }
    }

    tcp::acceptor acceptor_;
    std::string says_;
    bool stays_;
    bool tires_;
    std::size_t connections_ = 0;
    std::vector<tcp::socket> kept_;
};

/// Tries one address for 1.5 s and gives the one attempt that is remembered.
task<attempt> try_in_vain(fixture& f, std::uint16_t port)
{
    config c = f.settings(port);
    c.connect_deadline = 1500ms;
    c.connect_timeout = 300ms;
    const auto begun = std::chrono::steady_clock::now();
    const session s = f.start(c);
    const auto pending = co_await s.zk.get("/");
    CHECK(code_of(pending) == errc::no_server_reachable);
    CHECK(pending.error().fate() == fate::not_sent);
    const auto end = co_await s.ended();
    CHECK(code_of(end) == errc::no_server_reachable);
    const auto took = std::chrono::steady_clock::now() - begun;
    CHECK(took >= 1500ms);
    CHECK(took < 10s);
    const auto tried = s.zk.last_attempts();
    REQUIRE(tried.size() == 1);
    CHECK(tried[0].server.port == port);
    co_return tried[0];
}

// With full jitter from 0 to 100 ms, doubling, 1.5 s hold a handful; a busy loop makes thousands.
constexpr std::size_t far_too_many = 60;

}  // namespace

TEST_CASE("a port where nobody listens refuses the connection", "[strangers][S9]")
{
    fixture f;
    held_port nobody;
    f.run([&]() -> task<> {
        const attempt last = co_await try_in_vain(f, nobody.number());
        CHECK(last.step == attempt_step::connect);
        CHECK(last.error.code() == errc::connect_failed);
        CHECK(last.error.cause() == asio::error::connection_refused);
    });
}

TEST_CASE("a web server is no ZooKeeper server, and is quoted", "[strangers][C36]")
{
    fixture f;
    f.run([&]() -> task<> {
        stranger web(f, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", false);
        const attempt last = co_await try_in_vain(f, web.port());
        CHECK(last.step == attempt_step::handshake);
        CHECK(last.error.code() == errc::not_zookeeper);
        CHECK(last.text.find("HTTP/1.1 400") != std::string::npos);
        CHECK(web.connections() >= 2);
        CHECK(web.connections() < far_too_many);
        web.stop();
        co_await f.joined();
    });
}

TEST_CASE("a server that hangs up at once refuses the handshake", "[strangers][T22]")
{
    fixture f;
    f.run([&]() -> task<> {
        stranger rude(f, "", false);
        const attempt last = co_await try_in_vain(f, rude.port());
        CHECK(last.step == attempt_step::handshake);
        CHECK(last.error.code() == errc::handshake_refused);
        CHECK(rude.connections() >= 2);
        CHECK(rude.connections() < far_too_many);
        rude.stop();
        co_await f.joined();
    });
}

TEST_CASE("a handshake that never comes is given up in time", "[strangers][S6]")
{
    fixture f;
    f.run([&]() -> task<> {
        stranger silent(f, "", true);
        const attempt last = co_await try_in_vain(f, silent.port());
        CHECK(last.step == attempt_step::handshake);
        CHECK(last.error.code() == errc::handshake_timed_out);
        CHECK(silent.connections() >= 2);
        CHECK(silent.connections() <= 5);  // 300 ms each
        silent.stop();
        co_await f.joined();
    });
}

TEST_CASE("an attempt that the deadline interrupts is named where there was no other",
          "[strangers][S9]")
{
    fixture f;
    f.run([&]() -> task<> {
        stranger silent(f, "", true);
        config c = f.settings(silent.port());
        c.connect_deadline = 200ms;
        c.connect_timeout = 20s;
        const session s = f.start(c);
        const auto end = co_await s.ended();
        CHECK(code_of(end) == errc::no_server_reachable);
        const auto tried = s.zk.last_attempts();
        REQUIRE(tried.size() == 1);
        CHECK(tried[0].error.code() == errc::handshake_timed_out);
        silent.stop();
        co_await f.joined();
    });
}

TEST_CASE("an attempt that the deadline interrupts replaces nothing that is known",
          "[strangers][S9]")
{
    fixture f;
    f.run([&]() -> task<> {
        stranger web(f, "HTTP/1.1 400 Bad Request\r\n\r\n", false, true);
        config c = f.settings(web.port());
        c.connect_deadline = 1500ms;
        c.connect_timeout = 20s;
        const session s = f.start(c);
        (void)co_await s.ended();
        REQUIRE(web.connections() == 2);
        const auto tried = s.zk.last_attempts();
        REQUIRE(tried.size() == 1);
        CHECK(tried[0].error.code() == errc::not_zookeeper);
        web.stop();
        co_await f.joined();
    });
}

TEST_CASE("half a handshake is given up in time", "[strangers]")
{
    fixture f;
    f.run([&]() -> task<> {
        using namespace std::string_view_literals;
        stranger half(f, std::string("\0\0\0\x25\0\0"sv), true);
        const attempt last = co_await try_in_vain(f, half.port());
        CHECK(last.error.code() == errc::handshake_timed_out);
        half.stop();
        co_await f.joined();
    });
}

TEST_CASE("one good server among strangers is found", "[strangers][C13]")
{
    fixture f;
    held_port nobody;
    f.run([&]() -> task<> {
        stranger web(f, "HTTP/1.1 400 Bad Request\r\n\r\n", false);
        stranger rude(f, "", false);
        stranger silent(f, "", true);
        config c = f.settings();
        const server_address good = c.servers.front();
        c.servers.clear();
        const std::array<std::uint16_t, 4> bad{nobody.number(), web.port(), rude.port(),
                                               silent.port()};
        for (const std::uint16_t port : bad) {
            c.servers.push_back(server_address{"127.0.0.1", port});
        }
        c.servers.push_back(good);
        c.server_policy = coati::server_policy::in_order();
        const session s = co_await f.open(c);
        CHECK(s.zk.session().server.port == good.port);
        const auto tried = s.zk.last_attempts();
        CHECK(tried.size() == 4);
        CHECK(silent.connections() == 1);
        ok(co_await s.zk.create("/a"));
        web.stop();
        rude.stop();
        silent.stop();
        co_await f.joined();
    });
}

}  // namespace coati::test
