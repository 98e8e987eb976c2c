// The FIFO: order over the seam of its memory, growth at every position, no allocation once grown.

#include <coati/protocol/ring.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <deque>

using coati::protocol::ring;

TEST_CASE("a ring is a queue, wherever its front stands when it grows", "[ring]")
{
    for (std::size_t offset = 0; offset < 40; ++offset) {
        ring<std::size_t> r;
        CHECK(r.empty());
        std::deque<std::size_t> model;
        std::size_t next = 0;
        const auto push = [&] {
            r.push_back(next);
            model.push_back(next++);
        };
        const auto pop = [&] {
            REQUIRE(r.front() == model.front());
            r.pop_front();
            model.pop_front();
        };
        for (std::size_t i = 0; i < offset; ++i) {
            push();
            push();
            pop();
        }
        while (model.size() < 200) {
            push();
        }
        REQUIRE(r.size() == model.size());
        const auto& looking = r;
        for (std::size_t i = 0; i < model.size(); ++i) {
            REQUIRE(looking[i] == model[i]);
        }
        while (!model.empty()) {
            pop();
        }
        CHECK(r.empty());
    }
}

TEST_CASE("a ring in steady state keeps its memory", "[ring]")
{
    ring<int> r;
    r.push_back(0);
    const int* const memory = &r.front();
    for (int i = 1; i < 1'000; ++i) {
        r.push_back(i);
        r.pop_front();
        REQUIRE(r.size() == 1);
        REQUIRE(r.front() == i);
        // Sixteen places in one block, around and around.
        REQUIRE(&r.front() == memory + i % 16);
    }
    r[0] = 7;
    CHECK(r.front() == 7);
}
