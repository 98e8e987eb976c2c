// Watches and chroots: which paths are mapped, in which direction, and which never are.

#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::event_type;
using coati::stream_event;
using coati::watch_mode;

coati::config below(std::string chroot)
{
    coati::config c = plain_config(1);
    c.chroot = std::move(chroot);
    return c;
}

void reconnect(simulation& at)
{
    at.server(0).kill();
    at.until([&] { return !at.zk->is_connected(); });
    at.server(0).restart();
    at.until([&] { return at.zk->is_connected(); });
    REQUIRE(at.ask(at.zk->sync()));  // what happens from here on is behind SetWatches
}

}  // namespace

TEST_CASE("a chroot is taken off every path of a stream, of gaps too", "[stream][T36]")
{
    simulation at(below("/app"));
    at.connect();
    auto made = at.ask(at.zk->chroot("/mine").watch("/", watch_mode::recursive));
    REQUIRE(made);
    at.ensemble.put("/app/mine/a", "x");
    at.ensemble.put("/app/mineral", "x");
    at.ensemble.put("/other", "x");
    REQUIRE(at.ask(at.zk->sync()));
    reconnect(at);
    at.ensemble.put("/app/mine/b", "x");
    std::vector<std::string> seen;
    while (seen.size() < 4) {
        const auto next = at.ask(made->next());
        REQUIRE(next);
        seen.push_back(std::string(coati::name(next->type)) + " " + next->path);
    }
    CHECK(seen == std::vector<std::string>{"created /", "created /a", "gap /", "created /b"});
    CHECK(made->path() == "/");
    // A handle sees what lies below its own chroot.
    CHECK(at.zk->live_watches().size() == 1);
    CHECK(at.zk->live_watches()[0].path == "/mine");
    CHECK(at.zk->chroot("/mine").live_watches()[0].path == "/");
    CHECK(at.zk->chroot("/min").live_watches().empty());
}

TEST_CASE("the configuration is watched where it is, whatever the chroot, after a reconnect too",
          "[watch][T37]")
{
    simulation at(below("/app"));
    at.connect();
    at.ensemble.put("/zookeeper/config", "version=100000000");
    auto read = at.ask(at.zk->get_config_and_watch());
    REQUIRE(read);
    reconnect(at);
    CHECK(read->watch.is_armed());
    at.ensemble.put("/zookeeper/config", "version=200000000");
    const auto seen = at.ask(read->watch.next());
    REQUIRE(seen);
    CHECK(seen->type == event_type::data_changed);
    CHECK(seen->path == "/zookeeper/config");
}
