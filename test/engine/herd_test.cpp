// A thousand clients that lose a server, or all of them: no new sessions, and nobody in step.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::client;
using coati::config;
using coati::time_point;
using coati::wire::op_code;

constexpr std::size_t crowd_size = 1'000;

/// A thousand clients of three servers.
class crowd {
public:
    explicit crowd(coati::duration spread) : at(3)
    {
        config c = plain_config(3);
        c.server_policy = coati::server_policy::random();
        c.reconnect_spread = std::chrono::duration_cast<std::chrono::milliseconds>(spread);
        for (std::size_t i = 0; i < crowd_size; ++i) {
            clients.push_back(at.make_client(c));
            runs.push_back(at.start(clients.back().run()));
        }
        at.until([&] { return all_connected(); });
        for (auto& server : at.servers) {
            server->clear_log();
        }
    }

    bool all_connected() const
    {
        return std::all_of(clients.begin(), clients.end(),
                           [](const client& each) { return each.is_connected(); });
    }

    /// The moments of all handshakes since the beginning.
    std::vector<time_point> handshakes()
    {
        std::vector<time_point> all;
        for (auto& server : at.servers) {
            for (const auto& each : server->log()) {
                if (each.op == op_code::create_session) {
                    CHECK(each.session_id != 0);  // never a new one
                    all.push_back(each.at);
                }
            }
        }
        std::sort(all.begin(), all.end());
        return all;
    }

    simulation at;
    std::vector<client> clients;
    std::vector<answer<void>> runs;
};

/// How many fall into the fullest bucket, in multiples of what an even spread has.
double crowding(const std::vector<time_point>& moments, time_point begin, coati::duration range,
                std::size_t buckets)
{
    std::vector<std::size_t> counts(buckets);
    for (const time_point each : moments) {
        REQUIRE(each >= begin);
        const auto k =
            static_cast<std::size_t>((each - begin) * static_cast<long>(buckets) / range);
        REQUIRE(k < buckets);
        ++counts[k];
    }
    const auto fullest = *std::max_element(counts.begin(), counts.end());
    return static_cast<double>(fullest * buckets) / static_cast<double>(moments.size());
}

}  // namespace

TEST_CASE("the clients of a dead server come back spread over the whole range, in their sessions",
          "[S41]")
{
    constexpr auto range = 2'000ms;
    crowd all(range);
    const auto sessions = all.at.ensemble.sessions().size();
    const std::size_t stranded = all.at.server(0).connections();
    CHECK(stranded > crowd_size / 5);
    CHECK(stranded < crowd_size / 2);

    const time_point died = all.at.in.now();
    all.at.server(0).kill();
    all.at.until([&] { return !all.all_connected(); });
    all.at.until([&] { return all.all_connected(); });

    CHECK(all.at.ensemble.sessions().size() == sessions);
    const auto moments = all.handshakes();
    CHECK(moments.size() == stranded);
    // Of 20 buckets of 100 ms none has more than three times the mean; latency takes its part.
    CHECK(crowding(moments, died, range + 100ms, 21) < 3.0);
    for (const auto& run : all.runs) {
        CHECK_FALSE(run.done());
    }
}

TEST_CASE("by default they are spread over a tenth of a second", "[S41]")
{
    crowd all(config().reconnect_spread);
    const time_point died = all.at.in.now();
    all.at.server(0).kill();
    all.at.until([&] { return !all.all_connected(); });
    all.at.until([&] { return all.all_connected(); });
    CHECK(crowding(all.handshakes(), died, 110ms, 11) < 3.0);
}

TEST_CASE("after an outage of everything nobody is in step, and no session is made anew", "[S41]")
{
    crowd all(100ms);
    const auto sessions = all.at.ensemble.sessions().size();
    for (auto& server : all.at.servers) {
        server->kill();
    }
    all.at.pass(3s);
    const time_point back = all.at.in.now();
    for (auto& server : all.at.servers) {
        server->restart();
    }
    all.at.until([&] { return all.all_connected(); });
    const auto took = all.at.in.now() - back;

    CHECK(all.at.ensemble.sessions().size() == sessions);
    const auto moments = all.handshakes();
    CHECK(moments.size() == crowd_size);
    // With full jitter the next attempts are spread over what the back-off has grown to.
    CHECK(took > 1s);
    const auto buckets = static_cast<std::size_t>(took / 100ms) + 1;
    CHECK(crowding(moments, back, took + 100ms, buckets) < 3.0);
}
