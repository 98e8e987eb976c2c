// Ends the parked handlers of a context that goes away: see the header.

#include "service.hpp"

#include "engine.hpp"

#include <algorithm>

namespace coati::detail {

void parked_service::add(const std::shared_ptr<engine>& core)
{
    const std::lock_guard guard(lock_);
    std::erase_if(engines_, [](const auto& each) { return each.expired(); });
    engines_.push_back(core);
}

void parked_service::shutdown()
{
    std::vector<std::weak_ptr<engine>> ended;
    {
        const std::lock_guard guard(lock_);
        ended.swap(engines_);
    }
    for (const auto& each : ended) {
        if (const auto core = each.lock()) {
            core->shut_down();
        }
    }
}

}  // namespace coati::detail
