// Several operations in one request: multi, all or nothing; multi_read, each on its own; and check,
// which servers take only inside a multi.

#include "client_arguments.hpp"

#include <coati/client.hpp>
#include <coati/wire/multi.hpp>

#include <algorithm>

namespace coati {

using detail::create_arguments;
using detail::on_the_wire;
using detail::server_path;
using detail::version_of;

// --- one operation each

namespace {

/// Appends an operation whose request has a path and what `fill` puts beside it.
template <class Op, class Fill>
errc append(std::string& body, const detail::scope& s, const std::string& path, Fill fill)
{
    const server_path where(s, path);
    if (where.wrong() != errc{0}) {
        return where.wrong();
    }
    typename Op::request what;
    what.path = where.view();
    fill(what);
    wire::append_multi_op<Op>(body, what);
    return errc{0};
}

/// Appends a create; a container has an op code of its own, the other modes have the given one.
template <class Op>
errc append_create(std::string& body, const create_arguments& given, create_mode mode,
                   const data& bytes)
{
    if (given.wrong() != errc{0}) {
        return given.wrong();
    }
    if (mode == create_mode::container) {
        wire::append_multi_op<wire::create_container>(body, given.request(bytes));
    } else {
        wire::append_multi_op<Op>(body, given.request(bytes));
    }
    return errc{0};
}

}  // namespace

errc op::create::append_to(std::string& body, const detail::scope& s) const
{
    return append_create<wire::create>(body, {s, path_, mode_, acls_}, mode_, data_);
}

errc op::create_with_stat::append_to(std::string& body, const detail::scope& s) const
{
    return append_create<wire::create2>(body, {s, path_, mode_, acls_}, mode_, data_);
}

errc op::create_with_ttl::append_to(std::string& body, const detail::scope& s) const
{
    const create_arguments given(s, path_, mode_, acls_);
    if (const errc wrong = detail::check_ttl(ttl_, mode_); wrong != errc{0}) {
        return wrong;
    }
    if (given.wrong() != errc{0}) {
        return given.wrong();
    }
    wire::append_multi_op<wire::create_ttl>(body, given.request(data_, ttl_));
    return errc{0};
}

errc op::set::append_to(std::string& body, const detail::scope& s) const
{
    return append<wire::set_data>(body, s, path_, [this](wire::set_data::request& what) {
        what.data = on_the_wire(data_);
        what.version = version_of(version_);
    });
}

errc op::remove::append_to(std::string& body, const detail::scope& s) const
{
    return append<wire::remove>(body, s, path_, [this](wire::remove::request& what) {
        what.version = version_of(version_);
    });
}

errc op::check::append_to(std::string& body, const detail::scope& s) const
{
    return append<wire::check>(body, s, path_, [this](wire::check::request& what) {
        what.version = version_of(version_);
    });
}

errc op::get::append_to(std::string& body, const detail::scope& s) const
{
    return append<wire::get_data>(body, s, path_, [](const wire::get_data::request&) {});
}

errc op::children::append_to(std::string& body, const detail::scope& s) const
{
    return append<wire::get_children>(body, s, path_, [](const wire::get_children::request&) {});
}

// --- together

namespace detail {

void finish_multi(multi_encoder& encoder)
{
    wire::finish_multi(encoder.body);
}

errc check_request_size(const scope& s, std::size_t body) noexcept
{
    constexpr std::size_t header = 8;
    return header + body > s.core->settings().max_request ? errc::request_too_large : errc{0};
}

result<std::vector<multi_part>> decode_multi(const pending_base& op, const protocol::reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    const auto expected = static_cast<std::size_t>(op.argument);
    std::vector<multi_part> parts;
    parts.reserve(expected);
    wire::multi_reader in(r.body);
    wire::multi_result_view one;
    std::optional<error> failed;
    int index = 0;
    for (; in.next(one); ++index) {
        const auto code = static_cast<errc>(one.err);
        // The header of a failed multi says 0: the first that is neither "fine until then" nor
        // "undone because of another" is the reason (traps 6 and 40).
        if (one.err != 0 && code != errc::runtime_inconsistency && !failed) {
            failed = error(code, fate::not_applied).with_op_index(index);
        }
        multi_part part;
        part.type = static_cast<wire::op_code>(one.type);
        part.path = wire::strip_chroot(op.owner->chroot, one.created_path);
        part.stat = one.stat;
        parts.push_back(std::move(part));
    }
    if (failed) {
        return *failed;
    }
    if (!in.ok() || parts.size() != expected) {
        return error(errc::malformed_reply, op.mutates ? fate::applied : fate::not_applied);
    }
    return parts;
}

namespace {

bool is_created(const multi_part& part)
{
    return part.type == wire::op_code::create || part.type == wire::op_code::create2;
}

}  // namespace

bool take_result(multi_part& from, std::monostate&)
{
    return from.type == wire::op_code::remove || from.type == wire::op_code::check;
}

bool take_result(multi_part& from, std::string& into)
{
    into = std::move(from.path);
    return is_created(from);
}

bool take_result(multi_part& from, stat& into)
{
    into = from.stat.value_or(stat());
    return from.type == wire::op_code::set_data;
}

bool take_result(multi_part& from, created_in_multi& into)
{
    into.path = std::move(from.path);
    into.stat = from.stat;
    return is_created(from);
}

namespace {

using take_any = bool (*)(multi_part&, any_op_result&);

template <class Op>
bool take_as_any(multi_part& from, any_op_result& into)
{
    return take_result(from, into.emplace<typename Op::result>());
}

/// How to read each result of a list that was made at run time.
using expected_results = std::vector<take_any>;

result<multi_results> decode_listed_multi(pending_op<multi_results>& op, const protocol::reply& r)
{
    auto decoded = decode_multi(op, r);
    if (!decoded) {
        return decoded.error();
    }
    const auto& how = *std::static_pointer_cast<const expected_results>(op.target);
    multi_results all;
    all.zxid = r.zxid;
    all.results.resize(how.size());
    for (std::size_t i = 0; i < how.size(); ++i) {
        if (!how[i]((*decoded)[i], all.results[i])) {
            return error(errc::malformed_reply, fate::applied);
        }
    }
    return all;
}

result<any_read_result> one_read(const wire::multi_result_view& one, std::int64_t zxid)
{
    if (one.err != 0) {
        return error(static_cast<errc>(one.err));
    }
    if (static_cast<wire::op_code>(one.type) == wire::op_code::get_data && one.stat) {
        get_result read;
        read.data.assign(one.data.value);
        read.is_null = one.data.is_null;
        read.stat = *one.stat;
        read.zxid = zxid;
        return any_read_result(std::move(read));
    }
    if (static_cast<wire::op_code>(one.type) == wire::op_code::get_children) {
        return any_read_result(std::vector<std::string>(one.children.begin(), one.children.end()));
    }
    return error(errc::malformed_reply);
}

result<multi_read_results> decode_listed_multi_read(pending_op<multi_read_results>& op,
                                                    const protocol::reply& r)
{
    auto decoded = decode_multi_read(op, r);
    if (!decoded) {
        return decoded.error();
    }
    multi_read_results all;
    all.results = std::move(*decoded);
    all.zxid = r.zxid;
    return all;
}

result<void> decode_check(pending_op<void>& op, const protocol::reply& r)
{
    const auto decoded = decode_multi(op, r);
    if (!decoded) {
        return decoded.error().with_op_index(-1);
    }
    return success();
}

}  // namespace

result<std::vector<result<any_read_result>>> decode_multi_read(const pending_base& op,
                                                               const protocol::reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    const auto expected = static_cast<std::size_t>(op.argument);
    std::vector<result<any_read_result>> all;
    all.reserve(expected);
    wire::multi_reader in(r.body);
    wire::multi_result_view one;
    while (in.next(one)) {
        all.push_back(one_read(one, r.zxid));
    }
    if (!in.ok() || all.size() != expected) {
        return error(errc::malformed_reply);
    }
    return all;
}

}  // namespace detail

operation<multi_results> client::multi(std::vector<any_op> ops) const
{
    detail::multi_encoder encoder(*scope_);
    auto how = std::make_shared<detail::expected_results>();
    how->reserve(ops.size());
    for (const any_op& each : ops) {
        std::visit(
            [&]<class Op>(const Op& one) {
                encoder.add(one);
                how->push_back(&detail::take_as_any<Op>);
            },
            each);
    }
    auto state = detail::prepare_multi<multi_results>(
        wire::op_code::multi, scope_, std::move(encoder), &detail::decode_listed_multi);
    state.target = std::move(how);
    return operation<multi_results>(std::move(state));
}

operation<multi_read_results> client::multi_read(std::vector<any_read_op> ops) const
{
    detail::multi_encoder encoder(*scope_);
    for (const any_read_op& each : ops) {
        std::visit([&](const auto& one) { encoder.add(one); }, each);
    }
    return operation<multi_read_results>(detail::prepare_multi<multi_read_results>(
        wire::op_code::multi_read, scope_, std::move(encoder), &detail::decode_listed_multi_read));
}

operation<void> client::check(std::string path, std::optional<std::int32_t> expected_version) const
{
    detail::multi_encoder encoder(*scope_);
    encoder.add(op::check(std::move(path), expected_version));
    auto state = detail::prepare_multi<void>(wire::op_code::multi, scope_, std::move(encoder),
                                             &detail::decode_check);
    state.mutates = false;  // as a read: it is sent again after a loss, and never in doubt
    state.refused_at = -1;  // to its caller it is no multi
    return operation<void>(std::move(state));
}

}  // namespace coati
