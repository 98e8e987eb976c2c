// One session, more than one owner: handed over in order, taken without a word, fought for.

#include "support.hpp"

#include <coati/protocol/takeover.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <initializer_list>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::session_state;

coati::config attached(const coati::session_credentials& to, std::size_t servers)
{
    coati::config c = plain_config(servers);
    c.session = to;
    return c;
}

}  // namespace

TEST_CASE("a session is handed over without its end: id, ephemerals, zxid", "[S39][C17]")
{
    simulation s;
    const auto run = s.connect();
    REQUIRE(s.ask(s.zk->create("/mine", "x", coati::create_mode::ephemeral)));
    const auto id = s.zk->session().id;
    const auto left = s.ask(s.zk->detach());
    REQUIRE(left);
    CHECK(left->id == id);
    CHECK(left->password.size() == 16);
    CHECK(left->last_zxid > 0);
    s.until([&] { return run.done(); });
    CHECK(*run);
    CHECK(s.ensemble.ephemeral_owner("/mine") == id);
    s.pass(10ms);
    CHECK(s.server(0).connections() == 0);
    CHECK(s.ask(s.zk->get("/")).error().code() == errc::session_left);

    const coati::client next = s.make_client(attached(*left, 1));
    const auto goes_on = s.start(next.run());
    REQUIRE(s.ask(next.get("/mine")));
    CHECK(next.session().id == id);
    for (const auto& each : s.server(0).log()) {
        CHECK(each.op != coati::wire::op_code::close_session);
        if (each.connection == 2 && each.op == coati::wire::op_code::create_session) {
            CHECK(each.zxid == left->last_zxid);
        }
    }
    s.pass(1min);
    CHECK(!goes_on.done());
}

TEST_CASE("what was asked for before leaving is answered, what comes later is refused", "[S39]")
{
    simulation s;
    s.connect();
    std::vector<answer<coati::created>> before;
    for (int i = 0; i < 20; ++i) {
        before.push_back(s.start(s.zk->create("/a" + std::to_string(i))));
    }
    const auto left = s.start(s.zk->detach());
    const auto late = s.start(s.zk->create("/late"));
    const auto again = s.start(s.zk->detach());
    const auto closing = s.start(s.zk->close());
    s.until([&] { return left.done() && again.done() && closing.done(); });
    CHECK(*left);
    CHECK(*again);
    CHECK(closing.code() == errc::session_left);
    for (const auto& each : before) {
        CHECK(*each);
    }
    CHECK(late.code() == errc::session_left);
    CHECK(late.fate() == fate::not_sent);
    CHECK(!s.ensemble.exists("/late"));
}

TEST_CASE("leaving is bounded in every state, and says when there is nothing to leave", "[S39]")
{
    simulation s;
    CHECK(s.ask(s.zk->detach()).error().code() == errc::closed);  // never begun

    const auto run = s.connect();
    s.server(0).pause();
    const auto stuck = s.start(s.zk->create("/a"));
    const auto start = s.in.now();
    const auto left = s.ask(s.zk->detach());
    CHECK(left);
    CHECK(s.in.now() - start <= 3s + 10ms);  // config.close_wait
    CHECK(stuck.code() == errc::session_left);
    CHECK(stuck.fate() == fate::maybe_applied);
    s.until([&] { return run.done(); });
    CHECK(*run);

    simulation lonely;
    lonely.server(0).kill();
    const auto tries = lonely.start(lonely.zk->run());
    lonely.pass(1s);
    CHECK(lonely.ask(lonely.zk->detach()).error().code() == errc::session_left);  // no session
    CHECK(tries.done());
}

TEST_CASE("who takes a session without a word keeps it, its first owner is told", "[S39][S44]")
{
    const std::size_t servers = GENERATE(1U, 3U);
    simulation s(plain_config(servers), servers);
    const auto run = s.connect();
    state_recorder states(*s.zk);
    REQUIRE(s.ask(s.zk->create("/mine", "x", coati::create_mode::ephemeral)));
    const auto mine = s.zk->credentials();
    const coati::client thief = s.make_client(attached(mine, servers));
    const auto stolen = s.start(thief.run());
    const auto fight = s.in.now();
    for (int i = 0; i < 600 && !run.done(); ++i) {
        // Through another server the old connection stays open, until its first write.
        s.start(s.zk->set("/mine", "owner"));
        s.start(thief.set("/mine", "thief"));
        s.pass(100ms);
    }
    REQUIRE(run.done());
    CHECK(run.code() == errc::session_stolen);
    CHECK(s.in.now() - fight < 1min);
    CHECK(states.states().back() == session_state::expired);
    REQUIRE(s.ask(thief.get("/mine")));
    const auto made = s.connections_made();
    s.pass(1min);
    CHECK(!stolen.done());
    CHECK(s.connections_made() == made);  // it has come to rest
    CHECK(s.ensemble.ephemeral_owner("/mine") == mine.id);
}

TEST_CASE("two thieves of one session both stop, and do not loop", "[S44][T62]")
{
    simulation s;
    s.connect();
    const auto left = s.ask(s.zk->detach());
    REQUIRE(left);
    const coati::client one = s.make_client(attached(*left, 1));
    const coati::client two = s.make_client(attached(*left, 1));
    const auto first = s.start(one.run());
    const auto second = s.start(two.run());
    s.until([&] { return first.done() || second.done(); }, 5min);
    const errc loser = first.done() ? first.code() : second.code();
    CHECK(loser == errc::session_stolen);
    const auto made = s.connections_made();
    CHECK(made < 60);
    s.pass(1min);
    CHECK(s.connections_made() <= made + 1);
}

TEST_CASE("servers that restart one after the other are no thieves", "[S44]")
{
    simulation s(plain_config(3), 3);
    const auto run = s.connect();
    const auto id = s.zk->session().id;
    for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < 3; ++i) {
            s.server(i).kill();
            s.pass(300ms);
            s.server(i).restart();
        }
        s.pass(4s);
    }
    REQUIRE(s.ask(s.zk->get("/")));
    CHECK(!run.done());
    CHECK(s.zk->session().id == id);
}

TEST_CASE("a sticky client returns to the server that it lost", "[S46]")
{
    const bool sticky = GENERATE(true, false);
    coati::config c = plain_config(3);
    c.sticky = sticky;
    simulation s(std::move(c), 3);
    s.connect();
    const auto where = s.zk->session().server;
    s.server(0).drop_connections();
    s.pass(1ms);
    s.until([&] { return s.zk->is_connected(); });
    CHECK((s.zk->session().server == where) == sticky);
    s.server(0).kill();
    s.until([&] { return s.zk->is_connected() && s.zk->session().server != where; });
    CHECK(s.ask(s.zk->get("/")));
}

TEST_CASE("a server that leaves the list is left, the session goes along", "[rebalance][C27]")
{
    simulation s(plain_config(1), 3);
    const auto run = s.connect();
    state_recorder states(*s.zk);
    const auto id = s.zk->session().id;
    const auto to = [](std::initializer_list<std::size_t> which) {
        std::vector<coati::server_address> all;
        for (const std::size_t i : which) {
            all.push_back({server_at(i).address, server_at(i).port});
        }
        return all;
    };
    const auto write = s.start(s.zk->create("/a"));
    REQUIRE(s.ask(s.zk->set_servers(to({1, 2}))));
    s.until([&] { return s.zk->session().server.address != server_at(0).address; });
    s.until([&] { return s.zk->is_connected() && write.done(); });
    CHECK(s.zk->session().id == id);
    const auto where = s.zk->session().server;
    REQUIRE(s.ask(s.zk->set_servers(to({2, 1}))));  // nothing new: nobody moves
    s.pass(1s);
    CHECK(s.zk->session().server == where);
    CHECK(s.ask(s.zk->set_servers({})).error().code() == errc::invalid_argument);
    CHECK(!run.done());
    CHECK(s.ask(s.zk->get("/")));
}

TEST_CASE("a list that comes while nobody can be reached is used by the next attempt",
          "[rebalance]")
{
    simulation s(plain_config(1), 2);
    s.server(0).kill();
    const auto run = s.start(s.zk->run());
    s.pass(5s);
    REQUIRE(s.ask(s.zk->set_servers({{server_at(1).address, server_at(1).port}})));
    s.until([&] { return s.zk->is_connected(); });
    CHECK(s.zk->session().server.address == server_at(1).address);
    CHECK(!run.done());
}
