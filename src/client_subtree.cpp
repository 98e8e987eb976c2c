// Walking a subtree and removing one: depth first, with a bounded number of requests at a time.

#include "client_composed.hpp"

#include <coati/subtree.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>
#include <deque>
#include <iterator>

namespace coati {

namespace {

using detail::compose;
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

/// The last of `paths` as multis, as many as may be under way, and no larger than one may be.
std::vector<operation<multi_results>> take_batches(const client& zk,
                                                   std::vector<std::string>& paths,
                                                   std::vector<std::size_t>& sizes,
                                                   const remove_options& how)
{
    constexpr std::size_t around = 32;  // what a path has around it in a multi, and some
    const std::size_t most = zk.scope()->core->settings().max_request / 2;
    std::vector<operation<multi_results>> batches;
    while (!paths.empty() && batches.size() < std::max<std::size_t>(how.in_flight, 1)) {
        std::vector<any_op> ops;
        std::size_t bytes = 0;
        while (!paths.empty() && ops.size() < std::max<std::size_t>(how.batch, 1) &&
               (ops.empty() || bytes < most)) {
            bytes += zk.chroot().size() + paths.back().size() + around;
            ops.push_back(op::remove(std::move(paths.back())));
            paths.pop_back();
        }
        sizes.push_back(ops.size());
        batches.push_back(zk.multi(std::move(ops)));
    }
    return batches;
}

/// Somebody else was here between the listing and the removal: look again.
bool is_interference(const error& e) noexcept
{
    return e == errc::not_empty || e == errc::no_node;
}

/// One pass over what was listed: the number of znodes removed so far. `interfered` is what others
/// have made of it.
awaitable<result<std::size_t>> remove_listed(client zk, std::vector<std::string> paths,
                                             remove_options how, std::size_t removed,
                                             std::shared_ptr<std::optional<error>> interfered)
{
    while (!paths.empty() && !*interfered) {
        std::vector<std::size_t> sizes;
        auto batches = together(take_batches(zk, paths, sizes, how));
        const auto done = co_await std::move(batches);
        std::optional<error> failed;
        for (std::size_t i = 0; i < done.size(); ++i) {
            if (done[i]) {
                removed += sizes[i];
            } else if (is_interference(done[i].error())) {
                *interfered = done[i].error();
            } else if (!failed) {
                failed = done[i].error().with_op_index(-1);
            }
        }
        if (how.progress) {
            how.progress(removed);
        }
        if (failed) {
            co_return *failed;
        }
    }
    co_return removed;
}

awaitable<result<std::size_t>> remove_all(client zk, std::string path, remove_options how)
{
    constexpr int most_rounds = 100;
    std::size_t removed = 0;
    auto interfered = std::make_shared<std::optional<error>>();
    for (int round = 0; round < most_rounds; ++round) {
        auto listing = list_subtree(zk, path, how.in_flight);
        auto listed = co_await std::move(listing);
        if (!listed) {
            co_return listed.error();
        }
        if (how.keep_root && !listed->empty()) {
            listed->erase(listed->begin());
        }
        interfered->reset();
        auto pass = remove_listed(zk, std::move(*listed), how, removed, interfered);
        const result<std::size_t> done = co_await std::move(pass);
        if (!done) {
            co_return done.error();
        }
        removed = *done;
        if (!*interfered) {
            co_return removed;
        }
    }
    co_return error(errc::not_empty);
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
        return remove_all(through, path, how);
    });
}

}  // namespace coati
