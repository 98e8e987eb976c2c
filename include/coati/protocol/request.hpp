// What floor 1 knows of a request: its bytes, what it may do to the tree, and how to answer it.
//
// The typed half (what the reply decodes to, whose handler is called) is detail/pending_op.hpp.
// Knows no socket, no coroutine and no clock.
#pragma once

#include <coati/error.hpp>
#include <coati/wire/op_code.hpp>
#include <coati/wire/watch_kind.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace coati::protocol {

/// Numbers requests in the order of their submission; never reused within a client.
using ticket = std::uint64_t;

/// A reply as it stands in the read buffer; the body's bytes live for the duration of the call.
struct reply {
    std::int64_t zxid = 0;
    std::int32_t err = 0;
    std::string_view body;
};

/// One request, from submission to its single answer. Whoever holds the pointer owns it until one
/// of the three functions that consume it is called.
class request {
public:
    wire::op_code op = wire::op_code::notification;
    bool mutates = false;    ///< A written, unanswered one is never sent twice.
    bool fail_fast = false;  ///< Fails at once when there is no connection, is never replayed.
    wire::watch_kind watches = wire::watch_kind::none;  ///< What its success arms on the server.
    std::string body;  ///< Everything behind the request header, kept until answered.

    /// Consumes the request.
    virtual void on_reply(const reply& r) = 0;
    /// Consumes the request.
    virtual void on_error(const error& e) = 0;
    /// Consumes the request without calling anybody: its execution context is going away.
    virtual void discard() noexcept = 0;

protected:
    request() = default;
    request(wire::op_code which, bool does_mutate, wire::watch_kind arms,
            std::string&& bytes) noexcept
        : op(which), mutates(does_mutate), watches(arms), body(std::move(bytes))
    {
    }
    request(const request&) = delete;
    request& operator=(const request&) = delete;
    ~request() = default;
};

}  // namespace coati::protocol
