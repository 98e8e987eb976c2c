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
    using rep = std::chrono::nanoseconds::rep;          ///< Signed, 64 bits.
    using period = std::nano;                           ///< Ticks are nanoseconds.
    using duration = std::chrono::nanoseconds;          ///< Every other one converts to it.
    using time_point = std::chrono::time_point<clock>;  ///< Of one transport only.
    static constexpr bool is_steady = true;             ///< It never goes back.
};

/// A moment, by the clock of one transport; those of two do not compare.
using time_point = clock::time_point;
/// A length of time in nanoseconds; every `std::chrono` duration that is exact in them converts.
using duration = clock::duration;

/// A deadline that never comes.
inline constexpr time_point never = time_point::max();

}  // namespace coati
