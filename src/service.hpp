// Lets an execution context break the cycles of parked handlers when it ends, as it does for Asio's
// own objects: a parked request holds a coroutine, which holds a handle, which holds the engine,
// which holds the request.
#pragma once

#include <boost/asio/execution_context.hpp>

#include <memory>
#include <mutex>
#include <vector>

namespace coati::detail {

class engine;

class parked_service final : public boost::asio::execution_context::service {
public:
    using key_type = parked_service;
    static inline boost::asio::execution_context::id id;

    explicit parked_service(boost::asio::execution_context& context) : service(context) {}

    void add(const std::shared_ptr<engine>& core);

private:
    void shutdown() override;

    // Clients are made on any thread; nothing else of an engine is shared between threads.
    std::mutex lock_;
    std::vector<std::weak_ptr<engine>> engines_;
};

}  // namespace coati::detail
