// The simulated world's own promises: virtual time, faults, names, and that a seed is a run.
// The contract that it shares with real TCP is test/unit/transport.

#include <coati/testing/world.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <tuple>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using coati::endpoint;
using coati::testing::direction;
using coati::testing::world;

const endpoint server_at{"10.0.0.1", 2181, {}};

template <class... T>
struct call {
    int completed = 0;
    error_code ec;
    std::tuple<T...> results;

    auto handler()
    {
        return [this](error_code e, T... r) {
            ++completed;
            ec = e;
            results = std::tuple<T...>(std::move(r)...);
        };
    }
    auto& result() { return std::get<0>(results); }
};

using bytes_call = call<std::size_t>;

/// A client and a server stream in a world.
struct linked {
    explicit linked(std::uint64_t seed = 1) : in(seed)
    {
        in.listen(server_at, [this](std::unique_ptr<coati::stream> s) {
            (server ? other : server) = std::move(s);
        });
        call<std::unique_ptr<coati::stream>> made;
        transport->connect(server_at, made.handler());
        in.run_until([&] { return made.completed > 0; }, 1s);
        REQUIRE_FALSE(made.ec);
        client = std::move(made.result());
        id = in.connections().at(0).id;
    }

    bytes_call write(coati::stream& to, const std::string& bytes)
    {
        bytes_call done;
        to.write(asio::buffer(bytes), done.handler());
        in.run_until([&] { return done.completed > 0; }, 1s);
        REQUIRE(done.completed == 1);
        return done;
    }
    /// What arrives within a second; something must.
    std::string read(coati::stream& from, error_code& ec)
    {
        char chunk[256];
        bytes_call done;
        from.read_some(asio::buffer(chunk), done.handler());
        REQUIRE(in.run_until([&] { return done.completed > 0; }, 1s));
        ec = done.ec;
        return std::string(chunk, done.result());
    }

    world in;
    std::shared_ptr<coati::transport> transport = in.make_transport();
    std::unique_ptr<coati::stream> client;
    std::unique_ptr<coati::stream> server;
    std::unique_ptr<coati::stream> other;  // of the second connection
    std::uint64_t id = 0;
};

auto sleeping(coati::transport& t, coati::time_point when)
{
    return asio::async_initiate<const asio::use_awaitable_t<>&, void(error_code)>(
        [](auto handler, coati::transport* through, coati::time_point at) {
            through->sleep_until(at, std::move(handler));
        },
        asio::use_awaitable, &t, when);
}

auto reading(coati::stream& s, asio::mutable_buffer into)
{
    return asio::async_initiate<const asio::use_awaitable_t<>&, void(error_code, std::size_t)>(
        [](auto handler, coati::stream* from, asio::mutable_buffer buffer) {
            from->read_some(buffer, std::move(handler));
        },
        asio::use_awaitable, &s, into);
}

}  // namespace

TEST_CASE("an hour passes in no time, in the order of deadlines and then of asking", "[world]")
{
    world in;
    const auto transport = in.make_transport();
    const auto start = in.now();
    std::string order;
    const auto note = [&order](char c) { return [&order, c](error_code) { order += c; }; };
    transport->sleep_until(start + 1h, note('c'));
    transport->sleep_until(start + 1min, note('a'));
    transport->sleep_until(start + 1h, note('d'));
    transport->sleep_until(start + 59min, note('b'));
    in.run_for(1h - 1ns);
    CHECK(order == "ab");
    CHECK(in.now() == start + 1h - 1ns);
    in.run_until_idle();
    CHECK(order == "abcd");
    CHECK(in.now() == start + 1h);
    CHECK(in.stuck());
}

TEST_CASE("a wait that nothing will end is noticed", "[world]")
{
    linked at;
    char chunk[8];
    bytes_call never;
    at.client->read_some(asio::buffer(chunk), never.handler());
    const auto before = at.in.now();
    CHECK_FALSE(at.in.run_until([&] { return never.completed > 0; }, 1h));
    CHECK(at.in.stuck());
    CHECK(at.in.now() == before);

    at.transport->sleep_until(at.in.now() + 2h, [](error_code) {});
    CHECK_FALSE(at.in.run_until([&] { return never.completed > 0; }, 1h));
    CHECK_FALSE(at.in.stuck());
    CHECK(at.in.now() == before + 1h);
}

TEST_CASE("bytes and connections take their time", "[world]")
{
    linked at;
    at.in.latency(server_at, 10ms);
    const auto start = at.in.now();
    error_code ec;
    CHECK(at.write(*at.client, "hello").result() == 5);
    CHECK(at.in.now() == start);
    CHECK(at.read(*at.server, ec) == "hello");
    CHECK(at.in.now() == start + 10ms);

    call<std::unique_ptr<coati::stream>> second;
    at.transport->connect(server_at, second.handler());
    at.in.run_until([&] { return second.completed > 0; }, 1s);
    CHECK(at.in.now() == start + 30ms);
    CHECK(at.in.connections().size() == 2);
    CHECK(at.in.connection_count(server_at) == 2);
}

TEST_CASE("connections can be refused and black-holed", "[world]")
{
    linked at;
    const auto connect = [&] {
        call<std::unique_ptr<coati::stream>> made;
        at.transport->connect(server_at, made.handler());
        const bool done = at.in.run_until([&] { return made.completed > 0; }, 1min);
        at.in.settle();
        return done ? std::optional(made.ec) : std::nullopt;
    };
    at.in.refuse(server_at);
    CHECK(connect() == error_code(asio::error::connection_refused));
    at.in.allow(server_at);
    CHECK(connect() == error_code());
    at.in.unlisten(server_at);
    CHECK(connect() == error_code(asio::error::connection_refused));
}

TEST_CASE("a black hole never answers", "[world]")
{
    world in;
    const auto transport = in.make_transport();
    in.black_hole(server_at);
    call<std::unique_ptr<coati::stream>> made;
    transport->connect(server_at, made.handler());
    in.run_for(1h);
    CHECK(made.completed == 0);
}

TEST_CASE("names come, go and take their time", "[world]")
{
    world in;
    const auto transport = in.make_transport();
    const auto look_up = [&] {
        call<std::vector<endpoint>> found;
        transport->resolve("zk", 2181, found.handler());
        in.run_until([&] { return found.completed > 0; }, 1min);
        REQUIRE(found.completed == 1);
        return found.ec ? std::vector<endpoint>() : found.result();
    };
    CHECK(look_up().empty());
    in.add_name("zk", {"10.0.0.1", "fd00::1"});
    const auto both = look_up();
    REQUIRE(both.size() == 2);
    CHECK(both[0] == endpoint{"10.0.0.1", 2181, "zk"});
    CHECK(both[1] == endpoint{"fd00::1", 2181, "zk"});
    in.slow_name("zk", 30s);
    const auto start = in.now();
    CHECK(look_up().size() == 2);
    CHECK(in.now() == start + 30s);
    in.remove_name("zk");
    CHECK(look_up().empty());

    in.slow_name("zk", coati::duration::max());
    call<std::vector<endpoint>> never;
    transport->resolve("zk", 2181, never.handler());
    in.run_for(24h);
    CHECK(never.completed == 0);
}

TEST_CASE("a cut connection gives what has arrived, then EOF", "[world]")
{
    linked at;
    error_code ec;
    at.write(*at.client, "arrived");
    at.in.run_for(1ms);
    at.write(*at.client, "on its way");
    at.in.cut(at.id);
    CHECK(at.read(*at.server, ec) == "arrived");
    CHECK(at.read(*at.server, ec).empty());
    CHECK(ec == asio::error::eof);
    CHECK(at.read(*at.client, ec).empty());
    CHECK(ec == asio::error::eof);
    CHECK(at.write(*at.client, "x").ec == asio::error::broken_pipe);
    CHECK(at.in.connections().empty());
}

TEST_CASE("a reset loses everything", "[world]")
{
    linked at;
    error_code ec;
    at.write(*at.client, "arrived");
    at.in.run_for(1ms);
    at.in.reset(at.id);
    CHECK(at.read(*at.server, ec).empty());
    CHECK(ec == asio::error::connection_reset);
    CHECK(at.write(*at.client, "x").ec);
}

TEST_CASE("a half closed connection lives in the other direction", "[world]")
{
    linked at;
    error_code ec;
    at.write(*at.client, "last words");
    at.in.half_close(at.id, direction::to_server);
    CHECK(at.read(*at.server, ec) == "last words");
    CHECK(at.read(*at.server, ec).empty());
    CHECK(ec == asio::error::eof);
    CHECK_FALSE(at.write(*at.server, "answer").ec);
    CHECK(at.read(*at.client, ec) == "answer");
}

TEST_CASE("a stalled direction keeps its bytes", "[world]")
{
    linked at;
    error_code ec;
    at.in.stall(at.id, direction::to_server);
    at.write(*at.client, "one");
    at.write(*at.client, "two");
    at.write(*at.server, "other way");
    CHECK(at.read(*at.client, ec) == "other way");
    at.in.run_for(1h);
    at.in.unstall(at.id, direction::to_server);
    CHECK(at.read(*at.server, ec) == "onetwo");
}

TEST_CASE("a stalled reader stops its writer at the window", "[world]")
{
    linked at;
    const std::string large(1'000'000, 'x');
    bytes_call write;
    at.client->write(asio::buffer(large), write.handler());
    at.in.run_for(1h);
    CHECK(write.completed == 0);
    at.in.reset(at.id);
    at.in.settle();
    REQUIRE(write.completed == 1);
    CHECK(write.ec);
    CHECK(write.result() == 256 * 1024);
}

TEST_CASE("cut_after counts the bytes of writes, and they arrive or not", "[world]")
{
    for (const bool lost : {false, true}) {
        for (const std::size_t n : {0U, 3U, 10U, 14U, 20U}) {
            linked at;
            at.in.cut_after(at.id, direction::to_server, n, lost);
            auto first = at.write(*at.client, "0123456789");
            CHECK(first.result() == std::min<std::size_t>(n, 10));
            CHECK((first.ec == asio::error::connection_reset) == (n <= 10));
            if (n > 10) {
                auto second = at.write(*at.client, "0123456789");
                CHECK(second.result() == n - 10);
                CHECK(second.ec == asio::error::connection_reset);
            }
            error_code ec;
            CHECK(at.read(*at.client, ec).empty());
            CHECK(ec == asio::error::connection_reset);
            CHECK(at.write(*at.client, "more").ec);
            std::string arrived;
            for (ec = {}; !ec;) {
                arrived += at.read(*at.server, ec);
            }
            CHECK(arrived == (lost ? "" : std::string("01234567890123456789").substr(0, n)));
            CHECK(ec == asio::error::eof);
            CHECK(at.in.connections().empty());
        }
    }
}

TEST_CASE("fragments lose nothing and differ by seed", "[world]")
{
    const auto run = [](std::uint64_t seed) {
        linked at(seed);
        at.in.fragment_reads(true);
        at.write(*at.client, std::string(100, 'a'));
        at.in.run_for(1ms);
        std::vector<std::size_t> sizes;
        std::size_t sum = 0;
        while (sum < 100) {
            error_code ec;
            sizes.push_back(at.read(*at.server, ec).size());
            sum += sizes.back();
        }
        CHECK(sum == 100);
        CHECK(sizes.size() > 1);
        return std::pair(sizes, at.in.trace_hash());
    };
    CHECK(run(7) == run(7));
    CHECK(run(7) != run(8));
}

TEST_CASE("a world dies with everything parked, coroutines that own streams among it", "[world]")
{
    const auto alive = std::make_shared<int>();
    {
        linked at;
        // The frame owns the stream, the stream's wait owns the frame: only the world can end it.
        auto body = [](std::unique_ptr<coati::stream> mine,
                       std::shared_ptr<int>) -> asio::awaitable<void> {
            char chunk[8];
            co_await reading(*mine, asio::buffer(chunk));
        };
        auto sleeper = [](std::shared_ptr<coati::transport> t,
                          std::shared_ptr<int>) -> asio::awaitable<void> {
            co_await sleeping(*t, coati::never);
        };
        const auto ended = [](std::exception_ptr) {};
        asio::co_spawn(at.in.context(), body(std::move(at.client), alive), ended);
        asio::co_spawn(at.in.context(), body(std::move(at.server), alive), ended);
        asio::co_spawn(at.in.context(), sleeper(at.transport, alive), ended);
        at.in.black_hole({"10.0.0.9", 1, {}});
        at.transport->connect({"10.0.0.9", 1, {}}, [alive](auto&&...) {});
        auto listener = at.in.listen({"10.0.0.2", 0, {}});
        listener->accept([alive](auto&&...) {});
        at.in.run_for(1s);
        CHECK(alive.use_count() > 3);
        at.transport->connect(server_at, [alive](auto&&...) {});
    }
    CHECK(alive.use_count() == 1);
}
