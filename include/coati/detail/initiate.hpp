// The token shell: from a completion token and a prepared operation to a parked node.
//
// All executor and cancellation logic of handlers is here. Rules: a handler on the engine's own
// executor is called directly; any other is dispatched to its executor, which is kept busy
// meanwhile; an operation never completes inside its initiation; cancellation holds an id and a
// weak pointer, never a pointer into a queue, and the user's slot is never cleared from here.
#pragma once

#include <coati/detail/pending_op.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <new>
#include <optional>
#include <type_traits>

namespace coati::detail {

namespace asio = boost::asio;

template <class Executor>
bool is_engines(const Executor& ex, const engine_base& core) noexcept
{
    if constexpr (std::is_same_v<Executor, asio::any_io_executor>) {
        return ex == core.executor();
    } else if constexpr (std::is_constructible_v<asio::any_io_executor, const Executor&>) {
        return asio::any_io_executor(ex) == core.executor();
    } else {
        return false;
    }
}

template <class T>
class operation_state;

template <class T, class Handler>
class op_node final : public pending_op<T> {
    using executor_type = asio::associated_executor_t<Handler, asio::any_io_executor>;
    using tracked_type = std::decay_t<decltype(asio::prefer(
        std::declval<const executor_type&>(), asio::execution::outstanding_work.tracked))>;

public:
    template <class H>
    op_node(H&& handler, operation_state<T>&& what, const engine_base& core, bool pooled)
        : pending_op<T>(std::move(what), what.decode), handler_(std::forward<H>(handler)),
          pooled_(pooled)
    {
        const auto& ex = asio::get_associated_executor(handler_, core.executor());
        if (!is_engines(ex, core)) {
            elsewhere_.emplace(asio::prefer(ex, asio::execution::outstanding_work.tracked));
        }
    }

    void deliver(result<T> r) override
    {
        this->stop_timer();
        Handler handler(std::move(handler_));
        std::optional<tracked_type> elsewhere(std::move(elsewhere_));
        const scope_ptr keep = release();
        if (elsewhere) {
            asio::dispatch(*elsewhere, asio::append(std::move(handler), std::move(r)));
            return;
        }
        try {
            std::move(handler)(std::move(r));
        } catch (...) {
            base_ref(*keep).rethrow_later(std::current_exception());
        }
    }

    void discard() noexcept override
    {
        this->stop_timer();
        // The handler may own the last handle to the client: it goes last.
        [[maybe_unused]] const Handler handler(std::move(handler_));
        const scope_ptr keep = release();
    }

private:
    scope_ptr release() noexcept
    {
        scope_ptr keep = std::move(this->owner);
        const bool pooled = pooled_;
        this->~op_node();
        if (pooled) {
            base_ref(*keep).pool().deallocate(this, sizeof(op_node));
        } else {
            ::operator delete(this);
        }
        return keep;
    }

    Handler handler_;
    std::optional<tracked_type> elsewhere_;
    bool pooled_;
};

/// An operation started from elsewhere, on its way to the engine's executor.
class in_transit {
public:
    in_transit(pending_base& op, start_fn start, std::shared_ptr<operation_id> id) noexcept
        : op_(&op), start_(start), id_(std::move(id))
    {
    }
    in_transit(in_transit&& other) noexcept
        : op_(std::exchange(other.op_, nullptr)), start_(other.start_), id_(std::move(other.id_))
    {
    }
    in_transit& operator=(in_transit&&) = delete;
    ~in_transit()
    {
        if (op_ != nullptr) {
            op_->discard();
        }
    }
    void operator()()
    {
        const auto id = start_(*std::exchange(op_, nullptr));
        if (id_) {
            *id_ = id;
        }
    }

private:
    pending_base* op_;
    start_fn start_;
    std::shared_ptr<operation_id> id_;  // read and written on the engine's executor only
};

/// What sits in the user's cancellation slot.
class canceller {
public:
    canceller(std::weak_ptr<engine_base> core, operation_id id) : core_(std::move(core)), id_(id) {}
    void operator()(asio::cancellation_type) const
    {
        const auto core = core_.lock();
        if (!core) {
            return;
        }
        if (core->on_executor()) {
            core->cancel(id_, errc::cancelled);
        } else {
            asio::post(core->executor(), [core, id = id_] { core->cancel(id, errc::cancelled); });
        }
    }

private:
    std::weak_ptr<engine_base> core_;
    operation_id id_;
};

/// The same for an operation that was started from elsewhere: its id is known only over there.
class remote_canceller {
public:
    remote_canceller(std::weak_ptr<engine_base> core, std::shared_ptr<operation_id> id)
        : core_(std::move(core)), id_(std::move(id))
    {
    }
    void operator()(asio::cancellation_type) const
    {
        if (const auto core = core_.lock()) {
            asio::post(core->executor(), [core, id = id_] { core->cancel(*id, errc::cancelled); });
        }
    }

private:
    std::weak_ptr<engine_base> core_;
    std::shared_ptr<operation_id> id_;
};

/// The initiation of every operation.
template <class T>
class initiate {
public:
    template <class Handler>
    void operator()(Handler&& handler, operation_state<T>&& what) const
    {
        engine_base& core = base_ref(*what.owner);
        if (core.on_executor()) {
            start_here(core, std::forward<Handler>(handler), std::move(what));
        } else {
            start_from_elsewhere(core, std::forward<Handler>(handler), std::move(what));
        }
    }

private:
    template <class Handler>
    void start_here(engine_base& core, Handler&& handler, operation_state<T>&& what) const
    {
        using node = op_node<T, std::decay_t<Handler>>;
        auto slot = asio::get_associated_cancellation_slot(handler);
        const start_fn start = what.start;
        void* const block = core.pool().allocate(sizeof(node));
        auto& op = *new (block) node(std::forward<Handler>(handler), std::move(what), core, true);
        const operation_id id = start(op);
        // An id says that the operation is parked, and that keeps the engine.
        if (slot.is_connected() && id != 0) {
            slot.template emplace<canceller>(core.weak_from_this(), id);
        }
    }

    template <class Handler>
    void start_from_elsewhere(engine_base& core, Handler&& handler, operation_state<T>&& what) const
    {
        using node = op_node<T, std::decay_t<Handler>>;
        const scope_ptr keep = what.owner;
        const start_fn start = what.start;
        auto slot = asio::get_associated_cancellation_slot(handler);
        void* const block = ::operator new(sizeof(node));
        auto& op = *new (block) node(std::forward<Handler>(handler), std::move(what), core, false);
        // Once it is posted the handler may run at any moment: the slot is filled before.
        std::shared_ptr<operation_id> id;
        if (slot.is_connected()) {
            id = std::make_shared<operation_id>(0);
            slot.template emplace<remote_canceller>(core.weak_from_this(), id);
        }
        asio::post(core.executor(), in_transit(op, start, std::move(id)));
    }
};

}  // namespace coati::detail
