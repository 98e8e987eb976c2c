// The inside of coati::testing::world: the agenda, the waiting handlers, the network.
//
// Owns every waiting handler, in one table by number; everything else refers to them by number, so
// there is one place to cancel them and one to drop them. Pointers go down only: stream -> state
// and connection; what is in here never keeps the state itself alive. Private to src/testing.
#pragma once

#include <coati/testing/world.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace coati::testing {

using boost::system::error_code;

/// When, and the number of the request: what is asked for first happens first.
using agenda_key = std::pair<time_point, std::uint64_t>;

/// Where somebody may listen.
using place = std::pair<std::string, std::uint16_t>;

inline place place_of(const endpoint& e)
{
    return {e.address, e.port};
}

/// A handler that waits in the world.
struct waiting {
    virtual ~waiting() = default;
    virtual void abort(world_state& state) = 0;
    std::optional<agenda_key> scheduled;  ///< The event that will end the wait, if there is one.
    std::function<void()> due;            ///< What ends it, held back since its host is frozen.
};

template <class... T>
struct waiting_for final : waiting {
    transport_handler<T...> handler;
    std::tuple<T...> on_abort;  ///< What goes with operation_aborted: the bytes written so far.

    void abort(world_state& state) override;
};

/// One direction of a connection, from its writer to its reader.
struct way {
    struct segment {
        std::string bytes;
        bool end = false;
    };

    std::string arrived;  // for the reader, from read_position on
    std::size_t read_position = 0;
    std::deque<segment> held;  // arrived while stalled
    bool stalled = false;
    bool ended = false;   // EOF has arrived
    bool ending = false;  // EOF is under way: no more writes
    bool reader_gone = false;
    error_code read_error;
    error_code write_error;
    std::uint64_t reader = 0;  // numbers of waiting handlers
    std::uint64_t writer = 0;
    boost::asio::mutable_buffer into;
    boost::asio::const_buffer rest;
    std::size_t done = 0;
    std::size_t outstanding = 0;  // taken from the writer and not yet read
    time_point last_arrival{};
    std::optional<std::size_t> limit;  // of cut_after
    bool lose = false;

    std::size_t unread() const noexcept { return arrived.size() - read_position; }
};

/// A connection: ways[0] is written by the client (direction::to_server), ways[1] by the server.
struct link {
    std::uint64_t id = 0;
    endpoint server;
    std::string host;
    bool separated = false;  // by a partition: everything is held
    duration latency{};
    std::size_t window = 0;
    bool dead = false;
    std::array<bool, 2> closed{};
    std::array<way, 2> ways;
};

using link_ptr = std::shared_ptr<link>;

/// Somebody who listens: a function, or a listener with its backlog.
struct port {
    world::acceptor accept;
    std::uint64_t accepting = 0;
    std::deque<std::unique_ptr<stream>> backlog;
};

/// A host that stands still, and what waits for it.
struct frozen_host {
    std::uint64_t since = 0;  ///< Number of the freeze, so that its end does not end another one.
    std::map<std::uint64_t, link_ptr> links;  ///< By number; may be dead already.
    std::vector<std::uint64_t> network;       ///< Numbers of waiting handlers.
    std::vector<std::uint64_t> timers;
};

/// What kind of thing has become due.
enum class due : std::uint8_t { network, timer };

class world_state : public std::enable_shared_from_this<world_state> {
public:
    world_state(boost::asio::io_context& context, std::uint64_t seed)
        : context_(context), random_(seed)
    {
    }

    // --- handlers --------------------------------------------------------------------------------

    /// Never inline: by way of the context to the handler's own executor.
    template <class... T>
    void complete(transport_handler<T...> handler, error_code ec, T... results)
    {
        if (!shut_) {
            boost::asio::post(context_.get_executor(),
                              boost::asio::append(std::move(handler), ec, std::move(results)...));
        }
    }

    /// Keeps the handler; its cancellation slot ends the wait with `on_abort`.
    template <class... T>
    std::uint64_t park(transport_handler<T...> handler, T... on_abort)
    {
        if (shut_) {
            return 0;
        }
        const std::uint64_t id = ++last_id_;
        auto op = std::make_unique<waiting_for<T...>>();
        op->handler = std::move(handler);
        op->on_abort = std::tuple<T...>(std::move(on_abort)...);
        auto slot = boost::asio::get_associated_cancellation_slot(op->handler);
        waiting_.emplace(id, std::move(op));
        if (slot.is_connected()) {
            slot.assign([weak = weak_from_this(), id](boost::asio::cancellation_type) {
                if (const auto self = weak.lock()) {
                    self->abort(id);
                }
            });
        }
        return id;
    }

    /// Ends a wait. Nothing happens when it has been cancelled meanwhile.
    template <class... T>
    void finish(std::uint64_t id, error_code ec, T... results)
    {
        if (const auto op = take(id)) {
            auto& typed = static_cast<waiting_for<T...>&>(*op);
            complete(std::move(typed.handler), ec, std::move(results)...);
        }
    }

    bool is_waiting(std::uint64_t id) const { return id != 0 && waiting_.contains(id); }
    void abort(std::uint64_t id);
    /// Drops everything that waits, uncalled.
    void shutdown();

    // --- time and chance -------------------------------------------------------------------------

    time_point now() const noexcept { return now_; }
    std::uint64_t random() noexcept;
    void note(std::uint64_t what) noexcept;
    void note_bytes(const char* data, std::size_t size) noexcept;
    std::uint64_t hash() const noexcept { return hash_; }

    void schedule(time_point when, std::function<void()> what, std::uint64_t id = 0);
    /// The next event, if it is not after `limit`.
    bool advance(time_point limit);
    bool run_one();
    bool stuck() const noexcept { return agenda_.empty(); }
    void jump(time_point when) noexcept { now_ = when; }
    time_point after(duration d) const noexcept;

    // --- names and places ------------------------------------------------------------------------

    /// For a host, or for nobody.
    void sleep_until(time_point when, const std::optional<std::string>& host,
                     transport_handler<> handler);
    void resolve(std::string name, std::uint16_t port_number, std::string host,
                 transport_handler<std::vector<endpoint>> handler);
    void connect(endpoint to, std::string host, transport_handler<std::unique_ptr<stream>> handler);
    std::shared_ptr<port> open_port(endpoint& at);
    void hand_over(port& to, std::unique_ptr<stream> server_side);

    struct name_entry {
        std::optional<std::vector<std::string>> addresses;
        duration takes{100'000};
    };
    std::map<std::string, name_entry> names;
    std::map<place, std::shared_ptr<port>> ports;
    std::map<place, duration> latencies;
    std::map<place, std::size_t> connection_counts;
    std::set<place> refused;
    std::set<place> holes;
    /// Who is separated from whom: nothing stands for everybody.
    using partition = std::pair<std::optional<std::string>, std::optional<place>>;
    std::set<partition> partitions;
    bool is_separated(const std::string& host, const place& server) const;
    /// After `partitions` has changed.
    void part_and_join();

    void freeze(const std::string& host, std::optional<duration> d, wake_order order);
    void thaw(const std::string& host, wake_order order);
    /// Ends a wait of that host by calling `what`: now, or when it thaws.
    void deliver(const std::string& host, due kind, std::uint64_t id, std::function<void()> what);
    bool is_frozen(const std::string& host) const
    {
        return !frozen_.empty() && frozen_.contains(host);
    }

    duration jitter{};
    bool fragments = false;
    std::size_t window = 256 * 1024;
    std::function<void(const connection&)> hook;

    // --- connections (world_network.cpp) ---------------------------------------------------------

    std::map<std::uint64_t, link_ptr> wires;

    void read(const link_ptr& w, std::size_t side, boost::asio::mutable_buffer into,
              transport_handler<std::size_t> handler);
    void write(const link_ptr& w, std::size_t side, boost::asio::const_buffer all,
               transport_handler<std::size_t> handler);
    void close(const link_ptr& w, std::size_t side);
    void break_wire(const link_ptr& w, error_code read_error, bool drop_arrived);
    void end_way(const link_ptr& w, std::size_t side);
    void release(const link_ptr& w, std::size_t side);

private:
    std::unique_ptr<waiting> take(std::uint64_t id);
    void arrive_at_server(endpoint to, std::string host, std::uint64_t id);
    std::size_t take_bytes(const link_ptr& w, std::size_t side, boost::asio::const_buffer from);
    void send(const link_ptr& w, std::size_t side, way::segment what);
    void arrive(const link_ptr& w, std::size_t side, way::segment what);
    void refuse_bytes(const link_ptr& w, std::size_t side);
    std::size_t give_bytes(const link_ptr& w, std::size_t side, boost::asio::mutable_buffer into);
    /// Whether who waits on a side of it is frozen; then it is woken when it thaws.
    bool holds_back(const link_ptr& w, std::size_t side);
    void wake_reader(const link_ptr& w, std::size_t side);
    void wake_writer(const link_ptr& w, std::size_t side);
    void cross_limit(const link_ptr& w, std::size_t side);

    boost::asio::io_context& context_;
    bool shut_ = false;
    time_point now_{std::chrono::hours(1)};  // not 0: an empty time_point must not look like now
    std::uint64_t random_;
    std::uint64_t hash_ = 0xcbf29ce484222325U;
    std::uint64_t last_id_ = 0;
    std::uint64_t last_event_ = 0;
    std::uint64_t last_wire_ = 0;
    std::uint64_t last_freeze_ = 0;
    std::map<std::string, frozen_host> frozen_;
    std::uint16_t last_port_ = 20'000;
    std::map<agenda_key, std::function<void()>> agenda_;
    std::unordered_map<std::uint64_t, std::unique_ptr<waiting>> waiting_;
};

template <class... T>
void waiting_for<T...>::abort(world_state& state)
{
    std::apply(
        [&](T&... results) {
            state.complete(std::move(handler), error_code(boost::asio::error::operation_aborted),
                           std::move(results)...);
        },
        on_abort);
}

/// One end of a connection.
class world_stream final : public stream {
public:
    world_stream(std::shared_ptr<world_state> state, link_ptr w, std::size_t side)
        : state_(std::move(state)), wire_(std::move(w)), side_(side)
    {
    }
    ~world_stream() override { state_->close(wire_, side_); }
    world_stream(const world_stream&) = delete;
    world_stream& operator=(const world_stream&) = delete;

    void read_some(boost::asio::mutable_buffer into,
                   transport_handler<std::size_t> handler) override
    {
        state_->read(wire_, 1 - side_, into, std::move(handler));
    }
    void write(boost::asio::const_buffer all, transport_handler<std::size_t> handler) override
    {
        state_->write(wire_, side_, all, std::move(handler));
    }

private:
    std::shared_ptr<world_state> state_;
    link_ptr wire_;
    std::size_t side_;  // 0 client, 1 server: the index of the way it writes
};

}  // namespace coati::testing
