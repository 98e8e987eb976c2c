// The engine of one client: floors 1 and 2 tied together by the reconnect coroutine.
//
//   engine.cpp         run -> hold_session -> connect, shake hands, serve, classify, again
//   engine_dial.cpp    from a name to a connection
//   engine_serve.cpp   one connection: reader, writer and clock
//   engine_move.cpp    leaving a connection for a better server
//   engine_servers.cpp which servers there are, and which is next
//   engine_session.cpp what handles ask of the session: run, close, detach, authenticate, states
//   engine_version.cpp what a server can do, when a request depends on it
//   engine_calls.cpp   what else they ask for: submit, cancel, sleeps
//
// Knows no operation's meaning: requests are bytes, replies go to whoever asked. Everything runs on
// one executor, hence no lock. Nothing here is visible to users.
#pragma once

#include "alarm.hpp"
#include "parking.hpp"
#include "wake_up.hpp"

#include <coati/config.hpp>
#include <coati/detail/composed.hpp>
#include <coati/detail/pending_op.hpp>
#include <coati/protocol/abilities.hpp>
#include <coati/protocol/back_off.hpp>
#include <coati/protocol/deadlines.hpp>
#include <coati/protocol/exchange.hpp>
#include <coati/protocol/lease.hpp>
#include <coati/protocol/placement.hpp>
#include <coati/protocol/servers.hpp>
#include <coati/protocol/state_log.hpp>
#include <coati/protocol/takeover.hpp>
#include <coati/protocol/watch_table.hpp>
#include <coati/session.hpp>
#include <coati/transport.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution_context.hpp>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coati::detail {

namespace asio = boost::asio;
using boost::system::error_code;

/// How a coroutine of the engine ended. Default-constructible, as Asio's combinators need it.
struct ending {
    errc code = errc::no_result;
    error_code cause;

    error as_error(fate what = fate::not_applied) const noexcept { return {code, what, cause}; }
};

/// What became of connecting to addresses, one after another.
class dialled {
public:
    dialled() = default;

    std::unique_ptr<stream> connection;  // null: to none
    endpoint where;                      // the last that was tried
    ending how;                          // of a failure
};

/// A server worth a move, and where it answered.
class better_server {
public:
    better_server(server_address which, endpoint at)
        : server(std::move(which)), where(std::move(at))
    {
    }

    server_address server;
    endpoint where;
};

/// What the server said in a round of SASL.
class sasl_answer {
public:
    sasl_answer() = default;
    explicit sasl_answer(const ending& e) : how(e) {}

    ending how;                        // no_result: it goes on
    std::optional<std::string> token;  // null is not empty
};

/// A refusal of TLS is called by its name.
errc unless_tls(const error_code& ec, errc otherwise) noexcept;

/// One reader of the session's state.
class state_observer {
public:
    protocol::state_log log;
    operation_id waiter = 0;
    std::shared_ptr<engine> core;  // what is in the log can be read when all handles are gone
    bool ended = false;
};

/// Somebody who is told behind a frame, when nothing is being walked that user code could change.
class wakeable {
public:
    virtual void wake() = 0;

protected:
    ~wakeable() = default;
};

/// The alarm's name for "look at the lease": no operation is ever parked under it.
inline constexpr operation_id lease_check = parking::mark;

template <class T>
class later;

class engine final : public engine_base {
public:
    static std::shared_ptr<engine> make(asio::any_io_executor ex, bool is_serial, config settings,
                                        std::shared_ptr<transport> world);
    engine(config settings, std::shared_ptr<transport> world);
    ~engine() override;

    // --- what handles ask for (engine_calls.cpp), on the executor ------------------------------

    operation_id submit(pending_base& op);
    /// Why an operation must not even begin.
    std::optional<error> refusal_of(const pending_base& op) const;
    /// A request of our own that nobody waits for.
    void submit_silently(protocol::request& what);
    operation_id park(pending_base& op, parked_kind kind = parked_kind::waiting);
    /// Completes the operation in a turn of its own: nothing completes inside its initiation.
    void refuse(pending_base& op, const error& why);
    template <class T>
    void complete_later(pending_op<T>& op, result<T> value)
    {
        asio::post(executor_, later<T>(op, std::move(value)));
    }
    template <class T>
    pending_op<T>* take_parked(operation_id id)
    {
        return parking_.take_as<T>(id);
    }
    pending_base* take_parked(operation_id id) { return parking_.take(id); }
    bool is_parked(operation_id id) const { return parking_.contains(id); }
    operation_id park_composed(pending_base& op, std::shared_ptr<composed_base> task);
    void forget_composed(operation_id id) { composed_.erase(id); }
    void cancel(operation_id which, errc why) override;
    void forget_timer(time_point when, operation_id which) noexcept override;

    operation_id start_run(pending_base& op);
    operation_id start_close(pending_base& op);
    operation_id start_connected(pending_base& op);
    operation_id start_sleep(pending_base& op);
    operation_id start_auth(pending_base& op);
    operation_id start_detach(pending_base& op);
    operation_id start_set_servers(pending_base& op);
    operation_id start_lease(pending_base& op);

    void wake_soon(std::shared_ptr<wakeable> who) { woken_.push_back(std::move(who)); }
    /// A watch was dropped: so is the server's, if nobody needs it.
    void take_off(protocol::watch_table::remains left, std::string_view server_path,
                  wire::watch_kind kind);

    /// What the ensemble says of its members: those that answered, and where. False: there is a
    /// newer list, or nobody answered.
    bool adopt_members(std::vector<better_server> members, std::int64_t version);
    /// One `follow_ensemble` at a time. False: there is one.
    bool set_following(bool yes) noexcept { return std::exchange(following_, yes) != yes; }

    void observe(std::shared_ptr<state_observer> observer);
    void stop_observing(const std::shared_ptr<state_observer>& observer) noexcept;
    void last_handle_gone();

    // --- looking

    const config& settings() const noexcept { return config_; }
    transport& world() noexcept { return *transport_; }
    const std::shared_ptr<transport>& world_ptr() const noexcept { return transport_; }
    /// For one attempt to reach a server, or one question to it.
    duration attempt_budget() const noexcept;
    protocol::watch_table& watches() noexcept { return watches_; }
    protocol::exchange& requests() noexcept { return exchange_; }
    bool is_connected() const noexcept { return connected_; }
    bool is_shut() const noexcept { return shut_; }
    const session_life& life() const noexcept { return *life_; }
    const std::shared_ptr<session_life>& life_ptr() const noexcept { return life_; }
    /// Nothing: there is no session, or nothing has been proved yet.
    std::optional<time_point> lease_end() const;
    const std::vector<attempt>& last_attempts() const noexcept { return attempts_; }
    std::int64_t last_zxid() const noexcept { return exchange_.last_zxid(); }

    /// The execution context is going away: every parked handler dies uncalled.
    void shut_down() noexcept;

private:
    // --- the reconnect coroutine (engine.cpp) ----------------------------------------------------
    static asio::awaitable<result<void>> run(std::shared_ptr<engine> self);
    void begin(std::shared_ptr<session_life> life);
    result<void> finish(const ending& why);
    asio::awaitable<ending> hold_session();
    asio::awaitable<ending> until_closed();
    asio::awaitable<ending> until_unreachable();
    asio::awaitable<ending> until_presumed();
    asio::awaitable<void> pause();
    duration session_timeout() const noexcept;
    asio::awaitable<ending> reach_server(session_credentials mine);
    asio::awaitable<ending> until_too_late();
    // engine_dial.cpp
    asio::awaitable<ending> find_addresses();
    asio::awaitable<ending> dial();
    asio::awaitable<ending> dial_in_parallel();
    asio::awaitable<dialled> dial_lane(std::size_t lane);
    asio::awaitable<ending> shake_hands(session_credentials mine);
    asio::awaitable<ending> authenticate();  // engine_sasl.cpp
    asio::awaitable<sasl_answer> sasl_reply(std::int32_t xid);
    std::string connect_frame(const session_credentials& mine) const;
    ending accept_session(std::string_view payload, const session_credentials& mine);
    bool has_lost(const ending& why);
    void note_attempt(const ending& why, bool is_cut);

    // --- one connection (engine_serve.cpp) -------------------------------------------------------
    asio::awaitable<ending> serve();
    asio::awaitable<ending> reader();
    asio::awaitable<ending> writer();
    asio::awaitable<void> settle_next();
    asio::awaitable<ending> clock_hand();
    // Leaving for a better server (engine_move.cpp).
    asio::awaitable<ending> until_moved();
    asio::awaitable<ending> until_asked_to_move();
    asio::awaitable<ending> until_better();
    asio::awaitable<ending> seek_better();
    asio::awaitable<bool> drain();
    asio::awaitable<ending> until_drained();
    asio::awaitable<ending> seek_quorum();
    asio::awaitable<bool> ask_next_server();
    // What this server can do (engine_version.cpp).
    asio::awaitable<void> learn_version();
    asio::mutable_buffer room_to_read();
    std::optional<errc> deliver_frames();
    std::optional<errc> skip_oversized(std::string_view buffered, std::size_t length);

    // --- the servers (engine_servers.cpp)
    server_address next_server();
    /// A local session would not survive a move.
    bool may_seek() const noexcept { return placement_.seeks() && !config_.sticky; }
    void change_servers(protocol::server_list list, const std::optional<server_address>& alias);

    // --- bookkeeping (engine_calls.cpp)
    void set_state(session_state to);
    void wake_writer();
    void set_timer(pending_base& op, operation_id id);
    void arm_alarm();
    void on_alarm();
    void end_waiters(std::vector<operation_id>& ids, const std::optional<error>& why);
    void end_soon();
    void tell_authenticated();
    void remember_credentials(std::vector<auth_info>&& given);
    void wake_readers();
    // The session's lease (engine_lease.cpp).
    void check_lease();
    void arm_lease();
    void end_lease(const error& why);

    config config_;
    std::shared_ptr<transport> transport_;

    // Sessions.
    std::shared_ptr<session_life> life_;  // the newest; never null
    bool running_ = false;
    bool connected_ = false;
    bool established_ = false;  // in this run, at least once
    bool seen_quorum_ = false;  // the session is known to the ensemble, not to one server alone
    bool moving_ = false;       // this connection was left for a better one
    bool shut_ = false;
    session_state state_ = session_state::disconnected;
    std::vector<std::shared_ptr<state_observer>> observers_;
    asio::cancellation_signal stop_run_;

    // Closing.
    bool closing_ = false;
    bool detaching_ = false;
    bool close_confirmed_ = false;
    bool close_sent_ = false;  // and its answer lost: the session must not come back
    friend class close_request;

    // Reaching a server.
    protocol::placement placement_;
    protocol::server_order order_;
    std::int64_t ensemble_version_ = 0;  // of the configuration that the list is from
    bool following_ = false;
    protocol::reconnect_pace pace_;
    server_address target_;
    endpoint where_;
    std::vector<endpoint> addresses_;  // of target_, still to be tried
    std::vector<attempt> attempts_;    // the last at each server
    std::string sasl_said_;            // the mechanism's own words on why it failed
    attempt_step step_ = attempt_step::resolve;

    // The connection.
    std::unique_ptr<stream> connection_;
    protocol::exchange exchange_;
    protocol::watch_table watches_;
    protocol::deadlines deadlines_;
    protocol::lease lease_;
    protocol::takeover_watch takeover_;
    protocol::abilities abilities_;
    time_point hello_sent_{};
    time_point connected_at_{};
    std::vector<char> in_;
    std::size_t in_begin_ = 0;
    std::size_t in_end_ = 0;
    std::size_t skip_ = 0;  // bytes of an oversized frame still to be dropped
    std::string out_;
    bool delivering_ = false;
    bool flush_posted_ = false;
    wake_up output_ready_;
    wake_up close_requested_;
    wake_up never_;  // is not set: what waits on it waits for its cancellation
    wake_up move_requested_;
    std::optional<better_server> better_;  // found beside this connection
    bool draining_ = false;                // nothing new goes out: this connection is being left
    wake_up drained_;

    parking parking_;
    std::unordered_map<operation_id, std::shared_ptr<composed_base>> composed_;
    alarm alarm_;
    std::vector<operation_id> close_waiters_;
    std::vector<operation_id> connected_waiters_;
    struct lease_waiter {
        operation_id id;
        duration margin;
    };
    std::vector<lease_waiter> lease_waiters_;
    time_point lease_alarm_ = never;  // when to look again, at the latest
    std::vector<operation_id> detach_waiters_;
    struct auth_waiter {
        std::size_t number;  // of the credentials
        operation_id id;
    };
    std::vector<auth_waiter> auth_waiters_;
    std::vector<std::shared_ptr<wakeable>> woken_;  // streams with news for a waiting reader
};

/// A completion in a turn of its own; an uncalled one discards its operation.
template <class T>
class later {
public:
    later(pending_op<T>& op, result<T>&& value) : op_(&op), value_(std::move(value)) {}
    later(later&& other) noexcept
        : op_(std::exchange(other.op_, nullptr)), value_(std::move(other.value_))
    {
    }
    later& operator=(later&&) = delete;
    ~later()
    {
        if (op_ != nullptr) {
            op_->discard();
        }
    }
    void operator()() { std::exchange(op_, nullptr)->deliver(std::move(value_)); }

private:
    pending_op<T>* op_;
    result<T> value_;
};

inline engine& engine_of(const pending_base& op) noexcept
{
    return *op.owner->core;
}

}  // namespace coati::detail
