// Znodes that are there while we live: said once, and `run` sees to it, whatever happens to them.

#include "support.hpp"

#include <coati/recipe/presence.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

namespace asio = boost::asio;
const std::string me = "/examples/presence/me";

asio::awaitable<coati::result<void>> work(coati::client zk, coati::presence here)
{
    BOOST_OUTCOME_CO_TRY(co_await here.settled());
    BOOST_OUTCOME_CO_TRY(auto first, co_await zk.get(me));
    example::expect(first.data == "10.0.0.7:80", "it is there");
    example::expect(first.stat.ephemeral_owner == zk.session().id, "for as long as the session");

    // Somebody deletes it: it comes back, nobody has to ask for it.
    BOOST_OUTCOME_CO_TRY(co_await zk.remove(me));
    BOOST_OUTCOME_CO_TRY(auto again, co_await coati::wait_until_exists(zk, me));
    example::expect(again.czxid > first.stat.czxid, "it is another one");

    here.set(me, "10.0.0.7:81");
    BOOST_OUTCOME_CO_TRY(co_await here.settled());
    BOOST_OUTCOME_CO_TRY(auto moved, co_await zk.get(me));
    example::expect(moved.data == "10.0.0.7:81", "the data are what was said last");
    for (const auto& each : here.znodes()) {
        std::cout << each.path << " is " << name(each.status) << ": " << each.actual << '\n';
    }
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    using namespace asio::experimental::awaitable_operators;
    const coati::presence here(zk);
    here.add(me, "10.0.0.7:80");
    here.add("/examples/presence/queue-", "", coati::create_mode::ephemeral_sequential);
    // Whichever ends first ends the other one; the znodes go with `run`.
    auto first = co_await (here.run()(asio::use_awaitable) || work(zk, here));
    co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

}  // namespace

int main()
{
    return example::run(app);
}
