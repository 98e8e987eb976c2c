// The shared part of a stream: in the engine's table while the session lives, in the user's handle
// until dropped.
#pragma once

#include "engine.hpp"

#include <coati/protocol/event_log.hpp>
#include <coati/protocol/watch_table.hpp>
#include <coati/watch_stream.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace coati::detail {

class stream_state final : public protocol::watcher,
                           public wakeable,
                           public std::enable_shared_from_this<stream_state> {
public:
    stream_state(scope_ptr owner, std::string path, std::string server_path, watch_mode mode,
                 stream_options how);

    void on_event(event_type type, std::string_view where, std::int64_t zxid) override;
    void on_gap(gap_reason why) override;
    void on_end(const error& why) override;
    /// Gives the waiting reader what has been noted.
    void wake() override;

    operation_id start_next(pending_base& op);
    /// The user dropped it. The server's watch goes too when nobody else needs it.
    void release();

    const scope_ptr& owner() const noexcept { return owner_; }
    const std::string& path() const noexcept { return path_; }
    const std::string& server_path() const noexcept { return server_path_; }
    watch_mode mode() const noexcept { return mode_; }
    std::size_t unread() const noexcept { return log_.size(); }
    const std::optional<error>& end() const noexcept { return end_; }

private:
    void note();

    scope_ptr owner_;
    std::string path_;
    std::string server_path_;
    protocol::event_log log_;
    std::optional<error> end_;
    operation_id waiter_ = 0;
    watch_mode mode_;
};

/// What a call of `client::watch` asks for, until it is started.
class stream_request {
public:
    std::string path;
    std::string server_path;
    watch_mode mode = watch_mode::persistent;
    stream_options how;
};

}  // namespace coati::detail
