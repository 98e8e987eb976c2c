// A story told again and again, each time with a mishap one step later: what must hold whatever
// happens wherever.
#pragma once

#include "engine/support.hpp"

#include <boost/asio/post.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati::test {

enum class mishap : std::uint8_t {
    lost_frame,  ///< The frame does not arrive, and the connection is gone.
    expiry,      ///< The ensemble ends the session, and the frame passes.
};

/// Two clients of one server: `s.zk` is the one that things happen to, and is kept in a session by
/// runs that follow each other; `witness` is not touched.
class stepping {
public:
    explicit stepping() : s(1), witness(s.make_client(plain_config(1)))
    {
        keep_running();
        s.start(witness.run());
        REQUIRE(s.ask(s.zk->connected()));
        REQUIRE(s.ask(witness.connected()));
        mine_ = s.zk->session().id;
    }

    /// The mishap comes with frame `step` from now on that belongs to `s.zk`.
    void plan(mishap what, std::size_t step)
    {
        s.server(0).on_frame([this, what, step](const frame_view& f) {
            if (!is_mine(f.connection) || f.handshake || happened || seen_++ != step) {
                return verdict::pass();
            }
            happened = true;
            if (what == mishap::lost_frame) {
                return verdict::close();
            }
            asio::post(s.in.get_executor(), [this] { s.ensemble.expire(s.zk->session().id); });
            return verdict::pass();
        });
    }
    /// The handlers that have run, at each of which something can be cancelled.
    bool run_turns(std::size_t n, const std::function<bool()>& is_over)
    {
        std::size_t turns = 0;
        s.in.run_until([&] { return is_over() || turns++ == n; }, 10min);
        return !is_over();
    }

    std::vector<std::string> children(const std::string& of)
    {
        const auto all = s.ask(witness.children(of));
        return all ? all->names : std::vector<std::string>();
    }

    simulation s;
    client witness;
    bool happened = false;

private:
    void keep_running()
    {
        s.zk->run()([this](const result<void>&) { keep_running(); });
    }
    /// Connections are numbered in their order: the witness has the second one.
    static bool is_mine(std::uint64_t connection) { return connection != 2; }

    std::size_t seen_ = 0;
    std::int64_t mine_ = 0;
};

/// Tells the story with the mishap at step 0, 1, 2 ... until it is over before the mishap. Returns
/// the number of steps.
template <class Story>
std::size_t at_every_frame(mishap what, const Story& story)
{
    for (std::size_t step = 0;; ++step) {
        stepping at;
        at.plan(what, step);
        INFO("at frame " << step);
        story(at);
        if (!at.happened) {
            return step;
        }
    }
}

/// Starts the story's operation and cancels it after 0, 1, 2 ... handlers, until it is over before.
/// `start(at, stop)` starts it and gives whether it is over; `check(at)` looks afterwards.
template <class Start, class Check>
std::size_t cancelled_at_every_turn(const Start& start, const Check& check)
{
    for (std::size_t turn = 0;; ++turn) {
        stepping at;
        asio::cancellation_signal stop;
        INFO("after " << turn << " handlers");
        std::function<bool()> is_over = start(at, stop);
        const bool is_in_time = at.run_turns(turn, is_over);
        stop.emit(asio::cancellation_type::terminal);
        at.s.until(is_over);
        is_over = nullptr;  // what came too late is dropped
        check(at);
        if (!is_in_time) {
            return turn;
        }
    }
}

}  // namespace coati::test
