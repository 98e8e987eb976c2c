// A configuration, one promise at a time: what is known of it, when it is live and when it is not,
// what codecs and servers may do to it, and how its run ends.

#include "../engine/support.hpp"

#include <coati/recipe/configuration.hpp>
#include <coati/testing/faults.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace coati::test::configuration_story {

namespace {

using coati::wire::op_code;

/// Even throws.
struct number_codec {
    using value_type = int;

    decoded<int> decode(std::string_view bytes) const
    {
        if (bytes == "throw") {
            throw std::runtime_error("thrown");
        }
        int value = 0;
        const auto [end, wrong] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
        if (wrong != std::errc{} || end != bytes.data() + bytes.size()) {
            return undecodable("no number");
        }
        return value;
    }
    std::string encode(int value) const { return std::to_string(value); }
};

/// One configuration and a reader of it, who notes what it is told: "1 live", "- stale", "1 (no
/// number) live".
class watcher {
public:
    explicit watcher(simulation& in, const client& zk, const std::string& path = "/a")
        : at(in), settings(zk, path, number_codec()), changes(settings.changes())
    {
        run = at.start(settings.run(), stop);
        ask();
    }
    watcher(const watcher&) = delete;
    watcher& operator=(const watcher&) = delete;

    static std::string text(const configured<int>& now)
    {
        if (!now.is_loaded) {
            return "nothing";
        }
        std::string all = now.value ? std::to_string(*now.value) : "-";
        if (now.flaw) {
            all += " (" + now.flaw->why + ")";
        }
        return all + (now.is_live() ? " live" : " stale");
    }
    std::string now() const { return text(settings.get()); }
    void until_now(const std::string& what)
    {
        at.until([&] { return now() == what; });
        at.pass(1ms);  // and the stream has it
    }

    simulation& at;
    asio::cancellation_signal stop;
    configuration<int> settings;
    configuration_changes<int> changes;
    answer<void> run;
    std::vector<std::string> seen;
    std::vector<configured<int>> all;
    std::optional<error> end;

private:
    void ask()
    {
        changes.next()([this](result<configured<int>> r) {
            if (!r) {
                end = r.error();
                return;
            }
            seen.push_back(text(*r));
            all.push_back(*r);
            ask();
        });
    }
};

using texts = std::vector<std::string>;

std::size_t count_of(const scripted_server& server, op_code op)
{
    const auto& log = server.log();
    return static_cast<std::size_t>(
        std::count_if(log.begin(), log.end(), [&](const auto& each) { return each.op == op; }));
}

asio::awaitable<result<void>> be_idle(client zk)
{
    co_return co_await zk.sleep_for(24h);
}

void keep_in_sessions(const client& zk)
{
    supervise(zk, be_idle)([](const std::exception_ptr&, const result<void>&) {});
}

void until_expired(simulation& at, const state_recorder& states)
{
    at.until(
        [&] { return !states.seen.empty() && states.seen.back().state == session_state::expired; });
}

TEST_CASE("a configuration is what its znode is, missing or not", "[configuration]")
{
    simulation at;
    at.connect();
    watcher w(at, *at.zk);
    CHECK(w.now() == "nothing");
    CHECK_FALSE(w.settings.get().is_live());
    const auto ready = at.start(w.settings.ready());
    w.until_now("- live");
    REQUIRE(ready.done());
    CHECK(*ready);
    CHECK(at.ask(w.settings.ready()));
    CHECK_FALSE(w.settings.get().exists);
    at.ensemble.put("/a", "1");
    w.until_now("1 live");
    const auto first = w.settings.get();
    REQUIRE(first.stat);
    CHECK(first.exists);
    CHECK(first.stat->version == 0);
    CHECK(first.newest_mzxid() == first.stat->mzxid);
    at.ensemble.put("/a", "2");
    w.until_now("2 live");
    CHECK(w.settings.get().stat->version == 1);
    CHECK(*first.value == 1);  // a reader's value stays what it was
    at.ensemble.remove("/a");
    w.until_now("- live");
    CHECK(w.settings.get().newest_mzxid() == 0);
    at.ensemble.put("/a", "2");
    w.until_now("2 live");
    CHECK(w.settings.get().stat->czxid > first.stat->czxid);
    CHECK(w.seen == texts{"- live", "1 live", "2 live", "- live", "2 live"});
}

TEST_CASE("bytes that are no value are told, and the last good value stays", "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "one");
    watcher w(at, *at.zk);
    w.until_now("- (no number) live");
    CHECK(w.settings.get().exists);
    CHECK_FALSE(w.settings.get().stat);
    at.ensemble.put("/a", "1");
    w.until_now("1 live");
    at.ensemble.put("/a", "two");
    w.until_now("1 (no number) live");
    const auto flawed = w.settings.get();
    CHECK(flawed.stat->version == 1);
    CHECK(flawed.flaw->stat.version == 2);
    CHECK(flawed.newest_mzxid() == flawed.flaw->stat.mzxid);
    at.ensemble.put("/a", "throw");
    w.until_now("1 (thrown) live");
    at.ensemble.put("/a", "");
    w.until_now("1 (no number) live");
    at.ensemble.put("/a", "2");
    w.until_now("2 live");
    at.ensemble.put("/a", "x");
    w.until_now("2 (no number) live");
    at.ensemble.remove("/a");
    w.until_now("- live");
    CHECK(w.seen == texts{"- (no number) live", "1 live", "1 (no number) live", "1 (thrown) live",
                          "1 (no number) live", "2 live", "2 (no number) live", "- live"});
}

TEST_CASE("quick changes are seen as one by a slow reader, and the last for certain",
          "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "0");
    watcher w(at, *at.zk);
    w.until_now("0 live");
    const auto slow = w.settings.changes();
    CHECK(*at.ask(slow.next())->value == 0);
    for (int i = 1; i <= 20; ++i) {
        at.ensemble.put("/a", std::to_string(i));
        w.until_now(std::to_string(i) + " live");
    }
    CHECK(w.seen.size() == 21);
    CHECK(*at.ask(slow.next())->value == 20);
    const auto waiting = at.start(slow.next());
    CHECK(at.ask(slow.next()).error() == errc::already_waiting);
    at.ensemble.put("/a", "21");
    at.until([&] { return waiting.done(); });
    CHECK(*waiting->value == 21);
}

TEST_CASE("who gives up waiting for a change loses none", "[configuration][cancel]")
{
    simulation at;
    at.connect();
    watcher w(at, *at.zk);
    w.until_now("- live");
    const auto changes = w.settings.changes();
    CHECK(at.ask(changes.next()));
    asio::cancellation_signal stop;
    const auto given_up = at.start(changes.next(), stop);
    at.pass(1s);
    stop.emit(asio::cancellation_type::terminal);
    at.until([&] { return given_up.done(); });
    CHECK(given_up.code() == errc::cancelled);
    CHECK(at.ask(at.zk->within(1s, changes.next())).error() == errc::timed_out);
    at.ensemble.put("/a", "1");
    w.until_now("1 live");
    CHECK(*at.ask(changes.next())->value == 1);
}

TEST_CASE("without a connection it is stale, and live again once it was read again",
          "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "1");
    watcher w(at, *at.zk);
    w.until_now("1 live");
    const time_point read_at = at.in.now();
    at.pass(30s);
    CHECK(w.now() == "1 live");
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    const time_point lost_at = at.in.now();
    w.until_now("1 stale");
    const auto since = *w.settings.get().stale_since;
    CHECK(since > read_at);  // pings say that it was still so
    CHECK(since < lost_at);
    CHECK(since >= lost_at - at.zk->negotiated_timeout());
    at.ensemble.put("/a", "2");
    at.server(0).on_frame([](const frame_view& f) {
        const bool is_read = f.direction == frame_view::way::reply &&
                             (f.op == op_code::get_data || f.op == op_code::notification);
        return is_read && !f.handshake ? verdict::withhold() : verdict::pass();
    });
    at.server(0).restart();
    at.until([&] { return at.zk->is_connected(); });
    at.pass(100ms);
    CHECK(w.now() == "1 stale");  // connected, not read
    CHECK(*w.settings.get().stale_since == since);
    at.server(0).on_frame({});
    at.server(0).release();
    w.until_now("2 live");
    // Nothing has changed meanwhile: told all the same, since nobody could have known.
    at.in.cut_all();
    w.until_now("2 stale");
    w.until_now("2 live");
    CHECK(w.seen == texts{"1 live", "1 stale", "2 live", "2 stale", "2 live"});
}

TEST_CASE("a configuration outlives sessions with an outer handle", "[configuration]")
{
    simulation at;
    const client outer = *at.zk;
    keep_in_sessions(outer);
    watcher w(at, outer);
    at.ensemble.put("/a", "1");
    w.until_now("1 live");
    for (int i = 2; i < 5; ++i) {
        at.ensemble.expire(at.ensemble.sessions().front().id);
        at.ensemble.put("/a", std::to_string(i));
        w.until_now(std::to_string(i) + " live");
    }
    CHECK(w.seen == texts{"1 live", "1 stale", "2 live", "2 stale", "3 live", "3 stale", "4 live"});
    CHECK_FALSE(w.run.done());
}

TEST_CASE("with a pinned handle it ends with the session, and says so last", "[configuration]")
{
    simulation at;
    const auto session = at.connect();
    at.ensemble.put("/a", "1");
    watcher w(at, at.zk->pinned());
    w.until_now("1 live");
    at.ensemble.expire(at.ensemble.sessions().front().id);
    at.until([&] { return w.run.done() && w.end; });
    CHECK(w.run.code() == errc::session_expired);
    CHECK(w.seen == texts{"1 live", "1 stale"});
    CHECK(*w.end == errc::session_expired);
    CHECK(w.now() == "1 stale");
    // And for ever, whatever session there is then.
    at.until([&] { return session.done(); });
    at.connect();
    CHECK(at.ask(w.settings.run()).error() == errc::session_expired);
    CHECK(w.now() == "1 stale");
    // Also when nobody knows whether there will be another connection.
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    CHECK(at.ask(w.settings.run(), 1s).error() == errc::session_expired);
}

TEST_CASE("a run ends with its caller, with the last handle, or with what cannot be mended",
          "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "1");
    std::optional<watcher> w(std::in_place, at, *at.zk);
    w->until_now("1 live");
    CHECK(at.ask(w->settings.run()).error() == errc::already_running);
    w->stop.emit(asio::cancellation_type::terminal);
    at.until([&] { return w->run.done(); });
    CHECK(w->run.code() == errc::cancelled);
    at.pass(1ms);
    CHECK(w->seen == texts{"1 live", "1 stale"});
    REQUIRE(w->end);
    CHECK(*w->end == errc::cancelled);
    CHECK(at.zk->live_watches().empty());
    at.ensemble.put("/a", "2");
    CHECK(w->now() == "1 stale");
    const auto again = at.start(w->settings.run());
    w->until_now("2 live");
    const auto changes = w->settings.changes();
    CHECK(at.ask(changes.next()));
    const auto waiting = at.start(changes.next());
    w.reset();
    at.until([&] { return again.done() && waiting.done(); });
    CHECK(again.code() == errc::cancelled);
    CHECK(waiting.code() == errc::cancelled);
    at.pass(1s);
    CHECK(at.zk->live_watches().empty());

    watcher wrong(at, *at.zk, "no/path");
    const auto ready = at.start(wrong.settings.ready());
    at.until([&] { return wrong.run.done() && ready.done(); });
    CHECK(wrong.run.code() == errc::invalid_path);
    CHECK(ready.code() == errc::invalid_path);
    CHECK(*wrong.end == errc::invalid_path);

    at.server(0).on_frame(testing::answer_with(op_code::get_data, errc::no_auth));
    watcher secret(at, *at.zk);
    at.until([&] { return secret.run.done(); });
    CHECK(secret.run.code() == errc::no_auth);
}

TEST_CASE("what was only not possible now is tried again", "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "1");
    at.server(0).on_frame(testing::answer_with(op_code::get_data, errc::throttled_op, 3));
    watcher w(at, at.zk->with({.timeout = 500ms, .fail_fast = true}));
    w.until_now("1 live");
    at.server(0).kill();
    at.pass(3s);
    at.server(0).restart();
    w.until_now("1 live");
    CHECK_FALSE(w.run.done());
}

TEST_CASE("a server that is behind does not take a new session back in time", "[configuration]")
{
    // Local sessions: any other one has been seen by its server, with all that was before it.
    testing::ensemble_options o;
    o.local_sessions = true;
    simulation at(2, 1, o);
    const client outer = *at.zk;
    keep_in_sessions(outer);
    at.ensemble.put("/a", "1");
    watcher w(at, outer);
    w.until_now("1 live");
    at.server(1).lag(20s);
    const auto last = GENERATE(std::string("2"), std::string());
    if (last.empty()) {
        at.ensemble.remove("/a");
    } else {
        at.ensemble.put("/a", last);
    }
    const std::string end = last.empty() ? "-" : last;
    w.until_now(end + " live");
    const state_recorder states(outer);
    at.ensemble.expire(at.ensemble.sessions().front().id);
    until_expired(at, states);
    at.server(0).kill();
    at.until([&] { return outer.is_connected(); });
    at.pass(5s);
    CHECK(w.now() == end + " stale");
    w.until_now(end + " live");
    CHECK(w.seen == texts{"1 live", end + " live", end + " stale", end + " live"});
    CHECK(count_of(at.server(1), op_code::multi) >= 1);
}

TEST_CASE("an ensemble that was put back to an earlier state is believed", "[configuration]")
{
    simulation at;
    const client outer = *at.zk;
    keep_in_sessions(outer);
    at.ensemble.put("/a", "1");
    at.ensemble.set_zxid(0x100000000);
    at.ensemble.put("/a", "2");
    watcher w(at, outer);
    w.until_now("2 live");
    const state_recorder states(outer);
    at.ensemble.expire(at.ensemble.sessions().front().id);
    until_expired(at, states);
    at.server(0).kill();
    at.ensemble.set_zxid(0x1000);
    at.ensemble.remove("/a");
    at.ensemble.put("/a", "1");
    at.server(0).restart();
    w.until_now("1 live");
    CHECK(w.all.back().zxid < w.all.front().zxid);
    at.ensemble.put("/a", "2");
    w.until_now("2 live");
    CHECK(w.seen == texts{"2 live", "2 stale", "1 live", "2 live"});
}

TEST_CASE("a server without a quorum is read, and not believed to know the newest",
          "[configuration]")
{
    config c = plain_config(1);
    c.allow_read_only = true;
    testing::ensemble_options o;
    o.read_only_mode = true;
    simulation at(c, 1, 1, o);
    at.ensemble.put("/a", "1");
    at.ensemble.has_quorum(false);
    at.start(at.zk->run());
    watcher w(at, *at.zk);
    w.until_now("1 stale");
    CHECK(at.zk->is_connected());
    at.pass(10s);
    CHECK(w.now() == "1 stale");
    at.ensemble.has_quorum(true);
    w.until_now("1 live");
    CHECK(w.seen == texts{"1 stale", "1 live"});
}

std::optional<int> twice(const int& value)
{
    return value * 2;
}
std::optional<int> leave(const int&)
{
    return std::nullopt;
}

TEST_CASE("a configuration is written through its codec", "[configuration]")
{
    simulation at;
    at.connect();
    const configuration settings(*at.zk, "/a", number_codec());
    CHECK(settings.path() == "/a");
    CHECK(at.ask(settings.set(1)).error() == errc::no_node);
    at.ensemble.put("/a", "1");
    const auto set = at.ask(settings.set(7, 0));
    REQUIRE(set);
    CHECK(at.ensemble.data("/a") == "7");
    CHECK(at.ask(settings.set(8, 0)).error() == errc::bad_version);
    REQUIRE(at.ask(settings.update(twice)));
    CHECK(at.ensemble.data("/a") == "14");
    const auto left = at.ask(settings.update(leave));
    REQUIRE(left);
    CHECK(left->version == 2);
    at.ensemble.put("/a", "many");
    CHECK(at.ask(settings.update(twice)).error() == errc::invalid_argument);
    CHECK(at.ensemble.data("/a") == "many");
}

TEST_CASE("text needs no codec of one's own", "[configuration]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/motto", "slow is smooth");
    const configuration motto(*at.zk, "/motto", text_codec());
    const auto run = at.start(motto.run());
    REQUIRE(at.ask(motto.ready()));
    CHECK(*motto.get().value == "slow is smooth");
}

}  // namespace

}  // namespace coati::test::configuration_story
