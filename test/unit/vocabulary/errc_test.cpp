// Every error code there is: its one disposition, its texts, its conversions.
//
// The codes are listed here a second time, by number, from the protocol's documentation: a table
// that is checked against itself proves nothing.

#include <coati/errc.hpp>
#include <coati/error.hpp>

#include <boost/asio/error.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

using coati::errc;
using coati::error;
using coati::fate;

namespace {

constexpr auto loss = coati::disposition::connection_loss;
constexpr auto over = coati::disposition::session_over;
constexpr auto answer = coati::disposition::answer;

// All of org.apache.zookeeper.KeeperException.Code and of the C client's ZOO_ERRORS, but for 0.
const std::map<int, coati::disposition> ensemble_codes = {
    {-1, answer},   {-2, answer},   {-3, answer},   {-4, loss},     {-5, answer},   {-6, answer},
    {-7, answer},   {-8, answer},   {-9, answer},   {-12, answer},  {-13, answer},  {-14, answer},
    {-15, loss},    {-100, answer}, {-101, answer}, {-102, answer}, {-103, answer}, {-108, answer},
    {-110, answer}, {-111, answer}, {-112, over},   {-113, answer}, {-114, answer}, {-115, over},
    {-116, answer}, {-117, answer}, {-118, loss},   {-119, answer}, {-120, answer}, {-121, answer},
    {-122, answer}, {-123, answer}, {-124, over},   {-125, answer}, {-127, answer},
};

// No default: a code that is added to errc.hpp does not compile here until its class is decided.
coati::disposition expected_of_ours(errc code)
{
    using enum errc;
    switch (code) {
    case no_result:
    case cancelled:
    case timed_out:
    case invalid_path:
    case invalid_config:
    case invalid_argument:
    case request_too_large:
    case reply_too_large:
    case already_running:
    case already_waiting:
    case watch_ended:
    case lock_lost: return answer;
    case closed:
    case close_unconfirmed:
    case session_left:
    case session_dropped:
    case session_id_changed:
    case session_stolen:
    case presumed_expired:
    case server_has_no_sasl:
    case no_server_reachable: return over;
    case resolve_failed:
    case connect_failed:
    case connect_timed_out:
    case handshake_timed_out:
    case handshake_refused:
    case not_zookeeper:
    case malformed_reply:
    case server_silent:
    case connection_closed: return loss;
    case system_error:
    case runtime_inconsistency:
    case data_inconsistency:
    case connection_loss:
    case marshalling_error:
    case unimplemented:
    case operation_timeout:
    case bad_arguments:
    case invalid_state:
    case unknown_session:
    case new_config_no_quorum:
    case reconfig_in_progress:
    case ssl_connection_error:
    case api_error:
    case no_node:
    case no_auth:
    case bad_version:
    case no_children_for_ephemerals:
    case node_exists:
    case not_empty:
    case session_expired:
    case invalid_callback:
    case invalid_acl:
    case auth_failed:
    case closing:
    case nothing:
    case session_moved:
    case not_read_only:
    case ephemeral_on_local_session:
    case no_watcher:
    case request_timeout:
    case reconfig_disabled:
    case session_closed_require_sasl_auth:
    case quota_exceeded:
    case throttled_op: break;
    }
    return ensemble_codes.at(static_cast<int>(code));
}

}  // namespace

TEST_CASE("every code is in exactly one disposition", "[S30]")
{
    std::set<int> seen;
    for (const errc code : coati::all_errc()) {
        CAPTURE(static_cast<int>(code), coati::name(code));
        CHECK(seen.insert(static_cast<int>(code)).second);
        CHECK(coati::classify(code) == expected_of_ours(code));

        const error e(code);
        CHECK(int{e.retryable()} + int{e.session_lost()} + int{e.is_answer()} == 1);
        CHECK(e.retryable() == (coati::classify(code) == loss));
        CHECK(e.session_lost() == (coati::classify(code) == over));
        CHECK(e.is_answer() == (coati::classify(code) == answer));
        CHECK(e.disposition() == coati::classify(code));
    }
}

TEST_CASE("the table has all codes of the ensemble and all of ours", "[S30]")
{
    std::set<int> negative;
    std::set<int> positive;
    for (const errc code : coati::all_errc()) {
        const int value = static_cast<int>(code);
        CHECK(value != 0);
        (value < 0 ? negative : positive).insert(value);
    }
    CHECK(negative.size() == ensemble_codes.size());
    for (const auto& [value, what] : ensemble_codes) {
        CAPTURE(value);
        CHECK(negative.contains(value));
    }
    // Ours are numbered without a hole from 1; the switch above holds their names.
    const int last = static_cast<int>(errc::connection_closed);
    CHECK(*positive.begin() == 1);
    CHECK(*positive.rbegin() == last);
    CHECK(positive.size() == static_cast<std::size_t>(last));
}

TEST_CASE("closed and session_expired differ, and both are the end of the session", "[S32]")
{
    CHECK(errc::closed != errc::session_expired);
    CHECK(error(errc::closed).session_lost());
    CHECK(error(errc::session_expired).session_lost());
}

TEST_CASE("a code of a newer server is an answer with its number", "[S30]")
{
    const int value = GENERATE(-126, -128, -1000, 0, 4711);
    const auto code = static_cast<errc>(value);
    CHECK(coati::classify(code) == answer);
    CHECK(coati::name(code) == "unknown");
    CHECK(error(code).is_answer());
    CHECK(error(code).message().find("(" + std::to_string(value) + ")") != std::string::npos);
    CHECK(std::ranges::find(coati::all_errc(), code) == coati::all_errc().end());
}

TEST_CASE("names and texts are fit for a log line")
{
    std::set<std::string_view> names;
    for (const errc code : coati::all_errc()) {
        const std::string_view name = coati::name(code);
        const std::string_view text = coati::describe(code);
        CAPTURE(name, text);
        CHECK(names.insert(name).second);
        CHECK(std::ranges::all_of(name, [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); }));
        CHECK(text.size() > 10);
        CHECK(text.back() != '.');
        // Lower case, but for abbreviations.
        CHECK((std::islower(text[0]) != 0 || std::isupper(text[1]) != 0));
        CHECK(text.find('\n') == std::string_view::npos);
        CHECK(coati::make_error_code(code).message() == text);
    }
    CHECK(coati::name(errc::no_node) == "no_node");
    CHECK(coati::name(errc::connection_closed) == "connection_closed");
    CHECK(coati::name(static_cast<errc>(-112)) == "session_expired");
    CHECK(coati::name(loss) == "connection_loss");
    CHECK(coati::name(over) == "session_over");
    CHECK(coati::name(answer) == "answer");
    CHECK(coati::name(fate::not_sent) == "not_sent");
    CHECK(coati::name(fate::not_applied) == "not_applied");
    CHECK(coati::name(fate::maybe_applied) == "maybe_applied");
    CHECK(coati::name(fate::applied) == "applied");
}

TEST_CASE("an error is one line with name, text, fate, op and cause")
{
    CHECK(error(errc::no_node).message() == "no_node: the znode does not exist (not_applied)");
    CHECK(error(errc::node_exists).with_op_index(2).message() ==
          "node_exists: the znode exists already (not_applied), op 2");
    const boost::system::error_code reset = boost::asio::error::connection_reset;
    const error lost(errc::connection_loss, fate::maybe_applied, reset);
    CHECK(lost.message() ==
          "connection_loss: " + std::string(coati::describe(errc::connection_loss)) +
              " (maybe_applied), cause: " + reset.message());
    CHECK(lost.with_op_index(0).message().find(", op 0, cause: ") != std::string::npos);
}

TEST_CASE("an error keeps its cause, its fate and its index")
{
    const boost::system::error_code refused = boost::asio::error::connection_refused;
    const error e(errc::connect_failed, fate::not_sent, refused);
    CHECK(e.cause() == refused);
    CHECK(e.with_fate(fate::maybe_applied).cause() == refused);
    CHECK(e.with_fate(fate::maybe_applied).fate() == fate::maybe_applied);
    CHECK(e.with_op_index(7).op_index() == 7);
    CHECK(e.op_index() == -1);
    CHECK(!error(errc::no_node).cause());
    CHECK(!error(errc::no_node, fate::not_applied, boost::system::error_code()).cause());
    // Equal is what means the same to a program; the cause is for people.
    CHECK(e == error(errc::connect_failed, fate::not_sent));
    CHECK(e != error(errc::connect_failed, fate::not_applied));
    CHECK(e != e.with_op_index(0));
    CHECK(e == errc::connect_failed);
    CHECK(errc::connect_failed == e);
    CHECK(e != errc::connect_timed_out);
}

TEST_CASE("codes and errors convert to the error codes of Boost and of std")
{
    for (const errc code : coati::all_errc()) {
        CAPTURE(coati::name(code));
        const boost::system::error_code as_boost = code;
        const std::error_code as_std = error(code);
        CHECK(as_boost == code);
        CHECK(as_std == code);
        CHECK(as_boost.failed());
        CHECK(as_boost.value() == static_cast<int>(code));
        CHECK(as_std.value() == static_cast<int>(code));
        CHECK(as_std.message() == coati::describe(code));
    }
    const boost::system::error_code from_error = error(errc::no_node);
    const std::error_code from_code = errc::no_node;
    CHECK(from_error == errc::no_node);
    CHECK(from_error != errc::no_auth);
    CHECK(from_code == errc::no_node);
    CHECK(from_code != errc::no_auth);
    CHECK(from_error != boost::asio::error::eof);
    CHECK(std::string_view(coati::error_category().name()) == "coati");
    CHECK(std::string_view(from_code.category().name()) == "coati");
    CHECK(&coati::error_category() == &from_error.category());
}

TEST_CASE("an error is small, trivial and usable at compile time")
{
    STATIC_CHECK(sizeof(error) == 24);
    STATIC_CHECK(std::is_trivially_copyable_v<error>);
    STATIC_CHECK(!std::is_default_constructible_v<error>);
    STATIC_CHECK(!std::is_aggregate_v<error>);
    STATIC_CHECK(boost::system::is_error_code_enum<errc>::value);
    STATIC_CHECK(std::is_error_code_enum<errc>::value);
    constexpr error e = error(errc::bad_version).with_fate(fate::not_sent).with_op_index(3);
    STATIC_CHECK(e.code() == errc::bad_version);
    STATIC_CHECK(e.fate() == fate::not_sent);
    STATIC_CHECK(e.op_index() == 3);
    STATIC_CHECK(e == errc::bad_version);
    switch (e.code()) {
    case errc::bad_version: SUCCEED(); break;
    default: FAIL("switch on a code");
    }
}

TEST_CASE("an exception carries the whole error")
{
    const coati::exception thrown(error(errc::not_empty).with_op_index(1));
    CHECK(thrown.error() == error(errc::not_empty).with_op_index(1));
    CHECK(thrown.code() == errc::not_empty);
    CHECK(std::string_view(thrown.what()).find(coati::describe(errc::not_empty)) !=
          std::string_view::npos);
}
