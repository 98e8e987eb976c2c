// Reads, authentication and the table of operations. Watches are in serving_watches.cpp.
#include "serving_parts.hpp"

#include <coati/wire/all_operations.hpp>
#include <coati/wire/multi.hpp>

#include <algorithm>
#include <map>

namespace coati::testing {

namespace {

std::vector<std::string_view> views(const auto& strings)
{
    return {strings.begin(), strings.end()};
}

data_view view_of(const data_value& data)
{
    return {data.value, data.is_null};
}

// --- reads ---------------------------------------------------------------------------------------

/// The znode, or null after the reply says why not.
const znode* find(const question& q, std::string_view path, std::int32_t perms)
{
    const znode* const node = q.from.tree().find(path);
    if (node == nullptr) {
        q.refuse(errc::no_node);
    } else if (!allows(node->acls, perms, q.to.who)) {
        q.refuse(errc::no_auth);
        return nullptr;
    }
    return node;
}

void serve_op(tag<wire::exists>, const question& q, const wire::exists::request& r)
{
    if (r.path.find('\0') != std::string_view::npos) {
        return q.refuse(errc::bad_arguments);
    }
    const znode* const node = q.from.tree().find(r.path);
    // Older servers tell everybody (ZOOKEEPER-2590).
    if (node != nullptr && q.has().is_39() && !allows(node->acls, may_read, q.to.who)) {
        return q.refuse(errc::no_auth);
    }
    if (r.watch) {
        q.to.watches.add_data(r.path, q.has().is_39());  // also when it is missing
    }
    if (node == nullptr) {
        return q.refuse(errc::no_node);
    }
    q.answer(wire::exists::response{znode_tree::stat_of(*node)});
}

void serve_op(tag<wire::get_data>, const question& q, const wire::get_data::request& r)
{
    if (const znode* const node = find(q, r.path, may_read)) {
        if (r.watch) {
            q.to.watches.add_data(r.path, q.has().is_39());
        }
        q.answer(wire::get_data::response{view_of(node->data), znode_tree::stat_of(*node)});
    }
}

void serve_op(tag<wire::get_children>, const question& q, const wire::get_children::request& r)
{
    if (const znode* const node = find(q, r.path, may_read)) {
        if (r.watch) {
            q.to.watches.add_child(r.path, q.has().is_39());
        }
        q.answer(wire::get_children::response{views(node->children)});
    }
}

void serve_op(tag<wire::get_children2>, const question& q, const wire::get_children2::request& r)
{
    if (const znode* const node = find(q, r.path, may_read)) {
        if (r.watch) {
            q.to.watches.add_child(r.path, q.has().is_39());
        }
        q.answer(wire::get_children2::response{views(node->children), znode_tree::stat_of(*node)});
    }
}

void serve_op(tag<wire::get_acl>, const question& q, const wire::get_acl::request& r)
{
    const znode* const node = find(q, r.path, may_read | may_admin);
    if (node == nullptr) {
        return;
    }
    std::vector<acl_entry> shown = *node->acls;
    if (!allows(node->acls, may_admin, q.to.who)) {
        for (auto& each : shown) {
            if (each.scheme == "digest") {
                each.id = each.id.substr(0, each.id.find(':')) + ":x";  // not for everybody
            }
        }
    }
    wire::get_acl::response response;
    for (const auto& each : shown) {
        response.acls.push_back({each.perms, each.scheme, each.id});
    }
    response.stat = znode_tree::stat_of(*node);
    q.answer(response);
}

void serve_op(tag<wire::get_all_children_number>, const question& q,
              const wire::get_all_children_number::request& r)
{
    if (find(q, r.path, may_read) != nullptr) {
        const auto count = q.from.tree().count_descendants(r.path);
        q.answer(wire::get_all_children_number::response{count});
    }
}

void serve_op(tag<wire::get_ephemerals>, const question& q, const wire::get_ephemerals::request& r)
{
    const bool all = r.prefix.find_first_not_of(' ') == std::string_view::npos;
    auto paths = q.from.tree().ephemerals_of(q.to.session);
    std::erase_if(paths, [&](const std::string& p) { return !all && !p.starts_with(r.prefix); });
    q.answer(wire::get_ephemerals::response{views(paths)});
}

void read_part(const question& q, std::int32_t type, std::string_view path, std::string& body)
{
    const bool is_data = type == static_cast<std::int32_t>(wire::op_code::get_data);
    const znode* const node = q.from.tree().find(path);
    const bool may = node != nullptr && allows(node->acls, may_read, q.to.who);
    if (!may) {
        const std::int32_t err =
            static_cast<std::int32_t>(node == nullptr ? errc::no_node : errc::no_auth);
        wire::encode(body, wire::multi_header{-1, false, err}, err);
    } else if (is_data) {
        wire::encode(body, wire::multi_header{type, false, 0}, view_of(node->data),
                     znode_tree::stat_of(*node));
    } else {
        wire::encode(body, wire::multi_header{type, false, 0}, views(node->children));
    }
}

void serve_op(tag<wire::multi_read>, const question& q, const wire::multi_read::request& r)
{
    wire::reader in(r.body.bytes);
    std::string body;
    wire::multi_header header;
    while (wire::decode(in, header) && !header.done) {
        wire::get_data::request part;
        const auto op = static_cast<wire::op_code>(header.type);
        const bool is_read = op == wire::op_code::get_data || op == wire::op_code::get_children;
        if (!is_read || !wire::decode(in, part)) {
            header.done = false;
            break;
        }
        read_part(q, header.type, part.path, body);
    }
    if (!header.done) {
        q.refuse(errc::marshalling_error);
        if (is_multi_of_writes(r.body.bytes, q.has())) {
            wire::finish_multi(q.out.body);  // what could be read leaves an empty list behind
        }
        return;
    }
    wire::finish_multi(body);
    q.answer(wire::multi_read::response{{body}});
}

// --- who asks ------------------------------------------------------------------------------------

void serve_op(tag<wire::ping>, const question&, const wire::ping::request&) {}

void serve_op(tag<wire::auth>, const question& q, const wire::auth::request& r)
{
    q.out.zxid = 0;
    if (!authenticate(q.to.who, r.scheme, r.credentials, q.has().super_digest)) {
        q.refuse(errc::auth_failed);
        q.out.hangs_up = true;
    }
}

void serve_op(tag<wire::who_am_i>, const question& q, const wire::who_am_i::request&)
{
    wire::who_am_i::response body;
    for (const auto& each : q.to.who) {
        body.clients.push_back({each.scheme, user_name(each)});
    }
    q.answer(body);
}

// --- the table -----------------------------------------------------------------------------------

template <class Op>
concept served =
    requires(const question& q, const typename Op::request& r) { serve_op(tag<Op>{}, q, r); };

/// A null string as it stands on the wire: a length of -1.
constexpr std::string_view null_text = "\xff\xff\xff\xff";

/// Whether the first field may be a null string. Servers stumble over a path that is null, but
/// where they only put it into a table, or look there.
template <class Op>
bool takes_null(const rules& has)
{
    constexpr bool has_path = requires(const typename Op::request& r) { r.path; };
    return !has_path || std::is_same_v<Op, wire::add_watch> ||
           std::is_same_v<Op, wire::remove_watches> ||
           (std::is_same_v<Op, wire::check_watches> && has.is_39());
}

template <class Op>
void run(const question& q, std::string_view body)
{
    wire::reader in(body);
    typename Op::request request{};
    const bool is_null = body.starts_with(null_text);
    if (!wire::decode(in, request) || (is_null && !takes_null<Op>(q.has()))) {
        q.refuse(errc::marshalling_error);
        return;
    }
    if constexpr (std::is_same_v<Op, wire::add_watch> || std::is_same_v<Op, wire::remove_watches> ||
                  std::is_same_v<Op, wire::check_watches>) {
        // No text that a client can send is equal to it.
        request.path = is_null ? null_text : request.path;
    }
    serve_op(tag<Op>{}, q, request);
}

template <class Op>
std::string_view path_in(std::string_view body)
{
    typename Op::request request{};
    wire::reader in(body);
    if constexpr (requires { std::string_view(request.path); }) {
        return wire::decode(in, request) ? std::string_view(request.path) : std::string_view();
    } else {
        return {};
    }
}

struct op_entry {
    void (*run)(const question&, std::string_view) = nullptr;  // null: a transaction, or sync
    std::string_view (*path)(std::string_view) = nullptr;
};

/// What is not served answers as an unknown op: sasl, where servers differ.
template <class Op>
inline constexpr bool is_in_table = !std::is_same_v<Op, wire::sasl>;

const op_entry* find_op(wire::op_code op)
{
    static const auto table = [] {
        std::map<wire::op_code, op_entry> all;
        wire::for_each_operation(wire::all_operations{}, [&]<class Op>() {
            if constexpr (served<Op>) {
                all[Op::code] = {&run<Op>, &path_in<Op>};
            } else if constexpr (is_in_table<Op>) {
                all[Op::code] = {nullptr, &path_in<Op>};
            }
        });
        return all;
    }();
    const auto found = table.find(op);
    return found == table.end() ? nullptr : &found->second;
}

}  // namespace

bool is_known(wire::op_code op, const rules& has)
{
    // A check on its own is something that servers do not know any more.
    const bool is_gone = op == wire::op_code::check && has.is_39();
    return find_op(op) != nullptr && wire::since(op) <= has.version && !is_gone;
}

std::string_view path_of(wire::op_code op, std::string_view body)
{
    const op_entry* const entry = find_op(op);
    return entry == nullptr ? std::string_view() : entry->path(body);
}

reply serve(const server_state& from, peer& to, wire::op_code op, std::string_view body)
{
    reply out;
    out.zxid = from.zxid();
    const op_entry* const entry = find_op(op);
    if (entry == nullptr || entry->run == nullptr || !is_known(op, from.settings())) {
        out.err = static_cast<std::int32_t>(errc::unimplemented);
        out.zxid = -1;
        out.hangs_up = true;
        return out;
    }
    entry->run({from, to, out}, body);
    return out;
}

}  // namespace coati::testing
