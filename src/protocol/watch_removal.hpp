// Takes a watch off the server. Nobody waits for the answer: no_watcher means that it has just
// fired.
#pragma once

#include <coati/protocol/request.hpp>
#include <coati/wire/jute.hpp>
#include <coati/wire/operation_watch.hpp>

#include <string_view>

namespace coati::protocol {

class watch_removal final : public request {
public:
    watch_removal(std::string_view server_path, wire::watcher_type type)
    {
        op = wire::op_code::remove_watches;
        wire::remove_watches::request what;
        what.path = server_path;
        what.type = type;
        wire::encode(body, what);
    }
    void on_reply(const reply&) override { delete this; }
    void on_error(const error&) override { delete this; }
    void discard() noexcept override { delete this; }
};

}  // namespace coati::protocol
