// What handles ask of the engine: made, submit, cancel, sleep, ended. No coroutines here.

#include "engine.hpp"

#include "coroutines.hpp"
#include "protocol/watch_removal.hpp"
#include "service.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <utility>

namespace coati::detail {

namespace {

using any_strand = asio::strand<asio::any_io_executor>;
using io_strand = asio::strand<asio::io_context::executor_type>;
using pool_strand = asio::strand<asio::thread_pool::executor_type>;

template <class Strand>
bool is_on(const asio::any_io_executor& ex)
{
    return ex.target<Strand>()->running_in_this_thread();
}

/// What a strand runs on. A client may outlive its context, a strand may not: what stays with the
/// client (the transport) gets the executor below it.
asio::any_io_executor without_strand(const asio::any_io_executor& ex)
{
    if (const auto* const any = ex.target<any_strand>()) {
        return any->get_inner_executor();
    }
    if (const auto* const io = ex.target<io_strand>()) {
        return io->get_inner_executor();
    }
    if (const auto* const pool = ex.target<pool_strand>()) {
        return pool->get_inner_executor();
    }
    return ex;
}

}  // namespace

// --- making and ending the engine

engine::engine(config settings, std::shared_ptr<transport> world)
    : config_(std::move(settings)), transport_(std::move(world)),
      life_(std::make_shared<session_life>()), placement_(config_.server_policy),
      order_(config_.servers, placement_.is_shuffled(), random_of{*transport_})
{
    exchange_.consult(&abilities_);
    remember_credentials(std::exchange(config_.auth, {}));
}

engine::~engine()
{
    wipe(out_);  // what was to be written when the context went
}

std::shared_ptr<engine> engine::make(asio::any_io_executor ex, bool is_serial, config settings,
                                     std::shared_ptr<transport> world)
{
    if (!world) {
        world = make_tcp_transport(without_strand(ex));
    }
    auto made = std::make_shared<engine>(std::move(settings), std::move(world));
    if (is_serial) {
        made->executor_ = ex;
    } else if (ex.target<any_strand>() != nullptr) {
        made->executor_ = ex;
        made->here_ = &is_on<any_strand>;
    } else if (ex.target<io_strand>() != nullptr) {
        made->executor_ = ex;
        made->here_ = &is_on<io_strand>;
    } else if (ex.target<pool_strand>() != nullptr) {
        made->executor_ = ex;
        made->here_ = &is_on<pool_strand>;
    } else {
        made->executor_ = asio::make_strand(ex);
        made->here_ = &is_on<any_strand>;
    }
    for (wake_up* each : {&made->output_ready_, &made->close_requested_, &made->never_,
                          &made->move_requested_, &made->drained_}) {
        each->use(made->executor_);
    }
    asio::use_service<parked_service>(asio::query(ex, asio::execution::context)).add(made);
    return made;
}

void engine::shut_down() noexcept
{
    shut_ = true;
    connected_ = running_ = false;  // what users drop later must not reach for the executor
    here_ = nullptr;  // no executor is left to ask: every caller may, and finds nothing
    // First of all: the context may have taken our sleep along already, and what is discarded below
    // would stop it.
    alarm_.armed_for = never;
    alarm_.stop.slot().clear();
    for (wake_up* each :
         {&output_ready_, &close_requested_, &never_, &move_requested_, &drained_}) {
        each->shut_down();
    }
    exchange_.discard_all();
    parking_.discard_all();
    for (const auto& [id, task] : std::exchange(composed_, {})) {
        task->stop.slot().clear();
    }
    alarm_.clear();
    std::exchange(observers_, {}).clear();  // an observer holds the engine as well
    connection_.reset();                    // its socket belongs to the context, too
    // A strand must not outlive its context, nor must what holds one in a cancellation slot.
    stop_run_.slot().clear();
    executor_ = asio::any_io_executor();
}

// --- requests ------------------------------------------------------------------------------------

std::optional<error> engine::refusal_of(const pending_base& op) const
{
    if (op.refused != errc{0}) {
        return error(op.refused, fate::not_sent).with_op_index(op.refused_at);
    }
    const session_life* const pinned = op.owner->pinned.get();
    if (pinned != nullptr && pinned->ended) {
        return pinned->ended->with_fate(fate::not_sent);
    }
    if ((closing_ || detaching_) && running_) {
        return error(closing_ ? errc::closed : errc::session_left, fate::not_sent);
    }
    const bool awaits_its_run = pinned != nullptr && !pinned->begun;
    if (life_->ended && !awaits_its_run) {
        return life_->ended->with_fate(fate::not_sent);
    }
    if (op.fail_fast && !connected_) {
        return error(errc::connection_loss, fate::not_sent);
    }
    return std::nullopt;
}

operation_id engine::submit(pending_base& op)
{
    if (shut_) {
        op.discard();
        return 0;
    }
    if (const auto why = refusal_of(op)) {
        refuse(op, *why);
        return 0;
    }
    const operation_id id = exchange_.submit(op);
    if (op.timeout == duration::zero()) {
        op.timeout = op.owner->timeout;
    }
    if (op.timeout > duration::zero()) {
        set_timer(op, id);
    }
    wake_writer();
    return id;
}

void engine::submit_silently(protocol::request& what)
{
    exchange_.submit(what);
    wake_writer();
}

void engine::take_off(protocol::watch_table::remains left, std::string_view server_path,
                      wire::watch_kind kind)
{
    using enum protocol::watch_table::remains;
    // While a request is on its way that arms a watch there, a removal would take that along.
    if (left == others || !connected_ || exchange_.is_arming(server_path)) {
        return;
    }
    auto type =
        kind == wire::watch_kind::child ? wire::watcher_type::children : wire::watcher_type::data;
    if (left == nothing_else) {
        type = wire::watcher_type::any;
        watches_.forget(server_path);
    }
    submit_silently(*new protocol::watch_removal(server_path, type));
}

// In a turn of user code more may be noted, and more watches dropped.
void engine::wake_readers()
{
    while (!woken_.empty()) {
        for (const auto& each : std::exchange(woken_, {})) {
            each->wake();
        }
    }
    if (watches_.has_forsaken()) {
        for (const std::string& path : watches_.take_forsaken()) {
            if (!watches_.is_watched(path)) {
                take_off(protocol::watch_table::remains::nothing_else, path,
                         wire::watch_kind::none);
            }
        }
    }
}

// Inside the read loop requests only queue up: the reader wakes the writer once, after the last
// frame. Elsewhere one posted wake-up a turn gathers a burst into one write.
void engine::wake_writer()
{
    if (!connected_ || delivering_ || flush_posted_) {
        return;
    }
    flush_posted_ = true;
    asio::post(executor_, [self = std::static_pointer_cast<engine>(shared_from_this())] {
        self->flush_posted_ = false;
        if (self->connected_ && self->exchange_.has_output()) {
            self->output_ready_.set();
        }
    });
}

void engine::cancel(operation_id which, errc why)
{
    if ((which & parking::mark) == 0) {
        exchange_.abandon(which, why);
        return;
    }
    if (parking_.kind_of(which) == parked_kind::running) {
        stop_run_.emit(asio::cancellation_type::terminal);
        return;
    }
    if (parking_.kind_of(which) == parked_kind::composed) {
        const auto found = composed_.find(which);
        if (found != composed_.end()) {
            const auto task = found->second;  // it may end while it is told
            if (!task->why) {
                task->why = why;
            }
            task->stop.emit(asio::cancellation_type::terminal);
        }
        return;
    }
    if (pending_base* const op = parking_.take(which)) {
        op->on_error(error(why, fate::not_sent));
    }
}

void engine::refuse(pending_base& op, const error& why)
{
    struct refusal {
        pending_base* op;
        error why;
        refusal(pending_base& o, const error& e) : op(&o), why(e) {}
        refusal(refusal&& other) noexcept : op(std::exchange(other.op, nullptr)), why(other.why) {}
        ~refusal()
        {
            if (op != nullptr) {
                op->discard();
            }
        }
        void operator()() { std::exchange(op, nullptr)->on_error(why); }
    };
    asio::post(executor_, refusal(op, why));
}

operation_id engine::park(pending_base& op, parked_kind kind)
{
    if (shut_) {
        op.discard();
        return 0;
    }
    const operation_id id = parking_.park(op, kind);
    if (op.timeout > duration::zero()) {
        set_timer(op, id);
    }
    return id;
}

operation_id engine::park_composed(pending_base& op, std::shared_ptr<composed_base> task)
{
    if (op.timeout == duration::zero()) {
        op.timeout = op.owner->timeout;
    }
    const operation_id id = park(op, parked_kind::composed);
    composed_.emplace(id, std::move(task));
    return id;
}

// --- time

void engine::set_timer(pending_base& op, operation_id id)
{
    const time_point now = transport_->now();
    op.deadline = op.timeout < never - now ? now + op.timeout : never;
    op.timer = id;
    alarm_.add(op.deadline, id);
    arm_alarm();
}

void engine::forget_timer(time_point when, operation_id which) noexcept
{
    alarm_.remove(when, which);
    if (alarm_.next() == never && alarm_.armed_for != never) {
        alarm_.armed_for = never;
        ++alarm_.generation;
        alarm_.stop.emit(asio::cancellation_type::terminal);
    }
}

void engine::arm_alarm()
{
    const time_point next = alarm_.next();
    if (next >= alarm_.armed_for || shut_) {
        return;  // it wakes early at the worst, and looks again
    }
    if (alarm_.armed_for != never) {  // of a sleep that is over the slot knows a timer that is gone
        alarm_.stop.emit(asio::cancellation_type::terminal);
    }
    alarm_.armed_for = next;
    const auto generation = ++alarm_.generation;
    auto wake = [weak = weak_from_this(), generation](error_code) {
        const auto self = std::static_pointer_cast<engine>(weak.lock());
        if (self && self->alarm_.generation == generation) {
            self->on_alarm();
        }
    };
    transport_->sleep_until(
        next, asio::bind_cancellation_slot(alarm_.stop.slot(),
                                           asio::bind_executor(executor_, std::move(wake))));
}

void engine::on_alarm()
{
    alarm_.armed_for = never;
    check_lease();
    const time_point now = transport_->now();
    while (const operation_id id = alarm_.take_due(now)) {
        if (id == lease_check) {
            // Time has passed since: whoever is due by now must not be armed for again.
            lease_alarm_ = never;
            check_lease();
            arm_lease();
        } else if ((id & parking::mark) != 0 && parking_.kind_of(id) == parked_kind::sleeping) {
            if (auto* const slept = parking_.take_as<void>(id)) {
                slept->timer = 0;
                slept->deliver(success());
            }
        } else {
            cancel(id, errc::timed_out);
        }
    }
    arm_alarm();
}

operation_id engine::start_sleep(pending_base& op)
{
    const duration length = std::max(duration(op.argument), duration(1));
    if (op.timeout > duration::zero() && op.timeout < length) {
        return park(op);  // `within` is over first
    }
    op.timeout = length;
    return park(op, parked_kind::sleeping);
}

}  // namespace coati::detail
