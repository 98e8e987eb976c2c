// Walking and removing subtrees in virtual time: the order, who interferes, what is bounded.

#include "support.hpp"

#include <coati/subtree.hpp>
#include <coati/wire/op_code.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::errc;
using coati::fate;
using coati::wire::op_code;

/// Three levels below /t: 1 + 5 + 25 + 125 znodes.
void plant(simulation& at)
{
    at.ensemble.put("/t", "");
    for (int i = 0; i < 125; ++i) {
        at.ensemble.put("/t/" + std::to_string(i / 25) + "/" + std::to_string(i / 5 % 5) + "/" +
                            std::to_string(i % 5),
                        "");
    }
}
constexpr std::size_t planted = 1 + 5 + 25 + 125;

/// Requests of these kinds that wait for their answer: at most so many at any time.
class under_way {
public:
    explicit under_way(simulation& at)
    {
        at.server(0).on_frame([this](const frame_view& f) {
            const bool counts = f.op == op_code::get_children2 || f.op == op_code::multi;
            if (counts && f.direction == frame_view::way::request) {
                most = std::max(most, ++now);
            } else if (counts) {
                --now;
            }
            return verdict::pass();
        });
    }
    int now = 0;
    int most = 0;
};

coati::result<std::vector<coati::walked>> all_of(simulation& at, const coati::tree_walk& walk)
{
    std::vector<coati::walked> all;
    for (;;) {
        auto next = at.ask(walk.next());
        if (!next) {
            return next.error();
        }
        if (!next->has_value()) {
            return all;
        }
        all.push_back(std::move(**next));
    }
}

}  // namespace

TEST_CASE("a walk comes to every znode, parents first, with bounded requests", "[convenience]")
{
    for (const std::size_t width : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
        CAPTURE(width);
        simulation at;
        at.connect();
        plant(at);
        under_way requests(at);
        const auto walk = coati::walk(*at.zk, "/t", width);
        at.pass(1s);
        CHECK(requests.most == 0);  // nothing before the first next
        const auto all = all_of(at, walk);
        REQUIRE(all);
        CHECK(all->size() == planted);
        CHECK(requests.most <= static_cast<int>(std::max<std::size_t>(width, 1)));
        std::map<std::string, std::size_t> place;
        for (std::size_t i = 0; i < all->size(); ++i) {
            place[(*all)[i].path] = i;
        }
        CHECK(place.size() == planted);
        CHECK(place["/t"] == 0);
        for (const auto& [path, i] : place) {
            if (path != "/t") {
                CHECK(place.at(path.substr(0, path.rfind('/'))) < i);
            }
        }
        CHECK((*all)[0].names.size() == 5);
        CHECK((*all)[0].stat.num_children == 5);
        const auto end = at.ask(walk.next());
        REQUIRE(end);
        CHECK_FALSE(end->has_value());
    }
}

TEST_CASE("a walk's paths are the handle's, and what vanishes is left out", "[convenience][S38]")
{
    simulation at;
    at.connect();
    plant(at);
    const auto inside = all_of(at, coati::walk(at.zk->chroot("/t/1"), "/"));
    REQUIRE(inside);
    CHECK(inside->size() == 31);
    CHECK(inside->front().path == "/");
    CHECK(inside->back().path.starts_with("/"));
    CHECK_FALSE(inside->back().path.starts_with("/t"));

    const auto walk = coati::walk(*at.zk, "/t", 1);
    REQUIRE(at.ask(walk.next()));
    for (int i = 0; i < 5; ++i) {
        for (int j = 0; j < 5; ++j) {
            at.ensemble.remove("/t/2/" + std::to_string(i) + "/" + std::to_string(j));
        }
        at.ensemble.remove("/t/2/" + std::to_string(i));
    }
    at.ensemble.remove("/t/2");
    const auto rest = all_of(at, walk);
    REQUIRE(rest);
    CHECK(rest->size() == planted - 1 - 31);
    const auto nothing = all_of(at, coati::walk(*at.zk, "/no"));
    REQUIRE(nothing);
    CHECK(nothing->empty());
    CHECK(all_of(at, coati::walk(*at.zk, "relative")).error() == errc::invalid_path);
}

TEST_CASE("a walk that is cancelled goes on where it was, and has one reader", "[convenience]")
{
    simulation at;
    at.connect();
    plant(at);
    bool silent = true;
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit = silent && f.direction == frame_view::way::reply && !f.handshake &&
                         f.op == op_code::get_children2;
        return hit ? verdict::withhold() : verdict::pass();
    });
    const auto walk = coati::walk(*at.zk, "/t");
    const auto first = at.start(walk.next().within(1s));
    const auto second = at.start(walk.next());
    at.until([&] { return second.done(); });
    CHECK(second.code() == errc::already_waiting);
    at.until([&] { return first.done(); });
    CHECK(first.code() == errc::timed_out);
    silent = false;
    at.server(0).release();
    const auto all = all_of(at, walk);
    REQUIRE(all);
    CHECK(all->size() == planted);
}

TEST_CASE("a subtree is removed in batches, children first, with bounded requests", "[convenience]")
{
    simulation at;
    at.connect();
    plant(at);
    under_way requests(at);
    std::vector<std::size_t> told;
    coati::remove_options how;
    how.batch = 10;
    how.in_flight = 3;
    how.progress = [&](std::size_t n) { told.push_back(n); };
    const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t", how));
    REQUIRE(removed);
    CHECK(*removed == planted);
    CHECK_FALSE(at.ensemble.exists("/t"));
    CHECK(requests.most <= 3);
    CHECK(told == std::vector<std::size_t>{30, 60, 90, 120, 150, planted});
    const auto none = at.ask(coati::remove_recursively(*at.zk, "/t", how));
    REQUIRE(none);
    CHECK(*none == 0);
}

TEST_CASE("what appears and what vanishes meanwhile does not stop a removal", "[convenience]")
{
    simulation at;
    at.connect();
    plant(at);
    int multis = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::multi) {
            if (++multis == 2) {
                at.ensemble.put("/t/0/0/new/deep", "");
            } else if (multis == 3) {
                at.ensemble.remove("/t/1/1/1");
                at.ensemble.remove("/t/0/1/1");
            }
        }
        return verdict::pass();
    });
    coati::remove_options how;
    how.batch = 40;
    how.in_flight = 1;
    const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t", how));
    REQUIRE(removed);
    CHECK_FALSE(at.ensemble.exists("/t"));
    CHECK(multis > 4);
}

TEST_CASE("children that never end are an error in the end", "[convenience]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/t", "");
    int multis = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::multi) {
            at.ensemble.put("/t/" + std::to_string(++multis), "");
        }
        return verdict::pass();
    });
    const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t"));
    REQUIRE_FALSE(removed);
    CHECK(removed.error() == errc::not_empty);
    CHECK(multis == 100);
}

TEST_CASE("a batch whose answer is lost is looked for, and the removal goes on", "[convenience]")
{
    simulation at;
    at.connect();
    plant(at);
    int multis = 0;
    at.server(0).on_frame([&](const frame_view& f) {
        const bool hit =
            f.direction == frame_view::way::reply && f.op == op_code::multi && ++multis == 2;
        return hit ? verdict::close() : verdict::pass();
    });
    coati::remove_options how;
    how.batch = 50;
    how.in_flight = 1;
    const auto removed = at.ask(coati::remove_recursively(*at.zk, "/t", how));
    REQUIRE(removed);
    CHECK(*removed == planted);
    CHECK_FALSE(at.ensemble.exists("/t"));
    CHECK(multis == 4);
}

TEST_CASE("the server's own znodes are never removed, a chroot is", "[convenience]")
{
    simulation at;
    at.connect();
    plant(at);
    at.ensemble.put("/zookeepers", "");
    at.server(0).clear_log();
    const std::vector<std::string> refused{"/", "/zookeeper", "/zookeeper/quota"};
    for (const std::string& path : refused) {
        CAPTURE(path);
        const auto r = at.ask(coati::remove_recursively(*at.zk, path));
        REQUIRE_FALSE(r);
        CHECK(r.error() == errc::invalid_argument);
        CHECK(r.error().fate() == fate::not_sent);
    }
    const auto system = at.ask(coati::remove_recursively(at.zk->chroot("/zookeeper"), "/"));
    CHECK(system.error() == errc::invalid_argument);
    CHECK(at.ask(coati::remove_recursively(*at.zk, "t")).error() == errc::invalid_path);
    CHECK(at.server(0).log().empty());
    REQUIRE(at.ask(coati::remove_recursively(*at.zk, "/zookeepers")));
    coati::remove_options keep;
    keep.keep_root = true;
    const auto below = at.ask(coati::remove_recursively(at.zk->chroot("/t"), "/", keep));
    REQUIRE(below);
    CHECK(*below == planted - 1);
    CHECK(at.ensemble.exists("/t"));
    const auto root = at.ask(coati::remove_recursively(at.zk->chroot("/t"), "/"));
    REQUIRE(root);
    CHECK_FALSE(at.ensemble.exists("/t"));
}
