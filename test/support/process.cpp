#include "process.hpp"

#include "port.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

namespace coati::test {

namespace {

std::vector<char*> pointers(std::vector<std::string>& strings)
{
    std::vector<char*> out;
    for (std::string& s : strings)
        out.push_back(s.data());
    out.push_back(nullptr);
    return out;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& added)
{
    std::vector<std::string> out;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view ours(*entry);
        const std::string_view name = ours.substr(0, ours.find('=') + 1);
        bool replaced = false;
        for (const std::string& other : added)
            replaced = replaced || other.starts_with(name);
        if (!replaced)
            out.emplace_back(ours);
    }
    out.insert(out.end(), added.begin(), added.end());
    return out;
}

struct child_plan {
    pid_t parent;
    char* const* argv;
    char* const* envp;
    const char* working_directory;
    const char* output_file;
    bool own_group;
    int report;  // a pipe that closes by itself when exec succeeds, and carries errno when not
};

[[noreturn]] void give_up(int report)
{
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(report, &error, sizeof error);
    ::_exit(127);
}

// After fork only async-signal-safe calls are allowed: other threads may hold any lock.
[[noreturn]] void become(const child_plan& plan)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent)
        ::_exit(127);  // the parent died before prctl took effect
    if (plan.own_group)
        ::setpgid(0, 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD})
        ::signal(number, SIG_DFL);
    if (*plan.working_directory != '\0' && ::chdir(plan.working_directory) != 0)
        give_up(plan.report);
    if (*plan.output_file != '\0') {
        const int in = ::open("/dev/null", O_RDONLY);
        const int out = ::open(plan.output_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (in < 0 || out < 0)
            give_up(plan.report);
        ::dup2(in, 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        // Whatever else is open is not the server's: a socket kept alive here would hide a cut.
        // 4 is CLOSE_RANGE_CLOEXEC.
        ::syscall(SYS_close_range, 3U, ~0U, 4U);
    }
    ::execvpe(plan.argv[0], plan.argv, plan.envp);
    give_up(plan.report);
}

}  // namespace

pid_t spawn(const spawn_options& options)
{
    if (::gettid() != ::getpid())
        throw std::logic_error("spawn: the child would die with this thread; use the main one");
    std::vector<std::string> command = options.command;
    std::vector<std::string> environment = merged_environment(options.environment);
    const std::vector<char*> argv = pointers(command);
    const std::vector<char*> envp = pointers(environment);

    int pipe_ends[2];
    if (::pipe2(pipe_ends, O_CLOEXEC) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe");
    unique_fd reading(pipe_ends[0]);
    unique_fd writing(pipe_ends[1]);

    const child_plan plan{
        ::getpid(),
        argv.data(),
        envp.data(),
        options.working_directory.c_str(),
        options.output_file.c_str(),
        options.own_group,
        writing.get(),
    };
    const pid_t pid = ::fork();
    if (pid < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0)
        become(plan);

    writing.reset();
    int error = 0;
    ssize_t got = 0;
    do
        got = ::read(reading.get(), &error, sizeof error);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        ::waitpid(pid, nullptr, 0);
        throw std::system_error(error, std::generic_category(), "cannot run " + command[0]);
    }
    return pid;
}

int exit_code(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace coati::test
