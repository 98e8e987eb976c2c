// Traps that other clients have fallen into and that no other file holds, each under its number.

#include "support.hpp"

#include <coati/convenience.hpp>
#include <coati/op.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>

namespace {

using namespace coati::test;
using coati::client;
using coati::config;
using coati::create_mode;
using coati::errc;
using coati::event_type;
using coati::session_state;
using coati::wire::op_code;
namespace op = coati::op;
namespace wire = coati::wire;

std::string event_frame(std::string_view path)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{wire::notification_xid, -1, 0},
                 wire::watcher_event{static_cast<std::int32_t>(event_type::data_changed), 3, path});
    wire::close_frame(frame, at);
    return frame;
}

}  // namespace

TEST_CASE("who waits for a connection is served by every kind of it", "[T29][traps]")
{
    coati::testing::ensemble_options options;
    options.read_only_mode = true;
    config c = plain_config(1);
    c.allow_read_only = true;
    simulation at(c, 1, 1, options);
    const bool has_quorum = GENERATE(true, false);
    at.ensemble.has_quorum(has_quorum);
    const auto run = at.start(at.zk->run());
    REQUIRE(at.ask(at.zk->connected()));
    CHECK(at.zk->is_connected());
    CHECK(at.zk->session().is_read_only != has_quorum);
    CHECK(is_connected(has_quorum ? session_state::connected : session_state::connected_read_only));
    CHECK(at.ask(at.zk->children("/")));
}

TEST_CASE("closing with a multi on its way gives it one outcome, whatever that is", "[T41][traps]")
{
    const bool is_answered = GENERATE(true, false);
    simulation at;
    const auto run = at.connect();
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::multi;
        return !hit || is_answered ? verdict::pass() : verdict::drop();
    });
    const auto good = at.start(at.zk->multi(op::create("/a"), op::create("/b")));
    const auto bad = at.start(at.zk->multi(op::create("/c"), op::check("/no")));
    const auto closed = at.start(at.zk->close());
    at.until([&] { return run.done() && closed.done(); });
    for (const int completed : {good.completed(), bad.completed(), closed.completed()}) {
        CHECK(completed == 1);
    }
    CHECK(good.forgotten());
    CHECK(bad.forgotten());
    if (is_answered) {
        CHECK(good.code() == errc{0});
        CHECK(bad.code() == errc::no_node);
        CHECK(bad.error().op_index() == 1);
    } else {
        CHECK(good.code() != errc{0});
        CHECK(good.fate() == coati::fate::maybe_applied);
    }
}

TEST_CASE("what still arrives behind a close is read and does no harm", "[T44][traps]")
{
    simulation at;
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a", "x")));
    auto watched = at.ask(at.zk->get_and_watch("/a"));
    REQUIRE(watched);
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::close_session) {
            at.server(0).inject(event_frame("/a") + event_frame("/nobody's"));
        }
        return verdict::pass();
    });
    const auto read = at.start(at.zk->get("/a"));
    const auto event = at.start(watched->watch.next());
    CHECK(at.ask(at.zk->close()));
    REQUIRE(read.done());
    CHECK(read->data == "x");
    REQUIRE(event.done());
    CHECK(event->type == event_type::data_changed);
    at.until([&] { return run.done(); });
    CHECK(*run);
    CHECK(at.ensemble.sessions().empty());
}

TEST_CASE("the ephemeral of the session before is told from one's own, and outwaited",
          "[T47][traps]")
{
    simulation at;
    asio::cancellation_signal kill;
    const auto run = at.start(at.zk->run(), kill);
    REQUIRE(at.ask(at.zk->create("/leader", "me", create_mode::ephemeral)));
    // The process dies and comes back before the servers have noticed.
    const client again = at.make_client(plain_config(1));
    kill.emit(asio::cancellation_type::terminal);
    at.until([&] { return run.done(); });
    const auto second = at.start(again.run());
    REQUIRE(at.ask(again.connected()));
    const auto refused = at.ask(again.create("/leader", "me", create_mode::ephemeral));
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == errc::node_exists);
    const auto whose = at.ask(again.exists("/leader"));
    REQUIRE(whose);
    REQUIRE(*whose);
    CHECK((*whose)->ephemeral_owner != again.session().id);

    REQUIRE(at.ask(coati::wait_until_gone(again, "/leader")));
    REQUIRE(at.ask(again.create("/leader", "me", create_mode::ephemeral)));
    at.pass(1min);
    CHECK(at.ensemble.ephemeral_owner("/leader") == again.session().id);
}
