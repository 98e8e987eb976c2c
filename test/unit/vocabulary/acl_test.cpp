// The entries of ACLs: what each builder makes, and what is refused before any server sees it.

#include <coati/acl.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <utility>
#include <vector>

using coati::acl;
using coati::acls;
using coati::perms;

TEST_CASE("a digest is the user and the base64 of the SHA-1 of user:password", "[acl]")
{
    // What servers themselves make of these (DigestAuthenticationProvider).
    CHECK(acl::digest("user", "secret").id == "user:5w9W4eL3797Y4Wq8AcKUPPk8ha4=");
    CHECK(acl::digest("super", "test").id == "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    // The password may have colons and be of any length: FIPS 180 cuts it into blocks of 64 bytes.
    CHECK(acl::digest("user", "a:b").id.starts_with("user:"));
    CHECK(acl::digest("user", "a:b").is_well_formed());
    CHECK(acl::digest("user", "a:b") != acl::digest("user", "a"));
    CHECK(acl::digest("user", std::string(1'000, 'x')).id.size() == 5 + 28);

    const acl entry = acl::digest("user", "secret", perms::read);
    CHECK(entry.scheme == "digest");
    CHECK(entry.permissions == perms::read);
    CHECK(acl::digest("user", "secret").permissions == perms::all);
}

TEST_CASE("each scheme has a builder", "[acl]")
{
    CHECK(acl::world() == acl(perms::all, "world", "anyone"));
    CHECK(acl::world(perms::read) == acl(perms::read, "world", "anyone"));
    CHECK(acl::auth() == acl(perms::all, "auth", ""));
    CHECK(acl::ip("10.0.0.1") == acl(perms::all, "ip", "10.0.0.1"));
    CHECK(acl::ip("10.0.0.0", 8, perms::write) == acl(perms::write, "ip", "10.0.0.0/8"));
    CHECK(acl::x509("CN=a,O=b") == acl(perms::all, "x509", "CN=a,O=b"));
    CHECK(acl::sasl("bob") == acl(perms::all, "sasl", "bob"));
    CHECK(acls(acl::world(perms::read), acl::auth()).entries().size() == 2);
    CHECK((perms::all & perms::write) == perms::write);
    CHECK((perms::read & perms::write) == perms::none);
}

TEST_CASE("what no server takes is known without asking one", "[acl]")
{
    const std::vector<std::pair<acl, bool>> entries{
        {acl::world(), true},
        {acl(perms::all, "world", "somebody"), false},
        {acl(perms::all, "world", ""), false},
        {acl::auth(), true},
        {acl(perms::all, "digest", "user:hash="), true},
        {acl(perms::all, "digest", "user"), false},
        {acl(perms::all, "digest", "user:"), false},
        {acl(perms::all, "digest", ""), false},
        {acl::digest("a:b", "c"), false},  // three parts
        {acl::ip("255.0.10.1"), true},
        {acl::ip("0.0.0.0", 0), true},
        {acl::ip("10.1.1.1", 32), true},
        {acl::ip("10.1.1.1", 33), false},
        {acl::ip("10.1.1.1", -1), false},
        {acl::ip("10.1.1.1/"), false},
        {acl::ip("10.1.1.1/8x"), false},
        {acl::ip("10.1.1"), false},
        {acl::ip("10.1.1.1.1"), false},
        {acl::ip("10.1.1.256"), false},
        {acl::ip("10.1..1"), false},
        {acl::ip("localhost"), false},
        {acl::ip(""), false},
        {acl::ip("::1"), true},
        {acl::ip("fe80::1", 64), true},
        {acl::ip("fe80::1", 129), false},
        {acl::ip("fe80::g"), false},
        {acl::ip("99999999999999999999.1.1.1"), false},
        {acl(perms::all, "", "x"), false},
        {acl(perms::all, "of-another-provider", "x"), true},
    };
    for (const auto& [entry, expected] : entries) {
        CAPTURE(entry.scheme, entry.id);
        CHECK(entry.is_well_formed() == expected);
        CHECK(acls(acl::world(), entry).is_well_formed() == expected);
    }
    CHECK_FALSE(acls(std::vector<acl>()).is_well_formed());
    CHECK(acls::open_unsafe().is_well_formed());
    CHECK(acls::read_unsafe().is_well_formed());
    CHECK(acls::creator_all().is_well_formed());
}
