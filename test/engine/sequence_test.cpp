// Sequential znodes whose counter overflows. It is the parent's, an int32 that no request can set,
// and two thousand million creations are too many for any test: so a scripted server answers what
// real ones would, which print the counter by Java's "%010d".

#include "support.hpp"

#include <coati/convenience.hpp>
#include <coati/create_mode.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::create_mode;
using coati::wire::op_code;

/// The name that a server gives: "n-2147483647", then "n--2147483648".
std::string numbered(const std::string& prefix, std::int32_t counter)
{
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), "%010d", counter);
    return prefix + digits.data();
}

/// Creates the znodes of these counters in place of those that are asked for.
class old_parent {
public:
    old_parent(simulation& at, std::vector<std::int32_t> counters) : counters_(std::move(counters))
    {
        at.server(0).on_frame([this, &at](const frame_view& f) {
            if (f.direction == frame_view::way::request && f.op == op_code::create) {
                asked_ = f.path;
            }
            if (f.direction != frame_view::way::reply || f.op != op_code::create) {
                return verdict::pass();
            }
            // What was created with another number becomes what an old parent would have named.
            const std::string parent = asked_.substr(0, asked_.rfind('/'));
            for (const std::string& each : at.ensemble.children(parent)) {
                const std::string made = parent + "/" + each;
                if (!std::count(given.begin(), given.end(), made)) {
                    at.ensemble.remove(made);
                }
            }
            given.push_back(numbered(asked_, counters_.at(given.size())));
            at.ensemble.put(given.back(), "");
            std::string reply;
            const auto begin = coati::wire::open_frame(reply);
            coati::wire::encode(reply, coati::wire::reply_header{f.xid, at.ensemble.zxid(), 0});
            coati::wire::create::response body;
            body.path = given.back();
            coati::wire::encode(reply, body);
            coati::wire::close_frame(reply, begin);
            return verdict::replace(std::move(reply));
        });
    }

    std::vector<std::string> given;

private:
    std::vector<std::int32_t> counters_;
    std::string asked_;
};

}  // namespace

TEST_CASE("behind the last sequence number comes a negative one, and sequence_of reads both",
          "[sequence][T59]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/q", "");
    old_parent server(at, {2147483646, 2147483647, -2147483647 - 1, -2147483647});
    std::vector<std::int32_t> numbers;
    for (int i = 0; i < 4; ++i) {
        const auto made = at.ask(at.zk->create("/q/n-", "", create_mode::persistent_sequential));
        REQUIRE(made);
        CHECK(made->path == server.given.back());
        const auto number = coati::sequence_of(made->path, "/q/n-");
        REQUIRE(number);
        numbers.push_back(*number);
    }
    CHECK(server.given[1] == "/q/n-2147483647");
    CHECK(server.given[2] == "/q/n--2147483648");
    CHECK(numbers ==
          std::vector<std::int32_t>{2147483646, 2147483647, -2147483647 - 1, -2147483647});
    // The order of their creation is not that of the numbers, nor of the names: it is czxid.
    CHECK_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
    CHECK_FALSE(std::is_sorted(server.given.begin(), server.given.end()));
    const auto listed = at.ask(at.zk->children("/q"));
    REQUIRE(listed);
    std::vector<std::pair<std::int64_t, std::int32_t>> by_creation;
    for (const std::string& name : listed->names) {
        const auto seen = at.ask(at.zk->exists("/q/" + name));
        REQUIRE((seen && seen->has_value()));
        by_creation.emplace_back((*seen)->czxid, coati::sequence_of(name, "n-").value());
    }
    std::sort(by_creation.begin(), by_creation.end());
    REQUIRE(by_creation.size() == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        CHECK(by_creation[i].second == numbers[i]);
    }
}

TEST_CASE("a protected znode with a negative number is told from others like any",
          "[sequence][T59]")
{
    simulation at;
    at.connect();
    at.ensemble.put("/q", "");
    old_parent server(at, {-7});
    const std::string guid = coati::make_guid(*at.zk);
    const auto made = at.ask(
        coati::create_protected(*at.zk, "/q/n-", "", create_mode::persistent_sequential, {}, guid));
    REQUIRE(made);
    CHECK(coati::is_protected_by(made->path, guid));
    const std::string name = made->path.substr(made->path.rfind('/') + 1);
    CHECK(coati::unprotected(name) == "n--000000007");
    CHECK(coati::sequence_of(coati::unprotected(name), "n-") == -7);
}
