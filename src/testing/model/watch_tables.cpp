// The tables of watches: modes set, removed and fired.
#include "watch_tables.hpp"

#include <algorithm>

namespace coati::testing {

void watch_tables::set(table& in, std::string_view path, mode m, bool is_39)
{
    unsigned& modes = in[std::string(path)];
    modes = is_39 ? modes | m : m;
}

bool watch_tables::has(const table& in, std::string_view path, unsigned modes)
{
    const auto found = in.find(path);
    return found != in.end() && (found->second & modes) != 0;
}

void watch_tables::remove(table& in, std::string_view path, unsigned modes)
{
    const auto found = in.find(path);
    if (found == in.end()) {
        return;
    }
    found->second &= ~modes;
    if (found->second == 0) {
        in.erase(found);
    }
}

void watch_tables::add_persistent(std::string_view path, bool is_39)
{
    set(data_, path, persistent, is_39);
    set(child_, path, persistent, is_39);
}

void watch_tables::add_recursive(std::string_view path, bool is_39)
{
    set(data_, path, recursive, is_39);
    if (!is_39) {
        set(child_, path, recursive, is_39);
    }
}

// WatchManager.triggerWatch: the path with every mode, what is above it with the recursive one.
bool watch_tables::fire(table& in, std::string_view path, bool reaches_recursive)
{
    bool fires = has(in, path, standard | persistent);
    remove(in, path, standard);
    while (reaches_recursive && !fires && !path.empty()) {
        fires = has(in, path, recursive);
        const auto slash = path.rfind('/');
        path = path.size() == 1 || slash == std::string_view::npos
                   ? std::string_view()
                   : path.substr(0, slash == 0 ? 1 : slash);
    }
    return fires;
}

bool watch_tables::has_recursive(const table& in)
{
    return std::any_of(in.begin(), in.end(),
                       [](const auto& each) { return (each.second & recursive) != 0; });
}

std::size_t watch_tables::size() const
{
    std::size_t n = 0;
    for (const auto& [path, modes] : data_) {
        for (const mode each : {standard, persistent, recursive}) {
            n += (modes & each) != 0 ? 1 : 0;
        }
    }
    for (const auto& [path, modes] : child_) {
        n += (modes & standard) != 0 || ((modes & persistent) != 0 && !has_data(path, persistent))
                 ? 1
                 : 0;
    }
    return n;
}

}  // namespace coati::testing
