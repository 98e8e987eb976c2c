// Streams of persistent watches in virtual time: what they deliver and when, what a reconnect, a
// slow reader and the end of a session look like from inside one, and what is left on the server.

#include "support.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::event_type;
using coati::fate;
using coati::gap_reason;
using coati::stream_event;
using coati::watch_mode;
using coati::watch_stream;
using coati::wire::op_code;
using enum coati::event_type;

/// What a reader sees, in words.
std::string text(const stream_event& e)
{
    std::string all =
        e.is_gap() ? "gap " + std::string(coati::name(e.reason)) : std::string(coati::name(e.type));
    all += " " + e.path;
    if (e.merged != 0) {
        all += " +" + std::to_string(e.merged);
    }
    if (e.dropped) {
        all += " -" + std::to_string(*e.dropped);
    }
    return all;
}

using texts = std::vector<std::string>;

watch_stream open(simulation& at, std::string path, watch_mode mode, coati::stream_options how = {})
{
    auto made = at.ask(at.zk->watch(std::move(path), mode, how));
    REQUIRE(made);
    return std::move(*made);
}

/// Everything that has arrived, after a round trip to the server.
texts settled(simulation& at, const watch_stream& s)
{
    REQUIRE(at.ask(at.zk->sync()));
    texts all;
    for (;;) {
        const auto next = at.ask(s.next().within(1ms));
        if (!next) {
            CHECK(next.error().code() == errc::timed_out);
            return all;
        }
        all.push_back(text(*next));
    }
}

/// Reads as fast as it comes.
class reader {
public:
    explicit reader(watch_stream s) : stream(std::move(s)) { ask(); }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;

    texts taken() { return std::exchange(seen, {}); }

    texts seen;
    std::vector<stream_event> events;
    std::optional<coati::error> end;
    std::function<void()> then;

private:
    void ask()
    {
        stream.next()([this](coati::result<stream_event> r) {
            if (!r) {
                end = r.error();
                return;
            }
            seen.push_back(text(*r));
            events.push_back(*r);
            if (then) {
                then();
            }
            ask();
        });
    }

public:
    watch_stream stream;  // last: its destructor completes the wait
};

/// A reply that says marshalling_error.
verdict refusal(std::int32_t xid)
{
    std::string frame;
    const auto begin = coati::wire::open_frame(frame);
    coati::wire::encode(frame, coati::wire::reply_header{xid, 1, -5});
    coati::wire::close_frame(frame, begin);
    return verdict::replace(std::move(frame));
}

std::size_t count_of(simulation& at, op_code op)
{
    return static_cast<std::size_t>(
        std::ranges::count(at.server(0).log(), op, &coati::testing::request_record::op));
}

void cut(simulation& at)
{
    at.in.cut_all();
    at.until([&] { return !at.zk->is_connected(); });
    at.until([&] { return at.zk->is_connected(); });
    REQUIRE(at.ask(at.zk->sync()));  // what happens from here on is behind SetWatches
}

}  // namespace

// --- events

TEST_CASE("streams of both modes deliver every event, with the zxid where the server sends it",
          "[stream]")
{
    const bool is_39 = GENERATE(true, false);
    simulation at(1, 1, {.version = is_39 ? "3.9.3" : "3.8.0"});
    at.connect();
    reader plain(open(at, "/p", watch_mode::persistent));
    reader deep(open(at, "/p", watch_mode::recursive));
    reader root(open(at, "/", watch_mode::recursive));
    CHECK(plain.stream.path() == "/p");
    CHECK(deep.stream.mode() == watch_mode::recursive);
    at.ensemble.put("/p", "");
    at.ensemble.put("/p/x", "");
    at.ensemble.put("/p/x", "1");
    at.ensemble.put("/pp", "");
    at.ensemble.put("/p", "1");
    at.ensemble.remove("/p/x");
    at.ensemble.remove("/p");
    const auto last = at.ensemble.zxid();
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(plain.seen == texts{"created /p", "children_changed /p", "data_changed /p",
                              "children_changed /p", "deleted /p"});
    const texts below = {"created /p",      "created /p/x", "data_changed /p/x",
                         "data_changed /p", "deleted /p/x", "deleted /p"};
    CHECK(deep.seen == below);
    texts everything = below;
    everything.insert(everything.begin() + 3, "created /pp");
    CHECK(root.seen == everything);
    CHECK(root.events.back().zxid == (is_39 ? last : -1));
}

TEST_CASE("an event in the very frame behind the addWatch reply is not missed", "[stream]")
{
    simulation at;
    at.connect();
    at.server(0).on_frame([](const frame_view& f) {
        const bool hold = f.direction == frame_view::way::reply && f.op == op_code::add_watch;
        return hold ? verdict::withhold() : verdict::pass();
    });
    const auto made = at.start(at.zk->watch("/a", watch_mode::recursive));
    at.until([&] { return count_of(at, op_code::add_watch) == 1; });
    at.pass(10ms);
    at.ensemble.put("/a/b", "x");
    CHECK_FALSE(made.done());
    at.server(0).release();
    at.until([&] { return made.done(); });
    const watch_stream s = std::move(*made.take());
    CHECK(settled(at, s) == texts{"created /a", "created /a/b"});
}

TEST_CASE("a path that could never fire is refused here", "[stream][T57]")
{
    simulation at;
    at.connect();
    for (const char* const path : {"", "a", "/a/", "//a", "/a//b", "/a/../b", "/./a"}) {
        const auto made = at.ask(at.zk->watch(path, watch_mode::recursive));
        REQUIRE_FALSE(made);
        CHECK(made.error().code() == errc::invalid_path);
        CHECK(made.error().fate() == fate::not_sent);
    }
    CHECK(count_of(at, op_code::add_watch) == 0);
}

TEST_CASE("what the server refuses is told, and leaves nothing behind", "[stream]")
{
    simulation at;
    at.connect();
    at.server(0).on_frame([](const frame_view& f) {
        if (f.direction == frame_view::way::reply && f.op == op_code::add_watch) {
            return refusal(f.xid);
        }
        return verdict::pass();
    });
    const auto made = at.ask(at.zk->watch("/a"));
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == errc::marshalling_error);
    CHECK(at.zk->live_watches().empty());
    CHECK(at.zk->is_connected());
}

// --- reconnecting

TEST_CASE("after a reconnect a stream has a gap before anything else, then live events",
          "[stream][T1][T5][T6]")
{
    simulation at(1, 1, {.version = GENERATE("3.8.0", "3.9.3")});
    at.connect();
    at.ensemble.put("/p/q", "");
    reader plain(open(at, "/p", watch_mode::persistent));
    reader deep(open(at, "/p", watch_mode::recursive));
    reader other(open(at, "/other", watch_mode::recursive));
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    at.ensemble.put("/p/missed", "");
    at.ensemble.remove("/p/missed");
    CHECK(plain.seen.empty());
    at.server(0).restart();
    at.until([&] { return at.zk->is_connected(); });
    REQUIRE(at.ask(at.zk->sync()));
    at.ensemble.put("/p/q", "live");
    at.ensemble.put("/p", "live");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(plain.taken() == texts{"gap reconnected /p", "data_changed /p"});
    CHECK(deep.taken() == texts{"gap reconnected /p", "data_changed /p/q", "data_changed /p"});
    CHECK(other.taken() == texts{"gap reconnected /other"});
    CHECK_FALSE(plain.events[0].dropped);
    // And so again, on the connection after that.
    cut(at);
    at.ensemble.put("/p/q", "again");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(deep.taken() == texts{"gap reconnected /p", "data_changed /p/q"});
}

TEST_CASE("what was heard before a loss is read before its gap, and several losses are one gap",
          "[stream][T6]")
{
    simulation at;
    at.connect();
    const watch_stream s = open(at, "/a", watch_mode::persistent);
    at.ensemble.put("/a", "1");
    REQUIRE(at.ask(at.zk->sync()));
    cut(at);
    cut(at);
    at.ensemble.put("/a", "2");
    CHECK(settled(at, s) == texts{"created /a", "gap reconnected /a", "data_changed /a"});
}

TEST_CASE("the gap comes before the first reply, and a read after it goes out behind SetWatches2",
          "[stream][T63][C83]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "1");
    reader s(open(at, "/a", watch_mode::persistent));
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    std::vector<std::string> order;
    const auto waiting = at.start(at.zk->get("/a"), [&] { order.push_back("waiting read"); });
    answer<coati::get_result> again;
    s.then = [&] {
        order.push_back(s.seen.back());
        if (s.events.back().is_gap()) {
            again = at.start(at.zk->get("/a"), [&] { order.push_back("read again"); });
        }
    };
    at.ensemble.put("/a", "missed");
    at.server(0).clear_log();
    at.server(0).restart();
    at.until([&] { return waiting.done() && again.done(); });
    CHECK(order == std::vector<std::string>{"gap reconnected /a", "waiting read", "read again"});
    CHECK(again->data == "missed");
    std::vector<op_code> sent;
    for (const auto& each : at.server(0).log()) {
        sent.push_back(each.op);
    }
    REQUIRE(sent.size() >= 4);
    CHECK(std::vector(sent.begin(), sent.begin() + 4) ==
          std::vector{op_code::create_session, op_code::set_watches2, op_code::get_data,
                      op_code::get_data});
}

TEST_CASE("all five lists travel in chunks, persistent ones last, with one zxid", "[T3][T4][T5]")
{
    simulation at(1, 1, {.version = GENERATE("3.8.0", "3.9.3")});
    at.connect();
    at.ensemble.put("/there", "");
    const std::string wide(500, 'w');
    std::vector<coati::watch> once;
    std::vector<watch_stream> streams;
    constexpr int each = 600;  // 300 kB a list
    for (int i = 0; i < each; ++i) {
        const std::string name = wide + std::to_string(i);
        at.ensemble.put("/data" + name, "");
        at.ensemble.put("/child" + name, "");
        once.push_back(std::move(at.ask(at.zk->get_and_watch("/data" + name))->watch));
        once.push_back(std::move(at.ask(at.zk->exists_and_watch("/exist" + name))->watch));
        once.push_back(std::move(at.ask(at.zk->children_and_watch("/child" + name))->watch));
        streams.push_back(open(at, "/persistent" + name, watch_mode::persistent));
        streams.push_back(open(at, "/recursive" + name, watch_mode::recursive));
    }
    CHECK(at.server(0).watches() == 5 * each);
    at.server(0).clear_log();
    cut(at);
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(at.server(0).watches() == 5 * each);
    std::size_t plain = 0;
    std::size_t second = 0;
    std::int64_t zxid = 0;
    for (const auto& sent : at.server(0).log()) {
        if (sent.op == op_code::set_watches || sent.op == op_code::set_watches2) {
            CHECK(sent.size <= 128 * 1024 + 64);
            CHECK((zxid == 0 || zxid == sent.zxid));
            zxid = sent.zxid;
            plain += sent.op == op_code::set_watches ? 1 : 0;
            second += sent.op == op_code::set_watches2 ? 1 : 0;
            CHECK((second == 0 || sent.op == op_code::set_watches2));
        }
    }
    CHECK(plain >= 6);
    CHECK(second >= 4);
    CHECK(zxid > 0);
    // Each of them lives.
    for (const int i : {0, each / 2, each - 1}) {
        const std::string name = wide + std::to_string(i);
        for (const char* const kind : {"/data", "/exist", "/persistent", "/recursive"}) {
            at.ensemble.put(kind + name, "x");
        }
        at.ensemble.put("/child" + name + "/c", "");
        REQUIRE(at.ask(at.zk->sync()));
        const auto at_three = static_cast<std::size_t>(3 * i);
        for (std::size_t k = 0; k < 3; ++k) {
            CHECK_FALSE(once[at_three + k].is_armed());
        }
        const auto at_two = static_cast<std::size_t>(2 * i);
        CHECK(settled(at, streams[at_two]).back() == "created /persistent" + name);
        CHECK(settled(at, streams[at_two + 1]).back() == "created /recursive" + name);
    }
}

TEST_CASE("a SetWatches2 that fails is a lost connection, not a stream that is silent for ever",
          "[stream][T2]")
{
    simulation at;
    at.connect();
    reader s(open(at, "/a", watch_mode::persistent));
    int refused = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::reply && f.op == op_code::set_watches2 &&
            refused++ < 2) {
            return refusal(f.xid);
        }
        return verdict::pass();
    });
    at.in.cut_all();
    at.until([&] { return refused == 3 && at.zk->is_connected(); });
    at.ensemble.put("/a", "x");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(s.seen.back() == "created /a");
}

TEST_CASE("a watch that is asked for while there is no connection is set by the next", "[stream]")
{
    simulation at;
    const auto early = at.start(at.zk->watch("/a"));
    at.pass(1s);
    CHECK_FALSE(early.done());
    at.connect();
    at.until([&] { return early.done(); });
    reader s(std::move(*early.take()));
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    const auto second = at.start(at.zk->watch("/a", watch_mode::recursive));
    at.server(0).restart();
    at.until([&] { return second.done(); });
    reader t(std::move(*second.take()));
    at.ensemble.put("/a", "x");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(s.seen == texts{"gap reconnected /a", "created /a"});
    CHECK(t.seen == texts{"created /a"});
}

// --- slow readers

TEST_CASE("a reader that is too slow is told how much it missed", "[stream][overflow]")
{
    simulation at;
    at.connect();
    const watch_stream s = open(at, "/", watch_mode::recursive, {.capacity = 10});
    for (int i = 0; i < 10; ++i) {
        at.ensemble.put("/" + std::to_string(i), "");
    }
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(s.unread() == 10);
    for (int i = 0; i < 15; ++i) {
        at.ensemble.put("/x" + std::to_string(i), "");
    }
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(s.unread() <= 10);
    texts expected = {"gap overflow / -22"};  // 11 at once, and 11 again
    for (int i = 12; i < 15; ++i) {
        expected.push_back("created /x" + std::to_string(i));
    }
    CHECK(settled(at, s) == expected);
}

TEST_CASE("merging makes one of a burst, and tells of how many", "[stream][merge][S26]")
{
    simulation at;
    at.connect();
    const watch_stream s = open(at, "/a", watch_mode::persistent, {.capacity = 3, .merge = true});
    for (int i = 0; i < 100; ++i) {
        at.ensemble.put("/a", std::to_string(i));
    }
    CHECK(settled(at, s) == texts{"created /a", "data_changed /a +98"});
}

// --- waiting

TEST_CASE("who stops waiting for the next event loses none", "[stream][cancel]")
{
    simulation at;
    at.connect();
    watch_stream s = open(at, "/a", watch_mode::persistent);
    asio::cancellation_signal stop;
    const auto waiting = at.start(s.next(), stop);
    const auto second = at.start(s.next());
    at.until([&] { return second.done(); });
    CHECK(second.code() == errc::already_waiting);
    stop.emit(asio::cancellation_type::terminal);
    at.until([&] { return waiting.done(); });
    CHECK(waiting.code() == errc::cancelled);
    const auto late = at.start(s.next().within(1s));
    at.until([&] { return late.done(); });
    CHECK(late.code() == errc::timed_out);
    at.ensemble.put("/a", "x");
    const auto seen = at.ask(s.next());
    REQUIRE(seen);
    CHECK(text(*seen) == "created /a");
    // Dropping it ends the wait.
    const auto last = at.start(s.next());
    at.pass(1ms);
    s = watch_stream();
    at.until([&] { return last.done(); });
    CHECK(last.code() == errc::cancelled);
    CHECK(last.completed() == 1);
}

TEST_CASE("a reader may do anything while it is told", "[stream][C16]")
{
    simulation at;
    at.connect();
    auto first = std::make_unique<watch_stream>(open(at, "/a", watch_mode::persistent));
    auto second = std::make_unique<watch_stream>(open(at, "/a", watch_mode::persistent));
    answer<watch_stream> third;
    std::vector<std::string> order;
    const auto waits = at.start(second->next(), [&] { order.push_back("second"); });
    const auto heard = at.start(first->next(), [&] {
        order.push_back("first");
        first.reset();
        second.reset();  // waits, for the same event, and may have it already
        third = at.start(at.zk->watch("/a", watch_mode::recursive));
    });
    at.ensemble.put("/a", "1");
    at.until([&] { return heard.done() && waits.done() && third.done(); });
    CHECK(waits.completed() == 1);
    CHECK(heard.completed() == 1);
    watch_stream left = std::move(*third.take());
    at.ensemble.put("/a", "2");
    CHECK(settled(at, left) == texts{"data_changed /a"});
}

TEST_CASE("an operation that sets a watch can be started twice", "[stream]")
{
    simulation at;
    at.connect();
    const auto op = at.zk->watch("/a");
    answer<watch_stream> first;
    answer<watch_stream> second;
    op(first.handler(at.in));
    op(second.handler(at.in));
    at.until([&] { return first.done() && second.done(); });
    reader one(std::move(*first.take()));
    reader two(std::move(*second.take()));
    at.ensemble.put("/a", "x");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK(one.seen == texts{"created /a"});
    CHECK(two.seen == texts{"created /a"});
}

// --- ending

TEST_CASE("a stream ends with its session, after what it still holds", "[stream][C92]")
{
    simulation at;
    const auto run = at.connect();
    const watch_stream unread = open(at, "/a", watch_mode::persistent);
    reader waiting(open(at, "/a", watch_mode::recursive));
    at.ensemble.put("/a", "1");
    at.ensemble.put("/a", "2");
    REQUIRE(at.ask(at.zk->sync()));
    CHECK_FALSE(unread.end());
    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return run.done(); });
    REQUIRE(waiting.end);
    CHECK(waiting.end->code() == errc::session_expired);
    REQUIRE(unread.end());
    CHECK(unread.end()->code() == errc::session_expired);
    texts seen;
    for (int i = 0; i < 2; ++i) {
        const auto next = at.ask(unread.next());
        REQUIRE(next);
        seen.push_back(text(*next));
    }
    CHECK(seen == texts{"created /a", "data_changed /a"});
    for (int i = 0; i < 2; ++i) {
        const auto next = at.ask(unread.next());
        REQUIRE_FALSE(next);
        CHECK(next.error().code() == errc::session_expired);
    }
    // A watch is one session's.
    const auto again = at.start(at.zk->run());
    REQUIRE(at.ask(at.zk->connected()));
    CHECK(at.server(0).watches() == 0);
}

TEST_CASE("a stream may outlive the client, and the execution context", "[stream][lifetime]")
{
    std::optional<watch_stream> left;
    answer<stream_event> waiting;
    {
        simulation at;
        asio::cancellation_signal stop;
        const auto run = at.start(at.zk->run(), stop);
        REQUIRE(at.ask(at.zk->connected()));
        left = open(at, "/a", watch_mode::persistent);
        at.zk.reset();
        at.ensemble.put("/a", "1");
        const auto seen = at.ask(left->next());
        REQUIRE(seen);
        CHECK(text(*seen) == "created /a");
        stop.emit(asio::cancellation_type::terminal);
        at.until([&] { return run.done(); });
        const auto next = at.ask(left->next());
        REQUIRE_FALSE(next);
        CHECK(next.error().code() == errc::session_dropped);
    }
    CHECK(left->end());
    left.reset();
    {
        simulation at;
        at.connect();
        left = open(at, "/a", watch_mode::persistent);
        waiting = at.start(left->next());
        at.pass(1ms);
    }
    CHECK_FALSE(waiting.done());
    CHECK(waiting.forgotten());
    left.reset();
}
