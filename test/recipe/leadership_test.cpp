// Leadership, step by step: taking over, coming back as a standby, who leads, and the end of
// sessions.

#include "every_step.hpp"

#include <coati/recipe/leadership.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace coati::test::leadership_story {

namespace {

using task = asio::awaitable<result<void>>;

constexpr auto session_timeout = 10s;

/// What the leaders of a story wrote down, in the order of happening.
struct chronicle {
    struct line {
        std::string id;
        bool begins;
        std::int64_t fence;
        time_point at;
    };
    std::vector<line> lines;

    /// Nobody begins before the one before has ended.
    bool is_orderly() const
    {
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const bool fits = lines[i].begins == (i % 2 == 0) &&
                              (i % 2 == 0 || lines[i].fence == lines[i - 1].fence) &&
                              (i < 2 || i % 2 == 1 || lines[i].fence > lines[i - 2].fence);
            if (!fits) {
                return false;
            }
        }
        return true;
    }
    std::string order() const
    {
        std::string all;
        for (const auto& each : lines) {
            all += each.begins ? each.id + " " : "";
        }
        return all;
    }
};

/// Leads until it is told to stop, or for so long.
struct reign {
    std::string id;
    chronicle* book;
    duration length = 24h;

    task operator()(leader_scope scope) const { return run(id, book, length, scope); }
    static task run(std::string id, chronicle* book, duration length, leader_scope scope)
    {
        book->lines.push_back({id, true, scope.fence(), scope.zk().now()});
        const auto slept = co_await scope.zk().sleep_for(length);
        book->lines.push_back({id, false, scope.fence(), scope.zk().now()});
        co_return slept;
    }
};

/// Somebody who contends on a host of their own.
class contender {
public:
    contender(simulation& s, std::string name, chronicle& book, duration length = 24h)
        : zk(serial(s.in.get_executor()), plain_config(1), s.in.make_transport(name)),
          body{name, &book, length}, s_(s)
    {
        keep_running();
        s.until([this] { return zk.is_connected(); });
        const auto h = done.handler(s.in);
        with_leadership(zk, "/lead", name, body)(asio::bind_cancellation_slot(
            stop.slot(), [h](const std::exception_ptr& thrown, result<void> r) mutable {
                if (thrown) {
                    std::rethrow_exception(thrown);
                }
                h(std::move(r));
            }));
        s.pass(100ms);
    }

    client zk;
    reign body;
    answer<void> done;
    asio::cancellation_signal stop;

private:
    void keep_running()
    {
        zk.run()([this](const result<void>&) { keep_running(); });
    }
    simulation& s_;
};

std::vector<std::string> ids_of(const leadership_info& info)
{
    std::vector<std::string> all;
    for (const auto& each : info.participants) {
        all.push_back(each.id);
    }
    return all;
}

}  // namespace

TEST_CASE("a standby takes over from one that is cut off, which has stopped before, and comes back "
          "as a standby")
{
    simulation s;
    chronicle book;
    contender a(s, "a", book);
    contender b(s, "b", book);
    contender c(s, "c", book);
    CHECK(book.order() == "a ");
    s.in.separate("a");
    const auto end = *a.zk.proved_until();
    s.until([&] { return book.lines.size() == 3; });
    CHECK(book.order() == "a b ");
    CHECK(book.lines[1].at <= end - session_timeout / 6);  // its margin was its own
    CHECK(book.lines[2].at >= end);
    s.in.rejoin("a");
    s.pass(1min);
    CHECK(book.order() == "a b ");  // it does not pre-empt
    const auto info = s.ask(read_leadership(c.zk, "/lead"));
    REQUIRE(info);
    CHECK(ids_of(*info) == std::vector<std::string>{"b", "c", "a"});
    CHECK(info->leader()->fence == book.lines[2].fence);
    CHECK(info->leader()->session == b.zk.session().id);
    CHECK(book.is_orderly());
    s.ensemble.expire(b.zk.session().id);  // before its time: b can only be told behind that
    s.pass(1min);
    CHECK(book.order() == "a b c ");
    s.ensemble.expire(c.zk.session().id);
    s.pass(1min);
    CHECK(book.order() == "a b c a ");
    CHECK((!a.done.done() && !b.done.done() && !c.done.done()));
}

TEST_CASE("who stood still past its time stops before it does anything else", "[M2]")
{
    const auto order =
        GENERATE(testing::wake_order::network_first, testing::wake_order::timers_first);
    const auto length = GENERATE(duration(1s), duration(7s), duration(9s), duration(30s));
    simulation s;
    chronicle book;
    contender a(s, "a", book);
    contender b(s, "b", book);
    const auto asked = s.start(a.zk.get("/"));  // an answer that waits in the socket
    s.in.freeze("a", length, order);
    const auto thaws = s.in.now() + length;
    const auto local_deadline = *a.zk.proved_until() - session_timeout / 6;
    s.pass(length + 1s);
    CHECK(asked.done());
    const bool is_late = thaws >= local_deadline;
    CHECK(is_late == (length >= 9s));
    const auto stopped = std::find_if(book.lines.begin(), book.lines.end(),
                                      [](const auto& l) { return l.id == "a" && !l.begins; });
    REQUIRE((stopped != book.lines.end()) == is_late);
    if (is_late) {
        CHECK(stopped->at == thaws);
        CHECK(stopped->at < asked.at());
    }
    s.pass(1min);
    CHECK(a.zk.is_connected());
    CHECK(ids_of(*s.ask(read_leadership(b.zk, "/lead"))).size() == 2);
}

TEST_CASE("a body that ends by itself resigns, and its result comes out")
{
    simulation s;
    chronicle book;
    contender a(s, "a", book, 5s);
    contender b(s, "b", book);
    s.until([&] { return a.done.done(); });
    CHECK((*a.done).has_value());
    s.pass(100ms);
    CHECK(book.order() == "a b ");
    b.stop.emit(asio::cancellation_type::total);
    s.until([&] { return b.done.done(); });
    s.pass(1s);
    CHECK(s.ask(read_leadership(a.zk, "/lead"))->leader() == nullptr);
}

TEST_CASE("a leader whose znode is removed stands by again, behind the others")
{
    simulation s;
    chronicle book;
    contender a(s, "a", book);
    contender b(s, "b", book);
    for (const auto& name : s.ensemble.children("/lead")) {
        if (s.ensemble.data("/lead/" + name) == "a") {
            REQUIRE(s.ensemble.remove("/lead/" + name));
        }
    }
    s.pass(1s);
    CHECK(book.order() == "a b ");
    CHECK(book.is_orderly());
    CHECK(ids_of(*s.ask(read_leadership(a.zk, "/lead"))) == std::vector<std::string>{"b", "a"});
}

TEST_CASE("who leads is a stream, and every leader is seen by who looks in time")
{
    simulation s;
    chronicle book;
    const auto run = s.connect();
    auto who = watch_leadership(*s.zk, "/lead");
    CHECK(s.ask(who.next())->participants.empty());  // there is not even a directory
    contender a(s, "a", book);
    contender b(s, "b", book);
    auto now = s.ask(who.next());
    while (ids_of(*now) != std::vector<std::string>{"a", "b"}) {
        now = s.ask(who.next());
    }
    const auto waiting = s.start(who.next());
    s.pass(1min);
    CHECK(!waiting.done());
    s.ensemble.expire(a.zk.session().id);
    s.until([&] { return waiting.done(); });
    CHECK(waiting->leader()->id == "b");
    CHECK(waiting->leader()->fence > now->leader()->fence);
}

TEST_CASE("a candidacy is the same as a stream of states")
{
    stepping at;
    candidacy mine(*at.s.zk, "/lead", "mine");
    candidacy other(at.witness, "/lead", "other");
    CHECK(at.s.ask(mine.next())->state == candidacy_state::standby);
    CHECK(at.s.ask(other.next())->state == candidacy_state::standby);
    const auto led = at.s.ask(mine.next());
    REQUIRE(led->state == candidacy_state::leading);
    CHECK(led->scope->is_good());
    const auto their_turn = at.s.start(other.next());
    const auto loss = at.s.start(mine.next());
    at.s.pass(1min);
    CHECK((!loss.done() && !their_turn.done()));
    CHECK(at.s.ask(mine.next()).error() == errc::already_waiting);

    at.s.ensemble.expire(at.s.zk->session().id);
    at.s.until([&] { return loss.done() && their_turn.done(); });
    CHECK(loss->state == candidacy_state::lost);
    CHECK(!loss->scope->is_good());
    CHECK(their_turn->state == candidacy_state::leading);
    CHECK(their_turn->scope->fence() > led->scope->fence());
    CHECK(at.s.ask(mine.next())->state == candidacy_state::standby);  // in the next session
    const auto again = at.s.start(mine.next());
    at.s.pass(1s);
    CHECK(at.s.ask(other.resign()));
    at.s.until([&] { return again.done(); });
    CHECK(again->state == candidacy_state::leading);
    {
        const candidacy dropped = std::move(mine);
    }
    at.s.pass(1s);
    CHECK(at.children("/lead").empty());
}

TEST_CASE("a candidacy is resigned beside a wait, at any moment, and leaves nothing behind")
{
    const std::size_t depth = GENERATE(0U, 1U, 2U);  // to what state it has come before
    const bool has_leader = GENERATE(false, true);
    std::size_t turn = 0;
    for (bool was_in_time = true; was_in_time; ++turn) {
        stepping at;
        candidacy other(at.witness, "/lead", "other");
        if (has_leader) {
            REQUIRE(at.s.ask(other.next()));
            REQUIRE(at.s.ask(other.next()));
        }
        candidacy mine(*at.s.zk, "/lead", "mine");
        for (std::size_t i = 0; i < std::min<std::size_t>(depth, has_leader ? 1 : 2); ++i) {
            REQUIRE(at.s.ask(mine.next()));
        }
        const auto next = at.s.start(mine.next());
        was_in_time = at.run_turns(turn, [&] { return next.done(); }) && turn < 60;
        const auto resigned = at.s.ask(mine.resign());
        CHECK(resigned);
        at.s.until([&] { return next.done(); });
        if (was_in_time && *next && next->state == candidacy_state::lost) {
            REQUIRE(next->scope);
            CHECK(!next->scope->is_good());
        }
        at.s.pass(1s);
        CHECK(at.children("/lead").size() == (has_leader ? 1 : 0));
    }
    CHECK(turn > 3);
}

TEST_CASE("who leads is told though the look before was cancelled half way")
{
    for (std::size_t turn = 0; turn < 40; ++turn) {
        stepping at;
        candidacy other(at.witness, "/lead", "other");
        REQUIRE(at.s.ask(other.next()));
        auto who = watch_leadership(*at.s.zk, "/lead");
        asio::cancellation_signal stop;
        const auto first = at.s.start(who.next(), stop);
        at.run_turns(turn, [&] { return first.done(); });
        stop.emit(asio::cancellation_type::terminal);
        at.s.until([&] { return first.done(); });
        const auto seen = *first ? *first : at.s.ask(who.next());
        REQUIRE(seen);
        CHECK(ids_of(*seen) == std::vector<std::string>{"other"});
    }
}

TEST_CASE("a client that is closed ends the candidacy of a handle of no session, too")
{
    const bool leads = GENERATE(false, true);
    simulation s;
    chronicle book;
    std::optional<contender> other;
    if (!leads) {
        other.emplace(s, "other", book);
    }
    const auto run = s.connect();
    reign body{"a", &book};
    answer<void> done;
    with_leadership(*s.zk, "/lead", "a",
                    body)([h = done.handler(s.in)](const std::exception_ptr&,
                                                   result<void> r) mutable { h(std::move(r)); });
    s.pass(1s);
    REQUIRE(book.order() == (leads ? "a " : "other "));
    const auto closed = s.start(s.zk->close());
    s.until([&] { return closed.done() && done.done(); });
    CHECK((*done).error() == errc::closed);
}

TEST_CASE("a handle of one session ends the candidacy with it")
{
    simulation s;
    const auto run = s.connect();
    chronicle book;
    reign body{"a", &book};
    answer<void> done;
    with_leadership(s.zk->pinned(), "/lead", "a",
                    body)([h = done.handler(s.in)](const std::exception_ptr&,
                                                   result<void> r) mutable { h(std::move(r)); });
    s.pass(1s);
    REQUIRE(book.order() == "a ");
    s.ensemble.expire(s.zk->session().id);
    s.until([&] { return done.done(); });
    CHECK((*done).error() == errc::session_expired);
}

TEST_CASE(
    "a leadership that meets a mishap at any step has one leader at a time, and somebody leads "
    "in the end")
{
    const auto what = GENERATE(mishap::lost_frame, mishap::expiry);
    const auto steps = at_every_frame(what, [&](stepping& at) {
        chronicle book;
        reign theirs{"w", &book, 200ms};
        reign mine{"m", &book, 200ms};
        answer<void> they_are_done;
        answer<void> i_am_done;
        const auto ends = [](auto h) {
            return [h](const std::exception_ptr& thrown, result<void> r) mutable {
                if (thrown) {
                    std::rethrow_exception(thrown);
                }
                h(std::move(r));
            };
        };
        with_leadership(at.witness, "/lead", "w", theirs)(ends(they_are_done.handler(at.s.in)));
        at.s.pass(10ms);
        with_leadership(*at.s.zk, "/lead", "m", mine)(ends(i_am_done.handler(at.s.in)));
        at.s.until([&] { return i_am_done.done() && they_are_done.done(); });
        CHECK((*i_am_done).has_value());  // in the next session, if it must
        CHECK((*they_are_done).has_value());
        CHECK(book.is_orderly());
        at.s.pass(1s);
        CHECK(at.children("/lead").empty());
    });
    CHECK(steps > 10);
}

TEST_CASE("contending, cancelled at any moment, leaves nothing behind")
{
    chronicle book;
    reign body{"m", &book, 100ms};
    const auto turns = cancelled_at_every_turn(
        [&](stepping& at, asio::cancellation_signal& stop) -> std::function<bool()> {
            answer<void> done;
            auto h = done.handler(at.s.in);
            with_leadership(*at.s.zk, "/lead", "m", body)(asio::bind_cancellation_slot(
                stop.slot(), [h](const std::exception_ptr& thrown, result<void> r) mutable {
                    if (thrown) {
                        std::rethrow_exception(thrown);
                    }
                    h(std::move(r));
                }));
            return [done] { return done.done(); };
        },
        [](stepping& at) {
            at.s.pass(1s);
            CHECK(at.children("/lead").empty());
        });
    CHECK(turns > 20);
}

}  // namespace coati::test::leadership_story
