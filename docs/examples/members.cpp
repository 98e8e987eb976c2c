// Who is there: every member has an ephemeral sequential znode, and everybody watches the list.
//
// The server deletes a member's znode when its session ends, so the list needs no clean-up. The
// number behind the name is the order of arrival: who has the smallest may lead.

#include "support.hpp"

#include <algorithm>

namespace {

namespace asio = boost::asio;
using coati::create_mode;

std::vector<std::string> in_order(std::vector<std::string> names)
{
    // The names differ in front of the number, which has always ten digits.
    std::ranges::sort(names, {}, [](const std::string& n) { return n.substr(n.size() - 10); });
    return names;
}

void print(const std::vector<std::string>& names)
{
    std::cout << names.size() << " members:";
    for (const auto& name : names) {
        std::cout << ' ' << name;
    }
    std::cout << '\n';
}

/// A member is a session of its own; leaving is its end.
asio::awaitable<coati::result<void>> join_and_leave(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(
        co_await zk.create("/members/guest-", "10.0.0.2:80", create_mode::ephemeral_sequential));
    co_return coati::success();
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    auto parent = co_await zk.create("/members", "", create_mode::container);
    if (!parent && parent.error() != coati::errc::node_exists) {
        co_return parent.error();
    }
    BOOST_OUTCOME_CO_TRY(auto me, co_await zk.create("/members/host-", "10.0.0.1:80",
                                                     create_mode::ephemeral_sequential));
    BOOST_OUTCOME_CO_TRY(auto list, co_await zk.children_and_watch("/members"));
    print(in_order(list.names));
    example::expect(list.names.size() == 1, "nobody else is there");
    example::expect(me.path == "/members/" + list.names.front(), "create names the znode");

    const coati::client guest(zk.get_executor(), example::settings());
    auto visit = coati::hold(guest, join_and_leave);
    auto ended = co_await std::move(visit)(asio::use_awaitable);
    example::expect(ended.session.has_value(), "the guest's session was closed in order");

    // It came and went while we were busy: one event, since a watch fires once.
    BOOST_OUTCOME_CO_TRY(auto event, co_await list.watch.next());
    example::expect(event.type == coati::event_type::children_changed, "the list has changed");
    BOOST_OUTCOME_CO_TRY(auto now, co_await zk.children("/members"));
    print(in_order(now.names));
    example::expect(now.names == list.names, "the guest's znode went with its session");
    example::expect(now.stat.cversion > list.stat.cversion, "though it was there");
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
