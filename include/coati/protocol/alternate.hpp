// Two kinds in turn: how the addresses of a name are tried, so that a family which leads nowhere
// costs one attempt and not all of them (RFC 8305, section 4).
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace coati::protocol {

/// One for which `is_first_kind` holds, one for which it does not, and so on; what is left over of
/// a kind comes last. Each kind keeps its order.
template <class T, class Predicate>
std::vector<T> alternate(std::vector<T> all, Predicate is_first_kind)
{
    const auto middle = std::stable_partition(all.begin(), all.end(), std::move(is_first_kind));
    std::vector<T> turns;
    turns.reserve(all.size());
    auto one = all.begin();
    auto other = middle;
    while (one != middle || other != all.end()) {
        if (one != middle) {
            turns.push_back(std::move(*one++));
        }
        if (other != all.end()) {
            turns.push_back(std::move(*other++));
        }
    }
    return turns;
}

}  // namespace coati::protocol
