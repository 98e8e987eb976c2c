// The typed half of multi: from a pack of operations to one request, from one reply to a tuple.
#pragma once

#include <coati/op.hpp>
#include <coati/operation.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace coati::detail {

/// Collects the operations of a multi as one request body.
class multi_encoder {
public:
    explicit multi_encoder(const scope& s) : scope_(&s) {}

    template <class Op>
    void add(const Op& op)
    {
        const errc wrong = op.append_to(body, *scope_);
        if (wrong != errc{0} && refused == errc{0}) {
            refused = wrong;
            refused_at = static_cast<std::int32_t>(count);
        }
        ++count;
    }

    std::string body;
    errc refused = errc{0};
    std::int32_t refused_at = -1;
    std::size_t count = 0;

private:
    const scope* scope_;
};

/// Fills in what all requests have in common; compiled once, in src/client_multi.cpp.
void finish_multi(multi_encoder& encoder);
operation_id start_request(pending_base& op);
errc check_request_size(const scope& s, std::size_t body) noexcept;

/// `code` is multi or multi_read.
template <class Result>
operation_state<Result> prepare_multi(wire::op_code code, scope_ptr owner, multi_encoder&& encoder,
                                      typename pending_op<Result>::decode_fn decode)
{
    finish_multi(encoder);
    operation_state<Result> state;
    state.op = code;
    state.mutates = code == wire::op_code::multi;
    state.start = &start_request;
    state.decode = decode;
    state.argument = static_cast<std::int64_t>(encoder.count);
    state.refused = encoder.refused;
    state.refused_at = encoder.refused_at;
    if (state.refused == errc{0}) {
        state.refused = check_request_size(*owner, encoder.body.size());
    }
    state.body = std::move(encoder.body);
    state.owner = std::move(owner);
    return state;
}

/// One result of a multi as its header says it is: what was asked for does not matter here.
struct multi_part {
    wire::op_code type = wire::op_code::error;
    std::string path;
    std::optional<coati::stat> stat;
};

/// Decodes by the result headers, never by what was asked; fails with the first failing op's index.
result<std::vector<multi_part>> decode_multi(const pending_base& op, const protocol::reply& r);

/// A part as the result of the operation that was asked for. False: a server that answers another
/// kind breaks the protocol.
bool take_result(multi_part& from, std::monostate& into);
bool take_result(multi_part& from, std::string& into);
bool take_result(multi_part& from, stat& into);
bool take_result(multi_part& from, created_in_multi& into);

template <class... Ops>
result<multi_result<Ops...>> decode_typed_multi(pending_op<multi_result<Ops...>>& op,
                                                const protocol::reply& r)
{
    auto decoded = decode_multi(op, r);
    if (!decoded) {
        return decoded.error();
    }
    multi_result<Ops...> typed;
    typed.zxid = r.zxid;
    std::size_t i = 0;
    const bool fits = std::apply(
        [&](auto&... each) { return (take_result((*decoded)[i++], each) && ...); }, typed.results);
    if (!fits) {
        return error(errc::malformed_reply, fate::applied);
    }
    return typed;
}

/// Of a multi_read: each part is there or has failed alone.
result<std::vector<result<any_read_result>>> decode_multi_read(const pending_base& op,
                                                               const protocol::reply& r);

template <class T>
bool take_read(result<any_read_result>& from, result<T>& into)
{
    if (!from) {
        into = from.error();
        return true;
    }
    T* const value = std::get_if<T>(&*from);
    if (value == nullptr) {
        return false;
    }
    into = std::move(*value);
    return true;
}

template <class... Ops>
result<multi_read_result<Ops...>> decode_typed_multi_read(pending_op<multi_read_result<Ops...>>& op,
                                                          const protocol::reply& r)
{
    auto decoded = decode_multi_read(op, r);
    if (!decoded) {
        return decoded.error();
    }
    result<multi_read_result<Ops...>> typed(std::in_place_type<multi_read_result<Ops...>>);
    typed->zxid = r.zxid;
    std::size_t i = 0;
    const bool fits = std::apply(
        [&](auto&... each) { return (take_read((*decoded)[i++], each) && ...); }, typed->results);
    if (!fits) {
        return error(errc::malformed_reply);
    }
    return typed;
}

}  // namespace coati::detail
