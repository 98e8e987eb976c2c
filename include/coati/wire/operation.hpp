// Owns the operations on znodes: one struct per op code, with the records of request and reply,
// whether it changes the ensemble (the replay rule reads this) and which watch it can set.
// Adding an operation is adding such a struct; nothing on this floor asks "which op is it?".
// Paths are server paths here: chroots, permissions and modes are the client API's business.
// Watches are in operation_watch.hpp, session, authentication and the rest in operation_admin.hpp.

#pragma once

#include <coati/stat.hpp>
#include <coati/wire/acl.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/op_code.hpp>
#include <coati/wire/watch_kind.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <vector>

namespace coati::wire {

template <class Op>
concept operation = record<typename Op::request> && record<typename Op::response> && requires {
    {
        Op::code
    } -> std::same_as<const op_code&>;
    {
        Op::mutates
    } -> std::same_as<const bool&>;
    {
        Op::watches
    } -> std::same_as<const watch_kind&>;
};

// The version that matches every version.
inline constexpr std::int32_t any_version = -1;

struct create {
    static constexpr op_code code = op_code::create;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        nullable<std::string_view> data{};
        std::vector<acl> acls{};
        std::int32_t flags = 0;  // 0..3: bit 0 ephemeral, bit 1 sequential

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::data, &request::acls, &request::flags>;
    };

    struct response {
        std::string_view path{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::path>;
    };
};

// Like create, but the reply has the stat. Servers before 3.5 hang up on it.
struct create2 {
    static constexpr op_code code = op_code::create2;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    using request = create::request;

    struct response {
        std::string_view path{};
        coati::stat stat{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::path, &response::stat>;
    };
};

// Flags are 4. The same flags with create or create2 make an ordinary persistent znode.
struct create_container {
    static constexpr op_code code = op_code::create_container;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    using request = create::request;
    using response = create2::response;
};

struct create_ttl {
    static constexpr op_code code = op_code::create_ttl;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        nullable<std::string_view> data{};
        std::vector<acl> acls{};
        std::int32_t flags = 0;  // 5, or 6 for sequential; others are not checked by the server
        std::int64_t ttl_ms = 0;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::data, &request::acls, &request::flags,
                                   &request::ttl_ms>;
    };

    using response = create2::response;
};

struct remove {
    static constexpr op_code code = op_code::remove;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        std::int32_t version = any_version;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::version>;
    };

    struct response {
        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<>;
    };
};

struct exists {
    static constexpr op_code code = op_code::exists;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::data;  // or exist: the reply code decides

    struct request {
        std::string_view path{};
        bool watch = false;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::watch>;
    };

    struct response {
        coati::stat stat{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::stat>;
    };
};

struct get_data {
    static constexpr op_code code = op_code::get_data;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::data;

    using request = exists::request;

    struct response {
        nullable<std::string_view> data{};
        coati::stat stat{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::data, &response::stat>;
    };
};

struct set_data {
    static constexpr op_code code = op_code::set_data;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        nullable<std::string_view> data{};
        std::int32_t version = any_version;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::data, &request::version>;
    };

    using response = exists::response;
};

struct get_acl {
    static constexpr op_code code = op_code::get_acl;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path>;
    };

    struct response {
        std::vector<acl> acls{};
        coati::stat stat{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::acls, &response::stat>;
    };
};

struct set_acl {
    static constexpr op_code code = op_code::set_acl;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        std::vector<acl> acls{};
        std::int32_t version = any_version;  // compared with stat::aversion

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::acls, &request::version>;
    };

    using response = exists::response;
};

struct get_children {
    static constexpr op_code code = op_code::get_children;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::child;

    using request = exists::request;

    struct response {
        std::vector<std::string_view> children{};  // names, not paths, in no order

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::children>;
    };
};

struct get_children2 {
    static constexpr op_code code = op_code::get_children2;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::child;

    using request = exists::request;

    struct response {
        std::vector<std::string_view> children{};
        coati::stat stat{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::children, &response::stat>;
    };
};

struct sync {
    static constexpr op_code code = op_code::sync;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = get_acl::request;
    using response = create::response;  // the path, echoed
};

// Compares the version; -1 asks only that the znode exists. Must not be sent outside a multi.
struct check {
    static constexpr op_code code = op_code::check;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = remove::request;
    using response = remove::response;
};

// The parts of the request are written by append_multi_op and finish_multi, those of the reply are
// read by multi_reader (multi.hpp).
struct multi {
    static constexpr op_code code = op_code::multi;
    static constexpr bool mutates = true;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        remainder body{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::body>;
    };

    struct response {
        remainder body{};

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::body>;
    };
};

struct multi_read {
    static constexpr op_code code = op_code::multi_read;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = multi::request;
    using response = multi::response;
};

}  // namespace coati::wire
