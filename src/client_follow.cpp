// A znode's value as a stream: read and watch in one request, wait, and again.
//
// By one-shot watches: a server fires those after a reconnect for what changed meanwhile, so there
// is no gap to be cared for.

#include "client_composed.hpp"
#include "client_one_reader.hpp"

#include <coati/follow.hpp>

#include <utility>

namespace coati {

namespace detail {

class follow_state {
public:
    follow_state(client of, std::string where) : zk(std::move(of)), path(std::move(where)) {}

    client zk;
    std::string path;
    std::optional<followed> given;  // last
    std::optional<watch> armed;     // by the read that gave it
    bool is_waited_for = false;
    bool is_dropped = false;
};

namespace {

/// Reads the value as it is, missing or not, and leaves a watch for its next change.
asio::awaitable<result<followed>> read_and_arm(std::shared_ptr<follow_state> state)
{
    for (;;) {
        auto read = state->zk.get_and_watch(state->path);
        result<watched_data> seen = co_await std::move(read);
        if (seen) {
            state->armed = std::move(seen->watch);
            result<followed> now(std::in_place_type<followed>);
            now->data = std::move(seen->data);
            now->is_null = seen->is_null;
            now->stat = seen->stat;
            now->zxid = seen->zxid;
            co_return now;
        }
        if (seen.error() != errc::no_node) {
            co_return seen.error();
        }
        auto look = state->zk.exists_and_watch(state->path);
        result<watched_existence> there = co_await std::move(look);
        if (!there) {
            co_return there.error();
        }
        if (!there->stat) {
            state->armed = std::move(there->watch);
            result<followed> now(std::in_place_type<followed>);
            now->zxid = there->zxid;
            co_return now;
        }
        // It was created between the two: once more.
    }
}

bool is_same(const followed& a, const followed& b) noexcept
{
    if (!a.stat || !b.stat) {
        return a.exists() == b.exists();
    }
    return a.stat->mzxid == b.stat->mzxid && a.stat->czxid == b.stat->czxid;
}

asio::awaitable<result<followed>> next_value(std::shared_ptr<follow_state> state)
{
    if (state->is_waited_for) {
        co_return error(errc::already_waiting);
    }
    const one_reader mine(state);
    for (;;) {
        if (state->armed) {
            auto change = state->armed->next();
            const result<event> told = co_await std::move(change);
            if (!told && (told.error() == errc::cancelled || told.error() == errc::timed_out)) {
                co_return told.error();  // it is still armed
            }
            state->armed.reset();
            if (!told) {
                co_return told.error();
            }
        }
        auto reading = read_and_arm(state);
        result<followed> now = co_await std::move(reading);
        if (state->is_dropped) {
            state->armed.reset();
            co_return error(errc::cancelled);
        }
        if (!now) {
            co_return now;
        }
        if (!state->given || !is_same(*state->given, *now)) {
            state->given = *now;
            co_return now;
        }
    }
}

/// Ends the wait, by the watch that it waits for.
void drop_here(follow_state& state)
{
    state.is_dropped = true;
    const auto gone = std::exchange(state.armed, std::nullopt);
}

void drop(std::shared_ptr<follow_state>&& state) noexcept
{
    if (!state) {
        return;
    }
    const scope_ptr owner = state->zk.scope();
    engine& core = *owner->core;
    if (core.on_executor()) {
        drop_here(*state);
        return;
    }
    asio::post(core.executor(), [state = std::move(state)] { drop_here(*state); });
}

}  // namespace

}  // namespace detail

value_stream& value_stream::operator=(value_stream&& other) noexcept
{
    if (this != &other) {
        detail::drop(std::exchange(state_, std::move(other.state_)));
    }
    return *this;
}

value_stream::~value_stream()
{
    detail::drop(std::move(state_));
}

value_stream follow(const client& zk, std::string path)
{
    return value_stream(std::make_shared<detail::follow_state>(zk, std::move(path)));
}

operation<followed> value_stream::next() const
{
    return compose<followed>(state_->zk, errc{0},
                             [state = state_](const client&) { return detail::next_value(state); });
}

}  // namespace coati
