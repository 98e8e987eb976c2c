// A connection that breaks after each byte of one scripted exchange, in each direction. What every
// request must then complete with follows from where its frame and its reply end in the streams,
// and the scripted tree is the oracle of whether it happened.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::event;
using coati::fate;
using coati::wire::op_code;
namespace op = coati::op;

constexpr std::size_t requests = 8;
constexpr std::size_t hello_size = 49;  // of the handshake's request

/// How the requests are issued.
enum class pace { before_the_connection, all_when_connected, one_by_one };

struct fault {
    direction which = direction::to_server;
    std::size_t after = 0;
    bool lost = false;
};

/// Where frames end in the streams of an undisturbed first connection.
struct map_of_stream {
    std::size_t handshake = 0;
    std::array<std::size_t, requests> ends{};
    std::size_t total = 0;
};

constexpr std::array<bool, requests> is_write{true, true, true, false, true, false, true, false};

/// Eight requests on eight places of the tree, so that none depends on another.
class exchange_story {
public:
    explicit exchange_story(std::uint64_t seed = 1) : at(1, seed)
    {
        for (const char* path :
             {"/set", "/get", "/multi", "/watched", "/gone", "/seq", "/list/one"}) {
            at.ensemble.put(path, "0");
        }
    }

    void run(pace how, const std::optional<fault>& cut)
    {
        if (cut) {
            arrange(*cut);
        }
        session = at.start(at.zk->run());
        if (how == pace::all_when_connected) {
            auto up = at.start(at.zk->connected(), [this] { issue_all(); });
        } else if (how == pace::before_the_connection) {
            issue_all();
        } else {
            issue(0, true);
        }
        at.until([this] { return completed.size() == requests; });
        at.pass(1s);
        at.ensemble.put("/watched", "1");
        event_seen = at.start(watched->watch.next());
        at.until([this] { return event_seen.done(); });
        at.pass(1s);
    }

    bool succeeded(std::size_t i) const { return codes.at(i) == errc{0}; }

    simulation at;
    answer<void> session;
    std::vector<std::size_t> completed;  // in their order
    std::map<std::size_t, int> times;
    std::map<std::size_t, errc> codes;
    std::map<std::size_t, fate> fates;
    answer<coati::watched_data> watched;
    answer<event> event_seen;

private:
    void arrange(const fault& cut)
    {
        if (!cut.lost) {
            at.in.on_connection([this, cut](const coati::testing::connection& c) {
                if (c.id == 1) {
                    at.in.cut_after(c.id, cut.which, cut.after);
                }
            });
            return;
        }
        // Everything behind the handshake is lost, though the client's writes went well up to here.
        at.server(0).on_frame([this, cut](const frame_view& f) {
            if (f.handshake && f.connection == 1 && f.direction == frame_view::way::reply) {
                at.in.cut_after(1, cut.which, cut.after - hello_size, true);
            }
            return verdict::pass();
        });
    }
    void issue_all()
    {
        for (std::size_t i = 0; i < requests; ++i) {
            issue(i, false);
        }
    }
    template <class T>
    void send(std::size_t i, bool chain, coati::operation<T> what)
    {
        std::move(what)([this, i, chain](coati::result<T> r) {
            note(i, r);
            if (chain && i + 1 < requests) {
                issue(i + 1, true);
            }
        });
    }
    template <class T>
    void note(std::size_t i, const coati::result<T>& r)
    {
        completed.push_back(i);
        ++times[i];
        codes[i] = r ? errc{0} : r.error().code();
        fates[i] = r ? fate::applied : r.error().fate();
    }
    void issue(std::size_t i, bool chain)
    {
        const coati::client& zk = *at.zk;
        switch (i) {
        case 0: return send(i, chain, zk.create("/made", "x"));
        case 1:
            return send(i, chain, zk.create("/seq/n-", "x", create_mode::persistent_sequential));
        case 2: return send(i, chain, zk.set("/set", "1"));
        case 3: return send(i, chain, zk.get("/get"));
        case 4:
            return send(i, chain,
                        zk.multi(op::set("/multi", "1"),
                                 op::create("/multi/n-", "", create_mode::persistent_sequential)));
        case 5:
            return std::move(zk.get_and_watch("/watched"))(
                [this, chain,
                 keep = watched.handler(at.in)](coati::result<coati::watched_data> r) mutable {
                    note(5, r);
                    keep(std::move(r));
                    if (chain) {
                        issue(6, true);
                    }
                });
        case 6: return send(i, chain, zk.remove("/gone"));
        default: return send(i, chain, zk.children("/list"));
        }
    }
};

/// Frames are the same in every run of one pace, so an undisturbed one tells where they end.
std::array<map_of_stream, 2> undisturbed(pace how)
{
    std::array<map_of_stream, 2> maps;
    exchange_story story;
    std::array<std::size_t, 2> seen{};
    story.at.server(0).on_frame([&](const frame_view& f) {
        const auto way = f.direction == frame_view::way::request ? 0U : 1U;
        map_of_stream& m = maps.at(way);
        m.total += 4 + f.payload.size();
        if (f.handshake) {
            m.handshake = m.total;
        } else if (f.xid > 0 && seen.at(way) < requests) {
            m.ends.at(seen.at(way)++) = m.total;
        }
        return verdict::pass();
    });
    story.run(how, {});
    for (std::size_t i = 0; i < requests; ++i) {
        REQUIRE(story.succeeded(i));
    }
    REQUIRE(seen == std::array<std::size_t, 2>{requests, requests});
    return maps;
}

/// Has the tree been changed by request i, and by it alone?
int effects(const exchange_story& story, std::size_t i)
{
    const auto& tree = story.at.ensemble;
    const auto changed = [&](const char* path) { return tree.data(path) == "1" ? 1 : 0; };
    switch (i) {
    case 0: return tree.exists("/made") ? 1 : 0;
    case 1: return static_cast<int>(tree.children("/seq").size());
    case 2: return changed("/set");
    case 4: return changed("/multi") + static_cast<int>(tree.children("/multi").size()) * 10;
    case 6: return tree.exists("/gone") ? 0 : 1;
    default: return 0;
    }
}

/// Complete requests that the server received with this operation, on all connections.
std::size_t received(exchange_story& story, op_code what)
{
    std::size_t n = 0;
    for (const auto& each : story.at.server(0).log()) {
        n += each.op == what ? 1U : 0U;
    }
    return n;
}

std::size_t begin_of(const map_of_stream& m, std::size_t i)
{
    return i == 0 ? m.handshake : m.ends.at(i - 1);
}

/// Does the fault leave a write of this request without an answer?
bool is_in_doubt(const fault& f, const std::array<map_of_stream, 2>& maps, std::size_t i, pace how)
{
    const bool up = f.which == direction::to_server;
    const map_of_stream& m = maps.at(up ? 0 : 1);
    // A server that dies behind the last byte of a reply may still be written to.
    const bool none = up ? f.after <= m.handshake : f.after < m.handshake;
    if (none || f.after > m.ends.back()) {
        return false;
    }
    if (how == pace::one_by_one) {
        return up ? f.after == m.ends.at(i) : begin_of(m, i) <= f.after && f.after < m.ends.at(i);
    }
    return up ? m.ends.at(i) <= f.after : f.after < m.ends.at(i);
}

void check(exchange_story& story, const fault& f, const std::array<map_of_stream, 2>& maps,
           pace how)
{
    bool first_doubt = true;
    for (std::size_t i = 0; i < requests; ++i) {
        INFO("request " << i);
        CHECK(story.times[i] == 1);
        const bool doubt = is_write.at(i) && is_in_doubt(f, maps, i, how);
        const int once = i == 4 ? 11 : 1;
        const int found = effects(story, i);
        if (!doubt) {
            CHECK(story.succeeded(i));
            CHECK(found == (is_write.at(i) ? once : 0));
            continue;
        }
        CHECK(story.codes[i] == errc::connection_loss);
        CHECK(story.fates[i] == fate::maybe_applied);
        if (f.which == direction::to_server) {
            CHECK(found == (f.lost ? 0 : once));
        } else if (first_doubt && f.after > begin_of(maps.at(1), i)) {
            CHECK(found == once);  // part of its reply had left
        } else {
            CHECK((found == 0 || found == once));
        }
        first_doubt = false;
    }
    // What failed, failed at once and in order; what succeeded, in the order of the calls.
    std::array<std::vector<std::size_t>, 2> orders;
    for (const std::size_t i : story.completed) {
        orders.at(story.succeeded(i) ? 1 : 0).push_back(i);
    }
    CHECK(std::is_sorted(orders[0].begin(), orders[0].end()));
    CHECK(std::is_sorted(orders[1].begin(), orders[1].end()));
    // No write is ever on the wire twice; the session has survived what it had begun.
    CHECK(received(story, op_code::set_data) <= 1);
    CHECK(received(story, op_code::multi) <= 1);
    CHECK(received(story, op_code::remove) <= 1);
    CHECK_FALSE(story.session.done());
    CHECK(story.event_seen.completed() == 1);
    REQUIRE(story.event_seen.code() == errc{0});
    CHECK(story.event_seen->path == "/watched");
    CHECK(story.at.ask(story.watched->watch.next()).error() == errc::watch_ended);
}

void cut_everywhere(pace how, direction which, bool lost, bool fragments)
{
    const auto maps = undisturbed(how);
    REQUIRE(maps[0].handshake == hello_size);
    const map_of_stream& m = maps.at(which == direction::to_server ? 0 : 1);
    const std::size_t last = lost ? m.ends.back() : m.total + 1;
    for (std::size_t k = lost ? m.handshake + 1 : 0; k <= last; ++k) {
        INFO((which == direction::to_server ? "to the server" : "to the client")
             << " after " << k << " of " << m.total << (lost ? " (lost)" : ""));
        exchange_story story(k + 1);
        story.at.in.fragment_reads(fragments);
        const fault f{which, k, lost};
        story.run(how, f);
        check(story, f, maps, how);
    }
}

}  // namespace

TEST_CASE("cut after every byte, requests waiting for the connection", "[T46][S15][S35][faults]")
{
    cut_everywhere(pace::before_the_connection, direction::to_server, false, false);
    cut_everywhere(pace::before_the_connection, direction::to_client, false, false);
}

TEST_CASE("cut after every byte, requests in one burst, in fragments", "[T46][S15][S35][faults]")
{
    cut_everywhere(pace::all_when_connected, direction::to_server, false, true);
    cut_everywhere(pace::all_when_connected, direction::to_client, false, true);
}

TEST_CASE("cut after every byte, what was written never arrived", "[T46][S15][S35][faults]")
{
    cut_everywhere(pace::before_the_connection, direction::to_server, true, false);
}

TEST_CASE("cut after every byte, one request after another", "[T46][S15][faults]")
{
    cut_everywhere(pace::one_by_one, direction::to_server, false, false);
    cut_everywhere(pace::one_by_one, direction::to_client, false, false);
}
