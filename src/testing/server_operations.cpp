// What the scripted server answers to each operation: one function an op, found by a table.
//
// The numbers and the order of frames are protocol facts: events before the reply of the write that
// caused them, catch-up events before the reply of setWatches, a failed multi with err 0 outside.
#include "server_exchange.hpp"

#include <coati/wire/all_operations.hpp>
#include <coati/wire/multi.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>

namespace coati::testing {

namespace {

std::vector<std::string_view> views(const auto& strings)
{
    return {strings.begin(), strings.end()};
}

std::vector<wire::acl> views_of_acls(const std::vector<acl_entry>& acls)
{
    std::vector<wire::acl> all;
    all.reserve(acls.size());
    for (const auto& each : acls) {
        all.push_back({each.perms, each.scheme, each.id});
    }
    return all;
}

// --- writes: each form is used alone and inside a multi

/// The result of one write, as a multi wants it: type, path, stat.
struct written {
    std::int32_t err = 0;
    wire::op_code type = wire::op_code::error;
    std::string path{};
    bool has_stat = false;
    coati::stat stat{};
};

constexpr std::int32_t ephemeral_flag = 1;
constexpr std::int32_t sequential_flag = 2;

template <class Request>
written make(ensemble_core& e, writing& w, const Request& r, bool ephemeral, bool sequential,
             wire::op_code type)
{
    written out{0, type, {}, type != wire::op_code::create, {}};
    out.err = e.tree.create(w, r.path, r.data, r.acls, ephemeral, sequential, out.path);
    if (out.err == 0) {
        out.stat = znode_tree::stat_of(*e.tree.find(out.path));
    }
    return out;
}

written apply_create(ensemble_core& e, writing& w, const wire::create::request& r,
                     wire::op_code type)
{
    if (r.flags < 0 || r.flags > 4) {
        return {number(errc::bad_arguments)};
    }
    const bool plain = r.flags == 4;  // what a container is by the wrong op
    return make(e, w, r, !plain && (r.flags & ephemeral_flag) != 0,
                !plain && (r.flags & sequential_flag) != 0, type);
}

written apply(tag<wire::create>, ensemble_core& e, writing& w, const wire::create::request& r)
{
    return apply_create(e, w, r, wire::op_code::create);
}

written apply(tag<wire::create2>, ensemble_core& e, writing& w, const wire::create2::request& r)
{
    return apply_create(e, w, r, wire::op_code::create2);
}

written apply(tag<wire::create_container>, ensemble_core& e, writing& w,
              const wire::create_container::request& r)
{
    return make(e, w, r, false, false, wire::op_code::create2);
}

written apply(tag<wire::create_ttl>, ensemble_core& e, writing& w,
              const wire::create_ttl::request& r)
{
    constexpr std::int64_t longest = 1'099'511'627'775;
    if (!e.options.extended_types) {
        return {number(errc::unimplemented)};
    }
    if (r.ttl_ms <= 0 || r.ttl_ms > longest || (r.flags != 5 && r.flags != 6)) {
        return {number(errc::bad_arguments)};
    }
    return make(e, w, r, false, r.flags == 6, wire::op_code::create2);
}

written apply(tag<wire::remove>, ensemble_core& e, writing& w, const wire::remove::request& r)
{
    return {e.tree.remove(w, r.path, r.version), wire::op_code::remove};
}

written apply(tag<wire::set_data>, ensemble_core& e, writing& w, const wire::set_data::request& r)
{
    written out{e.tree.set_data(w, r.path, r.data, r.version), wire::op_code::set_data, {}, true};
    if (out.err == 0) {
        out.stat = znode_tree::stat_of(*e.tree.find(r.path));
    }
    return out;
}

written apply(tag<wire::check>, ensemble_core& e, writing&, const wire::check::request& r)
{
    return {e.tree.check(r.path, r.version), wire::op_code::check};
}

written apply(tag<wire::set_acl>, ensemble_core& e, writing&, const wire::set_acl::request& r)
{
    written out{e.tree.set_acl(r.path, r.acls, r.version), wire::op_code::set_acl, {}, true};
    if (out.err == 0) {
        out.stat = znode_tree::stat_of(*e.tree.find(r.path));
    }
    return out;
}

/// A session that another server's connection owns now: the old one is closed without a reply.
bool may_write(const exchange& x)
{
    const auto found = x.ensemble.sessions.find(x.on.session);
    const auto owner = found == x.ensemble.sessions.end() ? nullptr : found->second.owner.lock();
    if (owner.get() != &x.on) {
        x.on.close();
        return false;
    }
    return true;
}

template <class Op>
void write_alone(const exchange& x, const typename Op::request& r)
{
    if (!may_write(x)) {
        return;
    }
    writing w = x.ensemble.begin_write(x.on.session);
    const written out = apply(tag<Op>{}, x.ensemble, w, r);
    x.ensemble.publish(w);
    if (out.err != 0) {
        x.answer_error(out.err, w.zxid);
        return;
    }
    typename Op::response body{};
    if constexpr (requires { body.path; }) {
        body.path = out.path;
    }
    if constexpr (requires { body.stat; }) {
        body.stat = out.stat;
    }
    x.answer(w.zxid, body);
}

/// One part of a multi: false when the request is malformed or the op is not allowed there.
template <class Op>
bool apply_part(ensemble_core& e, writing& w, wire::reader& in, written& out)
{
    typename Op::request r{};
    if (!wire::decode(in, r)) {
        return false;
    }
    out = apply(tag<Op>{}, e, w, r);
    return true;
}

using part_function = bool (*)(ensemble_core&, writing&, wire::reader&, written&);

template <class... Ops>
std::map<wire::op_code, part_function> parts()
{
    return {{Ops::code, &apply_part<Ops>}...};
}

bool apply_parts(const exchange& x, writing& w, wire::reader& in, std::vector<written>& results)
{
    static const auto table = parts<wire::create, wire::create2, wire::create_container,
                                    wire::create_ttl, wire::remove, wire::set_data, wire::check>();
    bool failed = false;
    for (;;) {
        wire::multi_header header;
        if (!wire::decode(in, header)) {
            return false;
        }
        if (header.done) {
            return true;
        }
        const auto part = table.find(static_cast<wire::op_code>(header.type));
        written out;
        if (part == table.end() || !part->second(x.ensemble, w, in, out)) {
            return false;
        }
        if (failed) {
            out.err = number(errc::runtime_inconsistency);
        }
        failed = failed || out.err != 0;
        results.push_back(std::move(out));
    }
}

void append_result(std::string& out, const written& r, bool failed, bool is_39)
{
    if (failed) {
        wire::encode(out, wire::multi_header{-1, false, r.err}, r.err);
        return;
    }
    const bool with_path = !r.path.empty();
    const bool with_stat = r.has_stat && (is_39 || !with_path);
    const auto type = with_path && !with_stat ? wire::op_code::create : r.type;
    wire::encode(out, wire::multi_header{static_cast<std::int32_t>(type), false, 0});
    if (with_path) {
        wire::encode(out, r.path);
    }
    if (with_stat) {
        wire::encode(out, r.stat);
    }
}

void execute_op(tag<wire::multi>, const exchange& x, const wire::multi::request& r)
{
    if (!may_write(x)) {
        return;
    }
    const znode_tree before = x.ensemble.tree;
    writing w = x.ensemble.begin_write(x.on.session);
    wire::reader in(r.body.bytes);
    std::vector<written> results;
    if (!apply_parts(x, w, in, results)) {
        x.ensemble.tree = before;
        x.answer_error(number(errc::marshalling_error), w.zxid);
        return;
    }
    const bool failed =
        std::any_of(results.begin(), results.end(), [](const written& each) { return each.err; });
    if (failed) {
        x.ensemble.tree = before;
    } else {
        x.ensemble.publish(w);
    }
    std::string body;
    for (const auto& each : results) {
        append_result(body, each, failed, x.ensemble.is_39());
    }
    wire::finish_multi(body);
    x.answer(w.zxid, wire::multi::response{{body}});
}

void execute_op(tag<wire::multi_read>, const exchange& x, const wire::multi_read::request& r)
{
    wire::reader in(r.body.bytes);
    std::string body;
    wire::multi_header header;
    while (wire::decode(in, header) && !header.done) {
        wire::get_data::request part;
        const bool data = header.type == static_cast<std::int32_t>(wire::op_code::get_data);
        const bool list = header.type == static_cast<std::int32_t>(wire::op_code::get_children);
        if ((!data && !list) || !wire::decode(in, part)) {
            header.done = false;
            break;
        }
        const znode* const node = x.ensemble.tree.find(part.path);
        if (node == nullptr) {
            const std::int32_t err = number(errc::no_node);
            wire::encode(body, wire::multi_header{-1, false, err}, err);
        } else if (data) {
            wire::encode(body, wire::multi_header{header.type, false, 0}, node->data,
                         znode_tree::stat_of(*node));
        } else {
            wire::encode(body, wire::multi_header{header.type, false, 0}, views(node->children));
        }
    }
    if (!header.done) {
        x.answer_error(number(errc::marshalling_error));
        return;
    }
    wire::finish_multi(body);
    x.answer(x.ensemble.zxid, wire::multi_read::response{{body}});
}

// --- reads ---------------------------------------------------------------------------------------

/// The znode, or null after -101 has been answered.
const znode* find_or_refuse(const exchange& x, std::string_view path)
{
    const znode* const node = x.ensemble.tree.find(path);
    if (node == nullptr) {
        x.answer_error(number(errc::no_node));
    }
    return node;
}

void execute_op(tag<wire::exists>, const exchange& x, const wire::exists::request& r)
{
    if (r.watch) {
        x.on.watches.add_data(r.path, x.ensemble.is_39());  // also when it is missing
    }
    if (const znode* const node = find_or_refuse(x, r.path)) {
        x.answer(x.ensemble.zxid, wire::exists::response{znode_tree::stat_of(*node)});
    }
}

void execute_op(tag<wire::get_data>, const exchange& x, const wire::get_data::request& r)
{
    if (const znode* const node = find_or_refuse(x, r.path)) {
        if (r.watch) {
            x.on.watches.add_data(r.path, x.ensemble.is_39());
        }
        const data_view data{node->data.value, node->data.is_null};
        x.answer(x.ensemble.zxid, wire::get_data::response{data, znode_tree::stat_of(*node)});
    }
}

void execute_op(tag<wire::get_children>, const exchange& x, const wire::get_children::request& r)
{
    if (const znode* const node = find_or_refuse(x, r.path)) {
        if (r.watch) {
            x.on.watches.add_child(r.path, x.ensemble.is_39());
        }
        x.answer(x.ensemble.zxid, wire::get_children::response{views(node->children)});
    }
}

void execute_op(tag<wire::get_children2>, const exchange& x, const wire::get_children2::request& r)
{
    if (const znode* const node = find_or_refuse(x, r.path)) {
        if (r.watch) {
            x.on.watches.add_child(r.path, x.ensemble.is_39());
        }
        x.answer(x.ensemble.zxid,
                 wire::get_children2::response{views(node->children), znode_tree::stat_of(*node)});
    }
}

void execute_op(tag<wire::get_acl>, const exchange& x, const wire::get_acl::request& r)
{
    if (const znode* const node = find_or_refuse(x, r.path)) {
        x.answer(x.ensemble.zxid,
                 wire::get_acl::response{views_of_acls(node->acls), znode_tree::stat_of(*node)});
    }
}

void execute_op(tag<wire::get_all_children_number>, const exchange& x,
                const wire::get_all_children_number::request& r)
{
    if (find_or_refuse(x, r.path) != nullptr) {
        const auto count = x.ensemble.tree.count_descendants(r.path);
        x.answer(x.ensemble.zxid, wire::get_all_children_number::response{count});
    }
}

void execute_op(tag<wire::get_ephemerals>, const exchange& x,
                const wire::get_ephemerals::request& r)
{
    auto paths = x.ensemble.tree.ephemerals_of(x.on.session);
    std::erase_if(paths, [&](const std::string& p) { return !p.starts_with(r.prefix); });
    x.answer(x.ensemble.zxid, wire::get_ephemerals::response{views(paths)});
}

void execute_op(tag<wire::sync>, const exchange& x, const wire::sync::request& r)
{
    x.answer(x.ensemble.zxid, wire::sync::response{r.path});
}

// --- sessions ------------------------------------------------------------------------------------

void execute_op(tag<wire::ping>, const exchange& x, const wire::ping::request&)
{
    exchange{x.on, x.ensemble, x.op, wire::ping_xid}.answer_code(0);
}

void execute_op(tag<wire::close_session>, const exchange& x, const wire::close_session::request&)
{
    if (!may_write(x)) {
        return;
    }
    x.on.watches = {};
    if (x.ensemble.quorum) {
        x.ensemble.end_session(x.on.session);
    } else {
        x.ensemble.sessions.erase(x.on.session);  // no transaction without a quorum
    }
    x.answer_code(0);
    x.on.close_when_sent();
}

void execute_op(tag<wire::auth>, const exchange& x, const wire::auth::request& r)
{
    if (r.scheme != "digest" && r.scheme != "ip") {
        x.answer_error(number(errc::auth_failed), 0);
        x.on.close_when_sent();
        return;
    }
    if (r.scheme == "digest") {
        x.on.identities.emplace_back(r.scheme, r.credentials.substr(0, r.credentials.find(':')));
    }
    x.answer_error(0, 0);
}

void execute_op(tag<wire::who_am_i>, const exchange& x, const wire::who_am_i::request&)
{
    wire::who_am_i::response body;
    for (const auto& [scheme, user] : x.on.identities) {
        body.clients.push_back({scheme, user});
    }
    x.answer(x.ensemble.zxid, body);
}

void execute_op(tag<wire::reconfig>, const exchange& x, const wire::reconfig::request&)
{
    x.answer_error(number(errc::reconfig_disabled));
}

// --- the table -----------------------------------------------------------------------------------

template <class Op>
concept is_write = requires(ensemble_core& e, writing& w, const typename Op::request& r) {
    apply(tag<Op>{}, e, w, r);
};

/// What a server without a quorum refuses. The session itself may end.
template <class Op>
inline constexpr bool is_for_quorum =
    (Op::mutates && Op::code != wire::op_code::close_session) || Op::code == wire::op_code::sync;

template <class Op>
void run(const exchange& x, std::string_view body)
{
    wire::reader in(body);
    typename Op::request request{};
    if (!wire::decode(in, request)) {
        x.answer_error(number(errc::marshalling_error));
    } else if (is_for_quorum<Op> && !x.ensemble.quorum) {
        x.answer_error(number(errc::not_read_only));
    } else if (is_for_quorum<Op> && !x.on.owns_session()) {
        x.on.close();  // the session has moved: an old connection may read, and no more
    } else if constexpr (is_write<Op>) {
        write_alone<Op>(x, request);
    } else {
        execute_op(tag<Op>{}, x, request);
    }
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
    void (*run)(const exchange&, std::string_view) = nullptr;
    std::string_view (*path)(std::string_view) = nullptr;
};

/// What is not served answers as an unknown op: sasl, and a check on its own.
template <class Op>
inline constexpr bool is_served =
    !std::is_same_v<Op, wire::sasl> && !std::is_same_v<Op, wire::check>;

const op_entry* find_op(wire::op_code op)
{
    static const auto table = [] {
        std::map<wire::op_code, op_entry> all;
        wire::for_each_operation(wire::all_operations{}, [&]<class Op>() {
            if constexpr (is_served<Op>) {
                all[Op::code] = {&run<Op>, &path_in<Op>};
            }
        });
        return all;
    }();
    const auto found = table.find(op);
    return found == table.end() ? nullptr : &found->second;
}

}  // namespace

std::string_view path_of(wire::op_code op, std::string_view body)
{
    const op_entry* const entry = find_op(op);
    return entry == nullptr ? std::string_view() : entry->path(body);
}

void execute(server_connection& on, std::string_view payload)
{
    wire::reader in(payload);
    wire::request_header header;
    if (!wire::decode(in, header)) {
        on.close();
        return;
    }
    const exchange x{on, on.ensemble(), header.type, header.xid};
    const op_entry* const entry = find_op(header.type);
    if (entry != nullptr && wire::since(header.type) <= on.ensemble().version) {
        entry->run(x, in.rest());
        return;
    }
    x.answer_error(number(errc::unimplemented), -1);
    on.close_when_sent();
}

}  // namespace coati::testing
