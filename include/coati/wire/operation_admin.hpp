// Owns the operations on sessions and on the ensemble: ping, close, authentication, reconfig, and
// the two counts. One struct per op code, as in operation.hpp. When to authenticate and when to
// ping is the protocol floor's business.

#pragma once

#include <coati/wire/operation.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace coati::wire {

// Sent with ping_xid.
struct ping {
    static constexpr op_code code = op_code::ping;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<>;
    };

    using response = remove::response;
};

// The server deletes the session's ephemerals, answers, and hangs up.
struct close_session {
    static constexpr op_code code = op_code::close_session;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    using request = ping::request;
    using response = remove::response;
};

// Sent with auth_xid; its replies may overtake all others.
struct auth {
    static constexpr op_code code = op_code::auth;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::int32_t type = 0;  // nobody reads it
        std::string_view scheme{};
        std::string_view credentials{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::type, &request::scheme, &request::credentials>;
    };

    using response = remove::response;
};

// A null token and an empty one differ in both directions: the first token of DIGEST-MD5 is empty,
// and a server hangs up on null.
struct sasl {
    static constexpr op_code code = op_code::sasl;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        nullable<std::string_view> token{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::token>;
    };

    struct response {
        nullable<std::string_view> token{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::token>;
    };
};

// What the server knows about who this connection is.
struct client_info {
    std::string_view scheme{};
    std::string_view user{};

    friend bool operator==(const client_info&, const client_info&) = default;
    using wire_fields = fields<&client_info::scheme, &client_info::user>;
};

struct who_am_i {
    static constexpr op_code code = op_code::who_am_i;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = ping::request;

    struct response {
        std::vector<client_info> clients{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::clients>;
    };
};

// Null means "not given"; either joining and leaving, or new_members.
struct reconfig {
    static constexpr op_code code = op_code::reconfig;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        nullable<std::string_view> joining{};
        nullable<std::string_view> leaving{};
        nullable<std::string_view> new_members{};
        std::int64_t config_id = -1;  // -1 = whatever the present configuration is

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::joining, &request::leaving, &request::new_members,
                                   &request::config_id>;
    };

    using response = get_data::response;  // the text of the configuration
};

// The prefix is a plain one, not by component; empty means all.
struct get_ephemerals {
    static constexpr op_code code = op_code::get_ephemerals;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view prefix{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::prefix>;
    };

    struct response {
        std::vector<std::string_view> paths{};  // absolute ones, of this session

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::paths>;
    };
};

struct get_all_children_number {
    static constexpr op_code code = op_code::get_all_children_number;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = get_acl::request;

    struct response {
        std::int32_t count = 0;  // all descendants, without the znode itself

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::count>;
    };
};

}  // namespace coati::wire
