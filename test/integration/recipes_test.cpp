// Recipes beside three real servers, behind proxies that cut, stall and half-close, while somebody
// ends sessions: what each of them promises holds when all is well again.
//
// The same in virtual time, by thousands of seeds, is suite recipe; here the servers are not ours.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <coati/recipe/configuration.hpp>
#include <coati/recipe/discovery.hpp>
#include <coati/recipe/lock.hpp>
#include <coati/recipe/presence.hpp>
#include <coati/supervise.hpp>
#include <coati/testing/expire_session.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <sstream>

namespace coati::test {

namespace {

constexpr std::array both{direction::to_server, direction::to_client};

/// What stands between the clients of a test and the servers, and goes wrong.
class rough_sea {
public:
    rough_sea(fixture& of, std::uint64_t seed) : of_(of), random_(seed)
    {
        for (int i = 0; i < of.servers().size(); ++i) {
            wires_.push_back(std::make_unique<byte_proxy>(of.servers().client_port(i)));
        }
    }

    /// A client that knows the servers by the proxies only.
    client make()
    {
        config c = of_.settings();
        c.servers.clear();
        for (const auto& each : wires_) {
            c.servers.push_back({"127.0.0.1", each->port()});
        }
        c.session_timeout = 2s;
        c.reconnect_spread = 20ms;
        crew_.push_back(of_.make(std::move(c)));
        return crew_.back();
    }

    /// One mishap after the other until `is_over()`; all is well when it returns.
    template <class Condition>
    task<> rage(Condition is_over)
    {
        while (!is_over()) {
            auto mishap = one_mishap();
            co_await std::move(mishap);
            auto pause = of_.sleep(between(20, 120));
            co_await std::move(pause);
        }
    }

    std::chrono::milliseconds between(int low, int high)
    {
        return std::chrono::milliseconds(std::uniform_int_distribution(low, high)(random_));
    }
    std::size_t below(std::size_t n) { return random_() % n; }
    /// Sessions that were ended so far.
    int ended() const { return ended_; }

private:
    task<> one_mishap()
    {
        byte_proxy& wire = *wires_[below(wires_.size())];
        switch (below(7)) {
        case 0: wire.cut(); break;
        case 1: wire.reset(); break;
        case 2: wire.half_close(both[below(2)]); break;
        case 3: wire.cut_after(both[below(2)], below(400)); break;
        case 4:
        case 5: {
            const auto which = below(3);
            for (const auto d : both) {
                if (which == 2 || d == both[which]) {
                    wire.stall(d);
                }
            }
            auto pause = of_.sleep(between(50, 700));
            co_await std::move(pause);
            wire.unstall(direction::to_server);
            wire.unstall(direction::to_client);
            break;
        }
        default: {
            auto ending = end_a_session();
            co_await std::move(ending);
        }
        }
    }

    task<> end_a_session()
    {
        const auto whose = crew_[below(crew_.size())].credentials();
        if (whose.id == 0) {
            co_return;
        }
        const endpoint server{"127.0.0.1", of_.servers().client_port(0), {}};
        auto through = make_tcp_transport(of_.context().get_executor());
        auto ending = testing::expire_session(through, server, whose.id, whose.password);
        const auto done = co_await std::move(ending);  // it may be over already
        ended_ += done ? 1 : 0;
    }

    fixture& of_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<byte_proxy>> wires_;
    std::vector<client> crew_;
    int ended_ = 0;
};

/// How a test's parts end.
struct bell_of_the_end {
    bool has_rung = false;
};

/// An application that does nothing but have sessions.
task<result<void>> have_sessions(client zk, const bell_of_the_end* end)
{
    while (!end->has_rung) {
        auto pause = zk.sleep_for(20ms);
        const auto slept = co_await std::move(pause);
        if (!slept) {
            co_return slept.error();
        }
    }
    co_return success();
}

task<> supervised(client zk, const bell_of_the_end* end)
{
    const auto app = [end](client via) { return have_sessions(std::move(via), end); };
    auto whole = supervise(zk, app, back_off(20ms, 100ms));
    ok(co_await std::move(whole));
}

/// The work of a recipe beside all else; what it ends by is seen from outside.
task<> alongside(operation<void> work)
{
    (void)co_await std::move(work);
}

// --- a counter under a lock ----------------------------------------------------------------------

constexpr int tasks = 8;
constexpr int increments = 25;

/// What stands in the counter's znode: the sum, and how far each of the tasks has come, by which it
/// knows after a lost reply whether it has counted.
struct tally {
    explicit tally(const std::string& text)
    {
        std::istringstream in(text);
        in >> sum;
        for (int& each : by) {
            in >> each;
        }
    }
    std::string text() const
    {
        std::ostringstream out;
        out << sum;
        for (const int each : by) {
            out << ' ' << each;
        }
        return std::move(out).str();
    }

    int sum = 0;
    std::array<int, tasks> by{};
};

/// Read, add, write: nothing but the lock keeps others from doing so in between.
task<result<void>> count_under_lock(lock_scope scope, std::size_t me, int step)
{
    for (;;) {
        auto get = scope.zk().get("/counter");
        const auto there = co_await std::move(get);
        if (!there) {
            co_return there.error();
        }
        tally now(there->data);
        if (now.by[me] >= step) {
            co_return success();
        }
        ++now.sum;
        ++now.by[me];
        auto pause = scope.zk().sleep_for(10ms);
        const auto slept = co_await std::move(pause);
        if (!slept) {
            co_return slept.error();
        }
        auto set = scope.guarded().set("/counter", now.text());
        const auto done = co_await std::move(set);
        if (done) {
            co_return success();
        }
        if (!done.error().retryable()) {
            co_return done.error();
        }
    }
}

struct counted {
    std::size_t me = 0;
    int done = 0;
    int lost = 0;  // times that the lock, or its session, went while it was held or waited for
};

/// In one session.
task<result<void>> count_on(client zk, counted* mine)
{
    while (mine->done < increments) {
        const auto step = [me = mine->me, n = mine->done + 1](lock_scope scope) {
            return count_under_lock(std::move(scope), me, n);
        };
        auto locked = with_lock(zk, "/lock", step);
        const result<void> done = co_await std::move(locked);
        if (done) {
            ++mine->done;
            continue;
        }
        ++mine->lost;
        if (done.error().session_lost()) {
            co_return done.error();
        }
        const auto code = done.error().code();
        if (code != errc::lock_lost && !done.error().retryable()) {
            co_return done.error();
        }
    }
    co_return success();
}

task<> count_all(client zk, counted* mine)
{
    const auto app = [mine](client via) { return count_on(std::move(via), mine); };
    auto whole = supervise(zk, app, back_off(20ms, 100ms));
    ok(co_await std::move(whole));
}

}  // namespace

TEST_CASE("a lock counts right through cuts, stalls and ended sessions", "[recipes]")
{
    fixture f(shared_three());
    std::array<counted, tasks> all;
    f.run([&]() -> task<> {
        rough_sea sea(f, 1);
        ok(co_await f.observer().create("/counter", "0"));
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i].me = i;
            f.spawn(count_all(sea.make(), &all[i]));
        }
        co_await sea.rage([&] {
            return std::all_of(all.begin(), all.end(),
                               [](const counted& each) { return each.done == increments; });
        });
        co_await f.joined();
        ok(co_await f.observer().sync());
        const auto there = co_await f.observer().get("/counter");
        ok(there);
        const tally last(there->data);
        CHECK(last.sum == tasks * increments);
        for (const int each : last.by) {
            CHECK(each == increments);
        }
        const auto left = co_await f.observer().children("/lock");
        ok(left);
        CHECK(left->names.empty());
        int lost = 0;
        for (const counted& each : all) {
            lost += each.lost;
        }
        INFO(sea.ended() << " sessions ended, " << lost << " times that a lock was lost");
        CHECK(sea.ended() > 0);
        CHECK(lost > 0);
    });
}

namespace {

// --- presence ------------------------------------------------------------------------------------

struct resident {
    resident(client of, std::size_t number)
        : zk(std::move(of)), here(zk), path("/here/m" + std::to_string(number))
    {
        here.add(path, "0");
        here.add("/here/s" + std::to_string(number) + "-", "", create_mode::ephemeral_sequential);
    }

    client zk;
    presence here;
    std::string path;
};

/// What is wanted of it exists once, as an ephemeral of its present session.
task<> expect_present(client observer, const resident& who, std::string data)
{
    for (const kept_znode& each : who.here.znodes()) {
        INFO(each.path << " is " << name(each.status));
        CHECK(each.status == presence_status::present);
        auto get = observer.get(each.actual);
        const auto there = co_await std::move(get);
        ok(there);
        CHECK(there->stat.ephemeral_owner == who.zk.session().id);
        CHECK(there->data == (each.path == who.path ? data : std::string()));
    }
}

}  // namespace

TEST_CASE("presence is there exactly once behind cuts, stalls and ended sessions", "[recipes]")
{
    fixture f(shared_three());
    f.run([&]() -> task<> {
        rough_sea sea(f, 2);
        bell_of_the_end end;
        std::vector<std::unique_ptr<resident>> all;
        for (std::size_t i = 0; i < 4; ++i) {
            all.push_back(std::make_unique<resident>(sea.make(), i));
            f.spawn(supervised(all.back()->zk, &end));
            f.spawn(alongside(all.back()->here.run()));
        }
        int value = 0;
        int turns = 0;
        co_await sea.rage([&] {
            resident& one = *all[sea.below(all.size())];
            // Somebody deletes one now and then; nobody waits for that.
            if (turns % 5 == 4) {
                f.observer().remove(one.path)([](const result<void>&) {});
            }
            ++value;
            for (const auto& each : all) {
                each->here.set(each->path, std::to_string(value));
            }
            return ++turns == 40;
        });
        for (const auto& each : all) {
            auto settled = each->here.settled().within(30s);
            ok(co_await std::move(settled));
        }
        ok(co_await f.observer().sync());
        for (const auto& each : all) {
            auto looking = expect_present(f.observer(), *each, std::to_string(value));
            co_await std::move(looking);
        }
        const auto names = co_await f.observer().children("/here");
        ok(names);
        CHECK(names->names.size() == 2 * all.size());
        CHECK(sea.ended() > 0);
        all.clear();  // ends what runs, and takes the znodes away
        end.has_rung = true;
        co_await f.joined();
    });
}

// --- a configuration -----------------------------------------------------------------------------

namespace {

/// A configuration that is looked at all the time: it never goes back.
struct reader {
    explicit reader(client of) : zk(std::move(of)), value(zk, "/setting", text_codec()) {}

    int now() const
    {
        const auto there = value.get();
        return there.value ? std::stoi(*there.value) : 0;
    }

    client zk;
    configuration<std::string> value;
    int last = 0;
    int seen = 0;
    bool went_back = false;
};

task<> look_on(fixture* f, reader* at, const bell_of_the_end* end)
{
    while (!end->has_rung) {
        const int now = at->now();
        at->went_back = at->went_back || now < at->last;
        at->seen += now != at->last ? 1 : 0;
        at->last = now;
        auto pause = f->sleep(2ms);
        co_await std::move(pause);
    }
}

task<> write_on(fixture* f, int* value, const bell_of_the_end* calm)
{
    while (!calm->has_rung) {
        const auto next = std::to_string(++*value);
        auto set = f->observer().set("/setting", next);
        ok(co_await std::move(set));
        auto pause = f->sleep(20ms);
        co_await std::move(pause);
    }
}

}  // namespace

TEST_CASE("a configuration never goes back, and is the truth in the end", "[recipes]")
{
    fixture f(shared_three());
    f.run([&]() -> task<> {
        rough_sea sea(f, 3);
        bell_of_the_end calm;
        bell_of_the_end end;
        int value = 0;
        ok(co_await f.observer().create("/setting", "0"));
        std::vector<std::unique_ptr<reader>> all;
        for (int i = 0; i < 3; ++i) {
            all.push_back(std::make_unique<reader>(sea.make()));
            f.spawn(supervised(all.back()->zk, &end));
            f.spawn(alongside(all.back()->value.run()));
            f.spawn(look_on(&f, all.back().get(), &end));
        }
        f.spawn(write_on(&f, &value, &calm));
        int turns = 0;
        co_await sea.rage([&] { return ++turns == 30; });
        calm.has_rung = true;
        co_await f.until(
            [&] {
                return std::all_of(all.begin(), all.end(), [&](const auto& each) {
                    const auto there = each->value.get();
                    return there.is_live() && each->now() == value;
                });
            },
            "the truth");
        for (const auto& each : all) {
            CHECK_FALSE(each->went_back);
            CHECK(each->seen > 20);
        }
        end.has_rung = true;
        co_await f.sleep(20ms);
        all.clear();
        co_await f.joined();
    });
}

// --- discovery -----------------------------------------------------------------------------------

namespace {

/// A process that registers an instance, and looks for all of them.
struct peer {
    peer(client of, std::size_t number)
        : zk(std::move(of)), here(zk), others(zk, "web"), id("i" + std::to_string(number))
    {
    }
    /// At a port that tells one registration from another.
    service_instance at(int port) const
    {
        return {"web", id, "10.0.0.1", static_cast<std::uint16_t>(port)};
    }

    client zk;
    service_registration here;
    service_view others;
    std::string id;
};

/// By id and port.
std::map<std::string, int> shown(const service_view& by)
{
    std::map<std::string, int> all;
    for (const auto& each : by.instances()) {
        all[each.id] = each.port;
    }
    return all;
}

}  // namespace

TEST_CASE("a view of a service is the truth in the end", "[recipes]")
{
    fixture f(shared_three());
    f.run([&]() -> task<> {
        rough_sea sea(f, 4);
        bell_of_the_end end;
        std::vector<std::unique_ptr<peer>> all;
        std::map<std::string, int> wanted;
        for (std::size_t i = 0; i < 3; ++i) {
            all.push_back(std::make_unique<peer>(sea.make(), i));
            f.spawn(supervised(all.back()->zk, &end));
            f.spawn(alongside(all.back()->here.run()));
            f.spawn(alongside(all.back()->others.run()));
        }
        int turns = 0;
        co_await sea.rage([&] {
            // Who comes, moves or goes; the last is there in the end.
            const peer& one = *all[sea.below(all.size())];
            if (turns % 4 == 3) {
                one.here.remove("web", one.id);
                wanted.erase(one.id);
            } else {
                ok(one.here.add(one.at(1'000 + turns)));
                wanted[one.id] = 1'000 + turns;
            }
            return ++turns == 30;
        });
        REQUIRE_FALSE(wanted.empty());
        co_await f.until(
            [&] {
                return std::all_of(all.begin(), all.end(), [&](const auto& each) {
                    return each->others.status() == view_status::live &&
                           shown(each->others) == wanted;
                });
            },
            "the truth");
        const auto names = co_await f.observer().children("/services/web");
        ok(names);
        CHECK(names->names.size() == wanted.size());
        CHECK(sea.ended() > 0);
        all.clear();
        end.has_rung = true;
        co_await f.joined();
    });
}

}  // namespace coati::test
