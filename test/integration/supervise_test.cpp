// hold and supervise against a real server: the session is closed in order behind its application,
// and after an expiry there is a new one, with everything in it anew.

#include "support.hpp"

#include <coati/supervise.hpp>
#include <coati/testing/expire_session.hpp>

#include <stdexcept>
#include <variant>

namespace coati::test {

namespace {

/// What became of an error, as user code asks it. No default branch: -Wswitch holds it complete.
enum class next_step { wait, rebuild, handle };

next_step step_after(const error& e)
{
    switch (e.disposition()) {
    case disposition::connection_loss: return next_step::wait;
    case disposition::session_over: return next_step::rebuild;
    case disposition::answer: return next_step::handle;
    }
    FAIL("a disposition of no kind");
    return next_step::handle;
}

task<result<std::string>> leave_an_ephemeral(client zk)
{
    auto create = zk.create("/e", "", create_mode::ephemeral);
    const auto made = co_await std::move(create);
    if (!made) {
        co_return made.error();
    }
    co_return made->path;
}

task<result<void>> throw_something(client zk)
{
    auto create = zk.create("/e", "", create_mode::ephemeral);
    const auto made = co_await std::move(create);
    ok(made);
    throw std::runtime_error("thrown by the application");
}

task<result<void>> fail_with_an_answer(client zk)
{
    auto remove = zk.remove("/missing");
    co_return co_await std::move(remove);
}

task<> expire(fixture& f, client zk)
{
    const auto mine = zk.credentials();
    const endpoint server{"127.0.0.1", f.servers().client_port(0), {}};
    auto through = make_tcp_transport(f.context().get_executor());
    const auto done = co_await testing::expire_session(through, server, mine.id, mine.password);
    ok(done);
}

}  // namespace

TEST_CASE("hold returns the application's result when the session is closed", "[supervise][C46]")
{
    fixture f;
    f.run([&]() -> task<> {
        const client zk = f.make(f.settings());
        auto holding = hold(zk, leave_an_ephemeral);
        const auto ended = co_await std::move(holding);
        CHECK(ended.session.has_value());
        const auto* const app = std::get_if<result<std::string>>(&ended.app);
        REQUIRE(app != nullptr);
        ok(*app);
        CHECK(app->value() == "/e");
        const auto seen = co_await f.observer().exists("/e");
        ok(seen);
        CHECK_FALSE(seen->has_value());
        CHECK_FALSE(knows_session(f.servers(), 0, zk.session().id));
    });
}

TEST_CASE("what the application throws is delivered behind an orderly close", "[supervise]")
{
    fixture f;
    f.run([&]() -> task<> {
        const client zk = f.make(f.settings());
        auto holding = hold(zk, throw_something);
        const auto ended = co_await std::move(holding);
        CHECK(ended.session.has_value());
        const auto* const thrown = std::get_if<std::exception_ptr>(&ended.app);
        REQUIRE(thrown != nullptr);
        CHECK_THROWS_AS(std::rethrow_exception(*thrown), std::runtime_error);
        CHECK_FALSE(knows_session(f.servers(), 0, zk.session().id));
        const auto seen = co_await f.observer().exists("/e");
        ok(seen);
        CHECK_FALSE(seen->has_value());

        bool rethrown = false;
        try {
            auto supervising = supervise(zk, throw_something);
            (void)co_await std::move(supervising);
        } catch (const std::runtime_error&) {
            rethrown = true;
        }
        CHECK(rethrown);
        CHECK_FALSE(knows_session(f.servers(), 0, zk.session().id));
    });
}

TEST_CASE("an error of the application is its result, not the session's", "[supervise]")
{
    fixture f;
    f.run([&]() -> task<> {
        const client zk = f.make(f.settings());
        auto holding = hold(zk, fail_with_an_answer);
        const auto ended = co_await std::move(holding);
        CHECK(ended.session.has_value());
        const auto* const app = std::get_if<result<void>>(&ended.app);
        REQUIRE(app != nullptr);
        CHECK(code_of(*app) == errc::no_node);
        auto supervising = supervise(zk, fail_with_an_answer);
        const auto answer = co_await std::move(supervising);
        CHECK(code_of(answer) == errc::no_node);
    });
}

TEST_CASE("a held session that expires ends its application, with the reason", "[supervise][S11]")
{
    fixture f;
    f.run([&]() -> task<> {
        const client zk = f.make(f.settings());
        std::optional<errc> heard;
        const auto app = [&](client held_one) -> task<result<void>> {
            auto watching = held_one.get_and_watch("/");
            const auto seen = co_await std::move(watching);
            ok(seen);
            co_await expire(f, held_one);
            auto next = seen->watch.next();
            const auto event = co_await std::move(next);
            heard = code_of(event);
            // The handle belongs to the session that is over, and says so for ever.
            auto again = held_one.get("/");
            const auto later = co_await std::move(again);
            CHECK(code_of(later) == errc::session_expired);
            co_return success();
        };
        auto holding = hold(zk, app);
        const auto ended = co_await std::move(holding);
        CHECK(code_of(ended.session) == errc::session_expired);
        REQUIRE(heard);
        CHECK(*heard == errc::session_expired);
    });
}

TEST_CASE("supervise makes a new session after an expiry, and the ephemeral is there again",
          "[supervise][S11]")
{
    fixture f;
    f.run([&]() -> task<> {
        const client zk = f.make(f.settings());
        std::vector<std::int64_t> ids;
        const auto app = [&](client mine) -> task<result<std::size_t>> {
            auto create = mine.create("/member", "", create_mode::ephemeral);
            const auto made = co_await std::move(create);
            ok(made);
            ids.push_back(mine.session().id);
            auto look = f.observer().exists("/member");
            const auto seen = co_await std::move(look);
            REQUIRE((seen && seen->has_value()));
            CHECK((*seen)->ephemeral_owner == mine.session().id);
            if (ids.size() < 3) {
                co_await expire(f, mine);
                auto forever = mine.sleep_for(1h);
                (void)co_await std::move(forever);  // until the session's end cancels it
            }
            co_return ids.size();
        };
        auto supervising = supervise(zk, app, back_off(10ms, 100ms));
        const auto rounds = co_await std::move(supervising);
        ok(rounds);
        CHECK(rounds.value() == 3);
        CHECK(std::set<std::int64_t>(ids.begin(), ids.end()).size() == 3);
        const auto gone = co_await f.observer().exists("/member");
        ok(gone);
        CHECK_FALSE(gone->has_value());
    });
}

TEST_CASE("one switch without a default branch drives a client through everything",
          "[supervise][S29]")
{
    fixture f;
    f.run([&]() -> task<> {
        // By hand, what supervise does: wait, rebuild or handle, and nothing else.
        const client zk = f.make(f.settings());
        options strict;
        strict.fail_fast = true;
        const client impatient = zk.with(strict);
        session now(zk);
        now.run();
        int waited = 0;
        int rebuilt = 0;
        int handled = 0;
        bool done = false;
        while (!done) {
            auto create = impatient.create("/e", "", create_mode::ephemeral);
            const auto made = co_await std::move(create);
            if (made && rebuilt == 0) {
                co_await expire(f, zk);
                co_await f.until([&] { return now.is_over(); }, "the expiry");
                continue;
            }
            if (made) {
                continue;  // the next time it exists
            }
            switch (step_after(made.error())) {
            case next_step::wait:
                ++waited;
                co_await f.sleep(10ms);
                break;
            case next_step::rebuild:
                ++rebuilt;
                now = session(zk);
                now.run();
                break;
            case next_step::handle:
                ++handled;
                CHECK(made.error() == errc::node_exists);
                done = true;
                break;
            }
        }
        CHECK(waited > 0);
        CHECK(rebuilt == 1);
        CHECK(handled == 1);
        ok(co_await zk.close());
    });
}

}  // namespace coati::test
