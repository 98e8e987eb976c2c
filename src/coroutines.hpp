// What the engine's coroutines share: racing each other, and how they end.
#pragma once

#include "engine.hpp"

#include <coati/detail/cancellation.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <variant>

namespace coati::detail {

// `a() || b()`: the first to return ends the other, and both are joined.
using namespace asio::experimental::awaitable_operators;

template <class... Endings>
ending ending_of(const std::variant<Endings...>& first)
{
    return std::visit([](const ending& e) { return e; }, first);
}

/// A transport's generator as the protocol floor takes it.
struct random_of {
    transport& world;
    std::uint64_t operator()() const { return world.random(); }
};

}  // namespace coati::detail
