// One-shot watches as owned values: armed by the read loop, told once, removed by their owner.

#include "watch_state.hpp"

#include "client_requests.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace coati {

std::string_view name(event_type type) noexcept
{
    switch (type) {
    case event_type::gap: return "gap";
    case event_type::created: return "created";
    case event_type::deleted: return "deleted";
    case event_type::data_changed: return "data_changed";
    case event_type::children_changed: return "children_changed";
    }
    return "unknown";
}

std::string_view name(gap_reason why) noexcept
{
    switch (why) {
    case gap_reason::none: return "none";
    case gap_reason::reconnected: return "reconnected";
    case gap_reason::overflow: return "overflow";
    case gap_reason::set_again: return "set_again";
    }
    return "unknown";
}

namespace detail {

namespace {

operation_id start_next_event(pending_base& op)
{
    return std::static_pointer_cast<watch_state>(op.target)->start_next(op);
}

}  // namespace

watch arm(pending_base& op, wire::watch_kind kind)
{
    auto state = std::make_shared<watch_state>(op.owner);
    state->server_path = std::static_pointer_cast<std::string>(op.target);
    op.owner->core->watches().add(*state, *state->server_path, kind);
    return watch(std::move(state));
}

void watch_state::on_event(event_type type, std::string_view where, std::int64_t zxid)
{
    event seen(type, std::string(wire::strip_chroot(owner_->chroot, where)), zxid);
    auto* const waiting = owner_->core->take_parked<event>(std::exchange(waiter_, 0));
    end_ = error(errc::watch_ended);
    if (waiting != nullptr) {
        waiting->deliver(std::move(seen));  // may drop the last reference to this
        return;
    }
    fired_ = std::move(seen);
}

void watch_state::on_end(const error& why)
{
    end_ = why.with_fate(fate::not_applied);
    if (auto* const waiting = owner_->core->take_parked<event>(std::exchange(waiter_, 0))) {
        waiting->on_error(*end_);
    }
}

operation_id watch_state::start_next(pending_base& op)
{
    engine& core = *owner_->core;
    auto& typed = static_cast<pending_op<event>&>(op);
    if (core.is_shut()) {
        op.discard();
    } else if (fired_) {
        event seen = std::move(*fired_);
        fired_.reset();
        core.complete_later(typed, result<event>(std::move(seen)));
    } else if (end_) {
        core.refuse(op, *end_);
    } else if (core.is_parked(waiter_)) {
        core.refuse(op, error(errc::already_waiting));
    } else {
        return waiter_ = core.park(op);
    }
    return 0;
}

void watch_state::release(const std::string& path)
{
    engine& core = *owner_->core;
    const wire::watch_kind watched = kind();
    core.take_off(core.watches().remove(*this), path, watched);
    if (auto* const waiting = core.take_parked<event>(std::exchange(waiter_, 0))) {
        waiting->on_error(error(errc::cancelled));
    }
}

namespace {

void drop(std::shared_ptr<watch_state>&& state) noexcept
{
    if (!state) {
        return;
    }
    const scope_ptr owner = state->owner();
    engine& core = *owner->core;
    if (core.on_executor()) {
        state->release(*state->server_path);
        return;
    }
    boost::asio::post(core.executor(),
                      [state = std::move(state)] { state->release(*state->server_path); });
}

}  // namespace

}  // namespace detail

watch& watch::operator=(watch&& other) noexcept
{
    if (this != &other) {
        detail::drop(std::exchange(state_, std::move(other.state_)));
    }
    return *this;
}

watch::~watch()
{
    detail::drop(std::move(state_));
}

operation<event> watch::next() const
{
    detail::operation_state<event> state;
    state.owner = state_->owner();
    state.start = &detail::start_next_event;
    state.target = state_;
    return operation<event>(std::move(state));
}

bool watch::is_armed() const noexcept
{
    return state_ && state_->is_armed();
}

std::optional<error> watch::end() const
{
    return state_ ? state_->end() : std::optional(error(errc::watch_ended));
}

}  // namespace coati
