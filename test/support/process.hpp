// A child process that cannot outlive us.

#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace coati::test {

struct spawn_options {
    std::vector<std::string> command;      // command[0] is looked up in PATH
    std::vector<std::string> environment;  // "NAME=value", on top of ours
    std::string working_directory;         // empty: ours
    std::string output_file;               // stdout and stderr, appended; empty: ours
    bool own_group = true;                 // its own process group: Ctrl-C is ours alone to handle
};

// Throws std::system_error when there is no such program. The child is killed when the calling
// thread ends, so call it from the main thread (asserted by an exception).
pid_t spawn(const spawn_options& options);

// The exit code as a shell has it: 128 + n after signal n.
int exit_code(int wait_status);

}  // namespace coati::test
