// Walking a subtree and removing one: depth first, with a bounded number of requests at a time.

#include "client_composed.hpp"

#include <coati/subtree.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>
#include <deque>
#include <iterator>
#include <set>

namespace coati {

namespace {

using detail::telling_doubt;
using detail::together;
using detail::asio::awaitable;

std::string child_of(const std::string& parent, const std::string& name)
{
    return (parent == "/" ? parent : parent + "/") + name;
}

}  // namespace

// --- walking

namespace detail {

/// What is between two calls of next(): znodes that were listed, and znodes to be listed.
class walk_state {
public:
    walk_state(const client& through, std::string from, std::size_t at_once)
        : zk(through), width(std::max<std::size_t>(at_once, 1))
    {
        ahead.push_back(std::move(from));
    }

    client zk;
    std::size_t width;
    std::deque<result<walked>> ready;
    std::vector<std::string> ahead;  // a stack
    bool is_waiting = false;
};

namespace {

/// Lists the next few znodes at once. Depth first, more or less: what waits to be listed are the
/// siblings on the way down, not a whole level of the tree.
asio::awaitable<void> list_more(std::shared_ptr<walk_state> walk)
{
    std::vector<std::string> paths;
    std::vector<operation<children_result>> requests;
    while (!walk->ahead.empty() && paths.size() < walk->width) {
        requests.push_back(walk->zk.children(walk->ahead.back()));
        paths.push_back(std::move(walk->ahead.back()));
        walk->ahead.pop_back();
    }
    auto all = together(std::move(requests));
    auto listed = co_await std::move(all);
    for (std::size_t i = 0; i < listed.size(); ++i) {
        auto& each = listed[i];
        if (!each && each.error() == errc::cancelled) {
            walk->ahead.push_back(std::move(paths[i]));
        } else if (!each && each.error() != errc::no_node) {
            walk->ready.emplace_back(each.error());
        } else if (each) {
            walked at;
            at.path = std::move(paths[i]);
            at.stat = each->stat;
            at.names = std::move(each->names);
            for (const std::string& name : at.names) {
                walk->ahead.push_back(child_of(at.path, name));
            }
            walk->ready.emplace_back(std::move(at));
        }
    }
}

/// One reader at a time; also when it is cancelled.
class waiting_flag {
public:
    explicit waiting_flag(std::shared_ptr<walk_state> walk) : walk_(std::move(walk))
    {
        walk_->is_waiting = true;
    }
    waiting_flag(const waiting_flag&) = delete;
    waiting_flag& operator=(const waiting_flag&) = delete;
    ~waiting_flag() { walk_->is_waiting = false; }

private:
    std::shared_ptr<walk_state> walk_;
};

asio::awaitable<result<std::optional<walked>>> next_of(std::shared_ptr<walk_state> walk)
{
    if (walk->is_waiting) {
        co_return errc::already_waiting;
    }
    const waiting_flag here(walk);
    while (walk->ready.empty() && !walk->ahead.empty()) {
        auto more = list_more(walk);
        co_await std::move(more);
    }
    if (walk->ready.empty()) {
        co_return std::optional<walked>();
    }
    result<walked> first = std::move(walk->ready.front());
    walk->ready.pop_front();
    if (!first) {
        co_return first.error();
    }
    co_return std::optional<walked>(std::move(*first));
}

}  // namespace

}  // namespace detail

tree_walk::~tree_walk() = default;

operation<std::optional<walked>> tree_walk::next() const
{
    return compose<std::optional<walked>>(
        state_->zk, errc{0}, [state = state_](const client&) { return detail::next_of(state); });
}

tree_walk walk(const client& zk, std::string path, std::size_t width)
{
    return tree_walk(std::make_shared<detail::walk_state>(zk, std::move(path), width));
}

// --- removing

namespace {

/// Every path of a subtree, parents first.
awaitable<result<std::vector<std::string>>> list_subtree(client zk, std::string path,
                                                         std::size_t width)
{
    std::vector<std::string> all;
    auto steps = std::make_shared<detail::walk_state>(zk, path, width);
    for (;;) {
        auto step = detail::next_of(steps);
        result<std::optional<walked>> at = co_await std::move(step);
        if (!at) {
            co_return at.error();
        }
        if (!at->has_value()) {
            co_return all;
        }
        all.push_back(std::move((*at)->path));
    }
}

/// What a removal knows between its steps.
class removal {
public:
    /// The first listing, or another one: what was in doubt and is not there has been removed.
    void on_listed(const std::vector<std::string>& paths)
    {
        if (!in_doubt.empty()) {
            const std::set<std::string> there(paths.begin(), paths.end());
            removed +=
                std::erase_if(in_doubt, [&](const auto& each) { return !there.contains(each); });
        }
        interfered.reset();
        *is_in_doubt = !in_doubt.empty();
    }
    /// A batch was answered, or its answer was lost.
    void on_batch(const result<multi_results>& done, const std::vector<std::string>& paths)
    {
        if (done) {
            removed += paths.size();
            for (const std::string& each : paths) {
                in_doubt.erase(each);
            }
        } else if (detail::is_in_doubt(done.error())) {
            in_doubt.insert(paths.begin(), paths.end());
            interfered = done.error().with_op_index(-1);
        } else if (done.error() == errc::not_empty || done.error() == errc::no_node) {
            interfered = done.error();  // somebody else was here since the listing
        } else if (!failed) {
            failed = done.error().with_op_index(-1);
        }
        *is_in_doubt = !in_doubt.empty();
    }
    error told(const error& why) const
    {
        return in_doubt.empty() ? why : why.with_fate(fate::maybe_applied);
    }

    std::size_t removed = 0;
    std::set<std::string> in_doubt;
    std::shared_ptr<bool> is_in_doubt = std::make_shared<bool>(false);
    std::optional<error> interfered;  // look again
    std::optional<error> failed;
};

/// The last of `paths` as multis, as many as may be under way, and no larger than one may be; and
/// of each its paths.
std::vector<operation<multi_results>> take_batches(const client& zk,
                                                   std::vector<std::string>& paths,
                                                   std::vector<std::vector<std::string>>& taken,
                                                   const remove_options& how)
{
    constexpr std::size_t around = 32;  // what a path has around it in a multi, and some
    const std::size_t most = zk.scope()->core->settings().max_request / 2;
    std::vector<operation<multi_results>> batches;
    while (!paths.empty() && batches.size() < std::max<std::size_t>(how.in_flight, 1)) {
        std::vector<any_op> ops;
        std::vector<std::string>& names = taken.emplace_back();
        std::size_t bytes = 0;
        while (!paths.empty() && ops.size() < std::max<std::size_t>(how.batch, 1) &&
               (ops.empty() || bytes < most)) {
            bytes += zk.chroot().size() + paths.back().size() + around;
            names.push_back(std::move(paths.back()));
            paths.pop_back();
            ops.push_back(op::remove(names.back()));
        }
        batches.push_back(zk.multi(std::move(ops)));
    }
    return batches;
}

/// One pass over what was listed, until something fails or others have changed it.
awaitable<void> remove_listed(client zk, std::vector<std::string> paths, remove_options how,
                              std::shared_ptr<removal> state)
{
    while (!paths.empty() && !state->interfered && !state->failed) {
        std::vector<std::vector<std::string>> taken;
        auto batches = together(take_batches(zk, paths, taken, how));
        const auto done = co_await std::move(batches);
        for (std::size_t i = 0; i < done.size(); ++i) {
            state->on_batch(done[i], taken[i]);
        }
        if (how.progress) {
            how.progress(state->removed);
        }
    }
}

awaitable<result<std::size_t>> remove_all(client zk, std::string path, remove_options how,
                                          std::shared_ptr<removal> state)
{
    constexpr int most_rounds = 100;
    for (int round = 0; round < most_rounds; ++round) {
        auto listing = list_subtree(zk, path, how.in_flight);
        auto listed = co_await std::move(listing);
        if (!listed) {
            co_return state->told(listed.error());
        }
        if (how.keep_root && !listed->empty()) {
            listed->erase(listed->begin());
        }
        state->on_listed(*listed);
        auto pass = remove_listed(zk, std::move(*listed), how, state);
        co_await std::move(pass);
        if (state->failed) {
            co_return state->told(*state->failed);
        }
        if (!state->interfered) {
            co_return state->removed;
        }
    }
    co_return state->told(*state->interfered == errc::connection_loss ? *state->interfered
                                                                      : error(errc::not_empty));
}

errc check_removable(const client& zk, const std::string& path)
{
    if (wire::validate_path(path) != wire::path_error::none) {
        return errc::invalid_path;
    }
    const std::string full = wire::join_chroot(zk.chroot(), path);
    const bool is_system = full == "/zookeeper" || full.starts_with("/zookeeper/");
    return full == "/" || is_system ? errc::invalid_argument : errc{0};
}

}  // namespace

operation<std::size_t> remove_recursively(const client& zk, std::string path, remove_options how)
{
    return compose<std::size_t>(zk, check_removable(zk, path), [path, how](const client& through) {
        auto state = std::make_shared<removal>();
        return telling_doubt(state->is_in_doubt, remove_all(through, path, how, state));
    });
}

}  // namespace coati
