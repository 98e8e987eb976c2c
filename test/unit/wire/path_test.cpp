// Paths: which ones are valid, and chroots on and off.

#include <coati/wire/path.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace std::string_view_literals;
using coati::wire::path_error;
using coati::wire::validate_path;
using coati::wire::validate_sequential_path;

TEST_CASE("valid paths", "[wire][path][C62]")
{
    for (const std::string_view path :
         {"/"sv, "/a"sv, "/a/b/c"sv, "/..."sv, "/.a"sv, "/a."sv, "/a/..b"sv, "/a b"sv, "/ "sv,
          "/zookeeper/config"sv, "/a/-\xc3\xa4"sv, "/\xef\xbb\xbf"sv /* U+FEFF */,
          "/\xe2\x80\xa8"sv /* U+2028 */, "/\xc2\xa0"sv /* U+00A0 */,
          "/\xed\x9f\xbf"sv /* U+D7FF */, "/\xef\xa4\x80"sv /* U+F900 */,
          "/\xef\xbf\xaf"sv /* U+FFEF */}) {
        CAPTURE(path);
        CHECK(validate_path(path) == path_error::none);
        CHECK(validate_sequential_path(path) == path_error::none);
    }
}

TEST_CASE("paths of the wrong shape are named for what is wrong", "[wire][path][C62]")
{
    CHECK(validate_path("") == path_error::empty);
    CHECK(validate_path("a") == path_error::not_absolute);
    CHECK(validate_path("a/b") == path_error::not_absolute);
    CHECK(validate_path("/a/") == path_error::trailing_slash);
    CHECK(validate_path("//") == path_error::trailing_slash);
    CHECK(validate_path("//a") == path_error::empty_component);
    CHECK(validate_path("/a//b") == path_error::empty_component);
    CHECK(validate_path("/.") == path_error::dot_component);
    CHECK(validate_path("/..") == path_error::dot_component);
    CHECK(validate_path("/a/./b") == path_error::dot_component);
    CHECK(validate_path("/a/../b") == path_error::dot_component);
    CHECK(validate_path("/a/b/..") == path_error::dot_component);
}

TEST_CASE("a sequential path is judged with a digit behind it", "[wire][path][C62]")
{
    for (const std::string_view path : {"/"sv, "/a/"sv, "/a/."sv, "/a/.."sv, "/a/lock-"sv}) {
        CAPTURE(path);
        CHECK(validate_sequential_path(path) == path_error::none);
        CHECK(validate_path(std::string{path} + "1") == path_error::none);
    }
    CHECK(validate_sequential_path("") == path_error::empty);
    CHECK(validate_sequential_path("a") == path_error::not_absolute);
    CHECK(validate_sequential_path("//") == path_error::empty_component);
    CHECK(validate_sequential_path("/a//") == path_error::empty_component);
    CHECK(validate_sequential_path("/a/../") == path_error::dot_component);
    CHECK(validate_sequential_path("/a\xc3") == path_error::invalid_utf8);
    CHECK(validate_sequential_path("/a\x7f") == path_error::bad_character);
}

TEST_CASE("invalid UTF-8 is refused", "[wire][path][C62]")
{
    for (const std::string_view path : {"/\x80"sv,              // a continuation alone
                                        "/\xc3"sv,              // cut off, 2 bytes
                                        "/\xe2\x80"sv,          // cut off, 3 bytes
                                        "/\xf0\x9f\x98"sv,      // cut off, 4 bytes
                                        "/\xc3/a"sv,            // continuation missing
                                        "/\xc0\xaf"sv,          // overlong slash
                                        "/\xc0\x80"sv,          // overlong NUL, Java's own spelling
                                        "/\xc1\xbf"sv,          // overlong DEL
                                        "/\xe0\x80\xaf"sv,      // overlong, 3 bytes
                                        "/\xe0\x9f\xbf"sv,      // overlong, the last
                                        "/\xf0\x80\x80\xaf"sv,  // overlong, 4 bytes
                                        "/\xf0\x8f\xbf\xbf"sv,  // overlong, the last
                                        "/\xed\xa0\x80"sv,      // first surrogate
                                        "/\xed\xbf\xbf"sv,      // last surrogate
                                        "/\xed\xa0\xbd\xed\xb8\x80"sv,  // a pair of them
                                        "/\xf4\x90\x80\x80"sv,          // U+110000
                                        "/\xf5\x80\x80\x80"sv,
                                        "/\xf8\x88\x80\x80\x80"sv,
                                        "/\xfe"sv,
                                        "/\xff"sv}) {
        CAPTURE(path);
        CHECK(validate_path(path) == path_error::invalid_utf8);
    }
}

namespace {

std::string to_utf8(std::uint32_t c)
{
    const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
    const auto more = [&](unsigned shift) { return byte(0x80U | ((c >> shift) & 0x3FU)); };
    if (c < 0x80) {
        return {byte(c)};
    }
    if (c < 0x800) {
        return {byte(0xC0U | (c >> 6)), more(0)};
    }
    if (c < 0x10000) {
        return {byte(0xE0U | (c >> 12)), more(6), more(0)};
    }
    return {byte(0xF0U | (c >> 18)), more(12), more(6), more(0)};
}

// What Java does: it looks at UTF-16 code units.
bool server_accepts(std::uint32_t c)
{
    std::vector<std::uint32_t> units{c};
    if (c >= 0x10000) {
        units = {0xD800U + ((c - 0x10000U) >> 10), 0xDC00U + ((c - 0x10000U) & 0x3FFU)};
    }
    for (const std::uint32_t unit : units) {
        if (unit <= 0x1F || (unit >= 0x7F && unit <= 0x9F) || (unit >= 0xD800 && unit <= 0xF8FF) ||
            (unit >= 0xFFF0 && unit <= 0xFFFF)) {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("every character is judged as the server judges its UTF-16 units",
          "[wire][path][C62][T58]")
{
    std::uint32_t differences = 0;
    std::uint32_t accepted = 0;
    for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
        if (c == '/' || (c >= 0xD800 && c <= 0xDFFF)) {
            continue;  // a separator; surrogates are no characters
        }
        const path_error found = validate_path("/a" + to_utf8(c));
        const path_error expected =
            server_accepts(c) ? path_error::none : path_error::bad_character;
        differences += found == expected ? 0U : 1U;
        accepted += found == path_error::none ? 1U : 0U;
    }
    CHECK(differences == 0);
    CHECK(accepted == 0x10000 - 0x20 - 0x21 - (0xF900 - 0xD800) - 0x10 - 1);
    CHECK(validate_path("/\xf0\x9f\x98\x80") == path_error::bad_character);  // an emoji
}

TEST_CASE("every path error has a text of its own", "[wire][path]")
{
    std::vector<std::string_view> texts;
    for (int i = 0; i <= static_cast<int>(path_error::invalid_utf8); ++i) {
        const std::string_view text = coati::wire::describe(static_cast<path_error>(i));
        for (const std::string_view other : texts) {
            CHECK(text != other);
        }
        texts.push_back(text);
    }
    CHECK(coati::wire::describe(static_cast<path_error>(99)) == "unknown path error"sv);
}

TEST_CASE("a chroot is put before a path", "[wire][path][chroot]")
{
    using coati::wire::join_chroot;
    using coati::wire::join_chroot_sequential;
    CHECK(join_chroot("", "/a") == "/a");
    CHECK(join_chroot("/", "/a") == "/a");
    CHECK(join_chroot("/app", "/") == "/app");
    CHECK(join_chroot("/app", "/a/b") == "/app/a/b");
    CHECK(join_chroot("/app", "/a/") == "/app/a/");
    CHECK(join_chroot_sequential("/app", "/") == "/app/");
    CHECK(join_chroot_sequential("/app", "/a") == "/app/a");
    CHECK(join_chroot_sequential("", "/") == "/");
    CHECK(join_chroot_sequential("/", "/") == "/");
}

TEST_CASE("a chroot is stripped at component boundaries only", "[wire][path][chroot][T36]")
{
    using coati::wire::strip_chroot;
    CHECK(strip_chroot("", "/a") == "/a");
    CHECK(strip_chroot("/", "/a") == "/a");
    CHECK(strip_chroot("/app", "/app") == "/");
    CHECK(strip_chroot("/app", "/app/a/b") == "/a/b");
    CHECK(strip_chroot("/zoo", "/zookeeper/config") == "/zookeeper/config");
    CHECK(strip_chroot("/zookeeper", "/zoo") == "/zoo");
    CHECK(strip_chroot("/app", "/other") == "/other");
    CHECK(strip_chroot("/app", "/") == "/");
    CHECK(strip_chroot("/app", "").empty());
    for (const std::string_view path : {"/"sv, "/a"sv, "/app"sv, "/app/x"sv}) {
        CHECK(strip_chroot("/app", coati::wire::join_chroot("/app", path)) == path);
    }
}

TEST_CASE("paths are taken apart", "[wire][path]")
{
    using coati::wire::last_component;
    using coati::wire::parent_path;
    CHECK(parent_path("/a/b/c") == "/a/b");
    CHECK(parent_path("/a") == "/");
    CHECK(parent_path("/").empty());
    CHECK(parent_path("").empty());
    CHECK(last_component("/a/b") == "b");
    CHECK(last_component("/a") == "a");
    CHECK(last_component("/").empty());
    CHECK(last_component("name") == "name");
}
