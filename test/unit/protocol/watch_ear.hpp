// A watcher that remembers what it was told.
#pragma once

#include <coati/protocol/watch_table.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace coati_test {

class ear final : public coati::protocol::watcher {
public:
    using heard = std::tuple<coati::event_type, std::string, std::int64_t>;

    void on_event(coati::event_type type, std::string_view path, std::int64_t zxid) override
    {
        ++told;
        last = heard(type, std::string(path), zxid);
        all.push_back(*last);
        if (then) {
            std::exchange(then, nullptr)();
        }
    }
    void on_gap(coati::gap_reason why) override { gaps.push_back(why); }
    void on_end(const coati::error& why) override
    {
        ++told;
        end = why.code();
        if (then) {
            std::exchange(then, nullptr)();
        }
    }

    int told = 0;
    std::optional<heard> last;
    std::vector<heard> all;
    std::vector<coati::gap_reason> gaps;
    std::optional<coati::errc> end;
    std::function<void()> then;
};

}  // namespace coati_test
