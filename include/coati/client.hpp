// coati::client: one documented method an operation. A cheap handle; copies share one engine.
//
// Long work in a handler or in the application under `hold` delays the session's pings, because a
// completion on the session's own executor is a direct call: bind such work to an executor of its
// own.
#pragma once

#include <coati/acl.hpp>
#include <coati/config.hpp>
#include <coati/create_mode.hpp>
#include <coati/data.hpp>
#include <coati/detail/multi.hpp>
#include <coati/op.hpp>
#include <coati/operation.hpp>
#include <coati/session.hpp>
#include <coati/stat.hpp>
#include <coati/states.hpp>
#include <coati/watch.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati {

/// A znode's data and stat. Zxids let readers on other servers be compared.
struct get_result {
    std::string data;
    coati::stat stat;
    std::int64_t zxid = 0;  ///< The server's last zxid when it answered.
    bool is_null = false;   ///< The znode has no data at all, which is not empty data.
};

struct children_result {
    std::vector<std::string> names;  ///< Last components, in no order.
    coati::stat stat;                ///< Of the parent.
    std::int64_t zxid = 0;
};

struct created {
    std::string path;  ///< As the server named it, relative to the handle's chroot.
    std::int64_t zxid = 0;
};

struct watched_data {
    std::string data;
    coati::stat stat;
    std::int64_t zxid = 0;
    bool is_null = false;
    coati::watch watch;
};

struct watched_existence {
    std::optional<coati::stat> stat;  ///< Empty: the znode does not exist, its creation will fire.
    std::int64_t zxid = 0;
    coati::watch watch;
};

struct watched_children {
    std::vector<std::string> names;
    coati::stat stat;
    std::int64_t zxid = 0;
    coati::watch watch;
};

/// Per-handle settings: `zk.with({.timeout = 5s})`.
struct options {
    /// Operations complete with errc::timed_out and their fate after this. Zero: never.
    duration timeout = duration::zero();
    /// Java's behaviour: without a connection fail at once (connection_loss, not_sent), never
    /// replay.
    bool fail_fast = false;
};

/// A promise that everything with this executor happens on one thread at a time, so that no strand
/// is needed: `coati::client(coati::serial(ctx.get_executor()), config)`.
class serial {
public:
    explicit serial(boost::asio::any_io_executor ex) : executor(std::move(ex)) {}
    boost::asio::any_io_executor executor;
};

/// A client of one ensemble. A session is one call of `run`; everything else is a request.
///
/// Requests that are made before the first `run` wait for it; between two runs they fail with the
/// ending of the last. Operations complete on the handler's executor. All of a client's methods may
/// be called on any thread, but for the getters, which belong on `get_executor()`.
///
/// Every operation can complete, beside what is named with it, with: connection_loss (a written
/// write whose answer was lost, fate maybe_applied; with `fail_fast` everything that a loss met),
/// session_expired and the other endings of a session, invalid_path, request_too_large, timed_out,
/// cancelled, marshalling_error, throttled_op.
class client {
public:
    /// The client makes a strand of `ex` for its session, unless it is one.
    client(boost::asio::any_io_executor ex, config settings,
           std::shared_ptr<transport> world = nullptr);
    client(serial ex, config settings, std::shared_ptr<transport> world = nullptr);

    // --- the session -----------------------------------------------------------------------------

    /// Holds one session: connects, reconnects, replays, and completes when the session is over.
    /// Success after a `close`; else the error that ended it: session_expired, session_id_changed,
    /// auth_failed, no_server_reachable, session_dropped (cancelled: TCP is dropped, the session
    /// lives on until its timeout), already_running. Prefer `hold` or `supervise`.
    operation<void> run() const;

    /// Ends the session in order: what was submitted before goes out first, then closeSession.
    /// Success: the server confirmed, or there was no session to close. Else close_unconfirmed
    /// after `config.close_wait`: the session may live until its timeout.
    operation<void> close() const;

    /// Completes at the first moment the session is connected; at once if it is.
    /// Completes with: the ending of the session.
    operation<void> connected() const;

    /// Every transition of the session's state from now on, beginning with the present one.
    state_stream states() const;

    session_info session() const;
    /// Id, password and last zxid, with which another process can attach to the session. A secret.
    session_credentials credentials() const;
    std::chrono::milliseconds negotiated_timeout() const { return session().negotiated_timeout; }
    bool is_connected() const;
    /// The last attempt at each server: how far it came and what it ended with.
    std::vector<attempt> last_attempts() const;

    // --- reading

    /// Reads data and stat. Notable errors: no_node, no_auth, reply_too_large.
    operation<get_result> get(std::string path) const;
    /// Reads data and stat and watches for their change or the removal. Notable errors: no_node (no
    /// watch is set), no_auth.
    operation<watched_data> get_and_watch(std::string path) const;
    /// The stat, or nothing if there is no such znode. Notable errors: no_auth (servers from 3.9).
    operation<std::optional<stat>> exists(std::string path) const;
    /// Also watches: for the creation if the znode is missing, else for change or removal.
    operation<watched_existence> exists_and_watch(std::string path) const;
    /// Names of the children, and the parent's stat. Notable errors: no_node, no_auth.
    operation<children_result> children(std::string path) const;
    /// Also watches for a child's creation or removal, or the znode's own.
    operation<watched_children> children_and_watch(std::string path) const;
    /// Completes when this server has caught up with what was committed before: read after it on
    /// the same handle. Not a quorum operation (ZOOKEEPER-1675).
    operation<void> sync(std::string path = "/") const;

    // --- writing

    /// Creates a znode. Notable errors: node_exists, no_node (the parent),
    /// no_children_for_ephemerals, invalid_acl, no_auth, quota_exceeded.
    operation<created> create(std::string path, coati::data bytes = {},
                              create_mode mode = create_mode::persistent,
                              acls who = acls::open_unsafe()) const;
    /// Sets the data, if the version is the expected one. Gives the new stat. Notable errors:
    /// no_node, bad_version, no_auth, quota_exceeded.
    operation<stat> set(std::string path, coati::data bytes,
                        std::optional<std::int32_t> expected_version = {}) const;
    /// Removes a znode without children. Notable errors: no_node, bad_version, not_empty, no_auth.
    operation<void> remove(std::string path,
                           std::optional<std::int32_t> expected_version = {}) const;

    /// All or nothing: `zk.multi(op::check("/a", 3), op::create("/b", "x"))`, with a typed tuple of
    /// results. A failure carries the code of the first operation that failed and its `op_index`.
    template <write_op... Ops>
    operation<multi_result<Ops...>> multi(Ops... ops) const
    {
        detail::multi_encoder encoder(*scope_);
        (encoder.add(ops), ...);
        return detail::make_multi<multi_result<Ops...>>(scope_, std::move(encoder),
                                                        &detail::decode_typed_multi<Ops...>);
    }
    /// The same for a list that is made at run time.
    operation<multi_results> multi(std::vector<any_op> ops) const;

    // --- time

    /// Sleeps on the client's clock, which a simulated world can turn. Completes with: cancelled.
    operation<void> sleep_for(duration how_long) const;
    time_point now() const;
    /// The operation, but it completes with timed_out and its fate when `limit` is over first.
    template <class T>
    operation<T> within(duration limit, operation<T> op) const
    {
        return std::move(op).within(limit);
    }

    // --- handles

    /// A handle whose paths are relative to `prefix` (under this handle's own chroot). The znode is
    /// not created. A malformed prefix fails every operation of the handle with invalid_path.
    client chroot(std::string prefix) const;
    /// A handle with other options.
    client with(options changed) const;
    const std::string& chroot() const noexcept;

    /// Where the session lives; a completion there is a direct call.
    const boost::asio::any_io_executor& get_executor() const noexcept;

    explicit client(detail::scope_ptr scope) : scope_(std::move(scope)) {}
    const detail::scope_ptr& scope() const noexcept { return scope_; }

private:
    detail::scope_ptr scope_;
};

}  // namespace coati
