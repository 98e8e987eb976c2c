// The texts of the causes of a failed TLS connection. Knows no OpenSSL: built always.

#include <coati/tls_error.hpp>

#include <string>
#include <string_view>

namespace coati {
namespace detail::tls_texts {

constexpr std::string_view text_of(tls_errc e) noexcept
{
    switch (e) {
    case tls_errc::failed: break;
    case tls_errc::certificate_expired: return "the server's certificate has expired";
    case tls_errc::certificate_not_yet_valid:
        return "the server's certificate is not valid yet, or this machine's clock is behind";
    case tls_errc::self_signed:
        return "the server's certificate is self-signed and not among the trusted ones";
    case tls_errc::untrusted_ca:
        return "the server's certificate was issued by a CA that is not trusted here";
    case tls_errc::wrong_host: return "the server's certificate is for another host";
    case tls_errc::certificate_revoked: return "the server's certificate has been revoked";
    case tls_errc::certificate_refused: return "the server's certificate is not acceptable";
    case tls_errc::client_certificate_wanted:
        return "the server wants a client certificate, and none is configured";
    case tls_errc::client_certificate_refused: return "the server refused our client certificate";
    case tls_errc::not_tls: return "the server does not speak TLS on this port";
    case tls_errc::hung_up:
        return "the server hung up in the TLS handshake; check that this port speaks TLS";
    case tls_errc::nothing_in_common: return "no TLS version or cipher that both sides accept";
    case tls_errc::bad_settings: return "the TLS settings cannot be used";
    }
    return "the TLS connection failed";
}

class category final : public boost::system::error_category {
public:
    // The fixed id makes equal what a program may have twice: one category per shared object.
    constexpr category() noexcept : error_category(0x636f'6174'692e'746c) {}

    const char* name() const noexcept override { return "coati.tls"; }
    std::string message(int value) const override
    {
        return std::string(text_of(static_cast<tls_errc>(value)));
    }
};

}  // namespace detail::tls_texts

const boost::system::error_category& tls_category() noexcept
{
    static const detail::tls_texts::category category;
    return category;
}

}  // namespace coati
