// coati::presence: from session to session, all znodes at once. What one znode needs is in
// presence_steps.cpp.

#include "client_one_reader.hpp"
#include "last_handle.hpp"
#include "presence_state.hpp"
#include "sessions.hpp"

#include <coati/compose.hpp>
#include <coati/convenience.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <algorithm>

namespace coati {

namespace detail {

namespace {

using boost::asio::awaitable;

constexpr std::size_t width = 16;  // znodes that are worked on at a time

/// What has to be looked at now.
std::vector<kept_ptr> due_entries(const presence_state& s, time_point now)
{
    std::vector<kept_ptr> due;
    for (const auto& [path, e] : s.entries) {
        if (e->needs_look && e->retry_at <= now && due.size() < width) {
            due.push_back(e);
        }
    }
    return due;
}

/// How long there is nothing to do, if nothing happens.
duration time_to_next(const presence_state& s, time_point now)
{
    duration wait = std::chrono::hours(24);
    for (const auto& [path, e] : s.entries) {
        if (e->needs_look) {
            wait = std::min(wait, std::max(e->retry_at - now, duration::zero()));
        }
    }
    return wait;
}

/// What was withdrawn and has gone is forgotten.
void drop_withdrawn(presence_state& s)
{
    const auto dropped = std::erase_if(s.entries, [&](const auto& each) {
        const kept_entry& e = *each.second;
        return !e.is_wanted && s.is_settled(e) && !e.is_in_doubt();
    });
    if (dropped != 0) {
        s.changed();
    }
}

/// Nothing is left to be removed, and nothing can come any more.
bool is_clean(const presence_state& s)
{
    return std::ranges::all_of(s.entries, [&](const auto& each) {
        return s.is_settled(*each.second) && !each.second->is_in_doubt();
    });
}

awaitable<result<void>> look_at_all(presence_ptr s, std::vector<kept_ptr> due, client zk)
{
    std::vector<operation<void>> all;
    all.reserve(due.size());
    for (const kept_ptr& e : due) {
        all.push_back(compose<void>(
            zk, [s, e](const client& session) { return bring_about(s, e, session); }));
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

awaitable<result<void>> news(presence_ptr s, std::uint64_t since)
{
    auto change = s->happened.after(since);
    co_return co_await std::move(change);
}

awaitable<result<void>> sleep_in(client session, duration how_long)
{
    auto sleep = session.sleep_for(how_long);
    co_return co_await std::move(sleep);
}

/// Until something changes, or so much time has passed. Fails when the session has ended.
awaitable<result<void>> quiet_time(presence_ptr s, client session, std::uint64_t since)
{
    using namespace boost::asio::experimental::awaitable_operators;
    const duration longest = time_to_next(*s, session.now());
    const auto first = co_await (news(s, since) || sleep_in(session, longest));
    co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

/// One session's work, from when it began to its end. Without `is_running` it ends when everything
/// has been removed.
awaitable<result<void>> keep_in_session(presence_ptr s, client session, std::uint64_t run)
{
    for (;;) {
        const bool is_over = s->runs != run || (s->is_dropped && s->is_running);
        if (is_over) {
            co_return error(errc::cancelled);
        }
        const std::uint64_t since = s->happened.count();
        auto due = due_entries(*s, session.now());
        if (!due.empty()) {
            auto look = look_at_all(s, std::move(due), session);
            BOOST_OUTCOME_CO_TRY(co_await std::move(look));
            drop_withdrawn(*s);
            continue;
        }
        if (!s->is_running && is_clean(*s)) {
            co_return success();
        }
        auto quiet = quiet_time(s, session, since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(quiet));
    }
}

/// Its znodes may still be there for a while, and are ours to replace: unless the session goes on
/// in other hands.
void leave_session(presence_state& s, const error& why)
{
    if (why != errc::session_left && why != errc::session_stolen) {
        s.former.insert(s.session);
    }
    s.session = 0;
    s.forget_session();
}

awaitable<result<void>> keep_always(presence_ptr s, std::uint64_t run)
{
    while (s->is_cleaning) {
        const std::uint64_t since = s->happened.count();
        auto change = s->happened.after(since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(change));
    }
    for (;;) {
        auto next = next_session(s->zk);
        const result<client> session = co_await std::move(next);
        if (!session) {
            co_return session.error();
        }
        s->session = session->session().id;
        s->former.erase(s->session);
        s->forget_session();
        auto work = keep_in_session(s, *session, run);
        const result<void> done = co_await std::move(work);
        if (done.error().session_lost()) {
            leave_session(*s, done.error());
        }
        if (!done.error().session_lost() || s->zk.is_pinned()) {
            co_return done.error();
        }
    }
}

/// While an errand works, the next run waits.
class cleaning {
public:
    explicit cleaning(presence_state& of) : of_(of) { of_.is_cleaning = true; }
    cleaning(const cleaning&) = delete;
    cleaning& operator=(const cleaning&) = delete;
    ~cleaning()
    {
        of_.is_cleaning = false;
        of_.changed();
    }

private:
    presence_state& of_;
};

/// Ends the run, in whichever way it ends: also by an exception of a cancellation.
class presence_run {
public:
    explicit presence_run(presence_ptr of) : of_(std::move(of))
    {
        of_->is_running = true;
        of_->ended.reset();
        number = ++of_->runs;
    }
    presence_run(const presence_run&) = delete;
    presence_run& operator=(const presence_run&) = delete;
    ~presence_run()
    {
        of_->is_running = false;
        of_->ended = how;
        of_->changed();
    }

    std::uint64_t number;
    error how = errc::cancelled;

private:
    presence_ptr of_;
};

/// The errand.
awaitable<result<void>> clean_up(presence_ptr s, client session, std::uint64_t run)
{
    if (s->runs != run || session.session().id != s->session) {
        co_return success();
    }
    const cleaning mine(*s);
    auto work = keep_in_session(s, session, run);
    co_return co_await std::move(work);
}

/// A run that is over leaves nothing behind, if its session lives.
void withdraw_all(const presence_ptr& s)
{
    if (s->session == 0 || s->how.leaves_znodes) {
        return;
    }
    for (const auto& [path, e] : s->entries) {
        e->needs_look = true;
        e->retry_at = {};
    }
    const std::uint64_t run = s->runs;
    start_errand(s->zk, [s, run](const client& session) { return clean_up(s, session, run); });
}

awaitable<result<void>> run_presence(presence_ptr s)
{
    if (s->is_running) {
        co_return error(errc::already_waiting);
    }
    try {
        presence_run mine(s);
        auto work = keep_always(s, mine.number);
        const result<void> done = co_await std::move(work);
        mine.how = done.error();
    } catch (const boost::system::system_error&) {
        withdraw_all(s);
        throw;  // cancelled between two steps
    }
    withdraw_all(s);
    co_return *s->ended;
}

awaitable<result<void>> wait_until_settled(presence_ptr s)
{
    for (;;) {
        const std::uint64_t since = s->happened.count();
        const bool are_settled = s->is_running && s->session != 0 &&
                                 std::ranges::all_of(s->entries, [&](const auto& each) {
                                     return s->is_settled(*each.second);
                                 });
        if (are_settled) {
            co_return success();
        }
        if (s->ended) {
            co_return *s->ended;
        }
        auto change = s->happened.after(since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(change));
    }
}

std::vector<kept_znode> all_shown(const presence_state& s)
{
    std::vector<kept_znode> all;
    for (const auto& [path, e] : s.entries) {
        if (e->is_wanted) {
            all.push_back(e->shown);
            all.back().is_settled = s.is_running && s.is_settled(*e);
        }
    }
    return all;
}

awaitable<result<std::vector<kept_znode>>> next_znodes(presence_ptr s)
{
    if (s->is_waited_for) {
        co_return error(errc::already_waiting);
    }
    const one_reader mine(s);
    while (s->given == s->revision) {
        if (s->ended) {
            co_return *s->ended;
        }
        const std::uint64_t since = s->happened.count();
        auto change = s->happened.after(since);
        BOOST_OUTCOME_CO_TRY(co_await std::move(change));
    }
    s->given = s->revision;
    co_return all_shown(*s);
}

}  // namespace

}  // namespace detail

std::string_view name(presence_status status) noexcept
{
    switch (status) {
    case presence_status::absent: return "absent";
    case presence_status::present: return "present";
    case presence_status::taken: return "taken";
    case presence_status::failed: return "failed";
    }
    return "unknown";
}

presence::presence(const client& zk, presence_options how)
    : state_(std::make_shared<detail::presence_state>(zk.with({}), how)),
      token_(std::make_shared<detail::last_handle<detail::presence_state>>(state_))
{
}

void presence::add(std::string path, coati::data bytes, create_mode mode,
                   std::optional<acls> who) const
{
    auto& entry = state_->entries[path];
    if (!entry) {
        entry = std::make_shared<detail::kept_entry>(path);
    }
    if (is_sequential(mode) && entry->guid.empty()) {
        entry->guid = make_guid(state_->zk);
    }
    entry->bytes = std::move(bytes);
    entry->mode = mode;
    entry->who = std::move(who);
    entry->is_wanted = true;
    entry->retry_at = {};
    state_->look_again(*entry);
}

bool presence::set(std::string_view path, coati::data bytes) const
{
    const auto found = state_->entries.find(path);
    if (found == state_->entries.end() || !found->second->is_wanted) {
        return false;
    }
    found->second->bytes = std::move(bytes);
    state_->look_again(*found->second);
    return true;
}

bool presence::remove(std::string_view path) const
{
    const auto found = state_->entries.find(path);
    if (found == state_->entries.end() || !found->second->is_wanted) {
        return false;
    }
    found->second->is_wanted = false;
    found->second->retry_at = {};
    state_->look_again(*found->second);
    return true;
}

operation<void> presence::run() const
{
    return compose<void>(state_->zk, errc{0},
                         [s = state_](const client&) { return detail::run_presence(s); });
}

operation<void> presence::settled() const
{
    return compose<void>(state_->zk, errc{0},
                         [s = state_](const client&) { return detail::wait_until_settled(s); });
}

std::vector<kept_znode> presence::znodes() const
{
    return detail::all_shown(*state_);
}

std::optional<kept_znode> presence::znode(std::string_view path) const
{
    const auto found = state_->entries.find(path);
    if (found == state_->entries.end() || !found->second->is_wanted) {
        return std::nullopt;
    }
    kept_znode one = found->second->shown;
    one.is_settled = state_->is_running && state_->is_settled(*found->second);
    return one;
}

operation<std::vector<kept_znode>> presence::next() const
{
    return compose<std::vector<kept_znode>>(
        state_->zk, errc{0}, [s = state_](const client&) { return detail::next_znodes(s); });
}

}  // namespace coati
