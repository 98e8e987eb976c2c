// The one place that owns parked operations which are not requests: run, close, sleeps, next().
//
// Whoever completes one takes it out by its id. A parked handler may hold a coroutine frame that
// holds a handle that holds the engine that holds this: the cycle is broken when the execution
// context ends.
#pragma once

#include <coati/detail/pending_op.hpp>

#include <cstdint>
#include <unordered_map>
#include <utility>

namespace coati::detail {

/// What cancelling and timing out mean for a parked operation.
enum class parked_kind : std::uint8_t {
    waiting,   // completes with the error
    sleeping,  // its timer is its success
    running,   // a run: its coroutine is stopped, and completes it
    composed,  // the same of an operation that is made of others
};

class parking {
public:
    /// Ids of parked operations have this bit, tickets of requests do not.
    static constexpr operation_id mark = operation_id{1} << 63;

    operation_id park(pending_base& op, parked_kind kind)
    {
        const operation_id id = mark | ++last_;
        parked_.emplace(id, entry{&op, kind});
        return id;
    }

    parked_kind kind_of(operation_id id) const
    {
        const auto found = parked_.find(id);
        return found == parked_.end() ? parked_kind::waiting : found->second.kind;
    }

    bool contains(operation_id id) const { return parked_.contains(id); }

    /// Null: it has been completed or cancelled meanwhile.
    pending_base* take(operation_id id)
    {
        const auto found = parked_.find(id);
        if (found == parked_.end()) {
            return nullptr;
        }
        pending_base* const op = found->second.op;
        parked_.erase(found);
        return op;
    }
    template <class T>
    pending_op<T>* take_as(operation_id id)
    {
        return static_cast<pending_op<T>*>(take(id));
    }

    void discard_all() noexcept
    {
        while (!parked_.empty()) {
            pending_base* const op = parked_.begin()->second.op;
            parked_.erase(parked_.begin());
            op->discard();
        }
    }

private:
    struct entry {
        pending_base* op;
        parked_kind kind;
    };
    std::unordered_map<operation_id, entry> parked_;
    operation_id last_ = 0;
};

}  // namespace coati::detail
