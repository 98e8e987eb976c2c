// Connection strings: what they may be, and what is said about those that are none.

#include <coati/config.hpp>
#include <coati/wire/path.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using namespace std::string_literals;
using coati::config;
using coati::errc;
using coati::server_address;

namespace {

config parsed(const std::string& text)
{
    const auto r = config::parse(text);
    INFO(coati::explain_config_error(text));
    REQUIRE(r);
    CHECK(coati::explain_config_error(text).empty());
    return *r;
}

bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

// The text has to point at `byte` and to contain `part`.
void refused(const std::string& text, errc code, std::size_t byte, std::string_view part)
{
    CAPTURE(text);
    const auto r = config::parse(text);
    REQUIRE(!r);
    CHECK(r.error() == code);
    CHECK(r.error().is_answer());
    const std::string why = coati::explain_config_error(text);
    CAPTURE(why, part);
    CHECK(why.starts_with("byte " + std::to_string(byte) + ": "));
    CHECK(contains(why, part));
}

}  // namespace

TEST_CASE("servers are parsed in order, the port defaults to 2181", "[C1]")
{
    CHECK(parsed("zk1").servers == std::vector<server_address>{{"zk1", 2181}});
    CHECK(parsed("zk1:").servers == std::vector<server_address>{{"zk1", 2181}});
    CHECK(parsed("zk1:2182,zk2,zk3:1,zk4:65535").servers ==
          std::vector<server_address>{{"zk1", 2182}, {"zk2", 2181}, {"zk3", 1}, {"zk4", 65535}});
    CHECK(parsed("127.0.0.1:2182").servers == std::vector<server_address>{{"127.0.0.1", 2182}});
    CHECK(parsed("zk1").chroot.empty());
}

TEST_CASE("items are trimmed and empty ones skipped", "[C1]")
{
    CHECK(parsed(" zk1:2182 ,\tzk2\r\n, ,,").servers ==
          std::vector<server_address>{{"zk1", 2182}, {"zk2", 2181}});
    CHECK(parsed(",zk1 /app").servers == std::vector<server_address>{{"zk1", 2181}});
}

TEST_CASE("an IPv6 literal stands in brackets", "[C2]")
{
    CHECK(parsed("[::1]").servers == std::vector<server_address>{{"::1", 2181}});
    CHECK(parsed("[::1]:").servers == std::vector<server_address>{{"::1", 2181}});
    CHECK(parsed("[2001:db8::7]:2182,[::ffff:10.0.0.1]:1/app").servers ==
          std::vector<server_address>{{"2001:db8::7", 2182}, {"::ffff:10.0.0.1", 1}});
    CHECK(parsed("[fe80::1%eth0]:2182").servers ==
          std::vector<server_address>{{"fe80::1%eth0", 2182}});

    refused("::1", errc::invalid_config, 0, "[::1]:2181");
    refused("a,2001:db8::7:2181", errc::invalid_config, 2, "brackets");
    refused("[::1", errc::invalid_config, 0, "closing bracket");
    refused("[::1]2181", errc::invalid_config, 5, "only :port");
    refused("[]:2181", errc::invalid_config, 1, "not an IPv6 address");
    refused("[zk1]:2181", errc::invalid_config, 1, "not an IPv6 address");
    refused("[1.2.3.4]", errc::invalid_config, 1, "not an IPv6 address");
    refused("[::1%]", errc::invalid_config, 1, "zone");
    refused("[::1% x]", errc::invalid_config, 1, "zone");
    refused("[::1]:0", errc::invalid_config, 6, "1 to 65535");
}

TEST_CASE("the chroot is everything from the first slash on", "[C3]")
{
    CHECK(parsed("zk1/").chroot.empty());
    CHECK(parsed("zk1,zk2:2181/app/one").chroot == "/app/one");
    CHECK(parsed("zk1/app,zk2").chroot == "/app,zk2");
    CHECK(parsed("zk1/a b").chroot == "/a b");

    refused("zk1/app/", errc::invalid_path, 3, "ends with a slash");
    refused("zk1//app", errc::invalid_path, 3, "two slashes");
    refused("zk1/a/../b", errc::invalid_path, 3, ". or ..");
    refused("zk1/a\x01", errc::invalid_path, 3, "control");
    refused("zk1/a\0b"s, errc::invalid_path, 3, "\\x00");
    refused("zk1/\xff", errc::invalid_path, 3, "UTF-8");
    refused("zookeeper://zk1:2181", errc::invalid_path, 10, "chroot");
}

TEST_CASE("empty and blank strings name no server", "[C4]")
{
    const std::string text = GENERATE("", " ", "  ", ",", " , ,", "/", "/app", "\t\r\n");
    refused(text, errc::invalid_config, 0, "no server is named");
}

TEST_CASE("malformed ports and hosts are refused with their place", "[C5]")
{
    refused("zk1:x", errc::invalid_config, 4, "\"x\" is not a port");
    refused("zk1:12x", errc::invalid_config, 4, "not a port");
    refused("zk1: 2181", errc::invalid_config, 4, "not a port");
    refused("zk1:+2181", errc::invalid_config, 4, "not a port");
    refused("zk1:-1", errc::invalid_config, 4, "not a port");
    refused("zk1:0x10", errc::invalid_config, 4, "not a port");
    refused("zk1:0", errc::invalid_config, 4, "out of range");
    refused("zk1:65536", errc::invalid_config, 4, "out of range");
    refused("zk1:99999999999999999999999", errc::invalid_config, 4, "out of range");
    refused("zk1,zk2:0", errc::invalid_config, 8, "1 to 65535");
    refused("zk1,  :2181", errc::invalid_config, 6, "no host");
    refused(":", errc::invalid_config, 0, "no host");
    refused("zk1:2181:2182", errc::invalid_config, 0, "several colons");
    refused("zk1 zk2", errc::invalid_config, 3, "commas");
    refused("zk1 :2181", errc::invalid_config, 3, "cannot stand in a host");
    refused("zk\x7f", errc::invalid_config, 2, "\\x7f");
    refused("zk1\0"s, errc::invalid_config, 3, "\\x00");
    refused("zk1:2181\0"s, errc::invalid_config, 4, "\\x00");
    refused("zk1]:2181", errc::invalid_config, 3, "cannot stand in a host");
}

TEST_CASE("what is said about a string is one short printable line")
{
    const std::string text = "a:" + std::string(100'000, '\n') + "x";
    const std::string why = coati::explain_config_error(text);
    CHECK(why.size() < 400);
    CHECK(!contains(why, "\n"));
    CHECK(contains(why, "..."));
}

TEST_CASE("any bytes at all give a config or an explanation")
{
    // All strings up to a length over the characters that the grammar cares for.
    const std::string alphabet = "a1:,/[] .\0\x80"s;
    std::string text;
    std::size_t good = 0;
    const auto walk = [&](auto&& self, std::size_t left) -> void {
        const auto r = config::parse(text);
        if (r.has_value() != coati::explain_config_error(text).empty()) {
            FAIL("parse and explain disagree about " << text);
        }
        if (r) {
            ++good;
            bool sane = !r->servers.empty();
            for (const server_address& server : r->servers) {
                sane = sane && !server.host.empty() && server.port != 0;
            }
            sane = sane && (r->chroot.empty() ||
                            coati::wire::validate_path(r->chroot) == coati::wire::path_error::none);
            if (!sane) {
                FAIL("accepted " << text);
            }
        }
        for (std::size_t i = 0; left > 0 && i < alphabet.size(); ++i) {
            text.push_back(alphabet[i]);
            self(self, left - 1);
            text.pop_back();
        }
    };
    walk(walk, 4);
    CHECK(good > 100);
}

TEST_CASE("defaults of a config")
{
    using namespace std::chrono_literals;
    const config c = parsed("zk1");
    CHECK(c.session_timeout == 10s);
    CHECK(c.reconnect_spread == 100ms);
    CHECK(!c.connect_timeout);
    CHECK(!c.connect_deadline);
    CHECK(c.server_policy == coati::server_policy::random());
    CHECK(!c.session);
    STATIC_CHECK(!std::is_aggregate_v<config>);
    STATIC_CHECK(!std::is_aggregate_v<coati::session_credentials>);
}
