// The work of a view: the list of the service's znodes and each of their data, read by the requests
// that watch for the next change, from session to session.
//
// Level triggered: what has changed is read again, and what is shown is what was read last. Each
// connection begins with a read of the list, since only an answer that came behind the events of
// what was missed tells that nothing is missing any more.

#include "client_one_reader.hpp"
#include "last_handle.hpp"
#include "service_view_state.hpp"
#include "sessions.hpp"

#include <coati/compose.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <algorithm>

namespace coati {

namespace detail {

void view_state::on_connection(bool is_there)
{
    if (is_there) {
        ++turns;
        needs_list = true;
        list_at = {};
    }
    const bool was_live = status() == view_status::live;
    is_connected = is_there;
    is_synced = false;
    if (was_live) {
        // The last moment for which a server has answered that we had heard everything.
        const auto proved = zk.proved_until();
        const auto last = proved ? *proved - zk.negotiated_timeout() : zk.now();
        stale_from = std::min(zk.now(), last);
    }
    changed();
}

void view_state::forget_session()
{
    needs_list = true;
    list_at = {};
    list_arms = 0;
    list_armed.reset();
    for (const auto& [id, e] : entries) {
        e->needs_look = true;
        e->retry_at = {};
        e->arms = 0;
        e->armed.reset();
    }
    is_synced = false;
    changed();
}

void view_state::arm(const view_entry_ptr& e, watch w)
{
    const std::uint64_t mine = ++arms_;
    e->arms = mine;
    auto wait = w.next();
    e->armed = std::move(w);
    auto fired = [weak = weak_from_this(), of = std::weak_ptr(e), mine](const result<event>&) {
        const auto self = weak.lock();
        const auto entry = of.lock();
        if (self && entry && entry->arms == mine) {
            entry->needs_look = true;
            self->changed();
        }
    };
    std::move(wait)(boost::asio::bind_executor(zk.get_executor(), std::move(fired)));
}

void view_state::arm_list(watch w)
{
    const std::uint64_t mine = ++arms_;
    list_arms = mine;
    auto wait = w.next();
    list_armed = std::move(w);
    auto fired = [weak = weak_from_this(), mine](const result<event>&) {
        const auto self = weak.lock();
        if (self && self->list_arms == mine) {
            self->needs_list = true;
            self->changed();
        }
    };
    std::move(wait)(boost::asio::bind_executor(zk.get_executor(), std::move(fired)));
}

time_point view_state::back_off_from(std::size_t failures) const
{
    return zk.now() + back_off().delay(failures, random_number(zk));
}

namespace {

using boost::asio::awaitable;

constexpr std::size_t reads_at_a_time = 16;

/// The error ends the session or the operation; it is not the znode's own.
bool ends_view(const error& e) noexcept
{
    return e.session_lost() || e == errc::cancelled;
}

void take_list(view_state& v, const std::vector<std::string>& names)
{
    const std::map<std::string_view, bool> there = [&] {
        std::map<std::string_view, bool> all;
        for (const std::string& each : names) {
            all.emplace(each, true);
        }
        return all;
    }();
    std::erase_if(v.entries, [&](const auto& each) { return !there.contains(each.first); });
    for (const std::string& each : names) {
        view_entry_ptr& entry = v.entries[each];
        if (!entry) {
            entry = std::make_shared<view_entry>(each);
        }
    }
}

/// There is no such service yet: its znode is waited for.
awaitable<result<void>> wait_for_service(view_ptr v, client zk)
{
    auto look = zk.exists_and_watch(v->dir);
    result<watched_existence> seen = co_await std::move(look);
    if (!seen) {
        co_return seen.error();
    }
    if (seen->stat) {
        v->needs_list = true;  // it has just been made
        co_return success();
    }
    v->arm_list(std::move(seen->watch));
    take_list(*v, {});
    co_return success();
}

awaitable<result<void>> read_list(view_ptr v, client zk)
{
    v->needs_list = false;
    const std::uint64_t turn = v->turns;
    auto list = zk.children_and_watch(v->dir);
    result<watched_children> all = co_await std::move(list);
    result<void> done = all ? result<void>(success()) : result<void>(all.error());
    if (all) {
        v->arm_list(std::move(all->watch));
        take_list(*v, all->names);
    } else if (all.error() == errc::no_node) {
        auto wait = wait_for_service(v, zk);
        done = co_await std::move(wait);
    }
    if (done) {
        v->list_failures = 0;
        v->listed_turn = turn;
        v->changed();
        co_return success();
    }
    v->needs_list = true;
    if (ends_view(done.error())) {
        co_return done.error();
    }
    v->list_at = v->back_off_from(++v->list_failures);  // no_auth
    co_return success();
}

void take_instance(const view_state& v, view_entry& e, const watched_data& seen)
{
    auto read = decode_by(service_codec(), seen.data);
    e.shown.reset();
    e.why.reset();
    if (!read) {
        e.why = read.why();
        return;
    }
    const bool is_other = !read->id.empty() && read->id != e.id;
    if (is_other) {
        e.why = "\"id\" is not the name of the znode";
        return;
    }
    auto shown = std::make_shared<shown_instance>();
    shown->instance = *std::move(read);
    shown->instance.id = e.id;
    if (shown->instance.service.empty()) {
        shown->instance.service = v.service;
    }
    shown->czxid = seen.stat.czxid;
    shown->mzxid = seen.stat.mzxid;
    e.shown = std::move(shown);
}

awaitable<result<void>> read_instance(view_ptr v, view_entry_ptr e, client zk)
{
    e->needs_look = false;
    auto look = zk.get_and_watch(v->dir + "/" + e->id);
    result<watched_data> seen = co_await std::move(look);
    if (seen) {
        e->failures = 0;
        v->arm(e, std::move(seen->watch));
        take_instance(*v, *e, *seen);
        v->changed();
        co_return success();
    }
    if (seen.error() == errc::no_node) {
        v->entries.erase(e->id);  // should it come again, the list's watch tells
        v->changed();
        co_return success();
    }
    e->needs_look = true;
    if (ends_view(seen.error())) {
        co_return seen.error();
    }
    e->shown.reset();
    e->why = std::string(name(seen.error().code()));
    e->retry_at = v->back_off_from(++e->failures);
    v->changed();
    co_return success();
}

awaitable<result<void>> read_instances(view_ptr v, std::vector<view_entry_ptr> due, client zk)
{
    std::vector<operation<void>> all;
    all.reserve(due.size());
    for (const view_entry_ptr& e : due) {
        all.push_back(compose<void>(
            zk, [v, e](const client& session) { return read_instance(v, e, session); }));
    }
    auto group = boost::asio::experimental::make_parallel_group(std::move(all));
    auto done =
        co_await group.async_wait(boost::asio::experimental::wait_for_all(), boost::asio::deferred);
    for (const result<void>& each : std::get<1>(done)) {
        if (!each) {
            co_return each.error();
        }
    }
    co_return success();
}

std::vector<view_entry_ptr> due_instances(const view_state& v, time_point now)
{
    std::vector<view_entry_ptr> due;
    for (const auto& [id, e] : v.entries) {
        if (e->needs_look && e->retry_at <= now && due.size() < reads_at_a_time) {
            due.push_back(e);
        }
    }
    return due;
}

/// How long there is nothing to do, if nothing happens.
duration idle_time(const view_state& v, time_point now)
{
    duration wait = std::chrono::hours(24);
    const auto until = [&](time_point t) {
        wait = std::min(wait, std::max(t - now, duration::zero()));
    };
    if (v.needs_list) {
        until(v.list_at);
    }
    for (const auto& [id, e] : v.entries) {
        if (e->needs_look) {
            until(e->retry_at);
        }
    }
    return wait;
}

awaitable<result<void>> rung(view_ptr v, std::uint64_t since)
{
    auto change = v->happened.after(since);
    co_return co_await std::move(change);
}

awaitable<result<void>> slept(client session, duration how_long)
{
    auto sleep = session.sleep_for(how_long);
    co_return co_await std::move(sleep);
}

/// Until something changes, or so much time has passed. Fails when the session has ended.
awaitable<result<void>> idle_until_news(view_ptr v, client session, std::uint64_t since)
{
    using namespace boost::asio::experimental::awaitable_operators;
    const duration longest = idle_time(*v, session.now());
    const auto first = co_await (rung(v, since) || slept(session, longest));
    co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

/// Everything has been read on this connection.
void mark_synced(view_state& v)
{
    if (!v.is_synced && v.is_connected && v.listed_turn == v.turns && !v.needs_list) {
        v.is_synced = true;
        v.is_ready = true;
        v.changed();
    }
}

awaitable<result<void>> view_session(view_ptr v, client session)
{
    for (;;) {
        if (v->is_dropped) {
            co_return error(errc::cancelled);
        }
        const std::uint64_t since = v->happened.count();
        if (v->needs_list && v->list_at <= session.now()) {
            auto list = read_list(v, session);
            BOOST_OUTCOME_CO_TRY(co_await std::move(list));
            continue;
        }
        auto due = due_instances(*v, session.now());
        if (!due.empty()) {
            auto read = read_instances(v, std::move(due), session);
            BOOST_OUTCOME_CO_TRY(co_await std::move(read));
            continue;
        }
        mark_synced(*v);
        auto idle = idle_until_news(v, session, since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(idle));
    }
}

awaitable<result<void>> view_sessions(view_ptr v)
{
    for (;;) {
        auto next = next_session(v->zk);
        const result<client> session = co_await std::move(next);
        if (!session) {
            co_return session.error();
        }
        v->forget_session();
        auto work = view_session(v, *session);
        const result<void> done = co_await std::move(work);
        if (!done.error().session_lost() || v->zk.is_pinned()) {
            co_return done.error();
        }
    }
}

awaitable<result<void>> observe_connection(view_ptr v)
{
    const auto states = v->zk.states();
    for (;;) {
        auto next = states.next();
        const result<state_change> to = co_await std::move(next);
        if (!to) {
            co_return to.error();
        }
        const bool is_there = to->state == session_state::connected;
        if (is_there || v->is_connected) {
            v->on_connection(is_there);
        }
    }
}

class view_run {
public:
    explicit view_run(view_ptr of) : of_(std::move(of))
    {
        of_->is_running = true;
        of_->is_connected = false;
        of_->ended.reset();
    }
    view_run(const view_run&) = delete;
    view_run& operator=(const view_run&) = delete;
    ~view_run()
    {
        of_->on_connection(false);
        of_->is_running = false;
        of_->ended = how;
        of_->forget_session();
    }

    error how = errc::cancelled;

private:
    view_ptr of_;
};

awaitable<result<void>> run_view(view_ptr v)
{
    using namespace boost::asio::experimental::awaitable_operators;
    if (v->is_running) {
        co_return error(errc::already_waiting);
    }
    view_run mine(v);
    const auto first = co_await (view_sessions(v) || observe_connection(v));
    const result<void>& done = first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
    mine.how = done.error();
    co_return mine.how;
}

awaitable<result<void>> wait_until_ready(view_ptr v)
{
    while (!v->is_ready) {
        if (v->ended) {
            co_return *v->ended;
        }
        const std::uint64_t since = v->happened.count();
        auto change = v->happened.after(since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(change));
    }
    co_return success();
}

awaitable<result<std::vector<service_change>>> next_changes(view_ptr v)
{
    if (v->is_waited_for) {
        co_return error(errc::already_waiting);
    }
    const one_reader mine(v);
    for (;;) {
        const std::uint64_t since = v->happened.count();
        auto all = take_changes(*v);
        if (!all.empty()) {
            co_return all;
        }
        if (v->ended) {
            co_return *v->ended;
        }
        auto change = v->happened.after(since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(change));
    }
}

}  // namespace

}  // namespace detail

service_view::service_view(const client& zk, std::string service, service_options how)
    : state_(std::make_shared<detail::view_state>(zk.with({}), std::move(service), how)),
      token_(std::make_shared<detail::last_handle<detail::view_state>>(state_))
{
}

operation<void> service_view::run() const
{
    return compose<void>(state_->zk, errc{0},
                         [v = state_](const client&) { return detail::run_view(v); });
}

operation<void> service_view::ready() const
{
    return compose<void>(state_->zk, errc{0},
                         [v = state_](const client&) { return detail::wait_until_ready(v); });
}

operation<std::vector<service_change>> service_view::next() const
{
    return compose<std::vector<service_change>>(
        state_->zk, errc{0}, [v = state_](const client&) { return detail::next_changes(v); });
}

}  // namespace coati
