// Kerberos (GSSAPI) against a KDC and ZooKeeper servers of the test's own: whose ticket is good for
// what, and what a client is told that has none.

#include "support.hpp"

#include "support/byte_proxy.hpp"
#include "support/kdc.hpp"

#include <coati/sasl.hpp>

#include <cstdlib>
#include <fstream>

namespace coati::test {

namespace {

/// A KDC, and a server that nobody enters without one of its tickets' names on the ACL.
struct guarded_by_kerberos {
    guarded_by_kerberos()
    {
        const std::string server = center.add("zookeeper/127.0.0.1");
        std::ofstream(center.path("jaas.conf"))
            << "Server {\n"
               "  com.sun.security.auth.module.Krb5LoginModule required\n"
               "  useKeyTab=true storeKey=true useTicketCache=false isInitiator=false\n"
               "  keyTab=\""
            << server << "\"\n  principal=\"zookeeper/127.0.0.1@" << kdc::realm() << "\";\n};\n";
        ensemble_options options;
        options.extra_cfg = {
            {"authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"},
        };
        options.jvm_args = {"-Djava.security.auth.login.config=" + center.path("jaas.conf"),
                            "-Djava.security.krb5.conf=" + center.config()};
        servers = std::make_unique<ensemble>(options);
    }

    kdc center;
    std::unique_ptr<ensemble> servers;
};

guarded_by_kerberos& guarded()
{
    static guarded_by_kerberos shared;
    return shared;
}

/// The Kerberos identity of this process, from now until it is destroyed.
class logged_in {
public:
    explicit logged_in(const std::string& keytab)
    {
        static int caches = 0;
        set("KRB5_CONFIG", guarded().center.config());
        set("KRB5_CLIENT_KTNAME", "FILE:" + keytab);
        set("KRB5CCNAME", "MEMORY:coati-test-" + std::to_string(++caches));
    }
    ~logged_in()
    {
        for (const char* const each : {"KRB5_CONFIG", "KRB5_CLIENT_KTNAME", "KRB5CCNAME"}) {
            ::unsetenv(each);
        }
    }
    logged_in(const logged_in&) = delete;
    logged_in& operator=(const logged_in&) = delete;

private:
    static void set(const char* name, const std::string& value)
    {
        ::setenv(name, value.c_str(), 1);
    }
};

config with_ticket(config c, const std::string& service = "zookeeper")
{
    c.sasl = sasl_gssapi(service).value();
    return c;
}

/// Tries to have a session, and gives what the attempt said.
task<std::string> refused(fixture& f, config c)
{
    byte_proxy proxy(f.servers().client_port(0));
    c.servers = {{"127.0.0.1", proxy.port()}};
    const session s = f.start(std::move(c));
    auto pending = s.zk.get("/").within(20s);
    const auto read = co_await std::move(pending);
    CHECK(code_of(read) == errc::auth_failed);
    const auto end = co_await s.ended();
    CHECK(code_of(end) == errc::auth_failed);
    const auto tried = s.zk.last_attempts();
    REQUIRE(tried.size() == 1);
    CHECK(tried[0].step == attempt_step::authenticate);
    CHECK(proxy.connections() == 1);  // and no more
    co_return tried[0].text;
}

}  // namespace

TEST_CASE("who has a Kerberos ticket has the access of its principal, on every connection",
          "[sasl][gssapi][T26]")
{
    guarded_by_kerberos& world = guarded();
    const std::string ann = world.center.add("ann");
    const std::string bob = world.center.add("bob");
    fixture f(*world.servers);
    f.run([&]() -> task<> {
        byte_proxy proxy(world.servers->client_port(0));
        {
            const logged_in as(ann);
            const session s = co_await f.open(with_ticket(f.settings(proxy.port())));
            const auto self = co_await s.zk.who_am_i();
            ok(self);
            std::string name;
            for (const identity& each : *self) {
                name = each.scheme == "sasl" ? each.user : name;
            }
            CHECK(name == "ann@" + kdc::realm());
            ok(co_await s.zk.create("/own", "1", create_mode::persistent, acls(acl::sasl(name))));
            const auto id = s.zk.session().id;
            const std::size_t connections = proxy.connections();
            for (int i = 0; i < 3; ++i) {
                proxy.cut();
                const auto read = co_await s.zk.get("/own");
                ok(read);
                CHECK(read->data == "1");
            }
            CHECK(s.zk.session().id == id);
            CHECK(proxy.connections() == connections + 3);
        }
        const logged_in as(bob);
        const session other = co_await f.open(with_ticket(f.settings()));
        const auto foreign = co_await other.zk.get("/own");
        CHECK(code_of(foreign) == errc::no_auth);
        const auto unknown = co_await f.observer().get("/own");
        CHECK(code_of(unknown) == errc::no_auth);
    });
}

TEST_CASE("without a ticket a session ends at once, and says why", "[sasl][gssapi][S36]")
{
    guarded_by_kerberos& world = guarded();
    fixture f(*world.servers);
    f.run([&]() -> task<> {
        const logged_in as(world.center.path("no-such-keytab"));
        const std::string told = co_await refused(f, with_ticket(f.settings()));
        INFO(told);
        CHECK(told.find("No Kerberos credentials available") != std::string::npos);
    });
}

TEST_CASE("a keytab whose key is another one by now gets no ticket", "[sasl][gssapi][S36]")
{
    guarded_by_kerberos& world = guarded();
    const std::string stale = world.center.add("carol");
    world.center.change_key("carol");
    fixture f(*world.servers);
    f.run([&]() -> task<> {
        const logged_in as(stale);
        const std::string told = co_await refused(f, with_ticket(f.settings()));
        INFO(told);
        CHECK(told.find("carol") + told.find("reauthentication") != std::string::npos);
    });
}

TEST_CASE("a server's principal that the KDC does not know ends the session, with its name",
          "[sasl][gssapi][S36]")
{
    guarded_by_kerberos& world = guarded();
    const std::string dora = world.center.add("dora");
    fixture f(*world.servers);
    f.run([&]() -> task<> {
        const logged_in as(dora);
        const std::string told = co_await refused(f, with_ticket(f.settings(), "another"));
        INFO(told);
        CHECK(told.find("another/127.0.0.1") != std::string::npos);
    });
}

}  // namespace coati::test
