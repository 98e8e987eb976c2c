// Credentials: equal, copied, moved, and overwritten when nobody needs them any more.

#include <coati/auth.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

using coati::auth_info;
using coati::secret;

TEST_CASE("a digest is user:password", "[auth]")
{
    const auto who = auth_info::digest("ann", "with: colon");
    CHECK(who.scheme == "digest");
    CHECK(who.data.view() == "ann:with: colon");
    CHECK(who == auth_info("digest", "ann:with: colon"));
    CHECK(!(who == auth_info::digest("ann", "other")));
}

TEST_CASE("a secret is copied and moved like any value", "[auth]")
{
    secret one(std::string("something that is long enough for the heap"));
    const secret two = one;
    CHECK(one == two);
    const secret three = std::move(one);
    CHECK(three == two);
    CHECK(one.view().empty());  // NOLINT(bugprone-use-after-move) is promised
    one = three;
    CHECK(one == three);
    CHECK(secret().view().empty());
}

TEST_CASE("wiping reaches all of a string's buffer, behind its end as well", "[auth][wipe]")
{
    std::string text(200, 'x');
    text.resize(3);
    const char* const at = text.data();
    coati::wipe(text);
    CHECK(text.empty());
    for (std::size_t i = 0; i < 200; ++i) {
        REQUIRE(at[i] == '\0');
    }
}

TEST_CASE("a short secret, which lies inside its object, is overwritten with it", "[auth][wipe]")
{
    alignas(secret) std::array<char, sizeof(secret)> place{};
    auto* const made = new (place.data()) secret(std::string("hunter2"));
    REQUIRE(std::string_view(place.data(), place.size()).find("hunter2") != std::string_view::npos);
    secret elsewhere(std::move(*made));
    std::destroy_at(made);
    CHECK(std::string_view(place.data(), place.size()).find("unter") == std::string_view::npos);
    CHECK(elsewhere.view() == "hunter2");
}
