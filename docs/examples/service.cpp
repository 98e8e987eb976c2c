// A service that registers itself, and a client that finds its instances and picks one to call.

#include "support.hpp"

#include <coati/recipe/discovery.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

/// The caller's part: all of it but `ready` and `next` answers at once, out of memory.
asio::awaitable<coati::result<void>> call(coati::service_registration here, coati::service_view web)
{
    BOOST_OUTCOME_CO_TRY(co_await here.settled());
    BOOST_OUTCOME_CO_TRY(co_await web.ready());
    while (web.instances().size() < 2) {
        BOOST_OUTCOME_CO_TRY(co_await web.next());
    }
    const auto first = web.pick_near("north");
    example::expect(first && first->id == "a", "an instance of the own zone comes first");
    std::cout << "calling " << first->address << ':' << first->port << '\n';

    // It does not answer: leave it alone for a while.
    web.set_aside(*first, std::chrono::seconds(10));
    const auto second = web.pick_near("north");
    example::expect(second && second->id == "b", "then any other one");
    std::cout << "calling " << second->address << ':' << second->port << '\n';

    here.remove("web", "b");
    while (web.instances().size() > 1) {
        BOOST_OUTCOME_CO_TRY(co_await web.next());
    }
    std::cout << "b has left; the view is " << name(web.status()) << '\n';
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    const coati::service_registration here(zk);
    coati::service_instance a("web", "a", "10.0.0.1", 8080);
    a.zone = "north";
    a.payload = R"({"weight": 2})";
    BOOST_OUTCOME_CO_TRY(here.add(a));
    BOOST_OUTCOME_CO_TRY(here.add(coati::service_instance("web", "b", "10.0.0.2", 8080)));
    const coati::service_view web(zk, "web");
    auto ended = co_await (here.run()(asio::use_awaitable) || web.run()(asio::use_awaitable) ||
                           call(here, web));
    co_return std::visit([](const auto& first) { return first; }, ended);
}

}  // namespace

int main()
{
    return example::run(app);
}
