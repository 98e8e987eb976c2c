// From a connection string to the settings of a client, and what to tell whoever wrote it wrongly.
//
// Knows the grammar host[:port]{,host[:port]}[/chroot] and nothing of names or networks: a host is
// only looked at for what can never be one. Both entry points run the same parser, so what
// `explain_config_error` says is always about the error that `config::parse` returns.

#include <coati/config.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace coati {

// GCC 12 destroys an aggregate temporary twice when it stands in a co_await expression.
static_assert(!std::is_aggregate_v<config> && !std::is_aggregate_v<session_credentials>);

namespace detail::config_grammar {

struct config_problem {
    errc code;
    std::string text;
};

// A piece of the connection string that still knows where it stood, for the messages.
struct config_piece {
    std::string_view text;
    std::size_t at;

    config_piece part(std::size_t from, std::size_t count = std::string_view::npos) const
    {
        return {text.substr(from, count), at + from};
    }
};

constexpr bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// What cannot stand in a host, whatever resolver it is given to: controls, blanks, brackets.
constexpr bool is_impossible_in_host(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f || c == '[' || c == ']';
}

constexpr bool is_ipv6_character(char c)
{
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    return digit || c == ':' || c == '.';
}

// In quotes, short, and printable: the text goes into logs, the string came from anywhere.
std::string quoted(std::string_view text)
{
    constexpr std::size_t longest = 60;
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += hex[byte >> 4U];
            out += hex[byte & 0xfU];
        }
    }
    out += text.size() > longest ? "...\"" : "\"";
    return out;
}

config_problem problem(const config_piece& piece, std::string_view what,
                       errc code = errc::invalid_config)
{
    std::string text = "byte " + std::to_string(piece.at) + ": ";
    if (!piece.text.empty()) {
        text += quoted(piece.text) + ' ';
    }
    text += what;
    return {code, std::move(text)};
}

config_piece trimmed(config_piece piece)
{
    const auto first = std::ranges::find_if_not(piece.text, is_blank);
    piece = piece.part(static_cast<std::size_t>(first - piece.text.begin()));
    while (!piece.text.empty() && is_blank(piece.text.back())) {
        piece.text.remove_suffix(1);
    }
    return piece;
}

// `piece` is what follows the colon. Nothing there means the default, as for the Java client.
std::optional<config_problem> parse_port(const config_piece& piece, std::uint16_t& port)
{
    if (piece.text.empty()) {
        return std::nullopt;
    }
    unsigned number = 0;
    const char* const end = piece.text.data() + piece.text.size();
    const auto [rest, failed] = std::from_chars(piece.text.data(), end, number);
    if (failed == std::errc::invalid_argument || rest != end) {
        return problem(piece, "is not a port; write a number from 1 to 65535");
    }
    if (failed != std::errc() || number < 1 || number > 65535) {
        return problem(piece, "is out of range for a port; write a number from 1 to 65535");
    }
    port = static_cast<std::uint16_t>(number);
    return std::nullopt;
}

// "[::1]:2181", "[fe80::1%eth0]". Brackets are taken off: resolvers and sockets want none.
std::optional<config_problem> parse_bracketed(const config_piece& item, server_address& server)
{
    const std::size_t close = item.text.find(']');
    if (close == std::string_view::npos) {
        return problem(item, "lacks the closing bracket; write [address]:port");
    }
    const config_piece inside = item.part(1, close - 1);
    const std::string_view address = inside.text.substr(0, inside.text.find('%'));
    const std::string_view zone = inside.text.substr(address.size());
    if (address.find(':') == std::string_view::npos ||
        !std::ranges::all_of(address, is_ipv6_character)) {
        return problem(inside, "is not an IPv6 address; brackets may hold nothing else");
    }
    if (zone.size() == 1 || std::ranges::any_of(zone, is_impossible_in_host)) {
        return problem(inside, "has a malformed zone; write it like %eth0 or leave it out");
    }
    const config_piece behind = item.part(close + 1);
    if (!behind.text.empty() && behind.text.front() != ':') {
        return problem(behind, "follows the bracket; only :port may");
    }
    server.host = inside.text;
    return parse_port(behind.text.empty() ? behind : behind.part(1), server.port);
}

std::optional<config_problem> parse_server(const config_piece& item, server_address& server)
{
    if (item.text.front() == '[') {
        return parse_bracketed(item, server);
    }
    const std::size_t colon = item.text.find(':');
    if (colon != item.text.rfind(':')) {
        return problem(item, "has several colons; put an IPv6 address in brackets, [::1]:2181, "
                             "and separate servers with commas");
    }
    const config_piece host = item.part(0, colon);
    if (host.text.empty()) {
        return problem(item, "has no host before its port; write host:port");
    }
    const auto bad = std::ranges::find_if(host.text, is_impossible_in_host);
    if (bad != host.text.end()) {
        return problem(host.part(static_cast<std::size_t>(bad - host.text.begin()), 1),
                       "cannot stand in a host name; remove it and separate servers with commas");
    }
    server.host = host.text;
    return colon == std::string_view::npos ? std::nullopt
                                           : parse_port(item.part(colon + 1), server.port);
}

std::optional<config_problem> parse_chroot(const config_piece& piece, std::string& chroot)
{
    if (piece.text.empty() || piece.text == "/") {
        return std::nullopt;
    }
    const wire::path_error wrong = wire::validate_path(piece.text);
    if (wrong != wire::path_error::none) {
        return problem(piece,
                       std::string("cannot be the chroot: ") + wire::describe(wrong) +
                           "; write one chroot for all servers behind the last of them, like "
                           "host:2181,host:2181/app",
                       errc::invalid_path);
    }
    chroot = piece.text;
    return std::nullopt;
}

std::optional<config_problem> parse_connection_string(std::string_view text, config& into)
{
    // Everything from the first slash on is the chroot, commas included.
    const std::size_t slash = std::min(text.find('/'), text.size());
    for (std::size_t at = 0; at <= slash;) {
        const std::size_t end = std::min(text.find(',', at), slash);
        const config_piece item = trimmed({text.substr(at, end - at), at});
        if (!item.text.empty()) {
            server_address server;
            if (auto found = parse_server(item, server)) {
                return found;
            }
            into.servers.push_back(std::move(server));
        }
        at = end + 1;
    }
    if (into.servers.empty()) {
        return problem({{}, 0}, "no server is named; write host:port, more of them after commas");
    }
    return parse_chroot({text.substr(slash), slash}, into.chroot);
}

}  // namespace detail::config_grammar

result<config> config::parse(std::string connection_string)
{
    config parsed;
    const auto found = detail::config_grammar::parse_connection_string(connection_string, parsed);
    if (found) {
        return error(found->code);
    }
    return parsed;
}

std::string explain_config_error(std::string_view connection_string)
{
    config ignored;
    auto found = detail::config_grammar::parse_connection_string(connection_string, ignored);
    return found ? std::move(found->text) : std::string();
}

}  // namespace coati
