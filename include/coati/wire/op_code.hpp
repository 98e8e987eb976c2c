// Owns the numbers of the operations and their names in logs. The layouts are in operation.hpp,
// one struct per number; nothing here may know them.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace coati::wire {

enum class op_code : std::int32_t {
    notification = 0,  // never a request: a server hangs up on it
    create = 1,
    remove = 2,  // ZooKeeper's "delete"
    exists = 3,
    get_data = 4,
    set_data = 5,
    get_acl = 6,
    set_acl = 7,
    get_children = 8,
    sync = 9,
    ping = 11,
    get_children2 = 12,
    check = 13,  // only inside a multi: alone, 3.8 never answers it
    multi = 14,
    create2 = 15,
    reconfig = 16,
    check_watches = 17,
    remove_watches = 18,
    create_container = 19,
    delete_container = 20,  // internal to servers, never sent: it has no ACL check
    create_ttl = 21,
    multi_read = 22,
    auth = 100,
    set_watches = 101,
    sasl = 102,
    get_ephemerals = 103,
    get_all_children_number = 104,
    set_watches2 = 105,
    add_watch = 106,
    who_am_i = 107,
    create_session = -10,  // internal to servers, never sent
    close_session = -11,
    error = -1  // only as the type of a result inside a multi
};

// Every code that a client may send; each has a struct in operation.hpp.
inline constexpr std::array all_op_codes{
    op_code::create,
    op_code::remove,
    op_code::exists,
    op_code::get_data,
    op_code::set_data,
    op_code::get_acl,
    op_code::set_acl,
    op_code::get_children,
    op_code::sync,
    op_code::ping,
    op_code::get_children2,
    op_code::check,
    op_code::multi,
    op_code::create2,
    op_code::reconfig,
    op_code::check_watches,
    op_code::remove_watches,
    op_code::create_container,
    op_code::create_ttl,
    op_code::multi_read,
    op_code::auth,
    op_code::set_watches,
    op_code::sasl,
    op_code::get_ephemerals,
    op_code::get_all_children_number,
    op_code::set_watches2,
    op_code::add_watch,
    op_code::who_am_i,
    op_code::close_session,
};

namespace detail {

struct op_name {
    op_code code;
    std::string_view name;
};

inline constexpr std::array op_names{
    op_name{op_code::create, "create"},
    op_name{op_code::remove, "remove"},
    op_name{op_code::exists, "exists"},
    op_name{op_code::get_data, "get_data"},
    op_name{op_code::set_data, "set_data"},
    op_name{op_code::get_acl, "get_acl"},
    op_name{op_code::set_acl, "set_acl"},
    op_name{op_code::get_children, "get_children"},
    op_name{op_code::sync, "sync"},
    op_name{op_code::ping, "ping"},
    op_name{op_code::get_children2, "get_children2"},
    op_name{op_code::check, "check"},
    op_name{op_code::multi, "multi"},
    op_name{op_code::create2, "create2"},
    op_name{op_code::reconfig, "reconfig"},
    op_name{op_code::check_watches, "check_watches"},
    op_name{op_code::remove_watches, "remove_watches"},
    op_name{op_code::create_container, "create_container"},
    op_name{op_code::create_ttl, "create_ttl"},
    op_name{op_code::multi_read, "multi_read"},
    op_name{op_code::auth, "auth"},
    op_name{op_code::set_watches, "set_watches"},
    op_name{op_code::sasl, "sasl"},
    op_name{op_code::get_ephemerals, "get_ephemerals"},
    op_name{op_code::get_all_children_number, "get_all_children_number"},
    op_name{op_code::set_watches2, "set_watches2"},
    op_name{op_code::add_watch, "add_watch"},
    op_name{op_code::who_am_i, "who_am_i"},
    op_name{op_code::close_session, "close_session"},
    op_name{op_code::notification, "notification"},
    op_name{op_code::delete_container, "delete_container"},
    op_name{op_code::create_session, "create_session"},
    op_name{op_code::error, "error"},
};

}  // namespace detail

// For logs and traces; "unknown" for a number without an enumerator.
constexpr std::string_view name(op_code code) noexcept
{
    for (const detail::op_name& entry : detail::op_names) {
        if (entry.code == code) {
            return entry.name;
        }
    }
    return "unknown";
}

}  // namespace coati::wire
