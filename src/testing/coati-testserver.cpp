// coati-testserver: a ZooKeeper ensemble in memory on loopback ports, for tests in any language.
//
// Owns the command line, the files, signals and the command connections: one thread that waits in
// poll. The servers run on the thread of embedded_server; what a command means is
// server_commands.cpp. Linux.
#include "server_commands.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <list>
#include <stdexcept>
#include <system_error>

namespace {

using coati::testing::embedded_options;
using coati::testing::embedded_server;
using coati::testing::server_commands;
using namespace std::chrono_literals;

constexpr auto usage = R"(usage: coati-testserver [option...] [-- command [argument...]]

A ZooKeeper ensemble in memory on 127.0.0.1, for tests. When it is ready it prints
    connect=127.0.0.1:p0,127.0.0.1:p1,... command=127.0.0.1:p
and serves until SIGTERM, SIGINT or the command `quit`. With a command behind --, it prints nothing,
runs the command with COATI_CONNECT and COATI_COMMAND in its environment, and ends with it and its
exit code.

  --servers N, --ensemble N   how many servers, 1
  --observers N               how many of them, the last ones, have no vote, 0
  --no-elections              every server serves, whatever happens to the others
  --port N                    of the first server, the others behind it; free ports
  --version V                 the ZooKeeper that it speaks like, as 3.8.0 or 3.9.3
  --min-session-timeout MS    what clients ask for is raised to this, 4000
  --max-session-timeout MS    and lowered to this, 40000
  --super-digest user:HASH    who authenticates so may do everything
  --read-only                 servers without a quorum serve read-only clients
  --data FILE                 commands to execute first, such as `create /path data`
  --command-port N            where commands are taken; a free port
  --help

Commands, from files, on stdin and on the command port: one line in, one line out, which is
"ok", "ok ANSWER" or "error: WHAT". S is a server's number, from 0, or its port.

)";

struct bad_usage : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct arguments {
    embedded_options server;
    std::vector<std::string> files;
    std::uint16_t command_port = 0;
    bool wants_help = false;
    std::vector<std::string> command;
};

template <class Number>
Number number_of(const std::string& option, std::string_view text, Number most)
{
    Number value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || value < 0 ||
        value > most) {
        throw bad_usage(option + " takes a number from 0 to " + std::to_string(most) + ", not \"" +
                        std::string(text) + '"');
    }
    return value;
}

arguments parse(int argc, char** argv)
{
    arguments out;
    auto& ensemble = out.server.ensemble;
    int i = 1;
    for (; i < argc && std::string_view(argv[i]) != "--"; ++i) {
        const std::string option = argv[i];
        const auto value = [&] {
            if (i + 1 >= argc) {
                throw bad_usage(option + " wants a value");
            }
            return std::string_view(argv[++i]);
        };
        if (option == "--servers" || option == "--ensemble") {
            out.server.servers = number_of<std::size_t>(option, value(), 64);
        } else if (option == "--observers") {
            out.server.observers = number_of<std::size_t>(option, value(), 64);
        } else if (option == "--no-elections") {
            out.server.elections = false;
        } else if (option == "--super-digest") {
            ensemble.super_digest = value();
        } else if (option == "--port") {
            out.server.port = number_of<std::uint16_t>(option, value(), 65'535);
        } else if (option == "--command-port") {
            out.command_port = number_of<std::uint16_t>(option, value(), 65'535);
        } else if (option == "--version") {
            ensemble.version = value();
        } else if (option == "--min-session-timeout") {
            ensemble.min_session_timeout = 1ms * number_of(option, value(), 1'000'000'000);
        } else if (option == "--max-session-timeout") {
            ensemble.max_session_timeout = 1ms * number_of(option, value(), 1'000'000'000);
        } else if (option == "--read-only") {
            ensemble.read_only_mode = true;
        } else if (option == "--data") {
            out.files.emplace_back(value());
        } else if (option == "--help" || option == "-h") {
            out.wants_help = true;
        } else {
            throw bad_usage("unknown option " + option);
        }
    }
    if (i < argc && i + 1 == argc) {
        throw bad_usage("there is no command behind --");
    }
    for (++i; i < argc; ++i) {
        out.command.emplace_back(argv[i]);
    }
    return out;
}

/// Stops at the first command that is refused.
void execute_file(server_commands& commands, const std::string& name)
{
    std::ifstream file(name);
    if (!file) {
        throw std::runtime_error("cannot read " + name);
    }
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const std::string answer = commands.execute(line);
        if (answer.starts_with("error: ")) {
            throw std::runtime_error(name + ':' + std::to_string(number) + ": " + answer.substr(7));
        }
    }
}

// --- signals and the command ---------------------------------------------------------------------

/// They arrive by a descriptor and nowhere else, so nothing here runs in a handler. To be called
/// before there is a second thread.
int take_signals()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
        sigaddset(&set, number);
    }
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);  // in the background of a terminal, stdin ends instead
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "signalfd");
    }
    return fd;
}

/// In the child. There are other threads: only what is safe in a signal handler is allowed here.
[[noreturn]] void become(char* const* argv, char* const* envp)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTTIN, SIG_DFL);
    // The servers' sockets are not the command's: one that is kept open would hide a `kill`. 4 is
    // CLOSE_RANGE_CLOEXEC.
    syscall(SYS_close_range, 3U, ~0U, 4U);
    execvpe(argv[0], argv, envp);
    for (const char* const text :
         std::initializer_list<const char*>{"coati-testserver: cannot run ", argv[0], "\n"}) {
        [[maybe_unused]] const auto written = write(2, text, std::strlen(text));
    }
    _exit(127);
}

pid_t spawn(std::vector<std::string> command, std::vector<std::string> added)
{
    std::vector<char*> argv, envp;
    for (auto& each : command) {
        argv.push_back(each.data());
    }
    for (auto& each : added) {
        envp.push_back(each.data());
    }
    for (char** each = environ; *each != nullptr; ++each) {
        const std::string_view entry(*each);
        if (!entry.starts_with("COATI_CONNECT=") && !entry.starts_with("COATI_COMMAND=")) {
            envp.push_back(*each);
        }
    }
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    const pid_t pid = fork();
    if (pid < 0) {
        throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (pid == 0) {
        become(argv.data(), envp.data());
    }
    return pid;
}

// --- the loop ------------------------------------------------------------------------------------

/// Somebody who gives commands: a connection, or stdin with stdout.
struct speaker {
    int in = -1;
    int out = -1;
    bool is_socket = true;
    std::string received{};
};

class program {
public:
    program(const arguments& given, int signals)
        : server_(given.server), commands_(server_), signals_(signals)
    {
        for (const auto& name : given.files) {
            execute_file(commands_, name);
        }
        listen_for_commands(given.command_port);
        if (given.command.empty()) {
            speakers_.push_back({0, 1, false});
            std::cout << "connect=" << server_.connect_string() << " command=" << command_at_
                      << std::endl;
        } else {
            child_ = spawn(given.command, {"COATI_CONNECT=" + server_.connect_string(),
                                           "COATI_COMMAND=" + command_at_});
        }
    }
    program(const program&) = delete;
    program& operator=(const program&) = delete;

    /// Until it is over; the exit code.
    int run()
    {
        while (!exit_code_) {
            wait_and_serve();
            if (commands_.has_quit() && child_ == 0) {
                exit_code_ = 0;
            } else if (commands_.has_quit() && !kill_at_) {
                stop_child(SIGTERM);
            }
        }
        return *exit_code_;
    }

private:
    void listen_for_commands(std::uint16_t port)
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        const int yes = 1;
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (bind(listener_, generic, size) != 0 || listen(listener_, 16) != 0 ||
            getsockname(listener_, generic, &size) != 0) {
            throw std::system_error(errno, std::generic_category(),
                                    "cannot take commands on 127.0.0.1:" + std::to_string(port));
        }
        command_at_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    }

    void wait_and_serve()
    {
        std::vector<pollfd> all{{signals_, POLLIN, 0}, {listener_, POLLIN, 0}};
        for (const auto& each : speakers_) {
            all.push_back({each.in, POLLIN, 0});
        }
        poll(all.data(), all.size(), kill_at_ ? 100 : -1);
        if (all[0].revents != 0) {
            on_signals();
        }
        std::size_t i = 2;
        for (auto at = speakers_.begin(); at != speakers_.end(); ++i) {
            const bool stays = all[i].revents == 0 || hear(*at);
            if (!stays && at->is_socket) {
                close(at->in);
            }
            at = stays ? std::next(at) : speakers_.erase(at);
        }
        if (all[1].revents != 0) {
            const int made = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (made >= 0) {
                speakers_.push_back({made, made});
            }
        }
        if (kill_at_ && std::chrono::steady_clock::now() >= *kill_at_) {
            ::kill(child_, SIGKILL);
        }
    }

    /// Executes the lines that are complete; false when nothing more is to come.
    bool hear(speaker& who)
    {
        constexpr std::size_t longest = 2U << 20U;
        char chunk[65'536];
        const ssize_t n = read(who.in, chunk, sizeof chunk);
        if (n <= 0) {
            return n < 0 && errno == EINTR;
        }
        who.received.append(chunk, static_cast<std::size_t>(n));
        std::string answers;
        std::size_t begin = 0;
        for (auto end = who.received.find('\n'); end != std::string::npos && !commands_.has_quit();
             end = who.received.find('\n', begin)) {
            const std::string answer =
                commands_.execute(std::string_view(who.received).substr(begin, end - begin));
            answers += answer.empty() ? answer : answer + '\n';
            begin = end + 1;
        }
        who.received.erase(0, begin);
        const bool is_heard = who.is_socket ? send(who.out, answers.data(), answers.size(),
                                                   MSG_NOSIGNAL | MSG_DONTWAIT) ==
                                                  static_cast<ssize_t>(answers.size())
                                            : write(who.out, answers.data(), answers.size()) ==
                                                  static_cast<ssize_t>(answers.size());
        return is_heard && who.received.size() <= longest;
    }

    void on_signals()
    {
        signalfd_siginfo seen{};
        while (read(signals_, &seen, sizeof seen) == sizeof seen) {
            const int number = static_cast<int>(seen.ssi_signo);
            int status = 0;
            if (number != SIGCHLD && child_ == 0) {
                exit_code_ = 0;  // the way to end it
            } else if (number != SIGCHLD) {
                stop_child(number);
            } else if (child_ != 0 && waitpid(child_, &status, WNOHANG) == child_) {
                exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            }
        }
    }

    /// It gets three seconds to end by itself.
    void stop_child(int number)
    {
        ::kill(child_, kill_at_ ? SIGKILL : number);
        kill_at_ = kill_at_ ? *kill_at_ : std::chrono::steady_clock::now() + 3s;
    }

    embedded_server server_;
    server_commands commands_;
    int signals_;
    int listener_ = -1;
    std::string command_at_;
    std::list<speaker> speakers_;
    pid_t child_ = 0;
    std::optional<std::chrono::steady_clock::time_point> kill_at_;
    std::optional<int> exit_code_;
};

}  // namespace

int main(int argc, char** argv)
try {
    const arguments given = parse(argc, argv);
    if (given.wants_help) {
        std::cout << usage << server_commands::help();
        return 0;
    }
    program served(given, take_signals());
    return served.run();
} catch (const bad_usage& wrong) {
    std::cerr << "coati-testserver: " << wrong.what() << "; --help says more\n";
    return 2;
} catch (const std::exception& failed) {
    std::cerr << "coati-testserver: " << failed.what() << '\n';
    return 125;
}
