// What a result can be made of, what it gives back, and what must not compile.

#include <coati/result.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using coati::errc;
using coati::error;
using coati::result;

namespace {

struct record {
    std::string data;
    int version = 0;
};

// What `return {}` needs; with std::expected it would mean success.
template <class T>
void takes(T);
template <class T>
concept made_from_empty_braces = requires { takes<T>({}); };

template <class T, class U>
concept converts_from = std::is_convertible_v<U, T>;

template <class A, class B>
concept comparable = requires(const A& a, const B& b) { a == b; };

template <class T>
concept has_arrow = requires(T& r) { r.operator->(); };

template <class T>
constexpr bool holds =
    std::is_default_constructible_v<result<T>> &&
    std::is_nothrow_default_constructible_v<result<T>> && !made_from_empty_braces<result<T>> &&
    converts_from<result<T>, errc> && converts_from<result<T>, error>;

}  // namespace

TEST_CASE("a result holds every kind of value")
{
    STATIC_CHECK(holds<void>);
    STATIC_CHECK(holds<int>);
    STATIC_CHECK(holds<std::int64_t>);
    STATIC_CHECK(holds<double>);
    STATIC_CHECK(holds<std::string>);
    STATIC_CHECK(holds<std::vector<std::string>>);
    STATIC_CHECK(holds<std::optional<record>>);
    STATIC_CHECK(holds<record>);
    STATIC_CHECK(holds<std::tuple<int, std::string>>);
    STATIC_CHECK(holds<std::unique_ptr<int>>);
    STATIC_CHECK(converts_from<result<std::string>, const char*>);
    STATIC_CHECK(converts_from<result<int>, int>);
    STATIC_CHECK(converts_from<result<std::unique_ptr<int>>, std::unique_ptr<int>>);
    STATIC_CHECK(coati::is_result<result<int>>);
    STATIC_CHECK(!coati::is_result<int>);
}

TEST_CASE("what means something else than it says does not compile")
{
    STATIC_CHECK(!made_from_empty_braces<result<void>>);
    STATIC_CHECK(!made_from_empty_braces<result<int>>);
    // A bare code has no fate.
    STATIC_CHECK(!converts_from<result<void>, boost::system::error_code>);
    STATIC_CHECK(!converts_from<result<int>, boost::system::error_code>);
    STATIC_CHECK(!converts_from<result<int>, std::error_code>);
    STATIC_CHECK(!converts_from<bool, result<int>>);
    STATIC_CHECK(!converts_from<bool, result<void>>);
    STATIC_CHECK(!converts_from<result<void>, int>);
    STATIC_CHECK(!comparable<result<int>, int>);
    STATIC_CHECK(!comparable<result<int>, errc>);
    STATIC_CHECK(!has_arrow<result<void>>);
    STATIC_CHECK(has_arrow<result<int>>);
    STATIC_CHECK(std::is_constructible_v<bool, const result<int>&>);
}

TEST_CASE("a placeholder is a failure that nobody filled")
{
    const result<int> r{};
    CHECK(!r);
    CHECK(r.has_error());
    CHECK(r.error() == errc::no_result);
    const result<void> v{};
    CHECK(v.error() == errc::no_result);
}

TEST_CASE("success and failure")
{
    const result<std::string> text = "abc";
    REQUIRE(text);
    CHECK(*text == "abc");
    CHECK(text->size() == 3);
    CHECK(text.value() == "abc");

    const result<void> done = coati::success();
    CHECK(done.has_value());
    done.value();

    const result<std::string> missing = errc::no_node;
    CHECK(!missing);
    CHECK(missing.error() == errc::no_node);
    CHECK(missing.error().fate() == coati::fate::not_applied);

    const result<record> lost = error(errc::connection_loss, coati::fate::maybe_applied);
    CHECK(lost.error().fate() == coati::fate::maybe_applied);

    result<record> changing = record{"x", 1};
    changing->version = 2;
    CHECK((*changing).version == 2);
    changing = errc::bad_version;
    CHECK(changing.error() == errc::bad_version);
    changing = record{"y", 3};
    CHECK(changing->data == "y");
}

TEST_CASE("a value moves out")
{
    result<std::unique_ptr<int>> r = std::make_unique<int>(7);
    const std::unique_ptr<int> taken = *std::move(r);
    REQUIRE(taken != nullptr);
    CHECK(*taken == 7);
    CHECK(*r == nullptr);

    result<std::string> s = std::string(100, 'x');
    const std::string moved = std::move(s).value();
    CHECK(moved.size() == 100);
}

TEST_CASE("value of a failure throws the whole error")
{
    const result<int> r = error(errc::not_empty).with_op_index(4);
    try {
        static_cast<void>(r.value());
        FAIL("no exception");
    } catch (const coati::exception& e) {
        CHECK(e.error() == error(errc::not_empty).with_op_index(4));
        CHECK(e.code() == errc::not_empty);
    }
    const result<void> v = errc::cancelled;
    CHECK_THROWS_AS(v.value(), coati::exception);
    CHECK_THROWS_AS(v.value(), boost::system::system_error);
    CHECK_NOTHROW(result<void>(coati::success()).value());
}

TEST_CASE("an error passes from one result to another")
{
    const auto inner = []() -> result<int> { return errc::no_auth; };
    const auto outer = [&]() -> result<std::string> {
        BOOST_OUTCOME_TRY(const int number, inner());
        return std::to_string(number);
    };
    CHECK(outer().error() == errc::no_auth);
    const auto nothing = [&]() -> result<void> {
        BOOST_OUTCOME_TRYV(inner());
        return coati::success();
    };
    CHECK(nothing().error() == errc::no_auth);
}

TEST_CASE("a result is small")
{
    STATIC_CHECK(sizeof(result<void>) <= 32);
    STATIC_CHECK(sizeof(result<int>) <= 32);
    STATIC_CHECK(std::is_nothrow_move_constructible_v<result<std::string>>);
}
