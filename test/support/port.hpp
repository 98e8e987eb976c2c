// Free loopback ports for servers that are killed and started again on the same port.
//
// They are taken from below the kernel's ephemeral range on purpose. A client that reconnects in a
// loop to a closed port *inside* that range ends up, sooner or later, connected to itself (its own
// source port is the destination: a simultaneous open), and any outgoing connection can take the
// port of a server that is down for a moment. Both look like a bug of the client under test.

#pragma once

#include <cstdint>

namespace coati::test {

// Owns a file descriptor.
class unique_fd {
public:
    explicit unique_fd(int fd = -1) noexcept : fd_(fd) {}
    ~unique_fd() { reset(); }
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept
    {
        reset(other.release());
        return *this;
    }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int release() noexcept
    {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset(int fd = -1) noexcept;

private:
    int fd_;
};

// A port that nobody else gets while this object lives (bound, not listening).
class held_port {
public:
    held_port();  // throws std::system_error when no port is free

    std::uint16_t number() const noexcept { return number_; }
    void release() noexcept { socket_.reset(); }

private:
    unique_fd socket_;
    std::uint16_t number_ = 0;
};

// A server that comes back shares its port with what is left of its old connections (TIME_WAIT).
// That allowance, SO_REUSEADDR, also lets two sockets bind one port as long as neither listens.
enum class sharing { none, allowed };

// A bound loopback TCP socket (port 0: any); an empty one when the port is taken.
unique_fd bind_loopback(std::uint16_t port, sharing with_time_wait = sharing::allowed);

// Connects within the given time; an empty descriptor when refused or too late.
unique_fd connect_loopback(std::uint16_t port, int timeout_ms);

}  // namespace coati::test
