// One request to the scripted server on its way to an answer, and the operations that are defined
// apart from the table that finds them.
//
// Private to src/testing: server_operations.cpp has the table, server_watches.cpp the watches.
#pragma once

#include "server_core.hpp"

#include <coati/wire/operation_watch.hpp>

namespace coati::testing {

/// One request and its connection.
struct exchange {
    server_connection& on;
    ensemble_core& ensemble;
    wire::op_code op;
    std::int32_t xid;

    template <class Body>
    void answer(std::int64_t zxid, const Body& body) const
    {
        std::string frame;
        const auto at = wire::open_frame(frame);
        wire::encode(frame, wire::reply_header{xid, zxid, 0}, body);
        wire::close_frame(frame, at);
        on.send(std::move(frame), op, xid);
    }

    void answer_error(std::int32_t err, std::int64_t zxid) const
    {
        std::string frame;
        const auto at = wire::open_frame(frame);
        wire::encode(frame, wire::reply_header{xid, zxid, err});
        wire::close_frame(frame, at);
        on.send(std::move(frame), op, xid);
    }
    void answer_error(std::int32_t err) const { answer_error(err, ensemble.zxid); }

    /// The reply without a body, and with an error or not.
    void answer_code(std::int32_t err) const { answer_error(err); }
};

template <class Op>
struct tag {};

void execute_op(tag<wire::add_watch>, const exchange& x, const wire::add_watch::request& r);
void execute_op(tag<wire::check_watches>, const exchange& x, const wire::check_watches::request& r);
void execute_op(tag<wire::remove_watches>, const exchange& x,
                const wire::remove_watches::request& r);
void execute_op(tag<wire::set_watches>, const exchange& x, const wire::set_watches::request& r);
void execute_op(tag<wire::set_watches2>, const exchange& x, const wire::set_watches2::request& r);

}  // namespace coati::testing
