// TLS as a transport, against a server by Asio's own TLS: who is trusted, under which name, what a
// refusal is called, and files that change. What every transport promises is in tcp_test.cpp; real
// ZooKeeper servers are in test/integration/tls_test.cpp.

#include "tls_server.hpp"

#include <coati/tls.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>

namespace coati::test {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// A client's transport and whatever it connects to.
struct rig {
    asio::io_context context;
    std::shared_ptr<transport> world;

    explicit rig(const tls_settings& settings)
        : world(make_tls_transport(context.get_executor(), settings).value())
    {
    }

    bool run_until(const std::function<bool()>& predicate, std::chrono::milliseconds limit = 10s)
    {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!predicate() && std::chrono::steady_clock::now() < end) {
            context.restart();
            context.run_one_for(10ms);
        }
        return predicate();
    }

    /// Connects both sides; the client's error.
    error_code connect(listener& server, const endpoint& to)
    {
        accepted = connected = false;
        server_side.reset();
        client_side.reset();
        server.accept([this](error_code, std::unique_ptr<stream> made) {
            accepted = true;
            server_side = std::move(made);
        });
        error_code how;
        world->connect(to, [&](error_code ec, std::unique_ptr<stream> made) {
            connected = true;
            how = ec;
            client_side = std::move(made);
        });
        REQUIRE_FALSE(connected);
        REQUIRE(run_until([&] { return connected && accepted; }));
        CHECK(static_cast<bool>(how) == (client_side == nullptr));
        return how;
    }

    /// What the next read ends with, or the text that came.
    std::pair<error_code, std::string> read()
    {
        std::string text(64, '\0');
        bool done = false;
        error_code how;
        client_side->read_some(asio::buffer(text), [&](error_code ec, std::size_t n) {
            done = true;
            how = ec;
            text.resize(n);
        });
        REQUIRE(run_until([&] { return done; }));
        return {how, text};
    }
    void server_says(const std::string& text)
    {
        bool done = false;
        server_side->write(asio::buffer(text), [&](error_code ec, std::size_t) {
            CHECK_FALSE(ec);
            done = true;
        });
        REQUIRE(run_until([&] { return done; }));
    }

    bool accepted = false;
    bool connected = false;
    std::unique_ptr<stream> server_side;
    std::unique_ptr<stream> client_side;
};

const certificates& all()
{
    return shared_certificates();
}

const certificate_files& good_server()
{
    static const auto made = all().issue("good");
    return made;
}

tls_settings trusting()
{
    tls_settings settings;
    settings.ca_file = all().ca();
    return settings;
}

bool contains(const std::string& text, const std::string& part)
{
    INFO("\"" << text << "\" has to contain \"" << part << "\"");
    CHECK(text.find(part) != std::string::npos);
    return text.find(part) != std::string::npos;
}

/// A server with this certificate is refused with this, and the text says that.
void is_refused(const certificate_files& identity, tls_errc with, const std::string& says,
                const tls_settings& settings = trusting(), const std::string& host = "localhost")
{
    rig at(settings);
    tls_listener server(at.context, identity);
    CHECK(at.connect(server, server.as(host)) == with);
    contains(at.world->explain(server.local()), says);
}

}  // namespace

TEST_CASE("a cause has a text of its own", "[tls]")
{
    CHECK(make_error_code(tls_errc::wrong_host).message() !=
          make_error_code(tls_errc::failed).message());
    CHECK(std::string(tls_category().name()) == "coati.tls");
    for (int i = 1; i <= static_cast<int>(tls_errc::bad_settings); ++i) {
        for (int j = 1; j < i; ++j) {
            CHECK(tls_category().message(i) != tls_category().message(j));
        }
    }
}

TEST_CASE("a trusted server of the right name is connected to, and told that name", "[tls]")
{
    rig at(trusting());
    tls_listener server(at.context, good_server());
    CHECK_FALSE(at.connect(server, server.as("localhost")));
    CHECK(server.asked_for == "localhost");
    CHECK(at.world->explain(server.local()).empty());
    at.server_says("hello");
    CHECK(at.read().second == "hello");

    CHECK_FALSE(at.connect(server, server.as("localhost.")));
    CHECK(server.asked_for == "localhost");
}

TEST_CASE("a literal address is looked for as an address and not sent as a name", "[tls]")
{
    rig at(trusting());
    tls_listener server(at.context, good_server());
    for (const std::string host : {"127.0.0.1", ""}) {
        CHECK_FALSE(at.connect(server, server.as(host)));
        CHECK(server.asked_for == "-");
    }
    is_refused(all().issue("names-only", {.names = "DNS:localhost,DNS:127.0.0.1"}),
               tls_errc::wrong_host, "expected 127.0.0.1", trusting(), "127.0.0.1");
}

TEST_CASE("a certificate that will not do is refused by its own name", "[tls]")
{
    is_refused(all().issue("expired", {.days = -1}), tls_errc::certificate_expired, "valid from");
    is_refused(all().issue("self", {.self_signed = true}), tls_errc::self_signed, "CN = server");
    const auto other = all().issue("other-host", {.names = "DNS:zk9.example,IP:10.9.8.7"});
    is_refused(other, tls_errc::wrong_host, "expected localhost");
    is_refused(other, tls_errc::wrong_host, "DNS:zk9.example, IP Address:10.9.8.7");
    auto elsewhere = trusting();
    elsewhere.ca_file = all().other_ca();
    is_refused(good_server(), tls_errc::untrusted_ca, "issuer CN = coati test ca", elsewhere);
    is_refused(good_server(), tls_errc::untrusted_ca, "issuer", tls_settings());  // the system's
}

TEST_CASE("the name in the certificate is the configured one, unless another is set", "[tls]")
{
    // The address is right, but nobody configured it.
    is_refused(good_server(), tls_errc::wrong_host, "expected zk1.example", trusting(),
               "zk1.example");
    auto settings = trusting();
    settings.server_name = "localhost";
    rig at(settings);
    tls_listener server(at.context, good_server());
    CHECK_FALSE(at.connect(server, server.as("zk1.example")));
    CHECK(server.asked_for == "localhost");
}

TEST_CASE("checks can be switched off one by one", "[tls]")
{
    const auto other = all().issue("other-host", {.names = "DNS:zk9.example"});
    auto any_name = trusting();
    any_name.verify_host = false;
    {
        rig at(any_name);
        tls_listener server(at.context, other);
        CHECK_FALSE(at.connect(server, server.as("localhost")));
    }
    is_refused(all().issue("self", {.self_signed = true}), tls_errc::self_signed, "", any_name);
    tls_settings anybody;
    anybody.verify_peer = false;
    rig at(anybody);
    tls_listener server(at.context, all().issue("self", {.self_signed = true}));
    CHECK_FALSE(at.connect(server, server.as("localhost")));
}

TEST_CASE("a revoked certificate is refused, others of its CA are not", "[tls]")
{
    const auto bad = all().issue("revoked");
    auto settings = trusting();
    settings.crl_file = all().revoke(bad);
    is_refused(bad, tls_errc::certificate_revoked, "CN = server", settings);
    rig at(settings);
    tls_listener server(at.context, good_server());
    CHECK_FALSE(at.connect(server, server.as("localhost")));
}

TEST_CASE("a server that wants a client certificate gets it, or is understood", "[tls]")
{
    const auto client = all().issue("client", {.subject = "/CN=client"});
    for (const bool is_13 : {false, true}) {
        const auto demanding = [&](rig& at) {
            auto server = std::make_unique<tls_listener>(at.context, good_server());
            server->context.load_verify_file(all().ca());
            server->context.set_verify_mode(asio::ssl::verify_peer |
                                            asio::ssl::verify_fail_if_no_peer_cert);
            SSL_CTX_set_max_proto_version(server->context.native_handle(),
                                          is_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
            return server;
        };
        {
            rig at(trusting());
            const auto server = demanding(at);
            error_code how = at.connect(*server, server->as("localhost"));
            if (!how) {
                how = at.read().first;  // TLS 1.3: our side was done before the server's
            }
            CHECK(how == tls_errc::client_certificate_wanted);
        }
        {
            auto settings = trusting();
            settings.certificate_chain_file = client.both;
            rig at(settings);
            const auto server = demanding(at);
            CHECK_FALSE(at.connect(*server, server->as("localhost")));
            at.server_says("welcome");
            CHECK(at.read().second == "welcome");
        }
        {
            auto settings = trusting();
            const auto own = all().issue("own-client", {.self_signed = true});
            settings.certificate_chain_file = own.certificate;
            settings.private_key_file = own.key;
            rig at(settings);
            const auto server = demanding(at);
            error_code how = at.connect(*server, server->as("localhost"));
            if (!how) {
                how = at.read().first;
            }
            CHECK(how == tls_errc::client_certificate_refused);
        }
    }
}

TEST_CASE("settings that cannot be used are refused when they are made", "[tls]")
{
    asio::io_context context;
    const auto wrong = [&](const tls_settings& settings) {
        const auto made = make_tls_transport(context.get_executor(), settings);
        CHECK(made.has_error());
        CHECK(made.error() == errc::invalid_config);
        CHECK(made.error().cause() == tls_errc::bad_settings);
        return explain_tls_settings(settings);
    };
    const auto client = all().issue("client", {.subject = "/CN=client"});
    tls_settings settings;
    settings.ca_file = all().path("no-such-file.pem");
    contains(wrong(settings), "no-such-file.pem");
    settings = trusting();
    settings.ca_file = client.key;  // readable, but no CA
    contains(wrong(settings), client.key);
    settings = tls_settings();
    settings.ca_directory = all().path("no-such-folder");
    contains(wrong(settings), "no-such-folder");
    settings = trusting();
    settings.certificate_chain_file = all().path("none.pem");
    contains(wrong(settings), "none.pem");
    settings.certificate_chain_file = client.certificate;
    contains(wrong(settings), "private key");  // which is not in there
    settings.private_key_file = good_server().key;
    contains(wrong(settings), good_server().key);
    settings = trusting();
    settings.private_key_file = client.key;
    contains(wrong(settings), "without certificate_chain_file");
    settings = trusting();
    settings.crl_file = client.key;
    contains(wrong(settings), client.key);
    settings = trusting();
    settings.cipher_list = "NO-SUCH-CIPHER";
    contains(wrong(settings), "cipher");
    CHECK(explain_tls_settings(trusting()).empty());
}

TEST_CASE("an encrypted key is opened by its passphrase and by nothing else", "[tls]")
{
    const auto client = all().issue("client", {.subject = "/CN=client"});
    auto settings = trusting();
    settings.certificate_chain_file = client.certificate;
    settings.private_key_file = all().encrypted_key(client, "open sesame");
    CHECK_FALSE(explain_tls_settings(settings).empty());  // and asks nobody
    settings.passphrase = [] { return std::string("wrong"); };
    contains(explain_tls_settings(settings), settings.private_key_file);
    settings.passphrase = [] { return std::string(5000, 'x'); };
    CHECK_FALSE(explain_tls_settings(settings).empty());
    settings.passphrase = [] { return std::string("open sesame"); };
    CHECK(explain_tls_settings(settings).empty());
}

TEST_CASE("files that change are read again before the next connection", "[tls]")
{
    const std::string file = all().path("changing-ca.pem");
    const auto use = [&](const std::string& content) {
        std::ofstream(file + ".new") << content;
        fs::rename(file + ".new", file);
    };
    const auto text_of = [](const std::string& path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    };
    use(text_of(all().other_ca()));
    tls_settings settings;
    settings.ca_file = file;
    rig at(settings);
    tls_listener server(at.context, good_server());
    CHECK(at.connect(server, server.as("localhost")) == tls_errc::untrusted_ca);
    use(text_of(all().ca()));
    CHECK_FALSE(at.connect(server, server.as("localhost")));

    // What cannot be used changes nothing, and is named when something fails.
    use("this is no certificate");
    CHECK_FALSE(at.connect(server, server.as("localhost")));
    CHECK(at.connect(server, server.as("zk1.example")) == tls_errc::wrong_host);
    contains(at.world->explain(server.local()), "expected zk1.example");
    contains(at.world->explain(server.local()), file);
    fs::remove(file);
    CHECK_FALSE(at.connect(server, server.as("localhost")));

    use(text_of(all().other_ca()));
    CHECK(at.connect(server, server.as("localhost")) == tls_errc::untrusted_ca);
    CHECK(at.world->explain(server.local()).find("older") == std::string::npos);
}

TEST_CASE("a client certificate that changes is the one that is shown next", "[tls]")
{
    const auto first = all().issue("changing", {.subject = "/CN=first"});
    auto settings = trusting();
    settings.certificate_chain_file = first.both;
    rig at(settings);
    tls_listener server(at.context, good_server());
    server.context.load_verify_file(all().ca());
    server.context.set_verify_mode(asio::ssl::verify_peer);
    const auto shown = [&] {
        CHECK_FALSE(at.connect(server, server.as("localhost")));
        auto& tls = dynamic_cast<tls_server_stream&>(*at.server_side).tls;
        X509* const seen = SSL_get0_peer_certificate(tls.native_handle());
        REQUIRE(seen != nullptr);
        char name[64] = {};
        X509_NAME_get_text_by_NID(X509_get_subject_name(seen), NID_commonName, name, sizeof name);
        return std::string(name);
    };
    CHECK(shown() == "first");
    (void)all().issue("changing", {.subject = "/CN=second"});
    CHECK(shown() == "second");
}

TEST_CASE("a peer that speaks no TLS is told from one that hangs up or says nothing", "[tls]")
{
    rig at(trusting());
    const auto server = make_tcp_listener(at.context.get_executor(), {"127.0.0.1", 0, {}});
    enum { speaks, hangs_up, resets };
    for (const auto what : {speaks, hangs_up, resets}) {
        std::unique_ptr<stream> side;
        std::string hello(16, '\0');
        const std::string answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
        server->accept([&](error_code, std::unique_ptr<stream> made) {
            side = std::move(made);
            if (what == speaks) {
                side->write(asio::buffer(answer), [](error_code, std::size_t) {});
            } else if (what == hangs_up) {
                side->read_some(asio::buffer(hello), [&](error_code, std::size_t) {
                    side.reset();  // with the rest unread: a reset, or an EOF
                });
            } else {
                side.reset();
            }
        });
        bool done = false;
        error_code how;
        at.world->connect(server->local(), [&](error_code ec, std::unique_ptr<stream>) {
            done = true;
            how = ec;
        });
        REQUIRE(at.run_until([&] { return done; }));
        CHECK(how == (what == speaks ? tls_errc::not_tls : tls_errc::hung_up));
    }

    for (const auto type : {asio::cancellation_type::total, asio::cancellation_type::partial,
                            asio::cancellation_type::terminal}) {
        std::unique_ptr<stream> silent;
        server->accept([&](error_code, std::unique_ptr<stream> made) { silent = std::move(made); });
        asio::cancellation_signal stop;
        bool done = false;
        error_code how;
        at.world->connect(server->local(),
                          asio::bind_cancellation_slot(
                              stop.slot(), [&](error_code ec, std::unique_ptr<stream> made) {
                                  done = true;
                                  how = ec;
                                  CHECK(made == nullptr);
                              }));
        REQUIRE(at.run_until([&] { return silent != nullptr; }));
        at.run_until([&] { return done; }, 20ms);
        CHECK_FALSE(done);
        stop.emit(type);
        CHECK_FALSE(done);
        REQUIRE(at.run_until([&] { return done; }));
        CHECK(how == asio::error::operation_aborted);
        contains(at.world->explain(server->local()), "TLS handshake");
    }
}

TEST_CASE("an end without a good-bye is an end, not an error of TLS", "[tls]")
{
    rig at(trusting());
    tls_listener server(at.context, good_server());
    CHECK_FALSE(at.connect(server, server.as("localhost")));
    at.server_says("last words");
    at.server_side.reset();  // without close_notify
    CHECK(at.read().second == "last words");
    CHECK(at.read().first == asio::error::eof);

    CHECK_FALSE(at.connect(server, server.as("localhost")));
    bool done = false;
    auto& tls = dynamic_cast<tls_server_stream&>(*at.server_side).tls;
    tls.async_shutdown([&](error_code) { done = true; });
    CHECK(at.read().first == asio::error::eof);
    at.client_side.reset();
    REQUIRE(at.run_until([&] { return done; }));
}

TEST_CASE("a stream that is destroyed ends what is outstanding on it", "[tls]")
{
    rig at(trusting());
    tls_listener server(at.context, good_server());
    CHECK_FALSE(at.connect(server, server.as("localhost")));
    const std::string large(32 * 1024 * 1024, 'x');
    char into[8];
    int ended = 0;
    const auto aborted = [&](error_code ec, std::size_t) {
        CHECK(ec == asio::error::operation_aborted);
        ++ended;
    };
    at.client_side->write(asio::buffer(large), aborted);
    at.client_side->read_some(asio::buffer(into), aborted);
    at.run_until([&] { return ended > 0; }, 20ms);
    at.client_side.reset();
    CHECK(ended == 0);
    CHECK(at.run_until([&] { return ended == 2; }));
}

TEST_CASE("a version or a cipher that the server does not have is no connection", "[tls]")
{
    auto settings = trusting();
    settings.min_version = tls_version::v1_3;
    rig at(settings);
    tls_listener old(at.context, good_server());
    SSL_CTX_set_max_proto_version(old.context.native_handle(), TLS1_2_VERSION);
    CHECK(at.connect(old, old.as("localhost")) == tls_errc::nothing_in_common);

    settings.min_version = tls_version::v1_2;
    settings.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256";
    rig picky(settings);
    tls_listener other(picky.context, good_server());
    SSL_CTX_set_max_proto_version(other.context.native_handle(), TLS1_2_VERSION);
    CHECK_FALSE(picky.connect(other, other.as("localhost")));
    SSL_CTX_set_cipher_list(other.context.native_handle(), "ECDHE-ECDSA-AES256-GCM-SHA384");
    CHECK(picky.connect(other, other.as("localhost")) == tls_errc::nothing_in_common);
}

TEST_CASE("a server can be left without TLS", "[tls]")
{
    auto settings = trusting();
    settings.use_tls = [](const endpoint& to) { return to.host == "localhost"; };
    rig at(settings);
    tls_listener secure(at.context, good_server());
    const auto plain = make_tcp_listener(at.context.get_executor(), {"127.0.0.1", 0, {}});
    CHECK_FALSE(at.connect(*plain, plain->local()));
    at.server_says("in the clear");
    CHECK(at.read().second == "in the clear");
    CHECK_FALSE(at.connect(secure, secure.as("localhost")));
    at.server_says("in secret");
    CHECK(at.read().second == "in secret");
}

}  // namespace coati::test
