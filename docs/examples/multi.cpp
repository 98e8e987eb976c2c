// All or nothing: several writes that succeed together or fail together.
//
// The operations are values, the results a tuple in their order. When one fails none is applied,
// and the error says which one it was.

#include "support.hpp"

namespace {

namespace asio = boost::asio;
namespace op = coati::op;
using coati::errc;

/// Moves an amount between two znodes, unless somebody else has changed one of them meanwhile.
asio::awaitable<coati::result<void>> transfer(coati::client zk, int amount)
{
    BOOST_OUTCOME_CO_TRY(auto from, co_await zk.get("/accounts/a"));
    BOOST_OUTCOME_CO_TRY(auto to, co_await zk.get("/accounts/b"));
    const auto less = std::to_string(std::stoi(from.data) - amount);
    const auto more = std::to_string(std::stoi(to.data) + amount);
    BOOST_OUTCOME_CO_TRY(auto done,
                         co_await zk.multi(op::set("/accounts/a", less, from.stat.version),
                                           op::set("/accounts/b", more, to.stat.version)));
    const auto& [a, b] = done.results;
    example::expect(a.mzxid == b.mzxid, "both were written by one transaction");
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    using enum coati::create_mode;
    BOOST_OUTCOME_CO_TRY(
        auto made, co_await zk.multi(op::create("/accounts"), op::create("/accounts/a", "100"),
                                     op::create("/accounts/b", "0"),
                                     op::create("/accounts/log-", "", persistent_sequential)));
    const std::string log = std::get<3>(made.results);  // the server completed its name
    BOOST_OUTCOME_CO_TRY(co_await transfer(zk, 30));
    BOOST_OUTCOME_CO_TRY(auto rest, co_await zk.get("/accounts/a"));
    example::expect(rest.data == "70", "the transfer took place");

    auto refused = co_await zk.multi(op::set("/accounts/a", "0"), op::check("/accounts/b", 17));
    example::expect(!refused && refused.error() == errc::bad_version, "version 17 is not there");
    std::cout << "operation " << refused.error().op_index() << ": " << refused.error().message()
              << '\n';
    example::expect(refused.error().op_index() == 1, "the error names the operation");
    BOOST_OUTCOME_CO_TRY(auto same, co_await zk.get("/accounts/a"));
    example::expect(same.data == "70", "the first operation was not applied either");

    // A list whose length is known at run time only.
    std::vector<coati::any_op> all;
    for (const auto& path : {log, std::string("/accounts/a"), std::string("/accounts/b")}) {
        all.push_back(op::remove(path));
    }
    all.push_back(op::remove("/accounts"));
    BOOST_OUTCOME_CO_TRY(co_await zk.multi(std::move(all)));
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
