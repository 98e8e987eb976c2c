// The shared part of a watch: in the engine's table while armed, in the user's handle until
// dropped.
#pragma once

#include "engine.hpp"

#include <coati/protocol/watch_table.hpp>
#include <coati/watch.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace coati::detail {

class watch_state final : public protocol::watcher {
public:
    explicit watch_state(scope_ptr owner) : owner_(std::move(owner)) {}

    void on_event(event_type type, std::string_view server_path, std::int64_t zxid) override;
    void on_end(const error& why) override;

    operation_id start_next(pending_base& op);
    /// The user dropped it. Its server watch goes too when nobody else needs it.
    void release(const std::string& server_path);

    const scope_ptr& owner() const noexcept { return owner_; }
    bool is_armed() const noexcept { return !fired_ && !end_; }
    const std::optional<error>& end() const noexcept { return end_; }

    std::shared_ptr<std::string> server_path;

private:
    scope_ptr owner_;
    std::optional<event> fired_;  // not delivered yet
    std::optional<error> end_;
    operation_id waiter_ = 0;
};

/// Arms a watch for an answered operation; its server path is the operation's target.
watch arm(pending_base& op, wire::watch_kind kind);

}  // namespace coati::detail
