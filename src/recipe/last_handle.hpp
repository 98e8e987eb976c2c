// What the handles of an object share whose work goes on in a coroutine: the end of the last one is
// the end of that.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>

#include <memory>
#include <utility>

namespace coati::detail {

/// Destroyed, on any thread, it drops the state: `is_dropped`, and the bell `happened`.
template <class State>
class last_handle {
public:
    explicit last_handle(std::shared_ptr<State> of) : of_(std::move(of)) {}
    last_handle(const last_handle&) = delete;
    last_handle& operator=(const last_handle&) = delete;
    ~last_handle()
    {
        const boost::asio::any_io_executor ex = of_->zk.get_executor();
        if (!ex) {
            return;  // the context has ended, and every run with it
        }
        boost::asio::dispatch(ex, [of = std::move(of_)] {
            of->is_dropped = true;
            of->happened.ring();
        });
    }

private:
    std::shared_ptr<State> of_;
};

}  // namespace coati::detail
