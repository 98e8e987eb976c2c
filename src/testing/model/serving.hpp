// What one server answers to one connection from its own copy: reads, watches, authentication.
//
// Changes nothing but what belongs to the connection. Operations that every server has to know of
// are transactions (server_state.hpp).
#pragma once

#include "server_state.hpp"
#include "watch_tables.hpp"

#include <coati/wire/op_code.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

/// A connection as its server knows it.
struct peer {
    std::int64_t session = 0;
    std::vector<identity> who{{"ip", "127.0.0.1"}};
    watch_tables watches{};
    /// Of all connections of its server: before 3.9 they are asked, too, who watches a path. Only
    /// while that is asked.
    std::vector<const watch_tables*> of_all{};
};

struct event {
    event_type type;
    std::string path;
    std::int64_t zxid = 0;
};

struct reply {
    std::int32_t err = 0;
    std::int64_t zxid = 0;
    std::string body{};           // behind the header
    std::vector<event> before{};  // go out first
    bool hangs_up = false;
};

/// The answer to any operation but transactions and sync. An operation that the server's version
/// does not know is answered by unimplemented and the end of the connection.
reply serve(const server_state& from, peer& to, wire::op_code op, std::string_view body);

/// What a connection hears of a change. One-shot watches are gone then.
std::vector<event> heard_by(peer& by, const change& what, std::int64_t zxid, const rules& has);

/// Whether the server knows the operation.
bool is_known(wire::op_code op, const rules& has);

/// The path of a request, for records and scripts: empty where it has none.
std::string_view path_of(wire::op_code op, std::string_view body);

}  // namespace coati::testing
