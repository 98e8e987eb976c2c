// What a slow observer of the session state gets: the newest steps, every ending, and a count.

#include "random.hpp"

#include <coati/protocol/state_log.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <deque>
#include <vector>

using coati::session_state;
using coati::state_change;
using coati::protocol::state_log;
using enum coati::session_state;

namespace {

std::vector<state_change> drain(state_log& log)
{
    std::vector<state_change> all;
    while (const auto change = log.pop()) {
        all.push_back(*change);
    }
    return all;
}

// `count` steps of an outage: connecting, disconnected, connecting, ...
void push_outage(state_log& log, std::size_t count, std::int64_t id = 1)
{
    for (std::size_t i = 0; i < count; ++i) {
        log.push(state_change(i % 2 == 0 ? connecting : disconnected, id));
    }
}

}  // namespace

TEST_CASE("a fast observer gets every change as it was", "[S17]")
{
    state_log log;
    CHECK(log.empty());
    CHECK(!log.pop());
    const std::vector<state_change> life = {
        state_change(connecting),       state_change(associating), state_change(connected, -5),
        state_change(disconnected, -5), state_change(expired, -5), state_change(connecting),
    };
    for (const state_change& change : life) {
        log.push(change);
        CHECK(!log.empty());
        CHECK(log.pop() == change);
        CHECK(log.empty());
    }
}

TEST_CASE("the last 64 changes are exact", "[S17]")
{
    state_log log;
    push_outage(log, state_log::exact);
    const auto all = drain(log);
    REQUIRE(all.size() == 64);
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(all[i] == state_change(i % 2 == 0 ? connecting : disconnected, 1));
    }
}

TEST_CASE("older ones are counted by the next that is delivered", "[S17]")
{
    state_log log;
    push_outage(log, 1000);
    CHECK(log.size() == 64);
    const auto all = drain(log);
    REQUIRE(all.size() == 64);
    CHECK(all.front().merged == 936);
    CHECK(all.back().state == disconnected);
    for (std::size_t i = 1; i < all.size(); ++i) {
        CHECK(all[i].merged == 0);
    }
}

TEST_CASE("endings are never left out, and the counts stand between them", "[S17]")
{
    state_log log;
    push_outage(log, 10, 1);
    log.push(state_change(expired, 1));
    push_outage(log, 20, 2);
    log.push(state_change(auth_failed, 2));
    push_outage(log, 3, 3);
    log.push(state_change(closed, 3));
    push_outage(log, 100, 4);

    const auto all = drain(log);
    REQUIRE(all.size() == 3 + 64);
    CHECK(all[0] == state_change(expired, 1, 10));
    CHECK(all[1] == state_change(auth_failed, 2, 20));
    CHECK(all[2] == state_change(closed, 3, 3));
    CHECK(all[3].merged == 36);
    CHECK(all[3].session_id == 4);
}

TEST_CASE("the same state is not queued twice, delivered or not", "[S17]")
{
    state_log log;
    log.push(state_change(connecting, 1));
    log.push(state_change(connecting, 1));
    CHECK(drain(log).size() == 1);
    log.push(state_change(connecting, 1));
    CHECK(log.empty());
    // The next session's is another matter.
    log.push(state_change(connecting, 2));
    CHECK(drain(log).size() == 1);
    log.push(state_change(disconnected, 2));
    log.push(state_change(connecting, 2));
    CHECK(drain(log).size() == 2);
}

TEST_CASE("nothing is lost unnoticed, however fast the observer reads", "[S17]")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        coati_test::seeded_random random(seed);
        state_log log;
        std::deque<state_change> pushed;
        std::uint64_t left_out = 0;
        session_state state = disconnected;
        std::int64_t id = 1;
        const std::uint64_t pace = 1 + random() % 8;
        const auto read = [&] {
            const auto got = log.pop();
            if (!got) {
                CHECK(pushed.empty());
                return;
            }
            for (std::uint64_t i = 0; i < got->merged; ++i, ++left_out) {
                REQUIRE(!pushed.empty());
                REQUIRE(!coati::is_terminal(pushed.front().state));
                REQUIRE(pushed.size() > state_log::exact);  // only what was too old
                pushed.pop_front();
            }
            REQUIRE(!pushed.empty());
            REQUIRE(got->state == pushed.front().state);
            REQUIRE(got->session_id == pushed.front().session_id);
            pushed.pop_front();
        };
        for (int step = 0; step < 600; ++step) {
            session_state to = state;
            while (!coati::is_legal_transition(state, to)) {
                to = static_cast<session_state>(random() % coati::session_state_count);
            }
            id += coati::is_terminal(state) ? 1 : 0;
            state = to;
            log.push(state_change(state, id));
            pushed.emplace_back(state, id);
            if (random() % pace == 0) {
                read();
            }
        }
        while (!log.empty()) {
            read();
        }
        CHECK(pushed.empty());
        CHECK((pace > 1 || left_out == 0));
    }
}
