// A configuration at hand: decoded, kept up to date, and honest about how far it can be trusted.
//
// `config.get()` never waits. Bytes that are no value are reported, and the last good one stays.

#include "support.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <coati/recipe/configuration.hpp>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using coati::result;

coati::decoded<int> parse(std::string_view bytes)
{
    const int workers = std::stoi(std::string(bytes));  // what it throws is told as well
    return workers > 0 ? coati::decoded<int>(workers) : coati::undecodable("too few");
}

void print(const coati::configured<int>& now)
{
    std::cout << (now.value ? std::to_string(*now.value) : "no") << " workers";
    if (now.stale_since) {
        std::cout << ", stale since " << now.stale_since->time_since_epoch().count() << " ns";
    }
    if (now.flaw) {
        std::cout << "; version " << now.flaw->stat.version << " is no value: " << now.flaw->why;
    }
    std::cout << '\n';
}

asio::awaitable<result<void>> work(coati::client zk, coati::configuration<int> config)
{
    const auto changes = config.changes();
    for (const char* next : {"2", "4", "0", "many", "8"}) {
        BOOST_OUTCOME_CO_TRY(co_await zk.set("/workers", next));
        BOOST_OUTCOME_CO_TRY(auto now, co_await changes.next());
        print(now);
    }
    co_return coati::success();
}

asio::awaitable<result<void>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/workers", "1"));
    const coati::function_codec codec(&parse, [](int n) { return std::to_string(n); });
    const coati::configuration config(zk, "/workers", codec);
    co_await (work(zk, config) || config.run()(asio::use_awaitable));
    example::expect(config.get().value && *config.get().value >= 4, "nonsense changes nothing");
    co_return co_await zk.remove("/workers");
}

}  // namespace

int main()
{
    return example::run(app);
}
