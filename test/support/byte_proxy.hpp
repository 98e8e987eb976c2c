// A TCP proxy on loopback between a client and a server, with a hand on every wire.
//
// One thread, one poll() loop, no knowledge of what passes. Each call below has taken effect when
// it returns, and holds for the connections that exist as well as for later ones unless it says
// otherwise. Everything is safe to call from any thread.

#pragma once

#include "port.hpp"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace coati::test {

enum class direction { to_server, to_client };

class byte_proxy {
public:
    explicit byte_proxy(std::uint16_t target_port);
    ~byte_proxy();
    byte_proxy(const byte_proxy&) = delete;
    byte_proxy& operator=(const byte_proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string connect_string() const;  // "127.0.0.1:port"
    void retarget(std::uint16_t port);   // later connections only

    // Silence: nothing is read from the sender until unstall, so its window fills in the end.
    void stall(direction d);
    void unstall(direction d);

    // The end of every connection there is.
    void cut();                    // close both sides: FIN
    void reset();                  // close both sides: RST
    void half_close(direction d);  // FIN to the receiver of d; the other direction goes on

    void refuse(bool on);             // connection refused
    void accept_then_close(bool on);  // what a server does above maxClientCnxns

    // The next connection forwards exactly n bytes in this direction, then is cut.
    void cut_after(direction d, std::size_t n);
    void delay(direction d, std::chrono::milliseconds by);
    // Forwards at most n bytes at a time with a pause between, so that they arrive in pieces;
    // 0 ends it.
    void split(std::size_t n, std::chrono::microseconds pause = std::chrono::microseconds(200));

    std::size_t connections() const;         // accepted so far
    std::size_t open_connections() const;    // not closed yet
    std::uint64_t bytes(direction d) const;  // forwarded so far
    // What the sender sent, all connections one after the other, or of one of them (from 0). More
    // than was forwarded when the connection was cut.
    std::string captured(direction d) const;
    std::string captured(direction d, std::size_t connection) const;

private:
    using time_point = std::chrono::steady_clock::time_point;

    struct chunk {
        time_point due;
        std::string data;
    };
    struct lane {  // one direction of one connection
        std::deque<chunk> waiting;
        std::size_t queued = 0;
        time_point next_piece{};          // of a split
        std::optional<std::size_t> left;  // of cut_after
        bool sender_done = false;
        bool closed = false;  // the receiver got its FIN
    };
    struct link {
        std::size_t number = 0;
        std::array<unique_fd, 2> receiver;  // by direction: to_server -> the server's socket
        std::array<lane, 2> lanes;
        bool connecting = true;
    };
    enum class ending { fin, rst };

    void run();
    void listen_again();
    void accept_all();
    void connect_onwards(unique_fd client);
    void step(link& l, time_point now);
    void read_from_sender(link& l, direction d, time_point now);
    bool write_to_receiver(link& l, direction d, time_point now);
    bool can_read(const link& l, direction d) const;
    std::optional<time_point> next_due(const link& l, direction d) const;
    void close_link(link& l, ending how);
    void wake() const;
    template <class Change>
    void change(Change make);

    // The thread holds the mutex but for the time it spends in poll(), and whoever changes anything
    // first has it out of there: a socket that is closed while somebody polls it lives on, and
    // keeps listening, until that poll() returns.
    mutable std::mutex mutex_;
    std::condition_variable turn_;
    bool polling_ = false;
    int changing_ = 0;
    bool stopping_ = false;
    std::uint16_t port_ = 0;
    std::uint16_t target_ = 0;
    unique_fd listener_;
    unique_fd wake_;
    bool close_at_once_ = false;
    std::array<bool, 2> stalled_{};
    std::array<std::chrono::milliseconds, 2> delay_{};
    std::array<std::optional<std::size_t>, 2> cut_next_after_;
    std::size_t piece_ = 0;
    std::chrono::microseconds piece_pause_{};
    std::array<std::uint64_t, 2> bytes_{};
    std::vector<std::array<std::string, 2>> captured_;  // by connection
    std::vector<std::unique_ptr<link>> links_;
    std::thread thread_;
};

}  // namespace coati::test
