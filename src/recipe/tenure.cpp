// How a tenure is watched over.

#include "tenure.hpp"
#include "sessions.hpp"

#include <coati/compose.hpp>

#include <utility>

namespace coati {

namespace detail {

namespace {

using boost::asio::awaitable;

/// What a body has to finish in by default: a sixth of the session timeout. A silent server is
/// given up after two thirds of it, which leaves another sixth to reach the next one.
constexpr int default_margin = 6;
/// Pings leave each third of the session timeout: with more than half of it as a margin, any
/// answer that takes a little would end the tenure.
constexpr int largest_margin = 2;

}  // namespace

result<std::shared_ptr<tenure_state>> make_tenure(const claim& of, std::optional<duration> margin)
{
    const duration timeout = of.through().negotiated_timeout();
    const duration wanted = margin.value_or(timeout / default_margin);
    if (wanted < duration::zero() || wanted > timeout / largest_margin) {
        return errc::invalid_argument;
    }
    return std::make_shared<tenure_state>(of.through(), of.path(), of.czxid(), wanted);
}

/// A watch for the removal of the znode. Completes with: lock_lost (it is gone).
awaitable<result<watch>> armed_watch(std::shared_ptr<tenure_state> state)
{
    if (!state->armed.empty()) {
        watch kept = std::move(state->armed.back());
        state->armed.pop_back();
        co_return std::move(kept);
    }
    BOOST_OUTCOME_CO_TRY(auto seen, co_await state->zk.exists_and_watch(state->path));
    if (!seen.stat) {
        co_return errc::lock_lost;
    }
    co_return std::move(seen.watch);
}

awaitable<result<void>> until_taken_away(std::shared_ptr<tenure_state> state)
{
    for (;;) {
        auto arming = armed_watch(state);
        result<watch> gone = co_await std::move(arming);
        if (!gone) {
            if (gone.error() == errc::lock_lost) {
                end_tenure(*state);
            }
            if (gone.error() == errc::throttled_op) {
                BOOST_OUTCOME_CO_TRY(co_await take_breath(state->zk));
                continue;
            }
            co_return gone.error();
        }
        const auto told = co_await gone->next();
        if (!told) {
            if (told.error() == errc::cancelled || told.error() == errc::timed_out) {
                state->armed.push_back(std::move(*gone));
            }
            co_return told.error();
        }
        if (told->type == event_type::deleted) {
            end_tenure(*state);
            co_return errc::lock_lost;
        }
    }
}

awaitable<std::optional<error>> end_by_now(std::shared_ptr<tenure_state> state, bool looks)
{
    if (!tenure(state).is_good()) {
        co_return error(errc::lock_lost);
    }
    if (looks) {
        const auto seen = co_await state->zk.exists(state->path);
        if (!seen || !*seen) {
            co_return error(errc::lock_lost);
        }
    }
    co_return std::nullopt;
}

operation<void> lease_of(const tenure_state& state)
{
    return state.zk.lease_runs_out(state.margin);
}

const client& client_of(const tenure_state& state) noexcept
{
    return state.zk;
}

void end_tenure(tenure_state& state) noexcept
{
    state.is_over = true;
}

awaitable<result<void>> until_lost(std::shared_ptr<tenure_state> state)
{
    auto both = asio::experimental::make_parallel_group(
        spawn_root<result<void>>(state->zk.get_executor(), until_taken_away(state),
                                 result<void>(errc::cancelled)),
        lease_of(*state));
    auto done = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    auto& [order, failed, taken, lease] = done;
    if (failed) {
        std::rethrow_exception(failed);
    }
    const auto lost = loss_of(order[0] == 0 ? taken : lease);
    if (!lost) {
        co_return errc::cancelled;
    }
    end_tenure(*state);
    co_return *lost;
}

awaitable<void> release_in_time(std::shared_ptr<claim> mine, std::shared_ptr<tenure_state> state)
{
    auto both = asio::experimental::make_parallel_group(
        compose<void>(state->zk, [mine](const client&) { return mine->give_up(); }),
        lease_of(*state));
    co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
}

}  // namespace detail

std::int64_t tenure::fence() const noexcept
{
    return state_->fence;
}

const std::string& tenure::path() const noexcept
{
    return state_->path;
}

const client& tenure::zk() const noexcept
{
    return state_->zk;
}

guarded_client tenure::guarded() const
{
    return guarded_client(state_->zk, state_->path);
}

time_point tenure::good_until() const
{
    const auto proved = state_->zk.proved_until();
    return state_->is_over || !proved ? time_point::min() : *proved - state_->margin;
}

}  // namespace coati
