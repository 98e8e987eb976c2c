// coati::client: one documented method an operation. A cheap handle; copies share one engine.
//
// Long work in a handler or in the application under `hold` delays the session's pings, because a
// completion on the session's own executor is a direct call: bind such work to an executor of its
// own.
#pragma once

#include <coati/acl.hpp>
#include <coati/auth.hpp>
#include <coati/config.hpp>
#include <coati/create_mode.hpp>
#include <coati/data.hpp>
#include <coati/detail/multi.hpp>
#include <coati/ensemble_config.hpp>
#include <coati/op.hpp>
#include <coati/operation.hpp>
#include <coati/results.hpp>
#include <coati/session.hpp>
#include <coati/stat.hpp>
#include <coati/states.hpp>
#include <coati/watch.hpp>
#include <coati/watch_stream.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati {

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
    /// The promise holds for `ex`.
    explicit serial(boost::asio::any_io_executor ex) : executor(std::move(ex)) {}
    /// What the promise was made of.
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
    /// Without a strand: see coati::serial.
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

    /// Leaves the session without ending it: what was submitted before is answered first (for up to
    /// `config.close_wait`), then TCP is dropped and `run` completes with success. The session and
    /// its ephemerals live until its timeout, or with whoever puts these credentials into
    /// `config.session`. Completes with: closed, or the ending of the session if it came first.
    operation<session_credentials> detach() const;

    /// Completes at the first moment the session is connected; at once if it is.
    /// Completes with: the ending of the session.
    operation<void> connected() const;

    /// Other servers of the same ensemble from now on. A client whose server is not among them
    /// moves; of the others as many as it takes to spread all clients evenly, when they are told
    /// the same. The session goes along. Completes with: invalid_argument (an empty list).
    operation<void> set_servers(std::vector<server_address> servers) const;

    /// Keeps the list of servers in step with the ensemble's own configuration
    /// (`/zookeeper/config`), from now on and through every reconnect: let it run beside the
    /// application. A server is taken in once it has answered at the address that is told of it,
    /// and members that left are dropped when at least one of the present ones has. The servers
    /// that were configured stay behind the list, for when none of it can be reached. An older
    /// configuration never replaces a newer one. An ensemble without a configuration (a standalone
    /// server), or with one that cannot be read, changes nothing.
    ///
    /// Never succeeds. Completes with: cancelled, the ending of the session, no_auth,
    /// already_waiting (it is running already).
    operation<void> follow_ensemble() const;

    /// Shows these credentials, now and on every later connection of this client, other sessions
    /// included, ahead of everything else. Completes when the server has taken them; the digest
    /// scheme takes any. Completes with: auth_failed (an unknown scheme, or the provider's no),
    /// which ends the session.
    operation<void> add_auth(auth_info who) const;

    /// Completes as soon as the session may be over within `margin`: at `proved_until() - margin`,
    /// which moves on with every answer. Whatever wakes the client up, this is looked at before
    /// anything else is delivered; a process that was suspended past that moment learns it first.
    /// Without a session it waits for one. Completes with: the ending of the session.
    operation<void> lease_runs_out(duration margin) const;

    /// Every transition of the session's state from now on, beginning with the present one.
    state_stream states() const;

    /// The session as the server granted it, or the last one's. A getter: on `get_executor()` only,
    /// as those below.
    session_info session() const;
    /// Id, password and last zxid, with which another process can attach to the session. A secret.
    session_credentials credentials() const;
    /// The session timeout that the server granted; zero before the first handshake.
    std::chrono::milliseconds negotiated_timeout() const { return session().negotiated_timeout; }
    /// Whether a server holds the session right now, in either mode.
    bool is_connected() const;
    /// Until when the ensemble must still take the session for alive, by what can be proved here:
    /// the negotiated session timeout after the moment at which the last request that has been
    /// answered was *sent*. Nothing: no session, or none any more.
    std::optional<time_point> proved_until() const;
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

    /// Sets a persistent watch, of which every event is delivered and none needs to be set again.
    /// Complete means that the server has it. The znode need not exist. Servers from 3.6. Notable
    /// errors: unimplemented, marshalling_error (a server whose watch manager has no such watches).
    operation<watch_stream> watch(std::string path, watch_mode mode = watch_mode::persistent,
                                  stream_options how = {}) const;
    /// What this session watches below the handle's chroot, in no order; what a reply that is still
    /// on its way will arm is not in it. A getter: on `get_executor()` only.
    std::vector<live_watch> live_watches() const;

    // --- writing

    /// Creates a znode. Notable errors: node_exists, no_node (the parent),
    /// no_children_for_ephemerals, invalid_acl, no_auth, quota_exceeded.
    ///
    /// Here and below, without `who` the znode gets the handle's default ACL: see
    /// `with_default_acls`. An ACL that no server would take is refused at once: invalid_acl.
    operation<created> create(std::string path, coati::data bytes = {},
                              create_mode mode = create_mode::persistent,
                              std::optional<acls> who = {}) const;
    /// The same and gives the stat. Servers from 3.5.
    operation<created_with_stat> create_with_stat(std::string path, coati::data bytes = {},
                                                  create_mode mode = create_mode::persistent,
                                                  std::optional<acls> who = {}) const;
    /// Creates a znode that the server deletes some time after it was childless and unchanged for
    /// `ttl`, 1 ms to 2^40-1 ms (34 years); `mode` is persistent or persistent_sequential. Notable
    /// errors: invalid_argument (ttl or mode, not sent), unimplemented (the server's
    /// `extendedTypesEnabled` is off).
    operation<created_with_stat> create_with_ttl(std::string path, coati::data bytes,
                                                 std::chrono::milliseconds ttl,
                                                 create_mode mode = create_mode::persistent,
                                                 std::optional<acls> who = {}) const;
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
        return operation<multi_result<Ops...>>(detail::prepare_multi<multi_result<Ops...>>(
            wire::op_code::multi, scope_, std::move(encoder), &detail::decode_typed_multi<Ops...>));
    }
    /// The same for a list that is made at run time.
    operation<multi_results> multi(std::vector<any_op> ops) const;
    /// Several reads in one request: `zk.multi_read(op::get("/a"), op::children("/b"))`, with a
    /// typed tuple of `result<...>`, each of which may fail alone: no_node, no_auth. No snapshot: a
    /// write may come between two of them. Notable errors: unimplemented (servers before 3.6; ask
    /// one by one, which costs no more round trips).
    template <read_op... Ops>
    operation<multi_read_result<Ops...>> multi_read(Ops... ops) const
    {
        detail::multi_encoder encoder(*scope_);
        (encoder.add(ops), ...);
        return operation<multi_read_result<Ops...>>(
            detail::prepare_multi<multi_read_result<Ops...>>(
                wire::op_code::multi_read, scope_, std::move(encoder),
                &detail::decode_typed_multi_read<Ops...>));
    }
    /// The same for a list that is made at run time.
    operation<multi_read_results> multi_read(std::vector<any_read_op> ops) const;
    /// Succeeds if the znode exists and, if given, has this version. As a multi of one: servers do
    /// not take a check alone. Notable errors: no_node, bad_version.
    operation<void> check(std::string path,
                          std::optional<std::int32_t> expected_version = {}) const;

    // --- access

    /// Who may do what with the znode. Notable errors: no_node, no_auth (needs read or admin).
    operation<acl_result> get_acl(std::string path) const;
    /// Replaces the ACL, if its version (`stat::aversion`) is the expected one; it is not inherited
    /// by children. Gives the new stat. No watch fires. Notable errors: no_node, bad_version,
    /// no_auth (needs admin), invalid_acl.
    operation<stat> set_acl(std::string path, acls who,
                            std::optional<std::int32_t> expected_aversion = {}) const;
    /// What this connection's server knows it by. Notable errors: unimplemented (servers before
    /// 3.7).
    operation<std::vector<identity>> who_am_i() const;

    // --- counting

    /// The ephemerals of this session whose paths begin with `prefix`, as strings go: "/lock" finds
    /// "/lock-1" and "/lock/a". Of a handle with a chroot those below it, relative to it. Notable
    /// errors: unimplemented (servers before 3.6).
    operation<std::vector<std::string>> get_ephemerals(std::string prefix = "/") const;
    /// How many znodes there are below this one, at any depth. The server walks them all; where it
    /// is older than 3.6 the client does. Notable errors: no_node; no_auth only when emulated.
    operation<descendants> count_descendants(std::string path) const;

    // --- the ensemble

    /// Reads `/zookeeper/config`, whatever the handle's chroot. Notable errors: no_auth.
    operation<config_result> get_config() const;
    /// Also watches for its change.
    operation<watched_config> get_config_and_watch() const;
    /// Changes which servers make up the ensemble, and gives the new configuration. Notable errors:
    /// invalid_argument (nothing to change, not sent), reconfig_disabled, no_auth,
    /// bad_version (of the configuration), bad_arguments, new_config_no_quorum,
    /// reconfig_in_progress, unimplemented (a standalone server).
    operation<config_result> reconfig(membership_change change) const;

    // --- time

    /// Sleeps on the client's clock, which a simulated world can turn. Completes with: cancelled.
    operation<void> sleep_for(duration how_long) const;
    /// The client's clock, which is its transport's.
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
    /// A handle whose creates get this ACL where none is given: `acls::creator_all()` for one that
    /// never makes an open znode. A client begins with `config.default_acls`.
    client with_default_acls(acls who) const;
    /// A handle of the present session: once that is over, every operation of it completes with
    /// its ending, whatever session the client has then. Before the first session, and of a handle
    /// that is pinned already: the handle itself. On `get_executor()` only.
    client pinned() const;
    /// Whether the handle belongs to one session for ever: from `pinned`, `hold` or `supervise`.
    bool is_pinned() const noexcept;
    /// The prefix of every path of this handle; empty: none.
    const std::string& chroot() const noexcept;

    /// Where the session lives; a completion there is a direct call.
    const boost::asio::any_io_executor& get_executor() const noexcept;

    /// For the library itself: a handle on what another one holds.
    explicit client(detail::scope_ptr scope) : scope_(std::move(scope)) {}
    /// For the library itself.
    const detail::scope_ptr& scope() const noexcept { return scope_; }

private:
    detail::scope_ptr scope_;
};

}  // namespace coati
