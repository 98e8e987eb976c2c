// What the servers can do: their versions, where they say them, and the operations that they were
// seen to hang up on (trap 54).
//
// Knows how nothing is asked; who asks is src/engine_version.cpp.
#pragma once

#include <coati/wire/op_code.hpp>
#include <coati/wire/server_version.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coati::protocol {

/// Whether a server has an operation.
enum class knowledge : std::uint8_t {
    known,
    unknown,
    ask,  ///< Its version would tell.
};

/// Of every server by its address, and of the one that we are connected to.
class abilities {
public:
    /// Nobody is asked about what came with this version or before: it is from 2017, and a question
    /// costs a connection. An older server loses us one, once.
    static constexpr wire::server_version taken_for_granted{3, 5, 3};

    /// The connection is to this server. That it once was too old does not count: servers are
    /// upgraded, so it is asked again.
    void on_connected(std::string_view server)
    {
        const auto at = std::find_if(servers_.begin(), servers_.end(),
                                     [&](const auto& each) { return each.address == server; });
        record present;
        if (at != servers_.end()) {
            present = std::move(*at);
            servers_.erase(at);
        } else {
            present.address = server;
        }
        if (present.version && *present.version < wire::since_all) {
            present.version.reset();
            present.asked = false;
        }
        if (servers_.size() == most_servers) {
            servers_.erase(servers_.begin());
        }
        servers_.push_back(std::move(present));
        look_at_present();
    }

    /// It was asked. Nothing: it did not say; then an operation is tried, and remembered when it
    /// cost the connection.
    void on_version(std::optional<wire::server_version> says) noexcept
    {
        servers_.back().version = says;
        servers_.back().asked = true;
        look_at_present();
    }

    /// It answered "unimplemented" and hung up.
    void on_refused(wire::op_code op)
    {
        servers_.back().refused.push_back(op);
        look_at_present();
    }

    /// Whether the server that we are connected to has it.
    knowledge of(wire::op_code op) const noexcept
    {
        // Every request passes here, and nearly every one is old enough.
        return is_plain_ && is_granted(op) ? knowledge::known : look_up(op);
    }

    /// A new session: what was refused is tried again.
    void reset() noexcept
    {
        servers_.clear();
        is_plain_ = true;
    }

private:
    // Of an ensemble whose addresses change for ever the oldest are forgotten.
    static constexpr std::size_t most_servers = 64;

    struct record {
        std::string address;
        std::optional<wire::server_version> version;
        bool asked = false;
        std::vector<wire::op_code> refused;
    };

    static constexpr bool is_granted(wire::op_code op) noexcept
    {
        return wire::since(op) <= taken_for_granted;
    }

    /// Nothing is known against the present server: neither its version nor what it refused.
    void look_at_present() noexcept
    {
        is_plain_ = servers_.back().refused.empty() &&
                    (!servers_.back().version || *servers_.back().version >= taken_for_granted);
    }

    knowledge look_up(wire::op_code op) const noexcept
    {
        if (servers_.empty()) {
            return knowledge::known;
        }
        const record& present = servers_.back();
        if (std::find(present.refused.begin(), present.refused.end(), op) !=
            present.refused.end()) {
            return knowledge::unknown;
        }
        const wire::server_version first = wire::since(op);
        if (present.version) {
            return *present.version >= first ? knowledge::known : knowledge::unknown;
        }
        return present.asked || is_granted(op) ? knowledge::known : knowledge::ask;
    }

    std::vector<record> servers_;  // the last one is the present one's
    bool is_plain_ = true;
};

}  // namespace coati::protocol
