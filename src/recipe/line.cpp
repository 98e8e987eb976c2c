// Waiting in a line.

#include "line.hpp"
#include "sessions.hpp"

#include <coati/convenience.hpp>

#include <algorithm>
#include <utility>

namespace coati::detail {

namespace {

using boost::asio::awaitable;

/// Until that znode is gone. False: `until` is over.
awaitable<result<bool>> until_gone_or(client zk, std::string path, std::optional<time_point> until)
{
    BOOST_OUTCOME_CO_TRY(const auto seen, co_await zk.exists_and_watch(path));
    if (!seen.stat) {
        co_return true;
    }
    auto change = seen.watch.next();
    if (until) {
        change = std::move(change).within(*until - zk.now());
    }
    const auto told = co_await std::move(change);
    if (!told && told.error() == errc::timed_out) {
        co_return false;
    }
    if (!told) {
        co_return told.error();
    }
    co_return true;  // or its data changed: whoever looks sees it again
}

}  // namespace

std::vector<std::string> in_line(std::vector<std::string> names, std::string_view prefix)
{
    std::vector<std::pair<std::uint32_t, std::string>> line;
    line.reserve(names.size());
    for (std::string& name : names) {
        if (const auto number = sequence_of(unprotected(name), prefix)) {
            // The counter is signed and goes on behind its largest value; the line does as well.
            line.emplace_back(static_cast<std::uint32_t>(*number), std::move(name));
        }
    }
    std::sort(line.begin(), line.end());
    names.clear();
    for (auto& [number, name] : line) {
        names.push_back(std::move(name));
    }
    return names;
}

awaitable<result<void>> until_first(client zk, std::shared_ptr<claim> mine,
                                    std::optional<time_point> until)
{
    const std::string directory = mine->spec().directory;
    for (;;) {
        auto listed = co_await zk.children(directory);
        if (!listed && listed.error() != errc::no_node) {
            co_return listed.error();
        }
        const auto line = in_line(listed ? std::move(listed->names) : std::vector<std::string>(),
                                  mine->spec().name);
        const auto place = std::find(line.begin(), line.end(), mine->name());
        if (place == line.end()) {
            if (!mine->may_have_twins()) {
                mine->forget();
            }
            co_return errc::lock_lost;
        }
        for (const std::string& each : line) {
            if (is_protected_by(each, mine->guid()) && each != mine->name()) {
                BOOST_OUTCOME_CO_TRY(co_await remove_surely(zk, child_path(directory, each)));
            }
        }
        if (place == line.begin()) {
            co_return success();
        }
        if (until && *until <= zk.now()) {
            co_return errc::timed_out;
        }
        auto wait = until_gone_or(zk, child_path(directory, *std::prev(place)), until);
        BOOST_OUTCOME_CO_TRY(co_await std::move(wait));
    }
}

awaitable<result<std::shared_ptr<claim>>> reach_the_front(client zk, claim_spec spec,
                                                          std::optional<time_point> until)
{
    for (;;) {
        BOOST_OUTCOME_CO_TRY(const client session, co_await next_session(zk));
        const auto mine = std::make_shared<claim>(session, spec);
        auto making = mine->make();
        result<void> reached = co_await std::move(making);
        if (reached) {
            auto waiting = until_first(session.with({}), mine, until);
            reached = co_await std::move(waiting);
        }
        if (reached) {
            co_return mine;
        }
        const error why = reached.error();
        if (why != errc::lock_lost && !goes_on(zk, why)) {
            co_return why;
        }
    }
}

}  // namespace coati::detail
