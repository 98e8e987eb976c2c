// What handles ask of the session: run, close, detach, authenticate, wait for it, watch its states.
// No coroutines here.

#include "engine.hpp"

#include "coroutines.hpp"

#include <coati/wire/jute.hpp>
#include <coati/wire/operation_admin.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace coati::detail {

/// The request that ends the session on the server. Its answer is the confirmation that close waits
/// for.
class close_request final : public protocol::request {
public:
    explicit close_request(engine& core) : core_(core)
    {
        op = wire::op_code::close_session;
        mutates = true;
    }
    void on_reply(const protocol::reply& r) override
    {
        core_.close_confirmed_ = r.err == 0;
        delete this;
    }
    void on_error(const error& e) override
    {
        // Once it has been handed to the kernel the session is lost and must not be taken up again:
        // a late close through the old server ends it even after a move.
        core_.close_sent_ = e.fate() == fate::maybe_applied;
        delete this;
    }
    void discard() noexcept override { delete this; }

private:
    engine& core_;  // owns the exchange that owns this
};

namespace {

secret auth_body(const auth_info& who)
{
    wire::auth::request what;
    what.scheme = who.scheme;
    what.credentials = who.data.view();
    std::string body;
    body.reserve(12 + who.scheme.size() + who.data.view().size());  // no copy is left by growing
    wire::encode(body, what);
    secret kept(std::move(body));
    wipe(body);
    return kept;
}

}  // namespace

void engine::remember_credentials(std::vector<auth_info>&& given)
{
    for (const auth_info& each : given) {
        exchange_.authenticate(auth_body(each));
    }
    given.clear();
}

// --- the session

operation_id engine::start_run(pending_base& op)
{
    if (shut_) {
        op.discard();
        return 0;
    }
    auto life = op.owner->pinned ? op.owner->pinned : std::make_shared<session_life>();
    if (running_ || life->begun) {
        const error why = life->ended.value_or(error(errc::already_running, fate::not_sent));
        if (!life->begun) {
            life->begun = true;
            life->ended = why;  // a handle pinned to this attempt must not hang
        }
        refuse(op, why);
        return 0;
    }
    begin(std::move(life));
    const operation_id id = park(op, parked_kind::running);
    auto self = std::static_pointer_cast<engine>(shared_from_this());
    auto done = [self, id](std::exception_ptr failed, result<void> ended) {
        auto* const waiting = self->parking_.take_as<void>(id);
        if (failed) {
            self->running_ = false;
            if (waiting != nullptr) {
                waiting->discard();
            }
            std::rethrow_exception(failed);
        }
        if (waiting != nullptr) {
            waiting->deliver(std::move(ended));
        }
    };
    asio::co_spawn(executor_, run(self),
                   asio::bind_cancellation_slot(stop_run_.slot(),
                                                asio::bind_executor(executor_, std::move(done))));
    return id;
}

// In a turn of its own: the run ends in it when there is nothing to wait for.
void engine::end_soon()
{
    asio::post(executor_, [self = std::static_pointer_cast<engine>(shared_from_this())] {
        if (self->closing_ || self->detaching_) {
            self->close_requested_.set();
        }
    });
}

operation_id engine::start_close(pending_base& op)
{
    const session_life* const pinned = op.owner->pinned.get();
    const bool other_session = pinned != nullptr && pinned != life_.get();
    if (shut_) {
        op.discard();
        return 0;
    }
    // An ended one as well: its run may still be telling everybody, and a request that is queued
    // now would go out on the next session and close that.
    if (!running_ || life_->ended || other_session) {
        complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
        return 0;
    }
    if (detaching_) {
        refuse(op, error(errc::session_left, fate::not_sent));
        return 0;
    }
    if (!std::exchange(closing_, true)) {
        submit_silently(*new close_request(*this));
        end_soon();
    }
    const operation_id id = park(op);
    close_waiters_.push_back(id);
    return id;
}

operation_id engine::start_detach(pending_base& op)
{
    const session_life* const pinned = op.owner->pinned.get();
    if (shut_) {
        op.discard();
        return 0;
    }
    if (!running_ || life_->ended || closing_ || (pinned != nullptr && pinned != life_.get())) {
        const auto& ended = pinned != nullptr ? pinned->ended : life_->ended;
        refuse(op, ended.value_or(error(errc::closed)).with_fate(fate::not_sent));
        return 0;
    }
    if (!std::exchange(detaching_, true)) {
        end_soon();
    }
    const operation_id id = park(op);
    detach_waiters_.push_back(id);
    return id;
}

operation_id engine::start_connected(pending_base& op)
{
    const session_life* const pinned = op.owner->pinned.get();
    if (shut_) {
        op.discard();
        return 0;
    }
    if (pinned != nullptr && pinned->ended) {
        refuse(op, *pinned->ended);
        return 0;
    }
    if (connected_ && !closing_ && !detaching_) {
        complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
        return 0;
    }
    const operation_id id = park(op);
    connected_waiters_.push_back(id);
    return id;
}

operation_id engine::start_auth(pending_base& op)
{
    const session_life* const pinned = op.owner->pinned.get();
    const session_life& life = pinned != nullptr ? *pinned : *life_;
    if (shut_) {
        op.discard();
        return 0;
    }
    if (life.ended) {
        refuse(op, life.ended->with_fate(fate::not_sent));
        return 0;
    }
    const auto who = std::static_pointer_cast<auth_info>(op.target);
    const std::size_t number = exchange_.authenticate(auth_body(*who));
    if (connected_ && number < exchange_.authenticated()) {
        complete_later(static_cast<pending_op<void>&>(op), result<void>(success()));
        return 0;
    }
    const operation_id id = park(op);
    auth_waiters_.push_back({number, id});
    wake_writer();
    return id;
}

void engine::tell_authenticated()
{
    const auto accepted = [this](const auth_waiter& w) {
        return w.number < exchange_.authenticated();
    };
    const auto first = std::stable_partition(auth_waiters_.begin(), auth_waiters_.end(),
                                             [&](const auto& w) { return !accepted(w); });
    const std::vector<auth_waiter> done(first, auth_waiters_.end());
    auth_waiters_.erase(first, auth_waiters_.end());
    for (const auth_waiter& each : done) {
        if (auto* const op = parking_.take_as<void>(each.id)) {
            op->deliver(success());
        }
    }
}

void engine::end_waiters(std::vector<operation_id>& ids, const std::optional<error>& why)
{
    for (const operation_id id : std::exchange(ids, {})) {
        if (auto* const op = parking_.take_as<void>(id)) {
            if (why) {
                op->on_error(*why);
            } else {
                op->deliver(success());
            }
        }
    }
}

// --- state streams

void engine::set_state(session_state to)
{
    if (to == state_) {
        return;
    }
    const bool is_attempt = to == session_state::disconnected || to == session_state::connecting ||
                            to == session_state::associating;
    if (state_ == session_state::presumed_expired && is_attempt && running_) {
        return;  // attempts go on unseen, only their outcome counts
    }
    assert(is_legal_transition(state_, to));
    state_ = to;
    const state_change change(to, life_->info.id);
    const auto present = observers_;  // a completion may add or remove one
    for (const auto& each : present) {
        each->log.push(change);
        if (auto* const op = parking_.take_as<state_change>(std::exchange(each->waiter, 0))) {
            op->deliver(*each->log.pop());
        }
    }
}

void engine::observe(std::shared_ptr<state_observer> observer)
{
    if (!shut_) {
        observer->log.push(state_change(state_, life_->info.id));
        observers_.push_back(std::move(observer));
    }
}

void engine::stop_observing(const std::shared_ptr<state_observer>& observer) noexcept
{
    std::erase(observers_, observer);
    if (auto* const op = parking_.take_as<state_change>(std::exchange(observer->waiter, 0))) {
        op->on_error(error(errc::cancelled));
    }
}

void engine::last_handle_gone()
{
    const auto present = std::exchange(observers_, {});
    for (const auto& each : present) {
        each->ended = true;
        if (auto* const op = parking_.take_as<state_change>(std::exchange(each->waiter, 0))) {
            op->on_error(error(errc::closed));
        }
    }
}

}  // namespace coati::detail
