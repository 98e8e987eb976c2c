// The contract of transport.hpp, held against every implementation: the system's TCP over loopback,
// TLS over it, and the simulated world. What only one of them has is at the end (names), in
// tls_test.cpp, or in world_test.cpp.

#ifdef COATI_HAS_TLS
#include "tls_server.hpp"

#include <coati/tls.hpp>
#endif

#include <coati/testing/world.hpp>
#include <coati/transport.hpp>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using coati::endpoint;

/// Real sockets in real time.
struct over_tcp {
    asio::io_context context;
    std::shared_ptr<coati::transport> transport = coati::make_tcp_transport(context.get_executor());

    std::unique_ptr<coati::listener> listen()
    {
        return coati::make_tcp_listener(context.get_executor(), {"127.0.0.1", 0, {}});
    }
    bool run_until(const std::function<bool()>& predicate)
    {
        const auto end = std::chrono::steady_clock::now() + 5s;
        while (!predicate() && std::chrono::steady_clock::now() < end) {
            context.restart();
            context.run_one_for(10ms);
        }
        return predicate();
    }
    void pass(std::chrono::milliseconds time)
    {
        const auto end = std::chrono::steady_clock::now() + time;
        run_until([&] { return std::chrono::steady_clock::now() >= end; });
    }
};

/// The same in virtual time.
struct over_world {
    coati::testing::world world;
    asio::io_context& context = world.context();
    std::shared_ptr<coati::transport> transport = world.make_transport();

    std::unique_ptr<coati::listener> listen() { return world.listen({"10.0.0.1", 0, {}}); }
    bool run_until(const std::function<bool()>& predicate)
    {
        return world.run_until(predicate, 5s);
    }
    void pass(std::chrono::milliseconds time) { world.run_for(time); }
};

#ifdef COATI_HAS_TLS
/// Real sockets with TLS, against a server by Asio's own.
struct over_tls : over_tcp {
    over_tls()
    {
        coati::tls_settings settings;
        settings.ca_file = coati::test::shared_certificates().ca();
        transport = coati::make_tls_transport(context.get_executor(), settings).value();
    }
    std::unique_ptr<coati::listener> listen()
    {
        static const auto identity = coati::test::shared_certificates().issue("contract");
        auto made = std::make_unique<coati::test::tls_listener>(context, identity);
        // Tickets that nobody reads would turn the EOF of a close into a reset.
        SSL_CTX_set_num_tickets(made->context.native_handle(), 0);
        return made;
    }
};
using every_transport = std::tuple<over_tcp, over_world, over_tls>;
/// Whether the count of a failed write is the bytes that arrive, or only never below them.
template <class Where>
constexpr bool counts_exactly = !std::is_same_v<Where, over_tls>;
#else
using every_transport = std::tuple<over_tcp, over_world>;
template <class Where>
constexpr bool counts_exactly = true;
#endif

/// One completion: whether, with what, and a signal to cancel it.
template <class... T>
struct call {
    int completed = 0;
    error_code ec;
    std::tuple<T...> results;
    asio::cancellation_signal signal;

    auto handler()
    {
        return asio::bind_cancellation_slot(signal.slot(), [this](error_code e, T... r) {
            ++completed;
            ec = e;
            results = std::tuple<T...>(std::move(r)...);
        });
    }
    std::function<bool()> done()
    {
        return [this] { return completed > 0; };
    }
    auto& result() { return std::get<0>(results); }
};

using stream_call = call<std::unique_ptr<coati::stream>>;
using bytes_call = call<std::size_t>;

/// A connection, both ends.
template <class Where>
struct connected : Where {
    std::unique_ptr<coati::listener> listener = this->listen();
    std::unique_ptr<coati::stream> client;
    std::unique_ptr<coati::stream> server;

    connected()
    {
        stream_call accepted;
        stream_call made;
        listener->accept(accepted.handler());
        this->transport->connect(listener->local(), made.handler());
        REQUIRE((accepted.completed == 0 && made.completed == 0));
        REQUIRE(this->run_until(accepted.done()));
        REQUIRE(this->run_until(made.done()));
        REQUIRE_FALSE(accepted.ec);
        REQUIRE_FALSE(made.ec);
        client = std::move(made.result());
        server = std::move(accepted.result());
    }
};

const auto every_type = {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                         asio::cancellation_type::total};

template <class Where>
std::string read_until_error(Where& at, coati::stream& from, error_code& ec)
{
    std::string all;
    for (;;) {
        std::string chunk(65536, '\0');
        bytes_call read;
        from.read_some(asio::buffer(chunk), read.handler());
        REQUIRE(read.completed == 0);
        REQUIRE(at.run_until(read.done()));
        all.append(chunk, 0, read.result());
        if (read.ec) {
            ec = read.ec;
            return all;
        }
        REQUIRE(read.result() > 0);
    }
}

}  // namespace

TEST_CASE("an endpoint is written with its port, v6 in brackets", "[transport]")
{
    CHECK(coati::to_string(endpoint{"127.0.0.1", 2181, {}}) == "127.0.0.1:2181");
    CHECK(coati::to_string(endpoint{"::1", 2181, "localhost"}) == "[::1]:2181");
}

TEMPLATE_LIST_TEST_CASE("a sleep ends when its time has come, never inline", "[transport]",
                        every_transport)
{
    TestType at;
    const auto start = at.transport->now();
    call<> past;
    call<> later;
    call<> sooner;
    at.transport->sleep_until(start - 1s, past.handler());
    at.transport->sleep_until(start + 20ms, later.handler());
    at.transport->sleep_until(start + 10ms, sooner.handler());
    CHECK(past.completed == 0);
    REQUIRE(at.run_until(past.done()));
    CHECK(sooner.completed == 0);
    REQUIRE(at.run_until(sooner.done()));
    CHECK(at.transport->now() >= start + 10ms);
    CHECK(later.completed == 0);
    REQUIRE(at.run_until(later.done()));
    CHECK(at.transport->now() >= start + 20ms);
    CHECK_FALSE(later.ec);
}

TEMPLATE_LIST_TEST_CASE("every wait can be cancelled, by every type", "[transport]",
                        every_transport)
{
    for (const auto type : every_type) {
        connected<TestType> at;
        call<> sleep;
        call<> for_ever;
        stream_call accept;
        bytes_call read;
        char into[16];
        at.transport->sleep_until(at.transport->now() + 1h, sleep.handler());
        at.transport->sleep_until(coati::never, for_ever.handler());
        at.listener->accept(accept.handler());
        at.client->read_some(asio::buffer(into), read.handler());
        at.pass(2ms);
        CHECK(sleep.completed + for_ever.completed + accept.completed + read.completed == 0);

        sleep.signal.emit(type);
        for_ever.signal.emit(type);
        accept.signal.emit(type);
        read.signal.emit(type);
        CHECK(sleep.completed + for_ever.completed + accept.completed + read.completed == 0);
        at.pass(2ms);
        CHECK((sleep.completed == 1 && sleep.ec == asio::error::operation_aborted));
        CHECK((for_ever.completed == 1 && for_ever.ec == asio::error::operation_aborted));
        CHECK((accept.completed == 1 && accept.ec == asio::error::operation_aborted));
        CHECK(accept.result() == nullptr);
        CHECK((read.completed == 1 && read.ec == asio::error::operation_aborted));

        // A late signal finds nothing, and the stream still works.
        read.signal.emit(type);
        bytes_call again;
        bytes_call write;
        at.client->read_some(asio::buffer(into), again.handler());
        at.server->write(asio::buffer("ok", 2), write.handler());
        REQUIRE(at.run_until(again.done()));
        CHECK((!again.ec && again.result() == 2));
    }
}

TEMPLATE_LIST_TEST_CASE("a literal address needs no resolver", "[transport]", every_transport)
{
    TestType at;
    for (const std::string literal : {"10.1.2.3", "::1", "fe80::1%1"}) {
        call<std::vector<endpoint>> found;
        at.transport->resolve(literal, 2181, found.handler());
        CHECK(found.completed == 0);
        REQUIRE(at.context.poll() == 1);
        at.context.restart();
        CHECK_FALSE(found.ec);
        REQUIRE(found.result().size() == 1);
        CHECK(found.result()[0].host == literal);
        CHECK(found.result()[0].port == 2181);
        CHECK(found.result()[0].address.substr(0, literal.find('%')) ==
              literal.substr(0, literal.find('%')));
    }
}

TEMPLATE_TEST_CASE("a name that nobody knows is not found", "[transport]", over_world)
{
    TestType at;
    call<std::vector<endpoint>> found;
    at.transport->resolve("no.such.host.invalid", 2181, found.handler());
    REQUIRE(at.run_until(found.done()));
    CHECK(found.ec == asio::error::host_not_found);
}

TEMPLATE_LIST_TEST_CASE("connecting where nobody listens is refused", "[transport]",
                        every_transport)
{
    TestType at;
    auto listener = at.listen();
    const endpoint gone = listener->local();
    listener.reset();
    stream_call made;
    at.transport->connect(gone, made.handler());
    CHECK(made.completed == 0);
    REQUIRE(at.run_until(made.done()));
    CHECK(made.ec == asio::error::connection_refused);
    CHECK(made.result() == nullptr);
}

TEST_CASE("an address that is none is an error of connect, not inline", "[transport]")
{
    over_tcp at;
    stream_call made;
    at.transport->connect({"zk1.example", 2181, {}}, made.handler());
    CHECK(made.completed == 0);
    REQUIRE(at.run_until(made.done()));
    CHECK(made.ec);
}

TEMPLATE_LIST_TEST_CASE("bytes arrive in order, then EOF", "[transport]", every_transport)
{
    connected<TestType> at;
    std::string sent;
    for (std::size_t size : {0U, 1U, 100U, 10'000U}) {
        const std::string piece(size, static_cast<char>('a' + size % 7));
        bytes_call write;
        at.client->write(asio::buffer(piece), write.handler());
        CHECK(write.completed == 0);
        REQUIRE(at.run_until(write.done()));
        CHECK_FALSE(write.ec);
        CHECK(write.result() == size);
        sent += piece;
    }
    at.client.reset();
    error_code ec;
    CHECK(read_until_error(at, *at.server, ec) == sent);
    CHECK(ec == asio::error::eof);
}

TEMPLATE_LIST_TEST_CASE("a write larger than every buffer waits for its reader", "[transport]",
                        every_transport)
{
    connected<TestType> at;
    const std::string large(32 * 1024 * 1024, 'x');
    bytes_call write;
    at.client->write(asio::buffer(large), write.handler());
    at.pass(20ms);
    CHECK(write.completed == 0);

    std::size_t received = 0;
    std::string chunk(1 << 20, '\0');
    while (received < large.size()) {
        bytes_call read;
        at.server->read_some(asio::buffer(chunk), read.handler());
        REQUIRE(at.run_until(read.done()));
        REQUIRE_FALSE(read.ec);
        received += read.result();
    }
    REQUIRE(at.run_until(write.done()));
    CHECK_FALSE(write.ec);
    CHECK(write.result() == large.size());
}

TEMPLATE_LIST_TEST_CASE("a write that fails says how many bytes were handed over", "[transport]",
                        every_transport)
{
    const std::string large(32 * 1024 * 1024, 'x');
    for (const auto type : every_type) {
        connected<TestType> at;
        bytes_call write;
        at.client->write(asio::buffer(large), write.handler());
        at.pass(5ms);
        write.signal.emit(type);
        REQUIRE(at.run_until(write.done()));
        CHECK(write.ec == asio::error::operation_aborted);
        CHECK(write.result() > 0);
        CHECK(write.result() < large.size());
        // Exactly these bytes can be read, or none beyond them.
        at.client.reset();
        error_code ec;
        const std::size_t arrived = read_until_error(at, *at.server, ec).size();
        CHECK(arrived <= write.result());
        if constexpr (counts_exactly<TestType>) {
            CHECK(arrived == write.result());
        }
    }
}

TEMPLATE_LIST_TEST_CASE("writing to a peer that is gone fails in the end", "[transport]",
                        every_transport)
{
    connected<TestType> at;
    at.server.reset();
    at.pass(5ms);
    error_code ec;
    for (int i = 0; i < 100 && !ec; ++i) {
        bytes_call write;
        at.client->write(asio::buffer("x", 1), write.handler());
        REQUIRE(write.completed == 0);
        REQUIRE(at.run_until(write.done()));
        ec = write.ec;
        CHECK(write.result() == (ec ? 0U : 1U));
        at.pass(1ms);
    }
    CHECK((ec == asio::error::broken_pipe || ec == asio::error::connection_reset));
}

TEMPLATE_LIST_TEST_CASE("handlers run on their own executor", "[transport]", every_transport)
{
    connected<TestType> at;
    auto strand = asio::make_strand(at.context);
    int done = 0;
    const auto check = [&](auto&&...) {
        CHECK(strand.running_in_this_thread());
        ++done;
    };
    char into[4];
    at.transport->sleep_until(at.transport->now() + 1ms, asio::bind_executor(strand, check));
    at.transport->resolve("::1", 1, asio::bind_executor(strand, check));
    at.client->read_some(asio::buffer(into), asio::bind_executor(strand, check));
    at.server->write(asio::buffer("ping", 4), asio::bind_executor(strand, check));
    stream_call accepted;
    at.listener->accept(accepted.handler());
    at.transport->connect(at.listener->local(), asio::bind_executor(strand, check));
    CHECK(done == 0);
    CHECK(at.run_until([&] { return done == 5; }));
}

TEMPLATE_LIST_TEST_CASE("parked handlers die with their context, uncalled", "[transport]",
                        every_transport)
{
    const auto token = std::make_shared<int>(0);
    char into[4];
    const std::string large(8 * 1024 * 1024, 'x');
    std::unique_ptr<coati::stream> survivor;
    {
        connected<TestType> at;
        const auto never_called = [token](auto&&...) { ++*token; };
        at.transport->sleep_until(at.transport->now() + 1h, never_called);
        at.transport->sleep_until(coati::never, never_called);
        at.listener->accept(never_called);
        at.client->read_some(asio::buffer(into), never_called);
        at.client->write(asio::buffer(large), never_called);
        at.transport->resolve("localhost", 1, never_called);
        CHECK(token.use_count() > 1);
        if constexpr (std::is_same_v<TestType, over_world>) {
            survivor = std::move(at.server);
        }
    }
    CHECK(*token == 0);
    CHECK(token.use_count() == 1);
}

TEST_CASE("a name goes through the system's resolver", "[transport]")
{
    over_tcp at;
    call<std::vector<endpoint>> found;
    at.transport->resolve("localhost", 2181, found.handler());
    CHECK(found.completed == 0);
    REQUIRE(at.run_until(found.done()));
    CHECK_FALSE(found.ec);
    REQUIRE_FALSE(found.result().empty());
    for (const auto& each : found.result()) {
        CHECK((each.address == "127.0.0.1" || each.address == "::1"));
        CHECK(each.port == 2181);
        CHECK(each.host == "localhost");
    }
}

TEST_CASE("a cancelled look-up completes at once and its answer is dropped", "[transport]")
{
    for (const auto type : every_type) {
        over_tcp at;
        call<std::vector<endpoint>> found;
        at.transport->resolve("localhost", 2181, found.handler());
        found.signal.emit(type);
        CHECK(found.completed == 0);
        REQUIRE(at.context.poll() >= 1);
        REQUIRE(found.completed == 1);
        CHECK(found.ec == asio::error::operation_aborted);
        CHECK(found.result().empty());
        at.pass(20ms);
        CHECK(found.completed == 1);
    }
}

TEST_CASE("the system's clock goes forward and its random numbers differ", "[transport]")
{
    over_tcp at;
    const auto first = at.transport->now();
    CHECK(at.transport->now() >= first);
    CHECK(at.transport->random() != at.transport->random());
    CHECK(over_tcp().transport->random() != over_tcp().transport->random());
}
