// What servers, proxies and strangers do wrong, and what it may do to whom: a request, a
// connection, the session, never more than it must.

#include "support.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::event_type;
using coati::fate;
using coati::session_state;
using coati::wire::op_code;
namespace wire = coati::wire;

std::string reply_frame(std::int32_t xid, std::int64_t zxid, std::int32_t err)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{xid, zxid, err});
    wire::close_frame(frame, at);
    return frame;
}

std::string event_frame(std::int32_t type, std::string_view path, std::int64_t zxid)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{wire::notification_xid, zxid, 0},
                 wire::watcher_event{type, 3, path});
    wire::close_frame(frame, at);
    return frame;
}

std::string with_prefix(std::string_view payload)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    frame.append(payload);
    wire::close_frame(frame, at);
    return frame;
}

/// Replies of one operation, on the first connection, are replaced; everything else passes.
void replace_replies(simulation& at, op_code op, std::function<verdict(const frame_view&)> by)
{
    at.server(0).on_frame([op, by = std::move(by)](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op && f.connection == 1 &&
                         !f.handshake && f.xid != wire::notification_xid;
        return hit ? by(f) : verdict::pass();
    });
}

/// A write and two reads in flight while the connection goes wrong: who ends how.
struct in_flight {
    explicit in_flight(simulation& s) : at(s)
    {
        at.ensemble.put("/a", "0");
        run = at.connect();
        session = at.zk->session().id;
    }
    void start()
    {
        read = at.start(at.zk->get("/a"));
        write = at.start(at.zk->set("/a", "1"));
        last = at.start(at.zk->get("/a"));
    }
    /// Reads were replayed, the session is the same, on a second connection.
    void check_reconnected()
    {
        at.until([this] { return read.done() && write.done() && last.done(); });
        CHECK(read.code() == errc{0});
        CHECK(last.code() == errc{0});
        CHECK(write.completed() == 1);
        CHECK(at.connections_made() == 2);
        REQUIRE(at.ask(at.zk->connected()));
        CHECK(at.zk->session().id == session);
        CHECK_FALSE(run.done());
    }
    void check_write_in_doubt()
    {
        CHECK(write.code() == errc::connection_loss);
        CHECK(write.fate() == fate::maybe_applied);
    }

    simulation& at;
    answer<void> run;
    std::int64_t session = 0;
    answer<coati::get_result> read;
    answer<coati::stat> write;
    answer<coati::get_result> last;
};

}  // namespace

// --- the handshake

TEST_CASE("a server that hangs up on everybody is not asked in a tight loop", "[T22][C31][faults]")
{
    simulation at;
    at.server(0).close_on_accept(true);
    const auto run = at.start(at.zk->run());
    const auto waiting = at.start(at.zk->get("/"));
    at.pass(1min);
    // Rounds of one server wait up to 2.5 s, a quarter of the session: some 50 attempts.
    CHECK(at.connections_made() > 10);
    CHECK(at.connections_made() < 120);
    CHECK_FALSE(run.done());
    CHECK_FALSE(waiting.done());
    at.server(0).close_on_accept(false);
    at.until([&] { return waiting.done(); }, 3s);
    CHECK(waiting.code() == errc{0});
}

TEST_CASE("nor is one that accepts the session and hangs up", "[T22][T64][faults]")
{
    simulation at;
    at.server(0).on_frame([](const frame_view& f) {
        const bool welcome = f.handshake && f.direction == frame_view::way::reply;
        return welcome ? verdict::replace_and_close(with_prefix(f.payload)) : verdict::pass();
    });
    state_recorder states(*at.zk);
    const auto run = at.start(at.zk->run());
    at.pass(1min);
    CHECK(at.connections_made() > 10);
    CHECK(at.connections_made() < 120);
    CHECK_FALSE(run.done());
    // All the time it is one session, whose end nobody has announced.
    CHECK(at.ensemble.sessions().size() == 1);
    at.server(0).on_frame(nullptr);
    CHECK(at.ask(at.zk->get("/"), 3s));
}

TEST_CASE("another protocol is recognised, quoted, and left for the next server",
          "[S9][C36][faults]")
{
    const std::string_view http = "HTTP/1.1 400 Bad Request\r\n\r\n";
    const std::string_view ssh = "SSH-2.0-OpenSSH_9.2\r\n";
    const std::string tls("\x15\x03\x01\x00\x02\x02\x46", 7);
    for (const std::string_view words : {http, ssh, std::string_view(tls)}) {
        simulation at(2);
        at.server(0).on_frame([words](const frame_view& f) {
            return f.direction == frame_view::way::reply
                       ? verdict::replace_and_close(std::string(words))
                       : verdict::pass();
        });
        const auto start = at.in.now();
        const auto run = at.connect();
        CHECK(at.in.now() - start < 10ms);
        CHECK(at.zk->session().server.address == server_at(1).address);
        REQUIRE(at.zk->last_attempts().size() == 1);
        const coati::attempt tried = at.zk->last_attempts()[0];
        CHECK(tried.error == errc::not_zookeeper);
        CHECK(tried.step == coati::attempt_step::handshake);
        if (words == http) {
            CHECK(tried.text.find("HTTP/1.1 400") != std::string::npos);
        }
    }
}

TEST_CASE("half a ConnectResponse is no session, whole in pieces it is one", "[T61][C30][faults]")
{
    simulation at;
    at.in.fragment_reads(true);
    std::size_t length = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (!f.handshake || f.direction == frame_view::way::request || length >= 41) {
            return verdict::pass();
        }
        return verdict::replace_and_close(with_prefix(f.payload).substr(0, length++));
    });
    state_recorder states(*at.zk);
    const auto run = at.start(at.zk->run());
    REQUIRE(at.ask(at.zk->connected(), 10min));
    CHECK(length == 41);
    CHECK(at.connections_made() == 42);
    CHECK(std::count(states.seen.begin(), states.seen.end(),
                     coati::state_change(session_state::connected, at.zk->session().id)) == 1);
}

// --- frames that make no sense

TEST_CASE("a reply to nobody's request ends the connection, not the session",
          "[T45][T56][C38][faults]")
{
    for (const std::int32_t xid : {77, 2, 0, -3, -8, -100}) {
        INFO("xid " << xid);
        simulation at;
        in_flight ops(at);
        replace_replies(at, op_code::get_data, [&](const frame_view&) {
            return verdict::replace(reply_frame(xid, 9, 0));
        });
        ops.start();
        ops.check_reconnected();
        ops.check_write_in_doubt();
        CHECK(at.ensemble.data("/a") == "1");
    }
}

TEST_CASE("garbage ends the connection, not the session", "[C36][faults]")
{
    const std::string negative("\xff\xff\xff\xff rest", 9);
    const std::string short_frame("\0\0\0\x03xyz", 7);
    const std::string empty_frame("\0\0\0\0", 4);
    const std::string half_event("\0\0\0\x14\xff\xff\xff\xff\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1", 24);
    for (const auto& bytes : {negative, short_frame, empty_frame, half_event}) {
        simulation at;
        in_flight ops(at);
        replace_replies(at, op_code::set_data,
                        [&](const frame_view&) { return verdict::replace(bytes); });
        ops.start();
        ops.check_reconnected();
        ops.check_write_in_doubt();
        CHECK(ops.read->data == "0");
        CHECK(ops.last->data == "1");
    }
}

TEST_CASE("a reply that does not decode is its request's own failure", "[faults]")
{
    simulation at;
    in_flight ops(at);
    replace_replies(at, op_code::set_data, [&](const frame_view& f) {
        return verdict::replace(reply_frame(f.xid, at.ensemble.zxid(), 0));  // and no stat
    });
    ops.start();
    at.until([&] { return ops.last.done(); });
    CHECK(ops.write.code() == errc::malformed_reply);
    CHECK(ops.write.fate() == fate::applied);
    CHECK(ops.last->data == "1");
    CHECK(at.connections_made() == 1);
}

TEST_CASE("a reply above max_reply fails its request alone", "[T52][C37][faults]")
{
    coati::config settings = plain_config(1);
    settings.max_reply = 2'000;
    for (const bool fragments : {false, true}) {
        simulation at(settings);
        at.in.fragment_reads(fragments);
        at.ensemble.put("/large", std::string(5'000, 'x'));
        at.ensemble.put("/fits", std::string(1'900, 'y'));
        const auto run = at.connect();
        const auto before = at.start(at.zk->get("/fits"));
        const auto large = at.start(at.zk->get("/large"));
        const auto after = at.start(at.zk->set("/fits", "z"));
        const auto watched = at.start(at.zk->get_and_watch("/large"));
        const auto last = at.start(at.zk->get("/fits"));
        at.until([&] { return last.done(); });
        CHECK(before->data.size() == 1'900);
        CHECK(large.code() == errc::reply_too_large);
        CHECK(large.fate() == fate::not_applied);
        CHECK(after->version == 1);
        CHECK(watched.code() == errc::reply_too_large);
        CHECK(last->data == "z");
        at.ensemble.put("/large", "small now");  // fires the watch that nobody could be given
        CHECK(at.ask(at.zk->get("/large"))->data == "small now");
        CHECK(at.connections_made() == 1);
    }
}

TEST_CASE("a write whose reply is too large has been applied", "[T52][faults]")
{
    coati::config settings = plain_config(1);
    settings.max_reply = 64;
    simulation at(settings);
    const auto run = at.connect();
    const std::string path = "/" + std::string(100, 'p');
    const auto made = at.ask(at.zk->create(path));
    CHECK(made.error() == errc::reply_too_large);
    CHECK(made.error().fate() == fate::applied);
    CHECK(at.ensemble.exists(path));
}

// --- what servers answer

TEST_CASE("a session that lives on another server is looked for there", "[S43][C19][faults]")
{
    simulation at;
    in_flight ops(at);
    replace_replies(at, op_code::get_data, [](const frame_view& f) {
        return verdict::replace(reply_frame(f.xid, 1, -118));
    });
    ops.start();
    ops.check_reconnected();
    ops.check_write_in_doubt();
}

TEST_CASE("-4 from a server is a loss of the connection, whose requests are replayed",
          "[S30][faults]")
{
    simulation at;
    in_flight ops(at);
    replace_replies(at, op_code::set_data, [](const frame_view& f) {
        return verdict::replace(reply_frame(f.xid, 1, -4));
    });
    ops.start();
    ops.check_reconnected();
    ops.check_write_in_doubt();
}

TEST_CASE("an unknown operation is an answer, the EOF behind it a loss", "[T54][C64][faults]")
{
    simulation at;
    in_flight ops(at);
    at.server(0).on_frame([](const frame_view& f) {
        if (f.op != op_code::set_data || f.connection != 1) {
            return verdict::pass();
        }
        return f.direction == frame_view::way::reply
                   ? verdict::replace_and_close(reply_frame(f.xid, -1, -6))
                   : verdict::pass();
    });
    ops.start();
    ops.check_reconnected();
    CHECK(ops.write.code() == errc::unimplemented);
    CHECK(ops.write.fate() == fate::not_applied);
    CHECK(at.zk->credentials().last_zxid > 0);
}

TEST_CASE("every business error is an answer on a living connection", "[S30][C55][faults]")
{
    simulation at;
    in_flight ops(at);
    std::int32_t code = 0;
    replace_replies(at, op_code::set_data, [&](const frame_view& f) {
        return verdict::replace(reply_frame(f.xid, at.ensemble.zxid(), code));
    });
    for (const errc each : coati::all_errc()) {
        if (static_cast<int>(each) >= 0 || coati::classify(each) != coati::disposition::answer) {
            continue;
        }
        code = static_cast<std::int32_t>(each);
        const auto r = at.ask(at.zk->set("/a", "1"));
        REQUIRE_FALSE(r);
        CHECK(r.error() == each);
        CHECK(r.error().fate() == fate::not_applied);
    }
    CHECK(at.connections_made() == 1);
    CHECK_FALSE(ops.run.done());
}

// --- events

TEST_CASE("events that nobody waits for change nothing", "[T33][C94][faults]")
{
    simulation at;
    const auto run = at.connect();
    at.ensemble.put("/w", "0");
    const auto watched = at.start(at.zk->get_and_watch("/w"));
    at.until([&] { return watched.done(); });
    const auto next = at.start(watched->watch.next());
    const auto zxid = at.ensemble.zxid();
    for (const std::int32_t type :
         {-1, 0, 5, 99, 1'000'000}) {  // none, data-watch removed, unknown
        at.server(0).inject(event_frame(type, "/w", zxid));
    }
    at.server(0).inject(event_frame(3, "/nobody/watches", zxid));
    at.server(0).inject(event_frame(3, "", zxid));
    at.server(0).inject(event_frame(3, "not a path", zxid));
    at.server(0).inject(event_frame(4, "/w", zxid));  // children: another table
    at.pass(1s);
    CHECK_FALSE(next.done());
    for (int i = 0; i < 3; ++i) {
        at.server(0).inject(event_frame(3, "/w", zxid + 1));
    }
    at.pass(1s);
    CHECK(next.completed() == 1);
    CHECK(next->type == event_type::data_changed);
    CHECK(at.ask(watched->watch.next()).error() == errc::watch_ended);
    CHECK(at.connections_made() == 1);
    // Nor do they move the zxid that the next server is measured by.
    at.server(0).inject(event_frame(3, "/w", zxid + 1'000'000));
    at.pass(1s);
    CHECK(at.zk->credentials().last_zxid <= zxid);
}

TEST_CASE("watches that could not be set again are set on the next connection", "[T2][T1][faults]")
{
    simulation at;
    const auto run = at.connect();
    at.ensemble.put("/w", "0");
    const auto watched = at.start(at.zk->get_and_watch("/w"));
    at.until([&] { return watched.done(); });
    int refused = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::set_watches;
        return hit && ++refused <= 2 ? verdict::replace(reply_frame(f.xid, 1, -5))
                                     : verdict::pass();
    });
    at.in.cut_all();
    at.until([&] { return refused == 3; });
    CHECK(at.connections_made() == 4);
    at.ensemble.put("/w", "1");
    CHECK(at.ask(watched->watch.next(), 1s));
}

TEST_CASE("an event may be the very next frame behind the reply that arms it", "[T63][faults]")
{
    simulation at;
    const auto run = at.connect();
    at.ensemble.put("/w", "0");
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::get_data;
        return hit ? verdict::replace(with_prefix(f.payload) +
                                      event_frame(3, "/w", at.ensemble.zxid()))
                   : verdict::pass();
    });
    const auto watched = at.start(at.zk->get_and_watch("/w"));
    at.until([&] { return watched.done(); });
    CHECK(at.ask(watched->watch.next(), 1ms));
}

TEST_CASE("strangers with the session's id disconnect it, and it comes back", "[T64][faults]")
{
    simulation at;
    in_flight ops(at);
    ops.start();
    at.until([&] { return ops.last.done(); });
    coati::config wrong = plain_config(1);
    wrong.session = coati::session_credentials(ops.session, std::string(16, 'x'));
    const coati::client stranger = at.make_client(wrong);
    CHECK(at.ask(stranger.run()).error() == errc::session_expired);
    at.pass(1s);
    CHECK(at.ask(at.zk->get("/a")));
    CHECK(at.zk->session().id == ops.session);
    CHECK_FALSE(ops.run.done());
}
