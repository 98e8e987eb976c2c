// The trust and the identity of TLS connections: settings -> SSL_CTX, read again when their files
// change, and what was wrong with a peer's certificate in words.
//
// Knows OpenSSL and files, no sockets, no Asio.
#pragma once

#include <coati/tls.hpp>

#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace coati::tls_detail {

using boost::system::error_code;

template <auto Free>
struct openssl_delete {
    template <class T>
    void operator()(T* owned) const noexcept
    {
        Free(owned);
    }
};

using ssl_ctx_ptr = std::shared_ptr<SSL_CTX>;
using ssl_ptr = std::unique_ptr<SSL, openssl_delete<&SSL_free>>;

/// What a handshake found out about its peer, for the error that it ends with. Outlives the SSL.
struct findings {
    int verify_error = 0;     // X509_V_ERR_..., the first
    std::string certificate;  // of the one that failed: whose, until when, which names
    bool was_asked = false;   // the server asked for a client certificate
};

/// OpenSSL's reasons, oldest first; leaves its queue empty.
std::string openssl_reasons();

/// A context made from the settings; null, and what is wrong in words.
ssl_ctx_ptr make_context(const tls_settings& settings, std::string& wrong);

/// The settings and the newest context that could be made from them. Any thread.
class context_keeper {
public:
    context_keeper(tls_settings settings, ssl_ctx_ptr first, std::string identity)
        : settings_(std::move(settings)), current_(std::move(first)), identity_(std::move(identity))
    {
    }

    /// The context for a new connection. `wrong`: why newer files were not taken, if so.
    ssl_ctx_ptr fresh(std::string& wrong);
    const tls_settings& settings() const noexcept { return settings_; }
    bool has_certificate() const noexcept { return !settings_.certificate_chain_file.empty(); }

private:
    const tls_settings settings_;
    std::mutex lock_;
    ssl_ctx_ptr current_;
    std::string identity_;
};

/// Null: the settings cannot be used.
std::unique_ptr<context_keeper> make_keeper(tls_settings settings);

/// A client's side of a connection to `to`; its findings go to `found`. Null: out of memory, or a
/// name that OpenSSL does not take.
ssl_ptr make_client(SSL_CTX& context, const tls_settings& settings, const endpoint& to,
                    findings& found);

/// The name that a certificate has to have.
std::string expected_name(const tls_settings& settings, const endpoint& to);

/// The last error of OpenSSL on this thread as one of ours, and in words. Empties the queue.
tls_errc classify_failure(const findings& found, bool has_certificate, bool in_handshake,
                          std::string& words);

}  // namespace coati::tls_detail
