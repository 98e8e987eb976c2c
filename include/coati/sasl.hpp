// SASL: proving who we are to the server, on every connection before anything else is sent.
//
//     config.sasl = coati::sasl_digest_md5("app", password).value();
//
// What a mechanism is stands here without any library, so that tests, and mechanisms of your own,
// need none. The two at the end are Cyrus SASL's: they need a coati that was built with the Meson
// feature `sasl`, whose dependency or pkg-config file defines COATI_HAS_SASL; without it they are
// deleted, so that using them says so when compiling.
#pragma once

#include <coati/result.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace coati {

struct server_address;

/// One exchange on one connection: made for it, asked, destroyed. Runs on the session's executor;
/// what blocks here (a KDC far away) delays that session.
class sasl_mechanism {
public:
    virtual ~sasl_mechanism() = default;

    /// The first token; an empty one is sent as such (DIGEST-MD5 begins so).
    virtual result<std::string> start() = 0;
    /// What to answer to the server's token. Nothing: there is nothing more to say. An error ends
    /// the session with auth_failed; its cause is kept.
    virtual result<std::optional<std::string>> step(std::string_view challenge) = 0;
    /// True once both sides have proved what they had to: the server may end the exchange now.
    virtual bool is_complete() const noexcept = 0;
    /// What is known of the last failure beyond its code, for `client::last_attempts()`: one line,
    /// without a secret. Empty: nothing.
    virtual std::string explain() const { return {}; }
};

/// Makes the mechanism for a connection to the server as it was configured (`server.host` is not
/// the address it resolved to). Null ends the session with auth_failed.
using sasl_factory = std::function<std::unique_ptr<sasl_mechanism>(const server_address& server)>;

#ifdef COATI_HAS_SASL

/// DIGEST-MD5 with user and password, as ZooKeeper's own login module checks them. The password is
/// kept in memory for the next connection, is in no text that coati makes, and is overwritten when
/// the last copy of the factory is gone; your own copy is yours. Notable errors: invalid_argument
/// (a NUL byte, an empty user), unimplemented (Cyrus SASL has no DIGEST-MD5 here: on Debian it is
/// in libsasl2-modules).
result<sasl_factory> sasl_digest_md5(std::string user, std::string password);

/// Kerberos (GSSAPI) with the credentials of this process (KRB5CCNAME, a client keytab): the
/// server's principal is `service/host`. Notable errors: unimplemented (no GSSAPI: on Debian it is
/// in libsasl2-modules-gssapi-mit).
result<sasl_factory> sasl_gssapi(std::string service = "zookeeper");

#else

/// Deleted: this coati was built without SASL. Build it with -Dsasl=enabled, which needs Cyrus.
result<sasl_factory> sasl_digest_md5(std::string, std::string) = delete;
result<sasl_factory> sasl_gssapi(std::string = "zookeeper") = delete;

#endif

}  // namespace coati
