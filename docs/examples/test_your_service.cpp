// A service that keeps an ephemeral registration, and its test: a partition that outlives the
// session, in virtual time. No server, no thread, no wait; ./dev test runs it.

#include <coati/coati.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/seeds.hpp>
#include <coati/testing/world.hpp>

#include <chrono>
#include <stdexcept>
namespace asio = boost::asio;
namespace testing = coati::testing;
using namespace std::chrono_literals;

// The service, word for word as it runs in production: registered once in every session.
asio::awaitable<coati::result<void>> stay_registered(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.connected());
    const auto mode = coati::create_mode::ephemeral;
    auto made = co_await zk.create("/services/a", "10.0.0.7:80", mode);
    while (!made && made.error().retryable()) {
        made = co_await zk.create("/services/a", "10.0.0.7:80", mode);
    }
    if (!made && made.error() != coati::errc::node_exists) {  // ours, if an answer was lost
        co_return made.error();
    }
    co_return co_await zk.sleep_for(24h);  // until the session ends
}

void expect(bool holds, const char* claim)
{
    if (!holds) {
        throw std::runtime_error(claim);
    }
}

int main()
{
    testing::for_each_seed(100, [](std::uint64_t seed) {
        testing::world w(seed);
        testing::scripted_ensemble ensemble(w);
        testing::scripted_server server(ensemble, w, {"10.0.0.1", 2181});
        ensemble.put("/services", "");
        const auto registered = [&] { return ensemble.exists("/services/a"); };

        auto config = coati::config::parse("10.0.0.1:2181").value();
        config.session_timeout = 10s;
        const coati::client zk(coati::serial(w.get_executor()), config, w.make_transport("app"));
        coati::supervise(zk, stay_registered)([](std::exception_ptr, auto) {});
        expect(w.run_until(registered, 1min), "the service registers");
        const auto first = ensemble.ephemeral_owner("/services/a");
        w.separate("app");  // the network is gone, and nobody is told
        w.run_for(1min);
        expect(!registered(), "the registration ends with its session");
        w.rejoin("app");
        expect(w.run_until(registered, 1min), "the service registers again");
        expect(ensemble.ephemeral_owner("/services/a") != first, "in a session of its own");
    });
}
