// Locks, on lines and tenures.

#include "line.hpp"
#include "tenure.hpp"

#include <coati/compose.hpp>
#include <coati/recipe/lock.hpp>

#include <utility>

namespace coati {

namespace detail {

/// Who has the claim: the lock that is held, or the one operation that releases it.
class held_claim {
public:
    explicit held_claim(std::shared_ptr<claim> what) : mine(std::move(what)) {}

    std::shared_ptr<claim> mine;
};

namespace {

/// Cancelled, it drops the claim, which leaves the rest to an errand.
boost::asio::awaitable<result<void>> release_claim(std::shared_ptr<claim> mine)
{
    if (!mine) {
        co_return success();  // released before
    }
    auto giving_up = mine->give_up();
    co_return co_await std::move(giving_up);
}

}  // namespace

boost::asio::awaitable<void> release_held(std::shared_ptr<held_claim> held,
                                          std::shared_ptr<tenure_state> state)
{
    return release_in_time(std::exchange(held->mine, nullptr), std::move(state));
}

boost::asio::awaitable<result<held_lock>> acquire_lock(client zk, std::string path,
                                                       lock_options how)
{
    std::optional<time_point> until;
    if (how.patience) {
        until = *how.patience < never - zk.now() ? zk.now() + *how.patience : never;
    }
    claim_spec spec(std::move(path), "lock-", create_mode::ephemeral_sequential);
    spec.bytes = std::move(how.bytes);
    spec.who = std::move(how.who);
    auto reaching = reach_the_front(zk, std::move(spec), until);
    BOOST_OUTCOME_CO_TRY(auto mine, co_await std::move(reaching));
    BOOST_OUTCOME_CO_TRY(auto state, make_tenure(*mine, how.margin));
    if (!tenure(state).is_good()) {
        co_return errc::lock_lost;  // the process stood still behind the last answer
    }
    co_return held_lock(std::move(mine), std::move(state));
}

}  // namespace detail

held_lock::held_lock(std::shared_ptr<detail::claim> mine,
                     std::shared_ptr<detail::tenure_state> state)
    : claim_(std::make_shared<detail::held_claim>(std::move(mine))), state_(std::move(state)),
      scope_(state_)
{
}

held_lock::~held_lock() = default;

operation<void> held_lock::lost() const
{
    return compose<void>(state_->zk.with({}),
                         [state = state_](const client&) { return detail::until_lost(state); });
}

operation<void> held_lock::release()
{
    return compose<void>(state_->zk, [held = claim_, state = state_](const client&) {
        detail::end_tenure(*state);
        return detail::release_claim(std::exchange(held->mine, nullptr));
    });
}

operation<held_lock> acquire(const client& zk, std::string path, lock_options how)
{
    return compose<held_lock>(zk,
                              [path = std::move(path), how = std::move(how)](const client& via) {
                                  return detail::acquire_lock(via, path, how);
                              });
}

}  // namespace coati
