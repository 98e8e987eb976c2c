// Trust and identity by OpenSSL: the context, its files, and what a failed verification means.

#include "tls_context.hpp"

#include <boost/asio/ip/address.hpp>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>

#include <cstring>
#include <utility>

namespace coati::tls_detail {

namespace {

using bio_ptr = std::unique_ptr<BIO, openssl_delete<&BIO_free_all>>;

std::string text_in(BIO& memory)
{
    char* at = nullptr;
    const long size = BIO_get_mem_data(&memory, &at);
    return size > 0 ? std::string(at, static_cast<std::size_t>(size)) : std::string();
}

/// The names that a certificate is for: "zk1.example, 127.0.0.1".
std::string names_of(const X509& certificate)
{
    const bio_ptr out(BIO_new(BIO_s_mem()));
    auto* const names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
    if (out == nullptr || names == nullptr) {
        return {};
    }
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        if (i > 0) {
            BIO_puts(out.get(), ", ");
        }
        GENERAL_NAME_print(out.get(), sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    return text_in(*out);
}

std::string describe(const X509& certificate)
{
    const bio_ptr out(BIO_new(BIO_s_mem()));
    if (out == nullptr) {
        return {};
    }
    BIO_puts(out.get(), "subject ");
    X509_NAME_print_ex(out.get(), X509_get_subject_name(&certificate), 0, XN_FLAG_ONELINE);
    BIO_puts(out.get(), ", issuer ");
    X509_NAME_print_ex(out.get(), X509_get_issuer_name(&certificate), 0, XN_FLAG_ONELINE);
    BIO_puts(out.get(), ", valid from ");
    ASN1_TIME_print(out.get(), X509_get0_notBefore(&certificate));
    BIO_puts(out.get(), " to ");
    ASN1_TIME_print(out.get(), X509_get0_notAfter(&certificate));
    std::string text = text_in(*out);
    if (const std::string names = names_of(certificate); !names.empty()) {
        text.append(", names ").append(names);
    }
    return text;
}

int findings_index() noexcept
{
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

findings* findings_of(const SSL* ssl) noexcept
{
    return static_cast<findings*>(SSL_get_ex_data(ssl, findings_index()));
}

// Remembers the first thing that is wrong, while its certificate is at hand.
int on_verified(int good, X509_STORE_CTX* chain)
{
    if (good == 0) {
        const auto* const ssl = static_cast<const SSL*>(
            X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
        findings* const found = ssl == nullptr ? nullptr : findings_of(ssl);
        if (found != nullptr && found->verify_error == 0) {
            found->verify_error = X509_STORE_CTX_get_error(chain);
            if (const X509* const which = X509_STORE_CTX_get_current_cert(chain)) {
                found->certificate = describe(*which);
            }
        }
    }
    return good;
}

// Called when the server asks for a certificate; what is configured is sent anyway.
int on_asked(SSL* ssl, void*)
{
    if (findings* const found = findings_of(ssl)) {
        found->was_asked = true;
    }
    return 1;
}

// Without this, OpenSSL asks on the terminal.
int on_passphrase(char* into, int size, int, void* data)
{
    const auto* const settings = static_cast<const tls_settings*>(data);
    if (settings == nullptr || !settings->passphrase) {
        return -1;
    }
    std::string answer = settings->passphrase();
    const int length = static_cast<int>(answer.size());
    if (length <= size) {
        std::memcpy(into, answer.data(), answer.size());
    }
    OPENSSL_cleanse(answer.data(), answer.size());
    return length <= size ? length : -1;
}

bool trust(SSL_CTX& context, const tls_settings& from, std::string& wrong)
{
    const char* const file = from.ca_file.empty() ? nullptr : from.ca_file.c_str();
    const char* const folder = from.ca_directory.empty() ? nullptr : from.ca_directory.c_str();
    if (file == nullptr && folder == nullptr) {
        if (SSL_CTX_set_default_verify_paths(&context) != 1) {
            wrong = "the system's CAs cannot be loaded";
            return false;
        }
    } else if (SSL_CTX_load_verify_locations(&context, file, folder) != 1) {
        wrong = "no CA could be read from " + (file != nullptr ? from.ca_file : from.ca_directory);
        return false;
    }
    // A folder is searched later, by name: one that does not exist would only show as distrust.
    struct ::stat seen {};
    if (folder != nullptr && (::stat(folder, &seen) != 0 || !S_ISDIR(seen.st_mode))) {
        wrong = from.ca_directory + " is no folder";
        return false;
    }
    if (!from.crl_file.empty()) {
        X509_STORE* const store = SSL_CTX_get_cert_store(&context);
        X509_LOOKUP* const lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == nullptr ||
            X509_load_crl_file(lookup, from.crl_file.c_str(), X509_FILETYPE_PEM) < 1) {
            wrong = "no revocation list could be read from " + from.crl_file;
            return false;
        }
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    return true;
}

bool identify(SSL_CTX& context, const tls_settings& from, std::string& wrong)
{
    if (from.certificate_chain_file.empty()) {
        if (!from.private_key_file.empty()) {
            wrong = "private_key_file is set without certificate_chain_file";
            return false;
        }
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(&context, from.certificate_chain_file.c_str()) != 1) {
        wrong = "no certificate could be read from " + from.certificate_chain_file;
        return false;
    }
    const std::string& key =
        from.private_key_file.empty() ? from.certificate_chain_file : from.private_key_file;
    SSL_CTX_set_default_passwd_cb(&context, &on_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(&context, const_cast<tls_settings*>(&from));
    const bool is_read = SSL_CTX_use_PrivateKey_file(&context, key.c_str(), SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(&context, nullptr);  // `from` need not live on
    if (!is_read) {
        wrong = "no private key of this certificate could be read from " + key;
        return false;
    }
    if (SSL_CTX_check_private_key(&context) != 1) {
        wrong = key + " is not the key of " + from.certificate_chain_file;
        return false;
    }
    return true;
}

tls_errc meaning_of(int verify_error) noexcept
{
    switch (verify_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return tls_errc::certificate_expired;
    case X509_V_ERR_CERT_NOT_YET_VALID: return tls_errc::certificate_not_yet_valid;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return tls_errc::self_signed;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return tls_errc::untrusted_ca;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return tls_errc::wrong_host;
    case X509_V_ERR_CERT_REVOKED: return tls_errc::certificate_revoked;
    default: return tls_errc::certificate_refused;
    }
}

tls_errc meaning_of_reason(int reason, const findings& found, bool has_certificate,
                           bool in_handshake) noexcept
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return meaning_of(found.verify_error);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_RECORD_TYPE: return in_handshake ? tls_errc::not_tls : tls_errc::failed;
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_NO_SHARED_CIPHER: return tls_errc::nothing_in_common;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return tls_errc::client_certificate_wanted;
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        if (!found.was_asked) {
            return tls_errc::nothing_in_common;
        }
        [[fallthrough]];
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return found.was_asked && !has_certificate ? tls_errc::client_certificate_wanted
                                                   : tls_errc::client_certificate_refused;
    default: return tls_errc::failed;
    }
}

/// Which files these are, as far as the file system can tell without reading them.
std::string identity_of_files(const tls_settings& settings)
{
    std::string all;
    for (const std::string* const file :
         {&settings.ca_file, &settings.ca_directory, &settings.crl_file,
          &settings.certificate_chain_file, &settings.private_key_file}) {
        struct ::stat seen {};
        if (file->empty() || ::stat(file->c_str(), &seen) != 0) {
            all += "-;";
            continue;
        }
        for (const auto number :
             {static_cast<long long>(seen.st_dev), static_cast<long long>(seen.st_ino),
              static_cast<long long>(seen.st_size), static_cast<long long>(seen.st_mtim.tv_sec),
              static_cast<long long>(seen.st_mtim.tv_nsec)}) {
            all.append(std::to_string(number)).append(",");
        }
        all += ';';
    }
    return all;
}

}  // namespace

std::string openssl_reasons()
{
    std::string all;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        const char* const reason = ERR_reason_error_string(code);
        all.append(all.empty() ? "" : "; ").append(reason != nullptr ? reason : "unknown");
    }
    return all;
}

ssl_ctx_ptr make_context(const tls_settings& settings, std::string& wrong)
{
    ERR_clear_error();
    ssl_ctx_ptr made(SSL_CTX_new(TLS_client_method()), openssl_delete<&SSL_CTX_free>());
    bool good = made != nullptr;
    if (good) {
        const int oldest =
            settings.min_version == tls_version::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
        SSL_CTX_set_min_proto_version(made.get(), oldest);
        // Both directions are in use at once: no renegotiation, in which a write may have to read.
        SSL_CTX_set_options(made.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(made.get(), SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_verify(made.get(), settings.verify_peer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                           settings.verify_peer ? &on_verified : nullptr);
        SSL_CTX_set_cert_cb(made.get(), &on_asked, nullptr);
        if (!settings.cipher_list.empty() &&
            SSL_CTX_set_cipher_list(made.get(), settings.cipher_list.c_str()) != 1) {
            wrong = "cipher_list names no cipher";
            good = false;
        }
    }
    good = good && (!settings.verify_peer || trust(*made, settings, wrong)) &&
           identify(*made, settings, wrong);
    if (!good) {
        const std::string reasons = openssl_reasons();
        wrong.append(wrong.empty() || reasons.empty() ? "" : ": ").append(reasons);
        made.reset();
    }
    ERR_clear_error();
    return made;
}

std::unique_ptr<context_keeper> make_keeper(tls_settings settings)
{
    std::string identity = identity_of_files(settings);
    std::string wrong;
    ssl_ctx_ptr first = make_context(settings, wrong);
    if (first == nullptr) {
        return nullptr;
    }
    return std::make_unique<context_keeper>(std::move(settings), std::move(first),
                                            std::move(identity));
}

ssl_ctx_ptr context_keeper::fresh(std::string& wrong)
{
    const std::lock_guard guard(lock_);
    // Taken before the files are read: what changes meanwhile is seen the next time.
    std::string now = identity_of_files(settings_);
    if (now != identity_) {
        if (ssl_ctx_ptr next = make_context(settings_, wrong)) {
            current_ = std::move(next);
            identity_ = std::move(now);
        }
    }
    return current_;
}

std::string expected_name(const tls_settings& settings, const endpoint& to)
{
    std::string name = settings.server_name;
    if (name.empty()) {
        name = to.host.empty() ? to.address : to.host;
    }
    if (name.size() > 1 && name.back() == '.') {
        name.pop_back();  // the root of DNS stands in no certificate
    }
    return name;
}

ssl_ptr make_client(SSL_CTX& context, const tls_settings& settings, const endpoint& to,
                    findings& found)
{
    ssl_ptr made(SSL_new(&context));
    if (made == nullptr) {
        return made;
    }
    SSL_set_ex_data(made.get(), findings_index(), &found);
    SSL_set_connect_state(made.get());
    const std::string name = expected_name(settings, to);
    error_code is_name;
    boost::asio::ip::make_address(name, is_name);
    bool good = true;
    if (is_name) {
        good = SSL_set_tlsext_host_name(made.get(), name.c_str()) == 1;
    }
    if (settings.verify_peer && settings.verify_host) {
        X509_VERIFY_PARAM* const checks = SSL_get0_param(made.get());
        X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        const std::string address = name.substr(0, name.find('%'));  // without a scope
        good = good && (is_name ? X509_VERIFY_PARAM_set1_host(checks, name.data(), name.size())
                                : X509_VERIFY_PARAM_set1_ip_asc(checks, address.c_str())) == 1;
    }
    if (!good) {
        made.reset();
    }
    return made;
}

tls_errc classify_failure(const findings& found, bool has_certificate, bool in_handshake,
                          std::string& words)
{
    const unsigned long last = ERR_peek_last_error();
    const tls_errc what =
        meaning_of_reason(ERR_GET_REASON(last), found, has_certificate, in_handshake);
    words = openssl_reasons();
    if (found.verify_error != 0) {
        words.append(" (").append(X509_verify_cert_error_string(found.verify_error)).append(")");
        words.append(": ").append(found.certificate);
    }
    return what;
}

}  // namespace coati::tls_detail

namespace coati {

std::string explain_tls_settings(const tls_settings& settings)
{
    std::string wrong;
    (void)tls_detail::make_context(settings, wrong);
    return wrong;
}

}  // namespace coati
