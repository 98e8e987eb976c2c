// Floor 2: the seam between the client and the world. Time, randomness, names and connections come
// through here, so that a client and the application on it also run deterministically in virtual
// time.
//
// Knows Asio, knows nothing of ZooKeeper. Implementations: make_tcp_transport (src/tcp.cpp),
// make_tls_transport over another one (coati/tls.hpp), the simulated one (coati/testing/world.hpp).
//
// The contract of every asynchronous function here:
//  - it never completes inside the call that started it;
//  - it completes on the handler's associated executor;
//  - it honours the handler's cancellation slot (any type) and then completes with
//  operation_aborted;
//  - the caller keeps the object and the buffers alive until completion;
//  - a parked handler dies with its execution context, uncalled.
#pragma once

#include <coati/clock.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coati {

/// What an asynchronous function of this file completes: `void(error_code, T...)`.
template <class... T>
using transport_handler =
    boost::asio::any_completion_handler<void(boost::system::error_code, T...)>;

/// An address to connect to. Our own type: a simulated world has no sockets.
struct endpoint {
    endpoint() = default;
    /// An address, and the name it was resolved from if there was one.
    endpoint(std::string numeric_address, std::uint16_t which_port, std::string name = {})
        : address(std::move(numeric_address)), port(which_port), host(std::move(name))
    {
    }

    std::string address;     ///< Numeric: "127.0.0.1", "::1", without brackets.
    std::uint16_t port = 0;  ///< Of TCP.
    std::string host;        ///< The name it was resolved from, for TLS and for messages.

    friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// "127.0.0.1:2181", "[::1]:2181".
std::string to_string(const endpoint& e);

/// One connection. Destroying it closes it. At most one read and one write outstanding.
class stream {
public:
    virtual ~stream() = default;

    /// Completes with at least one byte, or an error (eof when the peer has closed).
    virtual void read_some(boost::asio::mutable_buffer into,
                           transport_handler<std::size_t> handler) = 0;

    /// Writes all of it. The count is the bytes handed to the kernel, also on failure: the border
    /// between a request that may have been executed and one that cannot have been. Where that is
    /// not known to the byte (TLS), the count is rather too high.
    virtual void write(boost::asio::const_buffer all, transport_handler<std::size_t> handler) = 0;
};

/// Where connections, names, time and randomness come from. Outlives every stream and handler.
class transport {
public:
    virtual ~transport() = default;

    /// The time by this transport's clock.
    virtual time_point now() const = 0;
    /// 64 random bits.
    virtual std::uint64_t random() = 0;
    /// Completes at `when`, at once if that is over.
    virtual void sleep_until(time_point when, transport_handler<> handler) = 0;

    /// All addresses of a name. A literal address comes back at once, without a resolver.
    virtual void resolve(std::string host, std::uint16_t port,
                         transport_handler<std::vector<endpoint>> handler) = 0;
    /// Completes with a connection that is ready for bytes, or the reason why there is none.
    virtual void connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler) = 0;

    /// What is known of the last failed `connect` to this address beyond its error code, for the
    /// text of `client::last_attempts()`: one line. Empty: nothing.
    virtual std::string explain(const endpoint&) const { return {}; }
};

/// Accepts connections; what a server in the same process listens with.
class listener {
public:
    virtual ~listener() = default;
    /// Where it listens, with the port that was picked.
    virtual endpoint local() const = 0;
    /// Completes with the next connection.
    virtual void accept(transport_handler<std::unique_ptr<stream>> handler) = 0;
};

/// The system's TCP (TCP_NODELAY), its resolver and clocks. Work runs on `ex`'s context.
std::shared_ptr<transport> make_tcp_transport(boost::asio::any_io_executor ex);

/// A TCP listener on an address of this machine; port 0 picks a free one. Throws system_error.
std::unique_ptr<listener> make_tcp_listener(boost::asio::any_io_executor ex, const endpoint& at);

}  // namespace coati
