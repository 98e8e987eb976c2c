// coati::testing::for_each_seed: one story, many worlds; a failing one says how to run it again.
#pragma once

#include <cstdint>
#include <functional>

namespace coati::testing {

/// Tells the story with the seeds `first`, `first + 1`, ..., `count` of them. Make a `world` of the
/// seed in it, and check whatever must hold; a check fails by an exception, as Catch2's REQUIRE and
/// Boost.Test's BOOST_REQUIRE do.
///
/// The first seed that fails ends it: which one, and how to run it alone, is printed to stderr, and
/// the exception goes on. The environment says otherwise: COATI_SEED=17 runs that seed alone,
/// COATI_SEEDS=100000 as many. What is in them and is no number throws std::invalid_argument.
///
/// Returns how many seeds were run.
std::uint64_t for_each_seed(std::uint64_t count, const std::function<void(std::uint64_t)>& story,
                            std::uint64_t first = 1);

}  // namespace coati::testing
