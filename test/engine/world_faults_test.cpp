// What a world can be told to do to its hosts, and what a user's own coroutines get from it:
// partitions, jitter, tasks, seeds, ready-made scripts.

#include "raw_client.hpp"
#include "support.hpp"

#include <coati/testing/expire_session.hpp>
#include <coati/testing/fake_expiry.hpp>
#include <coati/testing/faults.hpp>
#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace wire = coati::wire;

using namespace coati::test;
using coati::errc;
using coati::session_state;
using coati::testing::for_each_seed;
using coati::testing::lie;
using coati::wire::op_code;
namespace faults = coati::testing;

/// A client on a host of that name.
struct resident {
    resident(simulation& at, const std::string& host, std::size_t servers)
        : zk(coati::serial(at.in.get_executor()), plain_config(servers),
             at.in.make_transport(host)),
          run(at.start(zk.run()))
    {
        REQUIRE(at.ask(zk.connected()));
    }

    session_state state() const { return states.seen.back().state; }

    coati::client zk;
    state_recorder states{zk};
    answer<void> run;
};

/// The environment for a moment.
struct variable {
    variable(const char* n, const char* value) : name(n) { ::setenv(name, value, 1); }
    ~variable() { ::unsetenv(name); }
    variable(const variable&) = delete;
    variable& operator=(const variable&) = delete;

    const char* name;
};

}  // namespace

TEST_CASE("one host is cut off, the other is not", "[M6]")
{
    simulation at(2);
    resident a(at, "a", 2);
    resident b(at, "b", 2);
    const auto id = a.zk.session().id;
    at.in.separate("a");
    at.pass(20s);
    CHECK(a.state() != session_state::connected);
    CHECK(b.state() == session_state::connected);
    CHECK(at.ensemble.sessions().size() == 1);  // b's: nobody has heard of a
    at.in.rejoin("a");
    at.until([&] { return a.run.done(); });
    CHECK(a.run.code() == errc::session_expired);
    CHECK(a.zk.session().id == id);
}

TEST_CASE("a host that loses one server goes to the next", "[M6]")
{
    simulation at(2);
    resident a(at, "a", 2);
    const auto session = a.zk.session().id;
    at.in.separate("a", server_at(0));
    at.pass(15s);
    CHECK(a.state() == session_state::connected);
    CHECK(a.zk.session().id == session);
    CHECK(a.zk.session().server.address == server_at(1).address);
    at.in.separate(server_at(1));
    at.in.rejoin(server_at(0));
    at.pass(15s);
    CHECK(a.zk.session().server.address == server_at(0).address);
    CHECK(a.zk.session().id == session);
}

TEST_CASE("what was sent during a partition arrives when it ends", "[M6]")
{
    simulation at(1);
    resident a(at, "a", 1);
    at.in.separate("a");
    const auto made = at.start(a.zk.create("/a"));
    at.pass(1s);
    CHECK_FALSE(at.ensemble.exists("/a"));
    CHECK_FALSE(made.done());
    at.in.rejoin();
    at.until([&] { return made.done(); });
    CHECK(*made);
    CHECK(at.in.connection_count(server_at(0)) == 1);
}

TEST_CASE("jitter moves bytes and keeps their order", "[M6]")
{
    const auto arrivals = [](std::uint64_t seed) {
        simulation at(1, seed);
        const auto run = at.connect();
        at.in.jitter(50ms);
        std::vector<coati::time_point> when;
        for (int i = 0; i < 20; ++i) {
            REQUIRE(at.ask(at.zk->create("/n-", "", coati::create_mode::persistent_sequential)));
            when.push_back(at.in.now());
        }
        CHECK(at.ensemble.children("/").size() == 21);
        return when;
    };
    CHECK(arrivals(1) == arrivals(1));
    CHECK(arrivals(1) != arrivals(2));
}

TEST_CASE("a coroutine of the user's own sleeps in the world's time", "[M6]")
{
    world in;
    std::vector<std::string> said;
    const auto speaker = [&](std::string what, coati::duration every) -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            co_await in.sleep_for(every);
            said.push_back(what);
        }
    };
    const auto slow = in.spawn(speaker("slow", 1h));
    auto quick = in.spawn(speaker("quick", 25min));
    in.run_for(26min);
    quick.cancel();
    in.run_until_idle();
    CHECK(said == std::vector<std::string>{"quick", "slow", "slow"});
    CHECK(slow.done());
    CHECK(quick.done());
}

TEST_CASE("a coroutine that is cancelled before its first step ends without a word", "[M6]")
{
    world in;
    bool has_begun = false;
    const auto speaker = [&]() -> asio::awaitable<void> {
        has_begun = true;
        co_await in.sleep_for(1s);
    };
    auto early = in.spawn(speaker());
    early.cancel();
    in.settle();
    CHECK(early.done());
    CHECK_FALSE(has_begun);
}

TEST_CASE("a hook may end the server that is being connected to", "[M6]")
{
    simulation at(2);
    at.in.on_connection([&](const coati::testing::connection& made) {
        at.in.on_connection(nullptr);
        if (made.server.address == server_at(0).address) {
            at.server(0).kill();
        }
    });
    resident a(at, "a", 2);
    CHECK(a.zk.session().server.address == server_at(1).address);
}

TEST_CASE("an exception of a coroutine leaves the function that runs the world", "[M6]")
{
    world in;
    const auto failing = [&]() -> asio::awaitable<void> {
        co_await in.sleep_for(1s);
        throw std::runtime_error("here");
    };
    const auto task = in.spawn(failing());
    CHECK_THROWS_AS(in.run_for(2s), std::runtime_error);
    CHECK(task.done());
}

TEST_CASE("seeds are told one by one, and the environment may choose", "[M6]")
{
    std::vector<std::uint64_t> told;
    const auto story = [&](std::uint64_t seed) {
        told.push_back(seed);
        if (seed == 5) {
            throw std::runtime_error("five");
        }
    };
    CHECK(for_each_seed(3, story) == 3);
    CHECK(told == std::vector<std::uint64_t>{1, 2, 3});
    CHECK_THROWS_AS(for_each_seed(10, story, 4), std::runtime_error);
    CHECK(told.back() == 5);
    {
        const variable one("COATI_SEED", "17");
        CHECK(for_each_seed(3, story) == 1);
        CHECK(told.back() == 17);
    }
    {
        const variable more("COATI_SEEDS", "4");
        CHECK(for_each_seed(1, story) == 4);
    }
    const variable nonsense("COATI_SEED", "many");
    CHECK_THROWS_AS(for_each_seed(1, story), std::invalid_argument);
}

TEST_CASE("ready-made scripts do what they are called", "[M7]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "0")));

    at.server(0).on_frame(faults::lose_reply(op_code::set_data));
    const auto lost = at.ask(at.zk->set("/a", "1"));
    CHECK(lost.error().fate() == coati::fate::maybe_applied);
    CHECK(at.ensemble.data("/a") == "1");

    at.server(0).on_frame(faults::lose_request(op_code::set_data));
    CHECK_FALSE(at.ask(at.zk->set("/a", "2")));
    CHECK(at.ensemble.data("/a") == "1");

    at.server(0).on_frame(faults::answer_with(op_code::set_data, errc::quota_exceeded));
    CHECK(at.ask(at.zk->set("/a", "2")).error() == errc::quota_exceeded);
    CHECK(at.ask(at.zk->set("/a", "3")));

    at.server(0).on_frame(faults::first_of({faults::delay_replies(1s)}));
    const auto begun = at.in.now();
    CHECK(at.ask(at.zk->get("/a")));
    CHECK(at.in.now() - begun >= 1s);
    at.server(0).on_frame(faults::delay_requests(1s));
    const auto second = at.in.now();
    CHECK(at.ask(at.zk->get("/a")));
    CHECK(at.in.now() - second >= 1s);
}

TEST_CASE("a connection ends behind the reply that was named", "[M7]")
{
    bench at;
    at.first.on_frame(faults::cut_after_reply(7));
    session zk(at);
    for (const int xid : {6, 7, 8}) {
        zk.request<wire::exists>(xid, {"/", false});
    }
    CHECK(zk.next().header.xid == 6);
    CHECK(zk.next().header.xid == 7);
    CHECK(zk.is_closed());
}

TEST_CASE("a client takes no lie", "[M7][M11]")
{
    const auto what =
        GENERATE(lie::wrong_xid, lie::stranger_event, lie::oversized_frame, lie::truncated_frame);
    INFO("lie " << static_cast<int>(what));
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    at.server(0).on_frame(faults::tell(what));
    const auto read = at.ask(at.zk->get("/a"));
    REQUIRE(read);  // asked again on another connection, but for the event, which means nothing
    CHECK(read->data == "x");
    CHECK(at.in.connection_count(server_at(0)) == (what == lie::stranger_event ? 1U : 2U));
    CHECK_FALSE(run.done());
}

TEST_CASE("a zxid that goes back is not what a client says that it has seen", "[M7]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    at.server(0).on_frame(faults::tell(lie::zxid_back));
    const auto read = at.ask(at.zk->get("/a"));
    REQUIRE(read);
    CHECK(read->zxid == 1);
    at.server(0).clear_log();
    at.in.cut_all();
    REQUIRE(at.ask(at.zk->get("/a")));
    CHECK(at.server(0).log().front().op == op_code::create_session);
    CHECK(at.server(0).log().front().zxid == at.ensemble.zxid());
}

TEST_CASE("a session that is not ours is the end of ours", "[M7][M11]")
{
    simulation at;
    const auto run = at.connect();
    at.server(0).on_frame(faults::tell(lie::other_session));
    at.in.cut_all();
    at.until([&] { return run.done(); });
    CHECK(run.code() == errc::session_id_changed);
}

TEST_CASE("a faked expiry is news to the client, and to nobody else", "[S33]")
{
    simulation at(2);
    coati::testing::fake_expiry fake(at.in.make_transport());
    const coati::client zk(coati::serial(at.in.get_executor()), plain_config(2), fake.transport());
    const auto run = at.start(zk.run());
    REQUIRE(at.ask(zk.connected()));
    REQUIRE(at.ask(zk.create("/e", "", coati::create_mode::ephemeral)));
    auto watched = at.ask(zk.get_and_watch("/e"));
    REQUIRE(watched);
    const auto event = at.start(watched->watch.next());
    const auto mine = zk.session().id;

    fake.inject();
    at.until([&] { return run.done(); });
    CHECK(run.code() == errc::session_expired);
    CHECK(event.code() == errc::session_expired);
    CHECK(at.ask(zk.get("/e")).error() == errc::session_expired);
    CHECK(fake.count() == 1);
    CHECK(at.ensemble.ephemeral_owner("/e") == mine);  // the server was not told

    // The next session meets what the last one has left.
    const coati::client next =
        coati::client(coati::serial(at.in.get_executor()), plain_config(2), fake.transport());
    const auto second = at.start(next.run());
    REQUIRE(at.ask(next.connected()));
    CHECK(at.ask(next.create("/e")).error() == errc::node_exists);
    at.pass(1min);
    CHECK_FALSE(at.ensemble.exists("/e"));
    CHECK(fake.count() == 1);
}

TEST_CASE("the true end of a session is the server's", "[S33]")
{
    simulation at(2);
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/e", "", coati::create_mode::ephemeral)));
    const auto mine = at.zk->credentials();
    std::optional<coati::result<void>> ended;
    auto ending = coati::testing::expire_session(at.in.make_transport(), server_at(1), mine.id,
                                                 mine.password);
    asio::co_spawn(at.in.context(), std::move(ending),
                   [&](const std::exception_ptr&, coati::result<void> r) { ended = std::move(r); });
    at.until([&] { return !at.ensemble.exists("/e"); });
    CHECK_FALSE(run.done());  // gone before its owner knows
    at.until([&] { return ended.has_value(); });
    CHECK(*ended);
    at.until([&] { return run.done(); }, 1min);
    CHECK(run.code() == errc::session_expired);
}
