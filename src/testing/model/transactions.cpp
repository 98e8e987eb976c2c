// What each transaction does, and how it may fail: the checks stand in the order of the real
// server, which shows in the code that an operation with two faults is answered with.
//
// Knows the tree, the rules of a version and who asks.
#include "server_state.hpp"

#include <coati/wire/multi.hpp>
#include <coati/wire/operation.hpp>
#include <coati/wire/operation_admin.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace coati::testing {

namespace {

/// Where a transaction happens.
struct place {
    znode_tree& tree;
    writing& w;
    const rules& has;

    bool allows(const znode& on, std::int32_t perms) const
    {
        return testing::allows(on.acls, perms, *w.who);
    }
};

/// The result of one write, as a multi wants it: type, path, stat.
struct written {
    std::int32_t err = 0;
    wire::op_code type = wire::op_code::error;
    std::string path{};
    bool has_stat = false;
    coati::stat stat{};
};

// Flags of a create. 4 alone is a container, or nothing where the operation is not for containers.
constexpr std::int32_t ephemeral_flag = 1;
constexpr std::int32_t sequential_flag = 2;
constexpr std::int32_t last_plain_flags = 3;
constexpr std::int32_t container_flags = 4;
constexpr std::int32_t ttl_flags = 5;
constexpr std::int32_t last_flags = 6;

bool is_ephemeral(std::int32_t flags)
{
    return flags <= last_plain_flags && (flags & ephemeral_flag) != 0;
}

bool is_sequential(std::int32_t flags)
{
    return flags == last_flags || (flags <= last_plain_flags && (flags & sequential_flag) != 0);
}

/// No time to live: what every create but one has.
constexpr std::int64_t no_ttl = -1;
/// 40 bits of milliseconds, by which servers store it.
constexpr std::int64_t longest_ttl = 1'099'511'627'775;

std::int32_t check_flags(const rules& has, std::int32_t flags, std::int64_t ttl_ms)
{
    if (flags < 0 || flags > last_flags) {
        return number(errc::bad_arguments);
    }
    const bool is_ttl = flags >= ttl_flags;
    if (is_ttl && !has.extended_types) {
        return number(errc::unimplemented);
    }
    const bool fits = is_ttl ? ttl_ms > 0 && ttl_ms <= longest_ttl : ttl_ms < 0;
    return fits ? 0 : number(errc::bad_arguments);
}

template <class Request>
written create(const place& p, const Request& r, new_znode made, std::int64_t ttl_ms,
               wire::op_code type)
{
    if (const auto err = check_flags(p.has, r.flags, ttl_ms); err != 0) {
        return {err};
    }
    const std::size_t slash = r.path.rfind('/');
    if (slash == std::string_view::npos || r.path.find('\0') != std::string_view::npos) {
        return {number(errc::bad_arguments)};
    }
    made.acls = stored_form(r.acls, *p.w.who);
    if (!made.acls) {
        return {number(errc::invalid_acl)};
    }
    const znode* const parent = p.tree.find(r.path.substr(0, slash));
    if (parent == nullptr) {
        return {number(errc::no_node)};
    }
    if (!p.allows(*parent, may_create)) {
        return {number(errc::no_auth)};
    }
    written out{0, type, std::string(r.path), type != wire::op_code::create, {}};
    if (is_sequential(r.flags)) {
        std::array<char, 16> digits{};
        std::snprintf(digits.data(), digits.size(), "%010d",
                      static_cast<int>(parent->created_children));
        out.path += digits.data();
    }
    if (wire::validate_path(out.path) != wire::path_error::none) {
        return {number(errc::bad_arguments)};
    }
    if (p.tree.find(out.path) != nullptr) {
        return {number(errc::node_exists)};
    }
    if (parent->kind == znode_kind::ephemeral) {
        return {number(errc::no_children_for_ephemerals)};
    }
    made.data = r.data;
    p.tree.create(p.w, out.path, made);
    out.stat = znode_tree::stat_of(*p.tree.find(out.path));
    return out;
}

written apply_to(const place& p, const wire::create::request& r, wire::op_code type)
{
    new_znode made;
    made.kind = is_ephemeral(r.flags) ? znode_kind::ephemeral : znode_kind::persistent;
    return create(p, r, made, no_ttl, type);
}

template <class Op>
struct tag {};

written apply(tag<wire::create>, const place& p, const wire::create::request& r)
{
    return apply_to(p, r, wire::op_code::create);
}

written apply(tag<wire::create2>, const place& p, const wire::create2::request& r)
{
    return apply_to(p, r, wire::op_code::create2);
}

written apply(tag<wire::create_container>, const place& p, const wire::create_container::request& r)
{
    new_znode made;
    made.kind = znode_kind::container;
    return create(p, r, made, no_ttl, wire::op_code::create2);
}

written apply(tag<wire::create_ttl>, const place& p, const wire::create_ttl::request& r)
{
    new_znode made;
    made.kind = znode_kind::ttl;
    made.ttl_ms = r.ttl_ms;
    return create(p, r, made, r.ttl_ms, wire::op_code::create2);
}

bool is_fixed(std::string_view path)
{
    return path == "/" || path == "/zookeeper" || path == "/zookeeper/quota" ||
           path == "/zookeeper/config";
}

bool is_version(std::int32_t asked, std::int32_t there)
{
    return asked == wire::any_version || asked == there;
}

written apply(tag<wire::remove>, const place& p, const wire::remove::request& r)
{
    const bool has_slash = r.path.find('/') != std::string_view::npos;
    if (!has_slash || r.path.find('\0') != std::string_view::npos || is_fixed(r.path)) {
        return {number(errc::bad_arguments)};
    }
    const znode* const parent = p.tree.find(r.path.substr(0, r.path.rfind('/')));
    if (parent == nullptr) {
        return {number(errc::no_node)};
    }
    if (!p.allows(*parent, may_delete)) {
        return {number(errc::no_auth)};
    }
    const znode* const node = p.tree.find(r.path);
    if (node == nullptr) {
        return {number(errc::no_node)};
    }
    if (!is_version(r.version, node->stat.version)) {
        return {number(errc::bad_version)};
    }
    if (!node->children.empty()) {
        return {number(errc::not_empty)};
    }
    p.tree.remove(p.w, r.path);
    return {0, wire::op_code::remove};
}

/// The znode of a valid path that may be used so.
std::int32_t find(const place& p, std::string_view path, std::int32_t perms, const znode*& found)
{
    if (wire::validate_path(path) != wire::path_error::none) {
        return number(errc::bad_arguments);
    }
    found = p.tree.find(path);
    if (found == nullptr) {
        return number(errc::no_node);
    }
    return p.allows(*found, perms) ? 0 : number(errc::no_auth);
}

written apply(tag<wire::set_data>, const place& p, const wire::set_data::request& r)
{
    const znode* node = nullptr;
    if (const auto err = find(p, r.path, may_write, node); err != 0) {
        return {err};
    }
    if (!is_version(r.version, node->stat.version)) {
        return {number(errc::bad_version)};
    }
    p.tree.set_data(p.w, r.path, r.data);
    return {0, wire::op_code::set_data, {}, true, znode_tree::stat_of(*node)};
}

written apply(tag<wire::check>, const place& p, const wire::check::request& r)
{
    const znode* node = nullptr;
    if (const auto err = find(p, r.path, may_read, node); err != 0) {
        return {err};
    }
    return {is_version(r.version, node->stat.version) ? 0 : number(errc::bad_version),
            wire::op_code::check};
}

written apply(tag<wire::set_acl>, const place& p, const wire::set_acl::request& r)
{
    if (wire::validate_path(r.path) != wire::path_error::none) {
        return {number(errc::bad_arguments)};
    }
    acl_list acls = stored_form(r.acls, *p.w.who);
    if (!acls) {
        return {number(errc::invalid_acl)};
    }
    const znode* node = nullptr;
    if (const auto err = find(p, r.path, may_admin, node); err != 0) {
        return {err};
    }
    if (!is_version(r.version, node->stat.aversion)) {
        return {number(errc::bad_version)};
    }
    p.tree.set_acl(r.path, std::move(acls));
    return {0, wire::op_code::set_acl, {}, true, znode_tree::stat_of(*node)};
}

// --- one alone

/// Whether the first field, a string, is null.
bool is_null(std::string_view body)
{
    return body.starts_with("\xff\xff\xff\xff");
}

/// A path that is null: some look for its last slash before they look whether there is one.
template <class Op>
std::int32_t fault_of_null([[maybe_unused]] const place& p,
                           [[maybe_unused]] const typename Op::request& r)
{
    std::int32_t flags = 0;
    if constexpr (requires { r.ttl_ms; }) {
        flags = check_flags(p.has, r.flags, r.ttl_ms);
    } else if constexpr (requires { r.flags; }) {
        flags = check_flags(p.has, r.flags, no_ttl);
    } else if (!std::is_same_v<Op, wire::remove>) {
        return number(errc::bad_arguments);
    }
    return flags != 0 ? flags : number(errc::marshalling_error);
}

template <class Op>
void run_alone(const place& p, std::string_view body, outcome& out)
{
    wire::reader in(body);
    typename Op::request request{};
    out.err = wire::decode(in, request) ? 0 : number(errc::marshalling_error);
    if (out.err == 0 && is_null(body)) {
        out.err = fault_of_null<Op>(p, request);
    }
    if (out.err != 0) {
        return;
    }
    const written result = apply(tag<Op>{}, p, request);
    out.err = result.err;
    if (result.err == 0) {
        typename Op::response response{};
        if constexpr (requires { response.path; }) {
            response.path = result.path;
        }
        if constexpr (requires { response.stat; }) {
            response.stat = result.stat;
        }
        wire::encode(out.body, response);
    }
}

// --- several together

/// What the flags of a create ask for inside a multi. Before 3.9 that was all; then the operation
/// counts as well.
template <class Request>
bool run_create_part(const place& p, const Request& r, wire::op_code type, written& out)
{
    if (r.flags == container_flags || type == wire::op_code::create_container) {
        out = apply(tag<wire::create_container>{}, p, {r.path, r.data, r.acls, r.flags});
    } else {
        out = apply_to(p, {r.path, r.data, r.acls, r.flags}, type);
    }
    // Taken for one with a time to live, it lacks the time: that breaks the server's reading.
    return r.flags != ttl_flags && r.flags != last_flags;
}

/// False when it cannot be read. Without a place it is only read.
template <class Op>
bool run_part(const place* p, const rules& has, wire::reader& in, written& out)
{
    typename Op::request r{};
    if (!wire::decode(in, r)) {
        return false;
    }
    constexpr bool has_flags_alone = requires { r.flags; } && !requires { r.ttl_ms; };
    if constexpr (has_flags_alone) {
        if (has.is_39() && check_flags(has, r.flags, no_ttl) != 0) {
            return false;
        }
    }
    if (p == nullptr) {
        return true;
    }
    if constexpr (requires { r.ttl_ms; }) {
        if (r.flags != ttl_flags && r.flags != last_flags) {
            return run_create_part(*p, r, wire::op_code::create, out);
        }
        out = apply(tag<Op>{}, *p, r);
    } else if constexpr (has_flags_alone) {
        // ZOOKEEPER-4026
        return run_create_part(*p, r, has.is_39() ? Op::code : wire::op_code::create, out);
    } else {
        out = apply(tag<Op>{}, *p, r);
    }
    return true;
}

bool run_part(const place* p, const rules& has, std::int32_t type, wire::reader& in, written& out)
{
    switch (static_cast<wire::op_code>(type)) {
    case wire::op_code::create: return run_part<wire::create>(p, has, in, out);
    case wire::op_code::create2: return run_part<wire::create2>(p, has, in, out);
    case wire::op_code::create_container: return run_part<wire::create_container>(p, has, in, out);
    case wire::op_code::create_ttl: return run_part<wire::create_ttl>(p, has, in, out);
    case wire::op_code::remove: return run_part<wire::remove>(p, has, in, out);
    case wire::op_code::set_data: return run_part<wire::set_data>(p, has, in, out);
    case wire::op_code::check: return run_part<wire::check>(p, has, in, out);
    default: return false;
    }
}

}  // namespace

bool is_multi_of_writes(std::string_view body, const rules& has)
{
    wire::reader in(body);
    wire::multi_header header;
    written nothing;
    while (wire::decode(in, header)) {
        if (header.done) {
            return true;
        }
        if (is_null(in.rest()) || !run_part(nullptr, has, header.type, in, nothing)) {
            return false;
        }
    }
    return false;
}

namespace {

void append_result(std::string& out, const written& r, bool failed)
{
    if (failed) {
        wire::encode(out, wire::multi_header{-1, false, r.err}, r.err);
        return;
    }
    wire::encode(out, wire::multi_header{static_cast<std::int32_t>(r.type), false, 0});
    if (!r.path.empty()) {
        wire::encode(out, r.path);
    }
    if (r.has_stat) {
        wire::encode(out, r.stat);
    }
}

void run_multi(const place& p, std::string_view body, outcome& out)
{
    if (!is_multi_of_writes(body, p.has)) {
        out.err = number(errc::marshalling_error);
        return;
    }
    p.w.can_undo = true;
    wire::reader in(body);
    wire::multi_header header;
    std::vector<written> results;
    bool failed = false;
    while (wire::decode(in, header) && !header.done) {
        written result;
        if (!run_part(failed ? nullptr : &p, p.has, header.type, in, result)) {
            p.tree.roll_back(p.w);
            out.err = number(errc::marshalling_error);
            return;
        }
        if (failed) {
            result.err = number(errc::runtime_inconsistency);  // it was not tried
        }
        failed = failed || result.err != 0;
        results.push_back(std::move(result));
    }
    if (failed) {
        p.tree.roll_back(p.w);
    }
    for (const auto& each : results) {
        append_result(out.body, each, failed);
    }
    wire::finish_multi(out.body);
}

// --- what servers do by themselves

void end_session(const place& p, outcome&)
{
    for (const auto& path : p.tree.ephemerals_of(p.w.session)) {
        p.tree.remove(p.w, path);
    }
}

void remove_container(const place& p, std::string_view path, outcome& out)
{
    const znode* const node = p.tree.find(path);
    if (node == nullptr || !node->children.empty()) {
        out.err = number(node == nullptr ? errc::no_node : errc::not_empty);
        return;
    }
    p.tree.remove(p.w, path);
}

void run(const place& p, const transaction& t, outcome& out)
{
    switch (t.op) {
    case wire::op_code::create: return run_alone<wire::create>(p, t.body, out);
    case wire::op_code::create2: return run_alone<wire::create2>(p, t.body, out);
    case wire::op_code::create_container: return run_alone<wire::create_container>(p, t.body, out);
    case wire::op_code::create_ttl: return run_alone<wire::create_ttl>(p, t.body, out);
    case wire::op_code::remove: return run_alone<wire::remove>(p, t.body, out);
    case wire::op_code::set_data: return run_alone<wire::set_data>(p, t.body, out);
    case wire::op_code::set_acl: return run_alone<wire::set_acl>(p, t.body, out);
    case wire::op_code::check:
        run_alone<wire::check>(p, t.body, out);
        out.is_silent = out.err == 0;  // servers that know it so forget to answer
        return;
    case wire::op_code::multi: return run_multi(p, t.body, out);
    case wire::op_code::close_session: return end_session(p, out);
    case wire::op_code::delete_container: return remove_container(p, t.body, out);
    case wire::op_code::reconfig: out.err = number(errc::reconfig_disabled); return;
    default: return;  // create_session: the number is all
    }
}

bool is_ephemeral_create(wire::op_code op, std::string_view body)
{
    wire::reader in(body);
    wire::create::request r{};
    return (op == wire::op_code::create || op == wire::op_code::create2) && wire::decode(in, r) &&
           r.flags >= 0 && is_ephemeral(r.flags);
}

}  // namespace

const std::vector<identity>& superuser()
{
    static const std::vector<identity> who{{"super", ""}};
    return who;
}

outcome server_state::apply(const transaction& t)
{
    outcome out;
    writing w;
    w.session = t.session;
    w.zxid = t.zxid;
    w.now_ms = t.now_ms;
    w.who = &t.who;
    zxid_ = t.zxid;
    run({tree_, w, rules_}, t, out);
    out.changes = std::move(w.changes);
    return out;
}

bool is_readable(wire::op_code op, std::string_view body)
{
    const auto reads = [&](auto request) {
        wire::reader in(body);
        return wire::decode(in, request);
    };
    switch (op) {
    case wire::op_code::create:
    case wire::op_code::create2:
    case wire::op_code::create_container: return reads(wire::create::request{});
    case wire::op_code::create_ttl: return reads(wire::create_ttl::request{});
    case wire::op_code::remove: return reads(wire::remove::request{});
    case wire::op_code::set_data: return reads(wire::set_data::request{});
    case wire::op_code::set_acl: return reads(wire::set_acl::request{});
    case wire::op_code::reconfig: return reads(wire::reconfig::request{});
    case wire::op_code::sync: return reads(wire::sync::request{});
    default: return true;
    }
}

bool is_transaction(wire::op_code op)
{
    using enum wire::op_code;
    constexpr std::array all{create, create2,       create_container, create_ttl,
                             remove, set_data,      set_acl,          multi,
                             check,  close_session, reconfig};
    return std::find(all.begin(), all.end(), op) != all.end();
}

bool makes_ephemeral(wire::op_code op, std::string_view body)
{
    if (op != wire::op_code::multi) {
        return is_ephemeral_create(op, body);
    }
    wire::reader in(body);
    wire::multi_header header;
    written nothing;
    while (wire::decode(in, header) && !header.done) {
        const std::string_view rest = in.rest();
        if (is_ephemeral_create(static_cast<wire::op_code>(header.type), rest)) {
            return true;
        }
        if (!run_part(nullptr, rules{}, header.type, in, nothing)) {
            return false;
        }
    }
    return false;
}

}  // namespace coati::testing
