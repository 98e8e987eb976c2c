// The judge of hand-overs, before it is believed: it finds what is wrong with a record, and
// nothing in one that is well.

#include "record.hpp"

#include <catch2/catch_test_macros.hpp>

namespace coati::test::handover {
namespace {

constexpr std::int64_t timeout = 1'000;

std::vector<step> well()
{
    return {
        {5, 1, 100, "begin", 0},       {5, 1, 110, "work", 0},      {5, 1, 111, "wrote", 6},
        {5, 1, 120, "work", 0},        {7, 2, 1'400, "begin", 0},   {7, 2, 1'410, "wrote", 8},
        {5, 1, 1'500, "cancelled", 0}, {5, 1, 1'501, "refused", 0}, {7, 2, 1'510, "work", 0},
    };
}

std::vector<fault> paused()
{
    return {{"pause", 1, 5, 130, 1'490}};
}

}  // namespace

TEST_CASE("a record that is well")
{
    CHECK(judge(well(), paused(), timeout).empty());
    CHECK(judge_ledger({"f7-0000000002", "f5-0000000001"}).empty());
}

TEST_CASE("what a record is wrong by")
{
    auto steps = well();
    SECTION("two masters at a time")
    {
        steps.push_back({5, 1, 1'405, "work", 0});
    }
    SECTION("a fence that does not grow")
    {
        for (auto& each : steps) {
            each.fence = each.fence == 7 ? 4 : each.fence;
        }
    }
    SECTION("a write of an old fence")
    {
        steps.push_back({5, 1, 1'502, "wrote", 9});
    }
    SECTION("another word first after a pause")
    {
        steps.insert(steps.begin() + 6, {5, 1, 1'491, "refused", 0});
    }
    SECTION("a step first after a pause")
    {
        steps.insert(steps.begin() + 6, {5, 1, 1'491, "work", 0});
    }
    CHECK_FALSE(judge(steps, paused(), timeout).empty());
}

TEST_CASE("a takeover from a master that was well")
{
    auto steps = well();
    steps.insert(steps.begin() + 4, {5, 1, 1'399, "work", 0});
    CHECK(judge(steps, {{"kill", 1, 5, 1'399, 0}}, timeout).empty());
    CHECK_FALSE(judge(steps, {}, timeout).empty());
}

TEST_CASE("who is cut off is told to stop before another begins")
{
    const std::vector<fault> cut_off{{"partition", 1, 5, 130, 0}};
    auto steps = well();
    CHECK_FALSE(judge(steps, cut_off, timeout).empty());
    steps[6].at = 1'390;
    CHECK(judge(steps, cut_off, timeout).empty());
}

TEST_CASE("a ledger out of order")
{
    CHECK_FALSE(judge_ledger({"f5-0000000002", "f7-0000000001"}).empty());
}

}  // namespace coati::test::handover
