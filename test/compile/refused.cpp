// What must not compile, or must warn. Not part of any program: refused.py compiles it, and
// compares what the compiler says, line by line, with the comments. Without REFUSED it has to be
// clean.

#include <coati/convenience.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <utility>

namespace asio = boost::asio;
using coati::result;

asio::awaitable<void> with_a_name(coati::client zk, std::string text)
{
    auto body = [text](coati::client) -> asio::awaitable<result<int>> { co_return 1; };
    const auto held = co_await coati::hold(zk, body);
    const auto answer = co_await coati::supervise(zk, body);
    auto change = [text](const std::string&) { return std::optional<coati::data>(text); };
    const auto updated = co_await coati::update(zk, "/a", change);
    static_cast<void>(updated);
    static_cast<void>(held.session);
    static_cast<void>(answer);
#ifdef REFUSED
    static_cast<void>(coati::hold(  // error: give this lambda a name first
        zk, [text](coati::client) -> asio::awaitable<result<int>> { co_return 1; }));
    static_cast<void>(coati::supervise(  // error: give this lambda a name first
        zk, [text](coati::client) -> asio::awaitable<result<int>> { co_return 1; }));
    static_cast<void>(coati::hold(zk, std::move(body)));  // error: give this lambda a name first
    static_cast<void>(coati::update(                      // error: give this lambda a name first
        zk, "/a", [text](const std::string&) { return std::optional<coati::data>(text); }));
#endif
}

void never_sent(const coati::client& zk)
{
    auto stored = zk.get("/a");
    static_cast<void>(std::move(stored));
#ifdef REFUSED
    zk.get("/a");                     // warning: nodiscard
    zk.close();                       // warning: nodiscard
    zk.multi(coati::op::check("/"));  // warning: nodiscard
    zk.get("/a").within({});          // warning: nodiscard
    zk.within({}, zk.get("/a"));      // warning: nodiscard
#endif
}

void null_has_a_name(const coati::client& zk)
{
    static_cast<void>(zk.create("/a", coati::null_data));
#ifdef REFUSED
    static_cast<void>(zk.create("/a", nullptr));         // error: deleted
    static_cast<void>(zk.set("/a", nullptr));            // error: deleted
    static_cast<void>(coati::op::set("/a", nullptr));    // error: deleted
    static_cast<void>(coati::op::create("/", nullptr));  // error: deleted
#endif
}

void owned_once(coati::watch watch, coati::state_stream states)
{
    const coati::watch other = std::move(watch);
    const coati::state_stream more = std::move(states);
#ifdef REFUSED
    const coati::watch second = other;       // error: deleted|copy constructor
    const coati::state_stream third = more;  // error: deleted|copy constructor
#endif
}

void nothing_but_operations(const coati::client& zk)
{
    static_cast<void>(zk.multi(coati::op::check("/a"), coati::op::remove("/b")));
    zk.get("/a")([](const result<coati::get_result>&) {});
#ifdef REFUSED
    static_cast<void>(zk.multi(1, 2));             // error: no matching
    zk.get("/a")(42);                              // error: no match|constraints
    zk.get("/a")([](const std::string&) {});       // error: no match|constraints
    static_cast<void>(zk.set("/a", "x", -1, -1));  // error: no matching|too many
#endif
}

result<void> success_has_a_name()
{
    return coati::success();
}

#ifdef REFUSED
result<void> empty_braces()
{
    return {};  // error: explicit
}
result<std::string> empty_braces_of_a_string()
{
    return {};  // error: explicit
}
result<result<int>> nested();                     // fine until it is asked for
using nested_value = decltype(nested().value());  // error: a result of a result
bool is_success(const result<int>& r)
{
    return r;  // error: convert|conversion
}
#endif
