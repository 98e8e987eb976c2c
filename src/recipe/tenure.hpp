// What a tenure is made of.
#pragma once

#include "claim.hpp"

#include <coati/recipe/tenure.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace coati::detail {

class tenure_state {
public:
    tenure_state(client through, std::string where, std::int64_t token, duration before_the_end)
        : zk(std::move(through)), path(std::move(where)), fence(token), margin(before_the_end)
    {
    }

    client zk;  // pinned to the session of the znode
    std::string path;
    std::int64_t fence;
    duration margin;
    bool is_over = false;
    /// Watches of the znode that nobody waits for just now. Kept until the znode is gone, by which
    /// they fire: taking one off would be a request more for every lock.
    std::vector<watch> armed;
};

/// Of a claim that has come to the front of its line. Completes with: invalid_argument (a margin
/// that leaves nothing of this session's timeout).
result<std::shared_ptr<tenure_state>> make_tenure(const claim& of, std::optional<duration> margin);

/// Until the tenure is over, for whichever reason, which is the error.
boost::asio::awaitable<result<void>> until_lost(std::shared_ptr<tenure_state> state);

}  // namespace coati::detail
