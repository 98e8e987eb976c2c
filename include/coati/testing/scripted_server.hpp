// coati::testing: a small ZooKeeper ensemble in memory, whose servers can be told to misbehave.
//
// Speaks the wire protocol (coati/wire) over the listeners and streams of transport.hpp, so it runs
// in a simulated world as well as over real TCP. Shares nothing with the client but the wire
// records: sessions, tree and watches are its own.
#pragma once

#include <coati/clock.hpp>
#include <coati/errc.hpp>
#include <coati/transport.hpp>
#include <coati/wire/op_code.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

class world;
class ensemble_core;
class server_core;

/// What differs between ensembles.
struct ensemble_options {
    /// What clients ask for is raised to this.
    std::chrono::milliseconds min_session_timeout{4'000};
    /// And lowered to this.
    std::chrono::milliseconds max_session_timeout{40'000};
    /// Sessions end on a multiple of this, the first behind their timeout, as servers do it to
    /// have few moments to look at. 0: exactly at their timeout.
    std::chrono::milliseconds tick{0};
    /// As `srvr` says it. An operation of a later release is answered by unimplemented (-6) and the
    /// end of the connection. Below 3.9: events carry zxid -1, create2 inside a multi answers as
    /// create, removing persistent watches by their own type fails, a path has one watch mode
    /// a connection, the last that was set (ZOOKEEPER-4466), and `exists` asks for no permission.
    /// Three numbers, or the ensemble throws std::invalid_argument.
    std::string version = "3.9.3";
    /// Whether `srvr`, `isro` and `ruok` are answered; without: as by a server whose whitelist of
    /// such commands is empty.
    bool four_letter_words = true;
    bool extended_types = true;  ///< TTL znodes; without: unimplemented (-6), connection usable.
    /// How often containers and TTL znodes are looked at that have outlived their use.
    std::chrono::milliseconds container_check{60'000};
    /// Bytes of a request, without its length. A longer one ends the connection.
    std::size_t max_request = 1'048'575;
    /// `super:` and a hash, as `acl::digest(...).id` has it: who authenticates so may do
    /// everything.
    std::string super_digest{};
    /// Whether events of znodes that a session may not read are kept from it. By default as of
    /// `version`: since 3.8.4 and 3.9.2.
    std::optional<bool> hides_events{};
    /// Without a quorum servers take sessions of clients that allow it, for reading; they last
    /// until there is a quorum again. Without: nobody is served then.
    bool read_only_mode = false;
    /// A new session is known to its server alone, and expired to all others.
    bool local_sessions = false;
    /// The first ephemeral makes a local session known to all. Without: that create fails (-120).
    bool local_session_upgrading = true;
    /// Servers need each other: a majority of voters, and a leader among them. Whoever is cut off
    /// from it sends its clients away after `peer_timeout`; so do all when the leader is lost,
    /// until the next one has been elected. Without: every server serves, whatever happens to
    /// others.
    bool elections = false;
    /// How long servers wait for each other before they give up.
    std::chrono::milliseconds peer_timeout{2'000};
    /// From the loss of a leader to the next one.
    std::chrono::milliseconds election_time{200};
    /// Of the first session; the others count up from it.
    std::int64_t first_session_id = 0x100000000000001;
};

/// A session as the ensemble sees it.
struct session_info {
    std::int64_t id = 0;                  ///< As the client was told.
    std::string password;                 ///< 16 bytes.
    std::chrono::milliseconds timeout{};  ///< As it was granted.
    time_point expires;                   ///< If nothing is received before.
};

/// What its servers have in common: sessions, the tree, zxids. Replication takes no time, but where
/// a server is told to lag. Everything runs on one thread (`ex` is serial); the streams and the
/// transport may be anyone's.
class scripted_ensemble {
public:
    /// In any world: `time` tells the time, and everything runs on `ex`.
    scripted_ensemble(std::shared_ptr<transport> time, boost::asio::any_io_executor ex,
                      ensemble_options options = {});
    /// In a simulated world: its transport and its context.
    explicit scripted_ensemble(world& in, ensemble_options options = {});
    ~scripted_ensemble();
    scripted_ensemble(const scripted_ensemble&) = delete;
    scripted_ensemble& operator=(const scripted_ensemble&) = delete;

    /// Ends the session as its deadline would: ephemerals go, watches fire, its connection is
    /// closed.
    void expire(std::int64_t session_id);
    /// Every session that has not ended.
    std::vector<session_info> sessions() const;
    /// Without a quorum servers accept, and hang up on the first bytes (but see read_only_mode);
    /// sessions do not age. Every change of this cuts all connections, as an election does. On top
    /// of what `elections` says.
    void has_quorum(bool yes);
    /// Where the leader listens; nothing while there is none. Without `elections` the first server.
    std::optional<endpoint> leader() const;

    /// That of the last write.
    std::int64_t zxid() const;
    /// As a restored back-up would have it: clients that have seen more are turned away.
    void set_zxid(std::int64_t zxid);

    /// Somebody else's doing: creates (with parents) or sets a znode, and fires watches.
    void put(std::string_view path, std::string_view data);
    /// Somebody else's delete. False where there is none, or it has children.
    bool remove(std::string_view path);
    /// The data of a znode; nothing where there is none.
    std::optional<std::string> data(std::string_view path) const;
    /// Whether there is such a znode.
    bool exists(std::string_view path) const;
    /// Names of the children, sorted.
    std::vector<std::string> children(std::string_view path) const;
    /// 0 for a znode that is not ephemeral, or is not there.
    std::int64_t ephemeral_owner(std::string_view path) const;

private:
    friend class scripted_server;
    std::shared_ptr<ensemble_core> core_;
};

/// One frame on its way, for `scripted_server::on_frame`.
struct frame_view {
    /// From the client, or to it.
    enum class way : std::uint8_t { request, reply };

    way direction = way::request;  ///< Events are replies.
    std::uint64_t connection = 0;  ///< Of this server, from 1.
    bool handshake = false;        ///< ConnectRequest or ConnectResponse: no xid and no op.
    std::int32_t xid = 0;          ///< -1: an event.
    /// Of a reply: of the request it answers. `notification` for events and handshakes.
    wire::op_code op = wire::op_code::notification;
    std::string_view path;     ///< Of requests and events that have one.
    std::string_view payload;  ///< Without the length prefix.
};

/// What becomes of a frame. Frames behind one that waits wait too: TCP keeps order.
class verdict {
public:
    /// What the functions below give, one each.
    enum class kind : std::uint8_t { pass, drop, withhold, delay, replace, close, answer };

    /// As if there were no script.
    static verdict pass() { return verdict(kind::pass); }
    /// The same, and the connection is closed behind it: behind the reply, or, of a request, behind
    /// whatever is answered to it.
    static verdict pass_and_close();
    /// A request is not executed: this code is the answer. Means nothing for replies.
    static verdict answer(errc code);
    /// It never existed.
    static verdict drop() { return verdict(kind::drop); }
    /// Waits for `release()`.
    static verdict withhold() { return verdict(kind::withhold); }
    /// Waits for so long.
    static verdict delay(duration by);
    /// These bytes go out in place of a reply, as they are (a frame has its length prefix), or are
    /// the payload in place of a request's.
    static verdict replace(std::string bytes);
    /// The same, and the connection is closed behind them: a truncated frame, an HTTP answer.
    static verdict replace_and_close(std::string bytes);
    /// The connection is closed in place of the frame.
    static verdict close() { return verdict(kind::close); }

    kind what = kind::pass;   ///< What becomes of the frame.
    duration by{};            ///< Of a delay.
    std::string bytes;        ///< Of a replacement.
    bool then_close = false;  ///< The connection is closed behind it.
    errc code{};              ///< Of an answer.

private:
    explicit verdict(kind k) : what(k) {}
};

/// A request that was received, for assertions.
struct request_record {
    time_point at;                 ///< When it was received.
    std::uint64_t connection = 0;  ///< Of this server, from 1.
    std::int64_t session_id = 0;   ///< 0 before the handshake is done.
    std::int32_t xid = 0;          ///< The client's number of it.
    /// `create_session` stands for a ConnectRequest.
    wire::op_code op = wire::op_code::notification;
    std::string path;  ///< Empty where a request has none.
    /// lastZxidSeen of a ConnectRequest, relativeZxid of a setWatches, else 0.
    std::int64_t zxid = 0;
    std::size_t size = 0;  ///< Of the payload.
};

/// Whether a server has a vote. Observers follow, and serve; a quorum is one of voters.
enum class server_role : std::uint8_t { voter, observer };

/// One server of the ensemble.
class scripted_server {
public:
    /// How it listens, also again after `restart`: the argument is where.
    using listen_function = std::function<std::unique_ptr<listener>(const endpoint&)>;

    /// Listens at once, by `listen(at)`.
    scripted_server(scripted_ensemble& ensemble, const endpoint& at, listen_function listen,
                    server_role role = server_role::voter);
    /// In a simulated world.
    scripted_server(scripted_ensemble& ensemble, world& in, const endpoint& at,
                    server_role role = server_role::voter);
    ~scripted_server();
    scripted_server(const scripted_server&) = delete;
    scripted_server& operator=(const scripted_server&) = delete;

    /// Where it listens.
    endpoint local() const;

    /// The process dies: nobody listens, all its connections are closed. Sessions live on.
    void kill();
    /// Listens again, at the same place.
    void restart();
    /// Stands still, as after SIGSTOP: accepts, reads and writes nothing, until `resume`.
    void pause();
    /// Goes on with what has come meanwhile.
    void resume();
    /// Learns of every transaction so much later than the ensemble has it: reads are old by that
    /// much, writes are answered that late, and a client that has seen more is turned away. 0 ends
    /// it: the server catches up now.
    void lag(duration by);
    /// Is cut off from the other servers, not from its clients: reads grow old and writes wait,
    /// until it has been `heal`ed or, with elections, has given up after `peer_timeout`.
    void isolate();
    /// Is with the other servers again.
    void heal();

    /// Says what becomes of a frame. The view is valid during the call.
    using frame_hook = std::function<verdict(const frame_view&)>;
    /// Is asked for every frame, in both directions, in order.
    void on_frame(frame_hook hook);
    /// Lets withheld frames go, in both directions, in order.
    void release();
    /// New connections are closed before a byte is read.
    void close_on_accept(bool yes);
    /// Writes these bytes, as they are, to every connection.
    void inject(std::string bytes);
    /// Closes every connection (EOF for the clients) and goes on listening.
    void drop_connections();

    /// Ends the session of the whole ensemble: see scripted_ensemble::expire.
    void expire(std::int64_t session_id);

    /// Every request since `clear_log`, in the order of receipt.
    const std::vector<request_record>& log() const;
    /// Forgets them.
    void clear_log();
    /// Live ones.
    std::size_t connections() const;
    /// Watches set by live connections, over all kinds.
    std::size_t watches() const;

private:
    std::shared_ptr<server_core> core_;
};

}  // namespace coati::testing
