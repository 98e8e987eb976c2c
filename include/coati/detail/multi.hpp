// The typed half of multi: from a pack of operations to one request, from one reply to a tuple.
#pragma once

#include <coati/op.hpp>
#include <coati/operation.hpp>

#include <cstddef>
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
        }
        ++count;
    }

    std::string body;
    errc refused = errc{0};
    std::size_t count = 0;

private:
    const scope* scope_;
};

/// Fills in what all requests have in common; compiled once, in src/client.cpp.
void finish_multi(multi_encoder& encoder);
operation_id start_request(pending_base& op);
errc check_request_size(const scope& s, std::size_t body) noexcept;

template <class Result>
operation<Result> make_multi(scope_ptr owner, multi_encoder&& encoder,
                             typename pending_op<Result>::decode_fn decode)
{
    finish_multi(encoder);
    operation_state<Result> state;
    state.op = wire::op_code::multi;
    state.mutates = true;
    state.start = &start_request;
    state.decode = decode;
    state.argument = static_cast<std::int64_t>(encoder.count);
    state.refused = encoder.refused;
    if (state.refused == errc{0}) {
        state.refused = check_request_size(*owner, encoder.body.size());
    }
    state.body = std::move(encoder.body);
    state.owner = std::move(owner);
    return operation<Result>(std::move(state));
}

/// Decodes by the result headers, never by what was asked; fails with the first failing op's index.
result<std::vector<any_op_result>> decode_multi(const pending_base& op, const protocol::reply& r);

/// One result as its operation's type. A server that answers another kind breaks the protocol.
template <class T>
bool take_result(any_op_result& from, T& into)
{
    T* const value = std::get_if<T>(&from);
    if (value == nullptr) {
        return false;
    }
    into = std::move(*value);
    return true;
}

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

}  // namespace coati::detail
