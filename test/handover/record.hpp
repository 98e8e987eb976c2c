// What masters write down while they lead, and what must hold of it: one file of lines, appended to
// by all of a group, each a step with the moment at which it began.
//
// The judge: plain text and numbers, not one header of coati.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace coati::test::handover {

/// Nanoseconds of the clock that runs through a suspend, and that all processes share.
inline std::int64_t now_ns()
{
    timespec t{};
    ::clock_gettime(CLOCK_BOOTTIME, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// A step of a master. Written as one line: "fence pid ns event zxid".
struct step {
    std::int64_t fence = 0;
    int pid = 0;
    std::int64_t at = 0;  ///< When it began, before it was asked whether it may be done.
    /// begin, work: done where nobody can refuse it. wrote: a guarded write that succeeded.
    /// refused: one that came too late. end, cancelled: of the body. unknown: a write's fate.
    std::string event;
    std::int64_t zxid = 0;  ///< Of a write.
};

inline std::string line_of(const step& s)
{
    std::ostringstream out;
    out << s.fence << ' ' << s.pid << ' ' << s.at << ' ' << s.event << ' ' << s.zxid << '\n';
    return std::move(out).str();
}

/// Reads a file that grows; each line once.
class record_reader {
public:
    explicit record_reader(const std::string& path) : file_(path) {}

    std::vector<step> more()
    {
        std::vector<step> steps;
        std::string line;
        for (;;) {
            const auto from = file_.tellg();
            if (!std::getline(file_, line) || file_.eof()) {
                file_.clear();
                file_.seekg(from);  // half a line: its rest comes later
                return steps;
            }
            std::istringstream words(line);
            step s;
            words >> s.fence >> s.pid >> s.at >> s.event >> s.zxid;
            steps.push_back(std::move(s));
        }
    }

private:
    std::ifstream file_;
};

/// A fault that the driver has made, of the master that led then.
struct fault {
    std::string kind;
    int pid = 0;
    std::int64_t fence = 0;
    std::int64_t begun = 0;
    std::int64_t ended = 0;  ///< Of a pause: when it went on. 0: never, or no pause.
};

/// One body: all that was done under one fence.
struct term {
    std::int64_t fence = 0;
    int pid = 0;
    std::int64_t begun = 0;
    std::int64_t last_work = 0;
    std::int64_t cancelled = 0;  ///< 0: never.
};

inline bool is_done(const step& s)
{
    return s.event == "begin" || s.event == "work";
}

inline std::vector<term> terms_of(const std::vector<step>& steps)
{
    std::vector<term> terms;
    for (const step& s : steps) {
        if (s.event == "begin") {
            terms.push_back({s.fence, s.pid, s.at, s.at, 0});
            continue;
        }
        const auto own = std::find_if(terms.begin(), terms.end(),
                                      [&](const term& t) { return t.fence == s.fence; });
        if (own == terms.end()) {
            continue;
        }
        if (s.event == "work") {
            own->last_work = std::max(own->last_work, s.at);
        } else if (s.event == "cancelled") {
            own->cancelled = s.at;
        }
    }
    std::sort(terms.begin(), terms.end(),
              [](const term& a, const term& b) { return a.begun < b.begun; });
    return terms;
}

namespace detail {

inline std::string text(const step& s)
{
    auto line = line_of(s);
    line.pop_back();
    return line;
}

/// Bodies follow each other, and so do their fences.
inline void judge_terms(const std::vector<term>& terms, std::vector<std::string>& wrong)
{
    for (std::size_t i = 1; i < terms.size(); ++i) {
        const term& last = terms[i - 1];
        const term& next = terms[i];
        const std::string who = std::to_string(last.fence) + " and " + std::to_string(next.fence);
        if (next.fence <= last.fence) {
            wrong.push_back("fences do not grow: " + who);
        }
        if (next.begun <= last.last_work) {
            wrong.push_back("two masters at a time: " + who);
        }
    }
}

/// What the ensemble has applied carries fences in order.
inline void judge_writes(const std::vector<step>& steps, std::vector<std::string>& wrong)
{
    std::map<std::int64_t, std::int64_t> fence_by_zxid;
    for (const step& s : steps) {
        if (s.event == "wrote") {
            fence_by_zxid[s.zxid] = s.fence;
        }
    }
    std::int64_t highest = 0;
    for (const auto& [zxid, fence] : fence_by_zxid) {
        if (fence < highest) {
            wrong.push_back("a write of fence " + std::to_string(fence) + " behind " +
                            std::to_string(highest));
        }
        highest = std::max(highest, fence);
    }
}

/// A pause that a master cannot have outlived: somebody else has taken over meanwhile, or the
/// session's lease, which ends earlier than this, has run out.
inline bool is_fatal(const fault& pause, const std::vector<term>& terms, std::int64_t timeout_ns)
{
    return pause.kind == "pause" && pause.ended != 0 &&
           (pause.ended - pause.begun > timeout_ns ||
            std::any_of(terms.begin(), terms.end(), [&](const term& t) {
                return t.fence > pause.fence && t.begun < pause.ended;
            }));
}

/// Who goes on after such a one says first that it was cancelled.
inline void judge_pause(const fault& pause, const std::vector<step>& steps,
                        std::vector<std::string>& wrong)
{
    const auto first = std::find_if(steps.begin(), steps.end(), [&](const step& s) {
        return s.pid == pause.pid && s.at >= pause.ended;
    });
    if (first == steps.end()) {
        wrong.push_back("not a word after a pause of " + std::to_string(pause.pid));
    } else if (first->event != "cancelled" || first->fence != pause.fence) {
        wrong.push_back("first thing after a pause: " + text(*first));
    }
}

/// The time between the word that stopped who was cut off and the first step of the next; nothing
/// for other faults, and where nobody came next.
inline std::optional<std::int64_t> head_start(const fault& of, const std::vector<term>& terms)
{
    if (of.kind != "partition" && of.kind != "deafness") {
        return std::nullopt;
    }
    for (std::size_t i = 1; i < terms.size(); ++i) {
        if (terms[i - 1].fence == of.fence) {
            const auto told = terms[i - 1].cancelled;
            return told == 0 ? 0 : terms[i].begun - told;
        }
    }
    return std::nullopt;
}

/// Nobody takes over from a master that is well: it was harmed, or gave up first, or stood still
/// for want of a processor.
inline void judge_takeovers(const std::vector<term>& terms, const std::vector<fault>& faults,
                            std::int64_t timeout_ns, std::vector<std::string>& wrong)
{
    for (std::size_t i = 1; i < terms.size(); ++i) {
        const term& last = terms[i - 1];
        const term& next = terms[i];
        const bool was_harmed = std::any_of(faults.begin(), faults.end(),
                                            [&](const fault& f) { return f.fence == last.fence; });
        const bool gave_up = last.cancelled != 0 && last.cancelled <= next.begun;
        const bool stood_still = next.begun - last.last_work > timeout_ns / 2;
        if (!was_harmed && !gave_up && !stood_still) {
            wrong.push_back("fence " + std::to_string(next.fence) + " preempts " +
                            std::to_string(last.fence));
        }
    }
}

}  // namespace detail

/// All that does not hold; empty when it is well.
inline std::vector<std::string> judge(const std::vector<step>& steps,
                                      const std::vector<fault>& faults, std::int64_t timeout_ns)
{
    std::vector<std::string> wrong;
    const auto terms = terms_of(steps);
    detail::judge_terms(terms, wrong);
    detail::judge_writes(steps, wrong);
    for (const fault& each : faults) {
        if (detail::is_fatal(each, terms, timeout_ns)) {
            detail::judge_pause(each, steps, wrong);
        }
        if (const auto ahead = detail::head_start(each, terms); ahead && *ahead <= 0) {
            wrong.push_back("not told to stop before the next began: " +
                            std::to_string(each.fence));
        }
    }
    detail::judge_takeovers(terms, faults, timeout_ns, wrong);
    return wrong;
}

/// The same of what stands in the ensemble: names "f<fence>-<sequence>", by their sequence.
inline std::vector<std::string> judge_ledger(std::vector<std::string> names)
{
    const auto sequence = [](const std::string& name) { return name.substr(name.rfind('-')); };
    std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
        return sequence(a) < sequence(b);
    });
    std::vector<std::string> wrong;
    std::int64_t highest = 0;
    for (const auto& name : names) {
        const std::int64_t fence = std::stoll(name.substr(1));
        if (fence < highest) {
            wrong.push_back("in the ledger: " + name + " behind " + std::to_string(highest));
        }
        highest = std::max(highest, fence);
    }
    return wrong;
}

}  // namespace coati::test::handover
