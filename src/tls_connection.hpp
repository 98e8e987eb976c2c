// One TLS connection: OpenSSL on memory, and the stream below it. Synchronous; who moves the bytes
// is src/tls.cpp. Shared with its outstanding operations, so that those of a stream that is
// destroyed end in order.
#pragma once

#include "tls_context.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace coati::tls_detail {

namespace asio = boost::asio;

inline constexpr std::size_t first_read = 17 * 1024;  // one record of TLS
inline constexpr std::size_t largest_read = 64 * 1024;
inline constexpr std::size_t largest_piece = 256 * 1024;  // of a write, encrypted at a time

inline bool is_reset(const error_code& ec) noexcept
{
    return ec == asio::error::connection_reset || ec == asio::error::broken_pipe;
}

enum class progress : std::uint8_t { done, wants_input, failed };

class connection {
public:
    explicit connection(bool has_certificate) : has_certificate_(has_certificate) {}

    bool prepare(SSL_CTX& context, const tls_settings& settings, const endpoint& to)
    {
        ERR_clear_error();
        ssl_ = make_client(context, settings, to, found_);
        BIO* const in = BIO_new(BIO_s_mem());
        BIO* const out = BIO_new(BIO_s_mem());
        if (ssl_ == nullptr || in == nullptr || out == nullptr) {
            BIO_free(in);
            BIO_free(out);
            words_ = openssl_reasons();
            return false;
        }
        BIO_set_mem_eof_return(in, -1);  // empty means: not yet
        SSL_set_bio(ssl_.get(), in, out);
        return true;
    }

    void carry(std::unique_ptr<stream> below) { below_ = std::move(below); }
    void close() { below_.reset(); }
    bool is_closed() const noexcept { return below_ == nullptr; }
    stream& below() noexcept { return *below_; }
    /// OpenSSL's own, about the last failure.
    const std::string& words() const noexcept { return words_; }

    // --- between OpenSSL and below

    bool collect_output()
    {
        BIO* const out = SSL_get_wbio(ssl_.get());
        sending_.resize(BIO_ctrl_pending(out));
        if (!sending_.empty()) {
            BIO_read(out, sending_.data(), static_cast<int>(sending_.size()));
        }
        return !sending_.empty();
    }
    asio::const_buffer to_send() const noexcept { return asio::buffer(sending_); }
    asio::mutable_buffer room() noexcept { return asio::buffer(received_); }
    void take_in(std::size_t n)
    {
        BIO_write(SSL_get_rbio(ssl_.get()), received_.data(), static_cast<int>(n));
        if (n == received_.size() && n < largest_read) {
            received_.resize(std::min(2 * n, largest_read));
        }
    }

    // --- OpenSSL's steps

    progress shake_hands(error_code& ec)
    {
        ERR_clear_error();
        const int r = SSL_do_handshake(ssl_.get());
        if (r == 1) {
            return progress::done;
        }
        if (SSL_get_error(ssl_.get(), r) == SSL_ERROR_WANT_READ) {
            return progress::wants_input;
        }
        ec = classify_failure(found_, has_certificate_, true, words_);
        return progress::failed;
    }

    /// What can be had without reading below. Nothing and no error: more input is needed.
    std::size_t decrypt(asio::mutable_buffer into, error_code& ec)
    {
        std::size_t total = 0;
        while (into.size() > 0 && !over_) {
            std::size_t n = 0;
            ERR_clear_error();
            const int r = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
            total += n;
            into += n;
            if (r == 1) {
                continue;
            }
            const int why = SSL_get_error(ssl_.get(), r);
            if (why == SSL_ERROR_WANT_READ) {
                break;
            }
            over_ = why == SSL_ERROR_ZERO_RETURN
                        ? error_code(asio::error::eof)
                        : error_code(classify_failure(found_, has_certificate_, false, words_));
        }
        if (total == 0) {
            ec = over_;
        }
        heard_ = heard_ || total > 0;
        return total;
    }

    bool encrypt(asio::const_buffer piece, error_code& ec)
    {
        std::size_t n = 0;
        ERR_clear_error();
        if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &n) != 1) {
            ec = classify_failure(found_, has_certificate_, false, words_);
            return false;
        }
        return collect_output();
    }

    /// An error of the stream below. A server that insists on a client certificate says so when our
    /// side of a TLS 1.3 handshake is done, and a reset may overtake its words.
    error_code translated(const error_code& ec) const
    {
        if (is_reset(ec) && !heard_ && found_.was_asked && !has_certificate_) {
            return tls_errc::client_certificate_wanted;
        }
        return ec;
    }

private:
    bool has_certificate_;
    bool heard_ = false;  // the server has sent something that was inside
    findings found_;
    std::unique_ptr<stream> below_;
    ssl_ptr ssl_;
    std::string sending_;
    std::vector<char> received_ = std::vector<char>(first_read);
    error_code over_;  // how reading ended
    std::string words_;
};

using connection_ptr = std::shared_ptr<connection>;

}  // namespace coati::tls_detail
