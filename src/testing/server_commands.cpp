// What each command does, found by a table that is the help, too.
//
// A refusal is an exception inside, and a line that says what to do outside.
#include "server_commands.hpp"

#include <coati/testing/faults.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <stdexcept>

namespace coati::testing {

namespace {

using std::string;
using std::string_view;

/// The first word; `line` is what comes behind it and one blank.
string_view take_word(string_view& line)
{
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

string_view trimmed(string_view text)
{
    const auto first = text.find_first_not_of(" \t\r");
    if (first == string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

template <class Number>
bool parse(string_view text, Number& into, int base = 10)
{
    const char* const end = text.data() + text.size();
    const auto done = std::from_chars(text.data(), end, into, base);
    return done.ec == std::errc() && done.ptr == end;
}

string hex(std::int64_t id)
{
    std::array<char, 19> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(id));
    return text.data();
}

/// Data on one line: what would break it is written as \n, \xHH and so on.
string escaped(string_view data)
{
    string out;
    for (const char c : data) {
        if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20) {
            std::array<char, 5> text{};
            std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned char>(c));
            out += text.data();
        } else {
            out += c;
        }
    }
    return out;
}

string unescaped(string_view text)
{
    string out;
    while (!text.empty()) {
        const auto plain = std::min(text.find('\\'), text.size());
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.empty()) {
            break;
        }
        unsigned char byte = 0;
        if (text.starts_with("\\n")) {
            out += '\n';
            text.remove_prefix(2);
        } else if (text.starts_with("\\\\")) {
            out += '\\';
            text.remove_prefix(2);
        } else if (text.starts_with("\\x") && text.size() >= 4 &&
                   parse(text.substr(2, 2), byte, 16)) {
            out += static_cast<char>(byte);
            text.remove_prefix(4);
        } else {
            throw std::invalid_argument("data has a backslash that is not \\\\, \\n or \\xHH; "
                                        "write \\\\ for a backslash");
        }
    }
    return out;
}

/// The number whose enumerator has this name.
template <class Enum>
std::optional<Enum> named(string_view word, int first, int last)
{
    for (int i = first; i <= last; ++i) {
        if (name(static_cast<Enum>(i)) == word && word != "unknown") {
            return static_cast<Enum>(i);
        }
    }
    return std::nullopt;
}

wire::op_code operation_of(string_view word)
{
    if (const auto found = named<wire::op_code>(word, 1, 200)) {
        return *found;
    }
    throw std::invalid_argument("there is no operation \"" + escaped(word) +
                                "\"; `set_data`, `create`, `get_children2` are some");
}

errc error_of(string_view word)
{
    if (const auto found = named<errc>(word, -200, -1)) {
        return *found;
    }
    throw std::invalid_argument("there is no error \"" + escaped(word) +
                                "\" of a server; `no_node`, `bad_version`, `no_auth` are some");
}

/// What stands behind the server in `fault`.
scripted_server::frame_hook script_of(string_view rest)
{
    const auto what = take_word(rest);
    std::int32_t by = 0;
    if (what == "none" && rest.empty()) {
        return {};
    }
    if (what == "lose-reply") {
        return lose_reply(operation_of(rest));
    }
    if (what == "lose-request") {
        return lose_request(operation_of(rest));
    }
    if (what == "answer") {
        const auto op = operation_of(take_word(rest));
        return answer_with(op, error_of(rest));
    }
    if (what == "delay" && parse(rest, by) && by >= 0) {
        return delay_replies(std::chrono::milliseconds(by));
    }
    throw std::invalid_argument(
        "fault takes a server and lose-reply OP, lose-request OP, answer OP "
        "ERROR, delay MS or none, as in `fault 0 lose-reply set_data`");
}

string_view path_in(string_view& rest, string_view command)
{
    const auto path = take_word(rest);
    if (!path.starts_with('/')) {
        throw std::invalid_argument(string(command) + " takes a path, as in `" + string(command) +
                                    " /a/b`");
    }
    return path;
}

}  // namespace

struct server_commands::command {
    string_view name;
    string_view arguments;
    string_view meaning;
    string (server_commands::*run)(string_view);
};

std::span<const server_commands::command> server_commands::all()
{
    using self = server_commands;
    static constexpr std::array commands{
        command{"kill", "S", "server S dies: its port is closed, sessions live on", &self::kill},
        command{"revive", "S", "server S listens again, on the same port", &self::revive},
        command{"pause", "[S]", "stands still, as after SIGSTOP; without S: all", &self::pause},
        command{"resume", "[S]", "goes on; without S: all", &self::resume},
        command{"drop", "[S]", "closes all connections and goes on listening", &self::drop},
        command{"isolate", "S", "cut off from the other servers, not from its clients",
                &self::isolate},
        command{"heal", "[S]", "with the other servers again; without S: all", &self::heal},
        command{"lag", "S MS", "learns of every change so much later; 0 ends it", &self::lag},
        command{"fault", "S WHAT",
                "lose-reply OP, lose-request OP (the next one), "
                "answer OP ERROR, delay MS, none",
                &self::fault},
        command{"leader", "", "which server leads", &self::leader},
        command{"quorum", "on|off", "without a quorum nobody is served", &self::quorum},
        command{"expire", "ID|all", "ends a session as its deadline would", &self::expire},
        command{"sessions", "", "the ids of all sessions", &self::sessions},
        command{"put", "PATH [DATA]", "creates, with parents, or sets a znode", &self::put},
        command{"create", "PATH [DATA]", "creates, with parents; it must not exist", &self::create},
        command{"delete", "PATH", "deletes a znode without children", &self::remove},
        command{"get", "PATH", "the data of a znode", &self::get},
        command{"ls", "PATH", "the names of the children of a znode", &self::list},
        command{"status", "", "where each server listens and what it is doing", &self::status},
        command{"help", "", "this list", &self::say_help},
        command{"quit", "", "ends the program", &self::quit},
    };
    return commands;
}

string server_commands::help()
{
    string out;
    for (const auto& each : all()) {
        string line = "  " + string(each.name) + ' ' + string(each.arguments);
        line.resize(std::max<std::size_t>(line.size() + 1, 22), ' ');
        out += line + string(each.meaning) + '\n';
    }
    return out;
}

string server_commands::execute(string_view line)
{
    line = trimmed(line);
    if (line.empty() || line.front() == '#') {
        return {};
    }
    const string_view name = take_word(line);
    const auto found =
        std::ranges::find_if(all(), [&](const command& each) { return each.name == name; });
    if (found == all().end()) {
        return "error: unknown command \"" + escaped(name) + "\"; `help` lists what there is";
    }
    try {
        const string answer = (this->*found->run)(line);
        return answer.empty() ? "ok" : "ok " + answer;
    } catch (const std::exception& refused) {
        return string("error: ") + refused.what();
    }
}

// --- servers -------------------------------------------------------------------------------------

/// By its number, by its port, or by host:port as a client knows it.
std::size_t server_commands::server_of(string_view word) const
{
    const auto colon = word.rfind(':');
    const string_view digits = colon == string_view::npos ? word : word.substr(colon + 1);
    std::size_t number = 0;
    if (parse(digits, number)) {
        if (colon == string_view::npos && number < server_.size()) {
            return number;
        }
        for (std::size_t i = 0; i < server_.size(); ++i) {
            if (server_.endpoint(i).port == number) {
                return i;
            }
        }
    }
    throw std::invalid_argument("there is no server \"" + escaped(word) + "\"; there are " +
                                std::to_string(server_.size()) +
                                ", numbered from 0 in the order of " + server_.connect_string());
}

template <class What>
void server_commands::each_of(string_view rest, What what)
{
    if (!rest.empty()) {
        what(server_of(rest));
        return;
    }
    for (std::size_t i = 0; i < server_.size(); ++i) {
        what(i);
    }
}

string server_commands::kill(string_view rest)
{
    const std::size_t which = server_of(rest);
    if (server_.state(which) == process_state::killed) {
        throw std::invalid_argument("server " + std::to_string(which) +
                                    " is killed already; `revive` brings it back");
    }
    server_.kill(which);
    return {};
}

string server_commands::revive(string_view rest)
{
    const std::size_t which = server_of(rest);
    if (server_.state(which) != process_state::killed) {
        throw std::invalid_argument("server " + std::to_string(which) + " is " +
                                    string(name(server_.state(which))) +
                                    "; only a killed one can be revived");
    }
    server_.restart(which);
    return {};
}

string server_commands::pause(string_view rest)
{
    each_of(rest, [this](std::size_t i) { server_.pause(i); });
    return {};
}

string server_commands::resume(string_view rest)
{
    each_of(rest, [this](std::size_t i) { server_.resume(i); });
    return {};
}

string server_commands::drop(string_view rest)
{
    each_of(rest, [this](std::size_t i) { server_.drop_connections(i); });
    return {};
}

string server_commands::isolate(string_view rest)
{
    server_.isolate(server_of(rest));
    return {};
}

string server_commands::heal(string_view rest)
{
    each_of(rest, [this](std::size_t i) { server_.heal(i); });
    return {};
}

string server_commands::lag(string_view rest)
{
    const std::size_t which = server_of(take_word(rest));
    std::int32_t by = 0;
    if (!parse(rest, by) || by < 0) {
        throw std::invalid_argument("lag takes a server and milliseconds, as in `lag 0 250`");
    }
    server_.lag(which, std::chrono::milliseconds(by));
    return {};
}

string server_commands::fault(string_view rest)
{
    const std::size_t which = server_of(take_word(rest));
    auto script = script_of(rest);
    server_.run([&](embedded_server::stage& on) { on.server(which).on_frame(std::move(script)); });
    return {};
}

string server_commands::leader(string_view)
{
    const auto which = server_.leader();
    if (!which) {
        throw std::runtime_error("there is no leader now");
    }
    return std::to_string(*which);
}

string server_commands::quorum(string_view rest)
{
    if (rest != "on" && rest != "off") {
        throw std::invalid_argument("quorum takes on or off");
    }
    server_.has_quorum(rest == "on");
    return {};
}

// --- sessions ------------------------------------------------------------------------------------

string server_commands::expire(string_view rest)
{
    if (rest == "all") {
        for (const auto& each : server_.sessions()) {
            server_.expire(each.id);
        }
        return {};
    }
    const bool is_hex = rest.starts_with("0x");
    std::uint64_t id = 0;
    if (!parse(rest.substr(is_hex ? 2 : 0), id, is_hex ? 16 : 10)) {
        throw std::invalid_argument("expire takes the id of a session, as in `expire 0x1f`, or "
                                    "`expire all`");
    }
    if (!server_.expire(static_cast<std::int64_t>(id))) {
        throw std::invalid_argument("there is no session " + string(rest) +
                                    "; `sessions` lists those that there are");
    }
    return {};
}

string server_commands::sessions(string_view)
{
    string out;
    for (const auto& each : server_.sessions()) {
        out += (out.empty() ? "" : " ") + hex(each.id);
    }
    return out;
}

// --- znodes --------------------------------------------------------------------------------------

string server_commands::put(string_view rest)
{
    const auto path = path_in(rest, "put");
    server_.put(path, unescaped(rest));
    return {};
}

string server_commands::create(string_view rest)
{
    const auto path = path_in(rest, "create");
    if (server_.exists(path)) {
        throw std::invalid_argument(string(path) + " is there already; `put` sets it");
    }
    server_.put(path, unescaped(rest));
    return {};
}

string server_commands::remove(string_view rest)
{
    const auto path = path_in(rest, "delete");
    if (!server_.exists(path)) {
        throw std::invalid_argument("there is no znode " + string(path));
    }
    if (!server_.remove(path)) {
        throw std::invalid_argument(string(path) + " cannot be deleted: it has children, or it is "
                                                   "the server's own");
    }
    return {};
}

string server_commands::get(string_view rest)
{
    const auto path = path_in(rest, "get");
    if (!server_.exists(path)) {
        throw std::invalid_argument("there is no znode " + string(path));
    }
    return escaped(server_.data(path).value_or(string()));
}

string server_commands::list(string_view rest)
{
    const auto path = path_in(rest, "ls");
    if (!server_.exists(path)) {
        throw std::invalid_argument("there is no znode " + string(path));
    }
    string out;
    for (const auto& each : server_.children(path)) {
        out += (out.empty() ? "" : " ") + each;
    }
    return out;
}

// --- the program ---------------------------------------------------------------------------------

string server_commands::status(string_view)
{
    string out;
    for (std::size_t i = 0; i < server_.size(); ++i) {
        out += (i == 0 ? "" : " ") + to_string(server_.endpoint(i)) + '=' +
               string(name(server_.state(i)));
    }
    return out;
}

string server_commands::say_help(string_view)
{
    string out;
    for (const auto& each : all()) {
        out += (out.empty() ? "" : ", ") + string(each.name);
        out += each.arguments.empty() ? "" : ' ' + string(each.arguments);
    }
    return out;
}

string server_commands::quit(string_view)
{
    has_quit_ = true;
    return {};
}

}  // namespace coati::testing
