// A stage for small applications: three servers, hosts, instances that crash and come back, and a
// storm of faults that is another one with every seed.
//
// An application is a body for `supervise`; what must hold at the end is its own to say. Nothing
// here knows which of them has a bug planted in it.
#pragma once

#include <coati/body.hpp>
#include <coati/supervise.hpp>
#include <coati/testing/faults.hpp>
#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace coati::test::planted {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using coati::testing::scripted_ensemble;
using coati::testing::scripted_server;
using coati::testing::world;
using task = asio::awaitable<result<void>>;

/// What did not hold.
struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void must(bool holds, const std::string& what)
{
    if (!holds) {
        throw violation(what);
    }
}

/// One process of an application, on a host of its own.
class instance {
public:
    using body = std::function<task(client)>;

    /// With `has_own_sessions` the body gets the client itself, and runs its sessions.
    instance(world& in, std::size_t number, std::function<body()> make, bool has_own_sessions)
        : in_(in), host_("host-" + std::to_string(number)), make_(std::move(make)),
          has_own_sessions_(has_own_sessions)
    {
    }
    const std::string& host() const { return host_; }
    /// Of the process that runs; undefined for one that has crashed.
    const client& zk() const { return *running_->zk; }
    bool is_running() const { return running_ != nullptr; }
    /// Its client, which outlives sessions; while it runs, and in `make` already.
    const client& outer() const { return *running_->zk; }

    void start()
    {
        config c;
        for (const auto* const address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
            c.servers.push_back({address, 2181});
        }
        c.session_timeout = 6s;
        running_ = std::make_shared<life>();
        running_->zk.emplace(serial(in_.get_executor()), c, in_.make_transport(host_));
        running_->app = make_();
        running_->go = [app = running_->app](client zk) { return app(std::move(zk)); };
        const auto ended = [keep = running_](const std::exception_ptr& thrown,
                                             const result<void>&) {
            if (thrown) {
                pass_on(thrown);
            }
        };
        if (has_own_sessions_) {
            detail::spawn_root(in_.get_executor(), running_->go(*running_->zk),
                               result<void>(errc::cancelled))(
                asio::bind_cancellation_slot(running_->stop.slot(), ended));
            return;
        }
        supervise(*running_->zk,
                  running_->go)(asio::bind_cancellation_slot(running_->stop.slot(), ended));
    }
    /// The process dies: its session lives on until its timeout.
    void crash()
    {
        if (const auto last = std::exchange(running_, nullptr)) {
            last->stop.emit(asio::cancellation_type::terminal);
        }
    }

private:
    /// Whatever it is but the crash.
    static void pass_on(const std::exception_ptr& thrown)
    {
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& e) {
            if (e.code() != asio::error::operation_aborted) {
                throw;
            }
        }
    }

    struct life {
        std::optional<client> zk;
        body app;
        body go;
        asio::cancellation_signal stop;
    };

    world& in_;
    std::string host_;
    std::function<body()> make_;
    bool has_own_sessions_;
    std::shared_ptr<life> running_;
};

/// The world of one seed.
class stage {
public:
    explicit stage(std::uint64_t seed) : in(seed), ensemble(in, options())
    {
        in.jitter(2ms);
        for (const auto* const address : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
            servers.push_back(
                std::make_unique<scripted_server>(ensemble, in, endpoint(address, 2181)));
        }
    }

    template <class Make>
    void add(Make make, bool has_own_sessions = false)
    {
        instances.push_back(
            std::make_unique<instance>(in, instances.size(), std::move(make), has_own_sessions));
        instances.back()->start();
    }

    std::uint64_t below(std::uint64_t n) { return in.random() % n; }
    duration between(duration low, duration high)
    {
        const auto span = static_cast<std::uint64_t>((high - low).count());
        return low + duration(static_cast<duration::rep>(below(span)));
    }

    /// Faults for so long; `meanwhile` is called between them. All is well again afterwards.
    void storm(
        duration length, const std::function<void()>& meanwhile = [] {})
    {
        const time_point end = in.now() + length;
        while (in.now() < end) {
            break_something();
            in.run_for(between(50ms, 2s));
            meanwhile();
            mend(in.now());
        }
        mend(never);
        in.rejoin();
        for (const auto& each : instances) {
            in.thaw(each->host());
        }
    }
    /// Time to come to rest.
    void calm(duration length = 90s) { in.run_for(length); }

    world in;
    scripted_ensemble ensemble;
    std::vector<std::unique_ptr<scripted_server>> servers;
    std::vector<std::unique_ptr<instance>> instances;
    std::set<std::int64_t> killed;  // sessions that were ended before their time

private:
    static testing::ensemble_options options()
    {
        testing::ensemble_options o;
        o.elections = true;
        o.tick = 1s;
        return o;
    }

    scripted_server& any_server() { return *servers[below(servers.size())]; }
    instance& any_instance() { return *instances[below(instances.size())]; }

    void later(duration in_between, std::function<void()> what)
    {
        mends_.emplace_back(in.now() + in_between, std::move(what));
    }
    void mend(time_point until)
    {
        std::vector<std::pair<time_point, std::function<void()>>> due;
        std::erase_if(mends_, [&](auto& each) {
            const bool is_due = each.first <= until;
            if (is_due) {
                due.push_back(std::move(each));
            }
            return is_due;
        });
        for (const auto& [when, what] : due) {
            what();
        }
    }

    void break_something()
    {
        constexpr std::uint64_t kinds = 10;
        switch (below(kinds)) {
        case 0:
            if (const auto all = in.connections(); !all.empty()) {
                in.cut(all[below(all.size())].id);
            }
            return;
        case 1: {
            const std::string host = any_instance().host();
            in.separate(host);
            later(between(500ms, 20s), [this, host] { in.rejoin(host); });
            return;
        }
        case 2: {
            auto& server = any_server();
            server.kill();
            later(between(200ms, 5s), [&server] { server.restart(); });
            return;
        }
        case 3:
            if (const auto all = ensemble.sessions(); !all.empty()) {
                const auto id = all[below(all.size())].id;
                killed.insert(id);
                ensemble.expire(id);
            }
            return;
        case 4: {
            auto& server = any_server();
            server.isolate();
            later(between(200ms, 5s), [&server] { server.heal(); });
            return;
        }
        case 5: {
            auto& server = any_server();
            server.lag(between(10ms, 900ms));
            later(between(500ms, 5s), [&server] { server.lag(0ms); });
            return;
        }
        case 6:
        case 7: return lose_a_reply();
        case 8: return stop_somebody();
        default: {
            auto& one = any_instance();
            one.crash();
            later(between(100ms, 4s), [&one] {
                if (!one.is_running()) {
                    one.start();
                }
            });
        }
        }
    }

    /// For up to two session timeouts; it goes on by itself.
    void stop_somebody()
    {
        const auto order =
            below(2) == 0 ? testing::wake_order::network_first : testing::wake_order::timers_first;
        in.freeze(any_instance().host(), between(100ms, 12s), order);
    }

    /// Of the next write to each server: done, and its author does not know.
    void lose_a_reply()
    {
        using wire::op_code;
        constexpr std::array ops{op_code::create, op_code::remove, op_code::set_data,
                                 op_code::multi};
        const auto op = ops[below(ops.size())];
        for (const auto& each : servers) {
            each->on_frame(testing::lose_reply(op));
        }
        later(5s, [this] {
            for (const auto& each : servers) {
                each->on_frame({});
            }
        });
    }

    std::vector<std::pair<time_point, std::function<void()>>> mends_;
};

}  // namespace coati::test::planted
