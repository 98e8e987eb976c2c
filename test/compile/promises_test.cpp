// What the public types promise: safe as parameters of a coroutine on GCC 12.2, move-only where
// they own something, no result that a string could become. What must not compile is in
// refused.cpp.

#include <coati/convenience.hpp>
#include <coati/follow.hpp>
#include <coati/subtree.hpp>
#include <coati/supervise.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace {

namespace asio = boost::asio;
using coati::co_await_safe;

// --- parameters ----------------------------------------------------------------------------------

template <class T>
inline constexpr bool is_operation = false;
template <class T>
inline constexpr bool is_operation<coati::operation<T>> = true;

template <class R>
constexpr bool is_honest()
{
    // A result<bool> could be made of a string literal, and `if (r)` would ask the wrong question.
    if constexpr (is_operation<R>) {
        return !std::is_same_v<typename R::value_type, bool>;
    } else {
        return !std::is_same_v<R, coati::result<bool>>;
    }
}

struct method {
    const char* name;
    bool is_safe;
};

/// What the compiler knows of a method: no list of types that could be forgotten.
template <class R, class C, class... P>
constexpr method look_at(const char* name, R (C::*)(P...) const)
{
    return {name, is_honest<R>() && (co_await_safe<std::remove_cvref_t<P>> && ...)};
}
template <class R, class C, class... P>
constexpr method look_at(const char* name, R (C::*)(P...) const noexcept)
{
    return {name, is_honest<R>() && (co_await_safe<std::remove_cvref_t<P>> && ...)};
}

using coati::client;
using coati::multi_results;
using coati::operation;
using a_multi = coati::multi_result<coati::op::create, coati::op::check>;
using a_multi_read = coati::multi_read_result<coati::op::get, coati::op::children>;

// Every method of a handle. One that is missing here fails the test below.
constexpr method methods[] = {
    look_at("run", &client::run),
    look_at("close", &client::close),
    look_at("detach", &client::detach),
    look_at("set_servers", &client::set_servers),
    look_at("follow_ensemble", &client::follow_ensemble),
    look_at("add_auth", &client::add_auth),
    look_at("connected", &client::connected),
    look_at("states", &client::states),
    look_at("session", &client::session),
    look_at("credentials", &client::credentials),
    look_at("negotiated_timeout", &client::negotiated_timeout),
    look_at("is_connected", &client::is_connected),
    look_at("last_attempts", &client::last_attempts),
    look_at("get", &client::get),
    look_at("get_and_watch", &client::get_and_watch),
    look_at("exists", &client::exists),
    look_at("exists_and_watch", &client::exists_and_watch),
    look_at("children", &client::children),
    look_at("children_and_watch", &client::children_and_watch),
    look_at("sync", &client::sync),
    look_at("create_with_stat", &client::create_with_stat),
    look_at("create_with_ttl", &client::create_with_ttl),
    look_at("watch", &client::watch),
    look_at("live_watches", &client::live_watches),
    look_at("create", &client::create),
    look_at("set", &client::set),
    look_at("remove", &client::remove),
    look_at("multi",
            static_cast<operation<a_multi> (client::*)(coati::op::create, coati::op::check) const>(
                &client::multi)),
    look_at("multi",
            static_cast<operation<multi_results> (client::*)(std::vector<coati::any_op>) const>(
                &client::multi)),
    look_at(
        "multi_read",
        static_cast<operation<a_multi_read> (client::*)(coati::op::get, coati::op::children) const>(
            &client::multi_read)),
    look_at("multi_read", static_cast<operation<coati::multi_read_results> (client::*)(
                              std::vector<coati::any_read_op>) const>(&client::multi_read)),
    look_at("check", &client::check),
    look_at("get_acl", &client::get_acl),
    look_at("set_acl", &client::set_acl),
    look_at("who_am_i", &client::who_am_i),
    look_at("get_ephemerals", &client::get_ephemerals),
    look_at("count_descendants", &client::count_descendants),
    look_at("get_config", &client::get_config),
    look_at("get_config_and_watch", &client::get_config_and_watch),
    look_at("reconfig", &client::reconfig),
    look_at("sleep_for", &client::sleep_for),
    look_at("lease_runs_out", &client::lease_runs_out),
    look_at("proved_until", &client::proved_until),
    look_at("pinned", &client::pinned),
    look_at("is_pinned", &client::is_pinned),
    look_at("now", &client::now),
    look_at("within", &client::within<coati::get_result>),
    look_at("chroot", static_cast<client (client::*)(std::string) const>(&client::chroot)),
    look_at("chroot",
            static_cast<const std::string& (client::*)() const noexcept>(&client::chroot)),
    look_at("with", &client::with),
    look_at("with_default_acls", &client::with_default_acls),
    look_at("get_executor", &client::get_executor),
    look_at("scope", &client::scope),
};

constexpr bool all_safe()
{
    for (const method& each : methods) {
        if (!each.is_safe) {
            return false;
        }
    }
    return true;
}
static_assert(all_safe());
static_assert(look_at("next", &coati::watch::next).is_safe);
static_assert(look_at("next", &coati::state_stream::next).is_safe);
static_assert(look_at("next", &coati::watch_stream::next).is_safe);
static_assert(look_at("next", &coati::value_stream::next).is_safe);

// Constructors cannot be asked: what they take stands here, beside the types themselves.
template <class... T>
inline constexpr bool safe = (co_await_safe<T> && ...);
static_assert(safe<coati::op::create, coati::op::create_with_stat, coati::op::create_with_ttl,
                   coati::op::set, coati::op::remove, coati::op::check>);
static_assert(std::variant_size_v<coati::any_op> == 6, "add the new one to the line above");
static_assert(safe<coati::op::get, coati::op::children>);
static_assert(std::variant_size_v<coati::any_read_op> == 2, "add the new one to the line above");
static_assert(safe<coati::any_op, std::vector<coati::any_op>, coati::any_read_op,
                   std::vector<coati::any_read_op>>);
static_assert(safe<coati::peer_address, coati::ensemble_member, coati::membership_change,
                   std::vector<coati::ensemble_member>>);
static_assert(safe<std::string, coati::data, coati::create_mode, coati::acls, coati::acl,
                   coati::perms, std::optional<std::int32_t>, std::optional<coati::acls>>);
static_assert(safe<asio::any_io_executor, coati::serial, coati::config, coati::options, client,
                   std::shared_ptr<coati::transport>, coati::session_credentials>);
static_assert(safe<coati::remove_options, coati::update_options, coati::tree_walk, coati::walked>);
static_assert(safe<coati::back_off, coati::duration, std::chrono::milliseconds>);
static_assert(safe<coati::operation<void>, coati::operation<coati::get_result>>);
// What a user may well pass on to a coroutine of his own.
static_assert(safe<coati::error, coati::event, coati::endpoint, coati::watch, coati::state_stream,
                   coati::state_change, coati::attempt, coati::session_info, coati::watch_stream,
                   coati::stream_event, coati::live_watch, coati::stream_options, coati::followed,
                   coati::value_stream>);
static_assert(safe<coati::result<void>, coati::result<std::string>>);

// The concept itself knows what is dangerous.
struct dangerous {
    std::string text;
    int number = 0;
};
static_assert(!co_await_safe<dangerous>);
static_assert(!co_await_safe<std::array<std::string, 2>>);

// --- ownership -----------------------------------------------------------------------------------

template <class T>
inline constexpr bool is_move_only =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;
static_assert(is_move_only<coati::watch>);
static_assert(is_move_only<coati::state_stream>);
static_assert(is_move_only<coati::tree_walk>);
static_assert(is_move_only<coati::watch_stream>);
static_assert(is_move_only<coati::value_stream>);
static_assert(std::is_move_constructible_v<coati::watched_data> &&
              !std::is_copy_constructible_v<coati::watched_data>);

static_assert(std::is_copy_constructible_v<client> && sizeof(client) == sizeof(void*) * 2);
static_assert(std::is_copy_constructible_v<operation<void>>);
static_assert(!std::is_convertible_v<asio::any_io_executor, coati::serial>,
              "a promise is explicit");

// `hold` and `supervise` take what cannot be destroyed twice: see refused.cpp for what they refuse.
asio::awaitable<coati::result<int>> application(client)
{
    co_return 1;
}
[[maybe_unused]] void takes_safe_bodies(const client& zk)
{
    int seen = 0;
    auto named = [&seen, text = std::string("x")](client) -> asio::awaitable<coati::result<int>> {
        co_return ++seen + static_cast<int>(text.size());
    };
    static_cast<void>(coati::hold(zk, application));
    static_cast<void>(coati::hold(zk, named));
    static_cast<void>(coati::hold(zk, std::as_const(named)));
    static_cast<void>(coati::hold(
        zk, [&seen](client) -> asio::awaitable<coati::result<int>> { co_return ++seen; }));
    static_cast<void>(coati::supervise(zk, application));
    static_cast<void>(coati::supervise(zk, named, coati::back_off()));
}

// --- the bug that these promises are about -------------------------------------------------------

/// Counts itself: being destroyed twice is seen without touching freed memory.
class counted {
public:
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    counted& operator=(const counted&) = default;
    ~counted() { --alive; }

    static inline int alive = 0;
};

struct aggregate {
    counted inner;
    int number = 0;
};
class with_constructor {
public:
    with_constructor() = default;
    counted inner;
    int number = 0;
};
static_assert(!co_await_safe<aggregate> && co_await_safe<with_constructor>);

template <class T>
asio::awaitable<int> takes(T what)
{
    co_await asio::post(asio::deferred);
    co_return what.number;
}

int left_over_from(asio::awaitable<void> body)
{
    counted::alive = 0;
    asio::io_context context;
    asio::co_spawn(context, std::move(body), asio::detached);
    context.run();
    return counted::alive;
}

asio::awaitable<void> braced_aggregate()
{
    co_await takes<aggregate>({.inner = {}, .number = 1});
}
asio::awaitable<void> named_aggregate()
{
    aggregate named{.inner = {}, .number = 1};
    co_await takes(std::move(named));
}
asio::awaitable<void> braced_class()
{
    co_await takes<with_constructor>({});
}
asio::awaitable<void> temporary_class()
{
    co_await takes(with_constructor());
}

std::string text_of(const std::string& header)
{
    std::ifstream in(std::string(COATI_TEST_DIR) + "/../include/coati/" + header);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("every method of a handle is among those that are checked", "[promises]")
{
    std::string text = text_of("client.hpp");
    text = text.substr(text.find("\nclass client {"));
    text = text.substr(0, text.find("\nprivate:"));
    std::set<std::string> declared;
    const std::regex declaration(R"(\n    (?:[\w:<>,.&]+ )+(\w+)\()");
    for (auto it = std::sregex_iterator(text.begin(), text.end(), declaration);
         it != std::sregex_iterator(); ++it) {
        declared.insert((*it)[1]);
    }
    declared.erase("client");
    std::set<std::string> checked;
    for (const method& each : methods) {
        checked.insert(each.name);
    }
    CHECK(declared == checked);
}

TEST_CASE("a parameter with a constructor is destroyed once, as the rule says", "[promises]")
{
    // GCC 12.2 destroys an aggregate temporary inside a co_await expression twice (a double free,
    // if the member is a string). Hence the concept co_await_safe. Who meets this warning may have
    // a compiler that has no need of the rule any more.
    if (const int left = left_over_from(braced_aggregate()); left == 0) {
        WARN("this compiler is right about aggregates in co_await expressions");
    } else {
        CHECK(left == -1);
    }
    CHECK(left_over_from(named_aggregate()) == 0);
    CHECK(left_over_from(braced_class()) == 0);
    CHECK(left_over_from(temporary_class()) == 0);
}

namespace {

/// Takes each of our types in a coroutine, as a user's own function would.
asio::awaitable<std::size_t> take_all(coati::acls who, coati::data bytes, coati::event seen,
                                      coati::endpoint where, coati::config how,
                                      std::vector<coati::any_op> ops, coati::op::create one)
{
    co_await asio::post(asio::deferred);
    static_cast<void>(one);
    co_return who.entries().size() + bytes.bytes().size() + seen.path.size() +
        where.address.size() + how.servers.size() + ops.size();
}

asio::awaitable<void> give_all(std::size_t& sum)
{
    const std::string fifty(50, 'x');
    using coati::acl;
    using coati::perms;
    sum = co_await take_all(
        coati::acls(acl(perms::all, fifty, fifty), acl(perms::read, fifty, fifty)), fifty,
        {coati::event_type::created, fifty, 1}, {fifty, 2181, fifty}, coati::config(),
        std::vector<coati::any_op>(3, coati::op::set(fifty, fifty)),
        coati::op::create(fifty, fifty, coati::create_mode::ephemeral,
                          coati::acls(acl(perms::all, fifty, fifty))));
}

}  // namespace

TEST_CASE("our types survive as temporaries in a co_await expression", "[promises]")
{
    std::size_t sum = 0;
    asio::io_context context;
    asio::co_spawn(context, give_all(sum), asio::detached);
    context.run();
    CHECK(sum == 2 + 50 + 50 + 50 + 0 + 3);
}
