// Many readers of one configuration in a storm of faults: whatever happens, they never see an older
// value after a newer one, know when they cannot know, and end at the last value.

#include "../engine/planted_stage.hpp"

#include <coati/recipe/configuration.hpp>
#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>

#include <charconv>
#include <cstdint>
#include <map>
#include <string>

namespace coati::test::configuration_storm {

namespace {

using namespace coati::test::planted;
using coati::testing::for_each_seed;

constexpr auto path = "/settings";

/// "17", and nothing else: what begins with '?' is what the writer writes to annoy.
struct number_codec {
    using value_type = int;

    decoded<int> decode(std::string_view bytes) const
    {
        int value = 0;
        const auto [end, wrong] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
        if (wrong != std::errc{}) {
            return undecodable(std::string(bytes));
        }
        return value;
    }
    std::string encode(int value) const { return std::to_string(value); }
};

/// What readers have seen altogether: that there was something to see.
struct sightings {
    std::uint64_t live = 0;
    std::uint64_t stale = 0;
    std::uint64_t flawed = 0;
    std::uint64_t missing = 0;
    std::uint64_t probed_without_connection = 0;
};

/// One process's view, for as long as it lives.
class reader {
public:
    reader(const client& outer, sightings& all) : in_(std::make_shared<view>(outer, all))
    {
        in_->settings.emplace(outer, path, number_codec());
        in_->changes.emplace(in_->settings->changes());
        in_->settings->run()([](const result<void>& ended) {
            must(ended.error() == errc::cancelled, "a run ends by nothing but the crash");
        });
        view::listen(in_);
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader()
    {
        in_->changes.reset();
        in_->settings.reset();
    }

    configured<int> get() const { return in_->settings->get(); }

    /// At any time: without a connection nobody may believe that the value is the newest.
    void probe() const
    {
        const auto now = get();
        if (!in_->outer.is_connected() && now.is_loaded) {
            ++in_->all.probed_without_connection;
            must(now.stale_since.has_value(), "without a connection the value is told stale");
            must(*now.stale_since <= in_->outer.now(), "since a moment that has been");
        }
    }

private:
    struct view {
        view(client zk, sightings& counts) : outer(std::move(zk)), all(counts) {}

        static void listen(const std::shared_ptr<view>& self)
        {
            self->changes->next()([self](const result<configured<int>>& now) {
                if (!now) {
                    must(now.error() == errc::cancelled, "a stream ends by nothing but the crash");
                    return;
                }
                self->check(*now);
                if (self->changes) {
                    listen(self);
                }
            });
        }
        void check(const configured<int>& now)
        {
            must(now.is_loaded, "nothing is told before it was read");
            must(now.zxid >= last.zxid, "a read of an older ensemble is not shown");
            if (now.exists && last.exists) {
                must(now.newest_mzxid() >= last.newest_mzxid(), "versions only increase");
            }
            if (now.value && last.value) {
                must(*now.value >= *last.value, "values only increase");
            }
            if (now.value && !now.flaw) {
                must(now.stat && now.exists, "a good value has a stat");
            }
            const bool is_same = now.is_live() == last.is_live() && now.exists == last.exists &&
                                 now.newest_mzxid() == last.newest_mzxid();
            must(!is_same || !last.is_loaded, "what is told is news");
            all.live += now.is_live() ? 1U : 0U;
            all.stale += now.is_live() ? 0U : 1U;
            all.flawed += now.flaw ? 1U : 0U;
            all.missing += now.exists ? 0U : 1U;
            last = now;
        }

        client outer;
        sightings& all;
        std::optional<configuration<int>> settings;
        std::optional<configuration_changes<int>> changes;
        configured<int> last;
    };

    std::shared_ptr<view> in_;
};

/// What the writer does beside writing numbers.
enum class habit : std::uint8_t { plain, writes_nonsense, removes };

/// Writes 1, 2, ... up to `last`, whatever happens to it; starts anew where it finds the znode.
struct writer {
    habit ways;
    int last;
    duration pause;

    task body(client zk)
    {
        for (;;) {
            auto read = co_await zk.get(path);
            if (!read && read.error() != errc::no_node && !read.error().retryable()) {
                co_return read.error();
            }
            if (!read && read.error().retryable()) {
                continue;
            }
            if (read && read->data == std::to_string(last)) {
                co_return co_await zk.sleep_for(24h);
            }
            auto written = write(zk, read ? std::optional(*read) : std::nullopt);
            const result<void> done = co_await std::move(written);
            const bool goes_on = done || done.error().retryable() || done.error().is_answer();
            if (!goes_on) {
                co_return done.error();
            }
            BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(pause));
        }
    }

private:
    /// One step; where it was removed, the number is in a znode beside it.
    task write(client zk, std::optional<get_result> now)
    {
        if (!now) {
            auto kept = co_await zk.get("/kept");
            if (!kept) {
                co_return kept.error();
            }
            BOOST_OUTCOME_CO_TRY(co_await zk.create(path, next(kept->data)));
            co_return success();
        }
        const std::string number = now->data.substr(now->data[0] == '?' ? 1 : 0);
        const int step = std::stoi(number);
        const bool is_odd_one = step % 5 == 0 && step != 0;
        if (ways == habit::removes && is_odd_one) {
            auto both = zk.multi(op::set("/kept", number), op::remove(path, now->stat.version));
            BOOST_OUTCOME_CO_TRY(co_await std::move(both));
            co_return success();
        }
        const bool is_nonsense = ways == habit::writes_nonsense && is_odd_one;
        const bool is_said = now->data[0] == '?';
        const std::string bytes = is_nonsense && !is_said ? "?" + number : next(number);
        BOOST_OUTCOME_CO_TRY(co_await zk.set(path, bytes, now->stat.version));
        co_return success();
    }
    static std::string next(const std::string& number)
    {
        return std::to_string(std::stoi(number) + 1);
    }
};

task idle(client zk)
{
    co_return co_await zk.sleep_for(24h);
}

void story(std::uint64_t seed, int updates, duration pause, duration storm, habit ways,
           sightings& all)
{
    constexpr std::size_t readers = 3;
    stage at(seed);
    at.ensemble.put(path, "0");
    at.ensemble.put("/kept", "0");
    std::vector<std::weak_ptr<reader>> views(readers);
    for (auto& view : views) {
        const std::size_t i = at.instances.size();
        at.add([&at, &view, &all, i]() -> instance::body {
            auto life = std::make_shared<reader>(at.instances[i]->outer(), all);
            view = life;
            return [life](client zk) -> task { return idle(std::move(zk)); };
        });
    }
    at.add([=]() -> instance::body {
        auto life = std::make_shared<writer>(writer{ways, updates, pause});
        return [life](client zk) { return life->body(std::move(zk)); };
    });
    at.storm(storm, [&] {
        for (const auto& view : views) {
            if (const auto life = view.lock()) {
                life->probe();
            }
        }
    });
    at.calm(30s + updates * (pause + 15ms));
    must(at.ensemble.data(path) == std::to_string(updates), "the writer has come to its end");
    for (const auto& view : views) {
        const auto life = view.lock();
        must(life != nullptr, "every reader runs at the end");
        const auto now = life->get();
        must(now.is_live(), "every reader ends live");
        must(now.value && *now.value == updates, "every reader ends at the last value");
        must(!now.flaw, "every reader ends with nothing to complain about");
    }
}

TEST_CASE("a thousand updates in a storm: every reader ends at the last, and never goes back",
          "[configuration][storm][S25]")
{
    sightings all;
    const auto worlds = for_each_seed(
        10, [&](std::uint64_t seed) { story(seed, 1000, 30ms, 40s, habit::plain, all); });
    CHECK(all.live > 1000 * worlds);
    CHECK(all.stale > 10 * worlds);
    CHECK(all.probed_without_connection > 10 * worlds);
}

TEST_CASE("a thousand storms: readers of a configuration are told what there is to know",
          "[configuration][storm][S25]")
{
    sightings all;
    const auto worlds = for_each_seed(1000, [&](std::uint64_t seed) {
        constexpr std::array habits{habit::plain, habit::writes_nonsense, habit::removes};
        story(seed, 25, 200ms, 6s, habits[seed % habits.size()], all);
    });
    CHECK(all.live > 40 * worlds);
    CHECK(all.stale > worlds);
    CHECK(all.flawed > worlds);
    CHECK(all.missing > worlds);
    CHECK(all.probed_without_connection > worlds / 4);
}

}  // namespace

}  // namespace coati::test::configuration_storm
