// Views in trouble: they end in what is there, within a second, and never show what never was.

#include "presence_site.hpp"

#include <coati/recipe/discovery.hpp>
#include <coati/testing/seeds.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <memory>
#include <set>
#include <tuple>

namespace coati::test::discovery_storm {

using namespace presence_kit;
using coati::testing::for_each_seed;

namespace {

const std::string dir = "/services/web";

using listing = std::map<std::string, service_instance>;

/// What the ensemble itself says, and has ever said.
class raw_view {
public:
    explicit raw_view(const scripted_ensemble& of) : of_(of) {}

    listing now() const
    {
        listing all;
        for (const auto& id : of_.children(dir)) {
            if (auto it = service_codec().decode(of_.data(dir + "/" + id).value_or(""))) {
                (*it).service = "web";  // a stranger does not say so
                (*it).id = id;
                all.emplace(id, *it);
            }
        }
        return all;
    }
    /// To be called after everything that happens.
    void look()
    {
        if (last_ != of_.zxid()) {
            last_ = of_.zxid();
            for (const auto& [id, it] : now()) {
                ever_.emplace(it.id, it.address, it.port);
            }
        }
    }
    bool ever_had(const service_instance& it) const
    {
        return ever_.contains({it.id, it.address, it.port});
    }
    std::int64_t last() const { return last_; }

private:
    const scripted_ensemble& of_;
    std::int64_t last_ = -1;
    std::set<std::tuple<std::string, std::string, std::uint16_t>> ever_;
};

listing shown(const service_view& view)
{
    listing all;
    for (const auto& it : view.instances()) {
        all.emplace(it.id, it);
    }
    return all;
}

/// What one process of a service registers, said again after each crash.
struct provider {
    std::map<std::string, service_instance> wanted;
    std::shared_ptr<service_registration> here;

    void want(const std::string& id, std::uint16_t port)
    {
        wanted[id] = service_instance("web", id, "10.0.0.7", port);
        if (here) {
            must(here->add(wanted[id]).has_value(), "it is a registration");
        }
    }
    void drop(const std::string& id)
    {
        wanted.erase(id);
        if (here) {
            here->remove("web", id);
        }
    }
};

task both(client zk, operation<void> work)
{
    using namespace asio::experimental::awaitable_operators;
    const auto first =
        co_await (std::move(work)(asio::use_awaitable) || idle_sessions(std::move(zk)));
    co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

task provide(client zk, std::shared_ptr<provider> p)
{
    const auto here = std::make_shared<service_registration>(zk);
    p->here = here;
    for (const auto& [id, it] : p->wanted) {
        must(here->add(it).has_value(), "it is a registration");
    }
    auto work = both(zk, here->run());
    co_return co_await std::move(work);
}

task observe(client zk, std::shared_ptr<std::optional<service_view>> to)
{
    *to = service_view(zk, "web");
    auto work = both(zk, (*to)->run());
    co_return co_await std::move(work);
}

/// Some providers and one who looks, each on a host of its own.
class town {
public:
    explicit town(std::uint64_t seed) : at(seed), raw(at.ensemble)
    {
        for (int i = 0; i < 2; ++i) {
            providers.push_back(std::make_shared<provider>());
            providers.back()->want("p" + std::to_string(i), 1);
            at.add([p = providers.back()] { return [p](client zk) { return provide(zk, p); }; },
                   true);
        }
        at.add([v = view] { return [v](client zk) { return observe(zk, v); }; }, true);
    }
    instance& viewer() { return *at.instances.back(); }
    /// From now on nothing that is there for a moment is missed.
    void look_closely()
    {
        for (const auto& each : at.servers) {
            each->on_frame([this](const testing::frame_view&) {
                raw.look();
                return testing::verdict::pass();
            });
        }
    }

    /// Time passes, and the view is looked at after everything that happens.
    void run_for(duration how_long)
    {
        const time_point end = at.in.now() + how_long;
        at.in.run_until(
            [&] {
                raw.look();
                return !check() || at.in.now() >= end;
            },
            how_long);
        must(check(), "what is shown was there");
    }
    bool check() const
    {
        return !*view || std::ranges::all_of((*view)->instances(),
                                             [&](const auto& it) { return raw.ever_had(it); });
    }
    void change_something()
    {
        provider& p = *providers[at.below(providers.size())];
        const std::string id = "i" + std::to_string(at.below(6));
        switch (at.below(6)) {
        case 0: p.drop(id); break;
        case 1: at.ensemble.remove(dir + "/" + id); break;
        case 2:
            at.ensemble.put(dir + "/stranger", at.below(2) == 0 ? "{" : R"({"address":"h"})");
            break;
        default: p.want(id, static_cast<std::uint16_t>(1 + at.below(60000)));
        }
        raw.look();
    }

    stage at;
    raw_view raw;
    std::vector<service_instance> checked;
    std::vector<std::shared_ptr<provider>> providers;
    std::shared_ptr<std::optional<service_view>> view =
        std::make_shared<std::optional<service_view>>();
};

// --- step by step ------------------------------------------------------------------------------

/// One thing goes wrong, for a while. Afterwards all is as it was.
void one_step(town& t)
{
    stage& at = t.at;
    instance& any = *at.instances[at.below(at.instances.size())];
    switch (at.below(8)) {
    case 0:
        at.in.separate(any.host());
        for (auto n = at.below(4); n > 0; --n) {
            t.change_something();
            t.run_for(at.between(1ms, 5s));
        }
        at.in.rejoin(any.host());
        return;
    case 1: {
        instance& one = *at.instances[at.below(t.providers.size())];
        one.crash();
        t.run_for(at.between(1ms, 9s));
        one.start();
        return;
    }
    case 2: {
        auto& server = *at.servers[at.below(at.servers.size())];
        server.kill();
        t.change_something();
        t.run_for(at.between(1ms, 3s));
        server.restart();
        return;
    }
    case 3: at.ensemble.expire(t.viewer().zk().session().id); return;
    case 4:
        for (const auto& each : at.in.connections()) {
            at.in.cut(each.id);
        }
        t.change_something();
        return;
    default: t.change_something();
    }
}

/// A second after the fault is over, unless something else has happened in that second.
void must_converge(town& t)
{
    const auto connected = [&] {
        t.raw.look();
        return t.viewer().zk().is_connected();
    };
    must(t.at.in.run_until(connected, 30s), "the view has a session");
    std::int64_t before = 0;
    do {
        before = t.raw.last();
        t.run_for(1s);
    } while (before != t.raw.last() || !t.viewer().zk().is_connected());
    must(shown(**t.view) == t.raw.now(), "the view shows what is there");
    must((*t.view)->status() == view_status::live, "and is live");
}

// --- in storms ---------------------------------------------------------------------------------

void views(std::uint64_t seed)
{
    town t(seed);
    t.at.storm(12s, [&] {
        for (auto n = t.at.below(4); n > 0; --n) {
            t.change_something();
            t.at.in.run_for(t.at.between(1ms, 100ms));
        }
    });
    t.at.calm(25s);
    t.raw.look();
    must(shown(**t.view) == t.raw.now(), "the view shows what is there");
    must((*t.view)->status() == view_status::live, "and is live");
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < t.providers.size(); ++i) {
        for (const auto& [id, it] : t.providers[i]->wanted) {
            ++wanted;
            must(t.raw.now().contains(id), "what is registered is there");
        }
    }
    t.providers[0]->here.reset();
    t.at.instances[0]->crash();
    t.at.calm(15s);
    must(shown(**t.view) == t.raw.now(), "the view shows what is left");
    must(!shown(**t.view).contains("p0"), "a crash removes what it had registered");
    must(wanted != 0, "something was registered");
}

}  // namespace

TEST_CASE("a view is right within a second after each of a thousand steps, and never shows more",
          "[discovery][S23]")
{
    std::size_t steps = 0;
    for_each_seed(40, [&](std::uint64_t seed) {
        town t(seed);
        t.look_closely();
        must_converge(t);
        for (int step = 0; step < 25; ++step) {
            one_step(t);
            must_converge(t);
            ++steps;
        }
    });
    CHECK(steps % 25 == 0);
}

TEST_CASE("through any storm a view ends in what is there, and registrations in the view",
          "[discovery][S18][S23]")
{
    for_each_seed(1000, views);
}

}  // namespace coati::test::discovery_storm
