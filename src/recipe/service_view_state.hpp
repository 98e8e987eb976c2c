// What a view of a service knows, and the picking from it. Floor 4 only.
#pragma once

#include <coati/bell.hpp>
#include <coati/recipe/discovery.hpp>

#include <functional>
#include <map>

namespace coati::detail {

/// An instance as it was read.
class shown_instance {
public:
    service_instance instance;
    std::int64_t czxid = 0;
    std::int64_t mzxid = 0;
};

using shown_ptr = std::shared_ptr<const shown_instance>;

/// A znode of the service.
class view_entry {
public:
    explicit view_entry(std::string of) : id(std::move(of)) {}

    std::string id;
    shown_ptr shown;                 // none: not read yet, or malformed
    std::optional<std::string> why;  // malformed
    bool needs_look = true;
    std::size_t failures = 0;  // in a row
    time_point retry_at{};
    std::optional<watch> armed;
    std::uint64_t arms = 0;  // those of an older number mean nothing
    std::int64_t aside_czxid = 0;
    time_point aside_until{};
};

using view_entry_ptr = std::shared_ptr<view_entry>;

class view_state : public std::enable_shared_from_this<view_state> {
public:
    view_state(client of, std::string name, const service_options& how);

    /// Whether everything has been read since the connection was made.
    view_status status() const noexcept;
    void changed() { happened.ring(); }
    void on_connection(bool is_there);
    /// A new session, or none: no watch is left. What is shown stays.
    void forget_session();
    void arm(const view_entry_ptr& e, watch w);
    void arm_list(watch w);
    /// When to ask again for what could not be read.
    time_point back_off_from(std::size_t failures) const;

    // Picking. `among` says which ones count.
    using filter = std::function<bool(const view_entry&)>;
    bool is_aside(const view_entry& e) const;
    std::optional<service_instance> any_of(const filter& among) const;

    client zk;
    std::string service;
    std::string dir;
    std::map<std::string, view_entry_ptr, std::less<>> entries;
    bell happened;

    bool is_connected = false;
    bool needs_list = true;
    std::uint64_t turns = 0;        // connections there have been
    std::uint64_t listed_turn = 0;  // during which the list was read last
    bool is_synced = false;         // all of it was read in this turn
    bool is_ready = false;          // all of it was read, once
    time_point stale_from;          // unless live
    std::size_t list_failures = 0;
    time_point list_at{};  // not to be read before
    std::optional<watch> list_armed;
    std::uint64_t list_arms = 0;

    std::map<std::string, shown_ptr> given;  // what `next` has told
    std::map<std::string, std::string> given_flaws;
    std::optional<view_status> given_status;
    mutable std::string last_picked;  // by pick_next
    bool is_waited_for = false;
    bool is_running = false;
    bool is_dropped = false;
    std::optional<error> ended;  // how the last run did, while there is none

private:
    std::uint64_t arms_ = 0;
};

using view_ptr = std::shared_ptr<view_state>;

/// The difference between what `next` has told and what is there, which counts as told then.
std::vector<service_change> take_changes(view_state& v);

}  // namespace coati::detail
