// The differences that are no mistake of the model, each with its name and its reason: what
// ZooKeeper leaves open. docs/explanation/faithfulness.md has the same table.
#pragma once

#include "peer.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coati::differential {

struct rule {
    std::string_view name;
    std::string_view why;
    /// Elements of this {a|b} may stand in any order; empty for the rule about events.
    std::string_view group;
    std::size_t applied = 0;
};

class rulebook {
public:
    /// True when the transcripts of this step are equal, but for what exactly one rule explains
    /// line by line.
    bool explains(const step& s, const transcript& real, const transcript& model);
    std::span<const rule> all() const { return rules_; }

private:
    bool explains_line(const std::string& real, const std::string& model);
    bool explains_events(const transcript& real, const transcript& model, std::size_t& at);

    std::vector<rule> rules_{
        {"children-order", "names of children come in the order of a hash set", "children{"},
        {"ephemerals-order", "paths of ephemerals come in the order of a hash set", "ephemerals{"},
        {"identities-order", "identities of a connection are a hash set", "identities{"},
        {"acl-order", "the scheme auth becomes one entry an identity, in that order", "acl{"},
        {"session-end-order", "a session's ephemerals are a hash set, deleted in its order", ""},
    };
};

}  // namespace coati::differential
