// An operation that has been started: the request for floor 1, and the handler that waits for a
// result<T>. One block of memory, no type erasure but one virtual call.
#pragma once

#include <coati/detail/scope.hpp>
#include <coati/protocol/request.hpp>
#include <coati/result.hpp>

#include <memory>
#include <utility>

namespace coati::detail {

class pending_base;

/// Puts an operation to work, on the engine's executor. Takes ownership; never completes it inside
/// the call. Returns what cancels it.
using start_fn = operation_id (*)(pending_base& op);

/// What an operation is made of before it has a handler.
class operation_parts {
public:
    scope_ptr owner;
    start_fn start = nullptr;
    std::string body;
    std::shared_ptr<void> target;         // what the operation is about, where that is not a path
    std::int64_t argument = 0;            // a duration or a count, where the operation takes one
    duration timeout = duration::zero();  // zero: none
    errc refused = errc{0};               // found wrong before it was started
    std::int32_t refused_at = -1;         // of a multi: which of its operations
    wire::op_code op = wire::op_code::notification;
    bool mutates = false;
    wire::watch_kind watches = wire::watch_kind::none;
};

/// What is common to parked operations of every type.
class pending_base : public protocol::request {
public:
    scope_ptr owner;
    std::shared_ptr<void> target;
    std::int64_t argument;
    errc refused;
    std::int32_t refused_at;
    duration timeout;
    time_point deadline = never;
    operation_id timer = 0;  // set while the engine holds a timer for it

protected:
    explicit pending_base(operation_parts&& what)
        : request(what.op, what.mutates, what.watches, std::move(what.body)),
          owner(std::move(what.owner)), target(std::move(what.target)), argument(what.argument),
          refused(what.refused), refused_at(what.refused_at), timeout(what.timeout)
    {
        fail_fast = owner->fail_fast;
    }
    ~pending_base() = default;
    void stop_timer() noexcept
    {
        if (timer != 0) {
            base_ref(*owner).forget_timer(deadline, std::exchange(timer, 0));
        }
    }
};

template <class T>
class pending_op : public pending_base {
public:
    using decode_fn = result<T> (*)(pending_op& op, const protocol::reply& r);
    decode_fn decode;

    /// Consumes the operation: frees its block, then calls the handler.
    virtual void deliver(result<T> r) = 0;

    void on_reply(const protocol::reply& r) final { deliver(decode(*this, r)); }
    void on_error(const error& e) final { deliver(result<T>(e)); }

protected:
    pending_op(operation_parts&& what, decode_fn how) : pending_base(std::move(what)), decode(how)
    {
    }
    ~pending_op() = default;
};

}  // namespace coati::detail
