// How a znode lives: org.apache.zookeeper.CreateMode, whose numbers go over the wire.
#pragma once

#include <cstdint>

namespace coati {

enum class create_mode : std::int32_t {
    persistent = 0,
    ephemeral = 1,              ///< Deleted by the server when the session ends.
    persistent_sequential = 2,  ///< The server appends a counter of the parent: ten digits.
    ephemeral_sequential = 3,
    container = 4,  ///< Deleted by the server some time after its last child is.
};

constexpr bool is_sequential(create_mode mode) noexcept
{
    return mode == create_mode::persistent_sequential || mode == create_mode::ephemeral_sequential;
}

}  // namespace coati
