// The table of fates in docs/explanation/failure-semantics.md, cell by cell, in virtual time: what
// each failure does to an ephemeral and to each kind of watch. The real servers' side of it is in
// test/integration/fate_table_test.cpp.

#include "support.hpp"

#include "support/fate_table.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <utility>

namespace {

using namespace coati::test;
using coati::errc;
using coati::event_type;
using coati::session_state;
using coati::stream_event;
using coati::watch_stream;

constexpr auto whole = 10s;  // the session timeout

/// One failure, and what is there to be harmed by it: of each kind of watch one on a znode that
/// nobody touches, and one on a znode that somebody changes while the client cannot see it.
class scene {
public:
    scene() : at(3)
    {
        run = at.start(at.zk->run(), stop);
        REQUIRE(at.ask(at.zk->connected()));
        session_ = at.zk->session().id;
        made_ = at.ask(at.zk->create("/mine", "", coati::create_mode::ephemeral)).value().zxid;
        for (const std::string where : {"/still", "/changed"}) {
            at.ensemble.put("/data" + where, "");
            at.ensemble.put("/child" + where, "");
            at.ensemble.put("/persistent" + where, "");
            data.push_back(at.ask(at.zk->get_and_watch("/data" + where)).value().watch);
            child.push_back(at.ask(at.zk->children_and_watch("/child" + where)).value().watch);
            exist.push_back(at.ask(at.zk->exists_and_watch("/exist" + where)).value().watch);
            streams.push_back(at.ask(at.zk->watch("/persistent" + where)).value());
        }
        REQUIRE(watches() == 8);
        before_ = at.connections_made();
    }

    /// Connections since then.
    std::size_t reconnects() const { return at.connections_made() - before_; }

    void change()
    {
        at.ensemble.put("/data/changed", "x");
        at.ensemble.put("/child/changed/c", "");
        at.ensemble.put("/exist/changed", "");
        at.ensemble.put("/persistent/changed", "x");
    }
    /// What exists for a moment only is never seen by a client that has no connection.
    void come_and_go()
    {
        at.ensemble.put("/exist/still", "");
        at.ensemble.remove("/exist/still");
    }

    /// The client reaches nobody, and nobody reaches it. It is told nothing of that.
    void cut_off()
    {
        for (const auto& each : at.in.connections()) {
            at.in.stall(each.id, direction::to_server);
            at.in.stall(each.id, direction::to_client);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            at.in.refuse(server_at(i));
        }
    }
    void heal()
    {
        for (const auto& each : at.in.connections()) {
            at.in.unstall(each.id, direction::to_server);
            at.in.unstall(each.id, direction::to_client);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            at.in.allow(server_at(i));
        }
    }

    std::size_t watches()
    {
        return at.server(0).watches() + at.server(1).watches() + at.server(2).watches();
    }

    /// What became of everything, as the table has it. The client is connected, or has ended.
    fates observe()
    {
        if (!run.done()) {
            REQUIRE(at.ask(at.zk->connected()));
            REQUIRE(at.ask(at.zk->sync()));
            CHECK(at.zk->session().id == session_);
        }
        fates seen;
        seen["ephemeral"] = of_ephemeral();
        std::vector<std::string> before;  // of the streams: before anything is changed for this
        for (watch_stream& each : streams) {
            before.push_back(first_of(each));
        }
        const std::vector<bool> armed = armed_before();
        // Whatever is said to be kept has to prove it: one more change, one event.
        at.ensemble.put("/data/still", "y");
        at.ensemble.put("/child/still/d", "");
        at.ensemble.put("/exist/still", "");
        at.ensemble.put("/persistent/still", "y");
        at.ensemble.put("/persistent/changed", "y");
        seen["data watch"] = fate_of_both(of_watch(data[0], armed[0], event_type::data_changed),
                                          of_watch(data[1], armed[1], event_type::data_changed));
        seen["child watch"] =
            fate_of_both(of_watch(child[0], armed[2], event_type::children_changed),
                         of_watch(child[1], armed[3], event_type::children_changed));
        seen["exist watch"] = fate_of_both(of_watch(exist[0], armed[4], event_type::created),
                                           of_watch(exist[1], armed[5], event_type::created));
        seen["persistent watch"] =
            fate_of_both(of_stream(streams[0], before[0]), of_stream(streams[1], before[1]));
        return seen;
    }

    simulation at;
    asio::cancellation_signal stop;
    answer<void> run;
    std::vector<coati::watch> data, child, exist;
    std::vector<watch_stream> streams;

private:
    std::string of_ephemeral()
    {
        if (!at.ensemble.exists("/mine")) {
            return "deleted";
        }
        CHECK(at.ensemble.ephemeral_owner("/mine") == session_);
        if (!run.done()) {
            CHECK(at.ask(at.zk->exists("/mine")).value().value().czxid == made_);
        }
        return "kept";
    }
    std::vector<bool> armed_before() const
    {
        std::vector<bool> all;
        for (const auto* const kind : {&data, &child, &exist}) {
            for (const coati::watch& each : *kind) {
                all.push_back(each.is_armed());
            }
        }
        return all;
    }
    std::string ended(const coati::error& how)
    {
        CHECK(how.code() == run.code());
        if (how.code() == errc::session_dropped) {
            return watches() == 0 ? "gone" : "left on a server";
        }
        return how.code() == errc::session_expired ? "ended" : std::string(name(how.code()));
    }
    std::string of_watch(const coati::watch& w, bool was_armed, event_type expected)
    {
        const auto told = at.ask(w.next().within(1s));
        if (!told) {
            return ended(told.error());
        }
        CHECK(told->type == expected);
        CHECK(at.ask(w.next()).error().code() == errc::watch_ended);  // exactly once
        return was_armed ? "kept" : "fired";
    }
    /// What a stream has, without a change to hear of: nothing, a gap, an event, or its end.
    std::string first_of(watch_stream& s)
    {
        const auto told = at.ask(s.next().within(1ms));
        if (!told) {
            return told.error().code() == errc::timed_out ? "kept" : ended(told.error());
        }
        CHECK((told->is_gap() || told->type == event_type::data_changed));
        return told->is_gap() ? "gap" : "fired";
    }
    std::string of_stream(watch_stream& s, const std::string& before)
    {
        if (before != "ended" && before != "gone") {
            const auto live = at.ask(s.next().within(1s));
            REQUIRE(live);
            CHECK(live->type == event_type::data_changed);
            CHECK(s.unread() == 0);
        }
        return before;
    }

    std::int64_t session_ = 0;
    std::int64_t made_ = 0;
    std::size_t before_ = 0;
};

}  // namespace

TEST_CASE("the table of fates has every failure and everything that it can harm", "[S16][fates]")
{
    const auto table = fate_table(COATI_TEST_DIR);
    std::set<std::string> failures;
    for (const auto& [failure, row] : table) {
        failures.insert(failure);
        std::set<std::string> harmed;
        for (const auto& [what, fate] : row) {
            harmed.insert(what);
            CHECK_FALSE(fate.empty());
        }
        CHECK(harmed == std::set<std::string>{"ephemeral", "data watch", "child watch",
                                              "exist watch", "persistent watch"});
    }
    CHECK(failures == std::set<std::string>{"the application crashes", "silence that TCP outlives",
                                            "cut off for less than T", "cut off for more than T",
                                            "its server crashes", "the ensemble restarts"});
}

TEST_CASE("fates: the application crashes", "[S14][S16][fates]")
{
    scene on;
    const auto last = on.at.in.now();
    on.stop.emit(asio::cancellation_type::terminal);  // TCP is dropped, nothing is said
    on.at.pass(whole - 1s - (on.at.in.now() - last));
    CHECK(on.at.ensemble.exists("/mine"));
    on.change();
    on.at.pass(2s);
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "the application crashes"));
}

TEST_CASE("fates: a silence that TCP outlives", "[S16][fates]")
{
    scene on;
    on.cut_off();
    on.at.pass(whole / 2);
    on.change();
    on.heal();
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "silence that TCP outlives"));
    CHECK(on.reconnects() == 0);
}

TEST_CASE("fates: the client is cut off for less than the session timeout", "[S10][S16][fates]")
{
    scene on;
    on.cut_off();
    on.at.until([&] { return !on.at.zk->is_connected(); }, whole * 2 / 3 + 1s);
    on.change();
    on.come_and_go();
    on.heal();
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "cut off for less than T"));
    CHECK(on.reconnects() == 1);
}

TEST_CASE("fates: the client is cut off for more than the session timeout",
          "[S11][S12][S16][fates]")
{
    scene on;
    on.cut_off();
    on.at.pass(whole / 2);
    on.change();
    on.come_and_go();
    on.at.pass(whole);
    // Only the server can say so, and it cannot be asked.
    CHECK_FALSE(on.run.done());
    CHECK(on.data[0].is_armed());
    CHECK_FALSE(on.streams[0].end());
    CHECK_FALSE(on.at.ensemble.exists("/mine"));
    on.heal();
    on.at.until([&] { return on.run.done(); });
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "cut off for more than T"));
}

TEST_CASE("fates: the server of the session crashes", "[S15][S16][fates]")
{
    scene on;
    on.at.in.refuse(server_at(1));
    on.at.in.refuse(server_at(2));
    on.at.server(0).kill();
    on.at.until([&] { return !on.at.zk->is_connected(); });
    on.change();
    on.come_and_go();
    on.heal();
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "its server crashes"));
    CHECK(on.at.zk->session().server.address != server_at(0).address);
}

TEST_CASE("fates: the whole ensemble restarts", "[S13][S16][fates]")
{
    scene on;
    on.at.ensemble.has_quorum(false);
    for (auto& each : on.at.servers) {
        each->kill();
    }
    on.at.pass(3 * whole);
    CHECK_FALSE(on.run.done());
    on.change();
    on.come_and_go();
    on.at.ensemble.has_quorum(true);
    for (auto& each : on.at.servers) {
        each->restart();
    }
    CHECK(in_words(on.observe()) == documented(COATI_TEST_DIR, "the ensemble restarts"));
}
