// Time limits, and what became of a request that failed: its fate.
//
// A time limit ends the waiting, not the request: what has left cannot be called back. `fate` says
// what is certain, so that only `maybe_applied` has to be looked into.

#include "support.hpp"

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using coati::errc;
using coati::fate;

std::string_view advice(const coati::error& e)
{
    switch (e.fate()) {
    case fate::not_sent: return "it never left: repeat it";
    case fate::not_applied: return "the server said no, or it was a read: nothing has changed";
    case fate::maybe_applied: return "it left and no answer came: look before repeating it";
    case fate::applied: return "it happened";
    }
    return "";
}

void print(const char* what, const coati::error& e)
{
    std::cout << what << ": " << name(e.code()) << ", " << name(e.fate()) << ": " << advice(e)
              << '\n';
}

/// A client whose servers do not exist: nothing it is asked ever leaves.
asio::awaitable<void> without_a_server(asio::any_io_executor ex)
{
    const coati::client zk(ex, coati::config::parse("127.0.0.1:1").value());
    auto late = co_await zk.with({.timeout = 20ms}).set("/a", "1");
    print("a write that waited 20 ms for a server", late.error());
    example::expect(late.error() == errc::timed_out && late.error().fate() == fate::not_sent,
                    "a write that never left has timed out");
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    // Every operation of a handle, or one operation: both complete by then.
    auto patient = zk.with({.timeout = 5s});
    BOOST_OUTCOME_CO_TRY(co_await patient.create("/once", "1"));
    BOOST_OUTCOME_CO_TRY(co_await zk.within(5s, zk.get("/once")));

    auto again = co_await zk.create("/once", "2");
    print("a second create", again.error());
    example::expect(again.error() == errc::node_exists && again.error().fate() == fate::not_applied,
                    "an answer of the server says that nothing has changed");

    // Too short for most answers, but who has one gets it. When the time is over the write is on
    // its way, and is not stopped.
    auto hasty = co_await zk.within(1ns, zk.set("/once", "3"));
    BOOST_OUTCOME_CO_TRY(auto now, co_await zk.get("/once"));
    if (hasty) {
        example::expect(now.data == "3", "what was answered has happened");
    } else {
        example::expect(hasty.error() == errc::timed_out, "a nanosecond was too short");
        print("a write with a nanosecond", hasty.error());
        example::expect(hasty.error().fate() != fate::not_sent || now.data == "1",
                        "what was not sent has not happened");
    }

    co_await without_a_server(zk.get_executor());
    co_return co_await zk.remove("/once");
}

}  // namespace

int main()
{
    return example::run(app);
}
