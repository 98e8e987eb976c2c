// Real ZooKeeper servers on loopback: started, killed, paused and asked, by a test or by a script.
//
// Owns the server processes, their ports and their folder. It knows nothing of coati: it speaks to
// its servers by signals and by four-letter words only.
//
//     ensemble servers({.servers = 3});
//     servers.kill(0);
//     servers.start(0);
//     servers.wait_quorum();
//
// Servers die with the thread that starts them (PR_SET_PDEATHSIG), so only the main thread may.

#pragma once

#include "port.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coati::test {

struct server_options {
    std::map<std::string, std::string> extra_cfg;  // zoo.cfg lines; they replace ours of that name
    std::vector<std::string> jvm_args;             // as "-Djute.maxbuffer=4096"
};

struct ensemble_options {
    int servers = 1;    // 1: standalone; else a quorum, standaloneEnabled=false
    int observers = 0;  // of these, the last ones, which follow without a vote
    int tick_time_ms = 500;
    int min_session_timeout_ms = 0;  // 0: the server's own, 2 ticks
    int max_session_timeout_ms = 0;  // 0: the server's own, 20 ticks
    std::map<std::string, std::string> extra_cfg;
    std::vector<std::string> jvm_args;
    std::vector<server_options> each;  // on top, by index; may be shorter than `servers`
};

class ensemble {
public:
    using options = ensemble_options;

    // Starts every server and waits until they serve. Throws std::runtime_error with the end of
    // the log when they do not, and with the name of the Debian package when there is none.
    explicit ensemble(options opts = {});
    ~ensemble();
    ensemble(const ensemble&) = delete;
    ensemble& operator=(const ensemble&) = delete;

    int size() const noexcept { return static_cast<int>(servers_.size()); }
    std::string connect_string() const;  // "127.0.0.1:p1,127.0.0.1:p2"
    std::uint16_t client_port(int i) const;
    pid_t pid(int i) const;                        // -1 while it does not run
    int server_at_port(std::uint16_t port) const;  // -1 when none

    // Faults. Each has happened when the call returns; start() does not wait for readiness.
    void start(int i);
    void kill(int i);          // SIGKILL, and reaped
    void pause(int i);         // SIGSTOP: connections stay open and silent
    void resume(int i);        // SIGCONT
    void destroy_data(int i);  // of a killed server: it comes back empty

    void wait_ready(int i, std::chrono::seconds limit = std::chrono::seconds(30));
    // Until every server that runs and is not paused serves, and one of them leads.
    void wait_quorum(std::chrono::seconds limit = std::chrono::seconds(60));

    // The whole answer to "srvr", "mntr" ...; empty when the server is down, paused or silent.
    std::string four_letter(int i, const std::string& word) const;
    // "standalone", "leader", "follower", "observer", "read-only"; nothing while it serves nobody.
    std::optional<std::string> mode(int i) const;
    std::optional<int> leader() const;

    std::string log(int i) const;
    const std::filesystem::path& directory() const noexcept { return directory_; }

private:
    struct server {
        std::optional<held_port> client, peer, election;  // held until just before the first start
        std::uint16_t client_port = 0, peer_port = 0, election_port = 0;
        pid_t pid = -1;
        bool paused = false;
    };

    void choose_ports();
    void start_all();
    void write_config(int i) const;
    bool is_observer(int i) const noexcept { return i >= size() - options_.observers; }
    std::vector<std::string> command_line(int i) const;
    std::filesystem::path folder(int i) const;
    bool serves(int i) const;
    bool reap_if_dead(int i);
    [[noreturn]] void fail(int i, const std::string& what) const;
    server& at(int i);
    const server& at(int i) const;

    options options_;
    std::filesystem::path directory_;
    std::vector<server> servers_;
};

// Started by whoever asks first, shared by all tests of this process, stopped at its end. A test
// that harms a server puts it back before it returns.
ensemble& shared_single();
ensemble& shared_three();

}  // namespace coati::test
