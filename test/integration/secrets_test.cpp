// What is left of passwords in this process when the client is gone: nothing. The whole of its
// writable memory is searched, what was freed included. The servers are processes of their own.

#include "support.hpp"

#include "support/memory_search.hpp"

#include <coati/auth.hpp>

namespace coati::test {

namespace {

/// A life of a client with credentials: shown at the handshake, added later, shown again after the
/// loss of the server. What `look` is called for sees it alive.
template <class Look>
void live(fixture& f, const masked_secret& first, const masked_secret& later, Look look)
{
    f.run([&]() -> task<> {
        config c = f.settings();
        first.reveal([&](std::string& word) { c.auth.push_back(auth_info::digest("ann", word)); });
        const session s = co_await f.open(std::move(c));
        std::optional<auth_info> more;
        later.reveal([&](std::string& word) { more = auth_info::digest("bob", word); });
        auto add = s.zk.add_auth(std::move(*more));
        more.reset();
        ok(co_await std::move(add));
        for (int i = 0; i < 3; ++i) {
            healed again(f.servers());
            f.servers().kill(0);
            co_await f.until([&] { return !s.zk.is_connected(); }, "the loss");
            again.now();
            ok(co_await s.zk.create("/own" + std::to_string(i), "", create_mode::persistent,
                                    acls::creator_all()));
        }
        look(s.zk);
    });
}

}  // namespace

TEST_CASE("of digest credentials nothing is left in memory when the client is gone",
          "[secrets][no-sanitizer]")
{
    const masked_secret first(40);
    const masked_secret later(40);
    const masked_secret in_acl(40);
    {
        fixture f;
        live(f, first, later, [&](const client&) {
            // The search works: a living client shows them again to its next server.
            CHECK(first.copies_in_memory() > 0);
            CHECK(later.copies_in_memory() > 0);
            in_acl.reveal([](std::string& word) {
                const acl one = acl::digest("ann", word);
                CHECK(one.is_well_formed());
            });
            CHECK(in_acl.copies_in_memory() == 0);
        });
    }
    CHECK(first.copies_in_memory() == 0);
    CHECK(later.copies_in_memory() == 0);
}

TEST_CASE("of a client that is dropped in the middle nothing is left either",
          "[secrets][no-sanitizer]")
{
    const masked_secret word(40);
    {
        fixture f;
        f.run([&]() -> task<> {
            config c = f.settings();
            word.reveal([&](std::string& w) { c.auth.push_back(auth_info::digest("ann", w)); });
            const session s = co_await f.open(std::move(c));
            s.drop();
            (void)co_await s.ended();
            const session never = f.start(s.zk);
            never.drop();
            (void)co_await never.ended();
        });
    }
    CHECK(word.copies_in_memory() == 0);
}

TEST_CASE("the password of a session goes with the client", "[secrets][no-sanitizer]")
{
    std::optional<masked_secret> password;
    {
        fixture f;
        f.run([&]() -> task<> {
            const session s = co_await f.open();
            auto mine = s.zk.credentials();
            password.emplace(mine.password);
            CHECK(password->copies_in_memory() > 0);
            healed again(f.servers());
            f.servers().kill(0);
            co_await f.until([&] { return !s.zk.is_connected(); }, "the loss");
            again.now();
            ok(co_await s.zk.sync());
        });
    }
    CHECK(password->copies_in_memory() == 0);
}

}  // namespace coati::test
