// Many seeds for one story.
#include <coati/testing/seeds.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace coati::testing {

namespace {

std::optional<std::uint64_t> number_in(const char* variable)
{
    const char* const text = std::getenv(variable);
    if (text == nullptr || *text == '\0') {
        return std::nullopt;
    }
    const std::string_view all(text);
    std::uint64_t value = 0;
    const auto [end, fault] = std::from_chars(all.data(), all.data() + all.size(), value);
    if (fault != std::errc() || end != all.data() + all.size()) {
        throw std::invalid_argument(std::string(variable) + " is \"" + text +
                                    "\"; it takes a number, as in " + variable + "=17");
    }
    return value;
}

}  // namespace

std::uint64_t for_each_seed(std::uint64_t count, const std::function<void(std::uint64_t)>& story,
                            std::uint64_t first)
{
    if (const auto only = number_in("COATI_SEED")) {
        story(*only);
        return 1;
    }
    const std::uint64_t all = number_in("COATI_SEEDS").value_or(count);
    for (std::uint64_t i = 0; i < all; ++i) {
        try {
            story(first + i);
        } catch (...) {
            const auto seed = static_cast<unsigned long long>(first + i);
            std::fprintf(stderr, "seed %llu fails; to run it alone: COATI_SEED=%llu\n", seed, seed);
            throw;
        }
    }
    return all;
}

}  // namespace coati::testing
