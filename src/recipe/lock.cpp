// Locks, on lines and tenures.

#include "line.hpp"
#include "tenure.hpp"

#include <coati/compose.hpp>
#include <coati/recipe/lock.hpp>

#include <utility>

namespace coati {

namespace detail {

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
    co_return held_lock(std::move(mine), std::move(state));
}

}  // namespace detail

held_lock::held_lock(std::shared_ptr<detail::claim> mine,
                     std::shared_ptr<detail::tenure_state> state)
    : claim_(std::move(mine)), state_(std::move(state)), scope_(state_)
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
    return compose<void>(state_->zk, [mine = claim_, state = state_](const client&) {
        detail::end_tenure(*state);
        return mine->give_up();
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
