// Requests that the server may not know are held back, with everything behind them.

#include "exchange_bench.hpp"

#include <coati/protocol/abilities.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace coati_test;
using coati::protocol::abilities;
using coati::protocol::knowledge;
using coati::wire::server_version;

namespace {

/// A bench whose exchange asks what the server can do, with a request in the middle that it may
/// not know.
class choosy_bench : public bench {
public:
    choosy_bench()
    {
        server.on_connected("a");
        talk.consult(&server);
        submit(1, op_code::exists, false, "one");
        submit(2, op_code::who_am_i, false, {});
        submit(3, op_code::exists, false, "three");
    }

    abilities server;
};

}  // namespace

TEST_CASE("what must be asked holds itself and all behind it", "[T54]")
{
    choosy_bench at;
    CHECK(at.talk.of_next() == knowledge::known);
    CHECK(at.send().size() == 1);
    CHECK(at.talk.of_next() == knowledge::ask);
    CHECK(at.send().empty());
    at.talk.queue_ping();
    CHECK(at.send().size() == 1);

    at.server.on_version(server_version(3, 7, 0));
    const auto rest = at.send();
    REQUIRE(rest.size() == 2);
    CHECK(rest[0].op == op_code::who_am_i);
    CHECK(rest[1].op == op_code::exists);
}

TEST_CASE("what is not known fails at its turn, unsent, and what is behind it goes", "[T54]")
{
    choosy_bench at;
    at.server.on_version(server_version(3, 6, 0));
    CHECK(at.send().size() == 1);
    CHECK(at.talk.of_next() == knowledge::unknown);
    at.talk.refuse_next();
    CHECK(at.ended() == endings{failed(2, errc::unimplemented, fate::not_sent)});
    CHECK(at.talk.of_next() == knowledge::known);
    const auto rest = at.send();
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].xid == 2);
}

TEST_CASE("a request that was abandoned while it waited is asked about no more", "[T54]")
{
    choosy_bench at;
    CHECK(at.send().size() == 1);
    at.talk.abandon(2, errc::cancelled);
    CHECK(at.talk.of_next() == knowledge::known);
    CHECK(at.send().size() == 1);
    CHECK(at.talk.of_next() == knowledge::known);
}

TEST_CASE("the last reply's refusal is remembered until the next", "[T54]")
{
    bench at;
    at.submit(1, op_code::who_am_i, false, {});
    at.read(2);
    at.send();
    CHECK_FALSE(at.talk.refused_last());
    CHECK(at.receive(reply_of(1, -1, -6)) == std::nullopt);
    CHECK(at.talk.refused_last() == op_code::who_am_i);
    CHECK(at.receive(reply_of(2, 1)) == std::nullopt);
    CHECK_FALSE(at.talk.refused_last());
}
