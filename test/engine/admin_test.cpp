// The operations beside reading and writing znodes, where a real server cannot be had to do what
// is wanted: another version, a lost reply, a broken one, a watch across a loss.

#include "support.hpp"

#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/multi.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::errc;
using coati::fate;
using coati::wire::op_code;
namespace op = coati::op;
namespace wire = coati::wire;

/// Closes the connection in place of the first reply to this op.
void lose_reply(simulation& at, op_code which)
{
    auto lost = std::make_shared<bool>(false);  // the server asks a copy
    at.server(0).on_frame([which, lost](const frame_view& f) {
        const bool hit = f.direction == frame_view::way::reply && f.op == which && !*lost;
        *lost = *lost || hit;
        return hit ? verdict::close() : verdict::pass();
    });
}

/// Answers each request of this kind with this body.
void answer_with(simulation& at, op_code which, std::string body)
{
    at.server(0).on_frame([which, body](const frame_view& f) {
        if (f.direction != frame_view::way::reply || f.op != which) {
            return verdict::pass();
        }
        std::string frame;
        const auto begin = wire::open_frame(frame);
        wire::encode(frame, wire::reply_header{f.xid, 1, 0});
        frame += body;
        wire::close_frame(frame, begin);
        return verdict::replace(frame);
    });
}

template <class T>
void is_in_doubt(const coati::result<T>& r)
{
    REQUIRE_FALSE(r);
    CHECK(r.error() == errc::connection_loss);
    CHECK(r.error().fate() == fate::maybe_applied);
}

}  // namespace

TEST_CASE("creates inside a multi are read as the server's version answers them", "[admin][T39]")
{
    for (const std::string version : {"3.8.0", "3.9.3"}) {
        CAPTURE(version);
        coati::testing::ensemble_options options;
        options.version = version;
        simulation at(1, 1, options);
        at.connect();
        const auto typed = at.ask(at.zk->multi(
            op::create_with_stat("/s", "x"), op::create("/c", "", create_mode::container),
            op::create_with_ttl("/t", "", 1h), op::create("/p"), op::set("/p", "y")));
        REQUIRE(typed);
        const auto& [with_stat, container, with_ttl, plain, changed] = typed->results;
        CHECK(with_stat.path == "/s");
        CHECK(with_stat.stat.has_value() == (version == "3.9.3"));
        CHECK(container == "/c");
        CHECK(with_ttl.path == "/t");
        CHECK(plain == "/p");
        CHECK(changed.version == 1);

        std::vector<coati::any_op> list;
        list.emplace_back(op::create_with_stat("/s/1", "x"));
        list.emplace_back(op::create("/c/1", "", create_mode::container));
        list.emplace_back(op::check("/s/1", 0));
        const auto listed = at.ask(at.zk->multi(std::move(list)));
        REQUIRE(listed);
        CHECK(std::get<coati::created_in_multi>(listed->results[0]).path == "/s/1");
        CHECK(std::get<std::string>(listed->results[1]) == "/c/1");
        CHECK(std::holds_alternative<std::monostate>(listed->results[2]));
    }
}

TEST_CASE("a multi that is answered with other results than asked for is malformed", "[admin]")
{
    simulation at;
    at.connect();
    std::string body;
    wire::encode(body, wire::multi_header{static_cast<std::int32_t>(op_code::remove), false, 0});
    wire::finish_multi(body);
    answer_with(at, op_code::multi, body);
    const auto typed = at.ask(at.zk->multi(op::create("/a")));
    REQUIRE_FALSE(typed);
    CHECK(typed.error() == errc::malformed_reply);
    CHECK(typed.error().fate() == fate::applied);
    std::vector<coati::any_op> list;
    list.emplace_back(op::set("/a", ""));
    CHECK(at.ask(at.zk->multi(std::move(list))).error() == errc::malformed_reply);
    CHECK(at.ask(at.zk->multi(op::remove("/a"), op::remove("/b"))).error() ==
          errc::malformed_reply);
    REQUIRE(at.ask(at.zk->multi(op::remove("/a"))));
    REQUIRE(at.ask(at.zk->check("/a")));

    answer_with(at, op_code::multi_read, body);
    const auto read = at.ask(at.zk->multi_read(op::get("/a")));
    REQUIRE(read);
    CHECK(std::get<0>(read->results).error() == errc::malformed_reply);
    const auto two = at.ask(at.zk->multi_read(op::get("/a"), op::children("/b")));
    REQUIRE_FALSE(two);
    CHECK(two.error() == errc::malformed_reply);
    CHECK(two.error().fate() == fate::not_applied);

    std::string names;
    const std::int32_t list_type = static_cast<std::int32_t>(op_code::get_children);
    wire::encode(names, wire::multi_header{list_type, false, 0},
                 std::vector<std::string_view>{"x"});
    wire::finish_multi(names);
    answer_with(at, op_code::multi_read, names);
    const auto other = at.ask(at.zk->multi_read(op::get("/a")));
    REQUIRE_FALSE(other);
    CHECK(other.error() == errc::malformed_reply);
}

TEST_CASE("a multi that is refused unsent says which of its operations is wrong", "[admin][C72]")
{
    simulation at;
    at.connect();
    const auto typed = at.ask(at.zk->multi(op::set("/a", ""), op::create("b"), op::remove("c")));
    REQUIRE_FALSE(typed);
    CHECK(typed.error() == coati::error(errc::invalid_path, fate::not_sent).with_op_index(1));
    std::vector<coati::any_read_op> list;
    list.emplace_back(op::get("/a"));
    list.emplace_back(op::children("/a/"));
    const auto listed = at.ask(at.zk->multi_read(std::move(list)));
    REQUIRE_FALSE(listed);
    CHECK(listed.error().op_index() == 1);
    const auto check = at.ask(at.zk->check("a"));
    REQUIRE_FALSE(check);
    CHECK(check.error() == coati::error(errc::invalid_path, fate::not_sent));
}

TEST_CASE("replies that do not decode are malformed, with the right fate", "[admin]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "");
    answer_with(at, op_code::get_acl, "\x7f\xff\xff\xff");
    CHECK(at.ask(at.zk->get_acl("/a")).error() == errc::malformed_reply);
    answer_with(at, op_code::who_am_i, "");
    CHECK(at.ask(at.zk->who_am_i()).error() == errc::malformed_reply);
    answer_with(at, op_code::get_ephemerals, "");
    CHECK(at.ask(at.zk->get_ephemerals()).error() == errc::malformed_reply);
    answer_with(at, op_code::get_all_children_number, "");
    CHECK(at.ask(at.zk->count_descendants("/a")).error() == errc::malformed_reply);
    answer_with(at, op_code::get_data, "");
    CHECK(at.ask(at.zk->get_config()).error() == errc::malformed_reply);
    answer_with(at, op_code::set_acl, "");
    const auto changed = at.ask(at.zk->set_acl("/a", coati::acls::read_unsafe()));
    CHECK(changed.error() == errc::malformed_reply);
    CHECK(changed.error().fate() == fate::applied);
    answer_with(at, op_code::create2, "");
    CHECK(at.ask(at.zk->create_with_stat("/b")).error().fate() == fate::applied);
}

TEST_CASE("a write of any kind whose answer is lost is in doubt, a check is not", "[admin][T55]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/a", "");
    lose_reply(at, op_code::create2);
    is_in_doubt(at.ask(at.zk->create_with_stat("/b")));
    lose_reply(at, op_code::create_ttl);
    is_in_doubt(at.ask(at.zk->create_with_ttl("/c", "", 1h)));
    lose_reply(at, op_code::set_acl);
    is_in_doubt(at.ask(at.zk->set_acl("/a", coati::acls::read_unsafe())));
    lose_reply(at, op_code::reconfig);
    is_in_doubt(at.ask(at.zk->reconfig(coati::membership_change({}, {3}))));
    lose_reply(at, op_code::multi);
    is_in_doubt(at.ask(at.zk->multi(op::check("/a"))));

    // Sent again: it changes nothing.
    lose_reply(at, op_code::multi);
    REQUIRE(at.ask(at.zk->check("/a")));
    lose_reply(at, op_code::multi_read);
    REQUIRE(at.ask(at.zk->multi_read(op::get("/a"))));
    lose_reply(at, op_code::get_acl);
    REQUIRE(at.ask(at.zk->get_acl("/a")));
    lose_reply(at, op_code::get_ephemerals);
    REQUIRE(at.ask(at.zk->get_ephemerals()));
    lose_reply(at, op_code::who_am_i);
    REQUIRE(at.ask(at.zk->who_am_i()));
}

TEST_CASE("the watch on the configuration survives a loss under its own path", "[admin][T37]")
{
    simulation at(2);
    at.connect();
    at.ensemble.put("/zookeeper/config", "server.1=a:1:2:participant;3\nversion=1");
    for (const std::string chroot : {"/app", "/zookeeper", "/zoo"}) {
        CAPTURE(chroot);
        const auto watched = at.start(at.zk->chroot(chroot).get_config_and_watch());
        at.until([&] { return watched.done(); });
        REQUIRE(*watched);
        CHECK(watched->config.parse()->members.size() == 1);
        const auto told = at.start(watched->watch.next());
        for (std::size_t i = 0; i < 2; ++i) {
            at.in.refuse(server_at(i));
        }
        at.in.cut_all();
        at.in.settle();
        at.ensemble.put("/zookeeper/config", "version=2" + chroot);  // not what it was
        for (std::size_t i = 0; i < 2; ++i) {
            at.in.allow(server_at(i));
        }
        at.until([&] { return told.done(); });
        REQUIRE(*told);
        CHECK(told->path == "/zookeeper/config");
        at.ensemble.put("/zookeeper/config", "server.1=a:1:2:participant;3\nversion=1");
    }
    const auto broken = at.ask(at.zk->get_config());
    REQUIRE(broken);
    at.ensemble.put("/zookeeper/config", "server.1=nonsense\nversion=3");
    const auto text = at.ask(at.zk->get_config());
    REQUIRE(text);
    REQUIRE_FALSE(text->parse());
    CHECK(text->parse().error() == errc::invalid_config);
    CHECK(text->text == "server.1=nonsense\nversion=3");  // nothing is lost
}

TEST_CASE("ephemerals are mapped by the chroot in both directions", "[admin][S38][T38]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/app", "");
    at.ensemble.put("/apple", "");
    const std::vector<std::string> paths{"/app/a", "/app/ab", "/apple/a"};
    for (const std::string& path : paths) {
        REQUIRE(at.ask(at.zk->create(path, "", create_mode::ephemeral)));
    }
    using names = std::vector<std::string>;
    const auto app = at.zk->chroot("/app");
    CHECK(at.ask(app.get_ephemerals()).value() == names{"/a", "/ab"});
    CHECK(at.ask(app.get_ephemerals("/ab")).value() == names{"/ab"});
    CHECK(at.ask(at.zk->get_ephemerals("/app")).value() == paths);
    CHECK(at.ask(at.zk->chroot("/app/a").get_ephemerals()).value() == names{"/"});
}

TEST_CASE("a server without extended types, and one that may not be changed, say so", "[admin]")
{
    coati::testing::ensemble_options options;
    options.extended_types = false;
    simulation at(1, 1, options);
    at.connect();
    const auto ttl = at.ask(at.zk->create_with_ttl("/t", "", 1h));
    CHECK(ttl.error() == errc::unimplemented);
    CHECK(ttl.error().fate() == fate::not_applied);
    const auto change = at.ask(at.zk->reconfig(coati::membership_change({}, {1})));
    CHECK(change.error() == errc::reconfig_disabled);
    CHECK(at.zk->is_connected());
    CHECK(at.connections_made() == 1);
}
