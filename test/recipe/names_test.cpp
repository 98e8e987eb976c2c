// Unique names, one at a time: what they are, what a mishap at any step of giving one leaves, and
// what comes behind the last one.

#include "every_step.hpp"

#include <coati/convenience.hpp>
#include <coati/recipe/names.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace coati::test::names_story {

namespace {

using coati::wire::op_code;

std::size_t requests_of(const scripted_server& server)
{
    const auto& log = server.log();
    return static_cast<std::size_t>(std::count_if(
        log.begin(), log.end(), [](const auto& each) { return each.op != op_code::ping; }));
}

names_options ephemeral()
{
    names_options how;
    how.ephemeral = true;
    return how;
}

TEST_CASE("names are numbered by the servers, and cost one request each", "[names]")
{
    simulation at;
    at.connect();
    const names ids(*at.zk, "/app/ids", "job-");
    CHECK(ids.directory() == "/app/ids");
    std::int64_t last = 0;
    for (int i = 0; i < 5; ++i) {
        const auto got = at.ask(ids.next());
        REQUIRE(got);
        CHECK(got->number == i);
        CHECK(got->path.starts_with("/app/ids/_c_"));
        CHECK(unprotected(got->path) == "job-000000000" + std::to_string(i));
        CHECK(got->czxid > last);
        last = got->czxid;
        CHECK(at.ensemble.exists(got->path));
        CHECK(at.ensemble.ephemeral_owner(got->path) == 0);
    }
    // Whatever version the directory has.
    at.ensemble.put("/app/ids", "kept");
    REQUIRE(at.ask(ids.next()));
    at.server(0).clear_log();
    REQUIRE(at.ask(ids.next()));
    CHECK(requests_of(at.server(0)) == 1);
    CHECK(at.ensemble.data("/app/ids") == "kept");
    // Others count on.
    const names others(at.zk->chroot("/app"), "/ids", "");
    const auto other = at.ask(others.next());
    REQUIRE(other);
    CHECK(other->number == 7);
    CHECK(at.ensemble.exists("/app" + other->path));
}

TEST_CASE("an ephemeral name goes with its session, its number does not come back", "[names]")
{
    simulation at;
    const auto session = at.connect();
    const names ids(*at.zk, "/ids", "id-", ephemeral());
    const auto first = at.ask(ids.next());
    REQUIRE(first);
    CHECK(at.ensemble.ephemeral_owner(first->path) == at.zk->session().id);
    REQUIRE(at.ask(at.zk->close()));
    at.until([&] { return session.done(); });
    CHECK_FALSE(at.ensemble.exists(first->path));
    at.connect();
    const auto second = at.ask(ids.next());
    REQUIRE(second);
    CHECK(second->number > first->number);
}

TEST_CASE("what cannot be created says why", "[names]")
{
    simulation at;
    at.connect();
    const names nowhere(*at.zk, "no/path", "id-");
    CHECK(at.ask(nowhere.next()).error() == errc::invalid_path);
    const client pinned = at.zk->pinned();
    at.ensemble.expire(at.zk->session().id);
    const names late(pinned, "/ids", "id-");
    CHECK(at.ask(late.next()).error() == errc::session_expired);
    CHECK_FALSE(at.ensemble.exists("/ids"));
}

/// The server's counter has come to its end: makes of a sequential create the one of that number.
verdict behind_the_last(const frame_view& f)
{
    if (f.direction != frame_view::way::request || f.op != op_code::multi) {
        return verdict::pass();
    }
    std::string bytes(f.payload);
    const auto path = bytes.find("/ids/_c_");
    if (path == std::string::npos) {
        return verdict::pass();
    }
    const std::string digits = "-2147483648";
    const auto length = static_cast<unsigned char>(bytes[path - 1]);
    bytes[path - 1] = static_cast<char>(length + digits.size());
    bytes.insert(path + length, digits);
    constexpr std::size_t end_of_multi = 9;
    bytes[bytes.size() - end_of_multi - 1] = 0;  // the flags: an ordinary znode
    return verdict::replace(bytes);
}

TEST_CASE("behind the last number there is no name, and no znode either", "[names][S24]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/ids", "");
    const names ids(*at.zk, "/ids", "id-");
    at.server(0).on_frame(behind_the_last);
    std::size_t created = 0;
    at.server(0).clear_log();
    const auto got = at.ask(ids.next());
    for (const auto& each : at.server(0).log()) {
        created += each.op == op_code::remove ? 1U : 0U;
    }
    REQUIRE_FALSE(got);
    CHECK(got.error() == errc::invalid_argument);
    CHECK(created == 1);
    CHECK(at.ensemble.children("/ids").empty());
}

/// Everything that is there was given to somebody, and the other way round.
void check_claimed(stepping& at, const std::vector<std::string>& given)
{
    auto there = at.children("/ids");
    for (auto& each : there) {
        each.insert(0, "/ids/");
    }
    auto wanted = given;
    std::sort(there.begin(), there.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(there == wanted);
}

TEST_CASE("whatever frame is lost, a name is given once", "[names][S24]")
{
    const auto steps = at_every_frame(mishap::lost_frame, [](stepping& at) {
        const names ids(*at.s.zk, "/ids", "id-");
        std::vector<std::string> given;
        for (int i = 0; i < 3; ++i) {
            const auto got = at.s.ask(ids.next());
            REQUIRE(got);
            given.push_back(got->path);
        }
        check_claimed(at, given);
    });
    CHECK(steps > 8);
}

TEST_CASE("whenever the session ends, a name is given once", "[names][S24]")
{
    for (const bool is_ephemeral : {false, true}) {
        const auto steps = at_every_frame(mishap::expiry, [&](stepping& at) {
            const names ids(*at.s.zk, "/ids", "id-", is_ephemeral ? ephemeral() : names_options());
            std::vector<std::string> given;
            for (int i = 0; i < 3; ++i) {
                const auto got = at.s.ask(ids.next());
                REQUIRE(got);
                if (is_ephemeral && !at.s.ensemble.exists(got->path)) {
                    continue;  // given, and then it went with its session
                }
                given.push_back(got->path);
            }
            at.s.pass(1s);
            std::erase_if(given, [&](const std::string& path) {
                return is_ephemeral && !at.s.ensemble.exists(path);
            });
            check_claimed(at, given);
        });
        CHECK(steps > 8);
    }
}

TEST_CASE("whenever it is cancelled, no name is left that nobody has", "[names][S24][cancel]")
{
    const auto given = std::make_shared<std::vector<std::string>>();
    const auto turns = cancelled_at_every_turn(
        [&](stepping& at, asio::cancellation_signal& stop) {
            given->clear();
            at.s.ensemble.put("/ids", "");
            at.s.ensemble.put("/ids", "");
            const names ids(*at.s.zk, "/ids", "id-");
            const auto answered = at.s.start(ids.next(), stop);
            return [answered, given] {
                if (answered.done() && given->empty() && *answered) {
                    given->push_back((*answered)->path);
                }
                return answered.done();
            };
        },
        [&](stepping& at) {
            at.s.pass(10s);
            check_claimed(at, *given);
        });
    CHECK(turns > 4);
}

}  // namespace

}  // namespace coati::test::names_story
