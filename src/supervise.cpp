// The decisions of supervise that are no templates.

#include <coati/supervise.hpp>

#include "engine.hpp"

#include <coati/protocol/uniform.hpp>

namespace coati {

duration back_off::delay(std::size_t again, std::uint64_t random) const noexcept
{
    const auto doublings = std::min<std::size_t>(again == 0 ? 0 : again - 1, 20);
    const duration bound = std::min<duration>(longest, duration(first) * (1LL << doublings));
    const auto choices = static_cast<std::uint64_t>(std::max<duration::rep>(bound.count(), 0)) + 1;
    return duration(static_cast<duration::rep>(protocol::uniform(random, choices)));
}

bool deserves_new_session(errc ending) noexcept
{
    return ending == errc::session_expired || ending == errc::session_id_changed ||
           ending == errc::presumed_expired;
}

namespace detail {

std::uint64_t random_number(const client& zk)
{
    return zk.scope()->core->world().random();
}

}  // namespace detail

}  // namespace coati
