// Operations that are made of others, in virtual time: what they answer, who interferes, how they
// are cancelled, and what a lost reply leaves behind.

#include "support.hpp"

#include <coati/convenience.hpp>
#include <coati/wire/op_code.hpp>

#include <boost/asio/post.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::fate;
using coati::wire::op_code;

/// Closes the connection in place of each reply to this op.
void lose_replies(simulation& at, op_code op)
{
    at.server(0).on_frame([op](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && !f.handshake && f.op == op;
        return hit ? verdict::close() : verdict::pass();
    });
}

std::size_t count_of(simulation& at, op_code op)
{
    const auto& log = at.server(0).log();
    return static_cast<std::size_t>(
        std::count_if(log.begin(), log.end(), [&](const auto& each) { return each.op == op; }));
}

}  // namespace

// --- a composed operation is an operation ----------------------------------------------------

TEST_CASE("a composed operation never completes inside its initiation", "[convenience]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "");
    // The path is refused without anything to wait for.
    const auto refused = at.start(coati::wait_until_gone(*at.zk, "relative"));
    CHECK_FALSE(refused.done());
    at.until([&] { return refused.done(); });
    CHECK(refused.code() == errc::invalid_path);
    CHECK(refused.fate() == fate::not_sent);

    const auto mode =
        at.start(coati::create_or_set(*at.zk, "/x", "", create_mode::ephemeral_sequential));
    CHECK_FALSE(mode.done());
    at.until([&] { return mode.done(); });
    CHECK(mode.code() == errc::invalid_argument);
    CHECK(mode.fate() == fate::not_sent);
}

TEST_CASE("a composed operation can be stored, started twice, and outlives its handle",
          "[convenience]")
{
    simulation at;
    at.connect();
    auto op = std::make_optional(coati::create_or_set(at.zk->chroot("/app"), "/a", "x"));
    at.ensemble.put("/app", "");
    const auto stored = *op;
    const auto first = at.ask(std::move(*op));
    op.reset();
    REQUIRE(first);
    CHECK(first->version == 0);
    const auto second = at.ask(stored);
    REQUIRE(second);
    CHECK(second->version == 1);
    CHECK(at.ensemble.data("/app/a") == "x");
}

TEST_CASE("cancelling a composed operation ends it and harms nothing", "[convenience]")
{
    simulation at;
    at.connect();
    asio::cancellation_signal stop;
    const auto waiting = at.start(coati::wait_until_exists(*at.zk, "/a"), stop);
    at.pass(1s);
    CHECK_FALSE(waiting.done());
    stop.emit(asio::cancellation_type::terminal);
    at.until([&] { return waiting.done(); });
    CHECK(waiting.completed() == 1);
    CHECK(waiting.code() == errc::cancelled);
    CHECK(at.zk->is_connected());
    at.pass(1s);
    CHECK(at.server(0).watches() == 0);  // nobody waits for it any more
    CHECK(waiting.forgotten());
    stop.emit(asio::cancellation_type::terminal);  // there is nothing left to cancel

    // At once, before its first step.
    const auto early = at.start(coati::wait_until_exists(*at.zk, "/a"), stop);
    stop.emit(asio::cancellation_type::partial);
    at.until([&] { return early.done(); });
    CHECK(early.code() == errc::cancelled);
    CHECK(early.fate() == fate::not_sent);
    REQUIRE(at.ask(at.zk->create("/a")));
}

TEST_CASE("a time limit is one of the whole", "[convenience]")
{
    simulation at;
    at.connect();
    const auto begun = at.in.now();
    const auto limited = at.start(coati::wait_until_exists(*at.zk, "/a").within(3s));
    at.until([&] { return limited.done(); });
    CHECK(limited.code() == errc::timed_out);
    CHECK(limited.at() - begun == 3s);

    coati::options quick;
    quick.timeout = 2s;
    const auto again = at.in.now();
    const auto by_handle = at.start(coati::wait_until_exists(at.zk->with(quick), "/a"));
    at.until([&] { return by_handle.done(); });
    CHECK(by_handle.code() == errc::timed_out);
    CHECK(by_handle.at() - again == 2s);
    CHECK(at.zk->is_connected());
}

TEST_CASE("a composed write that is cancelled tells the fate of its step", "[convenience]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "0");
    at.server(0).on_frame([](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::set_data;
        return hit ? verdict::withhold() : verdict::pass();
    });
    const auto change = [](const std::string&) { return std::optional<coati::data>("1"); };
    const auto lost = at.start(coati::update(*at.zk, "/a", change).within(1s));
    at.until([&] { return lost.done(); });
    CHECK(lost.code() == errc::timed_out);
    CHECK(lost.fate() == fate::maybe_applied);
}

TEST_CASE("a composed operation completes with the end of its session", "[convenience]")
{
    simulation at;
    const auto run = at.connect();
    const auto waiting = at.start(coati::wait_until_exists(*at.zk, "/a"));
    at.pass(1s);
    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return run.done(); });
    CHECK(waiting.completed() == 1);
    CHECK(waiting.code() == errc::session_expired);
    const auto late = at.ask(coati::wait_until_exists(*at.zk, "/a"));
    CHECK(late.error() == errc::session_expired);
}

TEST_CASE("a composed operation dies with its context, uncalled", "[convenience]")
{
    answer<coati::stat> waiting;
    answer<coati::stat> fresh;
    {
        simulation at;
        at.connect();
        waiting = at.start(coati::wait_until_exists(*at.zk, "/a"));
        at.pass(1s);
        fresh = at.start(coati::wait_until_exists(*at.zk, "/a"));
    }
    CHECK(waiting.completed() == 0);
    CHECK(waiting.forgotten());
    CHECK(fresh.completed() == 0);
    CHECK(fresh.forgotten());
}

TEST_CASE("what a callable throws leaves through the executor, and the operation completes",
          "[convenience]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "0");
    const auto throws = [](const std::string&) -> std::optional<coati::data> {
        throw std::runtime_error("a bug in the application");
    };
    const auto failed = at.start(coati::update(*at.zk, "/a", throws));
    bool thrown = false;
    for (int i = 0; i < 3 && !(thrown && failed.done()); ++i) {
        try {
            at.reaches([&] { return thrown && failed.done(); }, 1s);
        } catch (const std::runtime_error&) {
            thrown = true;
        }
    }
    CHECK(thrown);
    CHECK(failed.code() == errc::cancelled);
    CHECK(failed.fate() == fate::not_applied);
    REQUIRE(at.ask(at.zk->get("/a")));
}

// --- with parents

TEST_CASE("parents are created where they are missing, and only there", "[convenience]")
{
    simulation at;
    at.connect();
    const auto made = at.ask(coati::create_with_parents(*at.zk, "/a/b/c", "leaf"));
    REQUIRE(made);
    CHECK(made->path == "/a/b/c");
    CHECK(at.ensemble.data("/a/b/c") == "leaf");
    CHECK(at.ensemble.data("/a/b") == "");
    const auto again = at.ask(coati::create_with_parents(*at.zk, "/a/b/c"));
    REQUIRE_FALSE(again);
    CHECK(again.error() == errc::node_exists);
    CHECK(again.error().fate() == fate::not_applied);

    at.server(0).clear_log();
    const auto numbered = at.ask(
        coati::create_with_parents(*at.zk, "/a/b/n-", "", create_mode::ephemeral_sequential));
    REQUIRE(numbered);
    CHECK(count_of(at, op_code::create) == 1);  // nothing was missing
    const auto digits =
        at.ask(coati::create_with_parents(*at.zk, "/x/y/", "", create_mode::persistent_sequential));
    REQUIRE(digits);
    CHECK(digits->path == "/x/y/0000000000");
    const auto below = at.ask(coati::create_with_parents(*at.zk, numbered->path + "/no"));
    CHECK(below.error() == errc::no_children_for_ephemerals);
    const auto bad = at.ask(coati::create_with_parents(*at.zk, "/q", "", create_mode::persistent,
                                                       {}, create_mode::ephemeral));
    CHECK(bad.error() == errc::invalid_argument);
}

TEST_CASE("others may create and remove the parents meanwhile", "[convenience]")
{
    simulation at;
    at.connect();
    // Somebody creates the first parent just before us, and removes the second just after.
    int creates = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::create) {
            ++creates;
            if (f.path == "/a" && creates < 4) {
                at.ensemble.put("/a", "theirs");
            } else if (f.path == "/a/b/c" && creates > 1 && creates < 7) {
                at.ensemble.remove("/a/b");
            }
        }
        return verdict::pass();
    });
    const auto made = at.ask(coati::create_with_parents(*at.zk, "/a/b/c", "mine"));
    REQUIRE(made);
    CHECK(creates > 6);
    CHECK(at.ensemble.data("/a") == "theirs");
    CHECK(at.ensemble.data("/a/b/c") == "mine");
}

TEST_CASE("a missing chroot is an error, or is made on request", "[convenience][S38]")
{
    simulation at;
    at.connect();
    const coati::client app = at.zk->chroot("/apps/mine");
    const auto missing = at.ask(coati::create_with_parents(app, "/a/b"));
    CHECK(missing.error() == errc::no_node);
    const auto made = at.ask(coati::create_with_parents(app, "/", "root"));
    REQUIRE(made);
    CHECK(made->path == "/");
    CHECK(at.ensemble.data("/apps/mine") == "root");
    REQUIRE(at.ask(coati::create_with_parents(app, "/a/b")));
    CHECK(at.ensemble.exists("/apps/mine/a/b"));
}

// --- create or set, update

TEST_CASE("create_or_set does what is needed, also when somebody comes between", "[convenience]")
{
    simulation at;
    at.connect();
    const auto made = at.ask(coati::create_or_set(*at.zk, "/a", "1"));
    REQUIRE(made);
    CHECK(made->version == 0);
    const auto set = at.ask(coati::create_or_set(*at.zk, "/a", "2"));
    REQUIRE(set);
    CHECK(set->version == 1);
    CHECK(at.ensemble.data("/a") == "2");
    // It is created by somebody else between our two requests.
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::create2) {
            at.ensemble.put("/b", "theirs");
        }
        return verdict::pass();
    });
    const auto late = at.ask(coati::create_or_set(*at.zk, "/b", "ours"));
    REQUIRE(late);
    CHECK(late->version == 1);
    CHECK(at.ensemble.data("/b") == "ours");
    CHECK(at.ask(coati::create_or_set(*at.zk, "/no/b", "")).error() == errc::no_node);
}

TEST_CASE("update sets what the function makes of the data that are there", "[convenience]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/count", "1");
    int others = 3;
    std::vector<std::string> seen;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::set_data && others > 0) {
            at.ensemble.put("/count", std::to_string(10 * others--));
        }
        return verdict::pass();
    });
    const auto increment = [&](const std::string& now) {
        seen.push_back(now);
        return std::optional<coati::data>(std::to_string(std::stoi(now) + 1));
    };
    const auto done = at.ask(coati::update(*at.zk, "/count", increment));
    REQUIRE(done);
    CHECK(seen == std::vector<std::string>{"1", "30", "20", "10"});
    CHECK(at.ensemble.data("/count") == "11");
    CHECK(done->version == 4);

    const auto leave = [](const std::string&) { return std::optional<coati::data>(); };
    const auto left = at.ask(coati::update(*at.zk, "/count", leave));
    REQUIRE(left);
    CHECK(*left == *done);
    CHECK(at.ask(coati::update(*at.zk, "/no", leave)).error() == errc::no_node);

    lose_replies(at, op_code::set_data);
    const auto lost = at.ask(coati::update(*at.zk, "/count", increment));
    REQUIRE_FALSE(lost);
    CHECK(lost.error() == errc::connection_loss);
    CHECK(lost.error().fate() == fate::maybe_applied);
}

// --- waiting

TEST_CASE("waiting for a znode ends when it comes, and when it goes", "[convenience]")
{
    simulation at;
    at.connect();
    const auto there = at.start(coati::wait_until_exists(*at.zk, "/a"));
    at.pass(1h);
    CHECK_FALSE(there.done());
    CHECK(count_of(at, op_code::exists) == 1);  // nobody polls
    at.ensemble.put("/a", "");
    at.until([&] { return there.done(); }, 1s);
    CHECK((*there)->czxid != 0);

    const auto gone = at.start(coati::wait_until_gone(*at.zk, "/a"));
    at.pass(1s);
    for (int i = 0; i < 5; ++i) {
        at.ensemble.put("/a", std::to_string(i));  // changed, and still there
        at.pass(1s);
    }
    CHECK_FALSE(gone.done());
    at.ensemble.remove("/a");
    at.until([&] { return gone.done(); }, 1s);
    CHECK(*gone);
    REQUIRE(at.ask(coati::wait_until_gone(*at.zk, "/a")));
    at.ensemble.put("/a", "");
    REQUIRE(at.ask(coati::wait_until_exists(*at.zk, "/a")));
}

TEST_CASE("what comes while the connection is lost wakes the waiting one", "[convenience]")
{
    simulation at(2);
    at.connect();
    const auto there = at.start(coati::wait_until_exists(*at.zk, "/a"));
    at.pass(1s);
    for (std::size_t i = 0; i < 2; ++i) {
        at.in.refuse(server_at(i));
    }
    at.in.cut_all();
    at.in.settle();
    at.ensemble.put("/a", "");
    at.pass(1s);
    CHECK_FALSE(there.done());
    for (std::size_t i = 0; i < 2; ++i) {
        at.in.allow(server_at(i));
    }
    at.until([&] { return there.done(); });
    CHECK(*there);
}

TEST_CASE("a change right behind the read is not lost", "[convenience]")
{
    simulation at;
    at.connect();
    // As soon as a reply is on its way the znode comes, and is gone again before the next read: but
    // for the last time.
    int rounds = 0;
    const auto come_and_go = [&] {
        at.ensemble.put("/a", "");
        if (rounds < 20) {
            at.ensemble.remove("/a");
        }
    };
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::reply && f.op == op_code::exists && ++rounds <= 20) {
            asio::post(at.in.get_executor(), come_and_go);
        }
        return verdict::pass();
    });
    const auto there = at.start(coati::wait_until_exists(*at.zk, "/a"));
    at.until([&] { return there.done(); }, 1min);
    CHECK(*there);
    CHECK(rounds == 21);
}

// --- a znode that is found again

TEST_CASE("a protected name carries its guid", "[convenience]")
{
    simulation at;
    at.connect();
    const std::string guid = coati::make_guid(*at.zk);
    CHECK(guid.size() == 36);
    CHECK(guid[14] == '4');
    CHECK(coati::make_guid(*at.zk) != guid);
    at.ensemble.put("/d", "");
    const auto made = at.ask(coati::create_protected(*at.zk, "/d/lock-", "x",
                                                     create_mode::ephemeral_sequential, {}, guid));
    REQUIRE(made);
    CHECK(made->path == "/d/_c_" + guid + "-lock-0000000000");
    CHECK(coati::is_protected_by(made->path, guid));
    CHECK(coati::is_protected_by("_c_" + guid + "-lock-0000000000", guid));
    CHECK_FALSE(coati::is_protected_by(made->path, coati::make_guid(*at.zk)));
    CHECK_FALSE(coati::is_protected_by("/d/lock-0000000000", guid));
    CHECK(coati::unprotected(made->path) == "lock-0000000000");
    CHECK(coati::unprotected("lock-1") == "lock-1");
    CHECK(coati::unprotected("_c_short-x") == "_c_short-x");
    const auto other = at.ask(coati::create_protected(*at.zk, "/top"));
    REQUIRE(other);
    CHECK(coati::unprotected(other->path) == "top");

    CHECK(at.ask(coati::create_protected(*at.zk, "/")).error() == errc::invalid_path);
    CHECK(at.ask(coati::create_protected(*at.zk, "/d/x", "", create_mode::ephemeral, {}, "a/b"))
              .error() == errc::invalid_argument);
    CHECK(at.ask(coati::create_protected(*at.zk, "/no/x")).error() == errc::no_node);
}

TEST_CASE("a lost answer to a protected create is found out about", "[convenience]")
{
    const std::array<create_mode, 4> modes{create_mode::persistent, create_mode::ephemeral,
                                           create_mode::persistent_sequential,
                                           create_mode::ephemeral_sequential};
    for (const create_mode mode : modes) {
        for (const int losses : {1, 2}) {
            CAPTURE(static_cast<int>(mode), losses);
            simulation at;
            at.connect();
            at.ensemble.put("/d", "");
            // Also the answer to what finds it out is lost once.
            int left = losses;
            at.server(0).on_frame([&](const frame_view& f) {
                const bool is_write = f.op == op_code::create || f.op == op_code::multi;
                const bool hit = f.direction == frame_view::way::reply && is_write && left > 0;
                left -= hit ? 1 : 0;
                return hit ? verdict::close() : verdict::pass();
            });
            const auto made = at.ask(coati::create_protected(*at.zk, "/d/n", "x", mode));
            REQUIRE(made);
            const auto names = at.ensemble.children("/d");
            REQUIRE(names.size() == 1);
            CHECK(made->path == "/d/" + names.front());
            const auto seen = at.ask(at.zk->exists(made->path));
            REQUIRE((seen && seen->has_value()));
            CHECK((*seen)->czxid == made->zxid);
            const bool is_ephemeral =
                mode == create_mode::ephemeral || mode == create_mode::ephemeral_sequential;
            CHECK((at.ensemble.ephemeral_owner(made->path) != 0) == is_ephemeral);
        }
    }
}

TEST_CASE("a protected create that is not found stays in doubt, or is made", "[convenience]")
{
    for (const bool sequential : {true, false}) {
        CAPTURE(sequential);
        simulation at;
        at.connect();
        at.ensemble.put("/d", "");
        // The request itself is lost: it left completely and no server has it.
        bool lost = false;
        at.server(0).on_frame([&](const frame_view& f) {
            const bool hit =
                f.direction == frame_view::way::request && f.op == op_code::create && !lost;
            lost = lost || hit;
            return hit ? verdict::close() : verdict::pass();
        });
        const auto mode = sequential ? create_mode::ephemeral_sequential : create_mode::ephemeral;
        const auto made = at.ask(coati::create_protected(*at.zk, "/d/n-", "x", mode));
        if (sequential) {
            REQUIRE_FALSE(made);
            CHECK(made.error() == errc::connection_loss);
            CHECK(made.error().fate() == fate::maybe_applied);
            CHECK(at.ensemble.children("/d").empty());
        } else {
            REQUIRE(made);
            CHECK(at.ensemble.children("/d").size() == 1);
        }
    }
}

TEST_CASE("doubt outlives the session", "[convenience]")
{
    simulation at;
    const auto run = at.connect();
    at.ensemble.put("/d", "");
    bool lost = false;
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::create && !lost;
        if (hit) {
            lost = true;
            at.ensemble.expire(at.zk->session().id);
        }
        return hit ? verdict::close() : verdict::pass();
    });
    const auto made =
        at.ask(coati::create_protected(*at.zk, "/d/n-", "x", create_mode::ephemeral_sequential));
    REQUIRE_FALSE(made);
    CHECK(made.error() == errc::session_expired);
    CHECK(made.error().fate() == fate::maybe_applied);
}
