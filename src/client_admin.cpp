// The operations on access, on a session's own znodes and on the ensemble.

#include "client_arguments.hpp"
#include "client_composed.hpp"
#include "watch_state.hpp"

#include <coati/client.hpp>
#include <coati/subtree.hpp>
#include <coati/wire/operation_admin.hpp>

namespace coati {

namespace {

using detail::answer;
using detail::decode_stat;
using detail::make_request;
using detail::pending_op;
using detail::server_path;
using detail::asio::awaitable;
using protocol::reply;

constexpr std::string_view config_path = "/zookeeper/config";

/// The same handle without a chroot: the configuration lies at its own path for everybody, and the
/// events about it do too (trap 37).
detail::scope_ptr without_chroot(const detail::scope_ptr& scope)
{
    if (scope->chroot.empty() && !scope->is_invalid) {
        return scope;
    }
    auto plain = std::make_shared<detail::scope>(*scope);
    plain->chroot.clear();
    plain->is_invalid = false;
    return plain;
}

result<acl_result> decode_acl(pending_op<acl_result>& op, const reply& r)
{
    wire::get_acl::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    acl_result read;
    read.entries.reserve(body.acls.size());
    for (const wire::acl& each : body.acls) {
        read.entries.emplace_back(static_cast<perms>(each.perms), std::string(each.scheme),
                                  std::string(each.id));
    }
    read.stat = body.stat;
    read.zxid = r.zxid;
    return read;
}

result<std::vector<identity>> decode_identities(pending_op<std::vector<identity>>& op,
                                                const reply& r)
{
    wire::who_am_i::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    std::vector<identity> known;
    known.reserve(body.clients.size());
    for (const wire::client_info& each : body.clients) {
        identity one;
        one.scheme.assign(each.scheme);
        one.user.assign(each.user);
        known.push_back(std::move(one));
    }
    return known;
}

/// The server compares strings, so that "/app" finds what lies below "/apple" too: not ours.
result<std::vector<std::string>> decode_ephemerals(pending_op<std::vector<std::string>>& op,
                                                   const reply& r)
{
    wire::get_ephemerals::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    const std::string& chroot = op.owner->chroot;
    std::vector<std::string> mine;
    for (const std::string_view each : body.paths) {
        const std::string_view inside = wire::strip_chroot(chroot, each);
        if (chroot.empty() || inside.size() < each.size()) {
            mine.emplace_back(inside);
        }
    }
    return mine;
}

result<descendants> decode_count(pending_op<descendants>& op, const reply& r)
{
    wire::get_all_children_number::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    descendants found;
    found.count = body.count;
    return found;
}

config_result config_of(const wire::get_data::response& body, const reply& r)
{
    config_result read;
    read.text.assign(body.data.value);
    read.stat = body.stat;
    read.zxid = r.zxid;
    return read;
}

result<config_result> decode_config(pending_op<config_result>& op, const reply& r)
{
    wire::get_data::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    return config_of(body, r);
}

result<watched_config> decode_watched_config(pending_op<watched_config>& op, const reply& r)
{
    wire::get_data::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    result<watched_config> read(std::in_place_type<watched_config>);
    read->config = config_of(body, r);
    read->watch = detail::arm(op, wire::watch_kind::data);
    return read;
}

/// The znodes below one, by a walk.
awaitable<result<descendants>> count_by_walking(client zk, std::string path)
{
    auto all = walk(zk, std::move(path));
    descendants found;
    found.is_emulated = true;
    found.count = -1;  // the walk begins with the znode itself
    for (;;) {
        const auto at = co_await all.next();
        if (!at) {
            co_return at.error();
        }
        if (!*at) {
            break;
        }
        ++found.count;
    }
    if (found.count < 0) {
        co_return errc::no_node;
    }
    co_return found;
}

awaitable<result<descendants>> count(client zk, std::string path)
{
    const server_path where(*zk.scope(), path);
    wire::get_all_children_number::request what;
    what.path = where.view();
    auto ask = operation<descendants>(make_request<wire::get_all_children_number, descendants>(
        zk.scope(), where.wrong(), what, &decode_count));
    auto counted = co_await std::move(ask);
    if (counted || counted.error() != errc::unimplemented) {
        co_return counted;
    }
    auto walked = count_by_walking(std::move(zk), std::move(path));
    co_return co_await std::move(walked);
}

}  // namespace

// --- access

operation<acl_result> client::get_acl(std::string path) const
{
    const server_path where(*scope_, path);
    wire::get_acl::request what;
    what.path = where.view();
    return operation<acl_result>(
        make_request<wire::get_acl, acl_result>(scope_, where.wrong(), what, &decode_acl));
}

operation<stat> client::set_acl(std::string path, acls who,
                                std::optional<std::int32_t> expected_aversion) const
{
    const server_path where(*scope_, path);
    wire::set_acl::request what;
    what.path = where.view();
    what.acls = detail::on_the_wire(who);
    what.version = detail::version_of(expected_aversion);
    errc wrong = where.wrong();
    if (wrong == errc{0} && !who.is_well_formed()) {
        wrong = errc::invalid_acl;
    }
    return operation<stat>(
        make_request<wire::set_acl, stat>(scope_, wrong, what, &decode_stat<wire::set_acl>));
}

operation<std::vector<identity>> client::who_am_i() const
{
    return operation<std::vector<identity>>(make_request<wire::who_am_i, std::vector<identity>>(
        scope_, errc{0}, wire::who_am_i::request(), &decode_identities));
}

// --- counting

operation<std::vector<std::string>> client::get_ephemerals(std::string prefix) const
{
    // Any beginning of a path will do, so it may end with a slash. "/" is everything of the handle.
    const bool is_all = prefix.empty() || prefix == "/";
    const bool is_prefix =
        is_all || wire::validate_sequential_path(prefix) == wire::path_error::none;
    const errc wrong = is_prefix && !scope_->is_invalid ? errc{0} : errc::invalid_path;
    const std::string full = scope_->chroot + (is_all ? std::string() : prefix);
    wire::get_ephemerals::request what;
    what.prefix = full;
    return operation<std::vector<std::string>>(
        make_request<wire::get_ephemerals, std::vector<std::string>>(scope_, wrong, what,
                                                                     &decode_ephemerals));
}

operation<descendants> client::count_descendants(std::string path) const
{
    const errc wrong = server_path(*scope_, path).wrong();
    return compose<descendants>(*this, wrong,
                                [path = std::move(path)](client zk) { return count(zk, path); });
}

// --- the ensemble

operation<config_result> client::get_config() const
{
    wire::get_data::request what;
    what.path = config_path;
    return operation<config_result>(make_request<wire::get_data, config_result>(
        without_chroot(scope_), errc{0}, what, &decode_config));
}

operation<watched_config> client::get_config_and_watch() const
{
    wire::get_data::request what;
    what.path = config_path;
    what.watch = true;
    auto state = make_request<wire::get_data, watched_config>(without_chroot(scope_), errc{0}, what,
                                                              &decode_watched_config);
    state.watches = wire::watch_kind::data;
    state.target = std::make_shared<std::string>(config_path);
    return operation<watched_config>(std::move(state));
}

operation<config_result> client::reconfig(membership_change change) const
{
    using nullable = wire::nullable<std::string_view>;
    const std::string members = change.members();
    const std::string leaving = change.leaving();
    const auto given = [](const std::string& list) {
        return list.empty() ? nullable::null() : nullable(list);
    };
    wire::reconfig::request what;
    what.joining = change.is_whole() ? nullable::null() : given(members);
    what.leaving = change.is_whole() ? nullable::null() : given(leaving);
    what.new_members = change.is_whole() ? given(members) : nullable::null();
    what.config_id = change.expected_version().value_or(-1);
    const errc wrong = change.is_malformed() ? errc::invalid_argument : errc{0};
    return operation<config_result>(
        make_request<wire::reconfig, config_result>(scope_, wrong, what, &decode_config));
}

}  // namespace coati
