// Everything that is known about each error code, as one table: name, disposition, text.
//
// The only place that classifies an ending, and the only place that names one: errc.hpp declares
// the codes, this file has exactly one line for each. Knows no sockets, no sessions, no requests.

#include <coati/errc.hpp>
#include <coati/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace coati {
namespace detail::errc_lines {

struct errc_row {
    errc code;
    disposition what;
    std::string_view name;
    std::string_view text;
};

inline constexpr auto loss = disposition::connection_loss;
inline constexpr auto over = disposition::session_over;
inline constexpr auto reply = disposition::answer;

// clang-format off
inline constexpr errc_row errc_table[] = {
    // What an ensemble answers.
    {errc::system_error, reply, "system_error",
     "a system error of another client; no server sends it"},
    {errc::runtime_inconsistency, reply, "runtime_inconsistency",
     "this op was not tried because another op of the multi failed; look at that one"},
    {errc::data_inconsistency, reply, "data_inconsistency",
     "the server found its data inconsistent; look into the server's log"},
    {errc::connection_loss, loss, "connection_loss",
     "the connection broke before the answer; the fate says whether it is safe to repeat"},
    {errc::marshalling_error, reply, "marshalling_error",
     "the server could not parse the request; report this as a bug of coati"},
    {errc::unimplemented, reply, "unimplemented",
     "the server does not know this operation or has it switched off; use a newer server or "
     "another operation"},
    {errc::operation_timeout, reply, "operation_timeout",
     "a timeout of another client; no server sends it"},
    {errc::bad_arguments, reply, "bad_arguments",
     "the server refuses an argument; check path, flags, ttl or config spec"},
    {errc::invalid_state, reply, "invalid_state",
     "an invalid state of another client; no server sends it"},
    {errc::unknown_session, reply, "unknown_session",
     "the leader does not know this local session; no client should see it"},
    {errc::new_config_no_quorum, reply, "new_config_no_quorum",
     "no quorum of the new configuration is in sync; start its servers and try again"},
    {errc::reconfig_in_progress, reply, "reconfig_in_progress",
     "another reconfig is pending; try again when it is done"},
    {errc::ssl_connection_error, loss, "ssl_connection_error",
     "the TLS connection failed; check certificates and whether the port speaks TLS"},
    {errc::api_error, reply, "api_error",
     "an unspecified error of the ensemble; no server sends it"},
    {errc::no_node, reply, "no_node",
     "the znode does not exist"},
    {errc::no_auth, reply, "no_auth",
     "the ACL does not permit it; add credentials or change the ACL"},
    {errc::bad_version, reply, "bad_version",
     "the znode has another version than expected; read it again and decide anew"},
    {errc::no_children_for_ephemerals, reply, "no_children_for_ephemerals",
     "an ephemeral znode cannot have children; create them elsewhere"},
    {errc::node_exists, reply, "node_exists",
     "the znode exists already"},
    {errc::not_empty, reply, "not_empty",
     "the znode has children; remove them first"},
    {errc::session_expired, over, "session_expired",
     "the server ended the session and its ephemerals are gone; start a new session and rebuild"},
    {errc::invalid_callback, reply, "invalid_callback",
     "an invalid callback of another client; no server sends it"},
    {errc::invalid_acl, reply, "invalid_acl",
     "the ACL is empty, malformed or names no identity; check its scheme and id"},
    {errc::auth_failed, over, "auth_failed",
     "the server refused the credentials and ended the session; correct them before trying again"},
    {errc::closing, reply, "closing",
     "another client's handle is closing; no server sends it"},
    {errc::nothing, reply, "nothing",
     "another client has nothing to process; no server sends it"},
    {errc::session_moved, loss, "session_moved",
     "the session lives on another server now; the fate says whether it is safe to repeat"},
    {errc::not_read_only, reply, "not_read_only",
     "a read-only server takes no writes; try again when a quorum is back"},
    {errc::ephemeral_on_local_session, reply, "ephemeral_on_local_session",
     "a local session may not own ephemerals here; enable session upgrading on the servers"},
    {errc::no_watcher, reply, "no_watcher",
     "the server has no such watch; there is nothing to remove"},
    {errc::request_timeout, reply, "request_timeout",
     "a request timeout of another client; no server sends it"},
    {errc::reconfig_disabled, reply, "reconfig_disabled",
     "reconfig is switched off; enable it on the servers"},
    {errc::session_closed_require_sasl_auth, over, "session_closed_require_sasl_auth",
     "the server insists on authentication and ended the session; configure credentials"},
    {errc::quota_exceeded, reply, "quota_exceeded",
     "the write would exceed a quota; raise the quota or remove data"},
    {errc::throttled_op, reply, "throttled_op",
     "the overloaded server did not execute the request; try again later"},

    // The operation.
    {errc::no_result, reply, "no_result",
     "nobody has filled this result; no operation completes with it"},
    {errc::cancelled, reply, "cancelled",
     "the caller cancelled the operation; the fate says what became of the request"},
    {errc::timed_out, reply, "timed_out",
     "the time given to the operation is over; the fate says what became of the request"},
    {errc::invalid_path, reply, "invalid_path",
     "this is no legal znode path; correct it"},
    {errc::invalid_config, reply, "invalid_config",
     "the connection string or a setting is malformed; explain_config_error says where"},
    {errc::invalid_argument, reply, "invalid_argument",
     "no server would accept this argument; correct it"},
    {errc::request_too_large, reply, "request_too_large",
     "the request is larger than config.max_request; split it, or raise the limit here and on "
     "the servers"},
    {errc::reply_too_large, reply, "reply_too_large",
     "the reply is larger than config.max_reply; ask for less or raise the limit"},
    {errc::already_running, reply, "already_running",
     "run goes on already; run a client once at a time"},
    {errc::already_waiting, reply, "already_waiting",
     "another next waits already; wait once at a time"},
    {errc::watch_ended, reply, "watch_ended",
     "the one-shot watch has delivered its event; set a new one"},
    {errc::lock_lost, reply, "lock_lost",
     "the lock is lost, or may be soon: stop what it guards; acquire it again"},

    // How a session ended.
    {errc::closed, over, "closed",
     "the session was closed as asked; start a new one to go on"},
    {errc::close_unconfirmed, over, "close_unconfirmed",
     "closed here but not confirmed by a server; ephemerals may live until the session timeout"},
    {errc::session_left, over, "session_left",
     "the session was left as asked; it lives until its timeout, for whoever has its credentials"},
    {errc::session_dropped, over, "session_dropped",
     "run was cancelled without a close; ephemerals live until the session timeout"},
    {errc::session_id_changed, over, "session_id_changed",
     "a server answered with another session id, so the session is gone; start a new one and "
     "rebuild"},
    {errc::session_stolen, over, "session_stolen",
     "somebody else uses the same session; never share a session's credentials"},
    {errc::presumed_expired, over, "presumed_expired",
     "no server was reached for so long that the session has probably expired; start a new one "
     "and rebuild"},
    {errc::server_has_no_sasl, over, "server_has_no_sasl",
     "the server has SASL switched off; configure it there, or set config.sasl_optional"},
    {errc::no_server_reachable, over, "no_server_reachable",
     "no session could be established within config.connect_deadline; check addresses and servers"},

    // How a connection, or an attempt at one, ended.
    {errc::resolve_failed, loss, "resolve_failed",
     "the host name has no address; check the name and the resolver"},
    {errc::connect_failed, loss, "connect_failed",
     "the server cannot be connected to; check that it runs, its address and port"},
    {errc::connect_timed_out, loss, "connect_timed_out",
     "no connection within the connect timeout; check the network, firewalls, and with TLS whether "
     "the port speaks it"},
    {errc::handshake_timed_out, loss, "handshake_timed_out",
     "connected, but no answer to the handshake in time; check that the server serves, and whether "
     "its port wants TLS"},
    {errc::handshake_refused, loss, "handshake_refused",
     "the server hung up during the handshake; it does not serve, is behind, has too many "
     "connections, or its port wants TLS"},
    {errc::not_zookeeper, loss, "not_zookeeper",
     "another protocol is spoken there; check the port and whether it expects TLS"},
    {errc::malformed_reply, loss, "malformed_reply",
     "the server sent what does not decode or nobody asked for; check what stands in between"},
    {errc::server_silent, loss, "server_silent",
     "nothing came for two thirds of the session timeout; check the server's load and the network"},
    {errc::connection_closed, loss, "connection_closed",
     "the server closed the connection; its log says why"},
};
// clang-format on

constexpr bool no_code_twice()
{
    for (std::size_t i = 0; i < std::size(errc_table); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const errc_row& a = errc_table[i];
            const errc_row& b = errc_table[j];
            if (a.code == b.code || a.name == b.name || a.text == b.text) {
                return false;
            }
        }
    }
    return true;
}
static_assert(no_code_twice(), "every code has exactly one line, so exactly one disposition");

inline constexpr int lowest_errc =
    static_cast<int>(std::ranges::min_element(errc_table, {}, &errc_row::code)->code);
inline constexpr int highest_errc =
    static_cast<int>(std::ranges::max_element(errc_table, {}, &errc_row::code)->code);

// Our own codes are numbered without a hole, so a forgotten line shows by counting.
static_assert(std::ranges::count_if(errc_table,
                                    [](const errc_row& row) { return row.code > errc{0}; }) ==
                  highest_errc,
              "a code of errc.hpp has no line here");

inline constexpr std::size_t no_row = std::size(errc_table);
static_assert(no_row < 256);

// From code to line at the cost of one load: an answer like no_node is asked for at full speed.
inline constexpr auto errc_rows = [] {
    std::array<std::uint8_t, static_cast<std::size_t>(highest_errc - lowest_errc + 1)> rows{};
    rows.fill(static_cast<std::uint8_t>(no_row));
    for (std::size_t i = 0; i < std::size(errc_table); ++i) {
        rows[static_cast<std::size_t>(static_cast<int>(errc_table[i].code) - lowest_errc)] =
            static_cast<std::uint8_t>(i);
    }
    return rows;
}();

inline constexpr auto errc_list = [] {
    std::array<errc, std::size(errc_table)> list{};
    std::ranges::transform(errc_table, list.begin(), &errc_row::code);
    return list;
}();

/// The line of a code; null for one that we do not know, which a newer server may well send.
constexpr const errc_row* find_errc(errc code) noexcept
{
    const int value = static_cast<int>(code);
    if (value < lowest_errc || value > highest_errc) {
        return nullptr;
    }
    const std::size_t row = errc_rows[static_cast<std::size_t>(value - lowest_errc)];
    return row == no_row ? nullptr : &errc_table[row];
}

class errc_category final : public boost::system::error_category {
public:
    // The fixed id makes equal what a program may have twice: one category per shared object.
    constexpr errc_category() noexcept : error_category(0x636f'6174'692e'6572) {}

    const char* name() const noexcept override { return "coati"; }

    std::string message(int value) const override
    {
        const errc code = static_cast<errc>(value);
        std::string text(describe(code));
        if (find_errc(code) == nullptr) {
            text += " (" + std::to_string(value) + ")";
        }
        return text;
    }
};

}  // namespace detail::errc_lines

disposition classify(errc code) noexcept
{
    const auto* row = detail::errc_lines::find_errc(code);
    return row == nullptr ? disposition::answer : row->what;
}

std::string_view name(errc code) noexcept
{
    const auto* row = detail::errc_lines::find_errc(code);
    return row == nullptr ? std::string_view("unknown") : row->name;
}

std::string_view describe(errc code) noexcept
{
    const auto* row = detail::errc_lines::find_errc(code);
    return row == nullptr ? "a code that this version of coati does not know" : row->text;
}

std::string_view name(disposition d) noexcept
{
    switch (d) {
    case disposition::connection_loss: return "connection_loss";
    case disposition::session_over: return "session_over";
    case disposition::answer: return "answer";
    }
    return "unknown";
}

std::string_view name(fate f) noexcept
{
    switch (f) {
    case fate::not_sent: return "not_sent";
    case fate::not_applied: return "not_applied";
    case fate::maybe_applied: return "maybe_applied";
    case fate::applied: return "applied";
    }
    return "unknown";
}

std::span<const errc> all_errc() noexcept
{
    return detail::errc_lines::errc_list;
}

const boost::system::error_category& error_category() noexcept
{
    static const detail::errc_lines::errc_category category;
    return category;
}

std::string error::message() const
{
    std::string text(name(code_));
    text += ": ";
    text += error_category().message(static_cast<int>(code_));
    text += " (";
    text += name(fate_);
    text += ')';
    if (op_index_ >= 0) {
        text += ", op " + std::to_string(op_index_);
    }
    if (const boost::system::error_code why = cause()) {
        text += ", cause: " + why.message();
    }
    return text;
}

}  // namespace coati
