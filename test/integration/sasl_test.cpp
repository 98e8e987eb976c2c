// Real ZooKeeper servers with SASL, by Cyrus' DIGEST-MD5: who is let in, who is not, and that it is
// proved again on every connection. Kerberos is in gssapi_test.cpp.

#include "support.hpp"

#include "support/byte_proxy.hpp"
#include "support/memory_search.hpp"

#include <coati/sasl.hpp>

#include <algorithm>
#include <fstream>

namespace coati::test {

namespace {

/// Two users, and nobody else is served; a third one where there is a word for it.
struct guarded_servers {
    explicit guarded_servers(const masked_secret* word_of_carol = nullptr)
    {
        std::string name = (std::filesystem::temp_directory_path() / "coati-jaas-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        folder = name;
        const std::string jaas = "Server {\n"
                                 "  org.apache.zookeeper.server.auth.DigestLoginModule required\n"
                                 "  user_alice=\"open sesame\" user_bob=\"b\"";
        std::ofstream file;
        file.rdbuf()->pubsetbuf(nullptr, 0);  // a buffer would keep a copy
        file.open(folder / "jaas.conf");
        file << jaas;
        if (word_of_carol != nullptr) {
            word_of_carol->reveal(
                [&](const std::string& word) { file << " user_carol=\"" << word << "\""; });
        }
        file << ";\n};\n";
        file.close();
        ensemble_options options;
        options.extra_cfg = {
            {"authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"},
        };
        options.jvm_args = {"-Djava.security.auth.login.config=" + (folder / "jaas.conf").string()};
        servers = std::make_unique<ensemble>(options);
    }
    ~guarded_servers()
    {
        servers.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }

    std::filesystem::path folder;
    std::unique_ptr<ensemble> servers;
};

ensemble& guarded()
{
    static guarded_servers shared;
    return *shared.servers;
}

config as(config c, const std::string& user, const std::string& password)
{
    c.sasl = sasl_digest_md5(user, password).value();
    return c;
}

const acls& only_alice()
{
    static const acls list(acl::sasl("alice"));
    return list;
}

}  // namespace

TEST_CASE("who proves a name by DIGEST-MD5 has the access of that name", "[sasl]")
{
    fixture f(guarded());
    f.run([&]() -> task<> {
        const session alice = co_await f.open(as(f.settings(), "alice", "open sesame"));
        const session bob = co_await f.open(as(f.settings(), "bob", "b"));
        ok(co_await alice.zk.create("/own", "1", create_mode::persistent, only_alice()));
        const auto read = co_await alice.zk.get("/own");
        ok(read);
        CHECK(read->data == "1");
        const auto foreign = co_await bob.zk.get("/own");
        CHECK(code_of(foreign) == errc::no_auth);
        const auto unknown = co_await f.observer().get("/own");
        CHECK(code_of(unknown) == errc::no_auth);
        const auto self = co_await alice.zk.who_am_i();
        ok(self);
        CHECK(std::any_of(self->begin(), self->end(), [](const identity& each) {
            return each.scheme == "sasl" && each.user == "alice";
        }));
    });
}

TEST_CASE("every connection is proved anew", "[sasl][T26]")
{
    fixture f(guarded());
    f.run([&]() -> task<> {
        byte_proxy proxy(f.servers().client_port(0));
        const session s = co_await f.open(as(f.settings(proxy.port()), "alice", "open sesame"));
        ok(co_await s.zk.create("/own", "1", create_mode::persistent, only_alice()));
        const auto id = s.zk.session().id;
        for (int i = 0; i < 3; ++i) {
            proxy.cut();
            const auto read = co_await s.zk.get("/own");
            ok(read);
            CHECK(read->data == "1");
        }
        CHECK(s.zk.session().id == id);
        CHECK(proxy.connections() == 4);
        const std::string sent = proxy.captured(direction::to_server);
        CHECK(sent.find("zookeeper/zk-sasl-md5") != std::string::npos);
        CHECK(sent.find("open sesame") == std::string::npos);
        (void)co_await s.zk.close();
    });
}

TEST_CASE("a wrong password ends the session, quickly and for good", "[sasl][S36]")
{
    fixture f(guarded());
    f.run([&]() -> task<> {
        byte_proxy proxy(f.servers().client_port(0));
        for (const std::string user : {"alice", "nobody"}) {
            const std::size_t before = proxy.connections();
            const auto begun = std::chrono::steady_clock::now();
            const session s = f.start(as(f.settings(proxy.port()), user, "a wrong word"));
            const auto pending = co_await s.zk.get("/");
            CHECK(code_of(pending) == errc::auth_failed);
            const auto end = co_await s.ended();
            CHECK(code_of(end) == errc::auth_failed);
            CHECK(std::chrono::steady_clock::now() - begun < 3s);
            const auto tried = s.zk.last_attempts();
            REQUIRE(tried.size() == 1);
            CHECK(tried[0].step == attempt_step::authenticate);
            CHECK(tried[0].text.find("a wrong word") == std::string::npos);
            co_await f.sleep(500ms);
            CHECK(proxy.connections() == before + 1);
        }
    });
}

TEST_CASE("a server without SASL is no server, unless that was said to be good enough", "[sasl]")
{
    fixture f;
    f.run([&]() -> task<> {
        config c = as(f.settings(), "alice", "open sesame");
        const session s = f.start(c);
        const auto end = co_await s.ended();
        CHECK(code_of(end) == errc::server_has_no_sasl);
        c.sasl_optional = true;
        const session anyway = co_await f.open(c);
        ok(co_await anyway.zk.create("/a"));
    });
}

TEST_CASE("of a SASL password nothing is left in memory when the client is gone",
          "[secrets][sasl][no-sanitizer]")
{
    const masked_secret word(40);
    guarded_servers own(&word);
    REQUIRE(word.copies_in_memory() == 0);
    {
        fixture f(*own.servers);
        f.run([&]() -> task<> {
            byte_proxy proxy(f.servers().client_port(0));
            config c = f.settings(proxy.port());
            word.reveal(
                [&](const std::string& w) { c.sasl = sasl_digest_md5("carol", w).value(); });
            const session s = co_await f.open(std::move(c));
            proxy.cut();
            ok(co_await s.zk.sync());
            CHECK(word.copies_in_memory() > 0);  // it is shown again on the next connection
        });
    }
    CHECK(word.copies_in_memory() == 0);
}

}  // namespace coati::test
