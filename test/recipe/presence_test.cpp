// Presence: znodes that exist while we live, through expiries, leftovers, strangers and storms.

#include "../engine/planted_stage.hpp"

#include <coati/recipe/presence.hpp>
#include <coati/testing/seeds.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace coati::test::presence_story {

namespace {

using namespace planted;
using coati::testing::for_each_seed;
using coati::testing::frame_view;
using coati::testing::verdict;
using wire::op_code;

task idle(client zk)
{
    auto sleep = zk.sleep_for(24h * 365);
    co_return co_await std::move(sleep);
}

task idle_sessions(client zk)
{
    static auto app = idle;
    auto all = supervise(std::move(zk), app, back_off(0ms, 0ms));
    co_return co_await std::move(all)(asio::use_awaitable);
}

task run_of(presence here)
{
    auto run = here.run();
    co_return co_await std::move(run);
}

/// One server, one client that always has a session, and what it keeps.
class site {
public:
    explicit site(std::uint64_t seed = 1, presence_options how = {})
        : in(seed), ensemble(in), server(ensemble, in, endpoint("10.0.0.1", 2181)),
          zk(serial(in.get_executor()), settings(), in.make_transport("home")), here(zk, how)
    {
        hold_sessions();
    }

    static config settings()
    {
        auto c = config::parse("10.0.0.1:2181").value();
        c.session_timeout = 6s;
        c.reconnect_spread = 0ms;
        return c;
    }

    void hold_sessions()
    {
        asio::co_spawn(in.get_executor(), idle_sessions(zk),
                       [](const std::exception_ptr&, auto) {});
    }
    void run()
    {
        ended.reset();
        here.run()(asio::bind_cancellation_slot(
            stop.slot(), [this](const result<void>& r) { ended = r.error(); }));
    }
    bool settles(duration within = 5s)
    {
        auto done = std::make_shared<bool>(false);
        here.settled()([done](const result<void>& r) { *done = r.has_value(); });
        return in.run_until([done] { return *done; }, within);
    }
    std::int64_t owner(const std::string& path) const { return ensemble.ephemeral_owner(path); }
    std::int64_t session() const { return zk.session().id; }
    presence_status status(std::string_view path) const { return here.znode(path)->status; }
    /// Requests that are no pings.
    std::size_t requests() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(
            server.log(), [](const auto& each) { return each.op != op_code::ping; }));
    }

    world in;
    scripted_ensemble ensemble;
    scripted_server server;
    client zk;
    presence here;
    asio::cancellation_signal stop;
    std::optional<error> ended;
};

}  // namespace

TEST_CASE("what is asked for exists, with its parents, and goes when it is withdrawn", "[presence]")
{
    site at;
    at.here.add("/services/web/a", "1");
    at.here.add("/services/web/m-", "2", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    CHECK(at.ensemble.data("/services/web/a") == "1");
    CHECK(at.owner("/services/web/a") == at.session());
    const auto member = at.here.znode("/services/web/m-");
    REQUIRE(member);
    CHECK(at.ensemble.data(member->actual) == "2");
    CHECK(member->session == at.session());
    CHECK(at.ensemble.children("/services/web").size() == 2);

    CHECK(at.here.set("/services/web/a", "3"));
    CHECK(at.here.set("/services/web/m-", null_data));
    REQUIRE(at.settles());
    CHECK(at.ensemble.data("/services/web/a") == "3");

    CHECK(at.here.remove("/services/web/a"));
    CHECK(at.here.remove("/services/web/m-"));
    CHECK_FALSE(at.here.set("/services/web/a", "4"));
    REQUIRE(at.settles());
    CHECK(at.ensemble.children("/services/web").empty());
    CHECK(at.here.znodes().empty());
}

TEST_CASE("a znode that somebody deletes or changes is what was asked for again", "[presence]")
{
    site at;
    at.here.add("/a", "mine");
    at.here.add("/m-", "mine", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    const std::string first = at.here.znode("/m-")->actual;
    at.ensemble.remove("/a");
    at.ensemble.remove(first);
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.here.znode("/m-")->actual != first);
    CHECK(at.ensemble.data(at.here.znode("/m-")->actual) == "mine");
    at.ensemble.put("/a", "theirs");
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.settles());
}

TEST_CASE("an expired session's znodes are back within a second, in the new session, unpolled",
          "[presence][S19]")
{
    for_each_seed(100, [](std::uint64_t seed) {
        site at(seed);
        at.here.add("/services/a", "1");
        at.here.add("/services/m-", "2", create_mode::ephemeral_sequential);
        at.run();
        REQUIRE(at.settles());
        at.server.clear_log();
        at.in.run_for(1h);
        CHECK(at.requests() == 0);  // nothing is polled
        for (int again = 0; again < 3; ++again) {
            const auto old = at.session();
            at.ensemble.expire(old);
            REQUIRE(
                at.in.run_until([&] { return at.zk.is_connected() && at.session() != old; }, 1min));
            at.in.run_for(1s);
            CHECK(at.owner("/services/a") == at.session());
            CHECK(at.ensemble.data("/services/a") == "1");
            const auto all = at.ensemble.children("/services");
            REQUIRE(all.size() == 2);
            for (const auto& name : all) {
                CHECK(at.owner("/services/" + name) == at.session());
            }
        }
    });
}

namespace {

/// A site whose client gives up its session before the ensemble does: no quorum, no ageing.
void leave_a_leftover(site& at)
{
    const auto old = at.session();
    at.ensemble.has_quorum(false);
    REQUIRE(at.in.run_until([&] { return !at.zk.is_connected(); }, 1min));
    at.in.run_for(20s);
    at.ensemble.has_quorum(true);
    REQUIRE(at.in.run_until([&] { return at.zk.is_connected() && at.session() != old; }, 1min));
}

class impatient_site : public site {
public:
    impatient_site() : impatient_site(impatient()) {}

private:
    static config impatient()
    {
        config c = settings();
        c.expire_locally_after = 8s;
        return c;
    }
    explicit impatient_site(const config& c)
    {
        // The first client is left alone: it has no session yet.
        zk = client(serial(in.get_executor()), c, in.make_transport("home"));
        here = presence(zk);
        hold_sessions();
    }
};

}  // namespace

TEST_CASE("a leftover of our old session is replaced, not taken for ours", "[presence][S19]")
{
    impatient_site at;
    at.here.add("/services/a", "1");
    at.here.add("/services/m-", "2", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    const auto old = at.session();
    const std::string leftover = at.here.znode("/services/m-")->actual;
    leave_a_leftover(at);
    REQUIRE(at.session() != old);
    at.in.run_for(1s);
    CHECK(at.owner("/services/a") == at.session());
    CHECK(at.owner(at.here.znode("/services/m-")->actual) == at.session());
    CHECK_FALSE(at.ensemble.exists(leftover));
    CHECK(at.ensemble.children("/services").size() == 2);
    CHECK(std::ranges::any_of(at.ensemble.sessions(),
                              [&](const auto& each) { return each.id == old; }));
    at.in.run_for(1min);  // the old session ends, which is nothing to ours
    CHECK(at.owner("/services/a") == at.session());
}

TEST_CASE("a stranger who takes a leftover's place in the last moment is not removed",
          "[presence][S19]")
{
    impatient_site at;
    at.here.add("/services/a", "1");
    at.run();
    REQUIRE(at.settles());
    const auto old = at.session();
    int seen = 0;
    at.server.on_frame([&](const frame_view& frame) {
        if (frame.direction == frame_view::way::request && frame.op == op_code::multi) {
            if (++seen == 1) {
                return verdict::withhold();
            }
        }
        return verdict::pass();
    });
    leave_a_leftover(at);
    REQUIRE(at.in.run_until([&] { return seen > 0; }, 10s));
    at.ensemble.expire(old);
    at.ensemble.put("/services/a", "stranger");  // of the same version as the leftover
    at.server.release();
    at.in.run_for(1s);
    CHECK(at.ensemble.data("/services/a") == "stranger");
    CHECK(at.status("/services/a") == presence_status::taken);
    at.ensemble.remove("/services/a");
    at.in.run_for(1s);
    CHECK(at.owner("/services/a") == at.session());
    CHECK(at.status("/services/a") == presence_status::present);
}

TEST_CASE("somebody else's znode is waited for, without a poll", "[presence]")
{
    site at;
    at.ensemble.put("/a", "theirs");
    at.here.add("/a", "mine");
    at.run();
    REQUIRE(at.in.run_until([&] { return at.status("/a") == presence_status::taken; }, 5s));
    at.in.run_for(1s);
    at.server.clear_log();
    at.in.run_for(1h);
    CHECK(at.requests() == 0);
    CHECK(at.ensemble.data("/a") == "theirs");
    at.ensemble.remove("/a");
    at.in.run_for(100ms);
    CHECK(at.ensemble.data("/a") == "mine");
    CHECK(at.settles());
}

TEST_CASE("what cannot be made says why, and is made once it can be", "[presence]")
{
    site at;
    at.here.add("/a", "", create_mode::persistent);
    at.here.add("no/path");
    at.here.add("/b");
    at.server.on_frame([](const frame_view& frame) {
        const bool is_b = frame.direction == frame_view::way::request &&
                          frame.op == op_code::create && frame.path == "/b";
        return is_b ? verdict::answer(errc::no_auth) : verdict::pass();
    });
    at.run();
    at.in.run_for(1min);
    CHECK(at.status("/a") == presence_status::failed);
    CHECK(at.here.znode("/a")->why->code() == errc::invalid_argument);
    CHECK(at.here.znode("no/path")->why->code() == errc::invalid_path);
    CHECK(at.here.znode("/b")->why->code() == errc::no_auth);
    CHECK_FALSE(at.settles(1s));
    CHECK(at.requests() < 100);  // with a back-off
    at.server.on_frame({});
    at.here.remove("no/path");
    at.here.add("/a");
    at.in.run_for(10s);
    CHECK(at.ensemble.exists("/a"));
    CHECK(at.ensemble.exists("/b"));
    CHECK(at.settles());
}

TEST_CASE("a run that is cancelled leaves nothing, and another one can follow", "[presence]")
{
    const bool leaves = GENERATE(false, true);
    presence_options how;
    how.leaves_znodes = leaves;
    site at(1, how);
    at.here.add("/s/a");
    at.here.add("/s/m-", "", create_mode::ephemeral_sequential);
    at.run();
    REQUIRE(at.settles());
    std::optional<error> second;
    at.here.run()([&](const result<void>& r) { second = r.error(); });
    at.in.run_for(10ms);
    REQUIRE(second);
    CHECK(second->code() == errc::already_waiting);
    at.stop.emit(asio::cancellation_type::terminal);
    at.in.run_for(1s);
    REQUIRE(at.ended);
    CHECK(at.ended->code() == errc::cancelled);
    CHECK(at.ensemble.children("/s").size() == (leaves ? 2 : 0));
    CHECK_FALSE(at.here.znode("/s/a")->is_settled);
    at.run();
    CHECK(at.settles());
    CHECK(at.ensemble.children("/s").size() == 2);
}

TEST_CASE("a presence that nobody holds any more ends its run and withdraws", "[presence]")
{
    site at;
    at.here.add("/s/a");
    at.run();
    REQUIRE(at.settles());
    at.here = presence(at.zk);
    at.in.run_for(1s);
    REQUIRE(at.ended);
    CHECK(at.ended->code() == errc::cancelled);
    CHECK_FALSE(at.ensemble.exists("/s/a"));
}

TEST_CASE("the stream of a presence ends in what is there", "[presence]")
{
    site at;
    std::vector<std::string> seen;
    std::function<void()> ask = [&] {
        at.here.next()([&](const result<std::vector<kept_znode>>& all) {
            if (all) {
                seen.emplace_back(all->empty() ? "none" : name(all->front().status));
                ask();
            }
        });
    };
    ask();
    at.run();
    at.in.run_for(1s);
    at.here.add("/a");
    at.in.run_for(1s);
    CHECK(seen.front() == "none");
    CHECK(seen.back() == "present");
    at.ensemble.expire(at.session());
    at.in.run_for(1s);
    CHECK(std::ranges::find(seen, "absent") != seen.end());
    CHECK(seen.back() == "present");
}

// --- in storms -----------------------------------------------------------------------------------

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

}  // namespace coati::test::presence_story
