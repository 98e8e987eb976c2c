// The operations: what the captured frames say, field by field, and the bytes of the operations
// that no captured frame shows. That all frames also survive being written again, cut and damaged
// is vector_test.cpp.

#include "unit/vectors/vectors.hpp"

#include <coati/wire/all_operations.hpp>
#include <coati/wire/header.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace coati;
using coati::test::from_hex;
using coati::test::vector_payload;
using nullable_view = wire::nullable<std::string_view>;
using views = std::vector<std::string_view>;

namespace {

// A record that is the whole payload, or the rest of it.
template <class Record>
Record read(std::string_view payload)
{
    Record record;
    wire::reader in{payload};
    CHECK(wire::decode(in, record));
    CHECK(in.remaining() == 0);
    return record;
}

template <class Op>
typename Op::request request_in(int number, std::int32_t xid)
{
    const std::string_view payload = vector_payload(number);
    CHECK(read<wire::request_header>(payload.substr(0, 8)) == wire::request_header{xid, Op::code});
    return read<typename Op::request>(payload.substr(8));
}

void check_header(int number, const wire::reply_header& expected)
{
    CAPTURE(number);
    CHECK(read<wire::reply_header>(vector_payload(number).substr(0, 16)) == expected);
}

template <class Record>
Record reply_in(int number, const wire::reply_header& expected)
{
    check_header(number, expected);
    return read<Record>(vector_payload(number).substr(16));
}

template <class Op>
void check_request_bytes(const typename Op::request& request, std::string_view hex)
{
    CAPTURE(wire::name(Op::code));
    std::string frame;
    wire::append_request<Op>(frame, 3, request);
    const std::string body = from_hex(hex);
    std::string expected;
    wire::encode(expected, static_cast<std::int32_t>(body.size() + 8), std::int32_t{3},
                 static_cast<std::int32_t>(Op::code));
    CHECK(frame == expected + body);
    CHECK(read<typename Op::request>(body) == request);
}

template <class Op>
void check_response_bytes(const typename Op::response& response, std::string_view hex)
{
    CAPTURE(wire::name(Op::code));
    std::string body;
    wire::encode(body, response);
    CHECK(body == from_hex(hex));
    CHECK(read<typename Op::response>(body) == response);
}

const std::string_view kz = "/kz1795290166";
const std::string_view jv = "/jv1795290193";

// A stat in which no two fields have equal bytes.
constexpr std::string_view stat_hex = "0000000000000001 0000000000000002 0000000000000003"
                                      "0000000000000004 00000005 00000006 00000007"
                                      "8000000000000008 00000009 0000000a 000000000000000b";

stat numbered_stat()
{
    return {.czxid = 1,
            .mzxid = 2,
            .ctime = 3,
            .mtime = 4,
            .version = 5,
            .cversion = 6,
            .aversion = 7,
            .ephemeral_owner = static_cast<std::int64_t>(0x8000000000000008U),
            .data_length = 9,
            .num_children = 10,
            .pzxid = 11};
}

}  // namespace

TEST_CASE("V1-V3, V47: the handshake", "[wire][vectors]")
{
    const std::string zeros(16, '\0');
    const auto fresh = read<wire::connect_request>(vector_payload(1));
    CHECK(fresh == wire::connect_request{0, 0, 10000, 0, zeros, false});

    const auto accepted = read<wire::connect_response>(vector_payload(2));
    CHECK(accepted.protocol_version == 0);
    CHECK(accepted.timeout_ms == 10000);
    CHECK(accepted.session_id == 0x100000942420196);
    CHECK(accepted.password == from_hex("5ac12dbaf99492e1886b27be9695d0f6"));
    CHECK(accepted.read_only.value == false);

    const auto again = read<wire::connect_request>(vector_payload(3));
    CHECK(again.last_zxid_seen == 0x4b9);
    CHECK(again.session_id == accepted.session_id);
    CHECK(again.password == accepted.password);

    const auto refused = read<wire::connect_response>(vector_payload(47));
    CHECK(refused == wire::connect_response{0, 0, 0, zeros, {false}});
}

TEST_CASE("the read-only byte is always sent and need not be there", "[wire][T51][C30]")
{
    std::string bytes;
    wire::encode(bytes, wire::connect_request{.timeout_ms = 4000, .password = "p"});
    CHECK(bytes == from_hex("00000000 0000000000000000 00000fa0 0000000000000000"
                            "00000001 70 00"));

    const std::string_view with = vector_payload(2);
    const auto old_server = read<wire::connect_response>(with.substr(0, with.size() - 1));
    CHECK_FALSE(old_server.read_only.value.has_value());
    CHECK(old_server.password.size() == 16);
}

TEST_CASE("V4, V5: auth", "[wire][vectors]")
{
    const auto request = request_in<wire::auth>(4, wire::auth_xid);
    CHECK(request == wire::auth::request{0, "digest", "user:secret"});
    reply_in<wire::auth::response>(5, {wire::auth_xid, 0, 0});
}

TEST_CASE("V6-V9: create", "[wire][vectors][C54]")
{
    const auto persistent = request_in<wire::create>(6, 1);
    CHECK(persistent.path == kz);
    CHECK(persistent.data == nullable_view{"hello"});
    CHECK(persistent.acls == std::vector<wire::acl>{{31, "world", "anyone"}});
    CHECK(persistent.flags == 0);
    CHECK(reply_in<wire::create::response>(7, {1, 0x4b5, 0}).path == kz);

    const auto sequential = request_in<wire::create>(8, 6);
    CHECK(sequential.path == "/kz1795290166/e-");
    CHECK(sequential.data == nullable_view{});  // empty, not null
    CHECK(sequential.acls ==
          std::vector<wire::acl>{{31, "digest", "user:5w9W4eL3797Y4Wq8AcKUPPk8ha4="}});
    CHECK(sequential.flags == 3);
    CHECK(reply_in<wire::create::response>(9, {6, 0x4b7, 0}).path == "/kz1795290166/e-0000000000");
}

TEST_CASE("V10, V11: get_data", "[wire][vectors]")
{
    CHECK(request_in<wire::get_data>(10, 2) == wire::get_data::request{kz, true});
    const auto response = reply_in<wire::get_data::response>(11, {2, 0x4b5, 0});
    CHECK(response.data == nullable_view{"hello"});
    CHECK(response.stat == stat{.czxid = 0x4b5,
                                .mzxid = 0x4b5,
                                .ctime = 1795290166644,
                                .mtime = 1795290166644,
                                .data_length = 5,
                                .pzxid = 0x4b5});
}

TEST_CASE("V12-V14: exists and get_children", "[wire][vectors]")
{
    CHECK(request_in<wire::exists>(12, 3) == wire::exists::request{"/kz1795290166/none", true});
    CHECK(read<wire::reply_header>(vector_payload(13)) == wire::reply_header{3, 0x4b5, -101});
    CHECK(reply_in<wire::get_children::response>(14, {4, 0x4b5, 0}).children.empty());
}

TEST_CASE("V15, V17: set_data", "[wire][vectors]")
{
    CHECK(request_in<wire::set_data>(15, 5) == wire::set_data::request{kz, {"world"}, 0});
    const stat after = reply_in<wire::set_data::response>(17, {5, 0x4b6, 0}).stat;
    CHECK(after.czxid == 0x4b5);
    CHECK(after.mzxid == 0x4b6);
    CHECK(after.mtime == 1795290166649);
    CHECK(after.version == 1);
    CHECK(after.pzxid == 0x4b5);
}

TEST_CASE("V16, V35, V36, V38: events", "[wire][vectors]")
{
    const auto event_in = [](int number, std::int64_t zxid) {
        return reply_in<wire::watcher_event>(number, {wire::notification_xid, zxid, 0});
    };
    CHECK(event_in(16, -1) == wire::watcher_event{3, 3, kz});
    CHECK(event_in(35, -1) == wire::watcher_event{2, 3, "/jv1795290193/del"});
    CHECK(event_in(36, -1) == wire::watcher_event{1, 3, "/jv1795290193/none"});
    CHECK(event_in(38, 0x49b) == wire::watcher_event{4, 3, jv});  // 3.9 says which change it was
}

TEST_CASE("events of unknown types and states are read as they are", "[wire][C94]")
{
    const std::string bytes = from_hex("000003e7 fffffb2e 00000002 2f61");
    CHECK(read<wire::watcher_event>(bytes) == wire::watcher_event{999, -1234, "/a"});
}

TEST_CASE("V18-V21, V39, V40: the headers of multi", "[wire][vectors]")
{
    CHECK(request_in<wire::multi>(18, 8).body.bytes.size() == 172);
    CHECK(reply_in<wire::multi::response>(19, {8, 0x4b8, 0}).body.bytes.size() == 133);
    CHECK(request_in<wire::multi>(20, 9).body.bytes.size() == 134);
    CHECK(reply_in<wire::multi::response>(21, {9, 0x4b9, 0}).body.bytes.size() == 48);
    CHECK(request_in<wire::multi_read>(39, 15).body.bytes.size() == 98);
    CHECK(reply_in<wire::multi_read::response>(40, {15, 0x494, 0}).body.bytes.size() == 135);
}

TEST_CASE("V22-V24: sync and get_acl", "[wire][vectors]")
{
    CHECK(request_in<wire::sync>(22, 13).path == kz);
    CHECK(reply_in<wire::sync::response>(23, {13, 0x4b9, 0}).path == kz);
    const auto acl = reply_in<wire::get_acl::response>(24, {14, 0x4b9, 0});
    CHECK(acl.acls == std::vector<wire::acl>{{31, "world", "anyone"}});
    CHECK(acl.stat.version == 2);
    CHECK(acl.stat.cversion == 3);
    CHECK(acl.stat.num_children == 1);
}

TEST_CASE("V25-V28: ping and close_session", "[wire][vectors]")
{
    request_in<wire::ping>(25, wire::ping_xid);
    reply_in<wire::ping::response>(26, {wire::ping_xid, 0x4c7, 0});
    request_in<wire::close_session>(27, 2);
    reply_in<wire::close_session::response>(28, {2, 0x4cb, 0});
}

TEST_CASE("V29-V31: create2, create_container, create_ttl", "[wire][vectors][T65]")
{
    const auto created = reply_in<wire::create2::response>(29, {1, 0x491, 0});
    CHECK(created.path == jv);
    CHECK(created.stat.ctime == 1795290193802);
    CHECK(created.stat.data_length == 2);

    const auto container = request_in<wire::create_container>(30, 2);
    CHECK(container.path == "/jv1795290193/c");
    CHECK(container.data == nullable_view::null());
    CHECK(container.acls == std::vector<wire::acl>{{31, "auth", ""}});
    CHECK(container.flags == 4);

    const auto ttl = request_in<wire::create_ttl>(31, 3);
    CHECK(ttl.path == "/jv1795290193/t");
    CHECK(ttl.data == nullable_view{});
    CHECK(ttl.acls == std::vector<wire::acl>{{1, "world", "anyone"}});
    CHECK(ttl.flags == 5);
    CHECK(ttl.ttl_ms == 60000);
}

TEST_CASE("V32-V34, V37, V43: watches", "[wire][vectors]")
{
    const auto added = request_in<wire::add_watch>(32, 6);
    CHECK(added.path == "/jv1795290193/c");
    CHECK(added.mode == wire::add_watch_mode::persistent_recursive);
    CHECK(reply_in<wire::add_watch::response>(33, {6, 0x494, 0}).err == 0);

    const auto again = request_in<wire::set_watches2>(34, 16);
    CHECK(again.relative_zxid == 0x494);
    CHECK(again.data == views{"/jv1795290193/del", jv});
    CHECK(again.exist == views{"/jv1795290193/none"});
    CHECK(again.child == views{jv});
    CHECK(again.persistent == views{jv});
    CHECK(again.persistent_recursive == views{"/jv1795290193/c"});
    reply_in<wire::set_watches2::response>(37, {16, 0x499, 0});

    CHECK(request_in<wire::check_watches>(43, 17) ==
          wire::check_watches::request{"/jv1795290193/c", wire::watcher_type::any});
}

TEST_CASE("V41, V42: who_am_i", "[wire][vectors]")
{
    request_in<wire::who_am_i>(41, 12);
    CHECK(reply_in<wire::who_am_i::response>(42, {12, 0x494, 0}).clients ==
          std::vector<wire::client_info>{{"digest", "bob"}, {"ip", "127.0.0.1"}});
}

TEST_CASE("V44-V46: a SASL token is empty, there, or null", "[wire][vectors][T65]")
{
    CHECK(request_in<wire::sasl>(44, 1).token == nullable_view{});
    const auto challenge = reply_in<wire::sasl::response>(45, {1, 0, 0}).token;
    CHECK(challenge.value.size() == 101);
    CHECK(challenge.value.starts_with("realm=\"zk-sasl-md5\",nonce="));
    CHECK(challenge.value.ends_with(",algorithm=md5-sess"));
    CHECK(reply_in<wire::sasl::response>(46, {2, 0, -115}).token == nullable_view::null());
}

TEST_CASE("V48: an op that the server does not know", "[wire][vectors]")
{
    CHECK(read<wire::reply_header>(vector_payload(48)) == wire::reply_header{1, -1, -6});
}

TEST_CASE("V49-V61: ACLs, counts, watches and reconfig, as Java sends them", "[wire][vectors]")
{
    const auto acl = request_in<wire::set_acl>(49, 4);
    CHECK(acl.path == "/cap/a");
    CHECK(acl.acls == std::vector<wire::acl>{{1, "world", "anyone"}, {31, "ip", "127.0.0.1"}});
    CHECK(acl.version == 0);
    CHECK(reply_in<wire::set_acl::response>(50, {4, 0x100000005, 0}).stat.aversion == 1);
    CHECK(request_in<wire::get_children2>(51, 5) == wire::get_children2::request{"/cap", false});
    const auto below = reply_in<wire::get_children2::response>(52, {5, 0x100000005, 0});
    CHECK(below.children == std::vector<std::string_view>{"a", "e"});
    CHECK(below.stat.num_children == 2);
    CHECK(request_in<wire::get_ephemerals>(53, 6).prefix == "/cap");
    CHECK(reply_in<wire::get_ephemerals::response>(54, {6, 0x100000005, 0}).paths ==
          std::vector<std::string_view>{"/cap/e"});
    CHECK(request_in<wire::get_all_children_number>(55, 7).path == "/cap");
    CHECK(reply_in<wire::get_all_children_number::response>(56, {7, 0x100000005, 0}).count == 2);
    CHECK(request_in<wire::remove_watches>(57, 11) ==
          wire::remove_watches::request{"/cap", wire::watcher_type::children});
    reply_in<wire::remove_watches::response>(58, {11, 0x100000005, 0});
    const auto watches = request_in<wire::set_watches>(59, 14);
    CHECK(watches.relative_zxid == 0x100000005);
    CHECK(watches.data == std::vector<std::string_view>{"/cap"});
    CHECK(watches.exist == std::vector<std::string_view>{"/cap/missing"});
    CHECK(watches.child == std::vector<std::string_view>{"/cap"});
    reply_in<wire::set_watches::response>(60, {14, 0x100000005, 0});
    CHECK(request_in<wire::reconfig>(61, 15) ==
          wire::reconfig::request{nullable_view::null(), {"3"}, nullable_view::null(), -1});
}

TEST_CASE("requests in forms that no captured frame shows, spelled out", "[wire]")
{
    check_request_bytes<wire::remove>({"/a", 4}, "00000002 2f61 00000004");
    check_request_bytes<wire::check>({"/a"}, "00000002 2f61 ffffffff");
    check_request_bytes<wire::get_acl>({"/a"}, "00000002 2f61");
    check_request_bytes<wire::set_acl>({"/a", {{1, "ip", "::1"}}, 2},
                                       "00000002 2f61 00000001 00000001 00000002 6970"
                                       "00000003 3a3a31 00000002");
    check_request_bytes<wire::set_acl>({"/a", {}, 2}, "00000002 2f61 00000000 00000002");
    check_request_bytes<wire::get_children>({"/a", true}, "00000002 2f61 01");
    check_request_bytes<wire::get_children2>({"/a", false}, "00000002 2f61 00");
    check_request_bytes<wire::create2>({"/a", nullable_view::null(), {}, 1},
                                       "00000002 2f61 ffffffff 00000000 00000001");
    check_request_bytes<wire::reconfig>({{"s=h"}, {""}, nullable_view::null(), 0x10},
                                        "00000003 733d68 00000000 ffffffff 0000000000000010");
    check_request_bytes<wire::remove_watches>({"/a", wire::watcher_type::persistent_recursive},
                                              "00000002 2f61 00000005");
    check_request_bytes<wire::set_watches>(
        {0x0102, {"/a"}, {}, {"/b", "/c"}},
        "0000000000000102 00000001 00000002 2f61 00000000 00000002 00000002 2f62 00000002 2f63");
    check_request_bytes<wire::get_ephemerals>({""}, "00000000");
    check_request_bytes<wire::get_all_children_number>({"/"}, "00000001 2f");
}

TEST_CASE("replies in forms that no captured frame shows, spelled out", "[wire]")
{
    const std::string with_stat{stat_hex};
    check_response_bytes<wire::exists>({numbered_stat()}, with_stat);
    check_response_bytes<wire::set_acl>({numbered_stat()}, with_stat);
    check_response_bytes<wire::get_data>({nullable_view::null(), numbered_stat()},
                                         "ffffffff" + with_stat);
    check_response_bytes<wire::get_children>({{"b", "", "c"}},
                                             "00000003 00000001 62 00000000 00000001 63");
    check_response_bytes<wire::get_children2>({{"b"}, numbered_stat()},
                                              "00000001 00000001 62" + with_stat);
    check_response_bytes<wire::reconfig>({{"v"}, numbered_stat()}, "00000001 76" + with_stat);
    check_response_bytes<wire::create_container>({"/a", numbered_stat()},
                                                 "00000002 2f61" + with_stat);
    check_response_bytes<wire::create_ttl>({"/a", numbered_stat()}, "00000002 2f61" + with_stat);
    check_response_bytes<wire::get_ephemerals>({{"/e"}}, "00000001 00000002 2f65");
    check_response_bytes<wire::get_all_children_number>({0x01020304}, "01020304");
    check_response_bytes<wire::remove_watches>({}, "");
    check_response_bytes<wire::set_watches>({}, "");
    check_response_bytes<wire::who_am_i>({}, "00000000");
}

TEST_CASE("which operations change the ensemble, and which set watches", "[wire][completeness]")
{
    using wire::op_code;
    const std::set<op_code> mutating{
        op_code::create,   op_code::create2,      op_code::create_container, op_code::create_ttl,
        op_code::remove,   op_code::set_data,     op_code::set_acl,          op_code::multi,
        op_code::reconfig, op_code::close_session};
    const std::set<op_code> watching{op_code::exists, op_code::get_data, op_code::get_children,
                                     op_code::get_children2, op_code::add_watch};
    wire::for_each_operation(wire::all_operations{}, [&]<class Op>() {
        CAPTURE(wire::name(Op::code));
        CHECK(Op::mutates == mutating.contains(Op::code));
        CHECK((Op::watches != wire::watch_kind::none) == watching.contains(Op::code));
    });
    CHECK(wire::exists::watches == wire::watch_kind::data);
    CHECK(wire::get_children::watches == wire::watch_kind::child);
}

TEST_CASE("op codes have the numbers of ZooKeeper and names of their own", "[wire]")
{
    std::set<std::string_view> names;
    for (const wire::op_code code : wire::all_op_codes) {
        names.insert(wire::name(code));
    }
    CHECK(names.size() == wire::all_op_codes.size());
    CHECK_FALSE(names.contains("unknown"));
    CHECK(wire::name(wire::op_code::remove) == "remove");
    CHECK(wire::name(wire::op_code::notification) == "notification");
    CHECK(wire::name(static_cast<wire::op_code>(22222)) == "unknown");

    // The order of the list: the numbers once more, written independently.
    constexpr std::array<std::int32_t, 29> numbers{1,   2,   3,   4,   5,   6,   7,   8,   9,  11,
                                                   12,  13,  14,  15,  16,  17,  18,  19,  21, 22,
                                                   100, 101, 102, 103, 104, 105, 106, 107, -11};
    REQUIRE(wire::all_op_codes.size() == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        CHECK(static_cast<std::int32_t>(wire::all_op_codes[i]) == numbers[i]);
    }
}
