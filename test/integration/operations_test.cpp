// Every operation against one real server: what it does, what it answers, every business error that
// can be had, and that none of them harms the session.

#include "support.hpp"

#include "support/byte_proxy.hpp"

#include <algorithm>
#include <array>
#include <variant>

namespace coati::test {

namespace {

/// Ten digits behind the prefix.
int sequence_of(const std::string& path, const std::string& prefix)
{
    REQUIRE(path.size() == prefix.size() + 10);
    REQUIRE(path.starts_with(prefix));
    return std::stoi(path.substr(prefix.size()));
}

}  // namespace

// --- znodes

TEST_CASE("each create mode makes the znode that it names", "[operations][C52]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const std::int64_t mine = s.zk.session().id;
        const auto plain = co_await s.zk.create("/plain", "data");
        REQUIRE(plain);
        CHECK(plain->path == "/plain");
        const auto ephemeral = co_await s.zk.create("/e", "", create_mode::ephemeral);
        REQUIRE(ephemeral);
        const auto container = co_await s.zk.create("/c", "", create_mode::container);
        REQUIRE(container);
        CHECK(container->path == "/c");
        int last = -1;
        const std::array<create_mode, 4> modes{
            create_mode::persistent_sequential, create_mode::ephemeral_sequential,
            create_mode::ephemeral_sequential, create_mode::persistent_sequential};
        for (const create_mode mode : modes) {
            const auto made = co_await s.zk.create("/plain/n-", "", mode);
            REQUIRE(made);
            const int number = sequence_of(made->path, "/plain/n-");
            CHECK(number > last);
            last = number;
            const auto seen = co_await f.observer().exists(made->path);
            REQUIRE((seen && seen->has_value()));
            const bool owned = mode == create_mode::ephemeral_sequential;
            CHECK((*seen)->ephemeral_owner == (owned ? mine : 0));
            CHECK((*seen)->czxid == made->zxid);
        }
        // Digits alone, below a path that ends with a slash.
        const auto digits = co_await s.zk.create("/plain/", "", create_mode::persistent_sequential);
        REQUIRE(digits);
        CHECK(sequence_of(digits->path, "/plain/") > last);

        const auto owner = co_await f.observer().exists("/e");
        REQUIRE((owner && owner->has_value()));
        CHECK((*owner)->ephemeral_owner == mine);
        const auto nobody = co_await f.observer().exists("/c");
        REQUIRE((nobody && nobody->has_value()));
        CHECK((*nobody)->ephemeral_owner == 0);
        CHECK(ephemerals_of(f.servers(), 0, mine).size() == 3);
    });
}

TEST_CASE("get, set, exists, children, remove and sync tell what the server has",
          "[operations][C56]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        const auto made = co_await s.zk.create("/a", "one");
        REQUIRE(made);
        const auto first = co_await s.zk.get("/a");
        REQUIRE(first);
        CHECK(first->data == "one");
        CHECK(first->stat.version == 0);
        CHECK(first->stat.czxid == made->zxid);
        CHECK(first->stat.data_length == 3);
        CHECK(first->zxid >= made->zxid);

        const auto second = co_await s.zk.set("/a", "two", 0);
        REQUIRE(second);
        CHECK(second->version == 1);
        const auto third = co_await s.zk.set("/a", "three");  // any version
        REQUIRE(third);
        CHECK(third->version == 2);
        CHECK(third->mzxid > second->mzxid);

        ok(co_await s.zk.create("/a/x"));
        ok(co_await s.zk.create("/a/y"));
        auto below = co_await s.zk.children("/a");
        REQUIRE(below);
        std::sort(below->names.begin(), below->names.end());
        CHECK(below->names == std::vector<std::string>{"x", "y"});
        CHECK(below->stat.num_children == 2);
        const auto present = co_await s.zk.exists("/a");
        REQUIRE(present);
        CHECK(*present == below->stat);

        const auto seen = co_await f.observer().get("/a");
        REQUIRE(seen);
        CHECK(seen->data == "three");
        CHECK(seen->stat == below->stat);

        ok(co_await s.zk.remove("/a/x", 0));
        ok(co_await s.zk.remove("/a/y"));
        ok(co_await s.zk.remove("/a", 2));
        const auto gone = co_await s.zk.exists("/a");
        REQUIRE(gone);
        CHECK(!gone->has_value());
        ok(co_await s.zk.sync());
        ok(co_await s.zk.sync("/a"));  // a path that is not there is as good as another
    });
}

TEST_CASE("null data and empty data are kept apart", "[operations][C54][T65]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/null", null_data));
        ok(co_await s.zk.create("/empty", ""));
        ok(co_await s.zk.create("/set-null", "x"));
        ok(co_await s.zk.create("/set-empty", "x"));
        ok(co_await s.zk.set("/set-null", null_data));
        ok(co_await s.zk.set("/set-empty", std::string()));
        const auto many = co_await s.zk.multi(op::create("/multi-null", null_data),
                                              op::create("/multi-empty", ""));
        REQUIRE(many);
        const std::array<std::string, 3> prefixes{"/", "/set-", "/multi-"};
        for (const std::string& prefix : prefixes) {
            INFO(prefix);
            const auto null = co_await f.observer().get(prefix + "null");
            REQUIRE(null);
            CHECK(null->is_null);
            CHECK(null->data.empty());
            const auto empty = co_await s.zk.get_and_watch(prefix + "empty");
            REQUIRE(empty);
            CHECK_FALSE(empty->is_null);
            CHECK(empty->data.empty());
        }
    });
}

TEST_CASE("paths and data may be any Unicode and any bytes that a server takes",
          "[operations][C63][T58]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        std::string bytes;
        for (int i = 0; i < 256; ++i) {
            bytes += static_cast<char>(i);
        }
        const std::array<std::string, 4> paths{"/\u017c\u00f3\u0142\u0107", "/\u6f22\u5b57",
                                               "/a b \"c\" \\d", "/\u00a0..."};
        for (const std::string& path : paths) {
            INFO(path);
            const auto made = co_await s.zk.create(path, bytes);
            REQUIRE(made);
            CHECK(made->path == path);
            const auto seen = co_await f.observer().get(path);
            REQUIRE(seen);
            CHECK(seen->data == bytes);
        }
        auto names = co_await s.zk.children("/");
        REQUIRE(names);
        for (const std::string& path : paths) {
            CHECK(std::count(names->names.begin(), names->names.end(), path.substr(1)) == 1);
        }
        // The server refuses what is beyond the BMP, by its surrogates: so do we, before it.
        const auto emoji = co_await s.zk.create("/\U0001F601");
        CHECK(code_of(emoji) == errc::invalid_path);
    });
}

// --- errors

TEST_CASE("every business error is an answer and leaves the session alone",
          "[operations][C55][S30]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        const client& zk = s.zk;
        ok(co_await zk.create("/parent"));
        ok(co_await zk.create("/parent/child"));
        ok(co_await zk.create("/e", "", create_mode::ephemeral));
        ok(co_await zk.create("/read-only", "", create_mode::persistent, acls::read_unsafe()));
        const auto fails = [](const auto& r, errc expected) {
            REQUIRE_FALSE(r.has_value());
            CHECK(r.error().code() == expected);
            CHECK(r.error().fate() == fate::not_applied);
            CHECK(r.error().disposition() == disposition::answer);
        };
        fails(co_await zk.get("/missing"), errc::no_node);
        fails(co_await zk.get_and_watch("/missing"), errc::no_node);
        fails(co_await zk.children("/missing"), errc::no_node);
        fails(co_await zk.children_and_watch("/missing"), errc::no_node);
        fails(co_await zk.set("/missing", "x"), errc::no_node);
        fails(co_await zk.remove("/missing"), errc::no_node);
        fails(co_await zk.create("/missing/child"), errc::no_node);
        fails(co_await zk.create("/parent"), errc::node_exists);
        fails(co_await zk.set("/parent", "x", 7), errc::bad_version);
        fails(co_await zk.remove("/parent/child", 7), errc::bad_version);
        fails(co_await zk.remove("/parent"), errc::not_empty);
        fails(co_await zk.create("/e/child"), errc::no_children_for_ephemerals);
        const acls nonsense(acl(perms::all, "no-such-scheme", "x"));
        fails(co_await zk.create("/x", "", create_mode::persistent, nonsense), errc::invalid_acl);
        // Nobody has introduced himself, so "whoever creates this" is nobody.
        fails(co_await zk.create("/x", "", create_mode::persistent, acls::creator_all()),
              errc::invalid_acl);
        fails(co_await zk.set("/read-only", "x"), errc::no_auth);
        fails(co_await zk.create("/read-only/x"), errc::no_auth);

        const auto there = co_await zk.remove("/parent/child");
        CHECK(code_of(there) == errc{0});
        CHECK(proxy.connections() == 1);
        CHECK(s.zk.is_connected());
    });
}

TEST_CASE("a bad path is refused before anything is sent", "[operations][C62]")
{
    fixture f;
    f.run([&]() -> task<> {
        // It is never run: a request that waited to be sent would wait for ever.
        const client zk = f.make(f.settings());
        const std::array<std::string, 11> paths{"",        "a",    "/a/",   "//",    "/a//b", "/.",
                                                "/a/../b", "/a/.", "/\x01", "/\x7f", "/\xff"};
        for (const std::string& path : paths) {
            INFO("path: " << path);
            const auto fails = [](const auto& r) {
                REQUIRE_FALSE(r.has_value());
                CHECK(r.error().code() == errc::invalid_path);
                CHECK(r.error().fate() == fate::not_sent);
            };
            fails(co_await zk.get(path));
            fails(co_await zk.set(path, "x"));
            fails(co_await zk.exists(path));
            fails(co_await zk.children(path));
            fails(co_await zk.create(path));
            fails(co_await zk.remove(path));
            fails(co_await zk.sync(path));
            fails(co_await zk.get_and_watch(path));
            fails(co_await zk.multi(op::create("/good"), op::check(path)));
        }
        const auto bad_root = co_await zk.chroot("relative").get("/a");
        CHECK(code_of(bad_root) == errc::invalid_path);
    });
}

// --- sizes

TEST_CASE("data up to the limit pass, above it the request is refused and nothing else happens",
          "[operations][C61][T52][T53]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        ok(co_await s.zk.create("/big"));
        // xid and op code, the path, the data's length, the version.
        const std::size_t around = 8 + 4 + f.full("/big").size() + 4 + 4;
        const std::size_t most = f.settings().max_request - around;
        const std::string largest(most, 'x');
        const auto set = co_await s.zk.set("/big", largest);
        REQUIRE(set);
        CHECK(set->data_length == static_cast<std::int32_t>(most));
        // The reply is larger than the largest request: it has a stat in it.
        const auto back = co_await s.zk.get("/big");
        REQUIRE(back);
        CHECK(back->data == largest);

        const auto sent = proxy.bytes(direction::to_server);
        const auto above = co_await s.zk.set("/big", largest + "x");
        REQUIRE_FALSE(above);
        CHECK(above.error().code() == errc::request_too_large);
        CHECK(above.error().fate() == fate::not_sent);
        const auto in_multi = co_await s.zk.multi(op::set("/big", largest), op::check("/big"));
        CHECK(code_of(in_multi) == errc::request_too_large);
        // A ping may have gone out meanwhile, and nothing like a megabyte.
        CHECK(proxy.bytes(direction::to_server) - sent < 100);
        ok(co_await s.zk.exists("/big"));
        CHECK(proxy.connections() == 1);
    });
}

TEST_CASE("twenty thousand children are listed, or refused by a small max_reply alone",
          "[operations][C57][T52]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/many"));
        constexpr int batches = 40;
        constexpr int batch = 500;
        const std::string padding(60, '-');
        for (int b = 0; b < batches; ++b) {
            std::vector<any_op> ops;
            for (int i = 0; i < batch; ++i) {
                ops.push_back(op::create("/many/" + padding + std::to_string(b * batch + i)));
            }
            const auto made = co_await s.zk.multi(std::move(ops));
            REQUIRE(made);
            REQUIRE(made->results.size() == batch);
        }
        const auto listed = co_await s.zk.children("/many");
        REQUIRE(listed);
        CHECK(listed->names.size() == batches * batch);
        CHECK(std::set<std::string>(listed->names.begin(), listed->names.end()).size() ==
              batches * batch);

        config careful = f.settings(proxy.port());
        careful.max_reply = 64 * 1024;
        const session small = co_await f.open(careful);
        const auto refused = co_await small.zk.children("/many");
        CHECK(code_of(refused) == errc::reply_too_large);
        const auto after = co_await small.zk.exists("/many");
        REQUIRE((after && after->has_value()));
        CHECK((*after)->num_children == batches * batch);
        CHECK(proxy.connections() == 1);
    });
}

// --- multi

TEST_CASE("a multi does all of its operations and gives a typed result for each",
          "[operations][C71][C73][C75]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a", "old"));
        ok(co_await s.zk.create("/gone"));
        const auto done = co_await s.zk.multi(
            op::check("/a", 0), op::create("/a/n-", "x", create_mode::ephemeral_sequential),
            op::set("/a", "new", 0), op::remove("/gone"),
            op::create("/c", "", create_mode::container));
        REQUIRE(done);
        const auto& [checked, made, changed, removed, container] = done->results;
        CHECK(sequence_of(made, "/a/n-") == 0);
        CHECK(changed.version == 1);
        CHECK(changed.mzxid == done->zxid);
        CHECK(container == "/c");
        const auto seen = co_await f.observer().get("/a");
        REQUIRE(seen);
        CHECK(seen->data == "new");
        CHECK(seen->stat.mzxid == done->zxid);
        CHECK(seen->stat.num_children == 1);
        const auto gone = co_await f.observer().exists("/gone");
        REQUIRE(gone);
        CHECK(!gone->has_value());

        std::vector<any_op> list;
        list.emplace_back(op::create("/list", "1"));
        list.emplace_back(op::set("/list", "2"));
        list.emplace_back(op::check("/list", 1));
        list.emplace_back(op::remove("/c"));
        const auto listed = co_await s.zk.multi(std::move(list));
        REQUIRE(listed);
        REQUIRE(listed->results.size() == 4);
        CHECK(std::get<std::string>(listed->results[0]) == "/list");
        CHECK(std::get<stat>(listed->results[1]).version == 1);
        CHECK(std::holds_alternative<std::monostate>(listed->results[2]));
        CHECK(std::holds_alternative<std::monostate>(listed->results[3]));

        const auto check_alone = co_await s.zk.multi(op::check("/a", 1));
        CHECK(check_alone);
        const auto nothing = co_await s.zk.multi(std::vector<any_op>());
        REQUIRE(nothing);
        CHECK(nothing->results.empty());
    });
}

TEST_CASE("a failed multi names the first operation that failed and has done nothing",
          "[operations][C72][C95][T40]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a"));
        ok(co_await s.zk.create("/a/b"));
        const auto before = co_await f.observer().exists("/a");
        REQUIRE(before);
        const auto watched = co_await s.zk.children_and_watch("/a");
        REQUIRE(watched);
        const auto fails = [](const auto& r, errc code, int index) {
            REQUIRE_FALSE(r.has_value());
            CHECK(r.error().code() == code);
            CHECK(r.error().op_index() == index);
            CHECK(r.error().fate() == fate::not_applied);
        };
        fails(co_await s.zk.multi(op::check("/a", 5), op::create("/a/x")), errc::bad_version, 0);
        fails(co_await s.zk.multi(op::create("/a/x"), op::create("/a/b"), op::remove("/no")),
              errc::node_exists, 1);
        fails(co_await s.zk.multi(op::create("/a/x"), op::set("/a", "x"), op::remove("/a")),
              errc::not_empty, 2);
        fails(co_await s.zk.multi(op::set("/a", "x"), op::check("/no")), errc::no_node, 1);
        std::vector<any_op> list;
        for (int i = 0; i < 100; ++i) {
            list.emplace_back(op::create("/a/" + std::to_string(i)));
        }
        list.emplace_back(op::create("/no/child"));
        fails(co_await s.zk.multi(std::move(list)), errc::no_node, 100);

        ok(co_await s.zk.sync());
        CHECK(is_silent(watched->watch));
        const auto after = co_await f.observer().exists("/a");
        REQUIRE(after);
        CHECK(*after == *before);
    });
}

// --- order

TEST_CASE("a thousand pipelined requests of all kinds complete in their order", "[operations][C66]")
{
    fixture f;
    byte_proxy proxy(f.servers().client_port(0));
    f.run([&]() -> task<> {
        const session s = co_await f.open(f.settings(proxy.port()));
        ok(co_await s.zk.create("/n"));
        constexpr std::size_t count = 1000;
        std::vector<std::size_t> completed;
        std::vector<errc> codes(count, errc::no_result);
        std::size_t next = 0;
        const auto go = [&](auto op) {
            const std::size_t number = next++;
            std::move(op)([&, number](auto r) {
                completed.push_back(number);
                codes[number] = code_of(r);
            });
        };
        while (next < count) {
            const std::string path = "/n/" + std::to_string(next / 10);
            go(s.zk.exists(path));
            go(s.zk.create(path, "x"));
            go(s.zk.get(path));
            go(s.zk.create(path));  // node_exists
            go(s.zk.set(path, "y", 0));
            go(s.zk.multi(op::check(path, 1), op::create(path + "/e", "")));
            go(s.zk.children("/n"));
            go(s.zk.sync(path));
            go(s.zk.remove(path));  // not_empty
            go(s.zk.remove(path + "/e"));
        }
        co_await f.until([&] { return completed.size() == count; }, "a thousand replies");
        CHECK(std::is_sorted(completed.begin(), completed.end()));
        for (std::size_t i = 0; i < count; ++i) {
            INFO("request " << i);
            const errc expected = i % 10 == 3   ? errc::node_exists
                                  : i % 10 == 8 ? errc::not_empty
                                                : errc{0};
            CHECK(codes[i] == expected);
        }
        CHECK(proxy.connections() == 1);
    });
}

TEST_CASE("an event comes before the reply that shows its change", "[operations][C90][T63]")
{
    fixture f;
    f.run([&]() -> task<> {
        const session s = co_await f.open();
        ok(co_await s.zk.create("/a", "0"));
        for (int round = 1; round <= 50; ++round) {
            const auto watched = co_await s.zk.get_and_watch("/a");
            REQUIRE(watched);
            bool fired = false;
            watched->watch.next()([&](result<event> e) { fired = e.has_value(); });
            const std::string value = std::to_string(round);
            f.observer().set("/a", value)([](result<stat>) {});
            std::string seen;
            while (seen != value) {
                const auto read = co_await s.zk.get("/a");
                REQUIRE(read);
                seen = read->data;
                REQUIRE(fired == (seen == value));
            }
        }
        // The same for a change of our own.
        const auto watched = co_await s.zk.children_and_watch("/a");
        REQUIRE(watched);
        bool fired = false;
        watched->watch.next()([&](result<event> e) { fired = e.has_value(); });
        ok(co_await s.zk.create("/a/child"));
        CHECK(fired);
    });
}

}  // namespace coati::test
