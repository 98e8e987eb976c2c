// Leadership, on lines and tenures.

#include "client_one_reader.hpp"
#include "line.hpp"
#include "sessions.hpp"
#include "tenure.hpp"

#include <coati/bell.hpp>
#include <coati/compose.hpp>
#include <coati/recipe/leadership.hpp>

#include <utility>

namespace coati {

namespace detail {

namespace {

using boost::asio::awaitable;

constexpr std::string_view leader_prefix = "leader-";

claim_spec candidate_spec(std::string path, std::string id, const leadership_options& how)
{
    claim_spec spec(std::move(path), std::string(leader_prefix), create_mode::ephemeral_sequential);
    spec.bytes = data(std::move(id));
    spec.who = how.who;
    return spec;
}

}  // namespace

awaitable<result<std::pair<std::shared_ptr<claim>, std::shared_ptr<tenure_state>>>>
until_leading(client zk, std::string path, std::string id, leadership_options how)
{
    auto spec = candidate_spec(std::move(path), std::move(id), how);
    auto reaching = reach_the_front(zk, std::move(spec), std::nullopt);
    BOOST_OUTCOME_CO_TRY(auto mine, co_await std::move(reaching));
    BOOST_OUTCOME_CO_TRY(auto state, make_tenure(*mine, how.margin));
    co_return std::pair(std::move(mine), std::move(state));
}

bool is_worth_another(const client& zk, const error& loss)
{
    return loss == errc::lock_lost || goes_on(zk, loss);
}

// --- leading, as a stream

class candidate {
public:
    candidate(client of, claim_spec what, std::optional<duration> stop_before)
        : zk(std::move(of)), spec(std::move(what)), margin(stop_before), resigning(zk)
    {
    }

    client zk;
    claim_spec spec;
    std::optional<duration> margin;
    std::shared_ptr<claim> mine;          // null: not in the line
    std::shared_ptr<tenure_state> state;  // null: does not lead
    bell resigning;
    bool is_waited_for = false;
};

namespace {

candidacy_change change_to(candidacy_state to, const std::shared_ptr<tenure_state>& state = {})
{
    candidacy_change change;
    change.state = to;
    if (state) {
        change.scope.emplace(state);
    }
    return change;
}

/// In this session, or in the next one if there may be one. Whoever resigns meanwhile has left what
/// is made here behind.
awaitable<result<candidacy_change>> join_line(std::shared_ptr<candidate> who, std::uint64_t term)
{
    for (;;) {
        BOOST_OUTCOME_CO_TRY(const client session, co_await next_session(who->zk));
        const auto fresh = std::make_shared<claim>(session, who->spec);
        const auto made = co_await fresh->make();
        if (who->resigning.count() != term) {
            co_return error(errc::cancelled);
        }
        if (made) {
            who->mine = fresh;
            co_return change_to(candidacy_state::standby);
        }
        if (!goes_on(who->zk, made.error())) {
            co_return made.error();
        }
    }
}

awaitable<result<candidacy_change>> await_turn(std::shared_ptr<candidate> who, std::uint64_t term)
{
    for (;;) {
        const std::shared_ptr<claim> mine = who->mine;
        const auto reached = co_await until_first(mine->through(), mine, std::nullopt);
        if (who->resigning.count() != term) {
            co_return error(errc::cancelled);
        }
        if (reached) {
            BOOST_OUTCOME_CO_TRY(auto state, make_tenure(*mine, who->margin));
            if (tenure(state).is_good()) {
                who->state = state;
                co_return change_to(candidacy_state::leading, state);
            }
            // The process stood still behind the last answer: to the end of the line.
        } else if (reached.error() != errc::lock_lost && !goes_on(who->zk, reached.error())) {
            co_return reached.error();
        }
        who->mine.reset();
        BOOST_OUTCOME_CO_TRY(co_await join_line(who, term));
    }
}

awaitable<result<candidacy_change>> await_loss(std::shared_ptr<candidate> who, std::uint64_t term)
{
    const std::shared_ptr<tenure_state> state = who->state;
    const auto over = co_await until_lost(state);
    const error why = over.error();
    if (why == errc::cancelled || why == errc::timed_out) {
        co_return why;
    }
    if (who->resigning.count() == term) {
        who->mine.reset();
        who->state.reset();
    }
    if (why.is_answer() && why != errc::lock_lost) {
        co_return why;  // it cannot be watched over
    }
    co_return change_to(candidacy_state::lost, state);
}

awaitable<result<candidacy_change>> next_change(std::shared_ptr<candidate> who)
{
    if (who->is_waited_for) {
        co_return error(errc::already_waiting, fate::not_sent);
    }
    const one_reader turn(who);
    const std::uint64_t term = who->resigning.count();
    if (who->state) {
        co_return co_await await_loss(who, term);
    }
    // Who resigns ends this wait, whatever it waits for.
    auto either = asio::experimental::make_parallel_group(
        compose<candidacy_change>(who->zk,
                                  [who, term](const client&) {
                                      return who->mine ? await_turn(who, term)
                                                       : join_line(who, term);
                                  }),
        who->resigning.after(term));
    auto done = co_await either.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    auto& [order, change, resigned] = done;
    co_return order[0] == 0 ? std::move(change) : error(errc::cancelled);
}

/// The claim is out of the candidate's hands before anything is awaited: whatever ends this, the
/// next one joins the line anew.
awaitable<result<void>> give_up_place(std::shared_ptr<claim> mine)
{
    if (!mine) {
        co_return success();
    }
    co_return co_await mine->give_up();
}

}  // namespace

// --- who leads

class leadership_watch_state {
public:
    leadership_watch_state(client of, std::string where) : zk(std::move(of)), path(std::move(where))
    {
    }

    client zk;
    std::string path;
    std::optional<leadership_info> given;
    std::optional<watch> armed;
    bool is_waited_for = false;
};

namespace {

/// Who these are. One that has gone since the listing is left out.
awaitable<result<leadership_info>> participants_of(client zk, std::string path,
                                                   std::vector<std::string> names)
{
    leadership_info info;
    for (const std::string& name : in_line(std::move(names), leader_prefix)) {
        const auto read = co_await zk.get(child_path(path, name));
        if (!read) {
            if (read.error() == errc::no_node) {
                continue;
            }
            co_return read.error();
        }
        participant one;
        one.id = read->data;
        one.fence = read->stat.czxid;
        one.session = read->stat.ephemeral_owner;
        info.participants.push_back(std::move(one));
    }
    co_return info;
}

awaitable<result<leadership_info>> read_once(client zk, std::string path)
{
    auto listed = co_await zk.children(path);
    if (!listed) {
        co_return listed.error() == errc::no_node ? result<leadership_info>(leadership_info())
                                                  : listed.error();
    }
    co_return co_await participants_of(zk, path, std::move(listed->names));
}

/// Reads, and leaves a watch for the next change: only with what was read, so that nothing is
/// missed by who fails or is cancelled half way.
awaitable<result<leadership_info>> read_and_watch(std::shared_ptr<leadership_watch_state> state)
{
    for (;;) {
        auto listed = co_await state->zk.children_and_watch(state->path);
        if (listed) {
            auto reading = participants_of(state->zk, state->path, std::move(listed->names));
            result<leadership_info> info = co_await std::move(reading);
            if (info) {
                state->armed = std::move(listed->watch);
            }
            co_return info;
        }
        if (listed.error() != errc::no_node) {
            co_return listed.error();
        }
        BOOST_OUTCOME_CO_TRY(auto there, co_await state->zk.exists_and_watch(state->path));
        if (!there.stat) {
            state->armed = std::move(there.watch);
            co_return leadership_info();
        }
    }
}

awaitable<result<leadership_info>> next_info(std::shared_ptr<leadership_watch_state> state)
{
    if (state->is_waited_for) {
        co_return error(errc::already_waiting, fate::not_sent);
    }
    const one_reader mine(state);
    for (;;) {
        if (state->armed) {
            const auto told = co_await state->armed->next();
            const bool is_kept =
                !told && (told.error() == errc::cancelled || told.error() == errc::timed_out);
            if (is_kept) {
                co_return told.error();
            }
            state->armed.reset();
            if (!told) {
                co_return told.error();
            }
        }
        auto reading = read_and_watch(state);
        BOOST_OUTCOME_CO_TRY(auto now, co_await std::move(reading));
        if (!state->given || *state->given != now) {
            state->given = now;
            co_return now;
        }
    }
}

}  // namespace

}  // namespace detail

operation<leadership_info> read_leadership(const client& zk, std::string path)
{
    return compose<leadership_info>(
        zk, [path = std::move(path)](const client& via) { return detail::read_once(via, path); });
}

operation<leadership_info> leadership_watch::next() const
{
    return compose<leadership_info>(
        state_->zk, [state = state_](const client&) { return detail::next_info(state); });
}

leadership_watch watch_leadership(const client& zk, std::string path)
{
    return leadership_watch(std::make_shared<detail::leadership_watch_state>(zk, std::move(path)));
}

std::string_view name(candidacy_state state) noexcept
{
    switch (state) {
    case candidacy_state::standby: return "standby";
    case candidacy_state::leading: return "leading";
    case candidacy_state::lost: return "lost";
    }
    return "unknown";
}

candidacy::candidacy(const client& zk, std::string path, std::string id, leadership_options how)
    : state_(std::make_shared<detail::candidate>(
          zk, detail::candidate_spec(std::move(path), std::move(id), how), how.margin))
{
}

candidacy::~candidacy() = default;

operation<candidacy_change> candidacy::next() const
{
    return compose<candidacy_change>(
        state_->zk, [who = state_](const client&) { return detail::next_change(who); });
}

operation<void> candidacy::resign() const
{
    return compose<void>(state_->zk, [who = state_](const client&) {
        if (const auto state = std::exchange(who->state, nullptr)) {
            detail::end_tenure(*state);
        }
        who->resigning.ring();
        return detail::give_up_place(std::exchange(who->mine, nullptr));
    });
}

}  // namespace coati
