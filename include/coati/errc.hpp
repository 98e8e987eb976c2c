// Every error code that an operation of coati can complete with, and its disposition.
//
// The sign is the blame: a negative code is ZooKeeper's own number (an ensemble said it, or the
// other clients say it locally), a positive one is ours. Knows nothing but numbers and texts; the
// table with the texts and the dispositions is src/errc.cpp, one line a code.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace coati {

/// What an operation, a connection attempt or a session ended with.
enum class errc : std::int32_t {
    // --- what an ensemble answers, by its own numbers (org.apache.zookeeper.KeeperException.Code)
    system_error = -1,           ///< Marks a range; no server sends it.
    runtime_inconsistency = -2,  ///< Inside a failed multi: aborted because of another op.
    data_inconsistency = -3,     ///< Never seen from a server.
    connection_loss = -4,        ///< The connection broke; `fate` says what became of the request.
    marshalling_error = -5,      ///< The server could not parse the request: a bug of the client.
    unimplemented = -6,          ///< The server does not know this operation.
    operation_timeout = -7,      ///< The C client's own; no server sends it.
    bad_arguments = -8,          ///< Path, flags, ttl or a config spec that the server refuses.
    invalid_state = -9,          ///< The C client's own.
    unknown_session = -12,       ///< Server-internal.
    new_config_no_quorum = -13,  ///< reconfig: the new configuration has no synced quorum.
    reconfig_in_progress = -14,  ///< reconfig: another one is pending.
    ssl_connection_error = -15,  ///< TLS failed; the cause is a tls_errc.
    api_error = -100,            ///< Marks a range; no server sends it.
    no_node = -101,              ///< The znode does not exist.
    no_auth = -102,              ///< The ACL does not permit it.
    bad_version = -103,          ///< The expected version is not the current one.
    no_children_for_ephemerals = -108,  ///< An ephemeral znode cannot have children.
    node_exists = -110,                 ///< The znode exists already.
    not_empty = -111,                   ///< The znode has children.
    session_expired = -112,             ///< The server ended the session; its ephemerals are gone.
    invalid_callback = -113,            ///< Other clients' own.
    invalid_acl = -114,                 ///< Empty, malformed or unresolvable ACL.
    auth_failed = -115,    ///< Credentials were refused; ends the session for this client.
    closing = -116,        ///< The C client's own.
    nothing = -117,        ///< The C client's own.
    session_moved = -118,  ///< The session lives on another server now.
    not_read_only = -119,  ///< A write, sent to a server in read-only mode.
    ephemeral_on_local_session = -120,        ///< A local session that may not be upgraded.
    no_watcher = -121,                        ///< Nothing to remove: no such watch on the server.
    request_timeout = -122,                   ///< Java's own request timeout; no server sends it.
    reconfig_disabled = -123,                 ///< reconfig is switched off on the server.
    session_closed_require_sasl_auth = -124,  ///< The server insists on authentication.
    quota_exceeded = -125,                    ///< A hard quota.
    throttled_op = -127,                      ///< The server did not execute it; try again later.

    // --- ours: the operation -------------------------------------------------------------------
    no_result = 1,      ///< A result that nobody has filled; never delivered by an operation.
    cancelled,          ///< The caller cancelled the operation.
    timed_out,          ///< `with({.timeout})` or `within`: the time was over first.
    invalid_path,       ///< Not a legal znode path; the text names the rule.
    invalid_config,     ///< Malformed connection string or setting.
    invalid_argument,   ///< An argument that no server would accept.
    request_too_large,  ///< Above `config.max_request`: a server would only hang up.
    reply_too_large,    ///< The reply to this request is above `config.max_reply`.
    already_running,    ///< `run` while another `run` of the same client goes on.
    already_waiting,    ///< A second `next()` while the first still waits.
    watch_ended,        ///< A one-shot watch has delivered its event; there is no more.
    lock_lost,          ///< The lock, or the leadership, is not ours any more, or may soon not be.

    // --- ours: how a session ended, beside session_expired and auth_failed ----------------------
    closed,              ///< `close` was asked for.
    close_unconfirmed,   ///< Closed on our side; the server did not confirm within the bound.
    session_left,        ///< `detach` was asked for: the session lives on without this client.
    session_dropped,     ///< `run` was cancelled: TCP dropped, the session lives until its timeout.
    session_id_changed,  ///< A server answered with another session id: the session is gone.
    session_stolen,      ///< Somebody else uses the same session id and password.
    presumed_expired,    ///< `config.expire_locally_after`: no verdict of a server, by the clock.
    server_has_no_sasl,  ///< `config.sasl` is set, and the server knows no SASL.
    no_server_reachable,  ///< `config.connect_deadline` passed and no session was established.

    // --- ours: how a connection or an attempt at one ended --------------------------------------
    resolve_failed,       ///< The host name has no address.
    connect_failed,       ///< Refused, unreachable; the cause is the system's code.
    connect_timed_out,    ///< No connection (TCP, and TLS if asked for) within the connect timeout.
    handshake_timed_out,  ///< Connected, but no ConnectResponse in time.
    handshake_refused,    ///< The server closed before ConnectResponse: not serving, behind, full.
    not_zookeeper,        ///< What came is no ConnectResponse: another protocol is spoken there.
    malformed_reply,      ///< A frame that does not decode, or with an xid that nobody waits for.
    server_silent,        ///< Nothing was read for two thirds of the session timeout.
    connection_closed,    ///< The server closed the connection (EOF).
};

/// What has to be done about a code: the three classes that every ending falls into, exactly one
/// each.
enum class disposition : std::uint8_t {
    connection_loss,  ///< The session may live: retry locally, on the next server.
    session_over,     ///< Surface: everything bound to this session must be rebuilt or stopped.
    answer,           ///< The caller's own result; the session is untouched.
};

/// The one classification, for codes of servers and of coati alike; an unknown code is an answer.
disposition classify(errc code) noexcept;

/// The code's name as written here ("no_node"), or "unknown".
std::string_view name(errc code) noexcept;

/// Lower case, what happened and what to do about it.
std::string_view describe(errc code) noexcept;

/// The name as written here ("session_over").
std::string_view name(disposition d) noexcept;

/// Every code there is, in the order of the table.
std::span<const errc> all_errc() noexcept;

}  // namespace coati
