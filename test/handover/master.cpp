// master CONNECT ID FOLDER RECORD TIMEOUT_MS [reckless]
//
// A process that contends for the leadership at FOLDER/leader and works while it leads: each few
// milliseconds a line in the RECORD, which nobody could refuse, and a guarded write below FOLDER,
// which the ensemble refuses when it comes too late. Reckless, it does not listen when it is told
// to stop, so that the judge has something to find.

#include "record.hpp"

#include <coati/recipe/leadership.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace coati::test::handover;
using coati::result;

/// What was left behind by the last term of this process.
struct old_term {
    std::int64_t fence = 0;
    std::string path;
};

class master {
public:
    master(std::string id, std::string folder, const char* record, bool reckless)
        : id_(std::move(id)), folder_(std::move(folder)), reckless_(reckless),
          file_(::open(record, O_WRONLY | O_APPEND | O_CLOEXEC))
    {
    }
    bool is_open() const { return file_ >= 0; }

    /// In one session.
    asio::awaitable<result<void>> live(coati::client zk)
    {
        zk_ = zk;
        auto too_late = write_too_late();
        co_await std::move(too_late);
        const auto lead = [this](coati::leader_scope scope) { return serve(std::move(scope)); };
        auto leading = coati::with_leadership(zk, folder_ + "/leader", id_, lead);
        co_return co_await std::move(leading);
    }

private:
    void say(std::int64_t fence, std::int64_t at, const char* event, std::int64_t zxid = 0) const
    {
        const auto line = line_of({fence, ::getpid(), at, event, zxid});
        if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
            std::perror("master: the record");
            std::abort();
        }
    }

    asio::awaitable<result<void>> serve(coati::leader_scope scope)
    {
        say(scope.fence(), now_ns(), "begin");
        auto too_late = write_too_late();
        co_await std::move(too_late);
        last_ = old_term{scope.fence(), scope.path()};
        for (int i = 0;; ++i) {
            // The moment is taken first: a process can be stopped at any point behind it.
            const auto at = now_ns();
            if (scope.is_good()) {
                say(scope.fence(), at, "work");
            }
            auto writing = write(scope, i % 8 == 0);
            co_await std::move(writing);
            const auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() == asio::cancellation_type::none) {
                auto pause = zk_->sleep_for(4ms);
                const auto slept = co_await std::move(pause);
                if (slept) {
                    continue;
                }
            }
            break;
        }
        say(scope.fence(), now_ns(), "cancelled");
        // It may do so in spite of all.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        auto late = write(scope, false, 50ms);
        co_await std::move(late);
        if (reckless_) {
            ignore(scope.fence());
        }
        say(scope.fence(), now_ns(), "end");
        co_return coati::success();
    }

    /// Works on without a right to, and does not even let its session live.
    void ignore(std::int64_t fence) const
    {
        for (int i = 0; i < 400; ++i) {
            say(fence, now_ns(), "work");
            ::usleep(4'000);
        }
    }

    /// A guarded write, of one of two kinds.
    asio::awaitable<void> write(coati::leader_scope scope, bool to_ledger,
                                coati::duration limit = 10s)
    {
        const auto at = now_ns();
        const auto fence = std::to_string(scope.fence());
        if (to_ledger) {
            auto create = scope.guarded().create(folder_ + "/ledger/f" + fence + "-", "",
                                                 coati::create_mode::persistent_sequential);
            auto limited = zk_->within(limit, std::move(create));
            const auto made = co_await std::move(limited);
            note(scope.fence(), at, made ? coati::errc{0} : made.error().code(), 0);
            co_return;
        }
        auto set = scope.guarded().set(folder_ + "/data", fence);
        auto limited = zk_->within(limit, std::move(set));
        const auto done = co_await std::move(limited);
        note(scope.fence(), at, done ? coati::errc{0} : done.error().code(),
             done ? done->mzxid : 0);
    }

    /// What was held back until another session, on behalf of the last term: a guard has to stand
    /// between it and the data whoever holds the leadership by now.
    asio::awaitable<void> write_too_late()
    {
        if (!last_) {
            co_return;
        }
        const auto at = now_ns();
        const coati::guarded_client guarded(*zk_, last_->path);
        auto set = guarded.set(folder_ + "/data", std::to_string(last_->fence));
        const auto done = co_await std::move(set);
        note(last_->fence, at, done ? coati::errc{0} : done.error().code(), done ? done->mzxid : 0);
    }

    void note(std::int64_t fence, std::int64_t at, coati::errc code, std::int64_t zxid) const
    {
        if (code == coati::errc{0}) {
            if (zxid != 0) {
                say(fence, at, "wrote", zxid);
            }
        } else if (code == coati::errc::lock_lost) {
            say(fence, at, "refused");
        }
    }

    std::string id_;
    std::string folder_;
    bool reckless_;
    int file_;
    std::optional<coati::client> zk_;
    std::optional<old_term> last_;
};

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 6) {
        std::fputs("usage: master CONNECT ID FOLDER RECORD TIMEOUT_MS [reckless]\n", stderr);
        return 2;
    }
    auto settings = coati::config::parse(argv[1]);
    master self(argv[2], argv[3], argv[4], argc > 6);
    if (!settings || !self.is_open()) {
        std::fputs("master: cannot begin\n", stderr);
        return 2;
    }
    settings->session_timeout = std::chrono::milliseconds(std::atoi(argv[5]));
    settings->reconnect_spread = 10ms;
    // Who can be heard and hears nothing would keep its session, and with it its place, by
    // connecting again and again. So it lets the session go.
    settings->expire_locally_after = settings->session_timeout * 4 / 3;
    asio::io_context context(1);
    const coati::client zk(context.get_executor(), std::move(*settings));
    const auto live = [&self](coati::client via) { return self.live(std::move(via)); };
    coati::supervise(zk, live, coati::back_off(20ms, 100ms))([](const std::exception_ptr& thrown,
                                                                const result<void>& ended) {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
        std::fprintf(stderr, "master: ended: %s\n",
                     ended ? "by itself" : std::string(coati::name(ended.error().code())).c_str());
        std::exit(1);
    });
    context.run();
    return 1;
}
