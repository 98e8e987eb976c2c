// The other side of TLS connections in tests: a listener by Asio's own TLS, so that the code under
// test is not judged by itself.
#pragma once

#include "support/certificates.hpp"
#include "transport_relay.hpp"

#include <coati/transport.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <memory>
#include <string>
#include <utility>

namespace coati::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class tls_server_stream final : public stream {
public:
    tls_server_stream(tcp::socket socket, asio::ssl::context& context)
        : tls(std::move(socket), context)
    {
    }

    void read_some(asio::mutable_buffer into, transport_handler<std::size_t> handler) override
    {
        const auto end_as_eof = [](auto next, error_code ec, std::size_t n) {
            std::move(next)(ec == asio::ssl::error::stream_truncated ? asio::error::eof : ec, n);
        };
        tls.async_read_some(into, detail::relay{end_as_eof, std::move(handler)});
    }
    void write(asio::const_buffer all, transport_handler<std::size_t> handler) override
    {
        asio::async_write(tls, all, std::move(handler));
    }

    asio::ssl::stream<tcp::socket> tls;
};

class tls_listener final : public listener {
public:
    tls_listener(asio::io_context& on, const certificate_files& identity)
        : acceptor_(on, tcp::endpoint(asio::ip::address_v4::loopback(), 0))
    {
        context.use_certificate_chain_file(identity.certificate);
        context.use_private_key_file(identity.key, asio::ssl::context::pem);
        SSL_CTX_set_tlsext_servername_arg(context.native_handle(), this);
        SSL_CTX_set_tlsext_servername_callback(context.native_handle(), &tls_listener::on_name);
    }

    endpoint local() const override { return {"127.0.0.1", acceptor_.local_endpoint().port(), {}}; }
    /// Where it listens, reached by this name.
    endpoint as(std::string host) const { return {"127.0.0.1", local().port, std::move(host)}; }

    void accept(transport_handler<std::unique_ptr<stream>> handler) override
    {
        auto shake_hands = [this](auto next, error_code ec, tcp::socket socket) {
            if (ec) {
                std::move(next)(ec, std::unique_ptr<stream>());
                return;
            }
            auto made = std::make_unique<tls_server_stream>(std::move(socket), context);
            auto& tls = made->tls;
            auto finish = [kept = std::move(made)](auto last, error_code failed) mutable {
                if (failed) {
                    kept.reset();
                }
                std::move(last)(failed, std::unique_ptr<stream>(std::move(kept)));
            };
            tls.async_handshake(asio::ssl::stream_base::server,
                                detail::relay{std::move(finish), std::move(next)});
        };
        acceptor_.async_accept(detail::relay{shake_hands, std::move(handler)});
    }

    asio::ssl::context context{asio::ssl::context::tls_server};
    int connections = 0;
    std::string asked_for;  // the name that the last client sent; "-": none

private:
    static int on_name(SSL* ssl, int*, void* self)
    {
        auto& server = *static_cast<tls_listener*>(self);
        const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        server.asked_for = name == nullptr ? "-" : name;
        ++server.connections;
        return SSL_TLSEXT_ERR_OK;
    }

    tcp::acceptor acceptor_;
};

}  // namespace coati::test
