// TLS to the servers' secureClientPort, as a transport:
//
//     auto secure = coati::make_tls_transport(ex, settings).value();
//     coati::client zk(ex, config, secure);
//
// Needs a coati that was built with the Meson feature `tls` (OpenSSL 3): its dependency, or its
// pkg-config file, defines COATI_HAS_TLS. Without that everything else works and OpenSSL is not
// needed; here the functions are deleted, so that using them says so when compiling. Includes
// nothing of OpenSSL either way.
#pragma once

#include <coati/result.hpp>
#include <coati/tls_error.hpp>
#include <coati/transport.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace coati {

/// The oldest protocol version that is spoken.
enum class tls_version : std::uint8_t { v1_2, v1_3 };

/// Whom to trust, who we are. As constructed: the system's CAs, the server's certificate and its
/// name are checked, no client certificate. All files are PEM, and are read again before a
/// connection when they have changed (see make_tls_transport).
class tls_settings {
public:
    tls_settings() = default;

    /// CAs to trust. If neither is set: the system's.
    std::string ca_file;
    /// A folder of CAs in OpenSSL's form (names made by `openssl rehash`).
    std::string ca_directory;
    /// Revoked certificates, of every CA in the chain. Empty: revocation is not checked.
    std::string crl_file;

    /// Our own certificate, followed by those between it and its CA. Empty: none is sent.
    std::string certificate_chain_file;
    /// Its private key. Empty: it is in `certificate_chain_file`.
    std::string private_key_file;
    /// Asked for the key's passphrase whenever an encrypted key is read, on the thread that
    /// connects. Without it an encrypted key is an error; nobody is asked on a terminal.
    std::function<std::string()> passphrase;

    /// Off: any certificate will do, so anybody can be the server. For experiments only.
    bool verify_peer = true;
    /// The certificate must be for the host as it was configured, not for the address that it
    /// resolves to; a literal address must be in it as an address.
    bool verify_host = true;
    /// Instead of the configured host: the name to send (SNI) and to find in the certificate.
    std::string server_name;

    /// An older version ends the attempt.
    tls_version min_version = tls_version::v1_2;
    /// Ciphers for TLS 1.2 in OpenSSL's form. Empty: OpenSSL's defaults.
    std::string cipher_list;

    /// Which servers speak TLS, for an ensemble that is half way there. Empty: all of them. Called
    /// before each connect, on the client's executor.
    std::function<bool(const endpoint&)> use_tls;
};

#ifdef COATI_HAS_TLS

/// TLS over the system's TCP. To be used from one executor at a time like any transport: the
/// client's own strand does that.
///
/// Before each connect the files' identity (inode, size, time of change) is compared; if one has
/// changed, all are read again. New files that cannot be used leave the old ones in force, and the
/// text of a failed attempt says so. Connections that exist keep what they have.
///
/// Notable errors: invalid_config, cause tls_errc::bad_settings: a file that cannot be read, a key
/// that does not fit; `explain_tls_settings` says which.
result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor ex,
                                                      tls_settings settings);

/// TLS over another transport; `ex` is the executor that `below` works on.
result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor ex,
                                                      tls_settings settings,
                                                      std::shared_ptr<transport> below);

/// The first thing that is wrong with the settings, in words. Empty when they can be used.
std::string explain_tls_settings(const tls_settings& settings);

#else

/// Deleted: this coati was built without TLS. Build it with -Dtls=enabled, which needs OpenSSL.
result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor,
                                                      tls_settings) = delete;
result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor, tls_settings,
                                                      std::shared_ptr<transport>) = delete;
std::string explain_tls_settings(const tls_settings&) = delete;

#endif

}  // namespace coati
