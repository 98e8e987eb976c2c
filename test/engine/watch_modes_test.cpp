// Watches of every kind on the same paths, against servers that keep one mode a path (3.8) and
// servers that keep each (3.9): whatever is set, fires and is dropped in whatever order, a stream
// misses nothing that it does not tell, a one-shot watch fires, and nothing is left behind.

#include "support.hpp"

#include "../unit/protocol/random.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::event;
using coati::event_type;
using coati::gap_reason;
using coati::live_watch;
using coati::stream_event;
using coati::watch_mode;
using coati::watch_stream;
using coati::wire::op_code;
using enum coati::event_type;

using change = std::pair<event_type, std::string>;
using changes = std::vector<change>;

simulation of_version(std::string version)
{
    return simulation(1, 1, {.version = std::move(version)});
}

std::string parent_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    return path == "/" ? std::string() : path.substr(0, slash == 0 ? 1 : slash);
}

/// The changes that a write of somebody else's makes.
changes put(simulation& at, const std::string& path, const std::string& data)
{
    changes made;
    if (at.ensemble.exists(path)) {
        made.emplace_back(data_changed, path);
    } else {
        for (std::string missing = path; !at.ensemble.exists(missing);
             missing = parent_of(missing)) {
            made.emplace(made.begin(), created, missing);
        }
    }
    at.ensemble.put(path, data);
    return made;
}

changes remove(simulation& at, const std::string& path)
{
    return at.ensemble.remove(path) ? changes{{deleted, path}} : changes{};
}

/// What of it a stream has to hear, in this order.
changes as_heard(const changes& all, const std::string& at, watch_mode mode)
{
    changes heard;
    for (const auto& [type, path] : all) {
        const bool below = path == at || at == "/" || path.starts_with(at + "/");
        if (mode == watch_mode::recursive ? below : path == at) {
            heard.emplace_back(type, path);
        }
        if (mode == watch_mode::persistent && type != data_changed && parent_of(path) == at) {
            heard.emplace_back(children_changed, at);
        }
    }
    return heard;
}

/// A stream with a reader, and what it has heard since it was looked at.
class listener {
public:
    explicit listener(watch_stream s) : stream(std::move(s)) { ask(); }
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

    changes heard;
    std::vector<gap_reason> gaps;

private:
    void ask()
    {
        stream.next()([this](coati::result<stream_event> r) {
            if (!r) {
                return;
            }
            if (r->is_gap()) {
                gaps.push_back(r->reason);
                heard.clear();  // who reads again needs nothing from before
            } else {
                heard.emplace_back(r->type, r->path);
            }
            ask();
        });
    }

public:
    watch_stream stream;
};

/// A one-shot watch and what was read with it.
class once {
public:
    std::string path;
    int kind = 0;  // data, exist, child
    std::int64_t zxid = 0;
    bool was_there = false;
    coati::watch watch;
};

std::unique_ptr<listener> listen(simulation& at, const std::string& path, watch_mode mode)
{
    auto made = at.ask(at.zk->watch(path, mode));
    REQUIRE(made);
    return std::make_unique<listener>(std::move(*made));
}

void settle(simulation& at)
{
    at.until([&] { return at.zk->is_connected(); });
    REQUIRE(at.ask(at.zk->sync()));
    REQUIRE(at.ask(at.zk->sync()));  // behind what the first one's turn has caused
}

}  // namespace

// --- one path, one mode: the hazards, one by one -------------------------------------------------

TEST_CASE("a persistent watch outlives one-shot watches on its path", "[stream][T34]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    const auto mode = GENERATE(watch_mode::persistent, watch_mode::recursive);
    at.connect();
    at.ensemble.put("/a", "0");
    const auto s = listen(at, "/a", mode);
    changes all;
    for (int round = 0; round < 5; ++round) {
        const auto data = at.ask(at.zk->get_and_watch("/a"));
        const auto exist = at.ask(at.zk->exists_and_watch("/a"));
        const auto child = at.ask(at.zk->children_and_watch("/a"));
        const auto more = put(at, "/a", std::to_string(round));
        all.insert(all.end(), more.begin(), more.end());
        settle(at);
        CHECK_FALSE(data->watch.is_armed());
        CHECK_FALSE(exist->watch.is_armed());
        CHECK(child->watch.is_armed());
        for (const std::string path : {"/a/x", "/a/x/y", "/a/x/y"}) {
            const auto next = put(at, path, "x");
            all.insert(all.end(), next.begin(), next.end());
        }
        settle(at);
        CHECK_FALSE(child->watch.is_armed());
        for (const std::string path : {"/a/x/y", "/a/x"}) {
            const auto next = remove(at, path);
            all.insert(all.end(), next.begin(), next.end());
        }
    }
    settle(at);
    CHECK(s->heard == as_heard(all, "/a", mode));
    CHECK(s->gaps.empty());
}

TEST_CASE("persistent and recursive watches of one path do not replace each other", "[stream][T34]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    const bool recursive_first = GENERATE(true, false);
    at.connect();
    at.ensemble.put("/a", "0");
    auto first = listen(at, "/a", recursive_first ? watch_mode::recursive : watch_mode::persistent);
    auto second =
        listen(at, "/a", recursive_first ? watch_mode::persistent : watch_mode::recursive);
    const auto play = [&] {
        changes all;
        for (const std::string path : {"/a", "/a/x", "/a/x/y", "/a/x", "/a/x/y"}) {
            const auto next = put(at, path, "1");
            all.insert(all.end(), next.begin(), next.end());
        }
        for (const std::string path : {"/a/x/y", "/a/x"}) {
            const auto next = remove(at, path);
            all.insert(all.end(), next.begin(), next.end());
        }
        settle(at);
        for (const auto* each : {&first, &second}) {
            if (*each) {
                CHECK((*each)->heard == as_heard(all, "/a", (*each)->stream.mode()));
                CHECK((*each)->gaps.empty());
                (*each)->heard.clear();
            }
        }
    };
    play();
    SECTION("when one leaves the other stays")
    {
        (GENERATE(true, false) ? first : second).reset();
        play();
    }
    SECTION("on the next connection, too")
    {
        at.in.cut_all();
        at.until([&] { return !at.zk->is_connected(); });
        settle(at);
        CHECK(first->gaps.size() == 1);
        first->gaps.clear();
        second->gaps.clear();
        play();
    }
    first.reset();
    second.reset();
    settle(at);
    CHECK(at.server(0).watches() == 0);
}

TEST_CASE("a read that crosses an addWatch makes it be set again, and the stream says so",
          "[stream][T34]")
{
    auto at = of_version("3.8.0");
    const auto mode = GENERATE(watch_mode::persistent, watch_mode::recursive);
    const bool stops_waiting = GENERATE(true, false);
    at.connect();
    at.ensemble.put("/a", "0");
    REQUIRE(at.ask(at.zk->get_ephemerals()));  // from here on the server's version is known
    asio::cancellation_signal stop;
    const auto made = at.start(at.zk->watch("/a", mode));
    const auto read = at.start(at.zk->get_and_watch("/a"), stop);
    std::size_t turns = 0;
    at.reaches([&] { return turns++ > 1; }, 1s);  // both are sent
    if (stops_waiting) {
        stop.emit(asio::cancellation_type::terminal);
    }
    at.until([&] { return made.done() && read.done(); });
    CHECK(read.code() == (stops_waiting ? errc::cancelled : errc{0}));
    listener s(std::move(*made.take()));
    settle(at);
    CHECK(s.gaps == std::vector{gap_reason::set_again});
    for (int i = 0; i < 3; ++i) {
        put(at, "/a", "x");
    }
    settle(at);
    CHECK(s.heard == changes(3, {data_changed, "/a"}));
}

// --- what is left on the server ------------------------------------------------------------------

TEST_CASE("several streams of one path are one watch, and the last one takes it along",
          "[stream][S27][T35]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    const auto mode = GENERATE(watch_mode::persistent, watch_mode::recursive);
    at.connect();
    std::list<std::unique_ptr<listener>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(listen(at, "/a", mode));
    }
    CHECK(at.server(0).watches() == 1);
    REQUIRE(at.zk->live_watches().size() == 1);
    CHECK(at.zk->live_watches()[0] == live_watch("/a",
                                                 mode == watch_mode::recursive
                                                     ? live_watch::watch_type::recursive
                                                     : live_watch::watch_type::persistent,
                                                 10));
    while (all.size() > 1) {
        all.pop_front();
        settle(at);
        CHECK(at.server(0).watches() == 1);
    }
    put(at, "/a", "x");
    settle(at);
    CHECK(all.front()->heard == changes{{created, "/a"}});
    all.clear();
    settle(at);
    CHECK(at.server(0).watches() == 0);
    CHECK(at.zk->live_watches().empty());
    // The path is as it was before.
    const auto again = listen(at, "/a", mode);
    put(at, "/a", "x");
    settle(at);
    CHECK(again->heard.size() == 1);
}

TEST_CASE("a one-shot watch stays alive when the stream beside it goes", "[stream][T35]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    const auto mode = GENERATE(watch_mode::persistent, watch_mode::recursive);
    at.connect();
    at.ensemble.put("/a", "0");
    auto s = listen(at, "/a", mode);
    auto data = at.ask(at.zk->get_and_watch("/a"));
    auto child = at.ask(at.zk->children_and_watch("/a"));
    s.reset();
    settle(at);
    SECTION("they fire, and the server is left with nothing")
    {
        at.ensemble.put("/a", "1");
        settle(at);
        CHECK_FALSE(data->watch.is_armed());
        CHECK(child->watch.is_armed());
        at.ensemble.put("/a/x", "");
        settle(at);
        CHECK_FALSE(child->watch.is_armed());
    }
    SECTION("they are dropped")
    {
        data = errc::closed;
        settle(at);
        at.ensemble.put("/a/x", "");
        settle(at);
        CHECK_FALSE(child->watch.is_armed());
    }
    SECTION("they are set again on the next connection")
    {
        at.in.cut_all();
        at.until([&] { return !at.zk->is_connected(); });
        settle(at);
        at.ensemble.put("/a/x", "");
        at.ensemble.put("/a", "1");
        settle(at);
        CHECK_FALSE(child->watch.is_armed());
        CHECK_FALSE(data->watch.is_armed());
    }
    data = errc::closed;
    child = errc::closed;
    settle(at);
    CHECK(at.server(0).watches() == 0);
}

TEST_CASE("a removal never takes a watch along that is on its way", "[stream][T35]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    at.connect();
    for (int round = 0; round < 20; ++round) {
        auto s = listen(at, "/a", watch_mode::recursive);
        const auto next = at.start(at.zk->watch("/a", watch_mode::recursive));
        std::size_t turns = 0;
        at.reaches([&] { return turns++ >= static_cast<std::size_t>(round); }, 1ms);
        s.reset();
        at.until([&] { return next.done(); });
        listener second(std::move(*next.take()));
        settle(at);
        put(at, "/a/" + std::to_string(round), "");
        settle(at);
        REQUIRE_FALSE(second.heard.empty());
    }
}

TEST_CASE("who stops waiting for a watch leaves none behind", "[stream][cancel]")
{
    auto at = of_version(GENERATE("3.8.0", "3.9.3"));
    at.connect();
    for (std::size_t n = 0; n < 12; ++n) {
        asio::cancellation_signal stop;
        const auto made = at.start(at.zk->watch("/a", watch_mode::recursive), stop);
        std::size_t turns = 0;
        at.reaches([&] { return turns++ >= n; }, 1s);
        stop.emit(asio::cancellation_type::terminal);
        at.until([&] { return made.done(); });
        CHECK(made.completed() == 1);
        if (made.code() == errc{0}) {
            (void)made.take();
        } else {
            CHECK(made.code() == errc::cancelled);
        }
        settle(at);
        settle(at);
        CHECK(at.server(0).watches() == 0);
    }
    const auto late = at.start(at.zk->watch("/a").within(5ms));
    at.server(0).pause();
    at.until([&] { return late.done(); });
    CHECK(late.code() == errc::timed_out);
    at.server(0).resume();
    settle(at);
    settle(at);
    CHECK(at.server(0).watches() == 0);
}

// --- everything at once --------------------------------------------------------------------------

namespace {

class mixed {
public:
    mixed(std::string version, std::uint64_t seed, bool calm)
        : at(of_version(std::move(version))), random_(seed), calm_(calm)
    {
        at.connect();
    }

    void round()
    {
        made_.clear();
        for (const auto& each : streams_) {
            each->heard.clear();
            each->gaps.clear();
        }
        bool was_cut = false;
        const std::size_t steps = 1 + random_() % 12;
        for (std::size_t i = 0; i < steps; ++i) {
            was_cut = step() || was_cut;
            if (calm_) {
                settle_all();
            } else {
                std::size_t turns = 0;
                const std::size_t some = random_() % 4;
                at.reaches([&] { return turns++ >= some; }, 1ms);
            }
        }
        settle_all();
        check(was_cut);
    }

    void end()
    {
        streams_.clear();
        once_.clear();
        settle_all();
        CHECK(at.zk->live_watches().empty());
        if (calm_) {
            CHECK(at.server(0).watches() == 0);
        }
    }

    simulation at;
    std::size_t told_gaps = 0;
    std::size_t fired = 0;

private:
    const std::string& path()
    {
        static const std::vector<std::string> all = {"/", "/a", "/a/b", "/a/b/c", "/d"};
        return all[random_() % all.size()];
    }

    /// True: the connection was cut.
    bool step()
    {
        const std::string& where = path();
        const auto choice = random_() % 100;
        if (choice < 35) {
            note(put(at, where, "x"));
        } else if (choice < 50) {
            note(where == "/" ? changes() : remove(at, where));
        } else if (choice < 65) {
            const auto mode = random_() % 2 == 0 ? watch_mode::persistent : watch_mode::recursive;
            at.zk->watch(where, mode)([this](coati::result<watch_stream> r) {
                REQUIRE(r);
                streams_.push_back(std::make_unique<listener>(std::move(*r)));
            });
        } else if (choice < 75 && !streams_.empty()) {
            const auto gone = random_() % streams_.size();
            known_.erase(streams_[gone].get());
            streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(gone));
        } else if (choice < 78 && !once_.empty()) {
            once_.erase(once_.begin());
        } else if (choice < 97) {
            read(where, static_cast<int>(random_() % 3));
        } else {
            at.in.cut_all();
            return true;
        }
        return false;
    }

    void note(const changes& more) { made_.insert(made_.end(), more.begin(), more.end()); }

    void read(const std::string& where, int kind)
    {
        if (kind == 0) {
            at.zk->get_and_watch(where)([this, where](coati::result<coati::watched_data> r) {
                if (r) {
                    once_.push_back({where, 0, r->stat.mzxid, true, std::move(r->watch)});
                }
            });
        } else if (kind == 1) {
            at.zk->exists_and_watch(where)(
                [this, where](coati::result<coati::watched_existence> r) {
                    if (r) {
                        const auto zxid = r->stat ? r->stat->mzxid : 0;
                        once_.push_back({where, 1, zxid, r->stat.has_value(), std::move(r->watch)});
                    }
                });
        } else {
            at.zk->children_and_watch(where)(
                [this, where](coati::result<coati::watched_children> r) {
                    if (r) {
                        once_.push_back({where, 2, r->stat.pzxid, true, std::move(r->watch)});
                    }
                });
        }
    }

    void settle_all()
    {
        for (int i = 0; i < 3; ++i) {
            settle(at);
        }
    }

    void check(bool was_cut)
    {
        for (const auto& each : streams_) {
            INFO(each->stream.path());
            const changes all = as_heard(made_, each->stream.path(), each->stream.mode());
            // Since the watch was set, or since the last gap, nothing is missing.
            REQUIRE(each->heard.size() <= all.size() + (was_cut ? 100 : 0));
            if (!was_cut) {
                const bool is_tail =
                    std::equal(each->heard.rbegin(), each->heard.rend(), all.rbegin());
                REQUIRE(is_tail);
                if (each->gaps.empty() && known_.contains(each.get())) {
                    REQUIRE(each->heard == all);
                }
                if (calm_) {
                    REQUIRE(each->gaps.empty());
                }
            }
            told_gaps += each->gaps.size();
        }
        known_.clear();
        for (const auto& each : streams_) {
            known_.insert(each.get());
        }
        for (auto it = once_.begin(); it != once_.end();) {
            if (!it->watch.is_armed()) {
                ++fired;
                it = once_.erase(it);
                continue;
            }
            INFO("kind " << it->kind << " of " << it->path);
            const auto now = at.ask(at.zk->exists(it->path));
            REQUIRE(now);
            REQUIRE((*now).has_value() == it->was_there);
            if (*now) {
                REQUIRE((it->kind == 2 ? (*now)->pzxid : (*now)->mzxid) == it->zxid);
            }
            ++it;
        }
    }

    coati_test::seeded_random random_;
    bool calm_;
    changes made_;
    std::vector<std::unique_ptr<listener>> streams_;
    std::set<listener*> known_;  // since before this round
    std::list<once> once_;
};

}  // namespace

TEST_CASE("watches of all kinds on few paths, one step at a time: exactly what happened",
          "[stream][T34][property]")
{
    const std::string version = GENERATE("3.8.0", "3.9.3");
    std::size_t fired = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        INFO("version " << version << " seed " << seed);
        mixed all(version, seed, true);
        for (int i = 0; i < 12; ++i) {
            all.round();
        }
        fired += all.fired;
        all.end();
    }
    CHECK(fired > 100);
}

TEST_CASE("watches of all kinds on few paths, in haste: nothing is missed unnoticed",
          "[stream][T34][property]")
{
    const std::string version = GENERATE("3.8.0", "3.9.3");
    std::size_t fired = 0;
    std::size_t gaps = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        INFO("version " << version << " seed " << seed);
        mixed all(version, seed, false);
        for (int i = 0; i < 15; ++i) {
            all.round();
        }
        fired += all.fired;
        gaps += all.told_gaps;
        all.end();
    }
    CHECK(fired > 500);
    CHECK(gaps > 10);
}
