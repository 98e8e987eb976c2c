// One server's copy of the tree: in step with the ensemble, or behind it.
//
// In step it shares the ensemble's state and has none of its own. It falls behind with a copy as it
// was, and applies there what it learns, when that is due.
#include "server_core.hpp"

#include <algorithm>
#include <utility>

namespace coati::testing {

void server_core::fall_behind()
{
    if (is_in_step()) {
        copy = std::make_shared<server_state>(*ensemble->head);
    }
}

void server_core::set_lag(duration by)
{
    lag_ = by;
    for (auto& each : behind_) {
        each.due = std::min(each.due, ensemble->time->now() + by);
    }
    if (by > duration::zero()) {
        fall_behind();
    } else {
        catch_up();
    }
}

void server_core::set_isolated(bool yes)
{
    if (isolated == yes) {
        return;
    }
    isolated = yes;
    if (yes) {
        get_lost(paused);
        fall_behind();
    }
    ensemble->look_again();
    if (!yes && !ensemble->options.elections) {
        join();
    }
}

/// The clock of those who wait for it runs from the first reason on.
void server_core::get_lost(bool is_lost_already)
{
    if (!is_lost_already) {
        out_of_reach_since = ensemble->time->now();
    }
}

void server_core::learn(const transaction& t, const outcome& done, const ticket& who)
{
    if (!is_alive()) {
        return;
    }
    if (is_in_step()) {
        finish(done, t, who);
        return;
    }
    behind_.push_back({t, who, ensemble->time->now() + lag_});
    catch_up();
}

void server_core::finish(const outcome& done, const transaction& t, const ticket& who)
{
    const auto asker = who.from.lock();
    const bool is_end = t.op == wire::op_code::close_session;
    if (!done.changes.empty() || is_end) {
        const auto all = connections;
        for (const auto& [number, each] : all) {
            each->hear(done.changes, t.zxid);
            if (is_end && each != asker && each->session() == t.session) {
                each->close();  // whoever ended it
            }
        }
    }
    if (asker && asker->server() == this) {
        asker->finish(done, t, who.xid);
    }
}

void server_core::ask(transaction t, ticket who)
{
    if (!ensemble->can_commit(*this)) {
        unasked_.push_back({std::move(t), std::move(who), {}});
    } else if (t.op == wire::op_code::sync) {
        ensemble->pass_through(std::move(t), who);
    } else {
        if (t.op == wire::op_code::close_session) {
            ensemble->forget(t.session);
        }
        ensemble->submit(std::move(t), who);
    }
}

void server_core::catch_up()
{
    const auto self = shared_from_this();
    while (!isolated && !behind_.empty() && behind_.front().due <= ensemble->time->now()) {
        const late next = std::move(behind_.front());
        behind_.pop_front();
        outcome done;
        if (next.t.op == wire::op_code::sync) {
            done.body = next.t.body;
        } else {
            done = copy->apply(next.t);
        }
        finish(done, next.t, next.who);
    }
    if (behind_.empty() && !isolated && lag_ == duration::zero()) {
        copy = ensemble->head;
    }
    const time_point when = behind_.empty() || isolated ? never : behind_.front().due;
    catching_up_.set(*ensemble, when, [this] { catch_up(); });
}

void server_core::join()
{
    if (!std::exchange(has_leader, true)) {
        drop_connections();  // of those who were served without one
        ensemble->forget_local_sessions(*this);
        behind_.clear();
        copy = ensemble->head;
        if (lag_ > duration::zero() || isolated) {
            fall_behind();
        }
    }
    catch_up();
    while (!unasked_.empty() && ensemble->can_commit(*this)) {
        late next = std::move(unasked_.front());
        unasked_.pop_front();
        if (ensemble->is_owner(next.t.session, next.who.from)) {
            ask(std::move(next.t), std::move(next.who));
        } else if (const auto old = next.who.from.lock()) {
            old->close();  // the session has ended or moved meanwhile
        }
    }
}

void server_core::leave()
{
    has_leader = false;
    unasked_.clear();
    drop_connections();
}

}  // namespace coati::testing
