// That this links says that every public header compiles alone: header_alone.cpp.in.

#include <catch2/catch_test_macros.hpp>

TEST_CASE("every public header compiles alone and may be included twice", "[headers]")
{
    // The list is made when the build is configured; an empty one would prove nothing.
    CHECK(COATI_PUBLIC_HEADERS > 20);
}
