// What the frames of a server say, with everything relative that two servers cannot share.
#include "peer.hpp"

#include <coati/wire/jute.hpp>
#include <coati/wire/op_code.hpp>

namespace coati::differential {

using wire::op_code;

void interpreter::begin_round(std::string root, std::int64_t zxid)
{
    root_ = std::move(root);
    base_ = zxid;
    sessions_.clear();
    times_.clear();
}

std::string interpreter::relative(std::int64_t zxid) const
{
    if (zxid <= 0) {
        return std::to_string(zxid);
    }
    return zxid < base_ ? "old" : '+' + std::to_string(zxid - base_);
}

std::string interpreter::shown(std::string path) const
{
    if (path.starts_with(root_)) {
        path.replace(0, root_.size(), "~");
    }
    return quoted(path);
}

/// A transaction has one time, and every znode that it touches has that one.
bool interpreter::is_own_time(std::int64_t zxid, std::int64_t ms)
{
    if (zxid <= base_) {
        return true;
    }
    const auto [at, is_new] = times_.emplace(zxid, ms);
    const bool in_order = at == times_.begin() || std::prev(at)->second <= ms;
    return at->second == ms && (!is_new || in_order);
}

std::string interpreter::reply(std::int32_t op, const wire::reply_header& header,
                               std::string_view bytes)
{
    std::string out = "reply " + std::to_string(header.xid) + " to " +
                      std::string(wire::name(static_cast<op_code>(op))) + ": err " +
                      std::to_string(header.err) + ", zxid " + relative(header.zxid);
    wire::reader in(bytes);
    if (header.err == 0) {
        body(out, op, in);
    }
    if (!in.ok()) {
        out += ", truncated body " + quoted(bytes);
    } else if (in.remaining() > 0) {
        out += ", then " + quoted(in.rest());
    }
    return out;
}

std::string interpreter::event(std::int64_t zxid, std::string_view bytes)
{
    wire::reader in(bytes);
    wire::watcher_event event;
    if (!wire::decode(in, event) || in.remaining() > 0) {
        return "event " + quoted(bytes);
    }
    return "event " + std::to_string(event.type) + " state " + std::to_string(event.state) +
           " zxid " + relative(zxid) + ' ' + shown(std::string(event.path));
}

void interpreter::body(std::string& out, std::int32_t op, wire::reader& in)
{
    switch (static_cast<op_code>(op)) {
    case op_code::create: text(out, in); break;
    case op_code::create2:
    case op_code::create_container:
    case op_code::create_ttl:
        text(out, in);
        stat(out, in);
        break;
    case op_code::exists:
    case op_code::set_data:
    case op_code::set_acl: stat(out, in); break;
    case op_code::reconfig:
    case op_code::get_data:
        data(out, in);
        stat(out, in);
        break;
    case op_code::get_children: names(out, in, "children"); break;
    case op_code::get_children2:
        names(out, in, "children");
        stat(out, in);
        break;
    case op_code::get_acl:
        acls(out, in);
        stat(out, in);
        break;
    case op_code::sync: text(out, in); break;
    case op_code::multi:
    case op_code::multi_read: multi(out, in); break;
    case op_code::get_ephemerals: names(out, in, "ephemerals"); break;
    case op_code::who_am_i: identities(out, in); break;
    case op_code::add_watch:
    case op_code::get_all_children_number: {
        std::int32_t number = 0;
        wire::decode(in, number);
        out += ", number " + std::to_string(number);
        break;
    }
    default: break;
    }
}

void interpreter::multi(std::string& out, wire::reader& in)
{
    for (;;) {
        wire::multi_header header;
        if (!wire::decode(in, header)) {
            return;
        }
        out += " [" + std::to_string(header.type) + (header.done ? " done " : " ") +
               std::to_string(header.err);
        if (header.done) {
            out += ']';
            return;
        }
        if (header.type == -1) {
            std::int32_t err = 0;
            wire::decode(in, err);
            out += ", err " + std::to_string(err);
        } else {
            body(out, header.type, in);
        }
        out += ']';
    }
}

void interpreter::stat(std::string& out, wire::reader& in)
{
    coati::stat s;
    if (!wire::decode(in, s)) {
        return;
    }
    out += ", stat c=" + relative(s.czxid) + " m=" + relative(s.mzxid) + " p=" + relative(s.pzxid);
    out += " v=" + std::to_string(s.version) + '/' + std::to_string(s.cversion) + '/' +
           std::to_string(s.aversion);
    const auto owner = sessions_.find(s.ephemeral_owner);
    if (s.ephemeral_owner != 0) {
        out +=
            owner == sessions_.end() ? " owner=nobody" : " owner=#" + std::to_string(owner->second);
    }
    out += " len=" + std::to_string(s.data_length) + " kids=" + std::to_string(s.num_children);
    out += is_own_time(s.czxid, s.ctime) ? "" : " ctime of another transaction";
    out += is_own_time(s.mzxid, s.mtime) ? "" : " mtime of another transaction";
}

void interpreter::text(std::string& out, wire::reader& in)
{
    wire::nullable<std::string> value;
    wire::decode(in, value);
    out += value.is_null ? ", null" : ", " + shown(std::move(value.value));
}

void interpreter::data(std::string& out, wire::reader& in)
{
    wire::nullable<std::string> value;
    wire::decode(in, value);
    out += ", data " + (value.is_null ? "null" : quoted(value.value));
}

void interpreter::names(std::string& out, wire::reader& in, std::string_view group)
{
    std::vector<std::string> all;
    wire::decode(in, all);
    out += ", ";
    out += group;
    out += '{';
    for (std::size_t i = 0; i < all.size(); ++i) {
        out += (i == 0 ? "" : "|") + shown(std::move(all[i]));
    }
    out += '}';
}

void interpreter::acls(std::string& out, wire::reader& in)
{
    std::int32_t count = 0;
    wire::decode(in, count);
    out += count < 0 ? ", acl null{" : ", acl{";
    for (std::int32_t i = 0; i < count && in.ok(); ++i) {
        std::int32_t perms = 0;
        std::string scheme, id;
        wire::decode(in, perms);
        wire::decode(in, scheme);
        wire::decode(in, id);
        out +=
            (i == 0 ? "" : "|") + std::to_string(perms) + ' ' + quoted(scheme) + ' ' + quoted(id);
    }
    out += '}';
}

void interpreter::identities(std::string& out, wire::reader& in)
{
    std::int32_t count = 0;
    wire::decode(in, count);
    out += ", identities{";
    for (std::int32_t i = 0; i < count && in.ok(); ++i) {
        std::string scheme, id;
        wire::decode(in, scheme);
        wire::decode(in, id);
        out += (i == 0 ? "" : "|") + quoted(scheme) + ' ' + quoted(id);
    }
    out += '}';
}

}  // namespace coati::differential
