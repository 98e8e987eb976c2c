// Bells: parked operations that wait for a count to change.

#include <coati/bell.hpp>

#include "engine.hpp"

#include <utility>
#include <vector>

namespace coati {

namespace detail {

class bell_state {
public:
    explicit bell_state(std::shared_ptr<engine> of) : core(std::move(of)) {}

    std::shared_ptr<engine> core;
    std::uint64_t count = 0;
    std::vector<operation_id> waiting;
};

namespace {

operation_id start_listening(pending_base& op)
{
    engine& core = engine_of(op);
    if (core.is_shut()) {
        op.discard();
        return 0;
    }
    const auto state = std::static_pointer_cast<bell_state>(op.target);
    if (state->count != static_cast<std::uint64_t>(op.argument)) {
        core.complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
        return 0;
    }
    const operation_id id = core.park(op);
    std::erase_if(state->waiting, [&](operation_id each) { return !core.is_parked(each); });
    state->waiting.push_back(id);
    return id;
}

}  // namespace

}  // namespace detail

bell::bell(const client& of) : state_(std::make_shared<detail::bell_state>(of.scope()->core)) {}

void bell::ring()
{
    ++state_->count;
    for (const detail::operation_id id : std::exchange(state_->waiting, {})) {
        if (auto* const op = state_->core->take_parked<void>(id)) {
            state_->core->complete_later(*op, result<void>(success()));
        }
    }
}

std::uint64_t bell::count() const noexcept
{
    return state_->count;
}

operation<void> bell::after(std::uint64_t count) const
{
    // A scope of its own: who waits for a bell is no handle of the client.
    auto owner = std::make_shared<detail::scope>();
    owner->core = state_->core;
    detail::operation_state<void> state;
    state.owner = std::move(owner);
    state.start = &detail::start_listening;
    state.target = state_;
    state.argument = static_cast<std::int64_t>(count);
    return operation<void>(std::move(state));
}

}  // namespace coati
