// Presence in storms, and under load: whatever happens, what is wanted ends up there, once.

#include "presence_site.hpp"

#include <coati/testing/seeds.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <memory>

namespace coati::test::presence_storm {

using namespace presence_kit;
using coati::testing::for_each_seed;

namespace {

/// What one process asks for, said again after each crash.
struct process {
    std::map<std::string, std::string> wanted;
    std::shared_ptr<presence> here;

    void want(const std::string& path, const std::string& value)
    {
        wanted[path] = value;
        if (here && !here->set(path, value)) {
            ask(path, value);
        }
    }
    void drop(const std::string& path)
    {
        wanted.erase(path);
        if (here) {
            here->remove(path);
        }
    }
    void ask(const std::string& path, const std::string& value) const
    {
        here->add(path, value,
                  path.ends_with('-') ? create_mode::ephemeral_sequential : create_mode::ephemeral);
    }
};

task live(client zk, std::shared_ptr<process> p)
{
    using namespace asio::experimental::awaitable_operators;
    const auto here = std::make_shared<presence>(zk);
    p->here = here;
    for (const auto& [path, value] : p->wanted) {
        p->ask(path, value);
    }
    const auto first = co_await (run_of(*here) || idle_sessions(zk));
    co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
}

std::vector<std::string> named(const scripted_ensemble& ensemble, const std::string& dir,
                               const std::string& part)
{
    auto all = ensemble.children(dir);
    std::erase_if(all, [&](const auto& each) { return each.find(part) == std::string::npos; });
    return all;
}

/// Everything that this process wants is there once, its own, and as it was said last.
void must_be_there(const stage& at, const instance& one, const process& p)
{
    const auto session = one.zk().session().id;
    for (const auto& [path, value] : p.wanted) {
        if (path == "/s/shared") {
            continue;
        }
        const auto seen = p.here->znode(path);
        must(seen.has_value() && seen->is_settled, path + " is settled");
        must(seen->session == session, path + " says its session");
        must(at.ensemble.ephemeral_owner(seen->actual) == session, path + " is of this session");
        must(at.ensemble.data(seen->actual) == value, path + " has the newest data");
        if (path.ends_with('-')) {
            must(named(at.ensemble, "/s", "-" + path.substr(3) + "0").size() == 1,
                 path + " is there once");
        }
    }
}

void must_be_shared(const stage& at, const std::vector<std::shared_ptr<process>>& all)
{
    int present = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto seen = all[i]->here->znode("/s/shared");
        must(seen.has_value(), "it is wanted");
        present += seen->status == presence_status::present ? 1 : 0;
        const bool owns =
            at.ensemble.ephemeral_owner("/s/shared") == at.instances[i]->zk().session().id;
        must(owns == (seen->status == presence_status::present), "its owner knows");
        must(owns || seen->status == presence_status::taken, "the others wait");
    }
    must(present == 1, "one of them has it");
}

void change_something(stage& at, const std::vector<std::shared_ptr<process>>& all, int& value)
{
    const auto i = at.below(all.size());
    process& p = *all[i];
    const std::string number = std::to_string(i);
    const std::string plain = "/s/p" + number;
    const std::string member = "/s/m" + number + "-";
    switch (at.below(8)) {
    case 0: p.drop(plain); break;
    case 1: p.drop(member); break;
    case 2:
    case 3: p.want(member, std::to_string(++value)); break;
    case 4: at.ensemble.remove(plain); break;
    case 5:
        for (const auto& each : named(at.ensemble, "/s", "m" + number)) {
            at.ensemble.remove("/s/" + each);
        }
        break;
    default: p.want(plain, std::to_string(++value));
    }
}

void presences(std::uint64_t seed)
{
    stage at(seed);
    std::vector<std::shared_ptr<process>> all;
    int value = 0;
    for (int i = 0; i < 2; ++i) {
        all.push_back(std::make_shared<process>());
        process& p = *all.back();
        p.wanted["/s/shared"] = std::to_string(i);
        p.wanted["/s/p" + std::to_string(i)] = "0";
        p.wanted["/s/m" + std::to_string(i) + "-"] = "0";
        at.add([last = all.back()] { return [last](client zk) { return live(zk, last); }; }, true);
    }
    at.storm(15s, [&] {
        for (auto n = at.below(4); n > 0; --n) {
            change_something(at, all, value);
            at.in.run_for(at.between(1ms, 100ms));
        }
    });
    at.calm(40s);
    std::size_t wanted = 1;
    for (std::size_t i = 0; i < all.size(); ++i) {
        must_be_there(at, *at.instances[i], *all[i]);
        wanted += all[i]->wanted.size() - 1;
    }
    must_be_shared(at, all);
    must(at.ensemble.children("/s").size() == wanted, "nothing else is there");
    all[0]->here.reset();
    at.instances[0]->crash();
    at.calm(20s);
    must(at.ensemble.ephemeral_owner("/s/shared") == at.instances[1]->zk().session().id,
         "the other one takes over");
    must(named(at.ensemble, "/s", "0").size() <= 1 + named(at.ensemble, "/s", "m1-").size(),
         "a crash removes what it kept");
}

}  // namespace

TEST_CASE("through any storm what is wanted ends up there, once, by the present session",
          "[presence][M10][S19]")
{
    for_each_seed(1000, presences);
}

TEST_CASE("a hundred expiries under load: each time one znode, of this session, as set last",
          "[presence][M10]")
{
    for_each_seed(10, [](std::uint64_t seed) {
        site at(seed);
        at.in.jitter(3ms);
        at.here.add("/services/a", "0");
        at.here.add("/services/m-", "0", create_mode::ephemeral_sequential);
        at.run();
        REQUIRE(at.settles());
        int value = 0;
        int load = 0;
        std::function<void()> work = [&] {
            at.zk.get("/services/a")([&](const auto&) {
                ++load;
                at.zk.sleep_for(1ms)([&](const auto&) { work(); });
            });
        };
        for (int i = 0; i < 8; ++i) {
            work();
        }
        for (int again = 0; again < 100; ++again) {
            for (auto n = at.in.random() % 5; n > 0; --n) {
                at.here.set("/services/a", std::to_string(++value));
                at.here.set("/services/m-", std::to_string(value));
                at.in.run_for(std::chrono::microseconds(at.in.random() % 3000));
            }
            const auto old = at.session();
            at.ensemble.expire(old);
            for (auto n = at.in.random() % 3; n > 0; --n) {
                at.here.set("/services/a", std::to_string(++value));
                at.here.set("/services/m-", std::to_string(value));
                at.in.run_for(std::chrono::microseconds(at.in.random() % 3000));
            }
            REQUIRE(
                at.in.run_until([&] { return at.zk.is_connected() && at.session() != old; }, 10s));
            REQUIRE(at.settles(1s));
            CHECK(at.owner("/services/a") == at.session());
            CHECK(at.ensemble.data("/services/a") ==
                  at.ensemble.data(at.here.znode("/services/m-")->actual));
            CHECK(at.ensemble.data("/services/a") == std::to_string(value));
            CHECK(at.ensemble.children("/services").size() == 2);
        }
        CHECK(load > 1000);
    });
}

}  // namespace coati::test::presence_storm
