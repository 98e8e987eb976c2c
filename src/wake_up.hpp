// A wake-up for one waiter on one executor: sticky, so that a set before the wait is not lost.
//
// set() runs the waiter inside the call (both are on the engine's executor): that is how the reader
// lets the writer send everything that one read has caused, before the read is armed again.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace coati::detail {

class wake_up {
    using error_code = boost::system::error_code;
    using handler = boost::asio::any_completion_handler<void(error_code)>;

public:
    wake_up() = default;
    wake_up(const wake_up&) = delete;
    wake_up& operator=(const wake_up&) = delete;

    void use(boost::asio::any_io_executor ex) { executor_ = std::move(ex); }

    void set()
    {
        if (!waiter_) {
            is_set_ = true;
            return;
        }
        auto waiter = std::exchange(waiter_, handler());
        std::move(waiter)(error_code());
    }
    void reset() noexcept { is_set_ = false; }

    auto wait()
    {
        boost::asio::deferred_t token;
        return boost::asio::async_initiate<boost::asio::deferred_t&, void(error_code)>(
            [this](auto&& h) { start(handler(std::forward<decltype(h)>(h))); }, token);
    }

    /// The context is going away: the waiter dies uncalled. Nothing may wait afterwards.
    void shut_down() noexcept
    {
        auto waiter = std::exchange(waiter_, handler());
        executor_ = boost::asio::any_io_executor();
    }

private:
    void start(handler&& h)
    {
        if (std::exchange(is_set_, false)) {
            boost::asio::post(executor_, boost::asio::append(std::move(h), error_code()));
            return;
        }
        waiter_ = std::move(h);
        // The slot of the erased handler: assigning to the original one would destroy the
        // erasure's.
        auto slot = boost::asio::get_associated_cancellation_slot(waiter_);
        if (slot.is_connected()) {
            slot.assign([this](boost::asio::cancellation_type) { abort(); });
        }
    }
    void abort()
    {
        if (waiter_) {
            auto waiter = std::exchange(waiter_, handler());
            boost::asio::post(
                executor_,
                boost::asio::append(std::move(waiter), boost::asio::error::operation_aborted));
        }
    }

    boost::asio::any_io_executor executor_;
    handler waiter_;
    bool is_set_ = false;
};

}  // namespace coati::detail
