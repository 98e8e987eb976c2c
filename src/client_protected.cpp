// Creating a znode with a GUID in its name, and finding out by that what became of the request.
//
// Presence is proof: nobody else knows the GUID. Absence is not, for a request may be executed long
// after its connection is lost, by the server that was connected then. So it is never reported as
// anything but doubt.

#include "client_composed.hpp"

#include <coati/convenience.hpp>
#include <coati/supervise.hpp>
#include <coati/wire/path.hpp>

#include <array>

namespace coati {

namespace {

using detail::is_in_doubt;
using detail::asio::awaitable;

constexpr std::string_view mark = "_c_";
constexpr std::size_t guid_size = 36;

/// It was created. Its zxid, unless it is gone again.
awaitable<result<created>> created_at(client zk, std::string path)
{
    auto look = zk.exists(path);
    const result<std::optional<stat>> seen = co_await std::move(look);
    if (!seen) {
        co_return seen.error().with_fate(fate::applied);
    }
    if (!seen->has_value()) {
        co_return error(errc::no_node, fate::applied);
    }
    created made;
    made.path = path;
    made.zxid = (*seen)->czxid;
    co_return made;
}

/// Not sequential: the same name again. Success and "exists" both mean that it is there, and a
/// first request that arrives later finds it there too.
awaitable<result<created>> repeat(client zk, std::string path, data bytes, create_mode mode,
                                  std::optional<acls> who, error doubt)
{
    for (;;) {
        auto again = zk.create(path, bytes, mode, who);
        result<created> made = co_await std::move(again);
        if (made) {
            co_return made;
        }
        if (made.error() == errc::node_exists) {
            auto proof = created_at(zk, path);
            co_return co_await std::move(proof);
        }
        if (!is_in_doubt(made.error())) {
            co_return made.error().retryable() ? doubt
                                               : made.error().with_fate(fate::maybe_applied);
        }
    }
}

/// Sequential: a second one would be another znode. An empty multi is a committed write: what it
/// does not find behind itself is not there yet, on a server that has not been left meanwhile.
awaitable<result<created>> search(client zk, std::string parent, std::string guid, error doubt)
{
    for (;;) {
        auto barrier = zk.multi(std::vector<any_op>());
        const result<multi_results> passed = co_await std::move(barrier);
        if (!passed && is_in_doubt(passed.error())) {
            continue;
        }
        if (!passed) {
            co_return passed.error().retryable() ? doubt
                                                 : passed.error().with_fate(fate::maybe_applied);
        }
        auto list = zk.children(parent);
        const result<children_result> listed = co_await std::move(list);
        if (!listed) {
            co_return doubt;
        }
        for (const std::string& name : listed->names) {
            if (is_protected_by(name, guid)) {
                std::string where = parent == "/" ? "" : parent;
                where.append("/").append(name);
                auto proof = created_at(zk, std::move(where));
                co_return co_await std::move(proof);
            }
        }
        co_return doubt;
    }
}

awaitable<result<created>> protect(client zk, std::string path, data bytes, create_mode mode,
                                   std::optional<acls> who, std::string guid)
{
    std::string named(mark);
    named.append(guid).append("-").append(wire::last_component(path));
    const std::string parent(wire::parent_path(path));
    const std::string full = (parent == "/" ? "/" : parent + "/") + named;
    auto first = zk.create(full, bytes, mode, who);
    result<created> made = co_await std::move(first);
    if (made || !is_in_doubt(made.error())) {
        co_return made;
    }
    auto found = is_sequential(mode) ? search(zk, parent, guid, made.error())
                                     : repeat(zk, full, bytes, mode, who, made.error());
    co_return co_await std::move(found);
}

errc check_protected(const std::string& path, create_mode mode, const std::string& guid)
{
    const auto valid =
        is_sequential(mode) ? wire::validate_sequential_path(path) : wire::validate_path(path);
    if (valid != wire::path_error::none || path == "/") {
        return errc::invalid_path;
    }
    const bool is_guid = guid.size() == guid_size && guid.find('/') == std::string::npos;
    return is_guid ? errc{0} : errc::invalid_argument;
}

}  // namespace

std::string make_guid(const client& zk)
{
    const std::array<std::uint64_t, 2> random{detail::random_number(zk), detail::random_number(zk)};
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < 32; ++i) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            text += '-';
        }
        std::uint64_t four = (random[i / 16] >> (4 * (i % 16))) & 0xF;
        four = i == 12 ? 4 : four;                   // version: random
        four = i == 16 ? (four & 0x3) | 0x8 : four;  // variant of RFC 4122
        text += digits[four];
    }
    return text;
}

operation<created> create_protected(const client& zk, std::string path, coati::data bytes,
                                    create_mode mode, std::optional<acls> who, std::string guid)
{
    // Chosen when it is sent: the same operation started twice makes two znodes.
    const errc wrong =
        check_protected(path, mode, guid.empty() ? std::string(guid_size, '0') : guid);
    return compose<created>(zk, wrong, [path, bytes, mode, who, guid](const client& through) {
        const std::string name = guid.empty() ? make_guid(through) : guid;
        return protect(through, path, bytes, mode, who, name);
    });
}

bool is_protected_by(std::string_view name, std::string_view guid) noexcept
{
    const std::string_view last = wire::last_component(name);
    return last.starts_with(mark) && last.substr(mark.size()).starts_with(guid) &&
           last.substr(mark.size() + guid.size()).starts_with('-');
}

std::string_view unprotected(std::string_view name) noexcept
{
    const std::string_view last = wire::last_component(name);
    const bool is_marked = last.starts_with(mark) && last.size() > mark.size() + guid_size &&
                           last[mark.size() + guid_size] == '-';
    return is_marked ? last.substr(mark.size() + guid_size + 1) : name;
}

}  // namespace coati
