// Sessions that leave their client or their server because they were told to, on real servers.

#include "support.hpp"

#include <algorithm>

namespace coati::test {

namespace {

server_address at_port(std::uint16_t port)
{
    return {"127.0.0.1", port};
}

}  // namespace

TEST_CASE("a session is left in order and taken up by another client, with its ephemerals",
          "[moves][S39]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session first = co_await f.open();
        bool written = false;
        first.zk.create("/e", "", create_mode::ephemeral)(
            [&](const result<created>& r) { written = r.has_value(); });
        const auto left = co_await first.zk.detach();
        ok(left);
        CHECK(written);  // what was asked for before has been answered
        const auto end = co_await first.ended();
        ok(end);
        const auto later = co_await first.zk.get("/e");
        CHECK(code_of(later) == errc::session_left);

        config c = f.settings();
        c.session = *left;
        const session second = co_await f.open(c);
        CHECK(second.zk.session().id == left->id);
        const auto seen = co_await second.zk.exists("/e");
        REQUIRE((seen && seen->has_value()));
        CHECK((*seen)->ephemeral_owner == left->id);
        ok(co_await second.zk.close());
        const auto gone = co_await f.observer().exists("/e");
        REQUIRE(gone);
        CHECK_FALSE(gone->has_value());
    });
}

TEST_CASE("a client whose server leaves the list moves to another, and its session with it",
          "[moves][C27]")
{
    ensemble& servers = shared_three();
    fixture f(servers);
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto id = s.zk.session().id;
        const auto made = co_await s.zk.create("/e", "", create_mode::ephemeral);
        ok(made);
        const auto watched = co_await s.zk.get_and_watch("/e");
        ok(watched);
        const auto port = s.zk.session().server.port;
        std::vector<server_address> others;
        for (int i = 0; i < servers.size(); ++i) {
            if (servers.client_port(i) != port) {
                others.push_back(at_port(servers.client_port(i)));
            }
        }
        ok(co_await s.zk.set_servers(others));
        co_await f.until([&] { return s.zk.is_connected() && s.zk.session().server.port != port; },
                         "the move");
        CHECK(s.zk.session().id == id);
        const auto seen = co_await f.observer().exists("/e");
        REQUIRE((seen && seen->has_value()));
        CHECK((*seen)->czxid == made->zxid);
        ok(co_await f.observer().set("/e", "x"));
        const event told = co_await event_of(watched->watch);
        CHECK(told.type == event_type::data_changed);

        const auto none = co_await s.zk.set_servers({});
        CHECK(code_of(none) == errc::invalid_argument);
        CHECK(s.zk.is_connected());
    });
}

}  // namespace coati::test
