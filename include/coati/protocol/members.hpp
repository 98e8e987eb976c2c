// Where clients can find a member of the ensemble, out of its line in the configuration.
//
// What stands there is written for the servers: the client address is mostly a wildcard, often an
// internal one, and may be missing. So it is only ever a list of places to ask; that one of them
// answers is for others to find out.
#pragma once

#include <coati/config.hpp>
#include <coati/ensemble_config.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace coati::protocol {

/// "Every address of the server", in the forms in which servers write it.
inline bool is_wildcard(std::string_view host) noexcept
{
    return host.empty() || host == "0.0.0.0" || host == "::" || host == "0:0:0:0:0:0:0:0";
}

/// Places to ask, the likeliest first: the client address as it is, then the hosts by which the
/// other servers reach this one. `configured` are the servers that the user named: one on the same
/// host tells the port where the line does not, and the zone.
inline std::vector<server_address> client_addresses(const ensemble_member& member,
                                                    const std::vector<server_address>& configured)
{
    std::vector<server_address> places;
    const auto add = [&](const std::string& host) {
        const auto known = std::find_if(configured.begin(), configured.end(),
                                        [&](const server_address& s) { return s.host == host; });
        if (!member.client_port && known == configured.end()) {
            return;
        }
        server_address place{host, member.client_port ? *member.client_port : known->port};
        place.zone = known == configured.end() ? std::string() : known->zone;
        if (std::find(places.begin(), places.end(), place) == places.end()) {
            places.push_back(std::move(place));
        }
    };
    if (!is_wildcard(member.client_host)) {
        add(member.client_host);
    }
    for (const peer_address& each : member.peers) {
        add(each.host);
    }
    return places;
}

}  // namespace coati::protocol
