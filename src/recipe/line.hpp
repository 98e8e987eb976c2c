// A line of contenders: sequential znodes in one directory, of which the first has what all of them
// want. Each watches the one before it and nothing else.
#pragma once

#include "claim.hpp"

#include <coati/client.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coati::detail {

/// The contenders of a listing in their order, first come first; others' names are left out.
/// `prefix` is what stands before the number: "lock-".
std::vector<std::string> in_line(std::vector<std::string> names, std::string_view prefix);

/// Waits until the claim is the first of its line. Success: it is. Completes with: lock_lost
/// (somebody removed the znode), timed_out (`until` is over and it is not the first), cancelled,
/// the ending of the session.
boost::asio::awaitable<result<void>> until_first(client zk, std::shared_ptr<claim> mine,
                                                 std::optional<time_point> until);

/// Makes the claim of `spec` and waits until it is the first, with a new claim when somebody
/// removed the znode, and in a new session if there may be one. A claim that is dropped gives
/// itself up.
boost::asio::awaitable<result<std::shared_ptr<claim>>>
reach_the_front(client zk, claim_spec spec, std::optional<time_point> until);

}  // namespace coati::detail
