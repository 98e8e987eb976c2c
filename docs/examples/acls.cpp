// Who may do what with a znode: lists of entries, a default for all creates, and what is refused.

#include "support.hpp"

namespace {

namespace asio = boost::asio;
using coati::acl;
using coati::acls;
using coati::errc;
using coati::perms;

asio::awaitable<coati::result<void>> app(coati::client open)
{
    const acls ours(acl::ip("127.0.0.0", 8), acl::world(perms::read));
    const auto zk = open.with_default_acls(ours);
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/settings", "x"));
    BOOST_OUTCOME_CO_TRY(auto now, co_await zk.get_acl("/settings"));
    example::expect(now.entries == ours.entries(), "the znode has the handle's ACL");

    // From here on everybody may read it, and nobody may change it but a user with his password.
    const acls sealed(acl::digest("admin", "secret"), acl::world(perms::read));
    BOOST_OUTCOME_CO_TRY(auto sealed_at,
                         co_await zk.set_acl("/settings", sealed, now.stat.aversion));
    example::expect(sealed_at.aversion == now.stat.aversion + 1, "its ACL has a version");
    auto change = co_await zk.set("/settings", "y");
    example::expect(!change && change.error() == errc::no_auth, "we are not that user");
    auto again = co_await zk.set_acl("/settings", ours);
    example::expect(!again && again.error() == errc::no_auth, "nor may we change the ACL");

    // What no server would take is not even sent.
    const acls malformed(acl::ip("127.0.0"));
    auto refused = co_await zk.create("/x", "", coati::create_mode::persistent, malformed);
    example::expect(!refused && refused.error() == errc::invalid_acl &&
                        refused.error().fate() == coati::fate::not_sent,
                    "that is no address");

    BOOST_OUTCOME_CO_TRY(auto known, co_await zk.who_am_i());
    for (const coati::identity& each : known) {
        std::cout << "the server knows us as " << each.scheme << ':' << each.user << '\n';
    }
    co_return co_await zk.remove("/settings");  // a permission on the parent
}

}  // namespace

int main()
{
    return example::run(app);
}
