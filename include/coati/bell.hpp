// coati::bell: tells coroutines that something has changed, for objects that several of them share.
//
// It carries no value: whoever hears it looks. Waits belong to the client, so that nothing is left
// when its execution context ends.
#pragma once

#include <coati/client.hpp>

#include <cstdint>
#include <memory>

namespace coati {

namespace detail {
class bell_state;
}

/// Counts how often it has been rung, and wakes who waits for the next time. On the client's
/// executor only; copies are the same bell.
///
///     for (;;) {
///         const auto heard = changed.count();
///         look();                                            // misses nothing that comes later
///         BOOST_OUTCOME_CO_TRY(co_await changed.after(heard));
///     }
class bell {
public:
    /// Of that client's executor and context.
    explicit bell(const client& of);

    /// Wakes everybody who waits, each in a turn of its own.
    void ring();
    /// How often it has been rung.
    std::uint64_t count() const noexcept;
    /// Completes once it has been rung more often than `count` says; at once if it has. Completes
    /// with: cancelled.
    operation<void> after(std::uint64_t count) const;

private:
    std::shared_ptr<detail::bell_state> state_;
};

}  // namespace coati
