// The inside of the scripted ensemble: sessions, servers, connections.
//
// Ownership goes down: ensemble <- server -> connection -> stream. Handlers keep their connection
// alive and find the server by a weak pointer. One thread; no operation is started while a stream
// of the same connection is being closed. Private to src/testing.
#pragma once

#include "znode_tree.hpp"

#include <coati/testing/scripted_server.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/server_version.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>
#include <deque>
#include <map>

namespace coati::testing {

class server_connection;

struct server_session {
    std::string password;
    std::chrono::milliseconds timeout{};
    time_point expires;
    bool is_local = false;  ///< Made without a quorum: one server knows it, as long as that lasts.
    std::weak_ptr<server_connection> owner;  ///< The newest connection.
};

class ensemble_core : public std::enable_shared_from_this<ensemble_core> {
public:
    ensemble_core(std::shared_ptr<transport> t, boost::asio::any_io_executor e, ensemble_options o)
        : time(std::move(t)), ex(std::move(e)), options(std::move(o)), version(version_of(options)),
          next_session(options.first_session_id)
    {
    }

    std::chrono::milliseconds negotiate(std::int32_t asked_ms) const;
    std::int64_t open_session(std::chrono::milliseconds timeout);
    /// Something was received: its life begins anew.
    void touch(std::int64_t session);
    /// Ephemerals go, watches fire. The connection is the caller's business.
    void end_session(std::int64_t session);
    void expire(std::int64_t session);
    void has_quorum(bool yes);

    /// A new transaction: its number and its time.
    writing begin_write(std::int64_t session);
    /// Tells every watch of every server.
    void publish(const writing& w);
    bool is_39() const { return version >= wire::server_version(3, 9, 0); }

    std::shared_ptr<transport> time;
    boost::asio::any_io_executor ex;
    ensemble_options options;
    wire::server_version version;
    znode_tree tree;
    std::int64_t zxid = 0;
    std::int64_t next_session;
    bool quorum = true;
    std::map<std::int64_t, server_session> sessions;
    std::vector<std::weak_ptr<server_core>> servers;

private:
    static wire::server_version version_of(const ensemble_options& o);
    void arm();
    void wake();

    time_point armed_ = never;
    std::uint64_t arm_number_ = 0;
    boost::asio::cancellation_signal cancel_;
};

/// The watches of one connection, as a server keeps them: two managers, for data and for children,
/// each with the modes of a path. Before 3.9 a path has one mode a manager, the last that was set
/// (ZOOKEEPER-4466); later each mode is a watch of its own.
class watch_tables {
public:
    enum mode : unsigned { standard = 1, persistent = 2, recursive = 4, all = 7 };

    void add_data(std::string_view path, bool is_39) { set(data_, path, standard, is_39); }
    void add_child(std::string_view path, bool is_39) { set(child_, path, standard, is_39); }
    void add_persistent(std::string_view path, bool is_39);
    void add_recursive(std::string_view path, bool is_39);

    bool has_data(std::string_view path, unsigned modes) const { return has(data_, path, modes); }
    bool has_child(std::string_view path, unsigned modes) const { return has(child_, path, modes); }
    void remove_data(std::string_view path, unsigned modes) { remove(data_, path, modes); }
    void remove_child(std::string_view path, unsigned modes) { remove(child_, path, modes); }

    /// Whether the connection hears of what happened to the path; one-shot watches are gone then.
    bool fire_data(std::string_view path) { return fire(data_, path, true); }
    bool fire_child(std::string_view path, bool is_children_event)
    {
        return fire(child_, path, !is_children_event);
    }

    std::size_t size() const;

private:
    using table = std::map<std::string, unsigned, std::less<>>;

    static void set(table& in, std::string_view path, mode m, bool is_39);
    static bool has(const table& in, std::string_view path, unsigned modes);
    static void remove(table& in, std::string_view path, unsigned modes);
    static bool fire(table& in, std::string_view path, bool reaches_recursive);

    table data_;  // data and exist: servers do not tell them apart
    table child_;
};

class server_core : public std::enable_shared_from_this<server_core> {
public:
    server_core(std::shared_ptr<ensemble_core> e, scripted_server::listen_function l, endpoint a)
        : ensemble(std::move(e)), listen(std::move(l)), at(std::move(a))
    {
    }

    void start();
    void stop();
    void drop_connections();
    void set_paused(bool yes);
    void release();
    void publish(const writing& w);

    std::shared_ptr<ensemble_core> ensemble;
    scripted_server::listen_function listen;
    endpoint at;
    std::unique_ptr<listener> listening;
    std::map<std::uint64_t, std::shared_ptr<server_connection>> connections;
    std::uint64_t last_connection = 0;
    std::vector<request_record> log;
    scripted_server::frame_hook hook;
    bool paused = false;
    bool closes_on_accept = false;

private:
    void accept();
    void accepted(std::unique_ptr<stream> s);

    std::uint64_t generation_ =
        0;  // counts up with every stop: late completions find themselves old
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

    // --- for the operations (server_operations.cpp) ----------------------------------------------

    /// A complete frame; `op` and `path` are for the script.
    void send(std::string frame, wire::op_code op, std::int32_t xid, std::string_view path = {});
    void send_event(event_type type, std::string_view path, std::int64_t zxid);
    /// Behind everything that waits to be written.
    void close_when_sent();
    /// False once the session has moved to a connection of another server.
    bool owns_session();
    void notify(const change& what, std::int64_t zxid);
    ensemble_core& ensemble();

    std::int64_t session = 0;
    watch_tables watches;
    std::vector<std::pair<std::string, std::string>> identities{{"ip", "127.0.0.1"}};

private:
    struct item {
        std::string bytes;  // of a request: the payload
        bool held = false;
        bool then_close = false;
        time_point not_before{};
    };

    void read();
    void on_read(boost::system::error_code ec, std::size_t n);
    void split_frames();
    void receive(std::string_view payload);
    void process_all();
    void process(std::string_view payload);
    void shake_hands(std::string_view payload);
    void refuse_session(bool with_flag);
    void answer_word(std::string_view word);
    void write();
    void on_written(boost::system::error_code ec);
    /// False while the first one waits (for release or its time).
    bool ready(std::deque<item>& queue);
    /// What the script makes of it; false: nothing is left of it.
    bool ask_script(const frame_view& view, item& what);
    void record(const wire::request_header& header, std::string_view payload);
    void let_go();

    std::weak_ptr<server_core> server_;
    std::uint64_t number_;
    std::shared_ptr<stream> stream_;
    std::array<char, 65536> chunk_{};
    std::string received_;
    std::deque<item> in_;
    std::deque<item> out_;
    std::string writing_;
    bool established_ = false;
    bool seen_handshake_ = false;
    bool reading_ = false;
    bool is_writing_ = false;
    bool processing_ = false;
    bool closing_ = false;
    bool last_written_ = false;  // what is being written is the end
    time_point alarm_ = never;
    boost::asio::cancellation_signal cancel_read_;
    boost::asio::cancellation_signal cancel_write_;
};

/// Executes one request and sends the answer (server_operations.cpp).
void execute(server_connection& on, std::string_view payload);

/// The path of a request, for records and scripts: empty where it has none.
std::string_view path_of(wire::op_code op, std::string_view body);

}  // namespace coati::testing
