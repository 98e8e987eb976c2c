// with_ensemble --servers 3 [--tls] -- command args...
//
// Runs a command beside real ZooKeeper servers and returns its exit code. The command finds
//     COATI_CONNECT      127.0.0.1:p1,127.0.0.1:p2,...
//     COATI_SERVER_PIDS  p1=pid1,p2=pid2,...   (so that it can kill and pause them)
// and with --tls, which is for one server,
//     COATI_TLS_CONNECT  localhost:port
//     COATI_TLS_CA       the file of the CA that has issued the server's certificate
// Servers and data are gone afterwards, also on Ctrl-C.

#include "certificates.hpp"
#include "ensemble.hpp"
#include "process.hpp"

#include <sys/wait.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <iostream>
#include <string_view>

namespace {

struct arguments {
    int servers = 1;
    bool tls = false;
    std::vector<std::string> command;
};

bool parse(int argc, char** argv, arguments& out)
{
    int i = 1;
    for (; i < argc && std::string_view(argv[i]) != "--"; ++i) {
        if (std::string_view(argv[i]) == "--tls") {
            out.tls = true;
            continue;
        }
        if (std::string_view(argv[i]) != "--servers" || ++i == argc)
            return false;
        const std::string_view number(argv[i]);
        const auto parsed =
            std::from_chars(number.data(), number.data() + number.size(), out.servers);
        if (parsed.ptr != number.data() + number.size() || out.servers < 1)
            return false;
    }
    for (++i; i < argc; ++i)
        out.command.emplace_back(argv[i]);
    return !out.command.empty() && !(out.tls && out.servers != 1);
}

// Signals arrive by sigtimedwait and nowhere else, so nothing here runs in a handler.
sigset_t block_signals()
{
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD})
        sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return set;
}

bool interrupted(const sigset_t& set)
{
    const timespec at_once{0, 0};
    for (int number = 0; (number = sigtimedwait(&set, nullptr, &at_once)) > 0;)
        if (number != SIGCHLD)
            return true;
    return false;
}

// The child gets three seconds to end by itself, then SIGKILL.
int wait_for(pid_t child, const sigset_t& set)
{
    bool stopping = false;
    for (int rounds = 0;; ++rounds) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            kill(-child, SIGKILL);  // what it may have left in its group
            return coati::test::exit_code(status);
        }
        const timespec tick{0, 100'000'000};
        const int number = sigtimedwait(&set, nullptr, &tick);
        if (number > 0 && number != SIGCHLD) {
            kill(-child, stopping ? SIGKILL : number);
            stopping = true;
            rounds = 0;
        }
        if (stopping && rounds > 30)
            kill(-child, SIGKILL);
    }
}

}  // namespace

int main(int argc, char** argv)
{
    arguments args;
    if (!parse(argc, argv, args)) {
        std::cerr << "usage: with_ensemble [--servers N] [--tls] -- command [argument...]\n";
        return 2;
    }
    const sigset_t signals = block_signals();
    try {
        coati::test::ensemble_options options;
        options.servers = args.servers;
        std::vector<std::string> environment;
        if (args.tls) {
            const coati::test::certificates& all = coati::test::shared_certificates();
            const std::string port = std::to_string(coati::test::held_port().number());
            options.extra_cfg = coati::test::tls_server_settings(all, all.issue("zookeeper"));
            options.extra_cfg["secureClientPort"] = port;
            environment = {"COATI_TLS_CONNECT=localhost:" + port, "COATI_TLS_CA=" + all.ca()};
        }
        coati::test::ensemble servers(options);
        if (interrupted(signals))
            return 130;
        std::string pids;
        for (int i = 0; i < servers.size(); ++i)
            pids += (i == 0 ? "" : ",") + std::to_string(servers.client_port(i)) + "=" +
                    std::to_string(servers.pid(i));
        coati::test::spawn_options child;
        child.command = args.command;
        child.environment = environment;
        child.environment.push_back("COATI_CONNECT=" + servers.connect_string());
        child.environment.push_back("COATI_SERVER_PIDS=" + pids);
        return wait_for(coati::test::spawn(child), signals);
    } catch (const std::exception& error) {
        std::cerr << "with_ensemble: " << error.what() << '\n';
        return 125;
    }
}
