// A znode's value as a stream: whatever happens to the znode, to the connection and to the reader,
// the last value that is given is the one that there is.

#include "support.hpp"

#include "../unit/protocol/random.hpp"

#include <coati/follow.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::followed;
using coati::value_stream;
using coati::wire::op_code;

/// Reads as fast as it goes; what it saw, with "-" for a missing znode.
class follower {
public:
    follower(simulation& at, const std::string& path) : stream(coati::follow(*at.zk, path))
    {
        ask();
    }
    follower(const follower&) = delete;
    follower& operator=(const follower&) = delete;

    std::vector<std::string> seen;
    std::vector<followed> values;
    std::optional<coati::error> end;

private:
    void ask()
    {
        stream.next()([this](coati::result<followed> r) {
            if (!r) {
                end = r.error();
                return;
            }
            seen.push_back(r->exists() ? r->data : "-");
            values.push_back(*r);
            ask();
        });
    }

public:
    value_stream stream;
};

using texts = std::vector<std::string>;

void settle(simulation& at)
{
    at.until([&] { return at.zk->is_connected(); });
    for (int i = 0; i < 4; ++i) {
        REQUIRE(at.ask(at.zk->sync()));
    }
}

}  // namespace

TEST_CASE("quick changes are seen as one, the last for certain, and the jump shows",
          "[follow][S26]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "0");
    follower f(at, "/a");
    settle(at);
    CHECK(f.seen == texts{"0"});
    for (int i = 1; i <= 50; ++i) {
        at.ensemble.put("/a", std::to_string(i));
    }
    settle(at);
    CHECK(f.seen == texts{"0", "50"});
    CHECK(f.values[1].stat->version == f.values[0].stat->version + 50);
    CHECK(f.values[1].zxid >= f.values[1].stat->mzxid);
    settle(at);
    CHECK(f.seen.size() == 2);
}

TEST_CASE("a missing znode is a value as well", "[follow]")
{
    simulation at;
    at.connect();
    follower f(at, "/a");
    settle(at);
    at.ensemble.put("/a", "1");
    settle(at);
    at.ensemble.remove("/a");
    settle(at);
    at.ensemble.put("/a", "2");
    settle(at);
    CHECK(f.seen == texts{"-", "1", "-", "2"});
    // Gone and there again in between: another znode with the same data.
    const auto before = f.values.back().stat->czxid;
    at.ensemble.remove("/a");
    at.ensemble.put("/a", "2");
    settle(at);
    CHECK(f.seen == texts{"-", "1", "-", "2", "2"});
    CHECK(f.values.back().stat->czxid != before);
    // There and gone again: nothing has changed.
    at.ensemble.remove("/a");
    settle(at);
    at.ensemble.put("/a", "3");
    at.ensemble.remove("/a");
    settle(at);
    CHECK(f.seen.back() == "-");
    CHECK(f.seen.size() == 6);
}

TEST_CASE("what changed while the client was away is seen when it is back, and nothing else",
          "[follow][T1]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "1");
    follower f(at, "/a");
    follower still(at, "/still");
    settle(at);
    for (int i = 2; i < 5; ++i) {
        at.server(0).kill();
        at.until([&] { return !at.zk->is_connected(); });
        if (i != 3) {
            at.ensemble.put("/a", "between");
            at.ensemble.put("/a", std::to_string(i));
        }
        at.server(0).restart();
        settle(at);
    }
    CHECK(f.seen == texts{"1", "2", "4"});
    CHECK(still.seen == texts{"-"});
}

TEST_CASE("who stops waiting for a value loses none", "[follow][cancel]")
{
    for (std::size_t n = 0; n < 25; ++n) {
        INFO("step " << n);
        simulation at;
        at.connect();
        at.ensemble.put("/a", "1");
        const value_stream s = coati::follow(*at.zk, "/a");
        REQUIRE(at.ask(s.next())->data == "1");
        asio::cancellation_signal stop;
        const auto waiting = at.start(s.next(), stop);
        at.pass(1ms);
        const auto second = at.start(s.next());
        at.until([&] { return second.done(); });
        CHECK(second.code() == errc::already_waiting);
        at.ensemble.put("/a", "2");
        std::size_t turns = 0;
        at.reaches([&] { return turns++ >= n; }, 1s);
        stop.emit(asio::cancellation_type::terminal);
        at.until([&] { return waiting.done(); });
        if (waiting.code() == errc{0}) {
            CHECK(waiting->data == "2");
            at.ensemble.put("/a", "3");
        } else {
            CHECK(waiting.code() == errc::cancelled);
        }
        const auto next = at.ask(s.next());
        REQUIRE(next);
        CHECK(next->data == (waiting.code() == errc{0} ? "3" : "2"));
        const auto late = at.ask(s.next().within(1s));
        REQUIRE_FALSE(late);
        CHECK(late.error().code() == errc::timed_out);
    }
}

TEST_CASE("a stream of values tells of errors, and goes on in the next session", "[follow]")
{
    simulation at;
    auto run = at.connect();
    const value_stream wrong = coati::follow(*at.zk, "no/path");
    const auto refused = at.ask(wrong.next());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::invalid_path);

    at.ensemble.put("/a", "1");
    const value_stream s = coati::follow(*at.zk, "/a");
    REQUIRE(at.ask(s.next())->data == "1");
    const auto waiting = at.start(s.next());
    at.pass(1ms);
    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return waiting.done() && run.done(); });
    CHECK(waiting.code() == errc::session_expired);
    at.ensemble.put("/a", "2");
    run = at.connect();
    const auto next = at.ask(s.next());
    REQUIRE(next);
    CHECK(next->data == "2");
}

TEST_CASE("a stream of values that is dropped ends its wait and leaves no watch behind", "[follow]")
{
    for (std::size_t n = 0; n < 12; ++n) {
        INFO("step " << n);
        simulation at;
        at.connect();
        at.ensemble.put("/a", "1");
        std::optional<value_stream> s = coati::follow(*at.zk, n % 2 == 0 ? "/a" : "/missing");
        const auto waiting = at.start(s->next(), [&] { s.reset(); });
        std::size_t turns = 0;
        at.reaches([&] { return turns++ >= n; }, 1s);
        s.reset();
        at.until([&] { return waiting.done(); });
        CHECK(waiting.completed() == 1);
        settle(at);
        CHECK(at.server(0).watches() == 0);
        CHECK(at.zk->live_watches().empty());
    }
}

TEST_CASE("whatever happens, the last value is the one that there is", "[follow][S26][property]")
{
    std::size_t given = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        coati_test::seeded_random random(seed);
        simulation at;
        at.connect();
        follower f(at, "/a");
        int writes = 0;
        for (int round = 0; round < 6; ++round) {
            for (int i = 0; i < 12; ++i) {
                const auto choice = random() % 20;
                if (choice < 13) {
                    at.ensemble.put("/a", std::to_string(++writes));
                } else if (choice < 18) {
                    at.ensemble.remove("/a");
                } else if (choice == 18) {
                    at.in.cut_all();
                }
                std::size_t turns = 0;
                const std::size_t some = random() % 8;
                at.reaches([&] { return turns++ >= some; }, 1ms);
            }
            at.pass(5s);
            settle(at);
            REQUIRE_FALSE(f.end);
            REQUIRE(f.seen.back() == at.ensemble.data("/a").value_or("-"));
        }
        std::int64_t last = -1;
        for (const followed& each : f.values) {
            REQUIRE(each.stat.value_or(coati::stat{}).mzxid != last);
            last = each.stat.value_or(coati::stat{}).mzxid;
        }
        given += f.seen.size();
    }
    CHECK(given > 500);
}
