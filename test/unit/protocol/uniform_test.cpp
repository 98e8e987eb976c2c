// Uniform integers and shuffles: unbiased, and safe with a source that is stuck.

#include "random.hpp"

#include <coati/protocol/uniform.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <vector>

using coati::protocol::uniform;

TEST_CASE("a uniform integer is below its bound and every one occurs")
{
    coati_test::seeded_random random(1);
    for (const std::uint64_t bound : {1U, 2U, 3U, 7U, 64U}) {
        std::vector<int> seen(bound);
        for (int i = 0; i < 2000; ++i) {
            ++seen.at(uniform(random, bound));
            ++seen.at(uniform(random(), bound));
        }
        for (const int count : seen) {
            CHECK(count > 0);
        }
    }
    CHECK(uniform(random, 0) == 0);
    CHECK(uniform(std::uint64_t{12345}, 0) == 0);
    CHECK(uniform(std::numeric_limits<std::uint64_t>::max(), 10) == 5);
}

TEST_CASE("words out of the incomplete last round are drawn again")
{
    // For this bound a plain modulo would give the lower half twice as often as the upper one.
    const std::uint64_t bound = std::uint64_t{3} << 62U;
    std::array<std::uint64_t, 2> words = {bound / 6, bound / 3 + 1};
    std::size_t drawn = 0;
    auto source = [&] { return words.at(drawn++); };
    CHECK(uniform(source, bound) == bound / 3 + 1);
    CHECK(drawn == 2);

    coati_test::seeded_random random(2);
    int low = 0;
    constexpr int draws = 30'000;
    for (int i = 0; i < draws; ++i) {
        low += uniform(random, bound) < bound / 3 ? 1 : 0;
    }
    const double sigma = std::sqrt(draws * (1.0 / 3) * (2.0 / 3));
    CHECK(std::abs(low - draws / 3.0) < 4 * sigma);
}

TEST_CASE("a stuck source still ends")
{
    auto zero = [] { return std::uint64_t{0}; };
    CHECK(uniform(zero, 3) == 0);
    std::array<int, 5> items = {1, 2, 3, 4, 5};
    coati::protocol::shuffle(std::span<int>(items), zero);
    int sum = 0;
    for (const int item : items) {
        sum += item;
    }
    CHECK(sum == 15);
}

TEST_CASE("every order is equally likely")
{
    coati_test::seeded_random random(3);
    std::map<std::array<int, 4>, int> seen;
    constexpr int draws = 48'000;
    for (int i = 0; i < draws; ++i) {
        std::array<int, 4> items = {1, 2, 3, 4};
        coati::protocol::shuffle(std::span<int>(items), random);
        ++seen[items];
    }
    REQUIRE(seen.size() == 24);
    double chi_squared = 0;
    for (const auto& [order, count] : seen) {
        chi_squared += (count - draws / 24.0) * (count - draws / 24.0) / (draws / 24.0);
    }
    CHECK(chi_squared < 49.7);  // 23 degrees of freedom, 99.9 %
}
