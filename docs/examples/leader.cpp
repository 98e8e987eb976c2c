// A worker of which a fleet runs one: of its hosts one leads and works, the others stand by. When
// the leader is gone, one of them goes on where it stopped.

#include "support.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

std::vector<std::int64_t> epochs;

/// Six steps. A body that ends by itself resigns.
asio::awaitable<coati::result<void>> work(coati::leader_scope scope)
{
    epochs.push_back(scope.fence());
    for (;;) {
        BOOST_OUTCOME_CO_TRY(auto step, co_await scope.zk().get("/step"));
        if (step.data == "6") {
            co_return coati::success();
        }
        const auto next = std::to_string(std::stoi(step.data) + 1);
        BOOST_OUTCOME_CO_TRY(co_await scope.guarded().set("/step", next, step.stat.version));
        std::cout << "step " << next << " in epoch " << scope.fence() << '\n';
        if (next == "3") {  // half-way the leader's host is shut down
            BOOST_OUTCOME_CO_TRY(co_await scope.zk().close());
        }
        BOOST_OUTCOME_CO_TRY(co_await scope.zk().sleep_for(10ms));
    }
}

/// What runs on each host.
asio::awaitable<coati::result<void>> contend(coati::client zk)
{
    co_return co_await coati::with_leadership(zk, "/worker", "a host", work);
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/step", "0"));
    const coati::client a(zk.get_executor(), example::settings());
    const coati::client b(zk.get_executor(), example::settings());
    co_await (coati::supervise(a, contend)(asio::use_awaitable) &&
              coati::supervise(b, contend)(asio::use_awaitable));
    example::expect(epochs.size() == 2 && epochs[0] < epochs[1], "each led once");
    BOOST_OUTCOME_CO_TRY(auto last, co_await zk.get("/step"));
    example::expect(last.data == "6", "all steps are done");
    co_return co_await zk.remove("/step");
}

}  // namespace

int main()
{
    return example::run(app);
}
