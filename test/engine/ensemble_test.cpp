// Following the ensemble's own configuration: what answered is taken in, what did not never takes
// the place of what works.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::server_address;
using coati::wire::op_code;

bool is_at(const simulation& s, std::size_t server)
{
    return s.zk->is_connected() && s.zk->session().server.address == server_at(server).address;
}

/// A line of the configuration, as servers write it where nothing else is configured.
std::string line(std::size_t server, const std::string& client = "0.0.0.0:2181")
{
    return "server." + std::to_string(server) + "=" + server_at(server).address +
           ":2888:3888:participant;" + client + "\n";
}

std::string lines(std::initializer_list<std::size_t> servers, int version)
{
    std::string text;
    for (const std::size_t each : servers) {
        text += line(each);
    }
    return text + "version=" + std::to_string(version);
}

struct following : simulation {
    explicit following(std::size_t configured, std::size_t n, const std::string& text,
                       coati::testing::ensemble_options options = {})
        : simulation(plain_config(configured), n, 1, std::move(options))
    {
        say(text);
        run = connect();
        session = zk->session().id;
        follow = start(zk->follow_ensemble());
    }
    void say(const std::string& text) { ensemble.put("/zookeeper/config", text); }
    /// The client is cut off from where it is, until it has come to this server.
    void lose_until(std::size_t server)
    {
        for (int i = 0; i < 20 && !is_at(*this, server); ++i) {
            in.cut_all();
            until([&] { return !zk->is_connected(); });
            until([&] { return zk->is_connected(); });
        }
        CHECK(is_at(*this, server));
    }
    std::size_t handshakes(std::size_t at)
    {
        const auto& log = server(at).log();
        return static_cast<std::size_t>(std::count_if(
            log.begin(), log.end(), [](const auto& r) { return r.op == op_code::create_session; }));
    }

    answer<void> run;
    answer<void> follow;
    std::int64_t session = 0;
};

}  // namespace

TEST_CASE("members that answer are taken in, the session moves along", "[hosts][C27]")
{
    following s(1, 3, lines({0}, 1));
    s.pass(1s);
    CHECK(is_at(s, 0));
    REQUIRE(s.ask(s.zk->create("/mine", "", coati::create_mode::ephemeral)));
    s.say(lines({1, 2}, 2));  // this server leaves the ensemble
    s.until([&] { return is_at(s, 1) || is_at(s, 2); });
    CHECK(s.zk->session().id == s.session);
    CHECK(s.ensemble.ephemeral_owner("/mine") == s.session);
    // The others are known now, and the one that left is not gone back to while they are there.
    const auto before = s.handshakes(0);
    s.lose_until(1);
    s.lose_until(2);
    CHECK(s.handshakes(0) == before);
    CHECK_FALSE(s.follow.done());
    CHECK_FALSE(s.run.done());
}

TEST_CASE("a server that stays is stayed with", "[hosts]")
{
    following s(1, 3, lines({0}, 1));
    s.pass(1s);
    s.say(lines({0}, 2));
    s.pass(1min);
    CHECK(is_at(s, 0));
    CHECK(s.handshakes(0) == 1);
    CHECK(s.in.connection_count(server_at(0)) == 2);  // and it was asked for once, no more
}

TEST_CASE("what does not answer is never taken in, and taken in once it does", "[hosts]")
{
    following s(2, 3, lines({0, 1}, 1));
    s.server(2).kill();
    s.pass(1s);
    s.say(lines({2}, 2));  // a list of which nobody answers
    s.pass(5min);
    CHECK(is_at(s, 0));
    CHECK(s.handshakes(2) == 0);
    s.in.cut_all();  // and it is not even tried, while the old ones are there
    s.until([&] { return !s.zk->is_connected(); });
    s.until([&] { return s.zk->is_connected(); });
    CHECK_FALSE(is_at(s, 2));
    s.server(2).restart();
    s.until([&] { return is_at(s, 2); }, 61s);  // asked for again every minute
    CHECK(s.zk->session().id == s.session);
}

TEST_CASE("one answer is enough to drop members that left, the silent ones wait", "[hosts]")
{
    following s(1, 4, lines({0}, 1));
    s.in.black_hole(server_at(2));
    s.pass(1s);
    s.say(lines({1, 2}, 2));
    s.until([&] { return is_at(s, 1); });
    s.server(1).kill();
    // Nobody of the list is left: what was configured is.
    s.until([&] { return is_at(s, 0); });
    CHECK(s.zk->session().id == s.session);
    CHECK(s.handshakes(2) == 0);
}

TEST_CASE("a wildcard is the host of the quorum address, a wrong address is got round", "[hosts]")
{
    // An internal name, a port where nobody listens, a wildcard in IPv6.
    for (const std::string client : {"internal:2181", "10.7.7.7:2181", "[::]:2181", "2181"}) {
        following s(1, 2, lines({0}, 1));
        s.pass(1s);
        s.say(line(1, client) + "version=2");
        s.until([&] { return is_at(s, 1); });
        CHECK(s.zk->session().id == s.session);
    }
}

TEST_CASE("what answers, but not as a ZooKeeper does, is not taken in", "[hosts]")
{
    following s(1, 1, lines({0}, 1));
    std::vector<std::unique_ptr<coati::stream>> kept;
    std::vector<std::unique_ptr<int>> unused;
    const auto web = s.in.listen(server_at(1), [&](std::unique_ptr<coati::stream> one) {
        kept.push_back(std::move(one));  // accepts, and says nothing
    });
    s.pass(1s);
    s.say(lines({1}, 2));
    s.pass(5min);
    CHECK(is_at(s, 0));
    CHECK(kept.size() >= 4);
    CHECK(s.handshakes(0) == 1);
}

TEST_CASE("a server that forbids the question has answered", "[hosts]")
{
    coati::testing::ensemble_options silent;
    silent.four_letter_words = false;
    following s(1, 2, lines({0}, 1), silent);
    s.pass(1s);
    s.say(lines({1}, 2));
    s.until([&] { return is_at(s, 1); });
    CHECK(s.zk->session().id == s.session);
}

TEST_CASE("an older configuration replaces no newer one", "[hosts]")
{
    following s(2, 3, lines({0, 1}, 5));
    s.pass(1s);
    s.say(lines({2}, 4));
    s.pass(5min);
    CHECK(is_at(s, 0));
    CHECK(s.handshakes(2) == 0);
    // Also not for the next who follows.
    asio::cancellation_signal stop;
    s.say(lines({0, 1}, 5));
    s.pass(1s);
    s.say(lines({2}, 6));
    s.until([&] { return is_at(s, 2); });
}

TEST_CASE("no configuration, or one that nobody can read, changes nothing", "[hosts]")
{
    for (const std::string text : {"", "server.1=nonsense\nversion=3", "version=9",
                                   "server.1=elsewhere:2888:3888:participant\nversion=3"}) {
        following s(1, 2, text);
        s.pass(2min);
        CHECK(is_at(s, 0));
        CHECK_FALSE(s.follow.done());
        s.say(lines({1}, 10));
        s.until([&] { return is_at(s, 1); });
    }
}

TEST_CASE("names that were configured stay, so that they are looked up anew", "[hosts][T19]")
{
    coati::config c = plain_config(0);
    c.servers = {{"zk0", 2181, "eu"}, {"zk1", 2181, "us"}};
    simulation s(c, 3);
    s.in.add_name("zk0", {server_at(0).address});
    s.in.add_name("zk1", {server_at(1).address});
    s.ensemble.put("/zookeeper/config", lines({0, 1}, 1));
    const auto run = s.connect();
    const auto follow = s.start(s.zk->follow_ensemble());
    s.pass(1s);
    // Both move to other addresses, as pods do.
    s.server(1).kill();
    s.in.add_name("zk0", {server_at(2).address});
    s.server(0).kill();
    s.until([&] { return is_at(s, 2); });
    CHECK(s.zk->session().server.host == "zk0");
    CHECK_FALSE(follow.done());
}

TEST_CASE("following goes on through reconnects", "[hosts]")
{
    following s(1, 3, lines({0}, 1));
    s.pass(1s);
    s.server(0).kill();
    s.pass(2s);
    s.say(lines({0, 1}, 2));  // while nobody can be reached
    s.server(0).restart();
    s.until([&] { return s.zk->is_connected(); });
    s.pass(1s);
    s.server(0).kill();
    s.until([&] { return is_at(s, 1); });
    CHECK(s.zk->session().id == s.session);
}

TEST_CASE("one follower a client; it ends with the session, or when it is cancelled", "[hosts]")
{
    following s(1, 2, lines({0, 1}, 1));
    s.pass(1s);
    CHECK(s.ask(s.zk->follow_ensemble()).error() == errc::already_waiting);
    s.server(0).expire(s.session);
    s.until([&] { return s.run.done(); });
    REQUIRE(s.follow.done());
    CHECK(s.follow.code() == errc::session_expired);

    const auto run = s.connect();
    asio::cancellation_signal stop;
    const auto chrooted = s.start(s.zk->chroot("/app").follow_ensemble(), stop);
    s.pass(1s);
    CHECK_FALSE(chrooted.done());
    stop.emit(asio::cancellation_type::total);
    s.until([&] { return chrooted.done(); });
    CHECK(chrooted.code() == errc::cancelled);
    const auto again = s.start(s.zk->follow_ensemble(), stop);
    s.in.black_hole(server_at(1));
    s.say(line(0) + line(1, "10.8.8.8:2181") + "version=7");  // cancelled while it asks
    s.pass(2ms);
    stop.emit(asio::cancellation_type::terminal);
    s.until([&] { return again.done(); });
    CHECK(again.code() == errc::cancelled);
    CHECK_FALSE(run.done());
}
