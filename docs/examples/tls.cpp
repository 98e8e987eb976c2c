// TLS: the same client over another transport. Without COATI_TLS_CONNECT and COATI_TLS_CA it tries
// a server on this machine with the system's CAs.

#include "support.hpp"

#include <coati/tls.hpp>

namespace {

namespace asio = boost::asio;

coati::tls_settings trust()
{
    coati::tls_settings settings;
    if (const char* const ca = std::getenv("COATI_TLS_CA")) {
        settings.ca_file = ca;
    }
    return settings;
}

asio::awaitable<coati::result<std::string>> app(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(co_await zk.create("/secret", "handshake", coati::create_mode::ephemeral));
    BOOST_OUTCOME_CO_TRY(auto read, co_await zk.get("/secret"));
    co_return read.data;
}

/// Trusts the CA, but looks for another server than the one that answers.
asio::awaitable<void> meet_the_wrong_one(coati::config settings)
{
    const auto ex = co_await asio::this_coro::executor;
    auto wrong = trust();
    wrong.server_name = "zk1.example";
    settings.connect_deadline = std::chrono::seconds(1);
    const coati::client zk(ex, settings, coati::make_tls_transport(ex, wrong).value());
    auto ended = co_await zk.run();
    example::expect(ended.error() == coati::errc::no_server_reachable, "it is not connected to");
    for (const coati::attempt& each : zk.last_attempts()) {
        std::cout << each.text << '\n';
        example::expect(each.error.cause() == coati::tls_errc::wrong_host, "the cause is typed");
    }
}

}  // namespace

int main()
try {
    const char* const servers = std::getenv("COATI_TLS_CONNECT");
    const auto settings =
        coati::config::parse(servers != nullptr ? servers : "localhost:2281").value();
    asio::io_context context(1);
    const auto ex = context.get_executor();
    const auto secure = coati::make_tls_transport(ex, trust());
    if (!secure) {
        std::cerr << coati::explain_tls_settings(trust()) << '\n';
        return 1;
    }
    const coati::client zk(ex, settings, *secure);
    auto read = coati::supervise(zk, app)(asio::use_future);
    auto refused = asio::co_spawn(context, meet_the_wrong_one(settings), asio::use_future);
    context.run();
    refused.get();
    std::cout << "over TLS: " << read.get().value() << '\n';
    return 0;
} catch (const std::exception& failed) {
    std::cerr << failed.what() << '\n';
    return 1;
}
