// Unique numbers for whoever asks: three clerks hand out tickets, no two the same.
//
// A znode stands behind each ticket, in the server's order. A reply that is lost makes no second
// ticket, and none that nobody has.

#include "support.hpp"

#include <coati/recipe/names.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <set>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using coati::result;

using tickets = std::set<std::int32_t>;

asio::awaitable<result<void>> clerk(std::string who, coati::names office, tickets* given)
{
    for (int i = 0; i < 3; ++i) {
        BOOST_OUTCOME_CO_TRY(auto ticket, co_await office.next());
        std::cout << who << " gives number " << ticket.number << ", which is " << ticket.path
                  << ", born at zxid " << ticket.czxid << '\n';
        example::expect(given->insert(ticket.number).second, "no number is given twice");
    }
    co_return coati::success();
}

asio::awaitable<result<void>> app(coati::client zk)
{
    coati::names_options how;
    how.ephemeral = true;  // the znodes are of no use when this program has ended
    const coati::names office(zk, "/tickets", "ticket-", how);
    tickets given;
    co_await (clerk("Ann", office, &given) && clerk("Bob", office, &given) &&
              clerk("Eve", office, &given));
    example::expect(given.size() == 9, "each clerk gave three");
    BOOST_OUTCOME_CO_TRY(auto list, co_await zk.children("/tickets"));
    example::expect(list.names.size() == 9, "a znode stands behind each, and no other");
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
