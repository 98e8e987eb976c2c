// Presence: znodes that exist while we live, through expiries, leftovers and strangers.

#include "presence_site.hpp"

#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <memory>

namespace coati::test::presence_story {

using namespace presence_kit;
using coati::testing::for_each_seed;
using coati::testing::frame_view;
using coati::testing::verdict;

TEST_CASE("what is asked for exists, with its parents, and goes when it is withdrawn", "[presence]")
{
    site at;
    at.here.add("/services/web/a", "1");
    at.here.add("/services/web/m-", "2", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    CHECK(at.ensemble.data("/services/web/a") == "1");
    CHECK(at.owner("/services/web/a") == at.session());
    const auto member = at.here.znode("/services/web/m-");
    REQUIRE(member);
    CHECK(at.ensemble.data(member->actual) == "2");
    CHECK(member->session == at.session());
    CHECK(at.ensemble.children("/services/web").size() == 2);

    CHECK(at.here.set("/services/web/a", "3"));
    CHECK(at.here.set("/services/web/m-", null_data));
    REQUIRE(at.settles());
    CHECK(at.ensemble.data("/services/web/a") == "3");

    CHECK(at.here.remove("/services/web/a"));
    CHECK(at.here.remove("/services/web/m-"));
    CHECK_FALSE(at.here.set("/services/web/a", "4"));
    REQUIRE(at.settles());
    CHECK(at.ensemble.children("/services/web").empty());
    CHECK(at.here.znodes().empty());
}

TEST_CASE("a znode that somebody deletes or changes is what was asked for again", "[presence]")
{
    site at;
    at.here.add("/a", "mine");
    at.here.add("/m-", "mine", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    const std::string first = at.here.znode("/m-")->actual;
    at.ensemble.remove("/a");
    at.ensemble.remove(first);
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.here.znode("/m-")->actual != first);
    CHECK(at.ensemble.data(at.here.znode("/m-")->actual) == "mine");
    at.ensemble.put("/a", "theirs");
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.settles());
}

TEST_CASE("an expired session's znodes are back within a second, in the new session, unpolled",
          "[presence][S19]")
{
    for_each_seed(100, [](std::uint64_t seed) {
        site at(seed);
        at.here.add("/services/a", "1");
        at.here.add("/services/m-", "2", create_mode::ephemeral_sequential);
        at.run();
        REQUIRE(at.settles());
        at.server.clear_log();
        at.in.run_for(1h);
        CHECK(at.requests() == 0);  // nothing is polled
        for (int again = 0; again < 3; ++again) {
            const auto old = at.session();
            at.ensemble.expire(old);
            REQUIRE(
                at.in.run_until([&] { return at.zk.is_connected() && at.session() != old; }, 1min));
            at.in.run_for(1s);
            CHECK(at.owner("/services/a") == at.session());
            CHECK(at.ensemble.data("/services/a") == "1");
            const auto all = at.ensemble.children("/services");
            REQUIRE(all.size() == 2);
            for (const auto& name : all) {
                CHECK(at.owner("/services/" + name) == at.session());
            }
        }
    });
}

namespace {

/// A site whose client gives up its session before the ensemble does: no quorum, no ageing.
void leave_a_leftover(site& at)
{
    const auto old = at.session();
    at.ensemble.has_quorum(false);
    REQUIRE(at.in.run_until([&] { return !at.zk.is_connected(); }, 1min));
    at.in.run_for(20s);
    at.ensemble.has_quorum(true);
    REQUIRE(at.in.run_until([&] { return at.zk.is_connected() && at.session() != old; }, 1min));
}

class impatient_site : public site {
public:
    impatient_site() : impatient_site(impatient()) {}

private:
    static config impatient()
    {
        config c = settings();
        c.expire_locally_after = 8s;
        return c;
    }
    explicit impatient_site(const config& c)
    {
        // The first client is left alone: it has no session yet.
        zk = client(serial(in.get_executor()), c, in.make_transport("home"));
        here = presence(zk);
        hold_sessions();
    }
};

}  // namespace

TEST_CASE("a leftover of our old session is replaced, not taken for ours", "[presence][S19]")
{
    impatient_site at;
    at.here.add("/services/a", "1");
    at.here.add("/services/m-", "2", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    const auto old = at.session();
    const std::string leftover = at.here.znode("/services/m-")->actual;
    leave_a_leftover(at);
    REQUIRE(at.session() != old);
    at.in.run_for(1s);
    CHECK(at.owner("/services/a") == at.session());
    CHECK(at.owner(at.here.znode("/services/m-")->actual) == at.session());
    CHECK_FALSE(at.ensemble.exists(leftover));
    CHECK(at.ensemble.children("/services").size() == 2);
    CHECK(std::ranges::any_of(at.ensemble.sessions(),
                              [&](const auto& each) { return each.id == old; }));
    at.in.run_for(1min);  // the old session ends, which is nothing to ours
    CHECK(at.owner("/services/a") == at.session());
}

TEST_CASE("a stranger who takes a leftover's place in the last moment is not removed",
          "[presence][S19]")
{
    impatient_site at;
    at.here.add("/services/a", "1");
    at.run();
    REQUIRE(at.settles());
    const auto old = at.session();
    int seen = 0;
    at.server.on_frame([&](const frame_view& frame) {
        if (frame.direction == frame_view::way::request && frame.op == op_code::multi) {
            if (++seen == 1) {
                return verdict::withhold();
            }
        }
        return verdict::pass();
    });
    leave_a_leftover(at);
    REQUIRE(at.in.run_until([&] { return seen > 0; }, 10s));
    at.ensemble.expire(old);
    at.ensemble.put("/services/a", "stranger");  // of the same version as the leftover
    at.server.release();
    at.in.run_for(1s);
    CHECK(at.ensemble.data("/services/a") == "stranger");
    CHECK(at.status("/services/a") == presence_status::taken);
    at.ensemble.remove("/services/a");
    at.in.run_for(1s);
    CHECK(at.owner("/services/a") == at.session());
    CHECK(at.status("/services/a") == presence_status::present);
}

TEST_CASE("a creation that is executed long after its answer was lost leaves nothing behind",
          "[presence][M10]")
{
    const bool is_withdrawn = GENERATE(false, true);
    site at;
    at.ensemble.put("/s", "");
    at.run();
    REQUIRE(at.settles());
    at.server.on_frame(testing::first_of(
        {testing::lose_request(op_code::create), testing::lose_request(op_code::multi)}));
    at.here.add("/s/m-", "", create_mode::ephemeral_sequential);
    at.here.add("/s/a");
    REQUIRE(at.settles());
    const std::string actual = at.here.znode("/s/m-")->actual;
    CHECK(at.ensemble.children("/s").size() == 2);
    if (is_withdrawn) {
        at.here.remove("/s/m-");
        at.here.remove("/s/a");
        REQUIRE(at.settles());
        CHECK(at.ensemble.children("/s").empty());
    }
    at.in.run_for(1min);
    // The lost requests, as a server would execute them that had held them back.
    int late = 0;
    const auto executed = [&late](const result<created>& made) { late += made ? 1 : 0; };
    at.zk.create(actual.substr(0, actual.size() - 10), "",
                 create_mode::ephemeral_sequential)(executed);
    at.zk.create("/s/a", "", create_mode::ephemeral)(executed);
    at.in.run_for(1s);
    CHECK(late == (is_withdrawn ? 2 : 1));
    CHECK(at.ensemble.children("/s").size() == (is_withdrawn ? 0 : 2));
    CHECK(at.settles());
}

TEST_CASE("somebody else's znode is waited for, without a poll", "[presence]")
{
    site at;
    at.ensemble.put("/a", "theirs");
    at.here.add("/a", "mine");
    at.run();
    REQUIRE(at.in.run_until([&] { return at.status("/a") == presence_status::taken; }, 5s));
    at.in.run_for(1s);
    at.server.clear_log();
    at.in.run_for(1h);
    CHECK(at.requests() == 0);
    CHECK(at.ensemble.data("/a") == "theirs");
    at.ensemble.remove("/a");
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.settles());
}

TEST_CASE("what cannot be made says why, and is made once it can be", "[presence]")
{
    site at;
    at.here.add("/a", "", create_mode::persistent);
    at.here.add("no/path");
    at.here.add("/b");
    at.server.on_frame([](const frame_view& frame) {
        const bool is_b = frame.direction == frame_view::way::request &&
                          frame.op == op_code::create && frame.path == "/b";
        return is_b ? verdict::answer(errc::no_auth) : verdict::pass();
    });
    at.run();
    at.in.run_for(1min);
    CHECK(at.status("/a") == presence_status::failed);
    CHECK(at.here.znode("/a")->why->code() == errc::invalid_argument);
    CHECK(at.here.znode("no/path")->why->code() == errc::invalid_path);
    CHECK(at.here.znode("/b")->why->code() == errc::no_auth);
    CHECK_FALSE(at.settles(1s));
    CHECK(at.requests() < 100);  // with a back-off
    at.server.on_frame({});
    at.here.remove("no/path");
    at.here.add("/a");
    at.in.run_for(10s);
    CHECK(at.ensemble.exists("/a"));
    CHECK(at.ensemble.exists("/b"));
    CHECK(at.settles());
}

TEST_CASE("a run that is cancelled leaves nothing, and another one can follow", "[presence]")
{
    const bool leaves = GENERATE(false, true);
    presence_options how;
    how.leaves_znodes = leaves;
    site at(1, how);
    at.here.add("/s/a");
    at.here.add("/s/m-", "", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    std::optional<error> second;
    at.here.run()([&](const result<void>& r) { second = r.error(); });
    at.in.run_for(10ms);
    REQUIRE(second);
    CHECK(second->code() == errc::already_waiting);
    at.stop.emit(asio::cancellation_type::terminal);
    at.in.run_for(1s);
    REQUIRE(at.ended);
    CHECK(at.ended->code() == errc::cancelled);
    CHECK(at.ensemble.children("/s").size() == (leaves ? 2 : 0));
    CHECK_FALSE(at.here.znode("/s/a")->is_settled);
    at.run();
    CHECK(at.settles());
    CHECK(at.ensemble.children("/s").size() == 2);
}

TEST_CASE("a presence that nobody holds any more ends its run and withdraws", "[presence]")
{
    site at;
    at.here.add("/s/a");
    at.run();
    REQUIRE(at.settles());
    at.here = presence(at.zk);
    at.in.run_for(1s);
    REQUIRE(at.ended);
    CHECK(at.ended->code() == errc::cancelled);
    CHECK_FALSE(at.ensemble.exists("/s/a"));
}

TEST_CASE("the stream of a presence ends in what is there", "[presence]")
{
    site at;
    std::vector<std::string> seen;
    std::function<void()> ask = [&] {
        at.here.next()([&](const result<std::vector<kept_znode>>& all) {
            if (all) {
                seen.emplace_back(all->empty() ? "none" : name(all->front().status));
                ask();
            }
        });
    };
    ask();
    at.run();
    at.in.run_for(1s);
    at.here.add("/a");
    at.in.run_for(1s);
    CHECK(seen.front() == "none");
    CHECK(seen.back() == "present");
    at.ensemble.expire(at.session());
    at.in.run_for(1s);
    CHECK(std::ranges::find(seen, "absent") != seen.end());
    CHECK(seen.back() == "present");
}

}  // namespace coati::test::presence_story
