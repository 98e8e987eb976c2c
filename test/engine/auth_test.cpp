// Credentials over a whole session: shown first and again on every connection, refused for good,
// and forgotten at the end.

#include "support.hpp"

#include <coati/auth.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::auth_info;
using coati::errc;
using coati::fate;
using coati::wire::op_code;

coati::config with_auth(std::size_t servers = 1)
{
    coati::config c = plain_config(servers);
    c.auth.push_back(auth_info::digest("ann", "secret"));
    return c;
}

/// The operations that one connection of a server received, in order.
std::vector<op_code> received(const scripted_server& by, std::uint64_t connection)
{
    std::vector<op_code> all;
    for (const auto& each : by.log()) {
        if (each.connection == connection) {
            all.push_back(each.op);
        }
    }
    return all;
}

std::vector<op_code> first(std::vector<op_code> all, std::size_t count)
{
    all.resize(std::min(all.size(), count));
    return all;
}

}  // namespace

TEST_CASE("credentials go first, then watches, then requests, on every connection", "[T24][C105]")
{
    simulation s(with_auth());
    s.ensemble.put("/a", "x");
    s.connect();
    const auto watched = s.ask(s.zk->get_and_watch("/a"));
    REQUIRE(watched);
    CHECK(first(received(s.server(0), 1), 3) ==
          std::vector{op_code::create_session, op_code::auth, op_code::get_data});
    s.server(0).drop_connections();
    const auto again = s.start(s.zk->get("/a"));
    s.until([&] { return again.done(); });
    CHECK(first(received(s.server(0), 2), 4) == std::vector{op_code::create_session, op_code::auth,
                                                            op_code::set_watches,
                                                            op_code::get_data});
}

TEST_CASE("credentials may be added at run time, once is enough", "[auth][C106]")
{
    simulation s;
    const auto early = s.start(s.zk->add_auth(auth_info::digest("ann", "secret")));
    s.pass(1s);
    CHECK(!early.done());
    s.connect();
    s.until([&] { return early.done(); });
    CHECK(*early);
    CHECK(s.ask(s.zk->add_auth(auth_info::digest("ann", "secret"))));
    CHECK(s.ask(s.zk->add_auth(auth_info::digest("bob", "other"))));
    const auto ops = received(s.server(0), 1);
    CHECK(std::count(ops.begin(), ops.end(), op_code::auth) == 2);
}

TEST_CASE("a lost connection does not lose the wait for an answer to credentials", "[T25][C107]")
{
    simulation s;
    s.connect();
    s.server(0).on_frame([](const frame_view& f) {
        const bool is_answer = f.direction == frame_view::way::reply && f.op == op_code::auth;
        return is_answer && f.connection == 1 ? verdict::close() : verdict::pass();
    });
    const auto added = s.start(s.zk->add_auth(auth_info::digest("ann", "secret")));
    s.until([&] { return added.done(); });
    CHECK(*added);
    CHECK(added.completed() == 1);
    CHECK(s.connections_made() == 2);
}

TEST_CASE("waiting for an answer to credentials can be given up", "[auth]")
{
    simulation s;
    s.connect();
    s.server(0).pause();
    asio::cancellation_signal stop;
    const auto cancelled = s.start(s.zk->add_auth(auth_info::digest("ann", "secret")), stop);
    const auto late = s.start(s.zk->within(1s, s.zk->add_auth(auth_info::digest("b", "c"))));
    s.pass(10ms);
    stop.emit(asio::cancellation_type::terminal);
    s.pass(2s);
    CHECK(cancelled.code() == errc::cancelled);
    CHECK(late.code() == errc::timed_out);
    s.server(0).resume();
    CHECK(s.ask(s.zk->add_auth(auth_info::digest("ann", "secret"))));
}

TEST_CASE("an unknown scheme ends the session quickly and for good", "[S36][C104]")
{
    coati::config c = plain_config(2);
    c.auth.emplace_back("hocuspocus", "x");
    simulation s(std::move(c), 2);
    state_recorder states(*s.zk);
    const auto start = s.in.now();
    const auto read = s.start(s.zk->get("/"));
    const auto write = s.start(s.zk->create("/a"));
    const auto run = s.start(s.zk->run());
    s.until([&] { return run.done(); });
    CHECK(run.code() == errc::auth_failed);
    CHECK(s.in.now() - start < 1s);
    CHECK(read.code() == errc::auth_failed);
    CHECK(write.code() == errc::auth_failed);
    CHECK(write.fate() != fate::applied);
    CHECK(states.states().back() == coati::session_state::auth_failed);
    s.pass(1min);
    CHECK(s.connections_made() == 1);  // no second try with what was refused
    CHECK(!s.ensemble.exists("/a"));
}

TEST_CASE("credentials that are refused at run time end everything that waits", "[S36]")
{
    simulation s;
    const auto run = s.connect();
    const auto added = s.start(s.zk->add_auth(auth_info("hocuspocus", "x")));
    s.until([&] { return run.done(); });
    CHECK(run.code() == errc::auth_failed);
    CHECK(added.code() == errc::auth_failed);
    CHECK(s.ask(s.zk->add_auth(auth_info::digest("a", "b"))).error().code() == errc::auth_failed);
}

TEST_CASE("a server that insists on authentication ends the session", "[S36][C111]")
{
    simulation s;
    s.server(0).on_frame([](const frame_view& f) {
        if (f.direction != frame_view::way::reply || f.handshake || f.xid < 1) {
            return verdict::pass();
        }
        std::string refusal;
        const auto at = coati::wire::open_frame(refusal);
        coati::wire::encode(refusal, coati::wire::reply_header{f.xid, 0, -124});
        coati::wire::close_frame(refusal, at);
        return verdict::replace_and_close(std::move(refusal));
    });
    const auto run = s.connect();
    const auto read = s.start(s.zk->get("/"));
    s.until([&] { return run.done(); });
    CHECK(run.code() == errc::session_closed_require_sasl_auth);
    CHECK(read.code() == errc::session_closed_require_sasl_auth);
    s.pass(1min);
    CHECK(s.connections_made() == 1);
}

TEST_CASE("a new session of the same client shows the same credentials", "[T24]")
{
    simulation s(with_auth());
    const auto run = s.connect();
    s.server(0).expire(s.zk->session().id);
    s.until([&] { return run.done(); });
    s.connect();
    REQUIRE(s.ask(s.zk->get("/")));
    const auto last = s.server(0).log().back().connection;
    CHECK(first(received(s.server(0), last), 2) ==
          std::vector{op_code::create_session, op_code::auth});
}
