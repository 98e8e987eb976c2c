// Floor 2 over the system: TCP, its resolver, its clock and its randomness.
//
// Owns the contract of transport.hpp for real sockets: handlers are erased before they get here, so
// cancellation slots are always taken from the erased handler (one that belonged to the original
// would be overwritten by the erasure). Knows nothing of ZooKeeper, and is the only file that opens
// sockets, makes timers or seeds a generator.
#include "transport_relay.hpp"

#include <coati/transport.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <ctime>
#include <random>
#include <utility>

namespace coati::tcp_detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using detail::any_cancellation;
using detail::relay;

time_point system_now()
{
#ifdef CLOCK_BOOTTIME
    // Runs through suspend, which CLOCK_MONOTONIC (and so steady_clock) does not: after a resume a
    // client must not believe that its session is as young as before.
    std::timespec t{};
    if (::clock_gettime(CLOCK_BOOTTIME, &t) == 0) {
        return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
    }
#endif
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
}

class socket_stream final : public stream {
public:
    explicit socket_stream(tcp::socket socket) : socket_(std::move(socket)) {}

    /// Best effort: a connection works without either option.
    void prepare()
    {
        error_code ignored;
        socket_.set_option(tcp::no_delay(true), ignored);
        socket_.non_blocking(true, ignored);
    }

    tcp::socket& socket() noexcept { return socket_; }

    void read_some(asio::mutable_buffer into, transport_handler<std::size_t> handler) override
    {
        socket_.async_read_some(into, std::move(handler));
    }

    /// Nearly every write fits into the socket's buffer: it is tried at once, and only the rest of
    /// one that does not fit becomes an operation.
    void write(asio::const_buffer all, transport_handler<std::size_t> handler) override
    {
        error_code ec;
        const std::size_t n = socket_.write_some(all, ec);
        if (ec == asio::error::would_block || ec == asio::error::try_again) {
            ec = {};
        }
        if (ec || n == all.size()) {
            asio::post(socket_.get_executor(), asio::append(std::move(handler), ec, n));
            return;
        }
        const auto slot = asio::get_associated_cancellation_slot(handler);
        go_on(rest{this, all + n, n, asio::cancellation_state(slot, any_cancellation{})},
              std::move(handler));
    }

private:
    /// What is left of a write. The state remembers a cancellation that falls between two pieces,
    /// and lets every type of it through, which asio::async_write would not.
    struct rest {
        socket_stream* self;
        asio::const_buffer bytes;
        std::size_t done;
        asio::cancellation_state cancellation;

        void operator()(transport_handler<std::size_t> handler, error_code ec, std::size_t n) &&
        {
            done += n;
            bytes += n;
            if (!ec && bytes.size() > 0 &&
                cancellation.cancelled() != asio::cancellation_type::none) {
                ec = asio::error::operation_aborted;
            }
            if (ec || bytes.size() == 0) {
                std::move(handler)(ec, done);
            } else {
                socket_stream* const stream = self;
                stream->go_on(std::move(*this), std::move(handler));
            }
        }
    };

    void go_on(rest what, transport_handler<std::size_t> handler)
    {
        const asio::const_buffer bytes = what.bytes;
        const auto slot = what.cancellation.slot();
        socket_.async_write_some(
            bytes, asio::bind_cancellation_slot(slot, relay{std::move(what), std::move(handler)}));
    }

    tcp::socket socket_;
};

/// One look-up of a name. Asio asks getaddrinfo in a thread of its own, which cannot be stopped; so
/// the handler belongs to whoever is first, the answer or the cancellation, and the loser finds
/// nothing. They may run on different threads.
class lookup : public std::enable_shared_from_this<lookup> {
public:
    lookup(const asio::any_io_executor& ex, std::string host,
           transport_handler<std::vector<endpoint>> handler)
        : resolver_(ex), host_(std::move(host)), handler_(std::move(handler))
    {
    }

    void start(std::uint16_t port)
    {
        auto slot = asio::get_associated_cancellation_slot(handler_);
        if (slot.is_connected()) {
            slot.assign([weak = weak_from_this()](asio::cancellation_type) {
                if (const auto self = weak.lock()) {
                    self->resolver_.cancel();
                    self->finish(asio::error::operation_aborted, {});
                }
            });
        }
        resolver_.async_resolve(
            host_, std::to_string(port), tcp::resolver::numeric_service,
            [self = shared_from_this()](error_code ec, const tcp::resolver::results_type& found) {
                self->finish(ec, found);
            });
    }

private:
    void finish(error_code ec, const tcp::resolver::results_type& found)
    {
        if (finished_.exchange(true)) {
            return;
        }
        std::vector<endpoint> all;
        for (const auto& entry : found) {
            const auto at = entry.endpoint();
            all.push_back({at.address().to_string(), at.port(), host_});
        }
        if (!ec && all.empty()) {
            ec = asio::error::host_not_found;
        }
        asio::post(resolver_.get_executor(), asio::append(std::move(handler_), ec, std::move(all)));
    }

    tcp::resolver resolver_;
    std::string host_;
    transport_handler<std::vector<endpoint>> handler_;
    std::atomic<bool> finished_{false};
};

class tcp_transport final : public transport {
public:
    explicit tcp_transport(asio::any_io_executor ex) : ex_(std::move(ex))
    {
        std::random_device device;
        random_ = (std::uint64_t{device()} << 32U) ^ device();
    }

    time_point now() const override { return system_now(); }

    /// SplitMix64: one atomic addition, so clients on several threads may share a transport.
    std::uint64_t random() override
    {
        std::uint64_t z = random_.fetch_add(0x9e3779b97f4a7c15U) + 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

    void sleep_until(time_point when, transport_handler<> handler) override
    {
        auto owned = std::make_unique<asio::steady_timer>(ex_);
        asio::steady_timer& timer = *owned;
        const time_point start = now();
        if (when == never) {
            timer.expires_at(asio::steady_timer::time_point::max());
        } else {
            timer.expires_after(when > start ? when - start : duration::zero());
        }
        timer.async_wait(asio::consign(std::move(handler), std::move(owned)));
    }

    void resolve(std::string host, std::uint16_t port,
                 transport_handler<std::vector<endpoint>> handler) override
    {
        error_code not_literal;
        const auto address = asio::ip::make_address(host, not_literal);
        if (not_literal) {
            std::make_shared<lookup>(ex_, std::move(host), std::move(handler))->start(port);
            return;
        }
        std::vector<endpoint> all;
        all.push_back({address.to_string(), port, std::move(host)});
        asio::post(ex_, asio::append(std::move(handler), error_code(), std::move(all)));
    }

    void connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler) override
    {
        error_code ec;
        const tcp::endpoint at(asio::ip::make_address(to.address, ec), to.port);
        auto made = std::make_unique<socket_stream>(tcp::socket(ex_));
        tcp::socket& socket = made->socket();
        if (!ec) {
            socket.open(at.protocol(), ec);
        }
        if (ec) {
            asio::post(ex_, asio::append(std::move(handler), ec, std::unique_ptr<stream>()));
            return;
        }
        socket.async_connect(at, relay{connected{std::move(made)}, std::move(handler)});
    }

private:
    struct connected {
        std::unique_ptr<socket_stream> made;

        void operator()(transport_handler<std::unique_ptr<stream>> handler, error_code ec) &&
        {
            // A port of the ephemeral range that nobody listens on can connect to itself.
            if (error_code local, remote;
                !ec &&
                made->socket().local_endpoint(local) == made->socket().remote_endpoint(remote) &&
                !local && !remote) {
                ec = asio::error::connection_refused;
            }
            if (ec) {
                made.reset();
            } else {
                made->prepare();
            }
            std::move(handler)(ec, std::move(made));
        }
    };

    asio::any_io_executor ex_;
    std::atomic<std::uint64_t> random_;
};

class tcp_listener final : public listener {
public:
    tcp_listener(const asio::any_io_executor& ex, const endpoint& at)
        : acceptor_(ex, tcp::endpoint(asio::ip::make_address(at.address), at.port))
    {
    }

    endpoint local() const override
    {
        const auto at = acceptor_.local_endpoint();
        return {at.address().to_string(), at.port(), {}};
    }

    void accept(transport_handler<std::unique_ptr<stream>> handler) override
    {
        acceptor_.async_accept(relay{accepted{}, std::move(handler)});
    }

private:
    struct accepted {
        void operator()(transport_handler<std::unique_ptr<stream>> handler, error_code ec,
                        tcp::socket socket) &&
        {
            std::unique_ptr<socket_stream> made;
            if (!ec) {
                made = std::make_unique<socket_stream>(std::move(socket));
                made->prepare();
            }
            std::move(handler)(ec, std::move(made));
        }
    };

    tcp::acceptor acceptor_;  // its constructor sets SO_REUSEADDR
};

}  // namespace coati::tcp_detail

namespace coati {

std::string to_string(const endpoint& e)
{
    const bool v6 = e.address.find(':') != std::string::npos;
    return (v6 ? "[" + e.address + "]:" : e.address + ":") + std::to_string(e.port);
}

std::shared_ptr<transport> make_tcp_transport(boost::asio::any_io_executor ex)
{
    return std::make_shared<tcp_detail::tcp_transport>(std::move(ex));
}

std::unique_ptr<listener> make_tcp_listener(boost::asio::any_io_executor ex, const endpoint& at)
{
    return std::make_unique<tcp_detail::tcp_listener>(std::move(ex), at);
}

}  // namespace coati
