// Compositions whose writes lose their answers, in virtual time: after each byte of the connection,
// and with others who write in between. What can be found out is found out; what cannot is told as
// maybe_applied, and nothing happens twice.

#include "support.hpp"

#include <coati/convenience.hpp>
#include <coati/subtree.hpp>
#include <coati/wire/op_code.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::update_options;
using coati::wire::op_code;

constexpr update_options unique{.unique = true};

std::optional<coati::data> increment(const std::string& now)
{
    return std::to_string(std::stoi(now) + 1);
}

/// What becomes of the n-th request (from 1) of a kind, at the server or behind it.
class meddler {
public:
    meddler(simulation& at, op_code op, frame_view::way where) : op_(op), where_(where)
    {
        at.server(0).on_frame([this](const frame_view& f) {
            if (f.handshake || f.op != op_ || f.direction != where_) {
                return verdict::pass();
            }
            const auto with = static_cast<std::size_t>(seen_++);
            return with < then.size() ? then[with]() : verdict::pass();
        });
    }

    std::vector<std::function<verdict()>> then;
    int seen() const { return seen_; }

private:
    op_code op_;
    frame_view::way where_;
    int seen_ = 0;
};

/// The answer is lost.
verdict lost()
{
    return verdict::close();
}

constexpr std::array ways{direction::to_server, direction::to_client};

}  // namespace

// --- compare and set

TEST_CASE("an update that breaks off at any byte is done once, and told so where that is provable",
          "[resolve][M1]")
{
    for (const bool is_unique : {true, false}) {
        int told = 0;
        int doubted = 0;
        for (const direction which : ways) {
            for (std::size_t byte = 0; byte < 160; ++byte) {
                CAPTURE(is_unique, which == direction::to_server, byte);
                simulation at;
                at.connect();
                at.ensemble.put("/count", "5");
                at.in.cut_after(at.connection_id(), which, byte);
                const auto done =
                    at.ask(coati::update(*at.zk, "/count", increment, {.unique = is_unique}));
                at.pass(1s);
                if (done) {
                    ++told;
                    CHECK(at.ensemble.data("/count") == "6");
                    CHECK(done->version == 1);
                } else {
                    ++doubted;
                    CHECK_FALSE(is_unique);
                    CHECK(done.error() == errc::connection_loss);
                    CHECK(done.error().fate() == fate::maybe_applied);
                    CHECK(at.ensemble.data("/count") == "6");  // it was; nobody can know
                }
            }
        }
        CHECK(told > 160);
        CHECK((doubted == 0) == is_unique);
    }
}

TEST_CASE("a write that did not arrive is sent again with the same bytes", "[resolve]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "5");
    meddler server(at, op_code::set_data, frame_view::way::request);
    server.then = {&lost, &lost, &lost};
    int calls = 0;
    const auto change = [&](const std::string&) {
        return std::optional<coati::data>("by call " + std::to_string(++calls));
    };
    const auto done = at.ask(coati::update(*at.zk, "/a", change));
    REQUIRE(done);
    CHECK(done->version == 1);
    CHECK(calls == 1);
    CHECK(server.seen() == 4);
    CHECK(at.ensemble.data("/a") == "by call 1");
}

TEST_CASE("a first copy that arrives late meets its second, and one of them is applied",
          "[resolve]")
{
    for (const bool is_unique : {true, false}) {
        simulation at;
        at.connect();
        at.ensemble.put("/a", "5");
        meddler server(at, op_code::set_data, frame_view::way::request);
        server.then = {&lost, [&] {
                           at.ensemble.put("/a", "6");  // from the old connection, just before
                           return verdict::pass();
                       }};
        const auto done = at.ask(coati::update(*at.zk, "/a", increment, {.unique = is_unique}));
        CHECK(at.ensemble.data("/a") == "6");
        CHECK(server.seen() == 2);
        CHECK(done.has_value() == is_unique);
        if (!done) {
            CHECK(done.error() == errc::connection_loss);
            CHECK(done.error().fate() == fate::maybe_applied);
        }
    }
}

TEST_CASE("a version that others took first is built upon", "[resolve]")
{
    for (const update_options how : {update_options{}, unique}) {
        simulation at;
        at.connect();
        at.ensemble.put("/count", "5");
        meddler server(at, op_code::set_data, frame_view::way::request);
        server.then = {[&] {
            at.ensemble.put("/count", "40");
            return verdict::close();
        }};
        const auto done = at.ask(coati::update(*at.zk, "/count", increment, how));
        REQUIRE(done);
        CHECK(done->version == 2);
        CHECK(at.ensemble.data("/count") == "41");
    }
}

TEST_CASE("where nothing tells whose write it was, the update is maybe_applied", "[resolve]")
{
    const auto story = [](const std::function<void(simulation&)>& meanwhile, update_options how) {
        simulation at;
        at.connect();
        at.ensemble.put("/count", "5");
        meddler server(at, op_code::set_data, frame_view::way::reply);
        server.then = {[&] {
            meanwhile(at);
            return verdict::close();
        }};
        const auto done = at.ask(coati::update(*at.zk, "/count", increment, how));
        REQUIRE_FALSE(done);
        CHECK(done.error() == errc::connection_loss);
        CHECK(done.error().fate() == fate::maybe_applied);
        CHECK(server.seen() == 1);  // nothing was sent again
    };
    // Ours, then another one.
    story([](simulation& at) { at.ensemble.put("/count", "9"); }, unique);
    // Two of others, the last with our bytes.
    story([](simulation& at) { at.ensemble.put("/count", "6"); }, unique);
    // Another znode, which begins where ours was read.
    story(
        [](simulation& at) {
            at.ensemble.remove("/count");
            at.ensemble.put("/count", "5");
        },
        unique);
    story([](simulation& at) { at.ensemble.remove("/count"); }, unique);
    // Ours and no other; but a counter's bytes prove nothing.
    story([](simulation&) {}, {});
}

TEST_CASE("whatever ends an update while its write is in doubt says so", "[resolve]")
{
    simulation at;
    const auto run = at.connect();
    at.ensemble.put("/count", "5");
    const auto silent = [&](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == op_code::get_data;
        return hit ? verdict::withhold() : verdict::pass();
    };
    int writes = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::set_data) {
            ++writes;
            return verdict::close();
        }
        return writes == 0 ? verdict::pass() : silent(f);
    });
    const auto late = at.start(coati::update(*at.zk, "/count", increment).within(2s));
    at.until([&] { return late.done(); });
    CHECK(writes == 1);
    CHECK(late.code() == errc::timed_out);
    CHECK(late.fate() == fate::maybe_applied);

    writes = 0;
    const auto ended = at.start(coati::update(*at.zk, "/count", increment));
    at.until([&] { return writes == 1 && at.zk->is_connected(); });
    at.ensemble.expire(at.zk->session().id);
    at.until([&] { return ended.done(); });
    CHECK(ended.code() == errc::session_expired);
    CHECK(ended.fate() == fate::maybe_applied);
    CHECK(run.done());
}

// --- removing a subtree

TEST_CASE("a removal that breaks off at any byte goes on, and counts what it removed",
          "[resolve][M1]")
{
    coati::remove_options how;
    how.batch = 3;
    how.in_flight = 2;
    for (const direction which : ways) {
        std::size_t losses = 0;
        for (std::size_t byte = 0; byte < 900; byte += 7) {
            CAPTURE(which == direction::to_server, byte);
            simulation at;
            at.connect();
            for (int i = 0; i < 10; ++i) {
                at.ensemble.put("/t/" + std::to_string(i % 2) + "/" + std::to_string(i), "");
            }
            at.in.cut_after(at.connection_id(), which, byte);
            const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t", how));
            REQUIRE(removed);
            CHECK(*removed == 13);
            CHECK_FALSE(at.ensemble.exists("/t"));
            losses += at.connections_made() - 1;
        }
        CHECK(losses > 50);
    }
}

TEST_CASE("a removal that loses every answer for a while still ends", "[resolve]")
{
    simulation at;
    at.connect();
    for (int i = 0; i < 40; ++i) {
        at.ensemble.put("/t/" + std::to_string(i), "");
    }
    meddler server(at, op_code::multi, frame_view::way::reply);
    server.then.assign(15, &lost);
    coati::remove_options how;
    how.batch = 2;
    how.in_flight = 1;
    const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t", how), 10min);
    REQUIRE(removed);
    CHECK(*removed == 41);
}

TEST_CASE("whatever ends a removal while a batch is in doubt says so", "[resolve]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/t/a", "");
    bool is_lost = false;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::multi) {
            is_lost = true;
            return verdict::close();
        }
        const bool hit = is_lost && f.direction == frame_view::way::reply && !f.handshake &&
                         f.op == op_code::get_children2;
        return hit ? verdict::withhold() : verdict::pass();
    });
    const auto late = at.start(coati::remove_recursively(*at.zk, "/t").within(2s));
    at.until([&] { return late.done(); });
    CHECK(late.code() == errc::timed_out);
    CHECK(late.fate() == fate::maybe_applied);

    // A handle that does not wait for a connection hears of the loss itself.
    is_lost = false;
    at.server(0).release();
    REQUIRE(at.ask(at.zk->sync()));
    coati::options strict;
    strict.fail_fast = true;
    const auto hasty = at.start(coati::remove_recursively(at.zk->with(strict), "/t"));
    at.until([&] { return hasty.done(); });
    CHECK(hasty.code() == errc::connection_loss);
    CHECK(hasty.fate() == fate::maybe_applied);
}
