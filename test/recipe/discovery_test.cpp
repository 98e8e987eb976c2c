// Services that register themselves, and views of who is there.

#include "presence_site.hpp"

#include <coati/recipe/discovery.hpp>
#include <coati/testing/seeds.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>

namespace coati::test::discovery_story {

using namespace presence_kit;
using coati::testing::for_each_seed;

static_assert(codec<service_codec>);

namespace {

service_instance web(const std::string& id, const std::string& zone = "")
{
    service_instance it("web", id, "10.0.0.7", 80);
    it.zone = zone;
    return it;
}

/// A site with a registration and a view, both at work.
class market : public site {
public:
    explicit market(std::uint64_t seed = 1) : site(seed), here(zk), view(zk, "web")
    {
        here.run()(asio::bind_cancellation_slot(leave.slot(), [](const result<void>&) {}));
        view.run()(asio::bind_cancellation_slot(
            look_away.slot(), [this](const result<void>& r) { view_ended = r.error(); }));
    }
    bool registers() { return completes(here.settled()); }
    bool is_ready() { return completes(view.ready()); }
    std::vector<std::string> ids() const
    {
        std::vector<std::string> all;
        for (const auto& each : view.instances()) {
            all.push_back(each.id);
        }
        return all;
    }

    service_registration here;
    service_view view;
    asio::cancellation_signal leave;
    asio::cancellation_signal look_away;
    std::optional<error> view_ended;

private:
    bool completes(const operation<void>& op)
    {
        auto done = std::make_shared<bool>(false);
        op([done](const result<void>& r) { *done = r.has_value(); });
        return in.run_until([done] { return *done; }, 5s);
    }
};

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("an instance is read as it was written, with what others have written beside it",
          "[discovery]")
{
    const service_codec by;
    service_instance it = web("a", "north");
    it.payload = R"({"version":[1,2,"x"],"weight":0.5})";
    it.others = R"({"sslPort":443})";
    const auto same = by.decode(by.encode(it));
    REQUIRE(same);
    CHECK(*same == it);

    const auto theirs = by.decode(
        R"({"name":"web","id":"1","address":"h","port":8080,"sslPort":null,"payload":null,)"
        R"("registrationTimeUTC":1700000000000,"serviceType":"DYNAMIC","uriSpec":{"parts":[]}})");
    REQUIRE(theirs);
    CHECK(theirs->port == 8080);
    CHECK(theirs->payload.empty());
    CHECK(by.encode(*theirs).find("\"serviceType\":\"DYNAMIC\"") != std::string::npos);

    for (const std::string text :
         {"", "web", "[]", "{", "{}", R"({"address":7})", R"({"address":"h","port":"80"})",
          R"({"address":"h","port":65536})", R"({"address":"h","port":-1})",
          R"({"address":"h","zone":{}})", "{\"address\":\"\xff\"}"}) {
        INFO(text);
        CHECK_FALSE(by.decode(text));
    }
    CHECK_FALSE(by.decode(R"({"address":"h","payload":)" + std::string(1'000'000, '[')));
    CHECK_FALSE(by.decode(R"({"address":"h","payload":)" + std::string(101, '[') +
                          std::string(101, ']') + "}"));
    CHECK(by.decode(R"({"address":"h\\\"[[[[","payload":)" + std::string(99, '[') +
                    std::string(99, ']') + "}"));
    it.payload = "no JSON";
    CHECK_THROWS_AS(by.encode(it), std::invalid_argument);
    it.payload.clear();
    it.zone = "\xff";
    CHECK_THROWS_AS(by.encode(it), std::invalid_argument);
}

TEST_CASE("what makes no registration is refused", "[discovery]")
{
    market at;
    service_instance wrong = web("a");
    wrong.payload = "{";
    CHECK(at.here.add(wrong).error().code() == errc::invalid_argument);
    CHECK_FALSE(at.here.add(web("")));
    CHECK_FALSE(at.here.add(web("a/b")));
    CHECK_FALSE(at.here.add(service_instance("web", "a", "", 80)));
    CHECK_FALSE(at.here.remove("web", "a"));
    CHECK(at.here.add(web("a")));
    CHECK(at.registers());
    CHECK(at.owner("/services/web/a") == at.session());
}

TEST_CASE("a view follows what is registered, and tells what has changed", "[discovery]")
{
    market at;
    REQUIRE(at.is_ready());
    CHECK(at.view.instances().empty());
    CHECK(at.view.status() == view_status::live);
    CHECK_FALSE(at.view.pick_random());
    CHECK_FALSE(at.view.pick_next());
    std::vector<std::string> told;
    std::function<void()> ask = [&] {
        at.view.next()([&](const result<std::vector<service_change>>& all) {
            for (const auto& each : all ? *all : std::vector<service_change>()) {
                using kind = service_change::kind;
                switch (each.what) {
                case kind::added: told.push_back("+" + each.instance.id); break;
                case kind::removed: told.push_back("-" + each.instance.id); break;
                case kind::changed: told.push_back("=" + each.instance.zone); break;
                case kind::malformed: told.push_back("!" + each.problem.path); break;
                case kind::status: told.emplace_back(name(each.status)); break;
                }
            }
            if (all) {
                ask();
            }
        });
    };
    ask();
    CHECK(at.here.add(web("a")));
    REQUIRE(at.registers());
    at.in.run_for(10ms);
    CHECK(at.here.add(web("a", "north")));
    at.in.run_for(10ms);
    at.ensemble.put("/services/web/x", "{");
    at.ensemble.put("/services/web/y", R"({"address":"h","id":"z"})");
    at.in.run_for(10ms);
    CHECK(at.ids() == texts{"a"});
    CHECK(
        at.view.malformed() ==
        std::vector{malformed_instance("/services/web/x", "no JSON"),
                    malformed_instance("/services/web/y", "\"id\" is not the name of the znode")});
    at.ensemble.put("/services/web/x", R"({"address":"h"})");
    at.in.run_for(10ms);
    CHECK(at.ids() == texts{"a", "x"});
    CHECK(at.view.instances()[1].service == "web");
    CHECK(at.here.remove("web", "a"));
    at.in.run_for(10ms);
    CHECK(told ==
          texts{"live", "+a", "=north", "!/services/web/x", "!/services/web/y", "+x", "-a"});
    at.server.clear_log();
    at.in.run_for(1h);
    CHECK(at.requests() == 0);  // nothing is polled
}

TEST_CASE("a view shows the last known while it cannot reach anybody, and says since when",
          "[discovery]")
{
    market at;
    CHECK(at.here.add(web("a")));
    REQUIRE(at.registers());
    REQUIRE(at.is_ready());
    at.in.run_for(1s);
    const auto cut = at.in.now();
    at.in.separate("home");
    REQUIRE(at.in.run_until([&] { return at.view.status() == view_status::stale; }, 10s));
    CHECK(at.ids() == texts{"a"});
    REQUIRE(at.view.stale_since());
    CHECK(*at.view.stale_since() <= cut);
    CHECK(*at.view.stale_since() >= cut - 3s);  // its last ping
    at.ensemble.put("/services/web/b", R"({"address":"h"})");
    at.in.rejoin("home");
    REQUIRE(at.in.run_until([&] { return at.view.status() == view_status::resyncing; }, 10s));
    REQUIRE(at.in.run_until([&] { return at.view.status() == view_status::live; }, 1s));
    CHECK(at.ids() == texts{"a", "b"});
    CHECK_FALSE(at.view.stale_since());
    at.look_away.emit(asio::cancellation_type::terminal);
    at.in.run_for(10ms);
    REQUIRE(at.view_ended);
    CHECK(at.view_ended->code() == errc::cancelled);
    CHECK(at.view.status() == view_status::stale);
    CHECK(at.ids() == texts{"a", "b"});
    CHECK(at.server.watches() == 1);  // that of the registration
}

TEST_CASE("picking goes round, prefers the zone, and leaves out who was set aside", "[discovery]")
{
    market at;
    for (const auto* const id : {"a", "b", "c", "d"}) {
        CHECK(at.here.add(web(id, id < std::string("c") ? "north" : "south")));
    }
    REQUIRE(at.registers());
    at.in.run_for(100ms);
    texts round;
    for (int i = 0; i < 5; ++i) {
        round.push_back(at.view.pick_next()->id);
    }
    CHECK(round == texts{"a", "b", "c", "d", "a"});
    std::map<std::string, int> near;
    for (int i = 0; i < 100; ++i) {
        ++near[at.view.pick_near("south")->id];
    }
    CHECK(near.size() == 2);
    CHECK(near.contains("c"));
    CHECK(near.contains("d"));
    CHECK(at.view.pick_near("west"));

    at.view.set_aside(web("c"), 10s);
    at.view.set_aside(web("b"), 10s);
    for (int i = 0; i < 50; ++i) {
        CHECK(at.view.pick_near("south")->id == "d");
        const auto any = at.view.pick_random()->id;
        CHECK((any == "a" || any == "d"));
    }
    CHECK(at.view.pick_next()->id == "d");
    CHECK(at.view.pick_next()->id == "a");
    at.view.set_aside(web("d"), 10s);
    CHECK(at.view.pick_near("south")->id == "a");  // another zone before one that fails
    at.view.set_aside(web("a"), 10s);
    CHECK(at.view.pick_random());  // all of them: better than none
    CHECK(at.view.pick_next()->id == "b");
    at.ensemble.remove("/services/web/c");  // and it registers anew
    at.in.run_for(100ms);
    CHECK(at.view.pick_random()->id == "c");
    at.in.run_for(10s);
    near.clear();
    for (int i = 0; i < 200; ++i) {
        ++near[at.view.pick_random()->id];
    }
    CHECK(near.size() == 4);
}

TEST_CASE("a hundred callers that pick at random spread evenly, and who leaves is not called",
          "[discovery][S18]")
{
    constexpr int instances = 10;
    constexpr int callers = 100;
    constexpr int calls = 100;
    market at(7);
    for (int i = 0; i < instances; ++i) {
        CHECK(at.here.add(web(std::to_string(i))));
    }
    REQUIRE(at.registers());
    const auto raw = at.ensemble.children("/services/web");
    REQUIRE(raw.size() == instances);
    for (const auto& id : raw) {
        const auto parsed = service_codec().decode(*at.ensemble.data("/services/web/" + id));
        REQUIRE(parsed);
        CHECK(*parsed == web(id));
        CHECK(at.owner("/services/web/" + id) == at.session());
    }
    std::vector<client> clients;
    std::vector<service_view> views;
    for (int i = 0; i < callers; ++i) {
        clients.emplace_back(serial(at.in.get_executor()), site::settings(),
                             at.in.make_transport("caller"));
        asio::co_spawn(at.in.get_executor(), idle_sessions(clients.back()),
                       [](const std::exception_ptr&, auto) {});
        views.emplace_back(clients.back(), "web");
        views.back().run()([](const result<void>&) {});
    }
    at.in.run_for(1s);
    std::map<std::string, int> called;
    for (int n = 0; n < calls; ++n) {
        for (const auto& view : views) {
            ++called[view.pick_random().value().id];
        }
    }
    constexpr double total = callers * calls;
    constexpr double share = 1.0 / instances;
    const double sigma = std::sqrt(total * share * (1 - share));
    CHECK(called.size() == instances);
    for (const auto& [id, times] : called) {
        INFO(id << " was called " << times << " times");
        CHECK(std::abs(times - total * share) < 3 * sigma);
    }

    CHECK(at.here.remove("web", "3"));
    at.in.run_for(1s);
    CHECK_FALSE(at.ensemble.exists("/services/web/3"));
    for (const auto& view : views) {
        CHECK(view.instances().size() == instances - 1);
    }
    at.in.separate("home");  // the service is gone, and nobody was told
    at.in.run_for(20s);
    CHECK(at.ensemble.children("/services/web").empty());
    for (const auto& view : views) {
        CHECK(view.instances().empty());
    }
}

}  // namespace coati::test::discovery_story
