// Three real servers, of which one or all die, stop or come back: the session, its ephemerals and
// its watches live on, reads never go back in time, and every failed write has a true fate.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace coati::test {

namespace {

constexpr int many = 20;

int server_of(const ensemble& servers, const client& zk)
{
    return servers.server_at_port(zk.session().server.port);
}

int a_follower(const ensemble& servers)
{
    const auto leader = servers.leader();
    REQUIRE(leader);
    return *leader == 0 ? 1 : 0;
}

/// Settings that try this server first.
config first_at(const fixture& f, ensemble& servers, int server)
{
    config c = f.settings();
    std::stable_partition(c.servers.begin(), c.servers.end(), [&](const server_address& each) {
        return each.port == servers.client_port(server);
    });
    c.server_policy = coati::server_policy::in_order();
    c.session_timeout = 8s;
    return c;
}

/// What writers were told about each znode that they tried to create.
struct ledger {
    std::map<std::string, result<created>> told;

    std::size_t failed(fate as) const
    {
        return static_cast<std::size_t>(std::count_if(told.begin(), told.end(), [&](const auto& t) {
            return !t.second && t.second.error().fate() == as;
        }));
    }
};

/// Ends a load.
class stop_sign {
public:
    void raise() { is_up_ = true; }
    bool is_up() const { return is_up_; }

private:
    bool is_up_ = false;
};

task<> write_on(client zk, std::string prefix, const stop_sign& stop, ledger& book)
{
    for (int i = 0; !stop.is_up(); ++i) {
        const std::string path = prefix + std::to_string(i);
        auto made = co_await zk.create(path);
        if (!made && made.error().fate() == fate::not_sent) {
            auto rest = zk.sleep_for(1ms);  // fail_fast, and nobody there
            ok(co_await std::move(rest));
        }
        book.told.emplace(path, std::move(made));
    }
}

task<> read_on(client zk, const stop_sign& stop, std::size_t& reads)
{
    std::int64_t newest = 0;
    for (; !stop.is_up(); ++reads) {
        const auto seen = co_await zk.get("/counter");
        ok(seen);
        CHECK(seen->stat.mzxid >= newest);
        newest = std::max(newest, seen->stat.mzxid);
    }
}

task<> count_on(client zk, const stop_sign& stop)
{
    while (!stop.is_up()) {
        (void)co_await zk.set("/counter", "x");  // whether it is told or not
    }
}

/// Ephemerals and watches of one session, and what has to be true of them later.
struct belongings {
    std::vector<created> ephemerals;
    std::vector<watched_data> data;
    std::vector<watched_children> children;
    std::vector<watched_existence> missing;
};

task<> acquire(client zk, int count, belongings& all)
{
    for (int i = 0; i < count; ++i) {
        const std::string n = std::to_string(i);
        auto made = co_await zk.create("/e" + n, "", create_mode::ephemeral);
        ok(made);
        all.ephemerals.push_back(std::move(*made));
        ok(co_await zk.create("/w" + n));
        auto data = co_await zk.get_and_watch("/w" + n);
        ok(data);
        all.data.push_back(std::move(*data));
        auto children = co_await zk.children_and_watch("/w" + n);
        ok(children);
        all.children.push_back(std::move(*children));
        auto missing = co_await zk.exists_and_watch("/m" + n);
        ok(missing);
        all.missing.push_back(std::move(*missing));
    }
}

/// Nothing fired so far; each ephemeral is the one that was made; each watch fires for one change.
task<> check_all(const client& zk, const client& observer, const belongings& all)
{
    ok(co_await zk.sync());
    for (const created& each : all.ephemerals) {
        const auto seen = co_await observer.exists(each.path);
        ok(seen);
        REQUIRE(seen->has_value());
        CHECK((*seen)->czxid == each.zxid);
        CHECK((*seen)->ephemeral_owner == zk.session().id);
    }
    for (std::size_t i = 0; i < all.data.size(); ++i) {
        CHECK(is_silent(all.data[i].watch));
        CHECK(is_silent(all.children[i].watch));
        CHECK(is_silent(all.missing[i].watch));
        const std::string n = std::to_string(i);
        ok(co_await observer.multi(op::set("/w" + n, "x"), op::create("/w" + n + "/c"),
                                   op::create("/m" + n)));
        const event changed = co_await event_of(all.data[i].watch);
        CHECK(changed.type == event_type::data_changed);
        CHECK(changed.path == "/w" + n);
        const event below = co_await event_of(all.children[i].watch);
        CHECK(below.type == event_type::children_changed);
        const event made = co_await event_of(all.missing[i].watch);
        CHECK(made.type == event_type::created);
        const auto more = co_await all.data[i].watch.next();
        CHECK(code_of(more) == errc::watch_ended);
    }
}

task<> check_fates(const client& observer, const ledger& book)
{
    ok(co_await observer.sync());
    const auto names = co_await observer.children("/log");
    ok(names);
    const std::set<std::string> there(names->names.begin(), names->names.end());
    for (const auto& [path, told] : book.told) {
        const bool exists = there.contains(path.substr(5));
        INFO(path << ": " << (told ? "success" : told.error().message()));
        if (told) {
            CHECK(exists);
            continue;
        }
        CHECK(told.error().code() == errc::connection_loss);
        CHECK(
            (told.error().fate() == fate::not_sent || told.error().fate() == fate::maybe_applied));
        if (told.error().fate() == fate::not_sent) {
            CHECK_FALSE(exists);
        }
    }
}

/// Kills the server that the session is connected to, in the middle of a load.
task<> kill_under_load(fixture& f, int victim)
{
    ensemble& servers = f.servers();
    const session s = co_await f.open(first_at(f, servers, victim));
    REQUIRE(server_of(servers, s.zk) == victim);
    const std::int64_t id = s.zk.session().id;
    ok(co_await s.zk.create("/log"));
    ok(co_await s.zk.create("/counter"));
    belongings mine;
    co_await acquire(s.zk, many, mine);

    stop_sign stop;
    ledger book;
    std::size_t reads = 0;
    options strict;
    strict.fail_fast = true;
    for (int i = 0; i < 6; ++i) {
        f.spawn(write_on(s.zk, "/log/w" + std::to_string(i) + "-", stop, book));
        f.spawn(write_on(s.zk.with(strict), "/log/f" + std::to_string(i) + "-", stop, book));
    }
    f.spawn(read_on(s.zk, stop, reads));
    f.spawn(count_on(f.observer(), stop));
    co_await f.sleep(500ms);
    servers.kill(victim);
    co_await f.until([&] { return s.zk.is_connected() && server_of(servers, s.zk) != victim; },
                     "another server");
    const std::size_t before = book.told.size();
    const std::size_t reads_before = reads;
    co_await f.until([&] { return book.told.size() > before + 200 && reads > reads_before + 20; },
                     "a load on the other server");
    stop.raise();
    co_await f.joined();

    CHECK(s.zk.session().id == id);
    CHECK_FALSE(s.is_over());
    CHECK(book.failed(fate::maybe_applied) <= 12);  // one a writer: the rest waited and went on
    co_await check_fates(f.observer(), book);
    co_await check_all(s.zk, f.observer(), mine);
}

}  // namespace

TEST_CASE("a killed follower costs the session nothing, under load", "[failover][S15]")
{
    ensemble& servers = shared_three();
    healed again(servers);
    fixture f(servers);
    f.run([&]() { return kill_under_load(f, a_follower(servers)); });
}

TEST_CASE("a killed leader costs the session nothing, under load", "[failover][S15]")
{
    ensemble& servers = shared_three();
    healed again(servers);
    fixture f(servers);
    const auto leader = servers.leader();
    REQUIRE(leader);
    f.run([&]() { return kill_under_load(f, *leader); });
}

TEST_CASE("a server that stops answering is left for another", "[failover][S5][C32]")
{
    ensemble& servers = shared_three();
    healed again(servers);
    fixture f(servers);
    f.run([&]() -> task<> {
        const int victim = a_follower(servers);
        config c = first_at(f, servers, victim);
        c.session_timeout = 3s;
        const session s = co_await f.open(c);
        const std::int64_t id = s.zk.session().id;
        const auto made = co_await s.zk.create("/e", "", create_mode::ephemeral);
        ok(made);

        servers.pause(victim);
        const auto begun = std::chrono::steady_clock::now();
        bool read = false;
        s.zk.get("/e")([&](result<get_result> r) { read = r.has_value(); });
        auto lost = f.until([&] { return !s.zk.is_connected(); }, "that the silence is noticed");
        co_await std::move(lost);
        // The last sign of life is at most one ping, T/3, older than the pause.
        CHECK(std::chrono::steady_clock::now() - begun >= 900ms);
        co_await f.until([&] { return s.zk.is_connected() && read; }, "another server");
        CHECK(server_of(servers, s.zk) != victim);
        CHECK(s.zk.session().id == id);
        const auto seen = co_await f.observer().exists("/e");
        REQUIRE((seen && seen->has_value()));
        CHECK((*seen)->czxid == made->zxid);
    });
}

TEST_CASE("the session outlives a restart of the whole ensemble", "[failover][C22]")
{
    ensemble& servers = shared_three();
    healed again(servers);
    fixture f(servers);
    f.run([&]() -> task<> {
        config c = f.settings();
        c.session_timeout = 4s;
        const session s = co_await f.open(c);
        const std::int64_t id = s.zk.session().id;
        belongings mine;
        co_await acquire(s.zk, many, mine);
        for (int i = 0; i < servers.size(); ++i) {
            servers.kill(i);
        }
        // Longer than the session: time without any server is not counted.
        co_await f.sleep(5s);
        CHECK_FALSE(s.zk.is_connected());
        CHECK(s.zk.last_attempts().size() == 3);
        auto waiting = s.zk.get("/w0");
        bool read = false;
        std::move(waiting)([&](result<get_result> r) { read = r.has_value(); });
        for (int i = 0; i < servers.size(); ++i) {
            servers.start(i);
        }
        co_await f.until([&] { return s.zk.is_connected() && read; }, "the ensemble", 60s);
        CHECK(s.zk.session().id == id);
        co_await check_all(s.zk, f.observer(), mine);
    });
}

TEST_CASE("half a session timeout without a server changes nothing", "[failover][S10]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        state_stream states = s.zk.states();
        const std::int64_t id = s.zk.session().id;
        belongings mine;
        co_await acquire(s.zk, 200, mine);
        proxy.refuse(true);
        proxy.cut();
        co_await f.sleep(s.zk.negotiated_timeout() / 2);
        CHECK_FALSE(s.zk.is_connected());
        proxy.refuse(false);
        co_await f.until([&] { return s.zk.is_connected(); }, "the server");
        CHECK(s.zk.session().id == id);
        co_await check_all(s.zk, f.observer(), mine);

        // And an observer of the state saw exactly one outage.
        std::map<session_state, int> seen;
        do {
            auto next = states.next().within(10s);
            const auto change = co_await std::move(next);
            ok(change);
            ++seen[change->state];
            CHECK(change->merged == 0);
        } while (seen[session_state::connected] < 2);
        CHECK(seen[session_state::disconnected] >= 1);
        CHECK(seen[session_state::expired] == 0);
        CHECK(seen[session_state::closed] == 0);
    });
}

TEST_CASE("clients spread over all servers", "[failover][S37]")
{
    fixture f(shared_three());
    f.run([&]() -> task<> {
        std::vector<session> all;
        for (int i = 0; i < 90; ++i) {
            all.push_back(f.start(f.settings()));
        }
        std::array<int, 3> at{};
        for (const session& each : all) {
            auto connected = each.zk.connected().within(30s);
            ok(co_await std::move(connected));
            ++at.at(static_cast<std::size_t>(server_of(f.servers(), each.zk)));
        }
        // Fewer than 12 of 90 is more than four standard deviations away.
        for (const int sessions : at) {
            CHECK(sessions >= 12);
        }
    });
}

TEST_CASE("an IPv6 literal is an address like another", "[failover][S37][C2]")
{
    ensemble_options options;
    options.extra_cfg["clientPortAddress"] = "::";  // both families
    options.jvm_args = {"-Djava.net.preferIPv4Stack=false"};
    std::optional<ensemble> servers;
    try {
        servers.emplace(options);
    } catch (const std::runtime_error&) {
        SKIP("no server can listen on an IPv6 address of this machine");
    }
    fixture f(*servers);
    f.run([&]() -> task<> {
        const std::string port = std::to_string(servers->client_port(0));
        auto parsed = config::parse("[::1]:" + port + f.full());
        REQUIRE(parsed);
        const session s = co_await f.open(*parsed);
        CHECK(s.zk.session().server.address == "::1");
        ok(co_await s.zk.create("/a"));
        const auto seen = co_await f.observer().exists("/a");
        REQUIRE((seen && seen->has_value()));
    });
}

}  // namespace coati::test
