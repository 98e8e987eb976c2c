// The commands of coati-testserver: one line in, one line out.
//
// The same from files, from stdin and over a connection. Knows the embedded server, and neither
// files nor sockets. Private to src/testing.
#pragma once

#include <coati/testing/embedded_server.hpp>

#include <span>
#include <string>
#include <string_view>

namespace coati::testing {

class server_commands {
public:
    explicit server_commands(embedded_server& of) : server_(of) {}

    /// "ok", "ok <what was asked for>" or "error: <what is wrong and what to do>", without an end
    /// of line. Empty for an empty line and for a comment, which begins with '#'.
    std::string execute(std::string_view line);
    /// Whether `quit` has been among them.
    bool has_quit() const noexcept { return has_quit_; }

    /// All commands and what they do, a line each.
    static std::string help();

private:
    struct command;
    static std::span<const command> all();

    std::string kill(std::string_view rest);
    std::string revive(std::string_view rest);
    std::string pause(std::string_view rest);
    std::string resume(std::string_view rest);
    std::string drop(std::string_view rest);
    std::string isolate(std::string_view rest);
    std::string heal(std::string_view rest);
    std::string lag(std::string_view rest);
    std::string leader(std::string_view rest);
    std::string fault(std::string_view rest);
    std::string quorum(std::string_view rest);
    std::string expire(std::string_view rest);
    std::string sessions(std::string_view rest);
    std::string put(std::string_view rest);
    std::string create(std::string_view rest);
    std::string remove(std::string_view rest);
    std::string get(std::string_view rest);
    std::string list(std::string_view rest);
    std::string status(std::string_view rest);
    std::string say_help(std::string_view rest);
    std::string quit(std::string_view rest);

    std::size_t server_of(std::string_view word) const;
    /// Does it to the server that is named, or to all when none is.
    template <class What>
    void each_of(std::string_view rest, What what);

    embedded_server& server_;
    bool has_quit_ = false;
};

}  // namespace coati::testing
