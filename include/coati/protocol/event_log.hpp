// What the reader of one stream has not seen yet, bounded: a slow reader must neither make memory
// grow nor miss anything without being told.
//
// When there is no room left, everything unread gives way to one gap that counts it: whoever is
// told to read again has no use for what came before. Knows no readers, no waiting and no chroot.
#pragma once

#include <coati/event.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace coati::protocol {

class event_log {
public:
    /// At most `capacity` events (at least 1) wait; with `merge` an event replaces one of the same
    /// type and path that still waits, at the end of the queue, and counts it.
    event_log(std::size_t capacity, bool merge)
        : capacity_(capacity == 0 ? 1 : capacity), merge_(merge)
    {
    }

    void push(stream_event e)
    {
        if (merge_) {
            replace_older(e);
        }
        if (events_ == capacity_) {
            overflow(e);
            return;
        }
        waiting_.push_back(std::move(e));
        ++events_;
        if (merge_) {
            newest_[key_of(waiting_.back())] = std::prev(waiting_.end());
        }
    }

    /// Events were missed. What waits already is older than that, and stays.
    void push_gap(gap_reason why)
    {
        newest_.clear();  // nothing is merged across a gap
        if (!waiting_.empty() && waiting_.back().is_gap()) {
            waiting_.back() = stream_event(why);
            return;
        }
        waiting_.emplace_back(why);
    }

    /// The oldest; nothing when the reader is up to date.
    std::optional<stream_event> pop()
    {
        if (waiting_.empty()) {
            return std::nullopt;
        }
        forget_front();
        stream_event oldest = std::move(waiting_.front());
        waiting_.pop_front();
        events_ -= oldest.is_gap() ? 0 : 1;
        return oldest;
    }

    bool empty() const noexcept { return waiting_.empty(); }
    /// Events that wait, without gaps.
    std::size_t size() const noexcept { return events_; }

private:
    using queue = std::list<stream_event>;
    using key = std::pair<std::string, event_type>;

    static key key_of(const stream_event& e) { return {e.path, e.type}; }

    // Moving the newest to where the oldest was would end a created, deleted, created in a removal.
    void replace_older(stream_event& e)
    {
        const auto found = newest_.find(key_of(e));
        if (found != newest_.end()) {
            e.merged += found->second->merged + 1;
            waiting_.erase(found->second);
            newest_.erase(found);
            --events_;
        }
    }

    void forget_front()
    {
        if (const auto found = newest_.find(key_of(waiting_.front()));
            found != newest_.end() && found->second == waiting_.begin()) {
            newest_.erase(found);
        }
    }

    void overflow(const stream_event& last)
    {
        std::optional<std::uint64_t> dropped = last.merged + 1;
        for (const stream_event& each : waiting_) {
            if (each.is_gap() && !each.dropped) {
                dropped.reset();  // nobody knows what the connection's loss had cost
            } else if (dropped) {
                *dropped += each.is_gap() ? *each.dropped : each.merged + 1;
            }
        }
        waiting_.clear();
        newest_.clear();
        events_ = 0;
        waiting_.emplace_back(gap_reason::overflow, dropped);
    }

    queue waiting_;
    std::map<key, queue::iterator> newest_;
    std::size_t capacity_;
    std::size_t events_ = 0;
    bool merge_;
};

}  // namespace coati::protocol
