// Order, xids and zxids of one connection, and what ends it. Losses are in exchange_loss_test.cpp.

#include "exchange_bench.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace coati_test;
namespace wire = coati::wire;

namespace {

/// Tells whoever asks what it was fired with.
class ear final : public coati::protocol::watcher {
public:
    void on_event(coati::event_type type, std::string_view path, std::int64_t zxid) override
    {
        heard.push_back(std::to_string(static_cast<int>(type)) + " " + std::string(path) + " " +
                        std::to_string(zxid));
    }
    void on_end(const error&) override { heard.emplace_back("end"); }

    std::vector<std::string> heard;
};

}  // namespace

TEST_CASE("requests go out in the order of submission, as header and body", "[C66]")
{
    bench at;
    CHECK(!at.talk.has_output());
    at.write(1, "one");
    at.submit(2, op_code::sync, false, "two");
    at.submit(3, op_code::close_session, true, {});
    CHECK(at.talk.has_output());
    const auto frames = at.stage();
    REQUIRE(frames.size() == 3);
    CHECK(frames[0] == sent{1, op_code::set_data, "one", 4 + 8 + 3});
    CHECK(frames[1] == sent{2, op_code::sync, "two", 30});
    CHECK(frames[2] == sent{3, op_code::close_session, "", 42});
    CHECK(!at.talk.has_output());
    CHECK(at.stage().empty());
}

TEST_CASE("replies are answered first in, first out", "[C66]")
{
    bench at;
    at.read(1);
    at.read(2);
    at.send();
    at.read(3);
    CHECK(at.receive(reply_of(1, 10, 0, "a")) == std::nullopt);
    at.send();
    CHECK(at.receive(reply_of(2, 10, -101, "")) == std::nullopt);
    CHECK(at.receive(reply_of(3, 10, 0, "c")) == std::nullopt);
    CHECK(at.ended() == endings{replied(1, "a"), replied(2, "", -101), replied(3, "c")});
    CHECK(at.talk.pending() == 0);
}

TEST_CASE("the first xid is 1", "[T12]")
{
    bench at;
    at.read(1);
    CHECK(at.stage().at(0).xid == 1);
}

TEST_CASE("after 2^31-1 comes 1, and replies follow", "[T11][C39]")
{
    bench at;
    constexpr auto last = std::numeric_limits<std::int32_t>::max();
    at.talk.set_next_xid(last - 1);
    for (int i = 0; i < 4; ++i) {
        at.read(i);
    }
    const auto frames = at.send();
    REQUIRE(frames.size() == 4);
    CHECK(frames[0].xid == last - 1);
    CHECK(frames[1].xid == last);
    CHECK(frames[2].xid == 1);
    CHECK(frames[3].xid == 2);
    for (const sent& each : frames) {
        CHECK(at.receive(reply_of(each.xid)) == std::nullopt);
    }
    CHECK(at.ended() == endings{replied(0), replied(1), replied(2), replied(3)});
}

TEST_CASE("xids go on over a reconnect", "[T12]")
{
    bench at;
    at.read(1);
    at.send();
    at.lose();
    at.connect();
    CHECK(at.send().at(0).xid == 2);
    CHECK(at.receive(reply_of(1)) == errc::malformed_reply);
    CHECK(at.receive(reply_of(2)) == std::nullopt);
}

TEST_CASE("a reply with another xid than the first in line ends the connection", "[T45][C38]")
{
    const auto xid = GENERATE(1, 3, 4, 2'000'000'000);
    bench at;
    at.read(1);
    at.read(2);
    at.read(3);
    at.send();
    REQUIRE(at.receive(reply_of(1)) == std::nullopt);
    at.ended();
    CHECK(at.receive(reply_of(xid, 99)) == errc::malformed_reply);
    CHECK(at.ended().empty());
    CHECK(at.talk.last_zxid() == 0);
    // Nobody was answered with somebody else's reply: both wait for the next connection.
    at.lose();
    CHECK(at.ended().empty());
    CHECK(at.talk.pending() == 2);
}

TEST_CASE("a reply to nobody ends the connection", "[T45][T56]")
{
    bench at;
    CHECK(at.receive(reply_of(1)) == errc::malformed_reply);
    at.read(1);  // submitted, not sent: no reply is due
    CHECK(at.receive(reply_of(1)) == errc::malformed_reply);
    CHECK(at.receive(reply_of(0)) == errc::malformed_reply);
    CHECK(at.ended().empty());
}

TEST_CASE("a reserved xid that nobody uses ends the connection", "[T45]")
{
    const auto xid = GENERATE(0, -3, -5, -8, -9, std::numeric_limits<std::int32_t>::min());
    bench at;
    CHECK(at.receive(reply_of(xid)) == errc::malformed_reply);
}

TEST_CASE("a frame that is shorter than a reply header ends the connection", "[C36]")
{
    bench at;
    at.read(1);
    at.send();
    const std::string whole = reply_of(1);
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CHECK(at.receive(whole.substr(0, n)) == errc::malformed_reply);
    }
    CHECK(at.ended().empty());
}

TEST_CASE("only replies to requests move the last zxid, and never back", "[T7][T8][C81]")
{
    bench at;
    at.talk.authenticate(coati::secret("one"));
    at.talk.authenticate(coati::secret("two"));
    at.send();
    for (int i = 1; i <= 8; ++i) {
        at.read(i);
    }
    at.send();
    const auto zxid_after = [&](const std::string& payload) {
        REQUIRE(at.receive(payload) == std::nullopt);
        return at.talk.last_zxid();
    };
    CHECK(zxid_after(event_of(3, "/a", 50)) == 0);
    CHECK(zxid_after(reply_of(wire::ping_xid, 60)) == 0);
    CHECK(zxid_after(reply_of(wire::auth_xid, 70)) == 0);
    CHECK(zxid_after(reply_of(1, 5)) == 5);
    CHECK(zxid_after(event_of(3, "/a", 50)) == 5);
    CHECK(zxid_after(event_of(3, "/a", -1)) == 5);
    CHECK(zxid_after(reply_of(wire::ping_xid, 60)) == 5);
    CHECK(zxid_after(reply_of(wire::auth_xid, 0)) == 5);
    CHECK(zxid_after(reply_of(2, 4)) == 5);
    CHECK(zxid_after(reply_of(3, 0, -102)) == 5);  // refused before it was a transaction
    CHECK(zxid_after(reply_of(4, -1, -6)) == 5);   // an operation that is unknown there
    CHECK(zxid_after(reply_of(5, 9, -110)) == 9);  // a business error counts as well
    CHECK(zxid_after(reply_of(6, 0x7fff'ffff'0000'0001)) == 0x7fff'ffff'0000'0001);
    CHECK(zxid_after(reply_of(7, 10)) == 0x7fff'ffff'0000'0001);
}

TEST_CASE("the last zxid outlives connections and belongs to the session", "[T8][T10]")
{
    bench at;
    at.read(1);
    at.send();
    at.receive(reply_of(1, 42));
    at.lose();
    at.connect();
    CHECK(at.talk.last_zxid() == 42);
    at.talk.set_last_zxid(0);  // a new session's
    CHECK(at.talk.last_zxid() == 0);
}

TEST_CASE("codes about the session end it whatever frame they come in", "[S36][C111]")
{
    const auto code =
        GENERATE(errc::session_expired, errc::auth_failed, errc::session_closed_require_sasl_auth);
    const auto err = static_cast<std::int32_t>(code);
    const auto xid = GENERATE(-1, -2, -4, -8);
    bench at;
    at.connect({"watches"});
    at.write(1);
    at.send();
    CHECK(at.receive(reply_of(xid, 7, err)) == code);
    CHECK(at.talk.last_zxid() == 0);
    CHECK(at.ended().empty());  // fail_all is the caller's: the reason is fixed first

    CHECK(at.receive(reply_of(1, 7, err)) == code);
    CHECK(at.ended() == endings{replied(1, "", err)});
    CHECK(at.talk.last_zxid() == 7);
}

TEST_CASE("a reply that says loss or move ends the connection and answers nobody", "[S43]")
{
    const auto code = GENERATE(errc::connection_loss, errc::session_moved);
    const auto err = static_cast<std::int32_t>(code);
    bench at;
    at.read(1);
    at.write(2);
    at.write(3);
    at.send();
    SECTION("to a read")
    {
        CHECK(at.receive(reply_of(1, 7, err)) == code);
        CHECK(at.ended().empty());
        at.lose();
        const auto lost = errc::connection_loss;
        CHECK(at.ended() ==
              endings{failed(2, lost, fate::maybe_applied), failed(3, lost, fate::maybe_applied)});
        at.connect();
        CHECK(at.send().size() == 1);
    }
    SECTION("to a write")
    {
        at.receive(reply_of(1));
        at.ended();
        CHECK(at.receive(reply_of(2, 7, err)) == code);
        CHECK(at.talk.last_zxid() == 0);
        CHECK(at.ended().empty());
        at.lose();
        const auto lost = errc::connection_loss;
        CHECK(at.ended() ==
              endings{failed(2, lost, fate::maybe_applied), failed(3, lost, fate::maybe_applied)});
    }
    SECTION("to a ping")
    {
        CHECK(at.receive(reply_of(wire::ping_xid, 7, err)) == code);
        CHECK(at.ended().empty());
    }
}

TEST_CASE("a reply proves that its request was written, before the writer says so", "[S43]")
{
    bench at;
    at.write(1);
    at.write(2);
    at.stage();
    // The kernel has both; the completion of the write has not run yet.
    CHECK(at.receive(reply_of(1, 7, -118)) == errc::session_moved);
    at.lose();
    CHECK(at.ended() == endings{failed(1, errc::connection_loss, fate::maybe_applied)});
    at.connect();
    CHECK(at.send().size() == 1);
}

TEST_CASE("business errors are the request's own", "[S30]")
{
    const auto err = GENERATE(-101, -110, -103, -111, -102, -114, -125, -127, -6, -5, -119, -77);
    bench at;
    at.write(1);
    at.read(2);
    at.send();
    CHECK(at.receive(reply_of(1, 3, err, "left over")) == std::nullopt);
    CHECK(at.receive(reply_of(2, 3, 0, "x")) == std::nullopt);
    CHECK(at.ended() == endings{replied(1, "left over", err), replied(2, "x")});
}

TEST_CASE("events are fired on arrival, in order with replies; unknown ones are harmless",
          "[T33][C94]")
{
    bench at;
    ear one;
    at.watches.add(one, "/a", wire::watch_kind::data);
    CHECK(at.receive(event_of(99, "/a")) == std::nullopt);
    CHECK(at.receive(event_of(-1, "")) == std::nullopt);
    CHECK(at.receive(event_of(0, "/a")) == std::nullopt);
    CHECK(at.receive(event_of(3, "/nobody")) == std::nullopt);
    CHECK(one.heard.empty());
    CHECK(at.receive(event_of(3, "/a", 17)) == std::nullopt);
    CHECK(one.heard == std::vector<std::string>{"3 /a 17"});
    CHECK(at.receive(event_of(3, "/a", 18)) == std::nullopt);
    CHECK(one.heard.size() == 1);
    // Shorter than an event.
    CHECK(at.receive(reply_of(-1, 0, 0, "abc")) == errc::malformed_reply);
}

TEST_CASE("pings leave ahead of what waits, one however often asked for", "[T13]")
{
    bench at;
    at.read(1);
    at.talk.queue_ping();
    at.talk.queue_ping();
    auto frames = at.send();
    REQUIRE(frames.size() == 2);
    CHECK(frames[0] == sent{wire::ping_xid, op_code::ping, "", 12});
    CHECK(frames[1].xid == 1);  // a ping uses up no xid
    CHECK(!at.talk.has_output());
    // Also while a request is in flight, and its answer needs no place in the line.
    at.talk.queue_ping();
    CHECK(at.talk.has_output());
    CHECK(at.send().size() == 1);
    CHECK(at.receive(reply_of(wire::ping_xid, 3)) == std::nullopt);
    CHECK(at.receive(reply_of(1)) == std::nullopt);
    CHECK(at.receive(reply_of(wire::ping_xid, 3)) == std::nullopt);
    // A ping of the old connection does not go out on the new one.
    at.talk.queue_ping();
    at.lose();
    at.connect();
    CHECK(!at.talk.has_output());
}

TEST_CASE("watches are set again before anything of a user", "[T1][T63][S35]")
{
    bench at;
    at.read(1);
    at.lose();
    at.connect({"first", "second"});
    at.talk.queue_ping();
    CHECK(at.talk.has_output());
    const auto frames = at.send();
    REQUIRE(frames.size() == 4);
    CHECK(frames[0] == sent{wire::set_watches_xid, op_code::set_watches, "first", 17});
    CHECK(frames[1].body == "second");
    CHECK(frames[1].op == op_code::set_watches);
    CHECK(frames[2].op == op_code::ping);
    CHECK(frames[3].xid == 1);
    CHECK(at.stage().empty());
}

TEST_CASE("chunks share an xid and are matched by order", "[T4]")
{
    bench at;
    at.connect({"first", "second", "third"});
    at.read(1);
    at.send();
    CHECK(at.receive(reply_of(-8, 70)) == std::nullopt);
    CHECK(at.receive(reply_of(-8, 71)) == std::nullopt);
    CHECK(at.receive(reply_of(-8, 72)) == std::nullopt);
    CHECK(at.receive(reply_of(1, 5)) == std::nullopt);
    CHECK(at.talk.last_zxid() == 5);
    // One reply more than was asked for.
    CHECK(at.receive(reply_of(-8)) == errc::malformed_reply);
}

TEST_CASE("a failure to set watches is the loss of the connection", "[T2]")
{
    const auto err = GENERATE(-5, -101, -6, -102, -127, -77);
    bench at;
    at.connect({"first", "second"});
    at.write(1);
    at.send();
    CHECK(at.receive(reply_of(-8)) == std::nullopt);
    CHECK(at.receive(reply_of(-8, 0, err)) == errc::connection_loss);
    CHECK(at.ended().empty());
    // What the lost connection owed is forgotten.
    at.lose();
    at.connect();
    CHECK(at.receive(reply_of(-8)) == errc::malformed_reply);
}

TEST_CASE("an oversized reply fails its own request and no other", "[T52][C37]")
{
    bench at;
    at.read(1);
    at.write(2);
    const ticket third = at.read(3);
    at.read(4);
    at.read(5);
    at.send();
    CHECK(at.talk.on_oversized(reply_of(1, 6)) == std::nullopt);
    CHECK(at.talk.last_zxid() == 6);
    CHECK(at.talk.on_oversized(reply_of(2, 7)) == std::nullopt);
    CHECK(at.ended() == endings{failed(1, errc::reply_too_large, fate::not_applied),
                                failed(2, errc::reply_too_large, fate::applied)});
    // Nobody waits for it any more.
    CHECK(at.talk.abandon(third, errc::cancelled));
    at.ended();
    CHECK(at.talk.on_oversized(reply_of(3, 7)) == std::nullopt);
    CHECK(at.ended().empty());
    CHECK(at.receive(reply_of(4, 7, 0, "fits")) == std::nullopt);
    CHECK(at.ended() == endings{replied(4, "fits")});
    at.submit(6, op_code::multi, true, {});
    at.send();
    CHECK(at.receive(reply_of(5)) == std::nullopt);
    at.ended();
    CHECK(at.talk.on_oversized(reply_of(6, 7)) == std::nullopt);
    CHECK(at.ended() == endings{failed(6, errc::reply_too_large, fate::maybe_applied)});
    CHECK(at.talk.on_oversized(reply_of(4, 9)) == errc::malformed_reply);
    CHECK(at.talk.on_oversized(reply_of(-1, 9)) == errc::malformed_reply);
    CHECK(at.talk.on_oversized("short") == errc::malformed_reply);
    CHECK(at.talk.last_zxid() == 7);
}

TEST_CASE("an oversized frame with an error has no body worth reading", "[T52]")
{
    bench at;
    at.write(1);
    at.write(2);
    at.write(3);
    at.send();
    CHECK(at.talk.on_oversized(reply_of(1, 6, -101)) == std::nullopt);
    CHECK(at.ended() == endings{replied(1, "", -101)});
    CHECK(at.talk.on_oversized(reply_of(2, 6, -118)) == errc::session_moved);
    CHECK(at.ended().empty());
    CHECK(at.talk.on_oversized(reply_of(2, 6, -112)) == errc::session_expired);
    CHECK(at.ended() == endings{replied(2, "", -112)});
}

TEST_CASE("a full write buffer is filled in order, a frame over the limit at the most", "[S35]")
{
    bench at;
    for (int i = 0; i < 10; ++i) {
        at.read(i, std::string(88, 'x'));  // 100 bytes a frame
    }
    CHECK(at.stage(1).size() == 1);
    CHECK(at.stage(250).size() == 3);
    CHECK(at.stage(300).size() == 3);
    CHECK(at.talk.in_flight() == 7);
    CHECK(at.stage(0).empty());
    CHECK(at.talk.has_output());
    CHECK(at.stage().size() == 3);
    CHECK(!at.talk.has_output());
}

TEST_CASE("whether a request would arm a watch on exactly this path", "[T35]")
{
    bench at;
    CHECK(!at.talk.is_arming("/a"));
    auto& get = at.make(1, op_code::get_data, false, path_body("/a"));
    get.watches = wire::watch_kind::data;
    at.talk.submit(get);
    auto& longer = at.make(2, op_code::get_data, false, path_body("/with/more"));
    longer.watches = wire::watch_kind::child;
    at.talk.submit(longer);
    at.read(3, path_body("/plain"));
    CHECK(at.talk.is_arming("/a"));
    CHECK(at.talk.is_arming("/with/more"));
    CHECK(!at.talk.is_arming("/with"));
    CHECK(!at.talk.is_arming("/with/more/still"));
    CHECK(!at.talk.is_arming("/"));
    CHECK(!at.talk.is_arming("/plain"));
    at.send();
    CHECK(at.talk.is_arming("/a"));
    at.receive(reply_of(1));
    CHECK(!at.talk.is_arming("/a"));
}

TEST_CASE("credentials go ahead of watches and requests, on every connection", "[T24][auth]")
{
    bench at;
    at.read(1);
    at.talk.authenticate(coati::secret("one"));
    const auto order = [&] {
        std::vector<std::int32_t> xids;
        std::string out;
        while (at.talk.has_output()) {
            const bool is_secret = at.talk.take_output(out, 1 << 20, at.watches);
            const auto frames = frames_of(out);
            out.clear();
            for (const sent& each : frames) {
                xids.push_back(each.xid);
                CHECK((each.xid == wire::auth_xid) == is_secret);
            }
        }
        return xids;
    };
    CHECK(order() == std::vector<std::int32_t>{wire::auth_xid, 1});
    at.talk.authenticate(coati::secret("two"));
    CHECK(order() == std::vector<std::int32_t>{wire::auth_xid});
    at.lose();
    at.connect({path_body("watches")});
    CHECK(order() ==
          std::vector<std::int32_t>{wire::auth_xid, wire::auth_xid, wire::set_watches_xid, 2});
}

TEST_CASE("the same credentials are shown once", "[auth]")
{
    bench at;
    CHECK(at.talk.authenticate(coati::secret("one")) == 0);
    CHECK(at.talk.authenticate(coati::secret("two")) == 1);
    CHECK(at.talk.authenticate(coati::secret("one")) == 0);
    CHECK(at.send().size() == 2);
}

TEST_CASE("answers to credentials overtake others, but not each other", "[auth]")
{
    bench at;
    at.read(1);
    at.talk.authenticate(coati::secret("one"));
    at.talk.authenticate(coati::secret("two"));
    at.send();
    at.send();
    CHECK(at.talk.authenticated() == 0);
    CHECK(at.receive(reply_of(wire::auth_xid)) == std::nullopt);
    CHECK(at.talk.authenticated() == 1);
    CHECK(at.receive(reply_of(1)) == std::nullopt);
    CHECK(at.receive(reply_of(wire::auth_xid)) == std::nullopt);
    CHECK(at.talk.authenticated() == 2);
    CHECK(at.receive(reply_of(wire::auth_xid)) == errc::malformed_reply);  // nothing is due
    at.lose();
    CHECK(at.talk.authenticated() == 0);
}

TEST_CASE("a no to credentials ends the session, whatever its code", "[T27][auth]")
{
    const auto code = GENERATE(-115, -5, -6, -101);
    bench at;
    at.talk.authenticate(coati::secret("one"));
    at.send();
    CHECK(at.receive(reply_of(wire::auth_xid, 0, code)) == errc::auth_failed);
}
