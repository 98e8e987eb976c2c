// A znode's value, kept at hand: the run that follows it, and what readers are told.
//
// Connection by connection: each begins with a read of its own, since only that tells whether
// what is known is still true. Whatever happens is noted by callbacks that ring a bell; one
// coroutine, `run`, acts on it. Nothing here knows the type of the value.

#include "client_one_reader.hpp"

#include <coati/bell.hpp>
#include <coati/follow.hpp>
#include <coati/recipe/configuration.hpp>
#include <coati/states.hpp>
#include <coati/supervise.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <vector>

namespace coati {

namespace detail {

namespace asio = boost::asio;

/// Everything but what `snapshot` gives belongs on the client's executor.
class configuration_core : public std::enable_shared_from_this<configuration_core> {
public:
    configuration_core(const client& of, std::string where, decode_to_any by)
        // In the background a time limit means nothing, and a loss is nobody's business.
        : zk(of.with({})), path(std::move(where)), decode(std::move(by)), happened(of), changed(of)
    {
    }

    // --- what readers are told -------------------------------------------------------------------

    snapshot_ptr snapshot() const
    {
        const std::lock_guard lock(guard_);
        return now_;
    }
    void publish(configuration_snapshot next)
    {
        next.number = now_->number + 1;
        auto made = std::make_shared<const configuration_snapshot>(std::move(next));
        {
            const std::lock_guard lock(guard_);
            now_.swap(made);
        }
        changed.ring();
    }

    /// What is read is older than what was read before: by a server that is behind, in another
    /// session. (In one session servers see to it.)
    bool is_older(const followed& read) const
    {
        const configuration_status& known = now_->status;
        return read.zxid < known.zxid || (read.stat && read.stat->mzxid < known.newest_mzxid());
    }
    void take(const followed& read, bool is_live);
    void mark_stale();

    // --- what has happened -----------------------------------------------------------------------

    void on_state(const state_change& to);
    void on_value(std::uint64_t looked, result<followed> read);

    client zk;
    std::string path;
    decode_to_any decode;

    bool is_running = false;
    bool is_dropped = false;     ///< No handle is left.
    std::optional<error> ended;  ///< How the last run did, unless there is a run.

    session_state state = session_state::disconnected;
    std::uint64_t turns = 0;   ///< Connections, and ends of sessions: each wants a look of its own.
    std::uint64_t looked = 0;  ///< The turn that is being followed.
    std::optional<result<followed>> arrived;  ///< In that turn, not taken yet.

    bell happened;  ///< For `run`: anything of the above.
    bell changed;   ///< For readers: there is another snapshot, or `run` has ended.

private:
    void read_content(configuration_snapshot& next, const followed& read) const;

    mutable std::mutex guard_;  // for `get` on any thread
    snapshot_ptr now_ = std::make_shared<const configuration_snapshot>();
};

namespace {

bool holds_same_bytes(const configuration_status& known, const followed& read)
{
    if (!known.is_loaded || known.exists != read.exists()) {
        return false;
    }
    if (!read.stat) {
        return true;
    }
    const stat& newest = known.flaw ? known.flaw->stat : *known.stat;
    return newest.mzxid == read.stat->mzxid && newest.czxid == read.stat->czxid;
}

/// The last moment at which the server is known to have told us everything: when the request was
/// sent that it answered last.
time_point last_sure_of(const client& zk)
{
    const time_point now = zk.now();
    const auto until = zk.proved_until();
    return until ? std::min(now, *until - zk.negotiated_timeout()) : now;
}

}  // namespace

void configuration_core::read_content(configuration_snapshot& next, const followed& read) const
{
    next.status.exists = read.exists();
    next.status.flaw.reset();
    if (!read.exists()) {
        next.status.stat.reset();
        next.value.reset();
        return;
    }
    auto value = decode(read.data);
    if (!value) {
        next.status.flaw.emplace(value.why(), *read.stat);
        return;
    }
    next.status.stat = read.stat;
    next.value = *std::move(value);
}

void configuration_core::take(const followed& read, bool is_live)
{
    configuration_snapshot next = *now_;
    const bool is_new = !holds_same_bytes(next.status, read);
    if (is_new) {
        read_content(next, read);
    }
    const bool was_live = next.status.is_live();
    next.status.is_loaded = true;
    next.status.zxid = read.zxid;
    if (is_live) {
        next.status.stale_since.reset();
    } else if (!next.status.stale_since) {
        next.status.stale_since = last_sure_of(zk);
    }
    // A zxid that has moved on is no news to anybody, but is_older wants to know.
    const bool is_news = is_new || was_live != next.status.is_live();
    next.number = now_->number;
    if (is_news) {
        publish(std::move(next));
        return;
    }
    auto same = std::make_shared<const configuration_snapshot>(std::move(next));
    const std::lock_guard lock(guard_);
    now_.swap(same);
}

void configuration_core::mark_stale()
{
    if (!now_->status.is_live()) {
        return;
    }
    configuration_snapshot next = *now_;
    next.status.stale_since = last_sure_of(zk);
    publish(std::move(next));
}

void configuration_core::on_state(const state_change& to)
{
    state = to.state;
    if (!is_connected(state)) {
        mark_stale();
    }
    if (is_connected(state) || is_terminal(state)) {
        ++turns;
    }
    happened.ring();
}

void configuration_core::on_value(std::uint64_t turn, result<followed> read)
{
    if (turn == looked) {
        arrived = std::move(read);
        happened.ring();
    }
}

namespace {

/// One call of `run`: the streams that it reads, and what it leaves behind.
class configuration_run {
public:
    explicit configuration_run(configuration_ptr core)
        : core_(std::move(core)), states_(core_->zk.states())
    {
        core_->is_running = true;
        core_->ended.reset();
        core_->state = session_state::disconnected;
        core_->arrived.reset();
        if (core_->zk.is_pinned()) {
            ++core_->turns;  // its session may be over, with nobody to tell of it
        }
        ask_state();
    }
    configuration_run(const configuration_run&) = delete;
    configuration_run& operator=(const configuration_run&) = delete;
    ~configuration_run()
    {
        core_->looked = ++core_->turns;  // what still arrives is nobody's
        core_->mark_stale();
        core_->is_running = false;
        core_->ended = ending;
        core_->changed.ring();
    }

    /// The connection, or the end of a session, of this turn wants a look.
    bool is_due() const { return core_->looked != core_->turns; }
    void look()
    {
        core_->looked = core_->turns;
        core_->arrived.reset();
        const bool has_session = is_connected(core_->state);
        values_.emplace(follow(has_session ? core_->zk.pinned() : core_->zk, core_->path));
        ask_value();
    }
    void ask_value()
    {
        core_->arrived.reset();
        auto told = [core = core_, turn = core_->looked](result<followed> read) {
            core->on_value(turn, std::move(read));
        };
        values_->next()(asio::bind_executor(core_->zk.get_executor(), std::move(told)));
    }
    /// Whether what has been read may be called live.
    bool is_with_ensemble() const { return core_->state == session_state::connected && !is_due(); }

    error ending{errc::cancelled};

private:
    // The streams end with this object: the callbacks that wait then do nothing.
    void ask_state()
    {
        auto told = [core = core_, alive = std::weak_ptr<int>(alive_),
                     this](const result<state_change>& to) {
            if (to && !alive.expired()) {
                core->on_state(*to);
                ask_state();
            }
        };
        states_.next()(asio::bind_executor(core_->zk.get_executor(), std::move(told)));
    }

    configuration_ptr core_;
    std::shared_ptr<int> alive_ = std::make_shared<int>();
    state_stream states_;
    std::optional<value_stream> values_;
};

/// An older value than one that was shown: behind a committed write a server has everything that
/// was ever shown, so the next look decides. (What is older still then is so because the ensemble
/// was put back to an earlier state.)
asio::awaitable<result<void>> pass_barrier(configuration_ptr core)
{
    auto barrier = core->zk.pinned().multi(std::vector<any_op>());
    const result<multi_results> passed = co_await std::move(barrier);
    if (!passed) {
        co_return passed.error();
    }
    co_return success();
}

bool ends_configuration(const client& zk, const error& e)
{
    if (e.session_lost()) {
        return zk.is_pinned() || !deserves_new_session(e.code());
    }
    return e.is_answer() && e != errc::not_read_only && e != errc::throttled_op;
}

/// What a repetition may mend. The end of a session is followed by a turn of its own.
asio::awaitable<void> pause_after(configuration_ptr core, error e)
{
    if (e.is_answer()) {
        auto pause = core->zk.sleep_for(std::chrono::seconds(1));
        static_cast<void>(co_await std::move(pause));
    }
}

/// Returns how the run ended.
asio::awaitable<error> keep_configuration(configuration_ptr core,
                                          std::shared_ptr<configuration_run> here)
{
    bool is_behind_barrier = false;
    for (;;) {
        const auto heard = core->happened.count();
        if (core->is_dropped) {
            co_return error(errc::cancelled);
        }
        if (here->is_due()) {
            is_behind_barrier = false;
            here->look();
        }
        if (!core->arrived) {
            auto more = core->happened.after(heard);
            const result<void> rung = co_await std::move(more);
            if (!rung) {
                co_return rung.error();
            }
            continue;
        }
        const result<followed> read = *std::exchange(core->arrived, std::nullopt);
        if (!read) {
            if (ends_configuration(core->zk, read.error())) {
                co_return read.error();
            }
            auto pause = pause_after(core, read.error());
            co_await std::move(pause);
            if (!here->is_due() && !read.error().session_lost()) {
                here->ask_value();
            }
            continue;
        }
        if (!core->is_older(*read) || is_behind_barrier) {
            core->take(*read, here->is_with_ensemble());
            here->ask_value();
            continue;
        }
        if (core->state != session_state::connected) {
            here->ask_value();  // without a quorum nothing can be done about it
            continue;
        }
        auto catching_up = pass_barrier(core);
        const result<void> caught_up = co_await std::move(catching_up);
        if (!caught_up && ends_configuration(core->zk, caught_up.error())) {
            co_return caught_up.error();
        }
        if (!caught_up) {
            auto pause = pause_after(core, caught_up.error());
            co_await std::move(pause);
        }
        if (!here->is_due()) {
            is_behind_barrier = caught_up.has_value();
            here->look();
        }
    }
}

asio::awaitable<result<void>> run_configuration(configuration_ptr core)
{
    if (core->is_running) {
        co_return error(errc::already_running);
    }
    const auto here = std::make_shared<configuration_run>(core);
    auto work = keep_configuration(core, here);
    here->ending = co_await std::move(work);
    co_return here->ending;
}

asio::awaitable<result<void>> until_loaded(configuration_ptr core)
{
    for (;;) {
        const auto heard = core->changed.count();
        if (core->snapshot()->status.is_loaded) {
            co_return success();
        }
        if (core->is_dropped) {
            co_return error(errc::cancelled);
        }
        if (core->ended) {
            co_return *core->ended;
        }
        auto more = core->changed.after(heard);
        const result<void> rung = co_await std::move(more);
        if (!rung) {
            co_return rung.error();
        }
    }
}

}  // namespace

configuration_ptr make_configuration(const client& zk, std::string path, decode_to_any by)
{
    return std::make_shared<configuration_core>(zk, std::move(path), std::move(by));
}

snapshot_ptr snapshot_of(const configuration_core& core)
{
    return core.snapshot();
}

operation<void> run_of(const client& zk, configuration_ptr core)
{
    return compose<void>(zk.with({}), [core](const client&) { return run_configuration(core); });
}

operation<void> ready_of(const client& zk, configuration_ptr core)
{
    return compose<void>(zk, [core](const client&) { return until_loaded(core); });
}

asio::awaitable<result<snapshot_ptr>> next_of(configuration_ptr core,
                                              std::shared_ptr<configuration_cursor> at)
{
    if (at->is_waited_for) {
        co_return error(errc::already_waiting);
    }
    const one_reader mine(at);
    for (;;) {
        const auto heard = core->changed.count();
        const snapshot_ptr now = core->snapshot();
        if (now->number != at->seen) {
            at->seen = now->number;
            co_return now;
        }
        if (core->is_dropped) {
            co_return error(errc::cancelled);
        }
        if (core->ended) {
            co_return *core->ended;
        }
        auto more = core->changed.after(heard);
        const result<void> rung = co_await std::move(more);
        if (!rung) {
            co_return rung.error();
        }
    }
}

void drop_configuration(configuration_ptr core) noexcept
{
    const auto executor = core->zk.get_executor();
    if (!executor) {
        return;  // its context has ended, and the run with it
    }
    asio::post(executor, [core = std::move(core)] {
        core->is_dropped = true;
        core->happened.ring();
        core->changed.ring();
    });
}

}  // namespace detail

}  // namespace coati
