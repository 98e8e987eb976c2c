// From arguments to an operation, and from a reply to its errors: what every request method shares.
#pragma once

#include "engine.hpp"

#include <coati/operation.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation.hpp>
#include <coati/wire/operation_watch.hpp>
#include <coati/wire/path.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace coati::detail {

/// The server's path of a path under a handle's chroot, validated. Without a chroot a view, no
/// copy.
class server_path {
public:
    server_path(const scope& s, const std::string& path, bool is_sequential = false)
    {
        const auto checked =
            is_sequential ? wire::validate_sequential_path(path) : wire::validate_path(path);
        if (checked != wire::path_error::none || s.is_invalid) {
            wrong_ = errc::invalid_path;
            return;
        }
        if (s.chroot.empty()) {
            view_ = path;
            return;
        }
        joined_ = is_sequential ? wire::join_chroot_sequential(s.chroot, path)
                                : wire::join_chroot(s.chroot, path);
        view_ = joined_;
    }
    server_path(const server_path&) = delete;
    server_path& operator=(const server_path&) = delete;

    errc wrong() const noexcept { return wrong_; }
    std::string_view view() const noexcept { return view_; }

private:
    errc wrong_ = errc{0};
    std::string joined_;
    std::string_view view_;
};

operation_id start_request(pending_base& op);

/// Encodes a request once; it is kept until answered, so that it can go out on another connection.
template <class Op, class T>
operation_state<T> make_request(const scope_ptr& owner, errc wrong,
                                const typename Op::request& what,
                                typename pending_op<T>::decode_fn decode)
{
    operation_state<T> state;
    state.owner = owner;
    state.start = &start_request;
    state.decode = decode;
    state.op = Op::code;
    state.mutates = Op::mutates;
    state.refused = wrong;
    if (wrong != errc{0}) {
        return state;
    }
    if (wire::request_size<Op>(what) > owner->core->settings().max_request) {
        state.refused = errc::request_too_large;
        return state;
    }
    wire::encode(state.body, what);
    return state;
}

/// The error that a reply's header says.
inline error error_of(const pending_base&, const protocol::reply& r) noexcept
{
    return {static_cast<errc>(r.err), fate::not_applied};
}

/// Decodes the body, or says what stands in its place. Bytes behind the body are a newer server's.
template <class Response>
std::optional<error> answer(const pending_base& op, const protocol::reply& r, Response& into)
{
    if (r.err != 0) {
        return error_of(op, r);  // whatever follows an error is not a body
    }
    wire::reader in(r.body);
    if (!wire::decode(in, into)) {
        return error(errc::malformed_reply, op.mutates ? fate::applied : fate::not_applied);
    }
    return std::nullopt;
}

/// The reply of an operation that gives the new stat and nothing else.
template <class Op>
result<stat> decode_stat(pending_op<stat>& op, const protocol::reply& r)
{
    typename Op::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    return body.stat;
}

}  // namespace coati::detail
