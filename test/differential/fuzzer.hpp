// Runs the same rounds against two servers, finds where they differ and makes that small.
#pragma once

#include "peer.hpp"
#include "rules.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coati::differential {

/// Where two servers first differ in a round.
struct difference {
    step at;
    std::size_t index = 0;  ///< Of the step in its round.
    transcript real, model;
};

/// A difference, as short as it could be made.
struct finding {
    std::uint64_t seed = 0;  ///< Of the round.
    sequence steps;
    difference what;

    std::string text() const;
};

struct fuzzer_options {
    std::size_t operations = 100'000;
    std::uint64_t seed = 1;              ///< Of the first round; the others count up from it.
    std::size_t findings = 1;            ///< So many, and it stops.
    std::chrono::seconds shrinking{20};  ///< A finding.
};

class fuzzer {
public:
    /// The ports of two servers, and whether they are of 3.9 or later.
    fuzzer(std::uint16_t real, std::uint16_t model, bool is_39)
        : real_(real, is_39), model_(model, is_39)
    {
    }

    std::vector<finding> run(const fuzzer_options& options);

    std::size_t operations() const { return operations_; }
    std::size_t rounds() const { return rounds_; }
    const rulebook& rules() const { return rules_; }

private:
    std::optional<difference> run_round(const sequence& steps);
    std::optional<difference> run_step(const step& s, std::size_t index);
    std::optional<difference> end_sessions(std::size_t index);
    finding shrink(std::uint64_t seed, sequence steps, difference first,
                   std::chrono::seconds limit);

    peer real_;
    peer model_;
    rulebook rules_;
    std::size_t operations_ = 0;
    std::size_t rounds_ = 0;
    std::size_t roots_ = 0;
};

}  // namespace coati::differential
