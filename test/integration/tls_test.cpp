// Real ZooKeeper servers behind TLS: the session lives on from one to the other, a client is known
// by its certificate, and every kind of refusal is an error that says what is wrong.

#include "support.hpp"

#include "support/byte_proxy.hpp"
#include "support/certificates.hpp"

#include <coati/tls.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace coati::test {

namespace {

// What the three servers differ in.
constexpr std::size_t wants = 0;    // takes a client certificate, goes on without
constexpr std::size_t needs = 1;    // insists on one
constexpr std::size_t expired = 2;  // its own is none any more

struct secure_servers {
    std::array<std::uint16_t, 3> ports{};
    std::unique_ptr<ensemble> servers;

    secure_servers()
    {
        const certificates& all = shared_certificates();
        const auto good = all.issue("zookeeper");
        const auto old = all.issue("zookeeper-expired", {.days = -1});
        ensemble_options options;
        options.servers = 3;
        std::array<held_port, 3> held;
        for (std::size_t i = 0; i < 3; ++i) {
            ports[i] = held[i].number();
            server_options own;
            own.extra_cfg = tls_server_settings(all, i == expired ? old : good);
            own.extra_cfg["secureClientPort"] = std::to_string(ports[i]);
            own.extra_cfg["ssl.clientAuth"] = i == needs ? "need" : "want";
            options.each.push_back(own);
        }
        held = {};
        servers = std::make_unique<ensemble>(options);
    }
};

secure_servers& shared_secure()
{
    static secure_servers shared;
    return shared;
}

tls_settings trusting()
{
    tls_settings settings;
    settings.ca_file = shared_certificates().ca();
    return settings;
}

tls_settings with_certificate()
{
    static const auto client = shared_certificates().issue("client", {.subject = "/CN=somebody"});
    tls_settings settings = trusting();
    settings.certificate_chain_file = client.certificate;
    settings.private_key_file = client.key;
    return settings;
}

client secure_client(fixture& f, config c, const tls_settings& settings)
{
    const auto ex = f.context().get_executor();
    return client(ex, std::move(c), make_tls_transport(ex, settings).value());
}

template <class... Index>
config settings_of(fixture& f, Index... which)
{
    config c = f.settings();
    c.servers.clear();
    (c.servers.push_back({"localhost", shared_secure().ports[which]}), ...);
    return c;
}

/// Tries an address in vain; the one attempt that is remembered.
task<attempt> refused(fixture& f, config c, std::optional<tls_settings> secure)
{
    c.connect_deadline = 1500ms;
    c.connect_timeout = 700ms;
    const session s = f.start(secure ? secure_client(f, c, *secure) : f.make(c));
    const auto end = co_await s.ended();
    CHECK(code_of(end) == errc::no_server_reachable);
    const auto tried = s.zk.last_attempts();
    REQUIRE(tried.size() == 1);
    INFO(tried[0].text);
    CHECK(tried[0].text.find(std::to_string(c.servers[0].port)) != std::string::npos);
    co_return tried[0];
}

void says(const attempt& what, std::string_view part)
{
    INFO(what.text);
    CHECK(what.text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a session, its requests and its watches go over TLS", "[tls][C122]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        const session s = co_await f.open(secure_client(f, settings_of(f, wants), trusting()));
        CHECK(s.zk.session().server.port == shared_secure().ports[wants]);
        const std::string large(300'000, 'x');
        ok(co_await s.zk.create("/a", large));
        const auto seen = co_await f.observer().get("/a");
        ok(seen);
        CHECK(seen->data == large);
        auto watched = co_await s.zk.get_and_watch("/a");
        ok(watched);
        CHECK(watched->data == large);
        ok(co_await f.observer().set("/a", "2"));
        const event changed = co_await event_of(watched->watch);
        CHECK(changed.type == event_type::data_changed);
        const auto closed = co_await s.zk.close();
        CHECK(closed.has_value());
    });
}

TEST_CASE("a session moves from one TLS server to another", "[tls][S1]")
{
    fixture f(*shared_secure().servers);
    const healed after(f.servers());
    f.run([&]() -> task<> {
        const session s =
            co_await f.open(secure_client(f, settings_of(f, wants, needs), with_certificate()));
        ok(co_await s.zk.create("/mine", "", create_mode::ephemeral));
        auto watched = co_await s.zk.exists_and_watch("/later");
        ok(watched);
        const auto id = s.zk.session().id;
        const std::uint16_t first = s.zk.session().server.port;
        f.servers().kill(first == shared_secure().ports[wants] ? wants : needs);
        ok(co_await s.zk.sync());
        CHECK(s.zk.session().id == id);
        CHECK(s.zk.session().server.port != first);
        ok(co_await s.zk.create("/later"));
        const event created = co_await event_of(watched->watch);
        CHECK(created.type == event_type::created);
        const auto mine = co_await s.zk.exists("/mine");
        ok(mine);
        REQUIRE(mine->has_value());
        CHECK((*mine)->ephemeral_owner == id);
    });
}

TEST_CASE("a cut, and bytes that come in pieces, are those of any connection", "[tls]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        byte_proxy proxy(shared_secure().ports[wants]);
        config c = f.settings(proxy.port());
        c.servers[0].host = "localhost";
        const session s = co_await f.open(secure_client(f, c, trusting()));
        const auto id = s.zk.session().id;
        proxy.split(7);
        proxy.cut();  // the next handshake, too, comes in small pieces
        ok(co_await s.zk.sync());
        ok(co_await s.zk.create("/a", std::string(2'000, 'y')));
        const auto read = co_await s.zk.get("/a");
        ok(read);
        CHECK(read->data.size() == 2'000);
        CHECK(s.zk.session().id == id);
        CHECK(proxy.connections() >= 2);
        CHECK(s.zk.last_attempts().empty());  // a cut is no failed attempt
        // Nothing of it could be read on the way.
        CHECK(proxy.captured(direction::to_server).find("yyyy") == std::string::npos);
        proxy.split(0);
        (void)co_await s.zk.close();
    });
}

TEST_CASE("a client is known by its certificate", "[tls]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        const session known =
            co_await f.open(secure_client(f, settings_of(f, needs), with_certificate()));
        const session stranger =
            co_await f.open(secure_client(f, settings_of(f, wants), trusting()));
        const acls only_me(acl::x509("CN=somebody"));
        ok(co_await known.zk.create("/own", "secret", create_mode::persistent, only_me));
        ok(co_await stranger.zk.sync("/own"));
        const auto refused = co_await stranger.zk.get("/own");
        CHECK(code_of(refused) == errc::no_auth);
        const auto read = co_await known.zk.get("/own");
        ok(read);
        CHECK(read->data == "secret");
        const auto self = co_await known.zk.who_am_i();
        ok(self);
        CHECK(std::any_of(self->begin(), self->end(), [](const identity& each) {
            return each.scheme == "x509" && each.user == "CN=somebody";
        }));
    });
}

TEST_CASE("a TLS server that cannot be trusted is an attempt that says why", "[tls][C123]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        const attempt old = co_await refused(f, settings_of(f, expired), trusting());
        CHECK(old.error == errc::ssl_connection_error);
        CHECK(old.error.cause() == tls_errc::certificate_expired);
        says(old, "expired");
        says(old, "valid from");

        auto elsewhere = trusting();
        elsewhere.server_name = "zk1.example";
        const attempt wrong = co_await refused(f, settings_of(f, wants), elsewhere);
        CHECK(wrong.error == errc::ssl_connection_error);
        CHECK(wrong.error.cause() == tls_errc::wrong_host);
        says(wrong, "expected zk1.example");
        says(wrong, "DNS:localhost");

        auto distrusting = trusting();
        distrusting.ca_file = shared_certificates().other_ca();
        const attempt unknown = co_await refused(f, settings_of(f, wants), distrusting);
        CHECK(unknown.error == errc::ssl_connection_error);
        CHECK(unknown.error.cause() == tls_errc::untrusted_ca);
    });
}

TEST_CASE("a server that needs a client certificate says so", "[tls][C122]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        const attempt without = co_await refused(f, settings_of(f, needs), trusting());
        CHECK(without.error == errc::ssl_connection_error);
        CHECK(without.error.cause() == tls_errc::client_certificate_wanted);
        says(without, "client certificate");
    });
}

TEST_CASE("TLS on a plain port, and none on a TLS port, end in time with a hint", "[tls][C124]")
{
    fixture f(*shared_secure().servers);
    f.run([&]() -> task<> {
        const attempt secure =
            co_await refused(f, f.settings(f.servers().client_port(0)), trusting());
        CHECK(secure.error == errc::ssl_connection_error);
        CHECK(secure.error.cause() == tls_errc::hung_up);
        says(secure, "speaks TLS");

        const attempt plain =
            co_await refused(f, f.settings(shared_secure().ports[wants]), std::nullopt);
        CHECK((plain.error == errc::handshake_timed_out || plain.error == errc::handshake_refused ||
               plain.error == errc::not_zookeeper));
        says(plain, "TLS");
    });
}

}  // namespace coati::test
