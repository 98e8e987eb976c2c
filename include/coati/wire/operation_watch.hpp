// Owns the operations on watches: setting persistent ones, asking for and removing any, and
// setting all of them again on a new connection. One struct per op code, as in operation.hpp.
// When to send them, and how to cut set_watches into chunks, is the protocol floor's business.

#pragma once

#include <coati/wire/operation.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace coati::wire {

enum class add_watch_mode : std::int32_t { persistent = 0, persistent_recursive = 1 };

// `data` covers exist watches too. The last two are an error to servers before 3.9.
enum class watcher_type : std::int32_t {
    children = 1,
    data = 2,
    any = 3,
    persistent = 4,
    persistent_recursive = 5
};

// The server checks neither path nor permission: a path that is not valid never fires.
struct add_watch {
    static constexpr op_code code = op_code::add_watch;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::persistent;  // or recursive: the mode decides

    struct request {
        std::string_view path{};
        add_watch_mode mode = add_watch_mode::persistent;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::mode>;
    };

    struct response {
        std::int32_t err = 0;  // always 0 when the header's is

        friend bool operator==(const response&, const response&) = default;
        using wire_fields = fields<&response::err>;
    };
};

struct check_watches {
    static constexpr op_code code = op_code::check_watches;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::string_view path{};
        watcher_type type = watcher_type::any;

        friend bool operator==(const request&, const request&) = default;
        using wire_fields = fields<&request::path, &request::type>;
    };

    using response = remove::response;
};

struct remove_watches {
    static constexpr op_code code = op_code::remove_watches;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    using request = check_watches::request;
    using response = remove::response;
};

// Events for what changed since relative_zxid come before the reply.
struct set_watches {
    static constexpr op_code code = op_code::set_watches;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::int64_t relative_zxid = 0;
        std::vector<std::string_view> data{};
        std::vector<std::string_view> exist{};
        std::vector<std::string_view> child{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields =
            fields<&request::relative_zxid, &request::data, &request::exist, &request::child>;
    };

    using response = remove::response;
};

// Only when there are persistent watches: servers before 3.6 hang up on it.
struct set_watches2 {
    static constexpr op_code code = op_code::set_watches2;
    static constexpr bool mutates = false;
    static constexpr watch_kind watches = watch_kind::none;

    struct request {
        std::int64_t relative_zxid = 0;
        std::vector<std::string_view> data{};
        std::vector<std::string_view> exist{};
        std::vector<std::string_view> child{};
        std::vector<std::string_view> persistent{};
        std::vector<std::string_view> persistent_recursive{};

        friend bool operator==(const request&, const request&) = default;
        using wire_fields =
            fields<&request::relative_zxid, &request::data, &request::exist, &request::child,
                   &request::persistent, &request::persistent_recursive>;
    };

    using response = remove::response;
};

}  // namespace coati::wire
