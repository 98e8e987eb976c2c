// One server, one client that always has a session, and what a presence of it keeps.
#pragma once

#include "../engine/planted_stage.hpp"

#include <coati/recipe/presence.hpp>

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace coati::test::presence_kit {

using namespace planted;
using wire::op_code;

inline task idle(client zk)
{
    auto sleep = zk.sleep_for(24h * 365);
    co_return co_await std::move(sleep);
}

inline task idle_sessions(client zk)
{
    static auto app = idle;
    auto all = supervise(std::move(zk), app, back_off(0ms, 0ms));
    co_return co_await std::move(all)(asio::use_awaitable);
}

inline task run_of(presence here)
{
    auto run = here.run();
    co_return co_await std::move(run);
}

/// One server, one client that always has a session, and what it keeps.
class site {
public:
    explicit site(std::uint64_t seed = 1, presence_options how = {})
        : in(seed), ensemble(in), server(ensemble, in, endpoint("10.0.0.1", 2181)),
          zk(serial(in.get_executor()), settings(), in.make_transport("home")), here(zk, how)
    {
        hold_sessions();
    }

    static config settings()
    {
        auto c = config::parse("10.0.0.1:2181").value();
        c.session_timeout = 6s;
        c.reconnect_spread = 0ms;
        return c;
    }

    void hold_sessions()
    {
        asio::co_spawn(in.get_executor(), idle_sessions(zk),
                       [](const std::exception_ptr&, auto) {});
    }
    void run()
    {
        ended.reset();
        here.run()(asio::bind_cancellation_slot(
            stop.slot(), [this](const result<void>& r) { ended = r.error(); }));
    }
    bool settles(duration within = 5s)
    {
        auto done = std::make_shared<bool>(false);
        here.settled()([done](const result<void>& r) { *done = r.has_value(); });
        return in.run_until([done] { return *done; }, within);
    }
    std::int64_t owner(const std::string& path) const { return ensemble.ephemeral_owner(path); }
    std::int64_t session() const { return zk.session().id; }
    presence_status status(std::string_view path) const { return here.znode(path)->status; }
    /// Requests that are no pings.
    std::size_t requests() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(
            server.log(), [](const auto& each) { return each.op != op_code::ping; }));
    }

    world in;
    scripted_ensemble ensemble;
    scripted_server server;
    client zk;
    presence here;
    asio::cancellation_signal stop;
    std::optional<error> ended;
};

}  // namespace coati::test::presence_kit
