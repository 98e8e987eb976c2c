#include "byte_proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>

namespace coati::test {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t max_queued = 4 << 20;  // beyond it the sender feels the back-pressure
constexpr std::array both{direction::to_server, direction::to_client};

std::size_t index(direction d)
{
    return static_cast<std::size_t>(d);
}

direction other(direction d)
{
    return d == direction::to_server ? direction::to_client : direction::to_server;
}

void set_no_delay(int fd)
{
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// Reads away what is there: closing a socket with unread bytes sends RST instead of FIN.
void drain(int fd)
{
    char buffer[16'384];
    while (::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0) {}
}

}  // namespace

byte_proxy::byte_proxy(std::uint16_t target_port) : target_(target_port)
{
    held_port port;
    port_ = port.number();
    port.release();
    listen_again();
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_)
        throw std::system_error(errno, std::generic_category(), "eventfd");
    thread_ = std::thread([this] { run(); });
}

byte_proxy::~byte_proxy()
{
    change([this] { stopping_ = true; });
    thread_.join();
}

// ---- the hand on the wires

void byte_proxy::wake() const
{
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

template <class Change>
void byte_proxy::change(Change make)
{
    std::unique_lock lock(mutex_);
    ++changing_;
    wake();
    turn_.wait(lock, [this] { return !polling_; });
    --changing_;
    turn_.notify_all();
    make();
}

std::string byte_proxy::connect_string() const
{
    return "127.0.0.1:" + std::to_string(port_);
}

void byte_proxy::retarget(std::uint16_t port)
{
    change([&] { target_ = port; });
}

void byte_proxy::stall(direction d)
{
    change([&] { stalled_[index(d)] = true; });
}

void byte_proxy::unstall(direction d)
{
    change([&] { stalled_[index(d)] = false; });
}

void byte_proxy::cut()
{
    change([&] {
        accept_all();  // a client in the backlog believes that it is connected
        for (const auto& l : links_)
            close_link(*l, ending::fin);
    });
}

void byte_proxy::reset()
{
    change([&] {
        accept_all();  // a client in the backlog believes that it is connected
        for (const auto& l : links_)
            close_link(*l, ending::rst);
    });
}

void byte_proxy::half_close(direction d)
{
    change([&] {
        for (const auto& l : links_) {
            lane& way = l->lanes[index(d)];
            if (!l->receiver[index(d)] || way.closed)
                continue;
            ::shutdown(l->receiver[index(d)].get(), SHUT_WR);
            way.closed = true;
            way.waiting.clear();
        }
    });
}

void byte_proxy::refuse(bool on)
{
    change([&] {
        if (on)
            listener_.reset();
        else if (!listener_)
            listen_again();
    });
}

void byte_proxy::accept_then_close(bool on)
{
    change([&] { close_at_once_ = on; });
}

void byte_proxy::cut_after(direction d, std::size_t n)
{
    change([&] { cut_next_after_[index(d)] = n; });
}

void byte_proxy::delay(direction d, std::chrono::milliseconds by)
{
    change([&] { delay_[index(d)] = by; });
}

void byte_proxy::split(std::size_t n, std::chrono::microseconds pause)
{
    change([&] {
        piece_ = n;
        piece_pause_ = pause;
    });
}

std::size_t byte_proxy::connections() const
{
    const std::lock_guard lock(mutex_);
    return captured_.size();
}

std::size_t byte_proxy::open_connections() const
{
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(links_.begin(), links_.end(), [](const auto& l) {
        return l->receiver[0] && l->receiver[1];
    }));
}

std::uint64_t byte_proxy::bytes(direction d) const
{
    const std::lock_guard lock(mutex_);
    return bytes_[index(d)];
}

std::string byte_proxy::captured(direction d) const
{
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const auto& connection : captured_)
        all += connection[index(d)];
    return all;
}

std::string byte_proxy::captured(direction d, std::size_t connection) const
{
    const std::lock_guard lock(mutex_);
    return captured_.at(connection)[index(d)];
}

// ---- the thread

void byte_proxy::listen_again()
{
    listener_ = bind_loopback(port_);
    if (!listener_ || ::listen(listener_.get(), 64) != 0)
        throw std::system_error(EADDRINUSE, std::generic_category(), "byte_proxy: port taken");
    ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
}

void byte_proxy::run()
{
    std::unique_lock lock(mutex_);
    std::vector<pollfd> fds;
    while (!stopping_) {
        std::erase_if(links_, [](const auto& l) { return !l->receiver[0]; });
        fds.assign(1, pollfd{wake_.get(), POLLIN, 0});
        if (listener_)
            fds.push_back({listener_.get(), POLLIN, 0});
        std::optional<time_point> due;
        for (const auto& l : links_) {
            for (const direction d : both) {
                // The sender of d is the receiver of the other direction.
                short sender = can_read(*l, d) ? POLLIN : 0;
                if (d == direction::to_client && l->connecting)
                    sender = POLLOUT;
                const std::optional<time_point> next = next_due(*l, d);
                if (next && *next <= steady_clock::now())
                    fds.push_back({l->receiver[index(d)].get(), POLLOUT, 0});
                else if (next)
                    due = std::min(due.value_or(*next), *next);
                if (sender != 0)
                    fds.push_back({l->receiver[index(other(d))].get(), sender, 0});
            }
        }
        timespec timeout{};
        if (due) {
            const auto left = std::max(*due - steady_clock::now(), steady_clock::duration(0));
            timeout.tv_sec = std::chrono::floor<std::chrono::seconds>(left).count();
            timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
        }
        polling_ = true;
        lock.unlock();
        ::ppoll(fds.data(), fds.size(), due ? &timeout : nullptr, nullptr);
        lock.lock();
        polling_ = false;
        turn_.notify_all();
        turn_.wait(lock, [this] { return changing_ == 0; });
        std::uint64_t count = 0;
        [[maybe_unused]] const auto woken = ::read(wake_.get(), &count, sizeof count);
        // Every call below is non-blocking, so who was ready need not be looked up.
        accept_all();
        const time_point now = steady_clock::now();
        for (const auto& l : links_)
            step(*l, now);
    }
    for (const auto& l : links_)
        close_link(*l, ending::fin);
}

void byte_proxy::accept_all()
{
    while (listener_) {
        unique_fd client(
            ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!client)
            return;
        connect_onwards(std::move(client));
    }
}

void byte_proxy::connect_onwards(unique_fd client)
{
    auto fresh = std::make_unique<link>();
    fresh->number = captured_.size();
    captured_.emplace_back();
    if (close_at_once_)
        return;
    set_no_delay(client.get());
    unique_fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    set_no_delay(server.get());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(target_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
        return;  // closes the client's side, as a server that is gone would
    fresh->receiver[index(direction::to_server)] = std::move(server);
    fresh->receiver[index(direction::to_client)] = std::move(client);
    for (const direction d : both)
        fresh->lanes[index(d)].left = std::exchange(cut_next_after_[index(d)], std::nullopt);
    links_.push_back(std::move(fresh));
}

void byte_proxy::step(link& l, time_point now)
{
    if (!l.receiver[0])
        return;
    if (l.connecting) {
        pollfd server{l.receiver[index(direction::to_server)].get(), POLLOUT, 0};
        if (::poll(&server, 1, 0) == 0)
            return;
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(server.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            return close_link(l, ending::fin);
        l.connecting = false;
    }
    for (const direction d : both) {
        if (can_read(l, d))
            read_from_sender(l, d, now);
        while (l.receiver[0] && write_to_receiver(l, d, now)) {}
        if (!l.receiver[0])
            return;
        lane& way = l.lanes[index(d)];
        if (way.left == 0U)
            return close_link(l, ending::fin);
        if (way.sender_done && way.waiting.empty() && !way.closed) {
            ::shutdown(l.receiver[index(d)].get(), SHUT_WR);
            way.closed = true;
        }
    }
    if (l.lanes[0].sender_done && l.lanes[1].sender_done && l.lanes[0].closed && l.lanes[1].closed)
        close_link(l, ending::fin);
}

bool byte_proxy::can_read(const link& l, direction d) const
{
    const lane& way = l.lanes[index(d)];
    return l.receiver[0] && !l.connecting && !stalled_[index(d)] && !way.sender_done &&
           way.queued < max_queued;
}

void byte_proxy::read_from_sender(link& l, direction d, time_point now)
{
    char buffer[65'536];
    const int sender = l.receiver[index(other(d))].get();
    const ssize_t got = ::recv(sender, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    lane& way = l.lanes[index(d)];
    if (got < 0) {  // a reset goes through as a reset
        close_link(l, ending::rst);
    } else if (got == 0) {
        way.sender_done = true;
    } else {
        const std::string_view data(buffer, static_cast<std::size_t>(got));
        captured_[l.number][index(d)] += data;
        if (way.closed)
            return;
        way.waiting.push_back({now + delay_[index(d)], std::string(data)});
        way.queued += data.size();
    }
}

std::optional<byte_proxy::time_point> byte_proxy::next_due(const link& l, direction d) const
{
    const lane& way = l.lanes[index(d)];
    if (!l.receiver[0] || l.connecting || way.closed || way.waiting.empty() || stalled_[index(d)])
        return std::nullopt;
    return std::max(way.waiting.front().due, way.next_piece);
}

// Forwards one piece; whether it is worth trying the next at once.
bool byte_proxy::write_to_receiver(link& l, direction d, time_point now)
{
    const std::optional<time_point> due = next_due(l, d);
    if (!due || *due > now)
        return false;
    lane& way = l.lanes[index(d)];
    std::string& data = way.waiting.front().data;
    std::size_t size = data.size();
    if (piece_ != 0)
        size = std::min(size, piece_);
    if (way.left)
        size = std::min(size, *way.left);
    if (size == 0)
        return false;
    const ssize_t put =
        ::send(l.receiver[index(d)].get(), data.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) {
        if (errno != EAGAIN && errno != EINTR)
            close_link(l, ending::rst);
        return false;
    }
    const auto written = static_cast<std::size_t>(put);
    bytes_[index(d)] += written;
    way.queued -= written;
    if (way.left)
        *way.left -= written;
    data.erase(0, written);
    if (data.empty())
        way.waiting.pop_front();
    if (piece_ != 0)
        way.next_piece = now + piece_pause_;
    return piece_ == 0;
}

void byte_proxy::close_link(link& l, ending how)
{
    for (unique_fd& fd : l.receiver) {
        if (!fd)
            continue;
        if (how == ending::rst) {
            const linger none{1, 0};
            ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        } else {
            ::shutdown(fd.get(), SHUT_WR);
            drain(fd.get());
        }
        fd.reset();
    }
}

}  // namespace coati::test
