// One request on its way to an answer, and the watch operations, which are defined apart from the
// table that finds them.
//
// Private to serving.cpp and serving_watches.cpp.
#pragma once

#include "serving.hpp"

#include <coati/errc.hpp>
#include <coati/wire/operation_watch.hpp>

namespace coati::testing {

struct question {
    const server_state& from;
    peer& to;
    reply& out;

    const rules& has() const { return from.settings(); }
    void refuse(errc code) const { out.err = static_cast<std::int32_t>(code); }
    template <class Body>
    void answer(const Body& body) const
    {
        wire::encode(out.body, body);
    }
};

template <class Op>
struct tag {};

void serve_op(tag<wire::add_watch>, const question& q, const wire::add_watch::request& r);
void serve_op(tag<wire::check_watches>, const question& q, const wire::check_watches::request& r);
void serve_op(tag<wire::remove_watches>, const question& q, const wire::remove_watches::request& r);
void serve_op(tag<wire::set_watches>, const question& q, const wire::set_watches::request& r);
void serve_op(tag<wire::set_watches2>, const question& q, const wire::set_watches2::request& r);

}  // namespace coati::testing
