// One client, several threads: a pool of two, an application on another strand, foreign threads.
// Over real TCP, since a simulated world has one thread. Worth most under a thread sanitizer; what
// it asserts without one is that every operation completes once, and that everything is joined.

#include <coati/follow.hpp>
#include <coati/supervise.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/transport.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using coati::errc;
using coati::fate;
using coati::result;

/// A scripted server on a thread of its own, reached over loopback.
class server_thread {
public:
    server_thread()
    {
        ensemble_.put("/a", "data of a");
        ensemble_.put("/counter", "");
    }
    ~server_thread()
    {
        context_.stop();
        thread_.join();
    }

    coati::config settings() const
    {
        coati::config made;
        made.servers = {{"127.0.0.1", at_.port}};
        made.reconnect_spread = 0ms;
        return made;
    }

    /// Runs it on the server's thread, and waits.
    void on_it(std::function<void()> what)
    {
        std::promise<void> done;
        asio::post(context_, [&] {
            what();
            done.set_value();
        });
        done.get_future().get();
    }
    void drop()
    {
        on_it([this] { server_.drop_connections(); });
    }
    void expire_all()
    {
        on_it([this] {
            for (const auto& each : ensemble_.sessions()) {
                ensemble_.expire(each.id);
            }
        });
    }
    /// Requests of this kind that have arrived.
    std::size_t count(coati::wire::op_code op)
    {
        std::size_t n = 0;
        on_it([&] {
            for (const auto& each : server_.log()) {
                n += each.op == op ? 1U : 0U;
            }
        });
        return n;
    }
    std::size_t session_count()
    {
        std::size_t n = 0;
        on_it([&] { n = ensemble_.sessions().size(); });
        return n;
    }

private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{context_.get_executor()};
    std::shared_ptr<coati::transport> transport_ =
        coati::make_tcp_transport(context_.get_executor());
    coati::testing::scripted_ensemble ensemble_{
        transport_, context_.get_executor(), {.min_session_timeout = 100ms}};
    coati::testing::scripted_server server_{
        ensemble_, {"127.0.0.1", 0, {}}, [this](const coati::endpoint& at) {
            return coati::make_tcp_listener(context_.get_executor(), at);
        }};
    coati::endpoint at_ = server_.local();
    std::thread thread_{[this] { context_.run(); }};
};

/// What operations came to, from any thread.
struct tally {
    std::atomic<int> started = 0;
    std::atomic<int> answered = 0;
    std::atomic<int> failed = 0;
    std::atomic<int> interrupted = 0;  // by an exception: the coroutine itself was cancelled
    std::atomic<int> strange = 0;

    bool is_even() const { return started == answered + failed + interrupted; }

    template <class T>
    void note(const result<T>& r)
    {
        if (r) {
            ++answered;
            return;
        }
        ++failed;
        const errc code = r.error().code();
        const bool is_expected = code == errc::connection_loss || code == errc::session_expired ||
                                 code == errc::cancelled || code == errc::closed ||
                                 code == errc::timed_out;
        strange += is_expected ? 0 : 1;
    }
};

asio::awaitable<void> loop_of_operations(coati::client zk, tally& all, int rounds)
{
    for (int i = 0; i < rounds; ++i) {
        ++all.started;
        try {
            if (i % 3 == 0) {
                const auto got = co_await zk.get("/a");
                all.note(got);
            } else if (i % 3 == 1) {
                const auto set = co_await zk.set("/counter", std::to_string(i));
                all.note(set);
            } else {
                // Cancelled now and then, from wherever this coroutine runs.
                auto either = co_await (zk.get("/a")(asio::use_awaitable) ||
                                        zk.sleep_for(200us)(asio::use_awaitable));
                if (auto* const answer = std::get_if<0>(&either)) {
                    all.note(*answer);
                } else {
                    ++all.answered;
                }
            }
        } catch (...) {
            ++all.interrupted;
            throw;
        }
    }
}

asio::awaitable<void> watches(coati::client zk, tally& all, int rounds)
{
    for (int i = 0; i < rounds; ++i) {
        ++all.started;
        auto got = co_await zk.get_and_watch("/counter");
        all.note(got);
        if (got && i % 2 == 0) {
            auto event = co_await (got->watch.next()(asio::use_awaitable) ||
                                   zk.sleep_for(20ms)(asio::use_awaitable));
            static_cast<void>(event);
        }
        // The watch is dropped here, on the thread that this coroutine happens to be on.
    }
}

}  // namespace

TEST_CASE("operations from everywhere at once, while the server hangs up", "[threads]")
{
    constexpr int rounds = 300;
    server_thread server;
    asio::thread_pool pool(2);
    tally all;
    const bool is_on_strand = GENERATE(true, false);
    CAPTURE(is_on_strand);
    coati::client zk(pool.get_executor(), server.settings());
    auto ended = zk.run()(asio::use_future);
    REQUIRE(zk.connected()(asio::use_future).get());

    // On the pool without a strand, on one of their own, or on the client's.
    std::vector<std::future<void>> loops;
    const auto strand = asio::make_strand(pool);
    for (int i = 0; i < 3; ++i) {
        const asio::any_io_executor ex =
            is_on_strand
                ? asio::any_io_executor(strand)
                : (i == 0 ? zk.get_executor() : asio::any_io_executor(pool.get_executor()));
        loops.push_back(asio::co_spawn(ex, loop_of_operations(zk, all, rounds), asio::use_future));
    }
    loops.push_back(asio::co_spawn(pool, watches(zk, all, rounds), asio::use_future));

    // A thread that Asio knows nothing of.
    std::thread foreign([&] {
        for (int i = 0; i < rounds; ++i) {
            ++all.started;
            all.note(zk.get("/a")(asio::use_future).get());
            auto handle = zk.chroot("/app").with({.timeout = 5s});
            ++all.started;
            all.note(zk.within(10s, handle.exists("/none"))(asio::use_future).get());
        }
    });
    for (int i = 0; i < 20; ++i) {
        std::this_thread::sleep_for(5ms);
        server.drop();
    }
    foreign.join();
    for (auto& each : loops) {
        each.get();
    }
    CHECK(zk.close()(asio::use_future).get());
    CHECK(ended.get());
    pool.join();
    CHECK(all.is_even());
    CHECK(all.strange == 0);
    CHECK(all.answered > rounds);
    CHECK(server.session_count() == 0);
}

TEST_CASE("a supervised application on another strand, through expiries", "[threads]")
{
    server_thread server;
    asio::thread_pool pool(2);
    coati::client zk(pool.get_executor(), server.settings());
    const auto elsewhere = asio::make_strand(pool);
    std::atomic<int> sessions = 0;
    std::atomic<bool> is_enough = false;
    tally all;
    // The application lives on the client's executor, and lets its work run on another strand.
    auto app = [&](coati::client mine) -> asio::awaitable<result<int>> {
        ++sessions;
        while (!is_enough) {
            auto work =
                asio::co_spawn(elsewhere, loop_of_operations(mine, all, 15), asio::use_awaitable);
            co_await std::move(work);
            auto made = mine.create("/mine", "x", coati::create_mode::ephemeral);
            const auto created = co_await std::move(made);
            if (!created && created.error().session_lost()) {
                co_return created.error();
            }
        }
        co_return sessions.load();
    };
    auto answer = coati::supervise(zk, app, coati::back_off(1ms, 2ms))(asio::use_future);
    for (int i = 1; i <= 3; ++i) {
        while (sessions < i) {
            std::this_thread::sleep_for(1ms);
        }
        std::this_thread::sleep_for(20ms);
        i == 3 ? server.drop() : server.expire_all();
    }
    is_enough = true;
    const auto got = answer.get();
    REQUIRE(got);
    CHECK(*got >= 3);
    pool.join();
    CHECK(all.is_even());
    CHECK(all.strange == 0);
    CHECK(server.session_count() == 0);
}

TEST_CASE("cancelled from another thread than it was started on", "[threads]")
{
    constexpr int rounds = 300;
    server_thread server;
    asio::thread_pool pool(2);
    coati::client zk(pool.get_executor(), server.settings());
    auto ended = zk.run()(asio::use_future);
    REQUIRE(zk.connected()(asio::use_future).get());
    // Initiation, emission and completion of one operation on one strand, as Asio asks for; the
    // client is on another.
    const auto strand = asio::make_strand(pool);
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
    tally all;
    std::vector<std::future<void>> done;
    for (int i = 0; i < rounds; ++i) {
        auto& signal = *signals.emplace_back(std::make_unique<asio::cancellation_signal>());
        auto promise = std::make_shared<std::promise<void>>();
        done.push_back(promise->get_future());
        asio::post(strand, [&, promise] {
            ++all.started;
            zk.get("/a")(asio::bind_cancellation_slot(
                signal.slot(), asio::bind_executor(strand, [&all, promise](const auto& r) {
                    all.note(r);
                    promise->set_value();
                })));
        });
        asio::post(strand, [&] { signal.emit(asio::cancellation_type::terminal); });
    }
    for (auto& each : done) {
        each.get();
    }
    CHECK(zk.close()(asio::use_future).get());
    CHECK(ended.get());
    pool.join();
    CHECK(all.is_even());
    CHECK(all.strange == 0);
}

TEST_CASE("handles, watches and streams are dropped on any thread", "[threads]")
{
    server_thread server;
    asio::thread_pool pool(2);
    for (int i = 0; i < 20; ++i) {
        std::optional<coati::client> zk(std::in_place, pool.get_executor(), server.settings());
        auto ended = zk->run()(asio::use_future);
        auto got = zk->get_and_watch("/a")(asio::use_future).get();
        REQUIRE(got);
        auto states = zk->states();
        auto last = states.next()(asio::use_future);
        auto waiting = got->watch.next()(asio::use_future);
        auto stream = zk->watch("/a", coati::watch_mode::recursive)(asio::use_future).get();
        REQUIRE(stream);
        auto event = stream->next()(asio::use_future);
        std::optional<coati::value_stream> value(coati::follow(*zk, "/a"));
        CHECK(value->next()(asio::use_future).get());
        auto change = value->next()(asio::use_future);
        const bool is_closed = i % 2 == 0;
        if (is_closed) {
            CHECK(zk->close()(asio::use_future).get());
            CHECK(ended.get());
        }
        {
            const auto dropped = std::move(got->watch);
            const auto closed = std::move(*stream);
            value.reset();
        }
        CHECK(event.get().has_error());
        CHECK(change.get().has_error());
        CHECK(waiting.get().has_error());
        zk.reset();
        if (!is_closed) {
            server.expire_all();  // nobody can close it any more; the run holds a handle of its own
            CHECK(ended.get().error() == errc::session_expired);
        }
        auto end = std::move(last).get();
        while (end) {
            end = states.next()(asio::use_future).get();
        }
        CHECK(end.error() == errc::closed);
    }
    pool.join();
}

TEST_CASE("a handler that blocks on its own executor does not starve the pings", "[threads][T14]")
{
    server_thread server;
    asio::thread_pool pool(2);
    asio::thread_pool slow(1);
    auto settings = server.settings();
    settings.session_timeout = 300ms;
    coati::client zk(pool.get_executor(), settings);
    auto ended = zk.run()(asio::use_future);
    REQUIRE(zk.connected()(asio::use_future).get());
    // It returns when so many pings have passed that the session would be long gone without them.
    std::promise<void> over;
    zk.get("/a")(asio::bind_executor(slow, [&](const auto& got) {
        CHECK(got);
        while (server.count(coati::wire::op_code::ping) < 6) {
            std::this_thread::sleep_for(1ms);
        }
        over.set_value();
    }));
    over.get_future().get();
    CHECK(server.session_count() == 1);
    CHECK(zk.get("/a")(asio::use_future).get());
    CHECK(server.count(coati::wire::op_code::create_session) == 1);
    CHECK(zk.close()(asio::use_future).get());
    CHECK(ended.get());
    pool.join();
    slow.join();
}

TEST_CASE("a strand of a pool is taken as it is", "[threads]")
{
    server_thread server;
    asio::thread_pool pool(2);
    const auto strand = asio::make_strand(pool);
    coati::client zk(strand, server.settings());
    CHECK(zk.get_executor() == asio::any_io_executor(strand));
    auto ended = zk.run()(asio::use_future);
    CHECK(zk.get("/a")(asio::use_future).get());
    CHECK(zk.close()(asio::use_future).get());
    CHECK(ended.get());
    pool.join();
}

TEST_CASE("a pool that ends takes what is parked along, and handles survive it", "[threads]")
{
    server_thread server;
    for (int i = 0; i < 10; ++i) {
        std::optional<coati::client> zk;
        std::optional<coati::watch> armed;
        std::future<result<void>> ended;
        std::future<result<void>> sleeping;
        {
            asio::thread_pool pool(2);
            zk.emplace(pool.get_executor(), server.settings());
            ended = zk->run()(asio::use_future);
            armed = std::move(zk->get_and_watch("/a")(asio::use_future).get()->watch);
            sleeping = zk->sleep_for(1h)(asio::use_future);
            pool.stop();
            pool.join();
        }
        CHECK_THROWS_AS(ended.get(), std::future_error);
        CHECK_THROWS_AS(sleeping.get(), std::future_error);
    }
}
