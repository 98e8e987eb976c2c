// How fast time passes in a simulated world: hours of it in a second of ours, for clients that keep
// their sessions, and for clients that also write once a second.
//
//     bench-world [minutes of virtual time]

#include <coati/client.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using coati::testing::scripted_ensemble;
using coati::testing::scripted_server;
using coati::testing::world;

asio::awaitable<void> write_every_second(coati::client zk, std::string path)
{
    for (;;) {
        (void)co_await zk.set(path, "x");
        (void)co_await zk.sleep_for(1s);
    }
}

/// Hours of virtual time in one second of real time.
double speed(std::size_t clients, bool with_writes, std::chrono::minutes length)
{
    world in(1);
    scripted_ensemble ensemble(in);
    std::vector<std::unique_ptr<scripted_server>> servers;
    coati::config settings;
    for (const auto* const address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
        servers.push_back(
            std::make_unique<scripted_server>(ensemble, in, coati::endpoint(address, 2181)));
        settings.servers.push_back({address, 2181});
    }
    settings.session_timeout = 10s;
    std::vector<coati::client> all;
    for (std::size_t i = 0; i < clients; ++i) {
        const std::string path = "/client-" + std::to_string(i);
        ensemble.put(path, "");
        all.emplace_back(coati::serial(in.get_executor()), settings, in.make_transport());
        all.back().run()([](const coati::result<void>&) {});
        if (with_writes) {
            in.spawn(write_every_second(all.back(), path));
        }
    }
    in.run_for(1min);
    const auto begun = std::chrono::steady_clock::now();
    in.run_for(length);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    return std::chrono::duration<double, std::ratio<3600>>(length).count() / took.count();
}

}  // namespace

int main(int argc, char** argv)
{
    const std::chrono::minutes length(argc > 1 ? std::atoi(argv[1]) : 60);
    std::printf("%8s %22s %26s\n", "clients", "hours/s, sessions only", "hours/s, 1 write/s each");
    for (const std::size_t clients : {1U, 10U, 100U}) {
        const double idle = speed(clients, false, length);
        const double busy = speed(clients, true, length);
        std::printf("%8zu %22.1f %26.2f\n", clients, idle, busy);
    }
    return 0;
}
