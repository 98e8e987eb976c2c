// A session that is over cannot be closed any more: what its application asks for meanwhile must
// not reach the session that follows.

#include <coati/coati.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/co_spawn.hpp>

#include <chrono>
#include <optional>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace coati::testing;

/// Two sessions' worth of an application: the first waits for its end and returns it, which makes
/// `hold` close the session; the second works.
class application {
public:
    asio::awaitable<coati::result<int>> operator()(coati::client zk) const
    {
        BOOST_OUTCOME_CO_TRY(co_await zk.connected());
        if (++*sessions == 1) {
            BOOST_OUTCOME_CO_TRY(co_await zk.create("/first", "", coati::create_mode::ephemeral));
            BOOST_OUTCOME_CO_TRY(co_await zk.get("/first"));
        }
        BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(1s));
        BOOST_OUTCOME_CO_TRY(co_await zk.exists("/first"));
        co_return *sessions;
    }

    int* sessions;
};

}  // namespace

TEST_CASE("the close of an expired session leaves the next one alone")
{
    world in;
    scripted_ensemble ensemble(in);
    const coati::endpoint at{"10.0.0.1", 2181, {}};
    scripted_server server(ensemble, in, at);
    server.on_frame([](const frame_view& f) {
        const bool held =
            f.direction == frame_view::way::reply && f.op == coati::wire::op_code::get_data;
        return held ? verdict::withhold() : verdict::pass();
    });
    const coati::client zk(in.get_executor(), coati::config::parse("10.0.0.1:2181").value(),
                           in.make_transport());
    int sessions = 0;
    const application app{&sessions};
    std::optional<coati::result<int>> answer;
    coati::supervise(zk, app)([&](std::exception_ptr failed, coati::result<int> ended) {
        REQUIRE_FALSE(failed);
        answer = ended;
    });
    REQUIRE(in.run_until([&] { return ensemble.exists("/first"); }, 1s));
    in.run_for(10ms);
    ensemble.expire(ensemble.sessions().at(0).id);
    REQUIRE(in.run_until([&] { return answer.has_value(); }, 10s));
    REQUIRE(answer->has_value());
    CHECK(**answer == 2);
}
