// The table of fates in docs/explanation/failure-semantics.md against three real servers: what
// each failure does to an ephemeral and to each kind of watch. With bounds on time, it is held in
// virtual time by test/engine/fate_table_test.cpp.

#include "support.hpp"

#include "support/byte_proxy.hpp"
#include "support/fate_table.hpp"

#include <array>

namespace coati::test {

namespace {

/// A session through a proxy before each of three servers, and what is there to be harmed by a
/// failure: of each kind of watch one on a znode that nobody touches, and one on a znode that
/// somebody changes while the client cannot see it.
class scene {
public:
    explicit scene(fixture& in) : f(in)
    {
        for (int i = 0; i < f.servers().size(); ++i) {
            proxies.push_back(std::make_unique<byte_proxy>(f.servers().client_port(i)));
        }
    }

    task<> set_up(std::chrono::milliseconds session_timeout)
    {
        baseline_ = watches();
        config c = f.settings();
        c.servers.clear();
        for (const auto& each : proxies) {
            c.servers.push_back({"127.0.0.1", each->port()});
        }
        c.session_timeout = session_timeout;
        opened.emplace(co_await f.open(c));
        const client zk = opened->zk;
        id_ = zk.session().id;
        auto made = co_await zk.create("/mine", "", create_mode::ephemeral);
        ok(made);
        made_ = made->zxid;
        for (const std::string where : {"/still", "/changed"}) {
            for (const std::string kind : {"/data", "/child", "/persistent"}) {
                auto parents = co_await zk.create(kind);
                REQUIRE((parents || parents.error() == errc::node_exists));
                ok(co_await zk.create(kind + where));
            }
            auto there = co_await zk.get_and_watch("/data" + where);
            ok(there);
            data.push_back(std::move(there->watch));
            auto below = co_await zk.children_and_watch("/child" + where);
            ok(below);
            child.push_back(std::move(below->watch));
            auto missing = co_await zk.exists_and_watch("/exist-" + where.substr(1));
            ok(missing);
            exist.push_back(std::move(missing->watch));
            auto stream = co_await zk.watch("/persistent" + where);
            ok(stream);
            streams.push_back(std::move(*stream));
        }
        CHECK(watches() > baseline_);
    }

    task<> change(std::string where = "changed")
    {
        const client& by = f.observer();
        ok(co_await by.multi(op::set("/data/" + where, "x"), op::create("/child/" + where + "/c"),
                             op::create("/exist-" + where), op::set("/persistent/" + where, "x")));
    }

    void cut_off()
    {
        for (const auto& each : proxies) {
            each->refuse(true);
            each->stall(direction::to_server);
            each->stall(direction::to_client);
        }
    }
    void heal()
    {
        for (const auto& each : proxies) {
            each->unstall(direction::to_server);
            each->unstall(direction::to_client);
            each->refuse(false);
        }
    }
    task<> until_disconnected()
    {
        const client zk = opened->zk;
        co_await f.until([&] { return !zk.is_connected(); }, "the loss");
    }

    std::size_t watches() const
    {
        std::size_t all = 0;
        for (int i = 0; i < f.servers().size(); ++i) {
            all += f.servers().pid(i) > 0 ? watches_at(f.servers(), i) : 0;
        }
        return all;
    }
    std::size_t connections() const
    {
        std::size_t all = 0;
        for (const auto& each : proxies) {
            all += each->connections();
        }
        return all;
    }

    task<bool> is_there(std::string path) const
    {
        auto seen = co_await f.observer().exists(path);
        ok(seen);
        co_return seen->has_value();
    }

    /// What became of everything, as the table has it.
    task<fates> observe()
    {
        const client zk = opened->zk;
        if (!opened->is_over()) {
            auto connected = zk.connected().within(30s);
            ok(co_await std::move(connected));
            ok(co_await zk.sync());
            CHECK(zk.session().id == id_);
        }
        fates seen;
        seen["ephemeral"] = co_await of_ephemeral();
        std::array<std::string, 2> before;
        before[0] = co_await first_of(streams[0]);
        before[1] = co_await first_of(streams[1]);
        std::vector<bool> armed;
        for (const auto* const kind : {&data, &child, &exist}) {
            armed.push_back(kind->at(0).is_armed());
            armed.push_back(kind->at(1).is_armed());
        }
        // Whatever is said to be kept has to prove it: one more change, one event.
        co_await change("still");
        ok(co_await f.observer().set("/persistent/changed", "y"));
        constexpr std::array columns{"data watch", "child watch", "exist watch"};
        constexpr std::array events{event_type::data_changed, event_type::children_changed,
                                    event_type::created};
        const std::array<std::vector<watch>*, 3> kinds{&data, &child, &exist};
        for (std::size_t i = 0; i < kinds.size(); ++i) {
            const auto still = co_await of_watch(kinds[i]->at(0), armed[2 * i], events[i]);
            const auto changed = co_await of_watch(kinds[i]->at(1), armed[2 * i + 1], events[i]);
            seen[columns[i]] = fate_of_both(still, changed);
        }
        co_await live(streams[0], before[0]);
        co_await live(streams[1], before[1]);
        seen["persistent watch"] = fate_of_both(before[0], before[1]);
        co_return seen;
    }

    fixture& f;
    std::vector<std::unique_ptr<byte_proxy>> proxies;
    std::optional<session> opened;
    std::vector<watch> data, child, exist;
    std::vector<watch_stream> streams;

private:
    task<std::string> of_ephemeral()
    {
        auto seen = co_await f.observer().exists("/mine");
        ok(seen);
        if (!seen->has_value()) {
            co_return "deleted";
        }
        CHECK((*seen)->czxid == made_);
        CHECK((*seen)->ephemeral_owner == id_);
        co_return "kept";
    }
    std::string ended(const error& how) const
    {
        if (how.code() == errc::session_dropped) {
            return watches() == baseline_ ? "gone" : "left on a server";
        }
        return how.code() == errc::session_expired ? "ended" : std::string(name(how.code()));
    }
    task<std::string> of_watch(const watch& w, bool was_armed, event_type expected)
    {
        auto next = w.next().within(20s);
        const auto told = co_await std::move(next);
        if (!told) {
            co_return ended(told.error());
        }
        CHECK(told->type == expected);
        const auto more = co_await w.next();
        CHECK(code_of(more) == errc::watch_ended);
        co_return was_armed ? "kept" : "fired";
    }
    task<std::string> first_of(const watch_stream& s)
    {
        auto next = s.next().within(50ms);  // what there is has arrived: observe() has synced
        const auto told = co_await std::move(next);
        if (!told) {
            co_return code_of(told) == errc::timed_out ? "kept" : ended(told.error());
        }
        CHECK((told->is_gap() || told->type == event_type::data_changed));
        co_return told->is_gap() ? "gap" : "fired";
    }
    task<> live(const watch_stream& s, std::string before)
    {
        if (before != "ended" && before != "gone") {
            auto next = s.next().within(20s);
            const auto told = co_await std::move(next);
            ok(told);
            CHECK(told->type == event_type::data_changed);
        }
    }

    std::size_t baseline_ = 0;
    std::int64_t id_ = 0;
    std::int64_t made_ = 0;
};

/// Sets the scene, lets `failure(scene&)` happen, and compares with the row of that name.
template <class Failure>
void play(const std::string& row, std::chrono::milliseconds session_timeout, Failure failure)
{
    ensemble& servers = shared_three();
    healed again(servers);
    fixture f(servers);
    f.run([&]() -> task<> {
        scene on(f);
        co_await on.set_up(session_timeout);
        co_await failure(on);
        const fates seen = co_await on.observe();
        CHECK(in_words(seen) == documented(COATI_TEST_DIR, row));
    });
}

}  // namespace

TEST_CASE("fates on real servers: the application crashes", "[fates][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        on.opened->drop();
        const auto end = co_await on.opened->ended();
        CHECK(code_of(end) == errc::session_dropped);
        CHECK(co_await on.is_there("/mine"));
        co_await on.change();
        while (co_await on.is_there("/mine")) {
            co_await on.f.sleep(20ms);
        }
    };
    play("the application crashes", 1s, failure);
}

TEST_CASE("fates on real servers: a silence that TCP outlives", "[fates][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        const auto connections = on.connections();
        on.cut_off();
        co_await on.change();
        co_await on.f.sleep(500ms);
        on.heal();
        ok(co_await on.opened->zk.sync());
        CHECK(on.connections() == connections);
    };
    play("silence that TCP outlives", 6s, failure);
}

TEST_CASE("fates on real servers: cut off for less than the session timeout", "[fates][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        on.cut_off();
        co_await on.until_disconnected();
        co_await on.change();
        on.heal();
    };
    play("cut off for less than T", 3s, failure);
}

TEST_CASE("fates on real servers: cut off for more than the session timeout", "[fates][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        on.cut_off();
        co_await on.change();
        while (co_await on.is_there("/mine")) {
            co_await on.f.sleep(20ms);
        }
        CHECK_FALSE(on.opened->is_over());
        on.heal();
        (void)co_await on.opened->ended();
    };
    play("cut off for more than T", 1s, failure);
}

TEST_CASE("fates on real servers: the server of the session crashes", "[fates][S15][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        const auto port = on.opened->zk.session().server.port;
        for (const auto& each : on.proxies) {
            each->refuse(true);
        }
        for (int i = 0; i < on.f.servers().size(); ++i) {
            if (on.proxies.at(static_cast<std::size_t>(i))->port() == port) {
                on.f.servers().kill(i);
            }
        }
        co_await on.until_disconnected();
        co_await on.change();
        on.heal();
    };
    play("its server crashes", 8s, failure);
}

TEST_CASE("fates on real servers: the whole ensemble restarts", "[fates][S13][S16]")
{
    const auto failure = [](scene& on) -> task<> {
        ensemble& servers = on.f.servers();
        for (const auto& each : on.proxies) {
            each->refuse(true);
        }
        for (int i = 0; i < servers.size(); ++i) {
            servers.kill(i);
        }
        co_await on.until_disconnected();
        for (int i = 0; i < servers.size(); ++i) {
            servers.start(i);
        }
        co_await on.change();
        on.heal();
    };
    play("the ensemble restarts", 4s, failure);
}

}  // namespace coati::test
