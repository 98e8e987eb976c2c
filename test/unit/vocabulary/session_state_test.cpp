// The states of a session: which steps are legal, and that they answer as Java's states do.

#include <coati/session_state.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using coati::session_state;
using enum coati::session_state;

namespace {

std::vector<session_state> all_states()
{
    std::vector<session_state> all;
    for (std::size_t i = 0; i < coati::session_state_count; ++i) {
        all.push_back(static_cast<session_state>(i));
    }
    return all;
}

bool legal_path(const std::vector<session_state>& path)
{
    for (std::size_t i = 1; i < path.size(); ++i) {
        if (!coati::is_legal_transition(path[i - 1], path[i])) {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("is_alive and is_connected answer as Java's states do", "[S34]")
{
    struct row {
        session_state ours;
        std::string_view java;
        bool alive;
        bool connected;
    };
    // The columns are those of org.apache.zookeeper.ZooKeeper.States.
    const std::vector<row> rows = {
        {disconnected, "NOT_CONNECTED", true, false},
        {connecting, "CONNECTING", true, false},
        {associating, "ASSOCIATING", true, false},
        {connected, "CONNECTED", true, true},
        {connected_read_only, "CONNECTEDREADONLY", true, true},
        {presumed_expired, "CONNECTING", true, false},
        {expired, "CLOSED", false, false},
        {auth_failed, "AUTH_FAILED", false, false},
        {closed, "CLOSED", false, false},
    };
    std::set<session_state> ours;
    std::set<std::string_view> java;
    for (const row& r : rows) {
        CAPTURE(coati::name(r.ours), r.java);
        CHECK(coati::is_alive(r.ours) == r.alive);
        CHECK(coati::is_connected(r.ours) == r.connected);
        CHECK(coati::is_terminal(r.ours) != r.alive);
        ours.insert(r.ours);
        java.insert(r.java);
    }
    CHECK(ours.size() == coati::session_state_count);
    CHECK(java.size() == 7);
}

TEST_CASE("a state has its own name")
{
    std::set<std::string_view> names;
    for (const session_state s : all_states()) {
        CHECK(coati::name(s) != "unknown");
        CHECK(names.insert(coati::name(s)).second);
    }
    CHECK(coati::name(disconnected) == "disconnected");
    CHECK(coati::name(connected_read_only) == "connected_read_only");
    CHECK(coati::name(closed) == "closed");
    CHECK(coati::name(static_cast<session_state>(200)) == "unknown");
}

TEST_CASE("the lives of sessions are legal")
{
    CHECK(legal_path({disconnected, connecting, associating, connected, closed}));
    CHECK(legal_path({disconnected, connecting, disconnected, connecting, associating, connected}));
    CHECK(legal_path({connecting, associating, connecting, associating, connected}));
    CHECK(legal_path({connected, disconnected, connecting, associating, expired, connecting}));
    CHECK(legal_path({connected_read_only, disconnected, connecting, associating, connected}));
    CHECK(legal_path({connecting, presumed_expired, connected, disconnected}));
    CHECK(legal_path({disconnected, presumed_expired, expired, disconnected, connecting}));
    CHECK(legal_path({associating, auth_failed, disconnected}));
    CHECK(legal_path({connected, auth_failed}));
    CHECK(legal_path({disconnected, closed}));
    CHECK(legal_path({connecting, closed, connecting}));
}

TEST_CASE("steps that would hide something are illegal")
{
    // Nobody is connected without a handshake, or changes servers without a loss.
    for (const session_state from : {disconnected, connecting, connected, connected_read_only}) {
        CAPTURE(coati::name(from));
        CHECK(!coati::is_legal_transition(from, connected));
        CHECK(!coati::is_legal_transition(from, connected_read_only));
    }
    CHECK(!coati::is_legal_transition(connected, connecting));
    CHECK(!coati::is_legal_transition(connected, associating));
    CHECK(!coati::is_legal_transition(connected, presumed_expired));
    CHECK(!coati::is_legal_transition(disconnected, associating));
    // A presumption is not forgotten while attempts go on.
    CHECK(!coati::is_legal_transition(presumed_expired, connecting));
    CHECK(!coati::is_legal_transition(presumed_expired, disconnected));
}

TEST_CASE("terminal states lead to a new session only, staying is no step")
{
    for (const session_state from : all_states()) {
        bool a_way_out = false;
        for (const session_state to : all_states()) {
            CAPTURE(coati::name(from), coati::name(to));
            const bool legal = coati::is_legal_transition(from, to);
            a_way_out = a_way_out || legal;
            if (coati::is_terminal(from)) {
                CHECK(legal == (to == disconnected || to == connecting));
            } else {
                CHECK((to != closed || legal));  // close is possible in every state
            }
            CHECK(!(from == to && legal));
        }
        CHECK(a_way_out);
    }
    const auto nonsense = static_cast<session_state>(99);
    CHECK(!coati::is_legal_transition(nonsense, closed));
    CHECK(!coati::is_legal_transition(connected, nonsense));
    STATIC_CHECK(coati::is_legal_transition(connected, expired));
    STATIC_CHECK(!std::is_aggregate_v<coati::state_change>);
}
