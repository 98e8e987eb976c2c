// Reading and writing the lines of an ensemble's configuration.

#include <coati/ensemble_config.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace coati {

namespace {

constexpr std::string_view server_key = "server.";
constexpr std::string_view version_key = "version=";

/// The whole text as a number in range; nothing else.
template <class Number>
bool read_number(std::string_view text, Number& into, int base = 10)
{
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, into, base);
    return read.ec == std::errc{} && read.ptr == end;
}

bool read_port(std::string_view text, std::uint16_t& into)
{
    return read_number(text, into) && into != 0;
}

/// Cuts off what stands before the first `at`, or everything.
std::string_view take_until(std::string_view& text, char at)
{
    const std::size_t found = text.find(at);
    const std::string_view taken = text.substr(0, found);
    text.remove_prefix(found == std::string_view::npos ? text.size() : found + 1);
    return taken;
}

/// A host, which stands in brackets where it is an IPv6 address, and the colon behind it.
bool take_host(std::string_view& text, std::string& into)
{
    if (!text.starts_with('[')) {
        into = take_until(text, ':');
        return !into.empty();
    }
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) {
        return false;
    }
    into = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.starts_with(':')) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

/// `host:quorum:election`, and what is left behind them.
bool take_peer(std::string_view& text, peer_address& into)
{
    return take_host(text, into.host) && read_port(take_until(text, ':'), into.quorum_port) &&
           read_port(take_until(text, ':'), into.election_port);
}

/// `host:quorum:election|host:quorum:election:role`
const char* read_peers(std::string_view text, ensemble_member& into)
{
    while (true) {
        const bool is_last = text.find('|') == std::string_view::npos;
        std::string_view one = take_until(text, '|');
        peer_address peer;
        if (!take_peer(one, peer)) {
            return "not host:quorum port:election port";
        }
        into.peers.push_back(std::move(peer));
        if (!is_last) {
            if (!one.empty()) {
                return "something behind an address that is not the last";
            }
            continue;
        }
        if (one == "observer") {
            into.role = server_role::observer;
        } else if (!one.empty() && one != "participant") {
            return "the role is neither participant nor observer";
        }
        return nullptr;
    }
}

/// `[address:]port`; of several, for several client ports, the first is the one that counts.
const char* read_client(std::string_view text, ensemble_member& into)
{
    std::uint16_t port = 0;
    const bool has_host = text.find(':') != std::string_view::npos;
    if (has_host && !take_host(text, into.client_host)) {
        return "the client address has no host";
    }
    if (!read_port(text, port)) {
        return "the client port is not a port";
    }
    into.client_port = port;
    return nullptr;
}

/// Null, or what is wrong.
const char* read_member(std::string_view line, ensemble_member& into)
{
    if (!line.starts_with(server_key)) {
        return "does not begin with server.";
    }
    line.remove_prefix(server_key.size());
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos || !read_number(line.substr(0, equals), into.id)) {
        return "the id is not a number";
    }
    line.remove_prefix(equals + 1);
    const bool has_client = line.find(';') != std::string_view::npos;
    if (const char* const wrong = read_peers(take_until(line, ';'), into)) {
        return wrong;
    }
    return has_client ? read_client(line, into) : nullptr;
}

/// Null, or what is wrong.
const char* read_line(std::string_view line, ensemble_config& into)
{
    if (line.starts_with(server_key)) {
        ensemble_member member;
        if (const char* const wrong = read_member(line, member)) {
            return wrong;
        }
        for (const ensemble_member& each : into.members) {
            if (each.id == member.id) {
                return "another line has the same id";
            }
        }
        into.members.push_back(std::move(member));
        return nullptr;
    }
    if (line.starts_with(version_key)) {
        std::uint64_t version = 0;
        if (into.version || !read_number(line.substr(version_key.size()), version, 16)) {
            return "the version is not one hexadecimal number";
        }
        into.version = static_cast<std::int64_t>(version);
        return nullptr;
    }
    if (line.find('=') == std::string_view::npos) {
        return "neither a server nor any other key=value";
    }
    into.other.emplace_back(line);
    return nullptr;
}

struct fault {
    std::size_t number = 0;
    std::string_view line;
    const char* what = nullptr;
};

fault read_config(std::string_view text, ensemble_config& into)
{
    for (std::size_t number = 1; !text.empty(); ++number) {
        std::string_view line = take_until(text, '\n');
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (line.empty()) {
            continue;
        }
        if (const char* const wrong = read_line(line, into)) {
            return {number, line, wrong};
        }
    }
    return {};
}

void append_host(std::string& out, const std::string& host)
{
    const bool is_v6 = host.find(':') != std::string::npos;
    out.append(is_v6 ? "[" : "").append(host).append(is_v6 ? "]" : "");
}

}  // namespace

std::string_view name(server_role role) noexcept
{
    switch (role) {
    case server_role::participant: return "participant";
    case server_role::observer: return "observer";
    }
    return "unknown";
}

result<ensemble_member> ensemble_member::parse(std::string_view line)
{
    ensemble_member read;
    if (read_member(line, read) != nullptr) {
        return error(errc::invalid_config, fate::not_sent);
    }
    return read;
}

std::string ensemble_member::to_string() const
{
    std::string line(server_key);
    line.append(std::to_string(id)).append("=");
    const char* between = "";
    for (const peer_address& each : peers) {
        line.append(std::exchange(between, "|"));
        append_host(line, each.host);
        line.append(":").append(std::to_string(each.quorum_port));
        line.append(":").append(std::to_string(each.election_port));
    }
    line.append(":").append(name(role));
    if (client_port) {
        line.append(";");
        if (!client_host.empty()) {
            append_host(line, client_host);
            line.append(":");
        }
        line.append(std::to_string(*client_port));
    }
    return line;
}

result<ensemble_config> ensemble_config::parse(std::string_view text)
{
    ensemble_config read;
    if (read_config(text, read).what != nullptr) {
        return error(errc::invalid_config, fate::not_sent);
    }
    return read;
}

std::string explain_ensemble_config_error(std::string_view text)
{
    ensemble_config read;
    const fault found = read_config(text, read);
    if (found.what == nullptr) {
        return {};
    }
    std::string words = "line " + std::to_string(found.number) + ": ";
    words.append(found.what).append(": ").append(found.line);
    return words;
}

bool membership_change::is_malformed() const noexcept
{
    const auto is_unreachable = [](const ensemble_member& each) { return each.peers.empty(); };
    return (joining_.empty() && leaving_.empty()) ||
           std::any_of(joining_.begin(), joining_.end(), is_unreachable);
}

std::string membership_change::members() const
{
    std::string all;
    for (const ensemble_member& each : joining_) {
        all.append(all.empty() ? "" : ",").append(each.to_string());
    }
    return all;
}

std::string membership_change::leaving() const
{
    std::string all;
    for (const std::int64_t each : leaving_) {
        all.append(all.empty() ? "" : ",").append(std::to_string(each));
    }
    return all;
}

}  // namespace coati
