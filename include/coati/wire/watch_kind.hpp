// Owns the five tables in which a client keeps its watches, as a number. Which reply arms which
// table and which event fires it is the protocol floor's business.

#pragma once

#include <cstdint>

namespace coati::wire {

enum class watch_kind : std::uint8_t {
    none,
    data,                 // get_data, and exists of a znode that is there
    exist,                // exists of a znode that is missing: the reply code decides
    child,                // get_children, get_children2
    persistent,           // add_watch
    persistent_recursive  // add_watch
};

}  // namespace coati::wire
