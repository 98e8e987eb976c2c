// The coroutine of an operation that is made of others, as the engine sees it: what stops it, and
// how its result is delivered. Knows no type of result.
#pragma once

#include <coati/detail/pending_op.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <exception>
#include <memory>
#include <optional>

namespace coati::detail {

class composed_base {
public:
    composed_base() = default;
    composed_base(const composed_base&) = delete;
    composed_base& operator=(const composed_base&) = delete;
    virtual ~composed_base() = default;

    /// Consumes the operation: the coroutine has ended.
    virtual void deliver(pending_base& to) = 0;

    boost::asio::cancellation_signal stop;
    std::optional<errc> why;  ///< It was stopped: cancelled, or timed_out.
};

/// False: it has been refused, or discarded with its context.
bool may_compose(pending_base& op);
/// Parks the operation while `body` runs; `task` is what `body` leaves its result in.
operation_id run_composed(pending_base& op, std::shared_ptr<composed_base> task,
                          boost::asio::awaitable<void> body);
/// A callable of the user's has thrown: that leaves through the executor.
void rethrow_from_composed(const scope& s, std::exception_ptr what);

}  // namespace coati::detail
