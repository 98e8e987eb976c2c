// coati::testing::world: time, randomness, names and a network, simulated on one thread. The same
// seed gives the same run, to the nanosecond.
//
// Owns every handler that waits in it; knows nothing of ZooKeeper (see scripted_server.hpp for
// that) and has no socket and no timer inside.
#pragma once

#include <coati/clock.hpp>
#include <coati/transport.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace coati::testing {

class world_state;

/// One simulated connection, from the moment the server side has it.
struct connection {
    std::uint64_t id = 0;  ///< Counts up from 1 in the order of connecting.
    endpoint server;       ///< What the client connected to.
    std::string host{};    ///< Where the client runs: what its `make_transport` was given.

    friend bool operator==(const connection&, const connection&) = default;
};

/// The way that bytes travel on a connection.
enum class direction : std::uint8_t { to_server, to_client };

/// What a host that thaws is told first of all that has become due while it was frozen.
enum class wake_order : std::uint8_t {
    network_first,  ///< As epoll: ready sockets, then expired timers. A deadline comes last.
    timers_first,   ///< Deadlines before the answers that came in time for them.
};

/// A coroutine that `world::spawn` has started. Copies mean the same one; it does not need any.
class task {
public:
    /// It has ended, in whichever way.
    bool done() const noexcept { return state_->done; }
    /// Asks it to end: what it awaits completes with operation_aborted, as far as that can be
    /// cancelled.
    void cancel()
    {
        state_->cancelled = true;
        if (state_->begun) {  // Asio 1.83 must not find it in front of the first step
            state_->signal.emit(boost::asio::cancellation_type::terminal);
        }
    }

private:
    friend class world;
    struct state {
        bool done = false;
        bool begun = false;
        bool cancelled = false;  // then operation_aborted is what it may end by
        boost::asio::cancellation_signal signal;
    };
    std::shared_ptr<state> state_ = std::make_shared<state>();
};

/// A world of its own: virtual time on one thread.
///
/// User code in the simulation sleeps by `zk.sleep_for`, or by `sleep_for` of the world: a
/// `steady_timer` of its own never fires here, and a socket of its own never connects, since nobody
/// waits for the real ones. Nothing happens by itself either: `run_for`, `run_until` and
/// `run_until_idle` run all handlers that are ready, then let the clock jump to the earliest of the
/// timers and network events, ordered by time and then by the order in which they were asked for.
///
/// One thread only. An exception that leaves a handler leaves the `run_...` function. Handlers that
/// still wait when the world is destroyed die with it, uncalled; streams, listeners and transports
/// may outlive it and do nothing then.
class world {
public:
    /// What happens differs with the seed where it is left open: `random()`, and the fragments of
    /// `fragment_reads`.
    explicit world(std::uint64_t seed = 1);
    ~world();
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    /// The context that everything runs in. Do not run it yourself.
    boost::asio::io_context& context() noexcept;
    /// Its executor, which is serial.
    boost::asio::any_io_executor get_executor() noexcept;
    /// As many as you like: they all lead into this world. `host` names the machine that its user
    /// runs on, for `separate`; the names mean nothing else, and have nothing to do with
    /// `add_name`.
    std::shared_ptr<transport> make_transport(std::string host = {});
    /// Runs a coroutine of yours in the world. An exception that leaves it leaves the `run_...`
    /// function that is running then.
    task spawn(boost::asio::awaitable<void> coroutine);
    /// What your coroutines sleep by. Cancelled, it throws operation_aborted.
    boost::asio::awaitable<void> sleep_for(duration d);

    /// Virtual time; it stands still but for the functions below.
    time_point now() const noexcept;
    /// 64 bits of the seed's sequence.
    std::uint64_t random() noexcept;

    // --- time ------------------------------------------------------------------------------------

    /// Lets `d` pass. The clock stands exactly `d` later afterwards.
    void run_for(duration d);
    /// Runs until the predicate holds, which is asked after every handler. False when `limit` has
    /// passed first, or as soon as nothing is left to do (`stuck()`): nobody would ever wake up.
    bool run_until(const std::function<bool()>& predicate, duration limit);
    /// Runs until no handler is ready and nothing is scheduled. With a live session there is always
    /// something scheduled (pings, its expiry): use `run_for` or `run_until` there.
    void run_until_idle();
    /// Runs what is ready now; the clock stands still.
    void settle();
    /// No timer and no network event is scheduled. (Waits that nothing will end are not counted.)
    bool stuck() const noexcept;
    /// A hash of everything that has happened: times, connections, bytes, random numbers.
    std::uint64_t trace_hash() const noexcept;

    // --- servers and names -----------------------------------------------------------------------

    /// Is given the server's side of a connection.
    using acceptor = std::function<void(std::unique_ptr<stream>)>;
    /// Every new connection to `at` is handed to `accept`. Port 0 picks one.
    endpoint listen(endpoint at, acceptor accept);
    /// A listener in the form of transport.hpp; destroying it stops listening.
    std::unique_ptr<listener> listen(endpoint at);
    /// Nobody listens there any more. Established connections stay.
    void unlisten(const endpoint& at);

    /// Connecting to `at` is refused (the default where nobody listens).
    void refuse(const endpoint& at);
    /// Connecting to `at` never completes. Established connections stay: `stall` those.
    void black_hole(const endpoint& at);
    /// Undoes `refuse` and `black_hole`.
    void allow(const endpoint& at);

    /// `host` resolves to these numeric addresses, in this order. Replaces an earlier entry.
    void add_name(const std::string& host, std::vector<std::string> addresses);
    /// `host` is not found any more.
    void remove_name(const std::string& host);
    /// Looking up `host` takes this long; `duration::max()` is for ever.
    void slow_name(const std::string& host, duration takes);

    // --- the network -----------------------------------------------------------------------------

    /// One way, for all connections to `server` from now on and those that exist. 0.1 ms by
    /// default.
    void latency(const endpoint& server, duration one_way);
    /// Whatever is sent takes up to so much longer, by chance; the order of bytes stays.
    void jitter(duration up_to);
    /// Every read gets a random part of what is there, at least one byte.
    void fragment_reads(bool on);
    /// Bytes that a direction takes before its reader has read them: a write completes when the
    /// last byte is taken. 256 KiB by default; for connections made from now on.
    void send_window(std::size_t bytes);

    /// A partition: nothing passes between that host and that server any more. Nobody is told: what
    /// is sent is kept, also the end of a connection, and attempts to connect never complete.
    void separate(const std::string& host, const endpoint& server);
    /// The same, from all servers.
    void separate(const std::string& host);
    /// The same, of that server from all hosts.
    void separate(const endpoint& server);
    /// Ends every partition. What was kept arrives now.
    void rejoin();
    /// Ends those of this host.
    void rejoin(const std::string& host);
    /// Ends those of this server.
    void rejoin(const endpoint& server);

    /// The process on that host stands still, as under SIGSTOP, in a pause of its garbage collector
    /// or on a suspended machine, while time goes on for everybody else: of what its transports
    /// were asked for (`make_transport(host)`: timers, reads, writes, connections, look-ups)
    /// nothing completes, and nothing new leaves it. Its kernel goes on: it takes what arrives into
    /// the window, acknowledges connections and keeps their endings. Who cancels from outside gets
    /// through, so that it can be killed. `sleep_for` of this class belongs to no host. Called in a
    /// handler: what is ready to run at this instant still runs.
    void freeze(const std::string& host);
    /// The same for so long; of a host that is frozen already, from now on for so long.
    void freeze(const std::string& host, duration d, wake_order order = wake_order::network_first);
    /// It goes on: with all that has become due meanwhile, at once. On the network that is one read
    /// of each connection in the order of their numbers, then connections and look-ups in the order
    /// of their completion; timers in the order of their deadlines. Nothing if it is not frozen.
    void thaw(const std::string& host, wake_order order = wake_order::network_first);

    /// Live connections, oldest first.
    std::vector<connection> connections() const;
    /// Called for every new connection before a byte has passed: the place for `cut_after`.
    void on_connection(std::function<void(const connection&)> hook);
    /// The number of connections ever made to `server`.
    std::size_t connection_count(const endpoint& server) const;

    /// The connection is gone now: what is under way is lost, each side reads what has arrived,
    /// then EOF, and its writes fail (broken_pipe).
    void cut(std::uint64_t connection_id);
    /// The same of every live connection.
    void cut_all();
    /// As `cut`, but what has arrived is lost as well and reads fail with connection_reset.
    void reset(std::uint64_t connection_id);
    /// The reader of this direction gets EOF after everything under way; the other one goes on.
    void half_close(std::uint64_t connection_id, direction which);
    /// Bytes of this direction stop arriving (they are kept), until `unstall`.
    void stall(std::uint64_t connection_id, direction which);
    /// What was kept arrives now.
    void unstall(std::uint64_t connection_id, direction which);
    /// The write that brings the bytes of this direction, counted from now, to `n` completes with
    /// connection_reset and the count of its own bytes up to there (all of them, if it ends there).
    /// These bytes still arrive, unless `lost`; then both sides find the connection broken.
    void cut_after(std::uint64_t connection_id, direction which, std::size_t n, bool lost = false);

private:
    static boost::asio::awaitable<void> begin(std::shared_ptr<task::state> of,
                                              boost::asio::awaitable<void> body);

    std::shared_ptr<world_state> state_;
    std::unique_ptr<boost::asio::io_context> context_;
};

}  // namespace coati::testing
