// The watches of one connection, as a server keeps them, and what fires them.
//
// Knows paths and modes; not who is told.
#pragma once

#include "znode_tree.hpp"

#include <coati/wire/operation_watch.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace coati::testing {

/// The watches of one connection, as a server keeps them: two managers, for data and for children,
/// each with the modes of a path. Before 3.9 a path has one mode a manager, the last that was set
/// (ZOOKEEPER-4466); later each mode is a watch of its own.
class watch_tables {
public:
    enum mode : unsigned { standard = 1, persistent = 2, recursive = 4, all = 7 };

    void add_data(std::string_view path, bool is_39) { set(data_, path, standard, is_39); }
    void add_child(std::string_view path, bool is_39) { set(child_, path, standard, is_39); }
    void add_persistent(std::string_view path, bool is_39);
    void add_recursive(std::string_view path, bool is_39);

    bool has_data(std::string_view path, unsigned modes) const { return has(data_, path, modes); }
    bool has_child(std::string_view path, unsigned modes) const { return has(child_, path, modes); }
    void remove_data(std::string_view path, unsigned modes) { remove(data_, path, modes); }
    void remove_child(std::string_view path, unsigned modes) { remove(child_, path, modes); }

    /// Whether the connection hears of what happened to the path; one-shot watches are gone then.
    bool fire_data(std::string_view path) { return fire(data_, path, true); }
    bool fire_child(std::string_view path, bool is_children_event)
    {
        return fire(child_, path, !is_children_event);
    }

    bool has_recursive_data() const { return has_recursive(data_); }
    bool has_recursive_child() const { return has_recursive(child_); }
    std::size_t size() const;
    bool empty() const noexcept { return data_.empty() && child_.empty(); }

private:
    using table = std::map<std::string, unsigned, std::less<>>;

    static void set(table& in, std::string_view path, mode m, bool is_39);
    static bool has_recursive(const table& in);
    static bool has(const table& in, std::string_view path, unsigned modes);
    static void remove(table& in, std::string_view path, unsigned modes);
    static bool fire(table& in, std::string_view path, bool reaches_recursive);

    table data_;  // data and exist: servers do not tell them apart
    table child_;
};

}  // namespace coati::testing
