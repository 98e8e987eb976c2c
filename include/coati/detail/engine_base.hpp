// What the token shell (templates, in every user's object file) may see of the engine: its
// executor, its memory, and how to cancel. Everything else is compiled once, in src/.
#pragma once

#include <coati/clock.hpp>
#include <coati/errc.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

namespace coati::detail {

class engine;

/// Blocks for parked operations, by size. Only on the engine's executor, hence no lock: the next
/// request reuses the block that the last reply has just freed, hot in the cache.
class block_pool {
public:
    block_pool() = default;
    block_pool(const block_pool&) = delete;
    block_pool& operator=(const block_pool&) = delete;
    ~block_pool();

    void* allocate(std::size_t size);
    void deallocate(void* block, std::size_t size) noexcept;

private:
    static constexpr std::size_t step = 64;
    static constexpr std::size_t classes = 8;  // up to 512 bytes; larger ones come from the heap
    struct free_block {
        free_block* next;
    };
    std::array<free_block*, classes> free_{};
};

/// Identifies a parked operation for cancellation. 0: none.
using operation_id = std::uint64_t;

class engine_base : public std::enable_shared_from_this<engine_base> {
public:
    engine_base(const engine_base&) = delete;
    engine_base& operator=(const engine_base&) = delete;
    virtual ~engine_base() = default;

    /// The session's executor: a strand, unless the user promised a serial executor.
    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    /// True when the caller may touch the engine.
    bool on_executor() const noexcept { return here_ == nullptr || here_(executor_); }

    block_pool& pool() noexcept { return pool_; }

    /// Completes the operation with `why`, if it is still parked.
    virtual void cancel(operation_id which, errc why) = 0;
    /// The operation is answered; nobody needs its timer any more.
    virtual void forget_timer(time_point when, operation_id which) noexcept = 0;
    /// An exception out of a plain callback leaves through the executor, not through the read loop.
    void rethrow_later(std::exception_ptr what) const;

protected:
    engine_base() = default;

    boost::asio::any_io_executor executor_;
    /// Is this thread on `executor_`? Null: every caller is, by promise.
    bool (*here_)(const boost::asio::any_io_executor&) = nullptr;

private:
    block_pool pool_;
};

}  // namespace coati::detail
