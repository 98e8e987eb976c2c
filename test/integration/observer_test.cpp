// Observers: servers without a vote, which take crowds of readers off the ensemble's hands.

#include "support.hpp"

#include <coati/op.hpp>

#include <vector>

namespace coati::test {

namespace {

ensemble_options with_an_observer()
{
    ensemble_options o;
    o.servers = 4;
    o.observers = 1;
    return o;
}

}  // namespace

TEST_CASE("an observer serves ten thousand reads, in order, and takes a write", "[S49]")
{
    ensemble servers(with_an_observer());
    constexpr int observer = 3;
    REQUIRE(servers.mode(observer) == "observer");
    fixture f(servers);
    f.run([&]() -> task<> {
        ok(co_await f.observer().create("/a", "0"));
        const session s = co_await f.open(f.settings(servers.client_port(observer)));
        ok(co_await s.zk.sync("/a"));

        // A writer at the other servers, so that what is read moves on.
        bool done = false;
        std::int32_t last_written = 0;
        const auto write = [&]() -> task<> {
            while (!done) {
                const auto written = co_await f.observer().set("/a", "x");
                ok(written);
                last_written = written->version;
            }
        };
        f.spawn(write());
        constexpr int rounds = 100;
        constexpr int at_once = 100;
        std::int64_t zxid = 0;
        std::int32_t version = 0;
        int read = 0;
        for (int i = 0; i < rounds; ++i) {
            int left = at_once;
            for (int k = 0; k < at_once; ++k) {
                s.zk.get("/a")([&](const result<get_result>& r) {
                    --left;
                    if (r && r->zxid >= zxid && r->stat.version >= version) {
                        zxid = r->zxid;
                        version = r->stat.version;
                        ++read;
                    }
                });
            }
            co_await f.until([&] { return left == 0; }, "a hundred reads");
        }
        CHECK(read == rounds * at_once);
        CHECK(version > 0);
        done = true;
        co_await f.joined();

        const auto set = co_await s.zk.set("/a", "mine");
        ok(set);
        CHECK(set->version == last_written + 1);
        const auto got = co_await s.zk.get("/a");
        ok(got);
        CHECK(got->data == "mine");
        CHECK(got->zxid >= zxid);
    });
}

}  // namespace coati::test
