// coati::clock: the one type of time in transport, protocol and client.
//
// It has no now(): time comes from a transport (the system's, or a simulated world's), so that the
// whole client and the application on top of it can run in virtual time.
#pragma once

#include <chrono>
#include <ratio>

namespace coati {

/// Nanoseconds of a clock that never goes back and runs through suspend (CLOCK_BOOTTIME on Linux).
struct clock {
    using rep = std::chrono::nanoseconds::rep;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<clock>;
    static constexpr bool is_steady = true;
};

using time_point = clock::time_point;
using duration = clock::duration;

/// A deadline that never comes.
inline constexpr time_point never = time_point::max();

}  // namespace coati
