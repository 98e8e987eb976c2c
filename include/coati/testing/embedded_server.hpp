// coati::testing::embedded_server: a ZooKeeper ensemble inside a test, over real TCP on loopback.
//
// Any client in any language can talk to it. It owns a thread; the scripted_ensemble and the
// scripted_servers behind it live there, and every function here is a question to that thread.
// Knows the testing kit, not the client.
#pragma once

#include <coati/testing/scripted_server.hpp>
#include <coati/transport.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace coati::testing {

/// What an embedded_server is made of.
struct embedded_options {
    /// How many servers the ensemble has: 1 to 64.
    std::size_t servers = 1;
    /// How many of them, the last ones, are observers: they have no vote.
    std::size_t observers = 0;
    /// Of the first server; the others listen on the ports behind it. 0: free ports, from below the
    /// range that the system gives to outgoing connections, so that the port of a killed server is
    /// not taken meanwhile.
    std::uint16_t port = 0;
    /// Versions, session timeouts and the rest.
    ensemble_options ensemble{};
    /// Takes the place of `ensemble.elections`, which counts for nothing here. By default several
    /// servers need each other, as real ones do: who kills most of them ends the service, and who
    /// kills the leader interrupts it.
    std::optional<bool> elections{};
};

/// What a server is doing.
enum class process_state : std::uint8_t { running, paused, killed };
/// The name of the enumerator.
std::string_view name(process_state state) noexcept;

/// An ensemble of servers on 127.0.0.1, in memory, on a thread of its own, from construction (the
/// servers listen then) to destruction (connections are closed, the thread is joined).
///
/// May be used from any thread; a call waits until the servers' thread has done it. Servers are
/// numbered from 0, as in `connect_string()`. A number that there is not throws std::out_of_range.
/// Times, such as a znode's ctime and `session_info::expires`, are those of the calendar.
/// An exception that leaves a script (`scripted_server::on_frame`) is thrown by the next call here.
class embedded_server {
public:
    /// What runs on the servers' thread is given this: the parts, for scripts of faults.
    class stage {
    public:
        /// What the servers have in common.
        scripted_ensemble& ensemble() const noexcept { return *ensemble_; }
        /// How many servers there are.
        std::size_t size() const noexcept { return servers_->size(); }
        /// One of them, also while it is killed. `kill` and `restart` of this very object are not
        /// seen by `embedded_server::state`: use the embedded_server's own.
        scripted_server& server(std::size_t index = 0) const;

    private:
        friend class embedded_server;
        stage(scripted_ensemble& e, std::vector<std::unique_ptr<scripted_server>>& all)
            : ensemble_(&e), servers_(&all)
        {
        }

        scripted_ensemble* ensemble_;
        std::vector<std::unique_ptr<scripted_server>>* servers_;
    };

    /// Starts them. Throws std::invalid_argument for options that cannot be (no servers, a version
    /// that is none), std::system_error for a port that is taken, naming it.
    explicit embedded_server(embedded_options options = {});
    ~embedded_server();
    embedded_server(const embedded_server&) = delete;
    embedded_server& operator=(const embedded_server&) = delete;

    /// How many servers there are, running or not.
    std::size_t size() const noexcept;
    /// "127.0.0.1:p0,127.0.0.1:p1,...": what a client is configured with.
    const std::string& connect_string() const noexcept;
    /// Where one server listens, or did before it was killed.
    coati::endpoint endpoint(std::size_t index = 0) const;

    // --- servers ---------------------------------------------------------------------------------

    /// The process dies: nobody listens, its connections are closed. Sessions live on.
    void kill(std::size_t index);
    /// Listens again, on the same port; a running or paused server is killed first. Throws
    /// std::system_error when somebody else has taken the port meanwhile.
    void restart(std::size_t index);
    /// Stands still, as after SIGSTOP, until `resume`: connections stay, nothing is answered. Does
    /// nothing to a killed one.
    void pause(std::size_t index);
    /// Goes on with what has come meanwhile.
    void resume(std::size_t index);
    /// Closes every connection of one server, which goes on listening.
    void drop_connections(std::size_t index);
    /// Closes every connection of all servers.
    void drop_connections();
    /// Is cut off from the other servers, not from its clients; see scripted_server::isolate.
    void isolate(std::size_t index);
    /// Is with the other servers again.
    void heal(std::size_t index);
    /// Learns of every transaction so much later; see scripted_server::lag.
    void lag(std::size_t index, duration by);
    /// What a server is doing.
    process_state state(std::size_t index) const;
    /// Which server leads; nothing while there is no leader.
    std::optional<std::size_t> leader() const;
    /// Without a quorum nobody is served; see scripted_ensemble::has_quorum.
    void has_quorum(bool yes);

    // --- sessions and znodes ---------------------------------------------------------------------

    /// Ends a session as its deadline would: ephemerals go, watches fire, its owner is disconnected
    /// and told session_expired when it reconnects. False when there is no such session.
    bool expire(std::int64_t session_id);
    /// Every session that has not ended.
    std::vector<session_info> sessions() const;
    /// Somebody else's doing: creates (with parents) or sets a znode; watches fire. Throws
    /// std::invalid_argument for a path that cannot be.
    void put(std::string_view path, std::string_view data = {});
    /// Somebody else's delete. False where there is none, or it has children.
    bool remove(std::string_view path);
    /// Nothing where there is no znode, or its data is null.
    std::optional<std::string> data(std::string_view path) const;
    /// Whether there is such a znode.
    bool exists(std::string_view path) const;
    /// Names of the children, sorted; none where there is no znode.
    std::vector<std::string> children(std::string_view path) const;
    /// Which session owns an ephemeral; 0 for any other znode, and where there is none.
    std::int64_t ephemeral_owner(std::string_view path) const;

    // --- everything else -------------------------------------------------------------------------

    /// Calls `f(stage&)` on the servers' thread, between two steps of theirs, and returns or throws
    /// what it does. Scripts that it leaves behind are called on that thread, and must not wait for
    /// another one that waits for it. Inside `f` and inside scripts, calls of this class are
    /// direct.
    template <class F>
    auto run(F&& f)
    {
        using answer = std::invoke_result_t<F&, stage&>;
        if constexpr (std::is_void_v<answer>) {
            run_and_wait([&f](stage& on) { f(on); });
        } else {
            std::optional<answer> out;
            run_and_wait([&f, &out](stage& on) { out.emplace(f(on)); });
            return std::move(*out);
        }
    }

private:
    class state_of_it;

    void run_and_wait(const std::function<void(stage&)>& what) const;
    void check(std::size_t index, const char* who) const;

    std::unique_ptr<state_of_it> state_;
};

}  // namespace coati::testing
