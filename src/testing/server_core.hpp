// The inside of the scripted ensemble: what its servers share, one server, one connection.
//
// Ownership goes down: ensemble <- server -> connection -> stream. Handlers keep their connection
// alive and find the server by a weak pointer. One thread; no operation is started while a stream
// of the same connection is being closed. What operations mean is the model's business
// (model/*.hpp). Private to src/testing.
#pragma once

#include "model/serving.hpp"

#include <coati/testing/scripted_server.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>
#include <deque>
#include <map>

namespace coati::testing {

class server_connection;

struct server_session {
    std::string password{};
    std::chrono::milliseconds timeout{};
    time_point expires{};
    /// Only the server that made it knows it; see also `home`.
    bool is_local = false;
    const server_core* home = nullptr;
    std::weak_ptr<server_connection> owner{};  ///< The newest connection.
};

/// Who waits for a transaction: nobody, where it comes from the ensemble itself.
struct ticket {
    std::weak_ptr<server_connection> from{};
    std::int32_t xid = 0;
};

/// One wake-up at a time, for whoever has to look again later.
class alarm {
public:
    /// Calls `what` at `when`, unless it is set anew before. `never` only takes it back.
    void set(ensemble_core& in, time_point when, std::function<void()> what);
    time_point when() const noexcept { return when_; }

private:
    time_point when_ = never;
    std::shared_ptr<std::uint64_t> number_ = std::make_shared<std::uint64_t>(0);
    boost::asio::cancellation_signal cancel_;
};

class ensemble_core : public std::enable_shared_from_this<ensemble_core> {
public:
    ensemble_core(std::shared_ptr<transport> t, boost::asio::any_io_executor e, ensemble_options o);

    // --- sessions (scripted_ensemble.cpp) --------------------------------------------------------

    std::chrono::milliseconds negotiate(std::int32_t asked_ms) const;
    std::int64_t open_session(std::chrono::milliseconds timeout, const server_core& home);
    /// Something was received: its life begins anew.
    void touch(std::int64_t session);
    void expire(std::int64_t session);
    /// Whether a connection, or what was one, has the session.
    bool is_owner(std::int64_t session, const std::weak_ptr<server_connection>& who) const;
    /// Those that a server has made while it had no leader.
    void forget_local_sessions(const server_core& of);
    /// No transaction: nobody but its server knew it.
    void forget(std::int64_t session) { sessions.erase(session); }

    // --- transactions ----------------------------------------------------------------------------

    /// Gives it its number and its time, and has every server apply it.
    outcome submit(transaction t, const ticket& who = {});
    /// What is asked of the whole ensemble, without a number: an answer in the order of commits.
    void pass_through(transaction t, const ticket& who);
    std::int64_t now_ms() const;

    // --- the quorum (scripted_quorum.cpp) --------------------------------------------------------

    void has_quorum(bool yes);
    void add(const std::shared_ptr<server_core>& server);
    /// Something has changed about a server: who leads now, who follows?
    void look_again();
    bool can_commit(const server_core& from) const;
    std::string_view role_of(const server_core& server) const;
    std::vector<std::shared_ptr<server_core>> live_servers() const;

    std::shared_ptr<transport> time;
    boost::asio::any_io_executor ex;
    ensemble_options options;
    /// The state after the last transaction. Servers that are in step with it have no other.
    std::shared_ptr<server_state> head;
    std::int64_t next_session;
    bool quorum = true;
    std::map<std::int64_t, server_session> sessions;
    std::vector<std::weak_ptr<server_core>> servers;
    std::weak_ptr<server_core> leader;

private:
    /// A transaction, or what stands in their order, on its way to all servers.
    struct delivery {
        transaction t;
        outcome done;
        ticket who;
    };

    void deliver(delivery what);
    void watch_deadlines();
    void end_overdue();
    void watch_mortals();
    void end_mortals();
    void close_session(std::int64_t session);

    bool is_present(const server_core& s) const;
    bool is_reachable(const server_core& s) const;
    bool is_majority(bool (ensemble_core::*test)(const server_core&) const) const;
    /// There is a leader, and it reaches a majority.
    bool is_leading() const;
    void lose_leader();
    void elect();
    void restart_clocks();

    alarm deadlines_;
    alarm mortals_;
    alarm quorum_check_;
    alarm election_;
    bool is_electing_ = false;
    std::deque<delivery> deliveries_;
    bool is_delivering_ = false;
};

class server_core : public std::enable_shared_from_this<server_core> {
public:
    server_core(std::shared_ptr<ensemble_core> e, scripted_server::listen_function l, endpoint a,
                bool observer)
        : ensemble(std::move(e)), listen(std::move(l)), at(std::move(a)), copy(ensemble->head),
          is_observer(observer)
    {
    }

    // --- the process (scripted_server.cpp) -------------------------------------------------------

    void start();
    void stop();
    void drop_connections();
    void set_paused(bool yes);
    void set_isolated(bool yes);
    void release();
    bool is_alive() const noexcept { return listening != nullptr; }

    // --- its copy (scripted_replica.cpp) ---------------------------------------------------------

    void set_lag(duration by);
    /// A transaction has got its place in the order; `done` is what came of it at the head.
    void learn(const transaction& t, const outcome& done, const ticket& who);
    /// On behalf of one of its connections: at once, or once there is a quorum to ask.
    void ask(transaction t, ticket who);
    /// Catches up and serves.
    void join();
    /// Has no leader: clients are sent away.
    void leave();
    bool serves() const noexcept { return ensemble->quorum && has_leader; }
    /// Whether it may be asked at all: by clients that content themselves with reading, too.
    bool takes(bool read_only) const
    {
        return serves() || (read_only && ensemble->options.read_only_mode);
    }

    std::shared_ptr<ensemble_core> ensemble;
    scripted_server::listen_function listen;
    endpoint at;
    std::unique_ptr<listener> listening;
    std::map<std::uint64_t, std::shared_ptr<server_connection>> connections;
    std::uint64_t last_connection = 0;
    std::vector<request_record> log;
    scripted_server::frame_hook hook;
    std::shared_ptr<server_state> copy;  // the ensemble's head, while in step
    bool is_observer = false;
    bool has_leader = true;
    bool paused = false;
    bool isolated = false;
    time_point out_of_reach_since{};  // of paused and isolated
    bool closes_on_accept = false;

private:
    /// Learned, not applied yet.
    struct late {
        transaction t;
        ticket who;
        time_point due;
    };

    void accept();
    void accepted(std::unique_ptr<stream> s);
    void finish(const outcome& done, const transaction& t, const ticket& who);
    void catch_up();
    bool is_in_step() const { return copy == ensemble->head; }
    void fall_behind();
    void get_lost(bool is_lost_already);

    std::uint64_t generation_ = 0;  // counts up with every stop: late completions are old then
    duration lag_{};
    std::deque<late> behind_;
    std::deque<late> unasked_;
    alarm catching_up_;
};

/// One connection: frames in, frames out, each past the script.
class server_connection : public std::enable_shared_from_this<server_connection> {
public:
    server_connection(const std::shared_ptr<server_core>& server, std::uint64_t number,
                      std::unique_ptr<stream> s)
        : server_(server), number_(number), stream_(std::move(s))
    {
    }

    /// Goes on with whatever can be done: reads, processes, writes.
    void go_on();
    void release();
    void send_raw(std::string bytes);
    /// Nothing more is read, processed or written.
    void close();
    bool closed() const noexcept { return closing_; }

    /// A transaction of this connection is done.
    void finish(const outcome& done, const transaction& t, std::int32_t xid);
    /// Tells what it has watched of these changes.
    void hear(const std::vector<change>& changes, std::int64_t zxid);
    std::size_t watches() const { return peer_.watches.size(); }
    std::int64_t session() const noexcept { return peer_.session; }
    const server_core* server() const { return server_.lock().get(); }

private:
    struct item {
        std::string bytes{};  // of a request: the payload
        bool held = false;
        bool then_close = false;
        time_point not_before{};
        std::optional<std::int32_t> answer{};  // the script's, in place of the server's
    };

    // --- bytes and the script (server_connection.cpp)

    void read();
    void on_read(boost::system::error_code ec, std::size_t n);
    void split_frames();
    void split_all();
    bool answer_word(std::string_view word);
    void receive(std::string_view payload);
    void process_all();
    void write();
    void on_written(boost::system::error_code ec);
    /// False while the first one waits (for release or its time).
    bool ready(std::deque<item>& queue);
    /// What the script makes of it; false: nothing is left of it.
    bool ask_script(const frame_view& view, item& what);
    void record(const wire::request_header& header, std::string_view payload);
    /// A complete frame; `op` and `path` are for the script.
    void send(std::string frame, wire::op_code op, std::int32_t xid, std::string_view path = {});
    /// Behind everything that waits to be written.
    void close_when_sent();
    void let_go();

    // --- what it says (server_dialogue.cpp)

    /// False: it has to wait until an earlier one is done.
    bool may_process(const item& next) const;
    void process(const item& next);
    void shake_hands(std::string_view payload);
    void take_session(const wire::connect_request& request);
    void welcome();
    void refuse_session();
    void execute(const wire::request_header& header, std::string_view body);
    void ask(const wire::request_header& header, std::string_view body);
    void answer(const wire::request_header& header, std::int32_t err, std::int64_t zxid,
                std::string_view body = {});
    void send_event(const event& what);
    /// Whether the session is still this connection's.
    bool owns_session() const;
    bool upgrade_session();
    ensemble_core& ensemble() const { return *server_.lock()->ensemble; }

    std::weak_ptr<server_core> server_;
    std::uint64_t number_;
    std::shared_ptr<stream> stream_;
    peer peer_;
    std::size_t unfinished_ = 0;  // transactions asked for
    std::array<char, 65536> chunk_{};
    std::string received_;
    std::deque<item> in_;
    std::deque<item> out_;
    std::string writing_;
    bool has_flag_ = true;  // its ConnectRequest had the read-only flag, so the answer has it
    bool established_ = false;
    bool seen_handshake_ = false;
    bool reading_ = false;
    bool is_writing_ = false;
    bool processing_ = false;
    bool splitting_ = false;
    bool closes_when_done_ = false;  // once nothing is unfinished
    bool closing_ = false;
    bool last_written_ = false;  // what is being written is the end
    time_point alarm_ = never;
    boost::asio::cancellation_signal cancel_read_;
    boost::asio::cancellation_signal cancel_write_;
};

/// What a four-letter word is answered with; nothing for a word that is none.
std::optional<std::string> word_answer(const server_core& server, std::string_view word);

}  // namespace coati::testing
