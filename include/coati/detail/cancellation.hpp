// How the roots of spawned coroutines take cancellation.
#pragma once

#include <boost/asio/cancellation_type.hpp>

namespace coati::detail {

/// Accepts every type of cancellation and passes it on as terminal, the only one that all
/// operations know.
struct any_to_terminal {
    boost::asio::cancellation_type operator()(boost::asio::cancellation_type type) const noexcept
    {
        using boost::asio::cancellation_type;
        return type == cancellation_type::none ? type : cancellation_type::terminal;
    }
};

/// Accepts every type and remembers which it was.
struct keep_type {
    boost::asio::cancellation_type operator()(boost::asio::cancellation_type type) const noexcept
    {
        return type;
    }
};

}  // namespace coati::detail
