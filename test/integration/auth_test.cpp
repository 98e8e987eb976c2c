// Credentials on real servers: whose znode it is, after a reconnect as well, and what a server says
// to those that it does not take.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/auth.hpp>

namespace coati::test {

TEST_CASE("who made a znode for itself can read it, a stranger and a wrong password cannot",
          "[auth][S36]")
{
    fixture f;
    f.run([&]() -> task<> {
        config mine = f.settings();
        mine.auth.push_back(auth_info::digest("ann", "secret"));
        const session ann = co_await f.open(mine);
        ok(co_await ann.zk.create("/mine", "x", create_mode::persistent, acls::creator_all()));
        ok(co_await ann.zk.get("/mine"));

        const session stranger = co_await f.open();
        const auto refused = co_await stranger.zk.get("/mine");
        CHECK(code_of(refused) == errc::no_auth);
        const session impostor = co_await f.open();
        // The server does not verify: it is just somebody else.
        ok(co_await impostor.zk.add_auth(auth_info::digest("ann", "guess")));
        const auto still = co_await impostor.zk.get("/mine");
        CHECK(code_of(still) == errc::no_auth);
        ok(co_await impostor.zk.add_auth(auth_info::digest("ann", "secret")));
        ok(co_await impostor.zk.get("/mine"));
    });
}

TEST_CASE("nobody meets no_auth on a new connection, however early it asks", "[auth][T24]")
{
    fixture f;
    f.run([&]() -> task<> {
        byte_proxy proxy(f.servers().client_port(0));
        config mine = f.settings(proxy.port());
        mine.auth.push_back(auth_info::digest("ann", "secret"));
        const session ann = co_await f.open(mine);
        ok(co_await ann.zk.create("/mine", "x", create_mode::persistent, acls::creator_all()));
        const std::int64_t id = ann.zk.session().id;
        for (int i = 0; i < 5; ++i) {
            proxy.cut();
            const auto read = co_await ann.zk.get("/mine");
            CHECK(code_of(read) == errc{0});
        }
        CHECK(ann.zk.session().id == id);
        CHECK(proxy.connections() == 6);
    });
}

TEST_CASE("a scheme that a server does not know ends the session, without a second try",
          "[auth][S36]")
{
    fixture f;
    f.run([&]() -> task<> {
        byte_proxy proxy(f.servers().client_port(0));
        config wrong = f.settings(proxy.port());
        wrong.auth.emplace_back("hocuspocus", "x");
        const session refused = f.start(wrong);
        const auto read = co_await refused.zk.get("/");
        CHECK(code_of(read) == errc::auth_failed);
        const auto ended = co_await refused.ended();
        CHECK(code_of(ended) == errc::auth_failed);
        co_await f.sleep(500ms);
        CHECK(proxy.connections() == 1);
    });
}

TEST_CASE("a server that insists on a scheme ends a session without it, and takes one with it",
          "[auth][S36]")
{
    ensemble_options strict;
    strict.jvm_args = {"-Dzookeeper.enforce.auth.enabled=true",
                       "-Dzookeeper.enforce.auth.schemes=digest"};
    ensemble servers(strict);
    asio::io_context context;
    const auto ask = [&](bool with_auth) {
        auto settings = config::parse(servers.connect_string()).value();
        if (with_auth) {
            settings.auth.push_back(auth_info::digest("ann", "secret"));
        }
        const client zk(context.get_executor(), settings);
        errc read{0};
        errc ended{0};
        zk.get("/")([&](result<get_result> r) {
            read = code_of(r);
            zk.close()([](result<void>) {});
        });
        zk.run()([&](result<void> r) { ended = code_of(r); });
        context.restart();
        context.run_for(20s);
        return std::pair(read, ended);
    };
    constexpr auto refused = errc::session_closed_require_sasl_auth;
    CHECK(ask(false) == std::pair(refused, refused));
    CHECK(ask(true) == std::pair(errc{0}, errc{0}));
}

}  // namespace coati::test
