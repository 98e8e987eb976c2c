// That a seed tells the same story in every build. It stands here, since this suite is built by GCC
// and by Clang, plainly and with sanitizers.

#include "engine/support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>

TEST_CASE("a seed leaves the same trace with every compiler", "[M6]")
{
    using namespace coati::test;
    simulation at(3, 42);
    at.in.jitter(3ms);
    at.in.fragment_reads(true);
    const auto run = at.connect();
    for (int i = 0; i < 10; ++i) {
        at.start(at.zk->create("/n-", "x", coati::create_mode::ephemeral_sequential));
        at.in.run_for(std::chrono::milliseconds(at.in.random() % 500));
    }
    at.server(0).kill();
    at.in.run_for(1h);
    // It changes with whatever the client sends, and when; then this is the new one.
    CHECK(at.in.trace_hash() == 0x958ff8f2fbc3b742U);
}
