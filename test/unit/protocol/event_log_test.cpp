// What a stream keeps for its reader: order, the bound, the gap that stands for what had to go, and
// that merging never changes how a story ends.

#include "random.hpp"

#include <coati/protocol/event_log.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <deque>
#include <map>
#include <string>
#include <vector>

using coati::event_type;
using coati::gap_reason;
using coati::stream_event;
using coati::protocol::event_log;
using enum coati::event_type;

namespace {

stream_event of(event_type type, std::string path, std::int64_t zxid, std::uint64_t merged = 0)
{
    stream_event e(type, std::move(path), zxid);
    e.merged = merged;
    return e;
}

std::vector<stream_event> drain(event_log& log)
{
    std::vector<stream_event> all;
    while (auto next = log.pop()) {
        all.push_back(std::move(*next));
    }
    return all;
}

using events = std::vector<stream_event>;

}  // namespace

TEST_CASE("a stream gives what it was given, in order")
{
    event_log log(3, false);
    CHECK_FALSE(log.pop());
    log.push(of(created, "/a", 1));
    log.push(of(data_changed, "/a", 2));
    log.push(of(data_changed, "/a", 3));
    CHECK(log.size() == 3);
    CHECK(drain(log) ==
          events{of(created, "/a", 1), of(data_changed, "/a", 2), of(data_changed, "/a", 3)});
    CHECK(log.empty());
}

TEST_CASE("a full stream gives way to one gap that counts all, and goes on", "[overflow]")
{
    const std::size_t capacity = GENERATE(0U, 1U, 2U, 100U);
    const std::size_t room = capacity == 0 ? 1 : capacity;
    event_log log(capacity, false);
    std::int64_t zxid = 0;
    for (std::size_t i = 0; i <= room; ++i) {
        CHECK(log.size() == i);
        log.push(of(data_changed, "/a", ++zxid));
    }
    CHECK(log.size() == 0);
    log.push(of(deleted, "/a", ++zxid));
    CHECK(drain(log) ==
          events{stream_event(gap_reason::overflow, room + 1), of(deleted, "/a", zxid)});
    // Without a reader the gap only grows.
    for (std::size_t i = 0; i < 3 * (room + 1); ++i) {
        log.push(of(data_changed, "/a", ++zxid));
    }
    CHECK(drain(log) == events{stream_event(gap_reason::overflow, 3 * (room + 1))});
}

TEST_CASE("a lost connection leaves what was heard before it, and one gap behind that", "[T6]")
{
    event_log log(2, false);
    log.push(of(created, "/a", 1));
    log.push_gap(gap_reason::reconnected);
    log.push_gap(gap_reason::reconnected);
    log.push(of(deleted, "/a", 9));
    CHECK(drain(log) == events{of(created, "/a", 1), stream_event(gap_reason::reconnected),
                               of(deleted, "/a", 9)});

    // A gap is no event: there is always room for it.
    log.push(of(created, "/a", 1));
    log.push(of(created, "/b", 2));
    log.push_gap(gap_reason::reconnected);
    CHECK(log.size() == 2);
    // What was lost with a connection cannot be counted, nor can a sum with it.
    log.push(of(created, "/c", 3));
    CHECK(drain(log) == events{stream_event(gap_reason::overflow)});
    // Two reasons at one place: the one that cannot be counted.
    log.push(of(created, "/a", 1));
    log.push(of(created, "/b", 2));
    log.push(of(created, "/c", 3));
    log.push_gap(gap_reason::reconnected);
    CHECK(drain(log) == events{stream_event(gap_reason::reconnected)});
}

TEST_CASE("a burst takes one place, counted, and the end of the story stays its end", "[merge]")
{
    event_log log(3, true);
    for (int i = 1; i <= 1000; ++i) {
        log.push(of(data_changed, "/a", i));
        CHECK(log.size() == 1);
    }
    CHECK(drain(log) == events{of(data_changed, "/a", 1000, 999)});

    log.push(of(created, "/a", 1));
    log.push(of(deleted, "/a", 2));
    log.push(of(created, "/a", 3));
    CHECK(drain(log) == events{of(deleted, "/a", 2), of(created, "/a", 3, 1)});

    // What has been read is not counted again.
    log.push(of(created, "/a", 4));
    CHECK(drain(log) == events{of(created, "/a", 4)});

    // The same path by another type, and the same type of another path, are others.
    log.push(of(data_changed, "/a", 5));
    log.push(of(data_changed, "/b", 6));
    log.push(of(deleted, "/a", 7));
    CHECK(log.size() == 3);
    log.push(of(data_changed, "/b", 8));
    CHECK(log.size() == 3);
    // Merged ones count in a gap as often as they happened.
    log.push(of(data_changed, "/c", 9));
    CHECK(drain(log) == events{stream_event(gap_reason::overflow, 5)});
}

TEST_CASE("nothing is merged across a gap", "[merge]")
{
    event_log log(8, true);
    log.push(of(data_changed, "/a", 1));
    log.push_gap(gap_reason::reconnected);
    log.push(of(data_changed, "/a", 2));
    // Reading the one before it does not make the log forget the one behind it.
    CHECK(log.pop() == of(data_changed, "/a", 1));
    CHECK(log.pop() == stream_event(gap_reason::reconnected));
    log.push(of(data_changed, "/a", 3));
    CHECK(drain(log) == events{of(data_changed, "/a", 3, 1)});
}

TEST_CASE("whatever is pushed and read, every event is delivered, merged or counted in a gap",
          "[property]")
{
    const bool merge = GENERATE(false, true);
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        coati_test::seeded_random random(seed);
        const std::size_t capacity = 1 + random() % 6;
        event_log log(capacity, merge);
        std::map<std::string, event_type> newest;  // as it happened
        std::map<std::string, event_type> known;   // as the reader sees it
        std::uint64_t pushed = 0;
        std::uint64_t accounted = 0;
        bool lost = false;
        std::int64_t last = 0;
        const auto read = [&](const stream_event& e) {
            if (e.is_gap()) {
                REQUIRE(e.dropped.has_value() == (e.reason == gap_reason::overflow));
                accounted += e.dropped.value_or(0);
                lost = true;
                return;
            }
            REQUIRE(e.zxid > last);
            last = e.zxid;
            accounted += 1 + e.merged;
            known[e.path] = e.type;
        };
        for (int step = 0; step < 2000; ++step) {
            if (random() % 2 == 0) {
                const auto type = static_cast<event_type>(1 + random() % 3);
                const std::string path = "/" + std::to_string(random() % 4);
                log.push(of(type, path, static_cast<std::int64_t>(++pushed)));
                newest[path] = type;
                REQUIRE(log.size() <= capacity);
            } else if (auto next = log.pop()) {
                read(*next);
            }
            if (lost && log.empty()) {
                known = newest;  // a gap says: read again
                lost = false;
            }
        }
        for (const auto& each : drain(log)) {
            read(each);
        }
        CHECK(accounted == pushed);
        if (!lost) {
            CHECK(known == newest);
        }
    }
}
