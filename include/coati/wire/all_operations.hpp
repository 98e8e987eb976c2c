// Owns the list of all operations as types, for whatever must hold for every one of them: the
// completeness tests, and tables built at compile time. Nothing on the hot path needs it.

#pragma once

#include <coati/wire/operation.hpp>
#include <coati/wire/operation_admin.hpp>
#include <coati/wire/operation_watch.hpp>

namespace coati::wire {

template <operation... Ops>
struct operation_list {};

using all_operations =
    operation_list<create, create2, create_container, create_ttl, remove, exists, get_data,
                   set_data, get_acl, set_acl, get_children, get_children2, sync, check, multi,
                   multi_read, ping, close_session, auth, sasl, who_am_i, reconfig, get_ephemerals,
                   get_all_children_number, add_watch, check_watches, remove_watches, set_watches,
                   set_watches2>;

// Calls visit.template operator()<Op>() for each.
template <class Visitor, operation... Ops>
void for_each_operation(operation_list<Ops...>, Visitor&& visit)
{
    (visit.template operator()<Ops>(), ...);
}

}  // namespace coati::wire
