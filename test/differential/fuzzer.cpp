#include "fuzzer.hpp"

#include <coati/wire/op_code.hpp>

#include <algorithm>
#include <iterator>
#include <set>

namespace coati::differential {

namespace {

using clock = std::chrono::steady_clock;

/// A request, or a step that is no batch.
struct unit {
    std::size_t step = 0;
    std::size_t request = 0;
};

std::vector<unit> units_of(const sequence& all)
{
    std::vector<unit> units;
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t k = 0; k < std::max<std::size_t>(1, all[i].requests.size()); ++k) {
            units.push_back({i, k});
        }
    }
    return units;
}

/// Without the units from `first` on, `count` of them.
sequence without(const sequence& all, std::size_t first, std::size_t count)
{
    const auto units = units_of(all);
    sequence out;
    std::size_t last_step = all.size();
    for (std::size_t u = 0; u < units.size(); ++u) {
        if (u >= first && u < first + count) {
            continue;
        }
        const step& from = all[units[u].step];
        if (last_step != units[u].step) {
            out.push_back({from.what, from.slot, from.hello, {}, from.only_if_gone});
            last_step = units[u].step;
        }
        if (!from.requests.empty()) {
            out.back().requests.push_back(from.requests[units[u].request]);
        }
    }
    return out;
}

/// The same with one thing plainer, or one element of a list gone, for each such thing.
std::vector<sequence> plainer(const sequence& all)
{
    std::vector<sequence> out;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].hello != greeting{}) {
            out.push_back(all);
            out.back()[i].hello = {};
        }
        for (std::size_t k = 0; k < all[i].requests.size(); ++k) {
            const request& r = all[i].requests[k];
            if (r.acls != 0 || r.xid || r.wrong == mangling::more_behind || !r.data.value.empty()) {
                out.push_back(all);
                request& plain = out.back()[i].requests[k];
                plain.acls = 0;
                plain.data = {};
                plain.wrong = r.wrong == mangling::more_behind ? mangling::none : r.wrong;
                plain.xid =
                    r.op == static_cast<std::int32_t>(wire::op_code::ping) ? r.xid : std::nullopt;
            }
            for (std::size_t p = 0; p < r.parts.size(); ++p) {
                out.push_back(all);
                auto& parts = out.back()[i].requests[k].parts;
                parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(p));
            }
            for (std::size_t list = 0; list < r.paths.size(); ++list) {
                for (std::size_t p = 0; p < r.paths[list].size(); ++p) {
                    out.push_back(all);
                    auto& paths = out.back()[i].requests[k].paths[list];
                    paths.erase(paths.begin() + static_cast<std::ptrdiff_t>(p));
                }
            }
        }
    }
    return out;
}

/// What kind of difference it is: many rounds show the same. The answers up to where they part,
/// without numbers and texts.
std::string kind_of(const difference& d)
{
    for (std::size_t i = 0; i < std::min(d.real.size(), d.model.size()); ++i) {
        const std::string& real = d.real[i];
        const std::string& model = d.model[i];
        if (real == model) {
            continue;
        }
        const auto parted = std::mismatch(real.begin(), real.end(), model.begin(), model.end());
        const auto at = static_cast<std::size_t>(parted.first - real.begin());
        const auto letters = [](const std::string& text) {
            std::string out;
            std::copy_if(text.begin(), text.end(), std::back_inserter(out),
                         [](char c) { return (c >= 'a' && c <= 'z') || c == '-' || c == '['; });
            return out;
        };
        const auto err = [](const std::string& line) {
            const auto begin = line.find(": err ");
            return begin == std::string::npos ? line.substr(7, 12)
                                              : line.substr(begin, line.find(',') - begin);
        };
        return letters(real.substr(0, at)) + err(real) + " /" + err(model);
    }
    return "one says more";
}

}  // namespace

std::string finding::text() const
{
    std::string out = "round " + std::to_string(seed) + ", made small:\n";
    for (const step& each : steps) {
        out += "  " + describe(each) + '\n';
    }
    out += "differs in: " + describe(what.at) + '\n';
    for (std::size_t i = 0; i < std::max(what.real.size(), what.model.size()); ++i) {
        const std::string real = i < what.real.size() ? what.real[i] : "(nothing)";
        const std::string model = i < what.model.size() ? what.model[i] : "(nothing)";
        if (real == model) {
            out += "  both   " + real + '\n';
        } else {
            out += "  real   " + real + "\n  model  " + model + '\n';
        }
    }
    return out + "again: ./dev differential 1 " + std::to_string(seed) + '\n';
}

std::optional<difference> fuzzer::run_step(const step& s, std::size_t index)
{
    const bool talks =
        s.what == step::kind::open || s.what == step::kind::drop ||
        (s.what == step::kind::batch ? real_.is_connected(s.slot) : real_.has_session(s.slot));
    if (!talks || s.slot >= slots) {
        return std::nullopt;
    }
    operations_ += std::max<std::size_t>(1, s.requests.size());
    real_.start(s);
    model_.start(s);
    transcript real = real_.finish(s);
    transcript model = model_.finish(s);
    if (real_.has_changed() || model_.has_changed()) {
        real_.ask_others(s.slot);
        model_.ask_others(s.slot);
        const transcript more_real = real_.hear_others(s.slot);
        const transcript more_model = model_.hear_others(s.slot);
        real.insert(real.end(), more_real.begin(), more_real.end());
        model.insert(model.end(), more_model.begin(), more_model.end());
    }
    if (rules_.explains(s, real, model)) {
        return std::nullopt;
    }
    return difference{s, index, std::move(real), std::move(model)};
}

/// Every session of the round, also of slots whose connection is gone.
std::optional<difference> fuzzer::end_sessions(std::size_t index)
{
    std::optional<difference> found;
    for (std::size_t slot = 0; slot < slots; ++slot) {
        step back{step::kind::resume, slot, {}, {}};
        step end{step::kind::batch, slot, {}, {}};
        end.requests.push_back({.op = static_cast<std::int32_t>(wire::op_code::close_session)});
        for (const step& each : {back, end}) {
            const bool in_vain = !real_.has_session(slot) || real_.is_connected(slot);
            if (each.what == step::kind::resume && in_vain) {
                continue;
            }
            auto now = run_step(each, index++);
            if (!found) {
                found = std::move(now);
            }
        }
    }
    return found;
}

std::optional<difference> fuzzer::run_round(const sequence& steps)
{
    const std::string root = "/r" + std::to_string(++roots_);
    real_.begin_round(root);
    model_.begin_round(root);
    ++rounds_;
    std::optional<difference> found;
    std::size_t index = 0;
    for (const step& each : steps) {
        // A slot may hold a session already: that one must not outlive the round.
        if (each.what == step::kind::open && real_.has_session(each.slot)) {
            ++index;
            continue;
        }
        const bool is_in_vain = each.only_if_gone && real_.is_connected(each.slot);
        found = is_in_vain ? std::nullopt : run_step(each, index);
        ++index;
        if (found) {
            break;
        }
    }
    auto at_end = end_sessions(steps.size());
    return found ? found : at_end;
}

finding fuzzer::shrink(std::uint64_t seed, sequence steps, difference first,
                       std::chrono::seconds limit)
{
    const auto until = clock::now() + limit;
    finding smallest{seed, std::move(steps), std::move(first)};
    const auto still_differs = [&](const sequence& candidate) {
        auto found = clock::now() < until ? run_round(candidate) : std::nullopt;
        if (!found) {
            return false;
        }
        smallest.steps = candidate;
        smallest.what = std::move(*found);
        if (smallest.what.index + 1 < smallest.steps.size()) {
            smallest.steps.resize(smallest.what.index + 1);
        }
        return true;
    };
    for (std::size_t size = units_of(smallest.steps).size(); size > 0; size /= 2) {
        for (std::size_t at = 0; at < units_of(smallest.steps).size();) {
            at += still_differs(without(smallest.steps, at, size)) ? 0 : size;
        }
    }
    for (bool again = true; again;) {
        again = false;
        for (const sequence& candidate : plainer(smallest.steps)) {
            if (still_differs(candidate)) {
                again = true;
                break;
            }
        }
    }
    return smallest;
}

std::vector<finding> fuzzer::run(const fuzzer_options& options)
{
    std::vector<finding> all;
    std::set<std::string> kinds;
    const std::size_t until = operations_ + options.operations;
    for (std::uint64_t seed = options.seed; operations_ < until; ++seed) {
        const sequence steps = make_round(seed);
        auto found = run_round(steps);
        if (!found) {
            continue;
        }
        if (!kinds.insert(kind_of(*found)).second) {
            continue;
        }
        all.push_back(shrink(seed, steps, std::move(*found), options.shrinking));
        if (all.size() >= options.findings) {
            break;
        }
    }
    return all;
}

}  // namespace coati::differential
