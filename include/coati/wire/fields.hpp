// Owns one name: the list of a record's members in the order in which they stand on the wire.
// It knows nothing else, not even how to encode them, so that a public type (coati/stat.hpp) can
// say its layout without paying for the codec. The codec that walks the list is wire/jute.hpp.

#pragma once

namespace coati::wire {

// Members are member pointers. They are template arguments and not a tuple of values because the
// compiler then folds the offsets of a fixed-size record into constants.
template <auto... Members>
struct fields {};

}  // namespace coati::wire
