// The configuration of an ensemble as a value: which servers, where, in which role; and the change
// of it that `client::reconfig` asks for. Text in, values out: knows no client and no wire.
#pragma once

#include <coati/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coati {

/// Where the other servers reach one: most have one such address, those of 3.6 and newer may have
/// several.
class peer_address {
public:
    peer_address() = default;
    /// One address with both ports.
    peer_address(std::string name, std::uint16_t quorum, std::uint16_t election)
        : host(std::move(name)), quorum_port(quorum), election_port(election)
    {
    }

    std::string host;                 ///< A name or an address; of IPv6 without brackets.
    std::uint16_t quorum_port = 0;    ///< Where followers reach it while it leads.
    std::uint16_t election_port = 0;  ///< Where leaders are elected.

    friend bool operator==(const peer_address&, const peer_address&) = default;
};

/// What a server of an ensemble does.
enum class server_role : std::uint8_t {
    participant,  ///< Votes.
    observer,     ///< Follows without a vote.
};

/// "participant", "observer": as the configuration writes it.
std::string_view name(server_role role) noexcept;

/// One server of an ensemble: `server.1=zk1:2888:3888:participant;0.0.0.0:2181`.
class ensemble_member {
public:
    ensemble_member() = default;
    /// A server with one peer address. Without a port for clients it keeps that of its own zoo.cfg.
    ensemble_member(std::int64_t server_id, peer_address where,
                    server_role what = server_role::participant,
                    std::optional<std::uint16_t> client_port_number = {}, std::string client = {})
        : id(server_id), role(what), client_host(std::move(client)), client_port(client_port_number)
    {
        peers.push_back(std::move(where));
    }

    /// One line, beginning with `server.N=`. Notable errors: invalid_config.
    static result<ensemble_member> parse(std::string_view line);
    /// As a line of the configuration.
    std::string to_string() const;

    std::int64_t id = 0;                          ///< The server's own number, its `myid`.
    std::vector<peer_address> peers;              ///< Never empty once parsed.
    server_role role = server_role::participant;  ///< A voter, unless it says otherwise.
    std::string client_host;                      ///< Empty: every address of the server.
    std::optional<std::uint16_t> client_port;     ///< Empty: given by the server's own zoo.cfg.

    friend bool operator==(const ensemble_member&, const ensemble_member&) = default;
};

/// What `/zookeeper/config` says.
class ensemble_config {
public:
    /// Notable errors: invalid_config, when any line is malformed; `explain_ensemble_config_error`
    /// names it.
    static result<ensemble_config> parse(std::string_view text);

    std::vector<ensemble_member> members;  ///< In the order of the text.
    /// The zxid of the change that made this configuration; what `reconfig` can expect.
    std::optional<std::int64_t> version;
    /// Every other line as it is: groups, weights, what newer servers may add.
    std::vector<std::string> other;

    friend bool operator==(const ensemble_config&, const ensemble_config&) = default;
};

/// The first malformed line in words: its number, the line, what is wrong. Empty when it parses.
std::string explain_ensemble_config_error(std::string_view text);

/// A change of the ensemble's configuration.
class membership_change {
public:
    /// Incremental: these servers join (or change, if their id is there already), those ids leave.
    /// `expected_version`: refuse with bad_version unless the configuration is still that one.
    explicit membership_change(std::vector<ensemble_member> joining,
                               std::vector<std::int64_t> leaving = {},
                               std::optional<std::int64_t> expected_version = {})
        : joining_(std::move(joining)), leaving_(std::move(leaving)), version_(expected_version)
    {
    }
    /// The whole new configuration.
    static membership_change whole(std::vector<ensemble_member> members,
                                   std::optional<std::int64_t> expected_version = {})
    {
        membership_change all(std::move(members), {}, expected_version);
        all.is_whole_ = true;
        return all;
    }

    /// Whether it replaces the whole configuration.
    bool is_whole() const noexcept { return is_whole_; }
    /// True: it asks for nothing, or for a server without an address.
    bool is_malformed() const noexcept;
    /// The servers that join, or all of a whole configuration, as the request has them.
    std::string members() const;
    /// The ids that leave, as the request has them.
    std::string leaving() const;
    /// The version that the configuration has to have; empty: any.
    std::optional<std::int64_t> expected_version() const noexcept { return version_; }

private:
    std::vector<ensemble_member> joining_;
    std::vector<std::int64_t> leaving_;
    std::optional<std::int64_t> version_;
    bool is_whole_ = false;
};

}  // namespace coati
