#include "rules.hpp"

#include <algorithm>

namespace coati::differential {

namespace {

/// The same line with the elements of every such group sorted.
std::string sorted(const std::string& line, std::string_view group)
{
    std::string out;
    std::size_t at = 0;
    for (;;) {
        const std::size_t begin = line.find(group, at);
        if (begin == std::string::npos) {
            return out + line.substr(at);
        }
        const std::size_t first = begin + group.size();
        const std::size_t end = line.find('}', first);
        std::vector<std::string> elements;
        for (std::size_t from = first; from < end;) {
            const std::size_t to = std::min(line.find('|', from), end);
            elements.push_back(line.substr(from, to - from));
            from = to + 1;
        }
        std::sort(elements.begin(), elements.end());
        out += line.substr(at, first - at);
        for (const auto& each : elements) {
            out += each + '|';
        }
        at = end;
    }
}

bool is_event(const std::string& line)
{
    return line.find(": event ") != std::string::npos;
}

bool ends_session(const step& s)
{
    return s.what == step::kind::batch && !s.requests.empty() &&
           s.requests.back().op == static_cast<std::int32_t>(wire::op_code::close_session);
}

}  // namespace

bool rulebook::explains_line(const std::string& real, const std::string& model)
{
    for (rule& each : rules_) {
        if (!each.group.empty() && sorted(real, each.group) == sorted(model, each.group)) {
            ++each.applied;
            return true;
        }
    }
    return false;
}

/// The run of events of one connection that `at` is in; moves behind it.
bool rulebook::explains_events(const transcript& real, const transcript& model, std::size_t& at)
{
    const std::string slot = real[at].substr(0, real[at].find(": event "));
    std::size_t end = at;
    const auto in_run = [&](const transcript& t) {
        return is_event(t[end]) && t[end].starts_with(slot);
    };
    while (end < real.size() && in_run(real) && in_run(model)) {
        ++end;
    }
    const auto run = [&](const transcript& t) {
        transcript lines(t.begin() + static_cast<std::ptrdiff_t>(at),
                         t.begin() + static_cast<std::ptrdiff_t>(end));
        std::sort(lines.begin(), lines.end());
        return lines;
    };
    if (at == end || run(real) != run(model)) {
        return false;
    }
    at = end;
    for (rule& each : rules_) {
        each.applied += each.group.empty() ? 1 : 0;
    }
    return true;
}

bool rulebook::explains(const step& s, const transcript& real, const transcript& model)
{
    if (real.size() != model.size()) {
        return false;
    }
    for (std::size_t at = 0; at < real.size();) {
        if (real[at] == model[at] || explains_line(real[at], model[at])) {
            ++at;
        } else if (!ends_session(s) || !explains_events(real, model, at)) {
            return false;
        }
    }
    return true;
}

}  // namespace coati::differential
