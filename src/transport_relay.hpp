// What the transports' multi-step operations are made of: a handler with a step before it, and a
// memory for cancellations that fall between two steps.
#pragma once

#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_type.hpp>

#include <utility>

namespace coati::detail {

namespace asio = boost::asio;

/// `step(handler, results...)` in place of `handler(results...)`, with everything that is
/// associated with the handler: executor, allocator, cancellation slot.
template <class Step, class Handler>
struct relay {
    Step step;
    Handler handler;

    template <class... Results>
    void operator()(Results... results)
    {
        std::move(step)(std::move(handler), std::move(results)...);
    }
};

template <class Step, class Handler>
relay(Step, Handler) -> relay<Step, Handler>;

/// Any type of cancellation asks for the same: stop, and say how many bytes were handed over. For
/// asio::cancellation_state.
struct any_cancellation {
    asio::cancellation_type operator()(asio::cancellation_type type) const noexcept { return type; }
};

}  // namespace coati::detail

template <template <class, class> class Associator, class Step, class Handler, class Candidate>
struct boost::asio::associator<Associator, coati::detail::relay<Step, Handler>, Candidate>
    : Associator<Handler, Candidate> {
    static typename Associator<Handler, Candidate>::type
    get(const coati::detail::relay<Step, Handler>& r) noexcept
    {
        return Associator<Handler, Candidate>::get(r.handler);
    }
    static auto get(const coati::detail::relay<Step, Handler>& r, const Candidate& c) noexcept
        -> decltype(Associator<Handler, Candidate>::get(r.handler, c))
    {
        return Associator<Handler, Candidate>::get(r.handler, c);
    }
};
