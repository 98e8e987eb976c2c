// coati::config: which servers, which chroot, which timeouts. Parsed from a connection string, then
// adjusted member by member. Holds settings only; who uses them is the engine.
#pragma once

#include <coati/acl.hpp>
#include <coati/auth.hpp>
#include <coati/clock.hpp>
#include <coati/result.hpp>
#include <coati/sasl.hpp>
#include <coati/server_policy.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coati {

/// A server as it was configured: a name or a literal address, and its client port.
struct server_address {
    std::string host;           ///< A name, or a literal address; of IPv6 without brackets.
    std::uint16_t port = 2181;  ///< Where it listens for clients.
    /// Where it stands, in your own words ("eu-1"): for `server_policy::prefer_zone`. No part of
    /// the connection string.
    std::string zone = {};

    /// The same server: the zone is a label of it.
    friend bool operator==(const server_address& a, const server_address& b) noexcept
    {
        return a.port == b.port && a.host == b.host;
    }
};

/// What the server gave when the session was made: whoever has both, has the session. A secret.
class session_credentials {
public:
    session_credentials() = default;
    /// Of a session whose last zxid is not known: any server will do.
    session_credentials(std::int64_t session_id, std::string session_password)
        : id(session_id), password(std::move(session_password))
    {
    }
    session_credentials(const session_credentials&) = default;      ///< A second copy.
    session_credentials(session_credentials&&) noexcept = default;  ///< The password goes along.
    /// Of another session, or the same.
    session_credentials& operator=(const session_credentials&) = default;
    /// The password goes along.
    session_credentials& operator=(session_credentials&&) noexcept = default;
    /// Overwrites the password.
    ~session_credentials() { wipe(password); }

    std::int64_t id = 0;   ///< 0: no session. May be negative.
    std::string password;  ///< 16 opaque bytes.
    /// The highest zxid that the owner has seen; a server that is behind it refuses the session.
    std::int64_t last_zxid = 0;
};

/// Settings of a client. Every duration is a `std::chrono` type.
class config {
public:
    config() = default;

    /// `host[:port]{,host[:port]}[/chroot]`, as every ZooKeeper client takes it. The port defaults
    /// to 2181; an IPv6 literal stands in brackets. Notable errors: invalid_config (the text of
    /// `explain_config_error` says what and where), invalid_path for the chroot.
    static result<config> parse(std::string connection_string);

    /// Servers of one ensemble, one at least.
    std::vector<server_address> servers;
    /// Prefix of every path, "" for none. The znode is not created.
    std::string chroot;

    /// Asked for; the server answers with its own, within its limits (2 to 20 ticks by default).
    std::chrono::milliseconds session_timeout{10'000};
    /// For one address: TCP connection and ZooKeeper handshake together. None: session timeout /
    /// number of servers, at least 100 ms, at most two thirds of the session timeout.
    std::optional<std::chrono::milliseconds> connect_timeout;
    /// How long a session that was never established is tried for. None: for ever.
    std::optional<std::chrono::milliseconds> connect_deadline;
    /// After the loss of an established connection the first attempt waits uniformly 0..this, so
    /// that the clients of a dead server do not arrive at once. 0: at once.
    std::chrono::milliseconds reconnect_spread{100};
    /// Ends `run` with errc::presumed_expired when no request was answered for so long, counted
    /// from the last that was; never before the session timeout is over. None (default): the
    /// session ends by a server's verdict only, and session_state::presumed_expired is all that
    /// the clock says. The Java client gives up after 4/3 of the session timeout. The session may
    /// live on: without a leader no session ages.
    std::optional<std::chrono::milliseconds> expire_locally_after;
    /// How long `close` waits for the server's confirmation, and `detach` for answers.
    std::chrono::milliseconds close_wait{3'000};

    /// Largest request in bytes. A server answers a larger one (jute.maxbuffer, default 0xfffff) by
    /// hanging up on every request in flight.
    std::size_t max_request = 1'048'575;
    /// Largest reply in bytes. Servers do not limit theirs: a children list can be above 1 MiB.
    std::size_t max_reply = 16 * 1024 * 1024;

    /// Which server first, and whether to leave it for a better one.
    coati::server_policy server_policy;
    /// Connections to the addresses of one name are tried beside each other, IPv6 and IPv4 in turn:
    /// the next one `connect_stagger` after the one before, or at once when that failed. The first
    /// that is up (TLS included) is used, the others are dropped before a byte of ZooKeeper's went
    /// over them. Then `connect_timeout` is for a name, not for an address.
    bool parallel_connect = false;
    /// At least 10 ms. 250 ms is what RFC 8305 recommends.
    std::chrono::milliseconds connect_stagger{250};
    /// The ACL of znodes that are created without one. Anybody may do anything, as everywhere with
    /// ZooKeeper: `acls::creator_all()` is the one for who authenticates.
    acls default_acls = acls::open_unsafe();
    /// After a loss the same server is tried first. For local sessions, which no other server
    /// knows.
    bool sticky = false;
    /// Take a session of a server that is cut off from its ensemble (readonlymode.enabled): reads
    /// are answered, writes fail with not_read_only. A server with a quorum is looked for meanwhile
    /// and moved to; the session that it gives has another id, which is no expiry. A session that
    /// has seen a quorum never falls back.
    bool allow_read_only = false;
    /// Shown to every server before anything else is asked of it; see also client::add_auth.
    std::vector<auth_info> auth;
    /// Who we are, proved on every connection before any request (coati/sasl.hpp). Empty: no SASL.
    /// A server that refuses ends the session with auth_failed, without another attempt.
    sasl_factory sasl;
    /// A server without SASL is good enough, too. Otherwise it ends the session with
    /// server_has_no_sasl.
    bool sasl_optional = false;

    /// Attach to this session instead of making one.
    std::optional<session_credentials> session;
};

/// A connection string's first error, in words: what is wrong, where (byte offset) and what to do.
/// Empty when it parses.
std::string explain_config_error(std::string_view connection_string);

}  // namespace coati
