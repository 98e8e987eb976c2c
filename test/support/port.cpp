#include "port.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <random>
#include <system_error>

namespace coati::test {

namespace {

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

const sockaddr* generic(const sockaddr_in& address)
{
    return reinterpret_cast<const sockaddr*>(&address);
}

// The first port that outgoing connections may take as their own.
int first_ephemeral_port()
{
    std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
    int low = 0;
    return range >> low ? low : 32768;
}

constexpr int lowest_port = 10'000;

}  // namespace

void unique_fd::reset(int fd) noexcept
{
    if (fd_ >= 0)
        ::close(fd_);
    fd_ = fd;
}

unique_fd bind_loopback(std::uint16_t port, sharing with_time_wait)
{
    unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd)
        throw std::system_error(errno, std::generic_category(), "socket");
    const int reuse = with_time_wait == sharing::allowed;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    const sockaddr_in address = loopback(port);
    if (::bind(fd.get(), generic(address), sizeof address) != 0)
        return unique_fd();
    return fd;
}

held_port::held_port()
{
    const int end = first_ephemeral_port();
    std::random_device random;
    for (int attempt = 0; attempt < 1'000 && !socket_; ++attempt) {
        // An unusually wide ephemeral range leaves nothing below it: then any port will do.
        std::uint16_t wanted = 0;
        if (end > lowest_port + 1'000)
            wanted = static_cast<std::uint16_t>(
                std::uniform_int_distribution<int>(lowest_port, end - 1)(random));
        socket_ = bind_loopback(wanted, sharing::none);
    }
    if (!socket_)
        throw std::system_error(EADDRINUSE, std::generic_category(), "no free loopback port");
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    number_ = ntohs(address.sin_port);
}

unique_fd connect_loopback(std::uint16_t port, int timeout_ms)
{
    unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in address = loopback(port);
    if (::connect(fd.get(), generic(address), sizeof address) != 0) {
        if (errno != EINPROGRESS)
            return unique_fd();
        pollfd waiting{fd.get(), POLLOUT, 0};
        if (::poll(&waiting, 1, timeout_ms) <= 0)
            return unique_fd();
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            return unique_fd();
    }
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
    return fd;
}

}  // namespace coati::test
