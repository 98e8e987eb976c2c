// What a presence wants and knows of each znode, and the step that brings one of them nearer to
// what is wanted. Floor 4 only.
//
// Level triggered: every step looks first, with a watch, and then does one thing. Whatever changes
// makes it look again, so that no lost answer and no missed event can leave it astray.
#pragma once

#include <coati/bell.hpp>
#include <coati/recipe/presence.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <set>

namespace coati::detail {

/// One znode.
class kept_entry {
public:
    explicit kept_entry(std::string asked) : shown(std::move(asked)) {}

    const std::string& path() const noexcept { return shown.path; }
    /// Whether a request that made it may have been executed, or still be executed, unseen.
    bool is_in_doubt() const noexcept { return made > known.size(); }

    // What is wanted.
    data bytes;
    create_mode mode = create_mode::ephemeral;
    std::optional<acls> who;
    bool is_wanted = true;
    std::string guid;  // of a sequential one: names the registration

    // What is known.
    kept_znode shown;
    bool needs_look = true;
    bool is_busy = false;          // somebody looks
    std::size_t made = 0;          // creations of this session that were or may have been executed
    std::set<std::int64_t> known;  // what they have made, by czxid
    bool has_surplus = false;      // when last looked
    std::size_t failures = 0;      // in a row
    time_point retry_at{};
    std::optional<watch> armed;         // on the znode
    std::optional<watch> armed_parent;  // on the children of its parent, while in doubt
    std::uint64_t arms = 0;             // those of an older number mean nothing
    std::uint64_t parent_arms = 0;
};

using kept_ptr = std::shared_ptr<kept_entry>;

class presence_state : public std::enable_shared_from_this<presence_state> {
public:
    presence_state(client of, presence_options options)
        : zk(std::move(of)), how(options), container_or_not(options.parents), happened(zk)
    {
    }

    /// Whether the znode should be there: nothing should behind a run that was cancelled.
    bool wants(const kept_entry& e) const noexcept { return e.is_wanted && is_running; }
    bool was_ours(std::int64_t owner) const { return former.contains(owner); }
    /// Nothing is left to do for this one.
    bool is_settled(const kept_entry& e) const noexcept;
    /// Nothing is known any more: a new session, or none.
    void forget_session();
    /// Something that can be seen has changed.
    void changed()
    {
        ++revision;
        happened.ring();
    }
    /// It has to be looked at again.
    void look_again(kept_entry& e)
    {
        e.needs_look = true;
        changed();
    }
    /// `e` is looked at again when this watch fires.
    void arm(const kept_ptr& e, watch w);
    /// The same of the list of its parent's children.
    void arm_parent(const kept_ptr& e, watch w);
    void failed(kept_entry& e, const error& why);
    void show(kept_entry& e, presence_status status);
    void show_present(kept_entry& e, std::string actual, std::int64_t czxid);

    client zk;
    presence_options how;
    create_mode container_or_not;
    std::map<std::string, kept_ptr, std::less<>> entries;
    std::set<std::int64_t> former;  // sessions that were ours
    std::int64_t session = 0;       // the present one; 0: none
    bell happened;
    std::uint64_t revision = 1;
    std::optional<std::uint64_t> given;  // revision that `next` gave last
    bool is_waited_for = false;
    bool is_running = false;
    bool is_cleaning = false;  // an errand removes what a run has left
    bool is_dropped = false;
    std::uint64_t runs = 0;      // so that an errand sees that another run has begun
    std::optional<error> ended;  // how the last run did, while there is none

private:
    void arm_one(const kept_ptr& e, watch w, std::optional<watch> kept_entry::*slot,
                 std::uint64_t kept_entry::*number);

    std::uint64_t arms_ = 0;
};

using presence_ptr = std::shared_ptr<presence_state>;

/// Looks at one znode and does what has to be done, until it is at rest or an error ends it.
/// Completes with: the ending of the session, cancelled. All else shows in the entry.
boost::asio::awaitable<result<void>> bring_about(presence_ptr s, kept_ptr e, client zk);

}  // namespace coati::detail
