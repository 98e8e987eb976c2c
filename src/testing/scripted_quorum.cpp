// Who leads the scripted ensemble, who follows, and who is on its own.
//
// A server is *reachable* for the others while it runs and is neither paused nor isolated, and
// *present* for `peer_timeout` longer: that is how long the others wait for it. Everything is
// decided by looking at these, again whenever something has changed.
#include "server_core.hpp"

#include <algorithm>

namespace coati::testing {

bool ensemble_core::is_reachable(const server_core& s) const
{
    return s.is_alive() && !s.paused && !s.isolated;
}

bool ensemble_core::is_present(const server_core& s) const
{
    return s.is_alive() &&
           (is_reachable(s) || time->now() < s.out_of_reach_since + options.peer_timeout);
}

bool ensemble_core::is_majority(bool (ensemble_core::*test)(const server_core&) const) const
{
    std::size_t voters = 0;
    std::size_t yes = 0;
    for (const auto& each : live_servers()) {
        voters += each->is_observer ? 0 : 1;
        yes += !each->is_observer && (this->*test)(*each) ? 1 : 0;
    }
    return yes > voters / 2;
}

bool ensemble_core::is_leading() const
{
    const auto first = leader.lock();
    return first && is_reachable(*first) && is_majority(&ensemble_core::is_reachable);
}

bool ensemble_core::can_commit(const server_core& from) const
{
    return from.serves() && (!options.elections || (is_leading() && is_reachable(from)));
}

std::string_view ensemble_core::role_of(const server_core& server) const
{
    if (!server.serves()) {
        return "read-only";
    }
    if (servers.size() == 1) {
        return "standalone";
    }
    if (server.is_observer) {
        return "observer";
    }
    return leader.lock().get() == &server ? "leader" : "follower";
}

void ensemble_core::has_quorum(bool yes)
{
    const bool changed = quorum != yes;
    quorum = yes;
    std::erase_if(sessions, [this](const auto& each) {
        return each.second.is_local && !options.local_sessions;
    });
    if (changed) {
        for (const auto& server : live_servers()) {
            server->drop_connections();
        }
    }
    restart_clocks();
}

void ensemble_core::add(const std::shared_ptr<server_core>& server)
{
    server->start();  // may throw, and nothing has happened then
    const bool is_first = live_servers().empty();
    servers.push_back(server);
    head->set_standalone(servers.size() == 1);
    if (is_first) {
        leader = server;
    }
    server->has_leader = !leader.expired();
    look_again();
}

void ensemble_core::look_again()
{
    if (!options.elections) {
        return;
    }
    const auto all = live_servers();
    for (const auto& each : all) {
        if (each->is_alive() && each->has_leader && !is_present(*each)) {
            each->leave();
        }
    }
    const auto first = leader.lock();
    if (first && !(is_present(*first) && is_majority(&ensemble_core::is_present))) {
        lose_leader();
    }
    if (!leader.expired()) {
        for (const auto& each : all) {
            if (is_reachable(*each)) {
                each->join();
            }
        }
        watch_deadlines();
    } else if (!is_electing_ && is_majority(&ensemble_core::is_reachable)) {
        is_electing_ = true;
        election_.set(*this, time->now() + options.election_time, [this] { elect(); });
    }
    time_point next = never;
    for (const auto& each : all) {
        const auto end = each->out_of_reach_since + options.peer_timeout;
        if (is_present(*each) && !is_reachable(*each)) {
            next = std::min(next, end);
        }
    }
    quorum_check_.set(*this, next, [this] { look_again(); });
}

void ensemble_core::lose_leader()
{
    leader.reset();
    for (const auto& each : live_servers()) {
        each->leave();
    }
}

void ensemble_core::elect()
{
    is_electing_ = false;
    if (is_majority(&ensemble_core::is_reachable)) {
        for (const auto& each : live_servers()) {
            if (!each->is_observer && is_reachable(*each)) {
                leader = each;  // of equals the last one, as by the highest id
            }
        }
        constexpr int epoch_bits = 32;
        head->set_zxid(((head->zxid() >> epoch_bits) + 1) << epoch_bits);
        restart_clocks();
    }
    look_again();
}

}  // namespace coati::testing
