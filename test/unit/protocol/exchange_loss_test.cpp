// What becomes of requests when the connection is lost, when they are abandoned, and at the end:
// who is kept, who is sent again, who fails with which fate. And that all of it may happen from
// inside a completion.

#include "exchange_bench.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>
#include <vector>

using namespace coati_test;

namespace {

constexpr auto lost = errc::connection_loss;

std::vector<std::string> bodies(const std::vector<sent>& frames)
{
    std::vector<std::string> all;
    for (const sent& each : frames) {
        all.push_back(each.body);
    }
    return all;
}

using strings = std::vector<std::string>;

}  // namespace

// --- the replay rule -----------------------------------------------------------------------------

TEST_CASE("what waited is sent on the next connection, in order", "[S35][C70]")
{
    bench at;
    at.write(1, "a");
    at.read(2, "b");
    at.write(3, "c");
    at.lose();
    at.connect();
    at.lose();
    CHECK(at.ended().empty());
    at.connect();
    CHECK(bodies(at.send()) == strings{"a", "b", "c"});
    CHECK(at.stage().empty());
}

TEST_CASE("written reads are sent again, written writes are not", "[S15][C70]")
{
    bench at;
    at.read(1, "a");
    at.write(2, "b");
    at.read(3, "c");
    at.write(4, "d");
    at.send();
    at.write(5, "e");
    at.read(6, "f");
    at.lose();
    CHECK(at.ended() ==
          endings{failed(2, lost, fate::maybe_applied), failed(4, lost, fate::maybe_applied)});
    at.connect();
    const auto frames = at.send();
    CHECK(bodies(frames) == strings{"a", "c", "e", "f"});
    CHECK(frames.front().xid == 5);
    for (const sent& each : frames) {
        CHECK(at.receive(reply_of(each.xid, 0, 0, each.body)) == std::nullopt);
    }
    CHECK(at.ended() ==
          endings{replied(1, "a"), replied(3, "c"), replied(5, "e"), replied(6, "f")});
    CHECK(at.talk.pending() == 0);
}

TEST_CASE("the last byte of its frame decides about a write", "[S15][T46]")
{
    // Three frames of 4 + 8 + 3, 4 + 8 + 1 and 4 + 8 + 0 bytes.
    constexpr std::size_t ends[] = {15, 28, 40};
    for (std::size_t handed = 0; handed <= ends[2]; ++handed) {
        bench at;
        const ticket tickets[] = {at.write(0, "abc"), at.write(1, "d"), at.write(2, "")};
        REQUIRE(at.stage().back().end == ends[2]);
        at.flush_to(handed);
        endings expected;
        for (int i = 0; i < 3; ++i) {
            const bool is_written = ends[i] <= handed;
            CHECK(at.talk.state_of(tickets[i]) ==
                  (is_written ? request_state::written : request_state::staged));
            if (is_written) {
                expected.push_back(failed(i, lost, fate::maybe_applied));
            }
        }
        const std::size_t kept = 3 - expected.size();
        at.lose();
        CHECK(at.ended() == expected);
        at.connect();
        CHECK(at.send().size() == kept);
        at.lose();
        CHECK(at.ended().size() == kept);
    }
}

TEST_CASE("the border counts pings, watches and answered requests as well", "[S15][T46]")
{
    for (std::size_t handed = 0;; ++handed) {
        bench at;
        at.connect({"chunk"});
        at.talk.queue_ping();
        at.read(1, "before");
        const std::size_t first = at.stage().back().end;
        at.flush();
        REQUIRE(at.receive(reply_of(1)) == std::nullopt);
        at.talk.queue_ping();
        at.write(2, "now");
        const std::size_t border = at.stage().back().end;
        if (first + handed > border) {
            break;
        }
        at.flush_to(first + handed);
        at.ended();
        at.lose();
        CHECK(
            at.ended() ==
            (first + handed == border ? endings{failed(2, lost, fate::maybe_applied)} : endings{}));
    }
}

TEST_CASE("every connection counts its bytes anew", "[S15]")
{
    bench at;
    at.write(1, std::string(1000, 'x'));
    at.send();
    at.lose();
    at.ended();
    at.connect();
    at.write(2, "y");
    at.stage();
    at.flush_to(12);
    at.lose();
    CHECK(at.ended().empty());
    at.connect();
    CHECK(bodies(at.send()) == strings{"y"});
}

TEST_CASE("with fail_fast a loss fails everything, each with its fate", "[S35][C70]")
{
    bench at;
    int id = 0;
    for (const bool mutates : {false, true}) {
        auto& each = at.make(++id, op_code::multi, mutates);
        each.fail_fast = true;
        at.talk.submit(each);
    }
    at.write(3);
    at.send();
    for (const bool mutates : {false, true}) {
        auto& each = at.make(++id + 1, op_code::multi, mutates);
        each.fail_fast = true;
        at.talk.submit(each);
    }
    SECTION("staged but not written is not sent")
    {
        at.stage();
        at.lose();
        CHECK(at.ended() ==
              endings{failed(1, lost, fate::not_applied), failed(2, lost, fate::maybe_applied),
                      failed(3, lost, fate::maybe_applied), failed(4, lost, fate::not_applied),
                      failed(5, lost, fate::not_sent)});
    }
    SECTION("waiting is not sent")
    {
        at.lose();
        CHECK(at.ended() ==
              endings{failed(1, lost, fate::not_applied), failed(2, lost, fate::maybe_applied),
                      failed(3, lost, fate::maybe_applied), failed(4, lost, fate::not_sent),
                      failed(5, lost, fate::not_sent)});
    }
    CHECK(at.talk.pending() == 0);
    CHECK(!at.talk.has_output());
}

TEST_CASE("a loss names its cause", "[S15]")
{
    class cause_keeper final : public coati::protocol::request {
    public:
        explicit cause_keeper(std::optional<error>& into) : into_(into) { mutates = true; }
        void on_reply(const coati::protocol::reply&) override { delete this; }
        void on_error(const error& e) override
        {
            into_ = e;
            delete this;
        }
        void discard() noexcept override { delete this; }

    private:
        std::optional<error>& into_;
    };
    std::optional<error> seen;
    bench at;
    at.talk.submit(*new cause_keeper(seen));
    at.send();
    const auto reset = make_error_code(boost::system::errc::connection_reset);
    at.talk.on_lost(error(errc::server_silent, fate::not_applied, reset));
    REQUIRE(seen);
    CHECK(*seen == lost);
    CHECK(seen->cause() == reset);
}

// --- abandoning ----------------------------------------------------------------------------------

TEST_CASE("what is abandoned while it waits is never sent", "[C49]")
{
    bench at;
    at.write(1, "a");
    const ticket second = at.write(2, "b");
    at.write(3, "c");
    CHECK(at.talk.state_of(second) == request_state::waiting);
    CHECK(at.talk.abandon(second, errc::cancelled));
    CHECK(at.ended() == endings{failed(2, errc::cancelled, fate::not_sent)});
    CHECK(at.talk.state_of(second) == request_state::done);
    CHECK(!at.talk.abandon(second, errc::cancelled));
    const auto frames = at.send();
    CHECK(bodies(frames) == strings{"a", "c"});
    CHECK(at.receive(reply_of(frames[0].xid, 0, 0, "A")) == std::nullopt);
    CHECK(at.receive(reply_of(frames[1].xid, 0, 0, "C")) == std::nullopt);
    CHECK(at.ended() == endings{replied(1, "A"), replied(3, "C")});
}

TEST_CASE("nothing is left to send when all that waited was abandoned", "[C49]")
{
    bench at;
    const ticket first = at.read(1);
    const ticket second = at.read(2);
    CHECK(at.talk.abandon(second, errc::timed_out));
    CHECK(at.talk.has_output());
    CHECK(at.talk.abandon(first, errc::timed_out));
    CHECK(!at.talk.has_output());
    CHECK(at.talk.pending() == 0);
    CHECK(at.stage().empty());
    at.read(3);
    CHECK(at.stage().at(0).xid == 1);
}

TEST_CASE("what is abandoned on its way has its fate at once, and its reply is dropped", "[C49]")
{
    const bool is_written = GENERATE(false, true);
    bench at;
    const ticket read = at.read(1, "a");
    const ticket write = at.write(2, "b");
    at.read(3, "c");
    at.stage();
    if (is_written) {
        at.flush();
    }
    CHECK(at.talk.abandon(read, errc::timed_out));
    CHECK(at.talk.abandon(write, errc::cancelled));
    // A staged write is on its way and will not be stopped.
    CHECK(at.ended() == endings{failed(1, errc::timed_out, fate::not_applied),
                                failed(2, errc::cancelled, fate::maybe_applied)});
    CHECK(at.talk.state_of(read) == request_state::abandoned);
    CHECK(at.talk.state_of(write) == request_state::abandoned);
    CHECK(!at.talk.abandon(write, errc::cancelled));
    at.flush();
    // The tombs keep their places in the line, and their replies still tell the zxid.
    CHECK(at.receive(reply_of(3)) == errc::malformed_reply);
    CHECK(at.receive(reply_of(1, 1, 0, "A")) == std::nullopt);
    CHECK(at.talk.state_of(read) == request_state::done);
    CHECK(at.receive(reply_of(2, 9, -101)) == std::nullopt);
    CHECK(at.talk.last_zxid() == 9);
    CHECK(at.ended().empty());
    CHECK(at.receive(reply_of(3, 0, 0, "C")) == std::nullopt);
    CHECK(at.ended() == endings{replied(3, "C")});
}

TEST_CASE("a tomb does not outlive its connection", "[C49]")
{
    bench at;
    const ticket read = at.read(1, "a");
    const ticket write = at.write(2, "b");
    at.read(3, "c");
    at.send();
    at.talk.abandon(read, errc::cancelled);
    at.talk.abandon(write, errc::cancelled);
    at.ended();
    at.lose();
    CHECK(at.ended().empty());
    CHECK(at.talk.state_of(read) == request_state::done);
    CHECK(at.talk.state_of(write) == request_state::done);
    at.connect();
    const auto frames = at.send();
    CHECK(bodies(frames) == strings{"c"});
    CHECK(at.receive(reply_of(frames[0].xid, 0, 0, "C")) == std::nullopt);
    CHECK(at.ended() == endings{replied(3, "C")});
}

TEST_CASE("a session's end still reaches us through a tomb's reply", "[C49][C111]")
{
    bench at;
    const ticket read = at.read(1);
    at.send();
    at.talk.abandon(read, errc::cancelled);
    at.ended();
    CHECK(at.receive(reply_of(1, 0, -112)) == errc::session_expired);
    CHECK(at.ended().empty());
}

TEST_CASE("a ticket is of no use after its request, nor one that was never given", "[C49]")
{
    bench at;
    const ticket first = at.read(1);
    CHECK(!at.talk.abandon(0, errc::cancelled));
    CHECK(!at.talk.abandon(first + 1, errc::cancelled));
    CHECK(at.talk.state_of(0) == request_state::done);
    CHECK(at.talk.state_of(first + 1) == request_state::done);
    at.send();
    at.receive(reply_of(1));
    at.read(2);
    CHECK(!at.talk.abandon(first, errc::cancelled));
    CHECK(at.talk.state_of(first) == request_state::done);
    CHECK(at.ended() == endings{replied(1)});
}

// --- endings -------------------------------------------------------------------------------------

TEST_CASE("at the end of a session everybody gets the reason and his own fate", "[S11][C20][C43]")
{
    bench at;
    at.read(1);
    at.write(2);
    const ticket gone = at.write(3);
    at.send();
    at.talk.abandon(gone, errc::cancelled);
    at.write(4);
    at.read(5);
    at.stage();
    at.write(6);
    at.read(7);
    at.ended();
    at.talk.fail_all(error(errc::session_expired));
    const auto code = errc::session_expired;
    CHECK(at.ended() == endings{failed(1, code, fate::not_applied),
                                failed(2, code, fate::maybe_applied),
                                failed(4, code, fate::not_sent), failed(5, code, fate::not_applied),
                                failed(6, code, fate::not_sent), failed(7, code, fate::not_sent)});
    CHECK(at.talk.pending() == 0);
    CHECK(at.talk.in_flight() == 0);
    at.talk.fail_all(error(errc::session_expired));
    CHECK(at.ended().empty());
}

TEST_CASE("a context that goes away discards everything, uncalled", "[C48]")
{
    std::vector<ending> seen;
    {
        bench at;
        at.read(1);
        at.write(2);
        at.send();
        at.write(3);
        at.talk.discard_all();
        CHECK(at.ended() == endings{discarded(1), discarded(2), discarded(3)});
        CHECK(at.talk.pending() == 0);
        at.write(4);
    }  // the exchange discards the last one
}

// --- from inside a completion --------------------------------------------------------------------

TEST_CASE("a reply's handler may submit, abandon and end everything", "[C16][C42]")
{
    bench at;
    auto& first = at.make(1);
    at.talk.submit(first);
    const ticket second = at.write(2);
    const ticket third = at.read(3);
    at.send();
    SECTION("submit")
    {
        first.then = [&] { at.write(4, "late"); };
        CHECK(at.receive(reply_of(1)) == std::nullopt);
        CHECK(bodies(at.send()) == strings{"late"});
        CHECK(at.receive(reply_of(2)) == std::nullopt);
        CHECK(at.receive(reply_of(3)) == std::nullopt);
        CHECK(at.receive(reply_of(4)) == std::nullopt);
        CHECK(at.ended() == endings{replied(1), replied(2), replied(3), replied(4)});
    }
    SECTION("many, so that the queue grows below")
    {
        first.then = [&] {
            for (int i = 0; i < 1000; ++i) {
                at.read(10 + i);
            }
        };
        CHECK(at.receive(reply_of(1)) == std::nullopt);
        CHECK(at.send().size() == 1000);
        CHECK(at.receive(reply_of(2)) == std::nullopt);
        CHECK(at.receive(reply_of(3)) == std::nullopt);
        CHECK(at.receive(reply_of(4)) == std::nullopt);
        CHECK(at.ended() == endings{replied(1), replied(2), replied(3), replied(10)});
    }
    SECTION("abandon the next one, and the last")
    {
        first.then = [&] {
            CHECK(at.talk.abandon(second, errc::cancelled));
            CHECK(at.talk.abandon(third, errc::cancelled));
        };
        CHECK(at.receive(reply_of(1)) == std::nullopt);
        CHECK(at.receive(reply_of(2)) == std::nullopt);
        CHECK(at.receive(reply_of(3)) == std::nullopt);
        CHECK(at.ended() == endings{replied(1), failed(2, errc::cancelled, fate::maybe_applied),
                                    failed(3, errc::cancelled, fate::not_applied)});
    }
    SECTION("lose, end and discard")
    {
        first.then = [&] {
            at.lose();
            at.write(4);
            at.talk.fail_all(error(errc::closed));
            at.write(5);
            at.talk.discard_all();
        };
        CHECK(at.receive(reply_of(1)) == std::nullopt);
        CHECK(at.ended() == endings{replied(1), failed(2, lost, fate::maybe_applied),
                                    failed(3, errc::closed, fate::not_sent),
                                    failed(4, errc::closed, fate::not_sent), discarded(5)});
        CHECK(at.talk.pending() == 0);
    }
}

TEST_CASE("a failing request's handler may do the same, while others fail with it", "[C16][C42]")
{
    bench at;
    auto& first = at.make(1, op_code::set_data, true);
    at.talk.submit(first);
    const ticket second = at.write(2);
    const ticket third = at.read(3);
    at.send();
    SECTION("submit and abandon during a loss")
    {
        first.then = [&] {
            CHECK(!at.talk.abandon(second, errc::cancelled));  // its fate is sealed
            CHECK(at.talk.abandon(third, errc::cancelled));
            at.read(4, "late");
        };
        at.lose();
        CHECK(at.ended() == endings{failed(1, lost, fate::maybe_applied),
                                    failed(3, errc::cancelled, fate::not_sent),
                                    failed(2, lost, fate::maybe_applied)});
        at.connect();
        CHECK(bodies(at.send()) == strings{"late"});
        CHECK(at.receive(reply_of(4)) == std::nullopt);
        CHECK(at.ended() == endings{replied(4)});
    }
    SECTION("a loss inside a loss, an end inside a loss")
    {
        first.then = [&] {
            at.lose();
            at.talk.fail_all(error(errc::closed));
        };
        at.lose();
        CHECK(at.ended() == endings{failed(1, lost, fate::maybe_applied),
                                    failed(3, errc::closed, fate::not_sent),
                                    failed(2, lost, fate::maybe_applied)});
    }
    SECTION("at the end of the session")
    {
        first.then = [&] {
            CHECK(!at.talk.abandon(third, errc::cancelled));
            at.write(4);  // of the next session, if there is one
            at.talk.fail_all(error(errc::closed));
        };
        at.talk.fail_all(error(errc::session_expired));
        CHECK(at.ended() == endings{failed(1, errc::session_expired, fate::maybe_applied),
                                    failed(4, errc::closed, fate::not_sent),
                                    failed(2, errc::session_expired, fate::maybe_applied),
                                    failed(3, errc::session_expired, fate::not_applied)});
    }
    SECTION("when it is abandoned")
    {
        auto& fourth = at.make(4);
        const ticket waiting = at.talk.submit(fourth);
        fourth.then = [&] {
            CHECK(!at.talk.abandon(waiting, errc::timed_out));
            at.talk.fail_all(error(errc::closed));
        };
        CHECK(at.talk.abandon(waiting, errc::cancelled));
        CHECK(at.ended() == endings{failed(4, errc::cancelled, fate::not_sent),
                                    failed(1, errc::closed, fate::maybe_applied),
                                    failed(2, errc::closed, fate::maybe_applied),
                                    failed(3, errc::closed, fate::not_applied)});
    }
    CHECK(at.talk.pending() == 0);
}

TEST_CASE("an event's handler may use the exchange as well", "[C16]")
{
    class submitter final : public coati::protocol::watcher {
    public:
        explicit submitter(bench& at) : at_(at) {}
        void on_event(coati::event_type, std::string_view, std::int64_t) override
        {
            at_.read(2, "again");
            at_.talk.abandon(1, errc::cancelled);
        }
        void on_end(const error&) override {}

    private:
        bench& at_;
    };
    bench at;
    submitter one(at);
    at.watches.add(one, "/a", coati::wire::watch_kind::data);
    at.read(1);
    at.send();
    CHECK(at.receive(event_of(3, "/a")) == std::nullopt);
    CHECK(bodies(at.send()) == strings{"again"});
    CHECK(at.receive(reply_of(1)) == std::nullopt);
    CHECK(at.receive(reply_of(2)) == std::nullopt);
    CHECK(at.ended() == endings{failed(1, errc::cancelled, fate::not_applied), replied(2)});
}
