// What can be wrong with a TLS connection, as typed causes: `attempt.error.cause() ==
// tls_errc::wrong_host`. Always there, also in a build without TLS, since whoever looks at an
// error's cause should not need to know how the library was built.
#pragma once

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace coati {

/// The cause behind `errc::ssl_connection_error`. Details (which names, which date) are in the text
/// of `client::last_attempts()`.
enum class tls_errc : int {
    failed = 1,                  ///< None of the others; the attempt's text has OpenSSL's words.
    certificate_expired,         ///< The server's, or one above it.
    certificate_not_yet_valid,   ///< The same, or this machine's clock is behind.
    self_signed,                 ///< The server's certificate vouches for itself.
    untrusted_ca,                ///< Nobody whom the settings trust vouches for the server.
    wrong_host,                  ///< A good certificate, of another host than the configured one.
    certificate_revoked,         ///< It is in the revocation list.
    certificate_refused,         ///< Not good for another reason.
    client_certificate_wanted,   ///< The server insists on one and the settings have none.
    client_certificate_refused,  ///< The server does not like ours.
    not_tls,                     ///< What came is no TLS: a plaintext port, another protocol.
    hung_up,                     ///< The server closed in the handshake: often a plaintext port.
    nothing_in_common,           ///< No version or cipher that both sides accept.
    bad_settings,                ///< A file that cannot be read, or a key of another certificate.
};

/// The category of `tls_errc`; its name is "coati.tls".
const boost::system::error_category& tls_category() noexcept;

/// For Boost.System: a `tls_errc` becomes an error code by itself.
inline boost::system::error_code make_error_code(tls_errc e) noexcept
{
    return {static_cast<int>(e), tls_category()};
}

}  // namespace coati

/// @cond
template <>
struct boost::system::is_error_code_enum<coati::tls_errc> : std::true_type {};
/// @endcond
