// Persistent watches as streams: set by a request of the engine's own, so that a caller who stops
// waiting leaves no unknown watch behind; noted by the read loop, told behind each frame.

#include "watch_stream_state.hpp"

#include "client_requests.hpp"

#include <coati/client.hpp>

#include <boost/asio/post.hpp>

#include <utility>

namespace coati {

namespace detail {

stream_state::stream_state(scope_ptr owner, std::string path, std::string server_path,
                           watch_mode mode, stream_options how)
    : owner_(std::move(owner)), path_(std::move(path)), server_path_(std::move(server_path)),
      log_(how.capacity, how.merge), mode_(mode)
{
}

// The table is being walked: the reader is woken behind this frame.
void stream_state::note()
{
    if (owner_->core->is_parked(waiter_)) {
        owner_->core->wake_soon(shared_from_this());
    }
}

void stream_state::on_event(event_type type, std::string_view where, std::int64_t zxid)
{
    log_.push(stream_event(type, std::string(wire::strip_chroot(owner_->chroot, where)), zxid));
    note();
}

void stream_state::on_gap(gap_reason why)
{
    log_.push_gap(why);
    note();
}

void stream_state::on_end(const error& why)
{
    end_ = why.with_fate(fate::not_applied);
    wake();
}

void stream_state::wake()
{
    if (!owner_->core->is_parked(waiter_) || (log_.empty() && !end_)) {
        return;
    }
    auto* const waiting = owner_->core->take_parked<stream_event>(std::exchange(waiter_, 0));
    if (auto next = log_.pop()) {
        next->path = next->is_gap() ? path_ : std::move(next->path);
        waiting->deliver(std::move(*next));  // may drop the last reference to this
        return;
    }
    waiting->on_error(*end_);
}

operation_id stream_state::start_next(pending_base& op)
{
    engine& core = *owner_->core;
    auto& typed = static_cast<pending_op<stream_event>&>(op);
    if (core.is_shut()) {
        op.discard();
    } else if (core.is_parked(waiter_)) {
        core.refuse(op, error(errc::already_waiting));
    } else if (auto next = log_.pop()) {
        next->path = next->is_gap() ? path_ : std::move(next->path);
        core.complete_later(typed, result<stream_event>(std::move(*next)));
    } else if (end_) {
        core.refuse(op, *end_);
    } else {
        return waiter_ = core.park(op);
    }
    return 0;
}

void stream_state::release()
{
    engine& core = *owner_->core;
    const wire::watch_kind watched = kind();
    core.take_off(core.watches().remove(*this), server_path_, watched);
    if (auto* const waiting = core.take_parked<stream_event>(std::exchange(waiter_, 0))) {
        waiting->on_error(error(errc::cancelled));
    }
}

namespace {

wire::watch_kind kind_of(watch_mode mode) noexcept
{
    return mode == watch_mode::recursive ? wire::watch_kind::persistent_recursive
                                         : wire::watch_kind::persistent;
}

/// Sets a persistent watch on the server. Nobody can stop it once it is submitted: what the server
/// has must be known.
class add_request final : public protocol::request {
public:
    add_request(std::shared_ptr<engine> core, std::string_view server_path, wire::watch_kind kind)
        : core_(std::move(core))
    {
        op = wire::op_code::add_watch;
        watches = kind;
        wire::add_watch::request what;
        what.path = server_path;
        what.mode = kind == wire::watch_kind::persistent_recursive
                        ? wire::add_watch_mode::persistent_recursive
                        : wire::add_watch_mode::persistent;
        wire::encode(body, what);
    }

    // For this stream, whose caller is parked under this id.
    std::shared_ptr<stream_state> stream;
    operation_id waiter = 0;

    void on_reply(const protocol::reply& r) override
    {
        const std::shared_ptr<engine> core = std::move(core_);
        wire::reader in(body);
        wire::add_watch::request sent;
        const bool understood = wire::decode(in, sent);
        const std::string path(sent.path);
        const auto kind = sent.mode == wire::add_watch_mode::persistent_recursive
                              ? wire::watch_kind::persistent_recursive
                              : wire::watch_kind::persistent;
        const auto made = std::move(stream);
        auto* const waiting = core->take_parked<watch_stream>(waiter);
        delete this;
        const bool succeeded = r.err == 0 && understood;
        if (waiting != nullptr && succeeded) {
            core->watches().add(*made, path, kind_of(made->mode()));
        }
        if (core->watches().on_add_answered(path, kind, succeeded)) {
            core->submit_silently(*new add_request(core, path, kind));
        }
        if (waiting != nullptr && succeeded) {
            waiting->deliver(watch_stream(made));
        } else if (waiting != nullptr) {
            waiting->on_error(error(static_cast<errc>(r.err), fate::not_applied));
        }
    }
    void on_error(const error& e) override
    {
        const std::shared_ptr<engine> core = std::move(core_);
        const auto made = std::move(stream);
        auto* const waiting = core->take_parked<watch_stream>(waiter);
        delete this;
        if (waiting != nullptr) {
            waiting->on_error(e);
        }
    }
    void discard() noexcept override { delete this; }

private:
    std::shared_ptr<engine> core_;
};

operation_id start_watch(pending_base& op)
{
    engine& core = engine_of(op);
    if (core.is_shut()) {
        op.discard();
        return 0;
    }
    if (const auto why = core.refusal_of(op)) {
        core.refuse(op, *why);
        return 0;
    }
    const auto wanted = std::static_pointer_cast<const stream_request>(op.target);
    const bool fails_fast = op.fail_fast;
    auto made = std::make_shared<stream_state>(op.owner, wanted->path, wanted->server_path,
                                               wanted->mode, wanted->how);
    if (op.timeout == duration::zero()) {
        op.timeout = op.owner->timeout;
    }
    const operation_id id = core.park(op);
    auto& add = *new add_request(std::static_pointer_cast<engine>(core.shared_from_this()),
                                 wanted->server_path, kind_of(wanted->mode));
    add.fail_fast = fails_fast;
    add.stream = std::move(made);
    add.waiter = id;
    core.submit_silently(add);
    return id;
}

operation_id start_next_of_stream(pending_base& op)
{
    return std::static_pointer_cast<stream_state>(op.target)->start_next(op);
}

void drop(std::shared_ptr<stream_state>&& state) noexcept
{
    if (!state) {
        return;
    }
    const scope_ptr owner = state->owner();
    engine& core = *owner->core;
    if (core.on_executor()) {
        state->release();
        return;
    }
    boost::asio::post(core.executor(), [state = std::move(state)] { state->release(); });
}

}  // namespace

}  // namespace detail

operation<watch_stream> client::watch(std::string path, watch_mode mode, stream_options how) const
{
    // The server takes any path, and a malformed one never fires (trap 57).
    const detail::server_path where(*scope_, path);
    auto wanted = std::make_shared<detail::stream_request>();
    wanted->server_path = where.view();
    wanted->path = std::move(path);
    wanted->mode = mode;
    wanted->how = how;
    detail::operation_state<watch_stream> state;
    state.owner = scope_;
    state.start = &detail::start_watch;
    state.refused = where.wrong();
    state.target = std::move(wanted);
    return operation<watch_stream>(std::move(state));
}

std::vector<live_watch> client::live_watches() const
{
    std::vector<live_watch> all;
    const std::string& chroot = scope_->chroot;
    for (const auto& each : scope_->core->watches().counts()) {
        const std::string_view relative = wire::strip_chroot(chroot, each.server_path);
        if (chroot.empty() || relative.size() != each.server_path.size()) {
            const auto type = static_cast<live_watch::watch_type>(
                static_cast<int>(each.kind) - static_cast<int>(wire::watch_kind::data));
            all.emplace_back(std::string(relative), type, each.watchers);
        }
    }
    return all;
}

watch_stream& watch_stream::operator=(watch_stream&& other) noexcept
{
    if (this != &other) {
        detail::drop(std::exchange(state_, std::move(other.state_)));
    }
    return *this;
}

watch_stream::~watch_stream()
{
    detail::drop(std::move(state_));
}

operation<stream_event> watch_stream::next() const
{
    detail::operation_state<stream_event> state;
    state.owner = state_->owner();
    state.start = &detail::start_next_of_stream;
    state.target = state_;
    return operation<stream_event>(std::move(state));
}

const std::string& watch_stream::path() const noexcept
{
    static const std::string none;
    return state_ ? state_->path() : none;
}

watch_mode watch_stream::mode() const noexcept
{
    return state_ ? state_->mode() : watch_mode::persistent;
}

std::size_t watch_stream::unread() const noexcept
{
    return state_ ? state_->unread() : 0;
}

std::optional<error> watch_stream::end() const
{
    return state_ ? state_->end() : std::optional(error(errc::watch_ended));
}

}  // namespace coati
