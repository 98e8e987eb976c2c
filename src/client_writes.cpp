// The writing operations of the client, multi included.

#include "client_requests.hpp"

#include <coati/client.hpp>
#include <coati/wire/multi.hpp>

namespace coati {

namespace {

using detail::answer;
using detail::error_of;
using detail::make_request;
using detail::pending_op;
using detail::server_path;
using protocol::reply;

template <class Op>
result<created> decode_created(pending_op<created>& op, const reply& r)
{
    typename Op::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    created made;
    made.path.assign(wire::strip_chroot(op.owner->chroot, body.path));
    made.zxid = r.zxid;
    return made;
}

result<stat> decode_stat(pending_op<stat>& op, const reply& r)
{
    wire::set_data::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    return body.stat;
}

result<void> decode_removed(pending_op<void>& op, const reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    return success();
}

wire::nullable<std::string_view> on_the_wire(const data& bytes)
{
    wire::nullable<std::string_view> sent;
    sent.value = bytes.bytes();
    sent.is_null = bytes.is_null();
    return sent;
}

wire::create::request create_request(std::string_view path, const data& bytes, create_mode mode,
                                     const acls& who)
{
    wire::create::request what;
    what.path = path;
    what.data = on_the_wire(bytes);
    what.acls.reserve(who.entries().size());
    for (const acl& each : who.entries()) {
        wire::acl entry;
        entry.perms = static_cast<std::int32_t>(each.permissions);
        entry.scheme = each.scheme;
        entry.id = each.id;
        what.acls.push_back(entry);
    }
    what.flags = static_cast<std::int32_t>(mode);
    return what;
}

std::int32_t version_of(std::optional<std::int32_t> expected)
{
    return expected.value_or(wire::any_version);
}

/// A negative version other than "any" matches nothing; the server would answer bad_version.
template <class Op>
void append(std::string& body, const typename Op::request& what)
{
    wire::append_multi_op<Op>(body, what);
}

}  // namespace

operation<created> client::create(std::string path, coati::data bytes, create_mode mode,
                                  acls who) const
{
    const server_path where(*scope_, path, is_sequential(mode));
    const auto what = create_request(where.view(), bytes, mode, who);
    if (mode == create_mode::container) {
        return operation<created>(make_request<wire::create_container, created>(
            scope_, where.wrong(), what, &decode_created<wire::create_container>));
    }
    return operation<created>(make_request<wire::create, created>(scope_, where.wrong(), what,
                                                                  &decode_created<wire::create>));
}

operation<stat> client::set(std::string path, coati::data bytes,
                            std::optional<std::int32_t> expected_version) const
{
    const server_path where(*scope_, path);
    wire::set_data::request what;
    what.path = where.view();
    what.data = on_the_wire(bytes);
    what.version = version_of(expected_version);
    return operation<stat>(
        make_request<wire::set_data, stat>(scope_, where.wrong(), what, &decode_stat));
}

operation<void> client::remove(std::string path, std::optional<std::int32_t> expected_version) const
{
    const server_path where(*scope_, path);
    wire::remove::request what;
    what.path = where.view();
    what.version = version_of(expected_version);
    return operation<void>(
        make_request<wire::remove, void>(scope_, where.wrong(), what, &decode_removed));
}

// --- multi

errc op::create::append_to(std::string& body, const detail::scope& s) const
{
    const server_path where(s, path_, is_sequential(mode_));
    if (where.wrong() != errc{0}) {
        return where.wrong();
    }
    const auto what = create_request(where.view(), data_, mode_, acls_);
    if (mode_ == create_mode::container) {
        append<wire::create_container>(body, what);
    } else {
        append<wire::create>(body, what);
    }
    return errc{0};
}

errc op::set::append_to(std::string& body, const detail::scope& s) const
{
    const server_path where(s, path_);
    if (where.wrong() != errc{0}) {
        return where.wrong();
    }
    wire::set_data::request what;
    what.path = where.view();
    what.data = on_the_wire(data_);
    what.version = version_of(version_);
    append<wire::set_data>(body, what);
    return errc{0};
}

errc op::remove::append_to(std::string& body, const detail::scope& s) const
{
    const server_path where(s, path_);
    if (where.wrong() != errc{0}) {
        return where.wrong();
    }
    wire::remove::request what;
    what.path = where.view();
    what.version = version_of(version_);
    append<wire::remove>(body, what);
    return errc{0};
}

errc op::check::append_to(std::string& body, const detail::scope& s) const
{
    const server_path where(s, path_);
    if (where.wrong() != errc{0}) {
        return where.wrong();
    }
    wire::check::request what;
    what.path = where.view();
    what.version = version_of(version_);
    append<wire::check>(body, what);
    return errc{0};
}

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

result<std::vector<any_op_result>> decode_multi(const pending_base& op, const protocol::reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    const auto expected = static_cast<std::size_t>(op.argument);
    std::vector<any_op_result> results;
    results.reserve(expected);
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
        if (one.stat && one.created_path.empty()) {
            results.emplace_back(*one.stat);
        } else if (!one.created_path.empty()) {
            results.emplace_back(
                std::string(wire::strip_chroot(op.owner->chroot, one.created_path)));
        } else {
            results.emplace_back();
        }
    }
    if (failed) {
        return *failed;
    }
    if (!in.ok() || results.size() != expected) {
        return error(errc::malformed_reply, fate::applied);
    }
    return results;
}

namespace {

result<multi_results> decode_listed_multi(pending_op<multi_results>& op, const protocol::reply& r)
{
    auto decoded = decode_multi(op, r);
    if (!decoded) {
        return decoded.error();
    }
    multi_results all;
    all.results = std::move(*decoded);
    all.zxid = r.zxid;
    return all;
}

}  // namespace

}  // namespace detail

operation<multi_results> client::multi(std::vector<any_op> ops) const
{
    detail::multi_encoder encoder(*scope_);
    for (const any_op& each : ops) {
        std::visit([&](const auto& op) { encoder.add(op); }, each);
    }
    return detail::make_multi<multi_results>(scope_, std::move(encoder),
                                             &detail::decode_listed_multi);
}

}  // namespace coati
