// When a client leaves a server that works: for its own zone, for one that is enough faster; and
// above all when it does not.

#include "random.hpp"

#include <coati/protocol/placement.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using coati::duration;
using coati::server_address;
using coati::server_policy;
using coati::time_point;
using coati::protocol::patience;
using coati::protocol::placement;
using coati::protocol::smoothed_latency;

namespace {

server_address in_zone(const std::string& host, const std::string& zone)
{
    return {host, 2181, zone};
}

std::vector<server_address> letters(std::size_t count)
{
    std::vector<server_address> all;
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back({std::string(1, static_cast<char>('a' + i)), 2181});
    }
    return all;
}

/// A client in a simulated network: what every probe of it takes is for the test to say.
struct wanderer {
    explicit wanderer(server_policy policy, std::size_t servers, std::uint64_t seed)
        : place(std::move(policy)), all(letters(servers)), present(all[0]), random(seed)
    {
        place.on_connected();
    }

    /// Empty: it does not answer.
    using network = std::function<std::optional<duration>(std::size_t server)>;

    void live(duration how_long, const network& takes)
    {
        for (const time_point end = now + how_long; now < end;) {
            now += place.next_pause(random());
            ++rounds;
            for (const server_address& each : place.to_probe(present, all)) {
                const auto i = static_cast<std::size_t>(each.host[0] - 'a');
                if (const auto round_trip = takes(i)) {
                    place.on_answer(each, *round_trip);
                } else {
                    place.on_silence(each);
                }
            }
            if (const auto better = place.better_than(present, now)) {
                present = *better;
                place.on_moved(now);
                place.on_connected();
                ++moves;
            }
        }
    }
    duration uniform(duration from, duration to)
    {
        const auto width = static_cast<std::uint64_t>((to - from).count()) + 1;
        return from + duration(static_cast<duration::rep>(random() % width));
    }
    /// What queues do: short mostly, long at times.
    duration exponential(duration mean)
    {
        const double u = (static_cast<double>(random() >> 11U) + 1) / 9007199254740993.0;
        const double factor = -std::log(u);
        return duration(static_cast<duration::rep>(static_cast<double>(mean.count()) * factor));
    }

    placement place;
    std::vector<server_address> all;
    server_address present;
    coati_test::seeded_random random;
    time_point now{};
    int moves = 0;
    int rounds = 0;
};

}  // namespace

TEST_CASE("without a preference all servers cost the same, and nobody is probed", "[placement]")
{
    for (const auto& policy : {server_policy::random(), server_policy::in_order()}) {
        placement place(policy);
        CHECK_FALSE(place.seeks());
        CHECK(place.cost({"a", 1}) == place.cost({"b", 1, "eu"}));
        CHECK(place.to_probe({"a", 1}, letters(3)).empty());
    }
    CHECK(placement(server_policy::random()).is_shuffled());
    CHECK_FALSE(placement(server_policy::in_order()).is_shuffled());
    CHECK(placement(server_policy::prefer_zone("eu")).is_shuffled());
    CHECK(placement(server_policy::nearest()).is_shuffled());
}

TEST_CASE("the own zone is cheaper, and probed only from outside of it", "[placement]")
{
    placement place(server_policy::prefer_zone("eu"));
    const auto home = in_zone("a", "eu");
    const auto away = in_zone("b", "us");
    const server_address nowhere{"c", 2181};
    CHECK(place.seeks());
    CHECK(place.cost(home) < place.cost(away));
    CHECK(place.cost(away) == place.cost(nowhere));
    CHECK(place.to_probe(home, {home, away, nowhere}).empty());
    CHECK(place.to_probe(away, {away, home, nowhere}) == std::vector{home});
    CHECK(place.to_probe(nowhere, {away, nowhere}).empty());
}

TEST_CASE("a server of the zone must answer three times in a row, and six after a move",
          "[placement]")
{
    const auto home = in_zone("a", "eu");
    const auto away = in_zone("b", "us");
    placement place(server_policy::prefer_zone("eu"));
    time_point now{};
    const auto round = [&](bool answers) {
        CHECK(place.to_probe(away, {home, away}) == std::vector{home});
        if (answers) {
            place.on_answer(home, 1ms);
        } else {
            place.on_silence(home);
        }
        return place.better_than(away, now).has_value();
    };
    const auto rounds_needed = [&] {
        int n = 1;
        while (!round(true)) {
            ++n;
        }
        return n;
    };
    CHECK_FALSE(round(true));
    CHECK_FALSE(round(true));
    CHECK_FALSE(round(false));  // begins anew
    CHECK(rounds_needed() == 3);
    for (const int needed : {6, 12, 24, 48, 96, 96, 96}) {
        place.on_moved(now);
        place.on_connected();
        CHECK(rounds_needed() == needed);
        now += 1h;
    }
    place.on_moved(now);
    place.on_connected();
    now += 24h;  // forgotten
    CHECK(rounds_needed() == 3);
}

TEST_CASE("what was seen on one connection does not count on the next", "[placement]")
{
    patience p(3);
    const time_point now{};
    CHECK_FALSE(p.on_round(true, now));
    CHECK_FALSE(p.on_round(true, now));
    p.on_connected();
    CHECK_FALSE(p.on_round(true, now));
    CHECK(patience(0).on_round(true, now));  // one at least
}

TEST_CASE("probes come after a second first, then at distances that double to a minute",
          "[placement]")
{
    coati_test::seeded_random random(3);
    placement place(server_policy::prefer_zone("eu"));
    duration sum{};
    for (int repeat = 0; repeat < 2'000; ++repeat) {
        place.on_connected();
        for (const duration longest : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
            const duration pause = place.next_pause(random());
            REQUIRE(pause >= longest / 2);
            REQUIRE(pause <= longest);
            sum += longest == 60s ? pause : 0s;
        }
    }
    const double mean = static_cast<double>((sum / 4'000) / 1ms);
    CHECK(std::abs(mean - 45'000) < 3 * 30'000 / std::sqrt(12.0 * 4'000));

    // One that is back is asked again soon: its first answer is the last that takes a minute. From
    // there on the distance grows again, so that six and more rounds in a row take their time.
    for (const duration longest : {1s, 2s, 4s}) {
        place.on_answer(in_zone("a", "eu"), 1ms);
        place.better_than({"b", 2181}, {});
        CHECK(place.next_pause(random()) <= longest);
    }
    CHECK(place.next_pause(random()) >= 4s);
}

TEST_CASE("a round trip is smoothed as TCP does it", "[placement]")
{
    smoothed_latency one;
    CHECK_FALSE(one.value());
    one.add(8ms);
    CHECK(one.value() == duration(8ms));
    CHECK(one.deviation() == duration(4ms));
    one.add(16ms);
    CHECK(one.value() == duration(9ms));
    CHECK(one.deviation() == duration(5ms));  // 3/4 of 4 and 1/4 of 8
    one.add(1ms);
    CHECK(one.value() == duration(8ms));
    CHECK(one.deviation() == duration(5'750us));
    one.forget();
    one.add(1ms);
    CHECK(one.value() == duration(1ms));
}

TEST_CASE("the nearest server costs least; who is silent loses what was known", "[placement]")
{
    placement place(server_policy::nearest());
    const auto all = letters(3);
    CHECK(place.cost(all[0]) == std::numeric_limits<double>::infinity());
    CHECK(place.to_probe(all[0], all) == all);  // the present one too: likes are compared
    CHECK(place.to_probe(all[0], {all[0]}).empty());
    CHECK(place.to_probe(all[0], {all[1], all[2]}).empty());
    place.on_answer(all[0], 5ms);
    place.on_answer(all[1], 2ms);
    CHECK(place.cost(all[1]) < place.cost(all[0]));
    CHECK(place.cost(all[0]) < place.cost(all[2]));
    place.on_silence(all[1]);
    CHECK(place.cost(all[1]) == std::numeric_limits<double>::infinity());
    place.to_probe(all[1], {all[1], all[2]});  // what is not listed is forgotten
    CHECK(place.cost(all[0]) == std::numeric_limits<double>::infinity());
}

TEST_CASE("faster by the factor, by the difference, and for five rounds", "[placement]")
{
    const auto moves_after = [](duration here, duration there) {
        wanderer w(server_policy::nearest(), 2, 1);
        w.live(1h, [&](std::size_t server) { return server == 0 ? here : there; });
        CHECK(w.moves <= 1);
        return w.moves;
    };
    CHECK(moves_after(30ms, 20ms) == 1);
    CHECK(moves_after(29'999us, 20ms) == 0);  // not by half
    CHECK(moves_after(1'100us, 101us) == 0);  // by 999 us
    CHECK(moves_after(1'100us, 100us) == 1);
    CHECK(moves_after(20ms, 30ms) == 0);

    for (int answers = 1; answers <= 5; ++answers) {
        wanderer w(server_policy::nearest(), 2, 1);
        w.live(1h, [&](std::size_t server) -> std::optional<duration> {
            if (server == 0) {
                return 30ms;
            }
            return w.rounds % 6 < answers ? std::optional<duration>(1ms) : std::nullopt;
        });
        CHECK(w.moves == (answers < 5 ? 0 : 1));
    }
}

TEST_CASE("a comparison needs an answer of the present server as well", "[placement]")
{
    wanderer w(server_policy::nearest(), 2, 1);
    w.live(1h, [](std::size_t server) -> std::optional<duration> {
        return server == 0 ? std::nullopt : std::optional<duration>(1ms);
    });
    CHECK(w.moves == 0);
}

TEST_CASE("the fastest of five is found in one move, or two", "[placement]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        wanderer w(server_policy::nearest(), 5, seed);
        const std::vector<duration> base = {90ms, 40ms, 2ms, 30ms, 60ms};
        const auto takes = [&](std::size_t i) { return base[i] + w.exponential(base[i] / 5); };
        w.live(10min, takes);
        CHECK(w.present.host == "c");
        CHECK(w.moves <= 2);
        const int before = w.moves;
        w.live(240h, takes);
        CHECK(w.moves == before);
    }
}

TEST_CASE("a server that becomes slow is left once, and a short time of it is sat out",
          "[placement]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        wanderer w(server_policy::nearest(), 3, seed);
        const auto start = w.now;
        w.live(24h, [&](std::size_t i) {
            const bool is_slow = i == 0 && w.now - start > 1h && w.now - start < 1h + 3min;
            return w.uniform(4ms, 6ms) + (is_slow ? duration(3ms) : duration(0));
        });
        CHECK(w.moves == 0);
        w.live(24h, [&](std::size_t i) { return w.uniform(4ms, 6ms) * (i == 0 ? 10 : 1); });
        CHECK(w.moves == 1);
        CHECK(w.present.host != "a");
    }
}

TEST_CASE("noise makes nobody wander: moves are few, however many the rounds", "[placement]")
{
    // Equal servers behind a network of ever more noise, up to where noise is all there is. Thirty
    // days, a round every 45 seconds: 57 600 comparisons with each of the others.
    for (const duration base : {duration(0), duration(1ms), duration(20ms), duration(100ms)}) {
        for (const duration noise : {duration(100us), duration(1ms), duration(5ms)}) {
            for (std::uint64_t seed = 1; seed <= 4; ++seed) {
                wanderer w(server_policy::nearest(), 5, seed);
                w.live(24h * 30, [&](std::size_t) { return base + w.exponential(noise); });
                CHECK(w.rounds > 50'000);
                CHECK(w.moves <= 1);
            }
        }
    }
}

TEST_CASE("even against an adversary the number of moves is bounded", "[placement]")
{
    // Whichever server the client is on becomes a hundred times slower.
    wanderer w(server_policy::nearest(), 2, 1);
    w.live(24h, [&](std::size_t i) {
        return i == static_cast<std::size_t>(w.present.host[0] - 'a') ? 1s : 10ms;
    });
    CHECK(w.moves >= 6);
    // 5, 10, 20, 40, 80, 160, 160... rounds, of 30 seconds at least but for the first of each.
    CHECK(w.moves <= 20);
}
