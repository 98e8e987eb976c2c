// Handles: making a client, its chroots and options, its session and its time.

#include <coati/client.hpp>

#include "client_requests.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace coati {

std::string_view name(attempt_step step) noexcept
{
    switch (step) {
    case attempt_step::resolve: return "resolve";
    case attempt_step::connect: return "connect";
    case attempt_step::handshake: return "handshake";
    case attempt_step::authenticate: return "authenticate";
    }
    return "unknown";
}

namespace detail {

engine_base& base_ref(const scope& s) noexcept
{
    return *s.core;
}

operation_id start_request(pending_base& op)
{
    return engine_of(op).submit(op);
}

namespace {

/// A call of the engine's own as the start of an operation.
template <operation_id (engine::*Call)(pending_base&)>
operation_id start(pending_base& op)
{
    return (engine_of(op).*Call)(op);
}

operation<void> session_call(const scope_ptr& owner, start_fn start, std::int64_t argument = 0)
{
    operation_state<void> state;
    state.owner = owner;
    state.start = start;
    state.argument = argument;
    return operation<void>(std::move(state));
}

operation_id start_next_state(pending_base& op)
{
    const auto observer = std::static_pointer_cast<state_observer>(op.target);
    engine& core = engine_of(op);
    auto& typed = static_cast<pending_op<state_change>&>(op);
    if (core.is_shut()) {
        op.discard();
    } else if (auto next = observer->log.pop()) {
        core.complete_later(typed, result<state_change>(*next));
    } else if (observer->ended) {
        core.refuse(op, error(errc::closed));
    } else if (core.is_parked(observer->waiter)) {
        core.refuse(op, error(errc::already_waiting));
    } else {
        return observer->waiter = core.park(op);
    }
    return 0;
}

/// Runs on the engine's executor, now if that is here.
template <class F>
void on_engine(engine& core, F f)
{
    if (core.on_executor()) {
        f();
    } else {
        asio::post(core.executor(), std::move(f));
    }
}

/// What all handles of a client share: the end of the last one ends its state streams.
std::shared_ptr<const void> handle_token(const std::shared_ptr<engine>& core)
{
    return {core.get(), [weak = std::weak_ptr(core)](const void*) {
                if (const auto alive = weak.lock()) {
                    on_engine(*alive, [alive] { alive->last_handle_gone(); });
                }
            }};
}

scope_ptr first_scope(boost::asio::any_io_executor ex, bool is_serial, config&& settings,
                      std::shared_ptr<transport>&& world)
{
    auto first = std::make_shared<scope>();
    first->chroot = settings.chroot == "/" ? std::string() : settings.chroot;
    first->default_acls = std::make_shared<const acls>(settings.default_acls);
    first->core = engine::make(std::move(ex), is_serial, std::move(settings), std::move(world));
    first->handle = handle_token(first->core);
    return first;
}

}  // namespace

client pinned_to_next_session(const client& of)
{
    auto pinned = std::make_shared<scope>(*of.scope());
    pinned->pinned = std::make_shared<session_life>();
    return client(std::move(pinned));
}

}  // namespace detail

client::client(boost::asio::any_io_executor ex, config settings, std::shared_ptr<transport> world)
    : scope_(detail::first_scope(std::move(ex), false, std::move(settings), std::move(world)))
{
}

client::client(serial ex, config settings, std::shared_ptr<transport> world)
    : scope_(
          detail::first_scope(std::move(ex.executor), true, std::move(settings), std::move(world)))
{
}

// --- the session

operation<void> client::run() const
{
    return detail::session_call(scope_, &detail::start<&detail::engine::start_run>);
}

operation<void> client::close() const
{
    return detail::session_call(scope_, &detail::start<&detail::engine::start_close>);
}

operation<void> client::connected() const
{
    return detail::session_call(scope_, &detail::start<&detail::engine::start_connected>);
}

operation<session_credentials> client::detach() const
{
    detail::operation_state<session_credentials> state;
    state.owner = scope_;
    state.start = &detail::start<&detail::engine::start_detach>;
    return operation<session_credentials>(std::move(state));
}

operation<void> client::set_servers(std::vector<server_address> servers) const
{
    detail::operation_state<void> state;
    state.owner = scope_;
    state.start = &detail::start<&detail::engine::start_set_servers>;
    state.target = std::make_shared<std::vector<server_address>>(std::move(servers));
    return operation<void>(std::move(state));
}

operation<void> client::add_auth(auth_info who) const
{
    detail::operation_state<void> state;
    state.owner = scope_;
    state.start = &detail::start<&detail::engine::start_auth>;
    state.target = std::make_shared<auth_info>(std::move(who));
    return operation<void>(std::move(state));
}

state_stream client::states() const
{
    auto observer = std::make_shared<detail::state_observer>();
    observer->core = scope_->core;
    detail::on_engine(*scope_->core, [core = scope_->core, observer] { core->observe(observer); });
    return state_stream(std::move(observer));
}

session_info client::session() const
{
    return scope_->pinned ? scope_->pinned->info : scope_->core->life().info;
}

session_credentials client::credentials() const
{
    const auto& life = scope_->pinned ? *scope_->pinned : scope_->core->life();
    session_credentials mine = life.credentials;
    if (&life == &scope_->core->life() && mine.id != 0 && !life.ended) {
        mine.last_zxid = scope_->core->last_zxid();
    }
    return mine;
}

bool client::is_connected() const
{
    return scope_->core->is_connected();
}

std::optional<time_point> client::proved_until() const
{
    const auto& core = *scope_->core;
    const bool is_past = scope_->pinned && scope_->pinned != core.life_ptr();
    return is_past ? std::nullopt : core.lease_end();
}

operation<void> client::lease_runs_out(duration margin) const
{
    return detail::session_call(scope_, &detail::start<&detail::engine::start_lease>,
                                margin.count());
}

std::vector<attempt> client::last_attempts() const
{
    return scope_->core->last_attempts();
}

// --- time

operation<void> client::sleep_for(duration how_long) const
{
    return detail::session_call(scope_, &detail::start<&detail::engine::start_sleep>,
                                how_long.count());
}

time_point client::now() const
{
    return scope_->core->world().now();
}

// --- handles

client client::chroot(std::string prefix) const
{
    auto child = std::make_shared<detail::scope>(*scope_);
    if (wire::validate_path(prefix) != wire::path_error::none) {
        child->is_invalid = true;
    } else if (prefix != "/") {
        child->chroot += prefix;
    }
    return client(std::move(child));
}

client client::with(options changed) const
{
    auto child = std::make_shared<detail::scope>(*scope_);
    // What is left of a time may be less than nothing, which is not the same as no limit.
    child->timeout = changed.timeout < duration::zero() ? duration(1) : changed.timeout;
    child->fail_fast = changed.fail_fast;
    return client(std::move(child));
}

client client::with_default_acls(acls who) const
{
    auto child = std::make_shared<detail::scope>(*scope_);
    child->default_acls = std::make_shared<const acls>(std::move(who));
    return client(std::move(child));
}

client client::pinned() const
{
    if (scope_->pinned || !scope_->core->life().begun) {
        return *this;
    }
    auto child = std::make_shared<detail::scope>(*scope_);
    child->pinned = scope_->core->life_ptr();
    return client(std::move(child));
}

bool client::is_pinned() const noexcept
{
    return scope_->pinned != nullptr;
}

const std::string& client::chroot() const noexcept
{
    return scope_->chroot;
}

const boost::asio::any_io_executor& client::get_executor() const noexcept
{
    return scope_->core->executor();
}

// --- state streams

namespace {

void drop(std::shared_ptr<detail::state_observer>&& observer) noexcept
{
    if (!observer) {
        return;
    }
    const auto core = observer->core;
    detail::on_engine(*core, [core, observer] { core->stop_observing(observer); });
}

}  // namespace

state_stream& state_stream::operator=(state_stream&& other) noexcept
{
    if (this != &other) {
        drop(std::exchange(observer_, std::move(other.observer_)));
    }
    return *this;
}

state_stream::~state_stream()
{
    drop(std::move(observer_));
}

operation<state_change> state_stream::next() const
{
    // A scope of its own: a stream is no handle, its end comes with the last of them.
    auto owner = std::make_shared<detail::scope>();
    owner->core = observer_->core;
    detail::operation_state<state_change> state;
    state.owner = std::move(owner);
    state.start = &detail::start_next_state;
    state.target = observer_;
    return operation<state_change>(std::move(state));
}

}  // namespace coati
