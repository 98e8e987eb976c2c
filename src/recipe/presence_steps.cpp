// The steps of a presence: look at a znode, do one thing, look again.
//
// Knows nothing of sessions that come and go: `zk` is pinned, and its ending is an error like any.

#include "claim.hpp"
#include "presence_state.hpp"

#include <coati/convenience.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/bind_executor.hpp>

#include <array>
#include <cstdio>

namespace coati::detail {

/// While somebody looks at it. Not of this file alone: GCC warns of that in a frame, header-only.
class busy_entry {
public:
    explicit busy_entry(kept_entry& of) : of_(of) { of_.is_busy = true; }
    busy_entry(const busy_entry&) = delete;
    busy_entry& operator=(const busy_entry&) = delete;
    ~busy_entry() { of_.is_busy = false; }

private:
    kept_entry& of_;
};

namespace {

using boost::asio::awaitable;

constexpr int most_passes = 20;

/// The error ends the session or the operation; it is not the znode's own.
bool ends_all(const error& e) noexcept
{
    return e.session_lost() || e == errc::cancelled;
}

/// The znode may be there although the answer does not say so.
bool may_have_happened(const error& e) noexcept
{
    return e.fate() == fate::maybe_applied || e.fate() == fate::applied;
}

std::string parent_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

/// `/dir/_c_<guid>-name` of `/dir/name`, as `create_protected` has it.
std::string guarded_name(const kept_entry& e)
{
    return protected_path(parent_of(e.path()), e.guid, e.path().substr(e.path().rfind('/') + 1));
}

bool holds(const watched_data& seen, const data& wanted)
{
    return seen.is_null == wanted.is_null() && seen.data == wanted.bytes();
}

/// Missing parents are made, of the mode that this server knows.
awaitable<result<void>> make_parents(presence_ptr s, std::string parent, client zk)
{
    for (;;) {
        const create_mode mode = s->container_or_not;
        auto make = create_with_parents(zk, parent, {}, mode, {}, mode);
        const result<created> made = co_await std::move(make);
        if (!made && made.error() == errc::unimplemented && mode == create_mode::container) {
            s->container_or_not = create_mode::persistent;
            continue;
        }
        if (!made && made.error() != errc::node_exists && !made.error().retryable()) {
            co_return made.error();
        }
        co_return success();  // the next look tells
    }
}

/// What a creation that failed means: nothing (look again), or its error.
awaitable<result<void>> after_creation(presence_ptr s, kept_ptr e, client zk, error why)
{
    e->made += may_have_happened(why) ? 1U : 0U;
    if (why == errc::no_node) {
        auto parents = make_parents(s, parent_of(e->path()), zk);
        co_return co_await std::move(parents);
    }
    if (why == errc::node_exists || may_have_happened(why) || why.retryable()) {
        co_return success();
    }
    co_return why;
}

// --- a znode of a fixed name -------------------------------------------------------------------

awaitable<result<void>> make_plain(presence_ptr s, kept_ptr e, client zk)
{
    auto make = zk.create(e->path(), e->bytes, create_mode::ephemeral, e->who);
    const result<created> made = co_await std::move(make);
    if (!made) {
        auto rest = after_creation(s, e, zk, made.error());
        co_return co_await std::move(rest);
    }
    e->made += 1;
    e->known.insert(made->zxid);
    s->show_present(*e, e->path(), made->zxid);
    co_return success();
}

/// Removes the leftover of a session that was ours, and makes a new znode in its place if one is
/// wanted, in one transaction that fails if anybody has put another znode there meanwhile.
///
/// No operation can compare the owner. But the number in a sequential name is the count of all
/// znodes that were ever created below the parent: read before the look, it must still be the same
/// in the transaction, which shows in the name of a sequential znode that is made and removed in
/// it. So nothing was created there since, and what is removed is what was looked at.
awaitable<result<void>> replace(presence_ptr s, kept_ptr e, client zk)
{
    auto count = zk.exists(parent_of(e->path()));
    const result<std::optional<stat>> parent = co_await std::move(count);
    if (!parent) {
        co_return parent.error();
    }
    auto look = zk.exists(e->path());
    const result<std::optional<stat>> seen = co_await std::move(look);
    if (!seen) {
        co_return seen.error();
    }
    if (!parent->has_value() || !seen->has_value() || !s->was_ours((*seen)->ephemeral_owner)) {
        co_return success();  // look again
    }
    // cversion counts creations and removals: twice the former, less the children there are.
    const auto created_ever = (static_cast<std::uint32_t>((*parent)->cversion) +
                               static_cast<std::uint32_t>((*parent)->num_children)) /
                              2;
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "%010u", static_cast<unsigned>(created_ever));
    const std::string probe = e->path() + "-replaced-";
    std::vector<any_op> ops;
    ops.emplace_back(op::create(probe, {}, create_mode::ephemeral_sequential));
    ops.emplace_back(op::remove(probe + number.data()));
    ops.emplace_back(op::remove(e->path()));
    if (s->wants(*e)) {
        ops.emplace_back(op::create(e->path(), e->bytes, create_mode::ephemeral, e->who));
    }
    const bool makes = s->wants(*e);
    auto swap = zk.multi(std::move(ops));
    const result<multi_results> swapped = co_await std::move(swap);
    if (swapped) {
        if (makes) {
            e->made += 1;
            e->known.insert(swapped->zxid);
            s->show_present(*e, e->path(), swapped->zxid);
        }
        co_return success();
    }
    if (makes && may_have_happened(swapped.error())) {
        e->made += 1;
    }
    const bool met_others = swapped.error() == errc::no_node;
    if (met_others || may_have_happened(swapped.error()) || swapped.error().retryable()) {
        co_return success();
    }
    co_return swapped.error();
}

/// Another one's request came between ours, or it is gone: look again.
result<void> unless_overtaken(const error& why)
{
    const bool is_overtaken = why == errc::no_node || why == errc::bad_version;
    if (is_overtaken || why.retryable()) {
        return success();
    }
    return why;
}

awaitable<result<void>> write_data(client zk, std::string path, data bytes, std::int32_t version)
{
    auto set = zk.set(path, std::move(bytes), version);
    const result<stat> done = co_await std::move(set);
    co_return done ? result<void>(success()) : unless_overtaken(done.error());
}

awaitable<result<void>> remove_own(client zk, std::string path, std::int32_t version)
{
    auto gone = zk.remove(path, version);
    const result<void> done = co_await std::move(gone);
    co_return done ? result<void>(success()) : unless_overtaken(done.error());
}

/// There is none. True: that is as it should be.
awaitable<result<bool>> without_plain(presence_ptr s, kept_ptr e, client zk)
{
    s->show(*e, presence_status::absent);
    if (s->wants(*e)) {
        auto make = make_plain(s, e, zk);
        BOOST_OUTCOME_CO_TRY(co_await std::move(make));
        co_return false;
    }
    if (!e->is_in_doubt()) {
        co_return true;
    }
    auto look = zk.exists_and_watch(e->path());  // a creation may still be on its way
    result<watched_existence> seen = co_await std::move(look);
    if (!seen) {
        co_return seen.error();
    }
    if (!seen->stat) {
        s->arm(e, std::move(seen->watch));
    }
    co_return !seen->stat.has_value();
}

/// One look at a znode of a fixed name, and one step. True: nothing is left to do.
awaitable<result<bool>> step_plain(presence_ptr s, kept_ptr e, client zk)
{
    auto look = zk.get_and_watch(e->path());
    result<watched_data> seen = co_await std::move(look);
    if (!seen && seen.error() == errc::no_node) {
        auto rest = without_plain(s, e, zk);
        co_return co_await std::move(rest);
    }
    if (!seen) {
        co_return seen.error();
    }
    s->arm(e, std::move(seen->watch));
    const std::int64_t owner = seen->stat.ephemeral_owner;
    if (s->was_ours(owner)) {
        s->show(*e, presence_status::absent);
        auto swap = replace(s, e, zk);
        BOOST_OUTCOME_CO_TRY(co_await std::move(swap));
        co_return false;
    }
    if (owner != s->session) {
        s->show(*e, presence_status::taken);
        co_return true;
    }
    e->known.insert(seen->stat.czxid);
    if (!s->wants(*e)) {
        auto gone = remove_own(zk, e->path(), seen->stat.version);
        BOOST_OUTCOME_CO_TRY(co_await std::move(gone));
        co_return false;
    }
    s->show_present(*e, e->path(), seen->stat.czxid);
    if (!holds(*seen, e->bytes)) {
        auto set = write_data(zk, e->path(), e->bytes, seen->stat.version);
        BOOST_OUTCOME_CO_TRY(co_await std::move(set));
        co_return false;
    }
    co_return true;
}

// --- a sequential one --------------------------------------------------------------------------

awaitable<result<void>> make_sequential(presence_ptr s, kept_ptr e, client zk,
                                        std::vector<std::string> leftovers)
{
    std::vector<any_op> ops;
    for (const std::string& each : leftovers) {
        ops.emplace_back(op::remove(each));  // the GUID is ours: so is the znode
    }
    ops.emplace_back(
        op::create(guarded_name(*e), e->bytes, create_mode::ephemeral_sequential, e->who));
    auto swap = zk.multi(std::move(ops));
    result<multi_results> made = co_await std::move(swap);
    if (!made) {
        auto rest = after_creation(s, e, zk, made.error());
        co_return co_await std::move(rest);
    }
    e->made += 1;
    const auto* const path = std::get_if<std::string>(&made->results.back());
    e->known.insert(made->zxid);
    s->show_present(*e, *path, made->zxid);
    co_return success();
}

/// The children of the parent, watched while a creation may be on its way. None where there is no
/// parent.
awaitable<result<std::vector<std::string>>> siblings(presence_ptr s, kept_ptr e, client zk)
{
    using names = result<std::vector<std::string>>;
    const std::string parent = parent_of(e->path());
    if (!e->is_in_doubt()) {
        auto list = zk.children(parent);
        result<children_result> all = co_await std::move(list);
        if (!all && all.error() == errc::no_node) {
            co_return std::vector<std::string>();
        }
        co_return all ? names(std::move(all->names)) : names(all.error());
    }
    auto list = zk.children_and_watch(parent);
    result<watched_children> all = co_await std::move(list);
    if (!all && all.error() == errc::no_node) {
        co_return std::vector<std::string>();
    }
    if (!all) {
        co_return all.error();
    }
    s->arm_parent(e, std::move(all->watch));
    co_return std::move(all->names);
}

/// All znodes of this registration: those of this session become known, and the others are given.
awaitable<result<std::vector<std::string>>> find_all(presence_ptr s, kept_ptr e, client zk)
{
    auto list = siblings(s, e, zk);
    result<std::vector<std::string>> names = co_await std::move(list);
    if (!names) {
        co_return names.error();
    }
    std::vector<std::string> leftovers;
    std::set<std::string> found;
    for (const std::string& each : *names) {
        if (!is_protected_by(each, e->guid)) {
            continue;
        }
        const std::string path = child_path(parent_of(e->path()), each);
        auto look = zk.exists(path);
        const result<std::optional<stat>> seen = co_await std::move(look);
        if (!seen) {
            co_return seen.error();
        }
        if (seen->has_value() && (*seen)->ephemeral_owner == s->session) {
            found.insert(path);
            e->known.insert((*seen)->czxid);
        } else if (seen->has_value()) {
            leftovers.push_back(path);
        }
    }
    if (!s->wants(*e)) {
        s->show(*e, presence_status::absent);
    } else if (!found.contains(e->shown.actual)) {
        s->show(*e, presence_status::absent);
        e->shown.actual = found.empty() ? std::string() : *found.begin();
    }
    found.erase(e->shown.actual);
    leftovers.insert(leftovers.end(), found.begin(), found.end());
    e->has_surplus = !leftovers.empty();
    co_return leftovers;
}

awaitable<result<void>> remove_all(client zk, std::vector<std::string> paths)
{
    for (const std::string& each : paths) {
        auto gone = zk.remove(each);  // carries our GUID
        const result<void> done = co_await std::move(gone);
        if (!done) {
            BOOST_OUTCOME_CO_TRY(unless_overtaken(done.error()));
        }
    }
    co_return success();
}

/// One look at a sequential znode, and one step. True: nothing is left to do.
awaitable<result<bool>> step_sequential(presence_ptr s, kept_ptr e, client zk)
{
    const bool must_list =
        e->shown.actual.empty() || e->is_in_doubt() || !s->wants(*e) || e->has_surplus;
    if (must_list) {
        auto find = find_all(s, e, zk);
        result<std::vector<std::string>> surplus = co_await std::move(find);
        if (!surplus) {
            co_return surplus.error();
        }
        if (!s->wants(*e) && surplus->empty()) {
            co_return true;
        }
        if (s->wants(*e) && e->shown.actual.empty()) {
            auto make = make_sequential(s, e, zk, std::move(*surplus));
            BOOST_OUTCOME_CO_TRY(co_await std::move(make));
            co_return false;
        }
        if (!surplus->empty()) {
            auto gone = remove_all(zk, std::move(*surplus));
            BOOST_OUTCOME_CO_TRY(co_await std::move(gone));
            co_return false;
        }
    }
    const std::string path = e->shown.actual;
    auto look = zk.get_and_watch(path);
    result<watched_data> seen = co_await std::move(look);
    if (!seen && seen.error() == errc::no_node) {
        s->show(*e, presence_status::absent);
        co_return false;
    }
    if (!seen) {
        co_return seen.error();
    }
    s->arm(e, std::move(seen->watch));
    s->show_present(*e, path, seen->stat.czxid);
    if (!holds(*seen, e->bytes)) {
        auto set = write_data(zk, path, e->bytes, seen->stat.version);
        BOOST_OUTCOME_CO_TRY(co_await std::move(set));
        co_return false;
    }
    co_return true;
}

awaitable<result<bool>> steps(presence_ptr s, kept_ptr e, client zk)
{
    if (e->mode != create_mode::ephemeral && e->mode != create_mode::ephemeral_sequential) {
        co_return error(errc::invalid_argument, fate::not_sent);
    }
    for (int pass = 0; pass < most_passes; ++pass) {
        auto step = is_sequential(e->mode) ? step_sequential(s, e, zk) : step_plain(s, e, zk);
        const result<bool> is_done = co_await std::move(step);
        if (!is_done || *is_done) {
            co_return is_done;
        }
    }
    co_return false;
}

}  // namespace

awaitable<result<void>> bring_about(presence_ptr s, kept_ptr e, client zk)
{
    e->needs_look = false;
    result<bool> done;
    {
        const busy_entry mine(*e);
        auto all = steps(s, e, zk);
        done = co_await std::move(all);
    }
    if (!done && ends_all(done.error())) {
        e->needs_look = true;
        co_return done.error();
    }
    if (!done) {
        s->failed(*e, done.error());
        co_return success();
    }
    if (!*done) {  // others are quicker: let them
        e->needs_look = true;
        e->failures += 1;
        e->retry_at =
            zk.now() +
            back_off(s->how.first_wait, s->how.longest_wait).delay(e->failures, random_number(zk));
        co_return success();
    }
    e->failures = 0;
    e->shown.why.reset();
    s->changed();
    co_return success();
}

// --- the state ---------------------------------------------------------------------------------

bool presence_state::is_settled(const kept_entry& e) const noexcept
{
    const bool is_right = wants(e) ? e.shown.status == presence_status::present
                                   : e.shown.status != presence_status::present;
    return is_right && !e.needs_look && !e.is_busy && !e.shown.why;
}

void presence_state::forget_session()
{
    for (const auto& [path, e] : entries) {
        show(*e, presence_status::absent);
        e->needs_look = true;
        e->made = 0;
        e->known.clear();
        e->has_surplus = false;
        e->failures = 0;
        e->retry_at = {};
        e->arms = 0;
        e->parent_arms = 0;
        e->armed.reset();
        e->armed_parent.reset();
        e->shown.why.reset();
    }
    changed();
}

void presence_state::arm_one(const kept_ptr& e, watch w, std::optional<watch> kept_entry::*slot,
                             std::uint64_t kept_entry::*number)
{
    const std::uint64_t mine = ++arms_;
    (*e).*number = mine;
    auto wait = w.next();
    (*e).*slot = std::move(w);
    auto fired = [weak = weak_from_this(), of = std::weak_ptr(e), number,
                  mine](const result<event>&) {
        const auto self = weak.lock();
        const auto entry = of.lock();
        if (self && entry && (*entry).*number == mine) {
            self->look_again(*entry);
        }
    };
    std::move(wait)(boost::asio::bind_executor(zk.get_executor(), std::move(fired)));
}

void presence_state::arm(const kept_ptr& e, watch w)
{
    arm_one(e, std::move(w), &kept_entry::armed, &kept_entry::arms);
}

void presence_state::arm_parent(const kept_ptr& e, watch w)
{
    arm_one(e, std::move(w), &kept_entry::armed_parent, &kept_entry::parent_arms);
}

void presence_state::failed(kept_entry& e, const error& why)
{
    const bool is_refused = why.fate() == fate::not_sent && !why.retryable();
    if (is_refused && !e.is_wanted) {
        show(e, presence_status::absent);  // so it never was anything else
        e.shown.why.reset();
        return changed();
    }
    if (e.shown.status != presence_status::present) {
        show(e, presence_status::failed);
    }
    e.shown.why = why;
    // What was wrong with the arguments stays wrong until they are others.
    e.needs_look = !is_refused;
    e.failures += 1;
    e.retry_at =
        zk.now() + back_off(how.first_wait, how.longest_wait).delay(e.failures, random_number(zk));
    changed();
}

void presence_state::show(kept_entry& e, presence_status status)
{
    const bool is_news = e.shown.status != status || !e.shown.actual.empty();
    e.shown.status = status;
    e.shown.actual.clear();
    e.shown.czxid = 0;
    e.shown.session = 0;
    if (is_news) {
        changed();
    }
}

void presence_state::show_present(kept_entry& e, std::string actual, std::int64_t czxid)
{
    const bool is_news = e.shown.status != presence_status::present || e.shown.czxid != czxid;
    e.shown.status = presence_status::present;
    e.shown.actual = std::move(actual);
    e.shown.czxid = czxid;
    e.shown.session = session;
    if (is_news) {
        changed();
    }
}

}  // namespace coati::detail
