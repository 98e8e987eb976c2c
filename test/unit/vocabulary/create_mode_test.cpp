// The number in the name of a sequential znode.

#include <coati/create_mode.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <limits>

using coati::sequence_of;

TEST_CASE("a sequence number is ten digits, or signed once the counter has overflowed",
          "[create_mode][T59]")
{
    CHECK(sequence_of("lock-0000000007", "lock-") == 7);
    CHECK(sequence_of("0000000000", "") == 0);
    CHECK(sequence_of("/locks/n-0000000012", "/locks/n-") == 12);
    CHECK(sequence_of("n2147483647", "n") == std::numeric_limits<std::int32_t>::max());
    // What the server makes of the next: "%010d" of a negative number.
    CHECK(sequence_of("n-2147483648", "n") == std::numeric_limits<std::int32_t>::min());
    CHECK(sequence_of("n--2147483648", "n-") == std::numeric_limits<std::int32_t>::min());
    CHECK(sequence_of("n-1000000000", "n") == -1'000'000'000);
    CHECK(sequence_of("n-999999999", "n") == -999'999'999);
    CHECK(sequence_of("n-000000001", "n") == -1);
    // The prefix decides whose the sign is.
    CHECK(sequence_of("n-1000000000", "n-") == 1'000'000'000);
}

TEST_CASE("a name that is no prefix with a number has no sequence", "[create_mode]")
{
    CHECK_FALSE(sequence_of("lock-1", "lock-"));
    CHECK_FALSE(sequence_of("lock-00000000001", "lock-"));
    CHECK_FALSE(sequence_of("lock-000000000x", "lock-"));
    CHECK_FALSE(sequence_of("lock-2147483648", "lock-"));
    CHECK_FALSE(sequence_of("lock--2147483649", "lock-"));
    CHECK_FALSE(sequence_of("lock--0000000001", "lock-"));
    CHECK_FALSE(sequence_of("lock-+000000001", "lock-"));
    CHECK_FALSE(sequence_of("other-0000000001", "lock-"));
    CHECK_FALSE(sequence_of("lock-", "lock-"));
    CHECK_FALSE(sequence_of("", "lock-"));
    CHECK_FALSE(sequence_of("", ""));
}
