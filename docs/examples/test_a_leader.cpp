// A service of which one instance leads, and its test: partitions that outlive the leader's
// session, in virtual time. Nobody works beside the leader, and there is always one again.
#include <chrono>
#include <coati/coati.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/seeds.hpp>
#include <coati/testing/world.hpp>
#include <stdexcept>
namespace testing = coati::testing;
using namespace std::chrono_literals;
using task = boost::asio::awaitable<coati::result<void>>;
char working = 0;          // who works now: 'a', 'b' or nobody
bool has_overlap = false;  // two have worked at a time
void expect(bool holds, const char* claim)
{
    if (!holds) {
        throw std::runtime_error(claim);
    }
}
template <char Host>
task work(coati::leader_scope scope)
{
    has_overlap = has_overlap || working != 0;
    working = Host;
    auto told = co_await scope.zk().sleep_for(24h);
    co_await boost::asio::this_coro::reset_cancellation_state();
    auto done = co_await scope.zk().sleep_for(1s);  // to finish; the margin is 1.67 s
    working = 0;
    co_return done ? told : done;
}
template <char Host>
task serve(coati::client zk)
{
    co_return co_await coati::with_leadership(zk, "/leader", std::string(1, Host), work<Host>);
}
int main()
{
    testing::for_each_seed(100, [](std::uint64_t seed) {
        working = 0;
        testing::world w(seed);
        testing::scripted_ensemble ensemble(w);
        testing::scripted_server server(ensemble, w, {"10.0.0.1", 2181});
        const auto config = coati::config::parse("10.0.0.1:2181").value();
        const coati::client a(coati::serial(w.get_executor()), config, w.make_transport("a"));
        const coati::client b(coati::serial(w.get_executor()), config, w.make_transport("b"));
        coati::supervise(a, serve<'a'>)([](std::exception_ptr, auto) {});
        coati::supervise(b, serve<'b'>)([](std::exception_ptr, auto) {});
        expect(w.run_until([] { return working != 0; }, 1min), "somebody leads");
        for (int i = 0; i < 3; ++i) {
            const char leader = working;
            const auto another = [&] { return working != 0 && working != leader; };
            w.run_for(std::chrono::milliseconds(w.random() % 10'000));
            w.separate(std::string(1, leader));  // the network is gone, and nobody is told
            expect(w.run_until(another, 1min), "the other one leads");
            w.rejoin(std::string(1, leader));
            w.run_for(20s);
            expect(another() && !has_overlap, "alone, and who comes back stands by");
        }
    });
}
