// The reading operations of the client: how a call becomes a request, and a reply a result.

#include "client_requests.hpp"
#include "watch_state.hpp"

#include <coati/client.hpp>

namespace coati {

namespace {

using detail::answer;
using detail::error_of;
using detail::make_request;
using detail::pending_op;
using detail::server_path;
using protocol::reply;

template <class Result>
void fill(Result& into, const wire::get_data::response& from, const reply& r)
{
    into.data.assign(from.data.value);
    into.is_null = from.data.is_null;
    into.stat = from.stat;
    into.zxid = r.zxid;
}

template <class Result>
void fill(Result& into, const wire::get_children2::response& from, const reply& r)
{
    into.names.assign(from.children.begin(), from.children.end());
    into.stat = from.stat;
    into.zxid = r.zxid;
}

template <class Op, class Result>
result<Result> decode_read(pending_op<Result>& op, const reply& r)
{
    typename Op::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    result<Result> read(std::in_place_type<Result>);
    fill(*read, body, r);
    return read;
}

// The watch is armed here, in the read loop: its event can be the very next frame.
template <class Op, class Result>
result<Result> decode_watched(pending_op<Result>& op, const reply& r)
{
    auto read = decode_read<Op, Result>(op, r);
    if (read) {
        read->watch = detail::arm(op, Op::watches);
    }
    return read;
}

result<std::optional<stat>> decode_exists(pending_op<std::optional<stat>>& op, const reply& r)
{
    if (static_cast<errc>(r.err) == errc::no_node) {
        return std::optional<stat>();
    }
    wire::exists::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    return std::optional<stat>(body.stat);
}

result<watched_existence> decode_watched_exists(pending_op<watched_existence>& op, const reply& r)
{
    result<watched_existence> seen(std::in_place_type<watched_existence>);
    seen->zxid = r.zxid;
    // A missing znode arms another list than a present one: re-registering a present one in the
    // exist list would fire a creation that never happened (trap 31).
    if (static_cast<errc>(r.err) == errc::no_node) {
        seen->watch = detail::arm(op, wire::watch_kind::exist);
        return seen;
    }
    wire::exists::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    seen->stat = body.stat;
    seen->watch = detail::arm(op, wire::watch_kind::data);
    return seen;
}

result<void> decode_nothing(pending_op<void>& op, const reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    return success();
}

template <class Op, class Result>
operation<Result> read(const detail::scope_ptr& scope, const std::string& path, bool watches,
                       typename pending_op<Result>::decode_fn decode)
{
    const server_path where(*scope, path);
    typename Op::request what;
    what.path = where.view();
    what.watch = watches;
    auto state = make_request<Op, Result>(scope, where.wrong(), what, decode);
    if (watches) {
        state.watches = Op::watches;
        state.target = std::make_shared<std::string>(where.view());
    }
    return operation<Result>(std::move(state));
}

}  // namespace

operation<get_result> client::get(std::string path) const
{
    return read<wire::get_data, get_result>(scope_, path, false,
                                            &decode_read<wire::get_data, get_result>);
}

operation<watched_data> client::get_and_watch(std::string path) const
{
    return read<wire::get_data, watched_data>(scope_, path, true,
                                              &decode_watched<wire::get_data, watched_data>);
}

operation<std::optional<stat>> client::exists(std::string path) const
{
    return read<wire::exists, std::optional<stat>>(scope_, path, false, &decode_exists);
}

operation<watched_existence> client::exists_and_watch(std::string path) const
{
    return read<wire::exists, watched_existence>(scope_, path, true, &decode_watched_exists);
}

operation<children_result> client::children(std::string path) const
{
    return read<wire::get_children2, children_result>(
        scope_, path, false, &decode_read<wire::get_children2, children_result>);
}

operation<watched_children> client::children_and_watch(std::string path) const
{
    return read<wire::get_children2, watched_children>(
        scope_, path, true, &decode_watched<wire::get_children2, watched_children>);
}

operation<void> client::sync(std::string path) const
{
    const server_path where(*scope_, path);
    wire::sync::request what;
    what.path = where.view();
    return operation<void>(
        make_request<wire::sync, void>(scope_, where.wrong(), what, &decode_nothing));
}

}  // namespace coati
