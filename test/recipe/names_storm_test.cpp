// Many clients that ask for names while connections are lost, replies are, servers die and sessions
// end: no name is given twice, and no znode is there that nobody was given.

#include "../engine/planted_stage.hpp"

#include <coati/recipe/names.hpp>
#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

namespace coati::test::names_storm {

namespace {

using namespace coati::test::planted;
using coati::testing::for_each_seed;

constexpr auto directory = "/ids";

/// What was given, and to how many askers altogether.
struct given_names {
    std::set<std::string> paths;
    std::set<std::int32_t> numbers;
    std::set<std::int64_t> zxids;
    std::size_t count = 0;

    void add(const unique_name& name)
    {
        ++count;
        must(paths.insert("/ids" + name.path.substr(name.path.rfind('/'))).second,
             "no name is given twice");
        must(numbers.insert(name.number).second, "no number is given twice");
        must(zxids.insert(name.czxid).second, "no czxid is two znodes'");
    }
};

asio::awaitable<result<void>> stay(client zk)
{
    co_return co_await zk.sleep_for(24h);
}

/// One process that asks for names, one after the other.
class asker {
public:
    asker(world& in, const std::string& host, given_names& all, std::size_t wanted)
        : in_(in), zk_(serial(in.get_executor()), settings(), in.make_transport(host)),
          ids_(zk_, directory, "id-"), all_(all), left_(wanted)
    {
        supervise(zk_, stay)([](const std::exception_ptr&, const result<void>&) {});
        ask();
    }
    asker(const asker&) = delete;
    asker& operator=(const asker&) = delete;
    ~asker() = default;

    bool done() const { return left_ == 0; }

private:
    static config settings()
    {
        config c;
        for (const auto* const address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
            c.servers.push_back({address, 2181});
        }
        c.session_timeout = 6s;
        c.reconnect_spread = 2ms;
        return c;
    }
    void ask()
    {
        ids_.next()([this](const result<unique_name>& got) {
            must(got.has_value(), got ? "" : "no name was given: " + got.error().message());
            all_.add(*got);
            if (--left_ != 0) {
                const auto pause = duration(static_cast<duration::rep>(in_.random() % 40'000'000));
                zk_.sleep_for(pause)([this](const result<void>&) { ask(); });
            }
        });
    }

    world& in_;
    client zk_;
    names ids_;
    given_names& all_;
    std::size_t left_;
};

enum class weather : std::uint8_t { cuts, storm };

/// The storm, and what it breaks.
class trouble {
public:
    trouble(world& in, testing::scripted_ensemble& ensemble,
            std::vector<std::unique_ptr<scripted_server>>& servers, weather how)
        : in_(in), ensemble_(ensemble), servers_(servers), how_(how)
    {
    }

    void make()
    {
        const std::uint64_t kinds = how_ == weather::cuts ? 3 : 6;
        switch (in_.random() % kinds) {
        case 0:
        case 1:
            if (const auto all = in_.connections(); !all.empty()) {
                in_.cut(all[in_.random() % all.size()].id);
            }
            return;
        case 2: any().on_frame(testing::lose_reply(wire::op_code::multi)); return;
        case 3: any().on_frame(testing::lose_request(wire::op_code::multi)); return;
        case 4:
            if (const auto all = ensemble_.sessions(); !all.empty()) {
                ensemble_.expire(all[in_.random() % all.size()].id);
            }
            return;
        default: {
            auto& server = any();
            server.kill();
            in_.run_for(50ms);
            server.restart();
        }
        }
    }

private:
    scripted_server& any() { return *servers_[in_.random() % servers_.size()]; }

    world& in_;
    testing::scripted_ensemble& ensemble_;
    std::vector<std::unique_ptr<scripted_server>>& servers_;
    weather how_;
};

/// How much has happened: that there was something to survive.
struct tally {
    std::size_t given = 0;
    std::size_t doubts = 0;  ///< Replies that were lost, and found out about.
};

void story(tally& of, std::uint64_t seed, std::size_t askers, std::size_t each, weather how)
{
    world in(seed);
    scripted_ensemble ensemble(in);
    std::vector<std::unique_ptr<scripted_server>> servers;
    for (const auto* const address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
        servers.push_back(std::make_unique<scripted_server>(ensemble, in, endpoint(address, 2181)));
    }
    in.jitter(1ms);
    given_names all;
    std::vector<std::unique_ptr<asker>> crowd;
    for (std::size_t i = 0; i < askers; ++i) {
        crowd.push_back(std::make_unique<asker>(in, "host-" + std::to_string(i), all, each));
    }
    trouble makes(in, ensemble, servers, how);
    const auto done = [&] {
        return std::ranges::all_of(crowd, [](const auto& one) { return one->done(); });
    };
    // Not so often that a session seems to be somebody else's as well (20 short connections).
    for (int left = 40; !done() && left != 0; --left) {
        makes.make();
        in.run_for(duration(static_cast<duration::rep>(in.random() % 60'000'000)));
    }
    in.run_until(done, 1min);
    must(done(), "everybody gets the names that were asked for");
    for (const auto& server : servers) {
        server->on_frame({});
    }
    in.run_for(8s);
    const auto there = ensemble.children(directory);
    for (const auto& name : there) {
        must(all.paths.contains(std::string(directory) + "/" + name), "each was given to somebody");
    }
    must(there.size() == all.count, "each that was given is there");
    must(all.count == askers * each, "as many as were asked for");
    of.given += all.count;
    for (const auto& server : servers) {
        const auto& log = server->log();
        of.doubts += static_cast<std::size_t>(std::ranges::count_if(
            log, [](const auto& request) { return request.op == wire::op_code::get_children2; }));
    }
}

TEST_CASE("a hundred thousand names for ten clients through cuts: each is somebody's, once",
          "[names][storm][S24]")
{
    tally all;
    const auto worlds =
        for_each_seed(200, [&](std::uint64_t seed) { story(all, seed, 10, 50, weather::cuts); });
    CHECK(all.given == 500 * worlds);
    CHECK(all.doubts > 3 * worlds);
}

TEST_CASE("a thousand storms: names are given once, through ends of sessions too",
          "[names][storm][S24]")
{
    tally all;
    const auto worlds =
        for_each_seed(1000, [&](std::uint64_t seed) { story(all, seed, 3, 5, weather::storm); });
    CHECK(all.doubts > worlds / 4);
}

}  // namespace

}  // namespace coati::test::names_storm
