// A session that survives its process: whoever has its id and password can go on with it.
//
// The first client drops its connection without closing the session; the second attaches to it, in
// time, and finds the ephemeral that the first has made. The credentials are a secret.

#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

namespace {

namespace asio = boost::asio;

asio::awaitable<coati::session_credentials> leave_an_ephemeral()
{
    const auto ex = co_await asio::this_coro::executor;
    const coati::client zk(ex, example::settings());
    asio::cancellation_signal drop;
    zk.run()(asio::bind_cancellation_slot(drop.slot(), [](const coati::result<void>& ended) {
        std::cout << "first client: " << ended.error().message() << '\n';
    }));
    auto made = co_await zk.create("/attached", "", coati::create_mode::ephemeral);
    example::expect(made.has_value(), "the first client makes an ephemeral");
    auto credentials = zk.credentials();
    drop.emit(asio::cancellation_type::terminal);  // as if the process had died
    co_return credentials;
}

asio::awaitable<coati::result<std::int64_t>> owner_of_ephemeral(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(auto found, co_await zk.get("/attached"));
    co_return found.stat.ephemeral_owner;
}

asio::awaitable<void> hand_over()
{
    auto credentials = co_await leave_an_ephemeral();
    auto settings = example::settings();
    settings.session = credentials;
    const coati::client zk(co_await asio::this_coro::executor, settings);
    auto owner = coati::hold(zk, owner_of_ephemeral);
    auto ended = co_await std::move(owner)(asio::use_awaitable);
    auto& answer = std::get<0>(ended.app);
    example::expect(answer.has_value(), "the second client finds the ephemeral");
    example::expect(*answer == credentials.id, "it belongs to the session of both");
    std::cout << "second client: same session, the ephemeral is still there\n";

    // This time in order: its ephemerals are gone at once, and nobody can attach any more.
    example::expect(ended.session.has_value(), "the session was closed");
    const coati::client late(co_await asio::this_coro::executor, settings);
    auto refused = co_await late.run();
    example::expect(refused.error() == coati::errc::session_expired, "it cannot be had again");
}

}  // namespace

int main()
try {
    asio::io_context context(1);
    auto done = asio::co_spawn(context, hand_over(), asio::use_future);
    context.run();
    done.get();
    return 0;
} catch (const std::exception& failed) {
    std::cerr << failed.what() << '\n';
    return 1;
}
