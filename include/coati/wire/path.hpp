// Owns what a valid path is, and how paths are put under a chroot and taken out of it again.
// Servers check paths for some operations only and let a watch be set on nonsense, so clients
// must. It must not know which operation a path belongs to, nor which paths are exempt from the
// chroot.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coati::wire {

enum class path_error : std::uint8_t {
    none,
    empty,
    not_absolute,
    trailing_slash,
    empty_component,
    dot_component,
    bad_character,
    invalid_utf8
};

constexpr const char* describe(path_error error) noexcept
{
    switch (error) {
    case path_error::none: return "a valid path";
    case path_error::empty: return "the path is empty";
    case path_error::not_absolute: return "the path does not begin with a slash";
    case path_error::trailing_slash: return "the path ends with a slash";
    case path_error::empty_component:
        return "the path contains an empty component (two slashes in a row)";
    case path_error::dot_component: return "the path contains a component that is . or ..";
    case path_error::bad_character:
        return "the path contains a control, private-use or non-BMP character";
    case path_error::invalid_utf8: return "the path is not valid UTF-8";
    }
    return "unknown path error";
}

namespace detail {

// The server is Java and looks at UTF-16 code units: its range D800-F8FF bans private use *and*,
// by way of their surrogates, every character beyond U+FFFF, emoji included.
constexpr bool is_legal_character(std::uint32_t c) noexcept
{
    const bool control = c <= 0x1F || (c >= 0x7F && c <= 0x9F);
    return !control && !(c >= 0xD800 && c <= 0xF8FF) && c < 0xFFF0;
}

inline constexpr std::uint32_t not_utf8 = 0xFFFFFFFF;

// The code point at `at`, which moves behind it. Strict: no overlong forms, no surrogates,
// nothing beyond U+10FFFF. The server would see U+FFFD and store another path than was meant.
constexpr std::uint32_t next_code_point(std::string_view text, std::size_t& at) noexcept
{
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint32_t first = byte(at++);
    if (first < 0x80) {
        return first;
    }
    std::size_t more = 0;
    std::uint32_t smallest = 0;
    std::uint32_t c = 0;
    if (first >= 0xC0 && first < 0xE0) {
        more = 1;
        smallest = 0x80;
        c = first & 0x1F;
    } else if (first >= 0xE0 && first < 0xF0) {
        more = 2;
        smallest = 0x800;
        c = first & 0x0F;
    } else if (first >= 0xF0 && first < 0xF8) {
        more = 3;
        smallest = 0x10000;
        c = first & 0x07;
    } else {
        return not_utf8;
    }
    for (; more > 0; --more, ++at) {
        if (at == text.size() || (byte(at) & 0xC0) != 0x80) {
            return not_utf8;
        }
        c = (c << 6) | (byte(at) & 0x3FU);
    }
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    return c < smallest || c > 0x10FFFF || surrogate ? not_utf8 : c;
}

constexpr path_error check_component(std::string_view component) noexcept
{
    if (component.empty()) {
        return path_error::empty_component;
    }
    return component == "." || component == ".." ? path_error::dot_component : path_error::none;
}

// Plain ASCII, and not so much as a second slash or a dot behind one: valid without a closer look.
// Nearly every path is, and every request asks.
constexpr bool is_plainly_valid(std::string_view path) noexcept
{
    if (path.size() < 2 || path.front() != '/' || path.back() == '/') {
        return false;
    }
    char before = '/';
    for (std::size_t at = 1; at < path.size(); ++at) {
        const char c = path[at];
        if (c < '!' || c > '~' || (before == '/' && (c == '/' || c == '.'))) {
            return false;
        }
        before = c;
    }
    return true;
}

// `open_ended`: the server appends digits, so the last component may be anything.
constexpr path_error check_path(std::string_view path, bool open_ended) noexcept
{
    if (is_plainly_valid(path)) {
        return path_error::none;
    }
    if (path.empty()) {
        return path_error::empty;
    }
    if (path.front() != '/') {
        return path_error::not_absolute;
    }
    if (path == "/") {
        return path_error::none;
    }
    if (!open_ended && path.back() == '/') {
        return path_error::trailing_slash;
    }
    std::size_t component = 1;
    for (std::size_t at = 1; at < path.size();) {
        const std::size_t here = at;
        const std::uint32_t c = next_code_point(path, at);
        if (c == not_utf8) {
            return path_error::invalid_utf8;
        }
        if (!is_legal_character(c)) {
            return path_error::bad_character;
        }
        if (c == '/') {
            const path_error found = check_component(path.substr(component, here - component));
            if (found != path_error::none) {
                return found;
            }
            component = at;
        }
    }
    return open_ended ? path_error::none : check_component(path.substr(component));
}

}  // namespace detail

constexpr path_error validate_path(std::string_view path) noexcept
{
    return detail::check_path(path, false);
}

// For creating sequential znodes: valid if the path with a digit behind it is. So a trailing slash
// is fine, and gives a name of digits only.
constexpr path_error validate_sequential_path(std::string_view path) noexcept
{
    return detail::check_path(path, true);
}

// The path on the server. Both are valid paths; the chroot may also be empty or "/", for none.
inline std::string join_chroot(std::string_view chroot, std::string_view path)
{
    if (chroot.empty() || chroot == "/") {
        return std::string{path};
    }
    std::string joined;
    joined.reserve(chroot.size() + path.size());
    joined.append(chroot);
    if (path != "/") {
        joined.append(path);
    }
    return joined;
}

// The same for the path of a sequential create, where "/" means "directly under the chroot": by
// the rule above the new znode would become a *sibling* of the chroot.
inline std::string join_chroot_sequential(std::string_view chroot, std::string_view path)
{
    std::string joined = join_chroot(chroot, path);
    if (path == "/" && joined != "/") {
        joined.push_back('/');
    }
    return joined;
}

// The path as a user of the chroot knows it: a view of `server_path`, or "/". What lies outside of
// the chroot stays as it is; "/zoo" is no chroot of "/zookeeper/config" (ZOOKEEPER-4742).
constexpr std::string_view strip_chroot(std::string_view chroot,
                                        std::string_view server_path) noexcept
{
    if (chroot.empty() || chroot == "/" || !server_path.starts_with(chroot)) {
        return server_path;
    }
    const std::string_view inside = server_path.substr(chroot.size());
    if (inside.empty()) {
        return "/";
    }
    return inside.front() == '/' ? inside : server_path;
}

// "/a" of "/a/b", "/" of "/a", and nothing of "/": walking upwards ends.
constexpr std::string_view parent_path(std::string_view path) noexcept
{
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos || path.size() == 1) {
        return {};
    }
    return path.substr(0, slash == 0 ? 1 : slash);
}

// "b" of "/a/b", nothing of "/".
constexpr std::string_view last_component(std::string_view path) noexcept
{
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace coati::wire
