// What the world is for: it finds the bugs that are planted in small applications, and leaves the
// right ones in peace.
//
// Each bug has a budget of seeds, so that the result does not hang on the speed of a machine.

#include "planted_apps.hpp"
#include "planted_work.hpp"

#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>

namespace {

using namespace coati::test::planted;
using coati::testing::for_each_seed;

/// The first seed whose story breaks a promise; 0 for none.
template <class Story>
std::uint64_t first_found(std::uint64_t budget, Story story)
{
    for (std::uint64_t seed = 1; seed <= budget; ++seed) {
        try {
            story(seed);
        } catch (const violation&) {
            return seed;
        }
    }
    return 0;
}

constexpr std::uint64_t bug_budget = 150;
constexpr std::uint64_t peace_budget = 100;

/// The right application keeps its promise in every world, the wrong one breaks it in one.
template <class Bug, class Story>
void expect_found(Bug bug, Story story)
{
    if (bug == Bug::none) {
        for_each_seed(peace_budget, [&](std::uint64_t seed) { story(seed, bug); });
        return;
    }
    const auto seed = first_found(bug_budget, [&](std::uint64_t s) { story(s, bug); });
    INFO("bug " << static_cast<int>(bug));
    CHECK(seed != 0);
}

/// An application in parts: each process has its own, for as long as it lives.
template <class App>
std::function<instance::body()> makes(App prototype)
{
    return [prototype] {
        auto app = std::make_shared<App>(prototype);
        return [app](coati::client zk) { return app->body(std::move(zk)); };
    };
}

bool lives(const stage& at, std::int64_t session)
{
    const auto all = at.ensemble.sessions();
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& each) { return each.id == session; });
}

// --- the stories

void registrations(std::uint64_t seed, registration_bug bug)
{
    stage at(seed);
    at.ensemble.put("/services", "");
    for (const auto* const path : {"/services/a", "/services/b"}) {
        at.add(makes(registration{bug, path}));
    }
    at.storm(40s);
    at.calm();
    const auto live = at.ensemble.children("/services");
    must(live.size() == 2, "each service is registered once");
    const auto owns = [&](const std::string& name) {
        const auto owner = at.ensemble.ephemeral_owner("/services/" + name);
        return lives(at, owner);
    };
    must(owns(live[0]) && owns(live[1]), "by a session that lives");
    at.instances[0]->crash();
    at.calm(30s);
    must(at.ensemble.children("/services").size() == 1, "and no longer than its process");
}

void leaders(std::uint64_t seed, leader_bug bug)
{
    stage at(seed);
    at.ensemble.put("/lead", "");
    store outside;
    outside.lives = [&](std::int64_t session) { return lives(at, session); };
    for (int i = 0; i < 3; ++i) {
        at.add(makes(candidate{bug, &outside, &at.in}));
    }
    at.storm(40s);
    at.calm();
    must(!outside.is_broken, "an old leader never writes behind a new one");
    must(!outside.had_two, "there is one leader at a time");
    must(at.in.now() - outside.last < 5s, "somebody leads");
    must(at.ensemble.children("/lead").size() == 3, "each candidate stands once");
}

void readers(std::uint64_t seed, reader_bug bug)
{
    stage at(seed);
    int value = 0;
    const auto change = [&] {
        if (at.below(8) == 0 && at.ensemble.remove("/setting")) {
            return;
        }
        at.ensemble.put("/setting", std::to_string(++value));
    };
    change();
    const auto copy = std::make_shared<std::string>();
    at.add(makes(reader{bug, copy}));
    at.storm(40s, [&] {
        for (auto n = at.below(4); n > 0; --n) {
            change();
            at.in.run_for(at.between(1ms, 100ms));
        }
    });
    at.calm();
    for (int i = 0; i < 5; ++i) {
        change();
        at.in.run_for(at.between(1ms, 200ms));
    }
    at.calm(20s);
    must(*copy == at.ensemble.data("/setting").value_or(""), "the copy is what is there");
}

void counters(std::uint64_t seed, counter_bug bug)
{
    constexpr int steps = 40;
    stage at(seed);
    at.ensemble.put("/counter", "0");
    for (const auto* const ledger : {"/ledger-a", "/ledger-b"}) {
        at.ensemble.put(ledger, "0");
        at.add(makes(counter{bug, steps, ledger}));
    }
    at.storm(40s);
    at.calm();
    must(at.ensemble.data("/counter") == std::to_string(2 * steps), "each step counts once");
}

void workers(std::uint64_t seed, worker_bug bug)
{
    constexpr int items = 30;
    stage at(seed);
    at.ensemble.put("/queue", "");
    at.ensemble.put("/done", "");
    std::map<std::string, int> worked;
    for (const auto* const name : {"a", "b"}) {
        at.add(makes(worker{bug, name, &worked}));
    }
    int made = 0;
    at.storm(40s, [&] {
        for (auto n = at.below(4); n > 0 && made < items; --n) {
            at.ensemble.put("/queue/" + std::to_string(++made), "");
        }
    });
    at.calm();
    for (const auto* const late : {"x", "y", "z"}) {
        at.ensemble.put(std::string("/queue/") + late, "");
        at.calm(10s);
    }
    must(at.ensemble.children("/queue").empty(), "the queue is worked off");
    for (const auto& [item, times] : worked) {
        must(times == 1, "no item is worked on twice");
    }
}

}  // namespace

TEST_CASE("the world finds what is wrong with a registration", "[M6][planted]")
{
    using enum registration_bug;
    const auto bug = GENERATE(none, ignores_expiry, takes_leftovers, gives_up_on_loss,
                              is_persistent, registers_again);
    expect_found(bug, registrations);
}

TEST_CASE("the world finds what is wrong with a leader", "[M6][planted]")
{
    using enum leader_bug;
    const auto bug = GENERATE(none, has_no_fence, leaves_orphans, sorts_by_name, watches_the_last,
                              does_not_look, cleans_up, leads_for_ever);
    expect_found(bug, leaders);
}

TEST_CASE("the world finds what is wrong with a reader", "[M6][planted]")
{
    using enum reader_bug;
    const auto bug = GENERATE(none, arms_too_late, arms_once, forgets_on_expiry, ends_on_removal,
                              skips_gaps, counts_events);
    expect_found(bug, readers);
}

TEST_CASE("the world finds what is wrong with a counter", "[M6][planted]")
{
    using enum counter_bug;
    const auto bug = GENERATE(none, replays, compares_nothing, takes_any_answer, skips_conflicts,
                              writes_in_two_steps, trusts_its_memory);
    expect_found(bug, counters);
}

TEST_CASE("the world finds what is wrong with a worker", "[M6][planted]")
{
    using enum worker_bug;
    const auto bug = GENERATE(none, works_first, missing_is_mine, loss_is_success, watches_once);
    expect_found(bug, workers);
}
