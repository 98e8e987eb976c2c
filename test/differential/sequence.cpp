// How requests become bytes and words.
#include "sequence.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/op_code.hpp>

#include <algorithm>

namespace coati::differential {

using wire::op_code;

namespace {

struct acl_entry {
    std::int32_t perms;
    std::string scheme;
    std::string id;

    using wire_fields = wire::fields<&acl_entry::perms, &acl_entry::scheme, &acl_entry::id>;
};

using acl_list = std::vector<acl_entry>;

// The digests of ua:pa and ub:pb, whom the generator's credentials name.
const std::string user_a = "ua:EvSYHgJdWMXjIrFDpgi8czSUEzE=";
const std::string user_b = "ub:Ln2fUruiN5rWPBnlf+idKvJNHRQ=";

const std::vector<acl_list>& acl_lists()
{
    static const std::vector<acl_list> all{
        {{31, "world", "anyone"}},
        {{1, "world", "anyone"}},
        {{27, "world", "anyone"}},
        {{31, "auth", ""}},
        {{31, "digest", user_a}},
        {{31, "digest", user_b}, {1, "world", "anyone"}},
        {{31, "ip", "127.0.0.1"}},
        {{31, "ip", "127.0.0.0/8"}, {16, "digest", user_a}},
        {{31, "ip", "10.1.2.3"}, {6, "world", "anyone"}},
        {},
        {{31, "world", "anyone"}, {31, "world", "anyone"}, {1, "world", "anyone"}},
        {{1, "auth", "ignored"}, {30, "world", "anyone"}},
        {{31, "world", "nobody"}},
        {{31, "digest", "nocolon"}},
        {{31, "ip", "300.1.2.3"}},
        {{31, "nonsense", "id"}},
        {{0, "world", "anyone"}},
        {{-1, "world", "anyone"}},
        {{31, "ip", "127.0.0.1/33"}},
        {{31, "super", "anyone"}},
        {{31, "world", "anyone"}, {31, "digest", user_a}, {31, "digest", user_a}},
        {{8, "world", "anyone"}},
        {{16, "world", "anyone"}},
        {{31, "digest", "a:b:c"}},
        {{3, "world", "anyone"}, {31, "auth", ""}},
    };
    return all;
}

std::string expand(const std::string& path, const surroundings& in)
{
    return path.starts_with('~') ? in.root + path.substr(1) : path;
}

bool is(const request& r, op_code code)
{
    return r.op == static_cast<std::int32_t>(code);
}

void append_body(std::string& out, const request& r, const surroundings& in);

void append_parts(std::string& out, const request& r, const surroundings& in)
{
    for (const request& part : r.parts) {
        wire::encode(out, part.op, false, std::int32_t{-1});
        append_body(out, part, in);
    }
    wire::encode(out, std::int32_t{-1}, true, std::int32_t{-1});
}

void append_watches(std::string& out, const request& r, const surroundings& in)
{
    wire::encode(out, in.zxid - r.behind);
    const std::size_t lists = is(r, op_code::set_watches) ? 3 : 5;
    for (std::size_t i = 0; i < lists; ++i) {
        std::vector<std::string> expanded;
        for (const auto& path : r.paths[i]) {
            expanded.push_back(expand(path, in));
        }
        wire::encode(out, expanded);
    }
}

void append_create(std::string& out, const request& r, const std::string& path)
{
    wire::encode(out, path, r.data);
    if (r.wrong == mangling::null_acls) {
        wire::encode(out, std::int32_t{-1});
    } else {
        wire::encode(out, acl_lists()[r.acls]);
    }
    wire::encode(out, r.number);
    if (is(r, op_code::create_ttl)) {
        wire::encode(out, r.ttl_ms);
    }
}

void append_body(std::string& out, const request& r, const surroundings& in)
{
    const std::string path = expand(r.path, in);
    switch (static_cast<op_code>(r.op)) {
    case op_code::create:
    case op_code::create2:
    case op_code::create_container:
    case op_code::create_ttl: append_create(out, r, path); break;
    case op_code::remove:
    case op_code::check: wire::encode(out, path, r.version); break;
    case op_code::set_data: wire::encode(out, path, r.data, r.version); break;
    case op_code::set_acl: wire::encode(out, path, acl_lists()[r.acls], r.version); break;
    case op_code::exists:
    case op_code::get_data:
    case op_code::get_children:
    case op_code::get_children2: wire::encode(out, path, r.watch); break;
    case op_code::get_acl:
    case op_code::sync:
    case op_code::get_ephemerals:
    case op_code::get_all_children_number: wire::encode(out, path); break;
    case op_code::add_watch:
    case op_code::check_watches:
    case op_code::remove_watches: wire::encode(out, path, r.number); break;
    case op_code::multi:
    case op_code::multi_read: append_parts(out, r, in); break;
    case op_code::set_watches:
    case op_code::set_watches2: append_watches(out, r, in); break;
    case op_code::auth: wire::encode(out, std::int32_t{0}, r.scheme, r.credentials); break;
    case op_code::reconfig:
        wire::encode(out, r.data, wire::nullable<std::string>::null(),
                     wire::nullable<std::string>::null(), std::int64_t{-1});
        break;
    default: break;
    }
}

/// The first field is a string: its length becomes -1.
void make_path_null(std::string& body)
{
    const auto length = static_cast<std::size_t>(wire::load_big_endian<std::int32_t>(body.data()));
    body.erase(0, 4 + length);
    body.insert(0, 4, '\xff');
}

}  // namespace

std::uint64_t randomness::next()
{
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
}

std::size_t count_requests(const sequence& all)
{
    std::size_t n = 0;
    for (const step& each : all) {
        n += each.requests.size();
    }
    return n;
}

std::string frame_of(const request& r, std::int32_t xid, const surroundings& in)
{
    std::string body;
    append_body(body, r, in);
    switch (r.wrong) {
    case mangling::cut: body.resize(body.size() - std::min(r.cut, body.size())); break;
    case mangling::null_path: make_path_null(body); break;
    case mangling::more_behind: body += "behind"; break;
    default: break;
    }
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, xid, r.op);
    frame += body;
    wire::close_frame(frame, at);
    return frame;
}

bool may_end_connection(const request& r)
{
    const auto& known = wire::all_op_codes;
    return is(r, op_code::auth) || is(r, op_code::close_session) || is(r, op_code::check) ||
           std::find(known.begin(), known.end(), static_cast<op_code>(r.op)) == known.end();
}

bool may_change(std::int32_t op)
{
    switch (static_cast<op_code>(op)) {
    case op_code::create:
    case op_code::create2:
    case op_code::create_container:
    case op_code::create_ttl:
    case op_code::remove:
    case op_code::set_data:
    case op_code::multi:
    case op_code::close_session: return true;
    default: return false;
    }
}

// --- words ---------------------------------------------------------------------------------------

std::string quoted(std::string_view text)
{
    constexpr const char* digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        // Brackets and bars group what rules may look into.
        const bool plain = byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\' && c != '{' &&
                           c != '}' && c != '|';
        if (plain) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out + '"';
}

namespace {

std::string describe(const acl_list& all)
{
    std::string out;
    for (const auto& each : all) {
        out += (out.empty() ? "" : ", ") + std::to_string(each.perms) + ' ' + each.scheme + ':' +
               each.id;
    }
    return " acl [" + out + ']';
}

std::string describe_fields(const request& r)
{
    switch (static_cast<op_code>(r.op)) {
    case op_code::create:
    case op_code::create2:
    case op_code::create_container:
    case op_code::create_ttl:
        return describe(acl_lists()[r.acls]) + " flags " + std::to_string(r.number) +
               (is(r, op_code::create_ttl) ? " ttl " + std::to_string(r.ttl_ms) : "");
    case op_code::remove:
    case op_code::check:
    case op_code::set_data: return " version " + std::to_string(r.version);
    case op_code::set_acl:
        return describe(acl_lists()[r.acls]) + " version " + std::to_string(r.version);
    case op_code::exists:
    case op_code::get_data:
    case op_code::get_children:
    case op_code::get_children2: return r.watch ? " and watch" : "";
    case op_code::add_watch:
    case op_code::check_watches:
    case op_code::remove_watches: return " kind " + std::to_string(r.number);
    case op_code::auth: return ' ' + r.scheme + ' ' + quoted(r.credentials);
    case op_code::set_watches:
    case op_code::set_watches2: return " behind by " + std::to_string(r.behind);
    default: return "";
    }
}

std::string describe(mangling wrong, std::size_t cut)
{
    switch (wrong) {
    case mangling::none: return "";
    case mangling::cut: return ", without its last " + std::to_string(cut) + " bytes";
    case mangling::null_path: return ", path null";
    case mangling::null_acls: return ", acl null";
    case mangling::more_behind: return ", with bytes behind it";
    }
    return "";
}

}  // namespace

std::string describe(const request& r)
{
    std::string out(wire::name(static_cast<op_code>(r.op)));
    out += out == "unknown" ? ' ' + std::to_string(r.op) : "";
    out += ' ' + quoted(r.path);
    if (!r.data.value.empty() || r.data.is_null) {
        out += r.data.is_null ? " data null" : " data " + quoted(r.data.value);
    }
    out += describe_fields(r);
    constexpr std::array lists{"data", "exist", "child", "persistent", "recursive"};
    for (std::size_t i = 0; i < r.paths.size(); ++i) {
        for (const auto& path : r.paths[i]) {
            out += std::string(", ") + lists[i] + ' ' + quoted(path);
        }
    }
    for (const request& part : r.parts) {
        out += "\n        part " + describe(part);
    }
    out += describe(r.wrong, r.cut);
    return r.xid ? out + ", xid " + std::to_string(*r.xid) : out;
}

std::string describe(const step& s)
{
    constexpr std::array kinds{"batch", "open", "resume", "drop"};
    std::string out =
        "slot " + std::to_string(s.slot) + ' ' + kinds[static_cast<std::size_t>(s.what)];
    if (s.what == step::kind::open || s.what == step::kind::resume) {
        constexpr std::array zxids{"0", "the last seen", "negative", "of the future"};
        constexpr std::array passwords{"right", "wrong", "too long", "empty"};
        out += std::string(": zxid ") + zxids[static_cast<std::size_t>(s.hello.last_zxid)] +
               ", password " + passwords[static_cast<std::size_t>(s.hello.with)] + ", timeout " +
               std::to_string(s.hello.timeout_ms) +
               (s.hello.has_flag ? s.hello.read_only ? ", read-only" : "" : ", no flag");
    }
    for (const request& each : s.requests) {
        out += "\n    " + describe(each);
    }
    return out;
}

}  // namespace coati::differential
