// The stream of session states: exact for a scripted story, legal for ten thousand random ones, and
// never without an ending. Seeds that have failed are kept in seeds.txt and run again for ever.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::session_state;
using coati::state_change;
using std::chrono::milliseconds;

/// The steps that a client makes which knows no read-only servers; said here once more, since the
/// client itself is held to the table of session_state.hpp.
bool is_allowed(session_state from, session_state to)
{
    using enum session_state;
    static const std::set<std::pair<session_state, session_state>> steps{
        {disconnected, connecting},
        {connecting, associating},
        {connecting, disconnected},
        {associating, connected},
        {associating, disconnected},
        {associating, connecting},
        {connected, disconnected},
        {associating, expired},
        {connected, expired},
        {associating, auth_failed},
        {connected, auth_failed},
        {disconnected, closed},
        {connecting, closed},
        {associating, closed},
        {connected, closed},
        {disconnected, presumed_expired},
        {connecting, presumed_expired},
        {associating, presumed_expired},
        {presumed_expired, connected},
        {presumed_expired, expired},
        {presumed_expired, auth_failed},
        {presumed_expired, closed},
        {expired, connecting},
        {auth_failed, connecting},
        {closed, connecting},
    };
    return steps.contains({from, to});
}

/// Why this is no history of sessions; empty if it is one.
std::string complaint(const std::vector<state_change>& seen)
{
    std::set<std::int64_t> over;
    for (std::size_t i = 0; i < seen.size(); ++i) {
        if (over.contains(seen[i].session_id)) {
            return "session goes on after its end, step " + std::to_string(i);
        }
        if (coati::is_terminal(seen[i].state) && seen[i].session_id != 0) {
            over.insert(seen[i].session_id);
        }
        if (i > 0 && !is_allowed(seen[i - 1].state, seen[i].state)) {
            return std::string(coati::name(seen[i - 1].state)) + " -> " +
                   std::string(coati::name(seen[i].state)) + ", step " + std::to_string(i);
        }
    }
    return "";
}

// --- one random schedule

/// Faults at random moments of short sessions with a few writes; everything follows from the seed.
class schedule {
public:
    explicit schedule(std::uint64_t seed)
        : at(settings(seed), 1 + seed % 3, seed), states_(*at.zk), events_(3 + seed / 3 % 8)
    {
        at.in.fragment_reads(seed % 5 == 0);
    }

    /// What is wrong with it; empty if nothing is.
    std::string run()
    {
        run_again();
        for (std::size_t i = 0; i < events_; ++i) {
            if (pick(3) != 0) {
                write();
            }
            at.pass(std::chrono::microseconds(pick(4) == 0 ? pick(3'000'000) : pick(2'000)));
            misbehave();
        }
        heal();
        at.pass(1ms);
        if (run_.done()) {
            run_again();
        }
        // Not the connection alone: a stalled one looks alive until its read deadline.
        const auto settled = [this] {
            const auto done = [](const written& each) { return each.end.done(); };
            return run_.done() ||
                   (at.zk->is_connected() && std::all_of(writes_.begin(), writes_.end(), done));
        };
        if (!at.reaches(settled, 30s)) {
            return "neither connected nor over after healing";
        }
        at.pass(100ms);
        const std::string states = complaint(states_.seen);
        return states.empty() ? wrong_fate() : states;
    }

    /// How often the client came to this state.
    std::size_t times(session_state state) const
    {
        const auto all = states_.states();
        return static_cast<std::size_t>(std::count(all.begin(), all.end(), state));
    }
    std::size_t writes_in_doubt() const
    {
        return static_cast<std::size_t>(
            std::count_if(writes_.begin(), writes_.end(), [](const written& each) {
                return each.end.code() != errc{0} && each.end.fate() == fate::maybe_applied;
            }));
    }

    simulation at;

private:
    struct written {
        std::string path;
        answer<coati::created> end;
    };

    static coati::config settings(std::uint64_t seed)
    {
        coati::config c = plain_config(1 + seed % 3);
        c.session_timeout = 4s;
        c.close_wait = 1s;
        c.server_policy = coati::server_policy::random();
        c.reconnect_spread = milliseconds(seed % 2 * 100);
        return c;
    }

    std::size_t pick(std::size_t n) { return at.in.random() % n; }
    std::size_t any_server() { return pick(at.servers.size()); }

    void run_again() { run_ = at.start(at.zk->run(), stop_); }

    void write()
    {
        const std::string path = "/n" + std::to_string(writes_.size());
        writes_.push_back({path, at.start(at.zk->create(path, "x"))});
    }

    void misbehave()
    {
        const std::size_t i = any_server();
        switch (pick(18)) {
        case 0: return at.in.cut_all();
        case 1: return at.server(i).drop_connections();
        case 2: return with_connection([&](auto id) { at.in.reset(id); });
        case 3: return with_connection([&](auto id) { at.in.half_close(id, way()); });
        case 4: return with_connection([&](auto id) { at.in.stall(id, way()); });
        case 5:
            return with_connection(
                [&](auto id) { at.in.cut_after(id, way(), pick(200), pick(2) == 0); });
        case 6: return at.server(i).kill();
        case 7: return at.server(i).restart();
        case 8: return at.server(i).pause();
        case 9: return at.in.refuse(server_at(i));
        case 10: return at.in.black_hole(server_at(i));
        case 11: return at.ensemble.has_quorum(pick(2) == 0);
        case 12: return at.server(i).close_on_accept(pick(2) == 0);
        case 13: return at.ensemble.expire(at.zk->session().id);
        case 14: return at.server(i).inject("\xff\xff\xff\xff garbage");
        case 15: return heal();
        case 16:
            if (pick(4) == 0) {
                at.start(at.zk->close());
            }
            return;
        default:
            if (run_.done()) {
                run_again();
            } else if (pick(4) == 0) {
                stop_.emit(asio::cancellation_type::terminal);
            }
        }
    }

    template <class F>
    void with_connection(F f)
    {
        if (const auto all = at.in.connections(); !all.empty()) {
            f(all[pick(all.size())].id);
        }
    }
    direction way() { return pick(2) == 0 ? direction::to_server : direction::to_client; }

    void heal()
    {
        at.ensemble.has_quorum(true);
        for (std::size_t i = 0; i < at.servers.size(); ++i) {
            at.server(i).kill();
            at.server(i).restart();
            at.server(i).resume();
            at.server(i).close_on_accept(false);
            at.in.allow(server_at(i));
        }
    }

    /// Every write has ended once, with a fate that the tree does not contradict.
    std::string wrong_fate()
    {
        for (const written& each : writes_) {
            if (each.end.completed() != 1) {
                return each.path + " completed " + std::to_string(each.end.completed()) + " times";
            }
            const bool is_there = at.ensemble.exists(each.path);
            const fate said = each.end.code() == errc{0} ? fate::applied : each.end.fate();
            const bool wrong =
                said == fate::applied ? !is_there : said != fate::maybe_applied && is_there;
            if (wrong) {
                return each.path + " was said to be " + std::string(coati::name(said));
            }
        }
        return "";
    }

    state_recorder states_;
    std::size_t events_;
    std::vector<written> writes_;
    asio::cancellation_signal stop_;
    answer<void> run_;
};

std::vector<std::uint64_t> kept_seeds()
{
    std::ifstream file(COATI_TEST_DIR "/engine/seeds.txt");
    REQUIRE(file);
    std::vector<std::uint64_t> seeds;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') {
            seeds.push_back(std::stoull(line));
        }
    }
    return seeds;
}

}  // namespace

TEST_CASE("a scripted story is seen exactly, by slow observers too", "[S1][T66][C15][C40][states]")
{
    using enum session_state;
    simulation at;
    const auto slow = at.zk->states();
    state_recorder fast(*at.zk);
    state_recorder also(*at.zk);
    std::vector<state_change> lazy;
    const auto sluggard = [&](coati::client zk) -> asio::awaitable<void> {
        const auto stream = zk.states();
        for (;;) {
            const auto next = co_await stream.next();
            if (!next) {
                co_return;
            }
            lazy.push_back(*next);
            if (!co_await zk.sleep_for(700ms)) {
                co_return;
            }
        }
    };
    asio::co_spawn(at.zk->get_executor(), sluggard(*at.zk), [](std::exception_ptr) {});
    at.in.settle();
    at.server(0).on_frame(
        [](const frame_view& f) { return f.handshake ? verdict::withhold() : verdict::pass(); });
    const auto run = at.start(at.zk->run());
    at.pass(2s);
    CHECK(fast.states() == std::vector{disconnected, connecting, associating});
    at.server(0).on_frame(nullptr);
    at.server(0).release();
    at.until([&] { return at.zk->is_connected(); });
    const auto id = at.zk->session().id;
    at.in.cut_all();
    at.until([&] { return at.zk->is_connected() && at.connections_made() == 2; });
    at.server(0).expire(id);
    at.until([&] { return run.done(); });
    at.pass(1min);

    const std::vector<state_change> story{
        state_change(disconnected),     state_change(connecting),
        state_change(associating),      state_change(connected, id),
        state_change(disconnected, id), state_change(connecting, id),
        state_change(associating, id),  state_change(connected, id),
        state_change(disconnected, id), state_change(connecting, id),
        state_change(associating, id),  state_change(expired, id)};
    CHECK(fast.seen == story);
    CHECK(also.seen == story);
    CHECK(lazy == story);
    for (const state_change& each : story) {
        const auto next = at.ask(slow.next());
        REQUIRE(next);
        CHECK(*next == each);
    }
}

TEST_CASE("ten thousand random faults make no illegal step and tell no wrong fate",
          "[S2][T46][T23][C20][C50][states]")
{
    const char* const chosen = std::getenv("COATI_SEED");
    const std::uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    std::size_t connected = 0;
    std::size_t expired = 0;
    std::size_t closed = 0;
    std::size_t doubts = 0;
    for (std::uint64_t seed = first; seed < first + 10'000; ++seed) {
        schedule story(seed);
        const std::string wrong = story.run();
        if (!wrong.empty()) {
            FAIL("seed " << seed << ": " << wrong << "; keep it in test/engine/seeds.txt");
        }
        connected += story.times(session_state::connected);
        expired += story.times(session_state::expired);
        closed += story.times(session_state::closed);
        doubts += story.writes_in_doubt();
    }
    // They do meet what they are made to meet.
    CHECK(connected > 20'000);
    CHECK(expired > 1'000);
    CHECK(closed > 1'000);
    CHECK(doubts > 1'000);
}

TEST_CASE("seeds that have failed once pass", "[S2][states]")
{
    for (const std::uint64_t seed : kept_seeds()) {
        INFO("seed " << seed);
        CHECK(schedule(seed).run() == "");
    }
}

TEST_CASE("the same seed is the same story, client included", "[states]")
{
    const auto story = [](std::uint64_t seed) {
        schedule s(seed);
        CHECK(s.run() == "");
        return s.at.in.trace_hash();
    };
    CHECK(story(42) == story(42));
    CHECK(story(42) != story(43));
}

TEST_CASE("one stream spans sessions, and ends with the last handle", "[S17][C40][C95][states]")
{
    using enum session_state;
    simulation at;
    std::optional<state_recorder> states;
    states.emplace(*at.zk);
    for (int i = 0; i < 3; ++i) {
        const auto run = at.connect();
        at.in.cut_all();
        at.in.settle();
        REQUIRE(at.ask(at.zk->connected()));
        if (i == 1) {
            REQUIRE(at.ask(at.zk->close()));
        } else {
            at.ensemble.expire(at.zk->session().id);
        }
        at.until([&] { return run.done(); });
    }
    at.in.settle();
    CHECK(complaint(states->seen).empty());
    std::vector<session_state> ends;
    std::set<std::int64_t> ids;
    for (const state_change& each : states->seen) {
        CHECK(each.merged == 0);
        ids.insert(each.session_id);
        if (coati::is_terminal(each.state)) {
            ends.push_back(each.state);
        }
    }
    CHECK(ends == std::vector{expired, closed, expired});
    CHECK(ids.size() == 4);  // three, and the time before the first

    const auto waiting = states->seen.size();
    std::optional<coati::client> last(at.zk->chroot("/app"));
    at.zk.reset();
    at.in.settle();
    CHECK_FALSE(states->end);
    last.reset();
    at.in.settle();
    REQUIRE(states->end);
    CHECK(*states->end == errc::closed);
    CHECK(states->seen.size() == waiting);
}

TEST_CASE("a reader that is asleep misses steps in the middle, counted, and no ending",
          "[S17][T66][states]")
{
    simulation at;
    const auto asleep = at.zk->states();
    state_recorder awake(*at.zk);
    for (int i = 0; i < 40; ++i) {
        const auto run = at.connect();
        at.in.cut_all();
        at.in.settle();
        REQUIRE(at.ask(at.zk->connected()));
        at.ensemble.expire(at.zk->session().id);
        at.until([&] { return run.done(); });
    }
    const auto all = awake.seen;
    std::vector<state_change> seen;
    std::size_t merged = 0;
    do {
        const auto next = at.ask(asleep.next());
        REQUIRE(next);
        seen.push_back(*next);
        merged += next->merged;
    } while (seen.back() != all.back());
    CHECK(seen.size() < all.size());
    CHECK(seen.size() + merged == all.size());
    const auto endings = [](const std::vector<state_change>& from) {
        return std::count_if(from.begin(), from.end(),
                             [](const state_change& c) { return coati::is_terminal(c.state); });
    };
    CHECK(endings(all) == 40);
    CHECK(endings(seen) == 40);
    // The newest are exact.
    CHECK(std::equal(seen.end() - 64, seen.end(), all.end() - 64,
                     [](const auto& a, const auto& b) { return a.state == b.state; }));
}

TEST_CASE("a stream has one waiter at a time, and a cancelled wait loses nothing", "[S17][states]")
{
    simulation at;
    const auto states = at.zk->states();
    CHECK(at.ask(states.next())->state == session_state::disconnected);
    asio::cancellation_signal stop;
    const auto waiting = at.start(states.next(), stop);
    CHECK(at.ask(states.next()).error() == errc::already_waiting);
    stop.emit(asio::cancellation_type::total);
    at.in.settle();
    CHECK(waiting.code() == errc::cancelled);
    const auto run = at.start(at.zk->run());
    at.pass(1s);
    CHECK(at.ask(states.next())->state == session_state::connecting);
    CHECK(at.ask(states.next())->state == session_state::associating);
    CHECK(at.ask(states.next())->state == session_state::connected);
}

TEST_CASE("is_connected and is_alive are Java's, state by state", "[S34][states]")
{
    using enum session_state;
    struct row {
        session_state state;
        bool alive;  // of org.apache.zookeeper.ZooKeeper.States
        bool connected;
    };
    for (const row& each : {row{disconnected, true, false},     // NOT_CONNECTED
                            {connecting, true, false},          // CONNECTING
                            {associating, true, false},         // ASSOCIATING
                            {connected, true, true},            // CONNECTED
                            {connected_read_only, true, true},  // CONNECTEDREADONLY
                            {expired, false, false},            // CLOSED
                            {closed, false, false},             // CLOSED
                            {auth_failed, false, false}}) {     // AUTH_FAILED
        CHECK(coati::is_alive(each.state) == each.alive);
        CHECK(coati::is_connected(each.state) == each.connected);
    }
    // The handle agrees with the stream at every step.
    simulation at;
    int steps = 0;
    const auto states = at.zk->states();
    const std::function<void(coati::result<state_change>)> on_state =
        [&](coati::result<state_change> r) {
            if (r) {
                ++steps;
                CHECK(at.zk->is_connected() == coati::is_connected(r->state));
                states.next()([&](auto next) { on_state(std::move(next)); });
            }
        };
    states.next()([&](auto next) { on_state(std::move(next)); });
    at.in.settle();
    const auto run = at.connect();
    at.in.cut_all();
    at.in.settle();
    REQUIRE(at.ask(at.zk->connected()));
    REQUIRE(at.ask(at.zk->close()));
    at.in.settle();
    CHECK(steps == 9);
}
