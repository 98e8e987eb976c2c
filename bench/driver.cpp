// coati as a driver of the benchmark harness: the command line and the JSON line of bench.hpp.
//
// The client in its plainest form: one io_context, one thread, coati::serial, and `--window`
// coroutines a session that each wait for one operation after the other. Without --servers a small
// server of the testing kit is started in a process of its own.

#include "bench.hpp"
#include "local_server.hpp"

#include <coati/coati.hpp>
#include <coati/testing/embedded_server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
using coati::errc;

/// What a coroutine of the driver ended with, if by an exception.
void fail_loudly(std::exception_ptr failed)
{
    if (failed) {
        std::rethrow_exception(failed);
    }
}

template <std::size_t... I>
auto sets(const coati::client& zk, const std::string& path, const std::string& data,
          std::index_sequence<I...>)
{
    return zk.multi(((void)I, coati::op::set(path, data))...);
}

/// One session and the coroutines that use it.
class session {
public:
    session(asio::io_context& context, const coati::config& settings, const Args& args)
        : zk_(coati::serial(context.get_executor()), settings), args_(args), path_(args.get_path()),
          data_(static_cast<std::size_t>(args.size), 'v')
    {
        zk_.run()([](const coati::result<void>& ended) {
            std::fprintf(stderr, "session: %s\n",
                         ended ? "closed" : ended.error().message().c_str());
            _exit(1);
        });
    }

    const coati::client& zk() const { return zk_; }
    void spawn(asio::awaitable<void> what)
    {
        asio::co_spawn(zk_.get_executor(), std::move(what), fail_loudly);
    }

    /// A coroutine of the workload's kind. Each kind has a frame of its own, as an application's
    /// coroutines would: one with all kinds in it would be several times as large.
    void start_slot(Lane* lane, const std::string& own_path)
    {
        const auto get = [this] { return zk_.get(path_); };
        const auto set = [this] { return zk_.set(path_, data_); };
        const auto create = [this, own_path] { return zk_.create(own_path, data_); };
        const auto remove = [this, own_path] { return zk_.remove(own_path); };
        const auto multi = [this] {
            return sets(zk_, path_, data_, std::make_index_sequence<10>());
        };
        switch (args_.op(0)) {
        case GET:
            spawn(args_.op(9) == SET ? in_turns(lane, get, set) : again_and_again(lane, get));
            break;
        case SET: spawn(again_and_again(lane, set)); break;
        case CREATE:
        case DEL: spawn(in_turns(lane, create, remove)); break;
        case MULTI: spawn(again_and_again(lane, multi)); break;
        }
    }

    /// One lock for all who run this: acquired and released is one operation.
    asio::awaitable<void> lock_and_release(Lane* lane)
    {
        for (std::uint64_t begun = 0; lane->start(begun);) {
            auto acquiring = coati::acquire(zk_, "/bench-lock");
            auto held = co_await std::move(acquiring);
            bool is_good = held.has_value();
            if (is_good) {
                auto releasing = held->release();
                is_good = (co_await std::move(releasing)).has_value();
            }
            lane->end(begun, is_good);
        }
    }

    // --- watches

    /// Sets watches number `next_`, `next_ + 1` ... and keeps them; several of these run at once.
    asio::awaitable<void> register_watches()
    {
        while (next_ < args_.n) {
            const std::string path = "/w/" + std::to_string(next_++);
            auto seen = co_await zk_.get_and_watch(path);
            if (!seen) {
                throw coati::exception(seen.error());
            }
            watches_.push_back(std::move(seen->watch));
            watches_.back().next()([this](const coati::result<coati::event>& e) { fired_ += !!e; });
        }
    }
    void register_all(asio::io_context& context)
    {
        watches_.reserve(static_cast<std::size_t>(args_.n));
        for (int i = 0; i < 256; ++i) {
            spawn(register_watches());
        }
        while (watches_.size() < static_cast<std::size_t>(args_.n)) {
            context.run_one();
        }
    }
    long fired() const { return fired_; }

    /// From losing the connection to the first answer on the next one, in milliseconds.
    asio::awaitable<void> lose_connection(double* milliseconds)
    {
        [[maybe_unused]] auto slept = co_await zk_.sleep_for(std::chrono::milliseconds(20));
        const std::uint64_t begun = now_ns();
        [[maybe_unused]] auto dropped = co_await zk_.set("/drop", "");
        auto answer = co_await zk_.get(path_);
        if (!answer) {
            throw coati::exception(answer.error());
        }
        *milliseconds = 1e-6 * static_cast<double>(now_ns() - begun);
    }

private:
    /// One operation after the other, until the lane has had enough.
    template <class Make>
    asio::awaitable<void> again_and_again(Lane* lane, Make make)
    {
        for (std::uint64_t begun = 0; lane->start(begun);) {
            auto op = make();
            lane->end(begun, is_good(co_await std::move(op)));
        }
    }
    template <class Make, class Other>
    asio::awaitable<void> in_turns(Lane* lane, Make make, Other other)
    {
        const Op first = args_.op(0);
        std::uint64_t begun = 0;
        for (std::uint64_t i = 0; lane->start(begun); ++i) {
            if (args_.op(i) == first) {
                auto op = make();
                lane->end(begun, is_good(co_await std::move(op)));
            } else {
                auto op = other();
                lane->end(begun, is_good(co_await std::move(op)));
            }
        }
    }

    template <class T>
    static bool is_good(const coati::result<T>& r)
    {
        return r || r.error() == errc::node_exists || r.error() == errc::no_node;
    }

    coati::client zk_;
    const Args& args_;
    std::string path_;
    std::string data_;
    std::vector<coati::watch> watches_;
    long next_ = 0;
    long fired_ = 0;
};

class driver {
public:
    driver(int argc, char** argv)
        : bench_("ours", argc, argv), settings_(coati::config::parse(bench_.a.servers).value())
    {
        settings_.session_timeout = std::chrono::seconds(10);
        settings_.reconnect_spread = {};
    }

    void run()
    {
        const std::string& what = bench_.a.workload;
        what == "start"       ? start()
        : what == "idle"      ? idle()
        : what == "watch"     ? watch()
        : what == "reconnect" ? reconnect()
                              : load();
    }

private:
    void open_sessions(long n)
    {
        long connected = 0;
        for (long i = 0; i < n; ++i) {
            auto& made =
                sessions_.emplace_back(std::make_unique<session>(context_, settings_, bench_.a));
            made->zk().connected()([&](const coati::result<void>&) { ++connected; });
            while (i - connected > 200) {
                context_.run_one();
            }
        }
        while (connected < n) {
            context_.run_one();
        }
    }

    void load()
    {
        open_sessions(bench_.a.sessions);
        bench_.begin(sessions_.size());
        for (std::size_t s = 0; s < sessions_.size(); ++s) {
            for (long w = 0; w < bench_.a.window; ++w) {
                const std::string own = "/c/" + std::to_string(getpid()) + "_" + std::to_string(s) +
                                        "_" + std::to_string(w);
                if (bench_.a.workload == "lock") {
                    sessions_[s]->spawn(sessions_[s]->lock_and_release(&bench_.lanes[s]));
                } else {
                    sessions_[s]->start_slot(&bench_.lanes[s], own);
                }
            }
        }
        context_.run();
    }

    void idle()
    {
        const long before = proc_status("VmRSS");
        const std::uint64_t begun = now_ns();
        open_sessions(bench_.a.sessions);
        const double connect_s = 1e-9 * static_cast<double>(now_ns() - begun);
        context_.run_for(std::chrono::milliseconds(1500));
        const Cpu c0 = cpu_now();
        context_.run_for(std::chrono::seconds(5));
        const double cpu_s = cpu_since(c0);
        const long after = proc_status("VmRSS");
        print_extra(bench_.a,
                    "\"connect_s\":%.3f,\"rss_kb\":%ld,\"rss_per_session_kb\":%.2f,\"threads\":0,"
                    "\"idle_cpu_pct\":%.3f",
                    connect_s, after,
                    static_cast<double>(after - before) / static_cast<double>(bench_.a.sessions),
                    cpu_s * 20);
    }

    void watch()
    {
        open_sessions(1);
        session& one = *sessions_.front();
        const double n = static_cast<double>(bench_.a.n);
        const long before = proc_status("VmRSS");
        one.register_all(context_);
        const long after = proc_status("VmRSS");
        const Cpu c0 = cpu_now();
        const std::uint64_t begun = now_ns();
        one.zk().set("/fire/" + std::to_string(bench_.a.n), "")([](const auto&) {});
        while (one.fired() < bench_.a.n) {
            context_.run_one();
        }
        const double us = 1e-3 * static_cast<double>(now_ns() - begun);
        print_extra(bench_.a,
                    "\"us_per_event\":%.4f,\"cpu_us\":%.4f,\"bytes_per_watch\":%.0f,\"rss_kb\":%ld",
                    us / n, cpu_since(c0) * 1e6 / n, static_cast<double>(after - before) * 1024 / n,
                    proc_status("VmHWM"));
    }

    void reconnect()
    {
        open_sessions(1);
        session& one = *sessions_.front();
        one.register_all(context_);
        const Cpu c0 = cpu_now();
        std::string list;
        for (long r = 0; r < bench_.a.reps; ++r) {
            double milliseconds = 0;
            one.spawn(one.lose_connection(&milliseconds));
            while (milliseconds == 0) {
                context_.run_one();
            }
            list += (r != 0 ? "," : "") + std::to_string(milliseconds);
        }
        print_extra(bench_.a, "\"ms\":[%s],\"cpu_ms\":%.3f", list.c_str(),
                    cpu_since(c0) * 1e3 / static_cast<double>(bench_.a.reps));
    }

    /// From the construction of an embedded server to the first answer that a new client has, and
    /// to the end of both: the median of `--reps`, in milliseconds.
    void start()
    {
        std::vector<double> first, all;
        for (long r = 0; r < bench_.a.reps; ++r) {
            const std::uint64_t begun = now_ns();
            {
                coati::testing::embedded_server server;
                asio::io_context context(1);
                const coati::client zk(coati::serial(context.get_executor()),
                                       coati::config::parse(server.connect_string()).value());
                zk.run()([](const coati::result<void>&) {});
                zk.exists("/")([&](const auto& answer) {
                    first.push_back(answer ? 1e-6 * static_cast<double>(now_ns() - begun) : 1e9);
                    zk.close()([](const coati::result<void>&) {});
                });
                context.run();
            }
            all.push_back(1e-6 * static_cast<double>(now_ns() - begun));
        }
        std::sort(first.begin(), first.end());
        std::sort(all.begin(), all.end());
        print_extra(bench_.a, "\"first_answer_ms\":%.3f,\"max_ms\":%.3f,\"start_to_end_ms\":%.3f",
                    first[first.size() / 2], first.back(), all[all.size() / 2]);
    }

    static double cpu_since(const Cpu& then)
    {
        const Cpu now = cpu_now();
        return now.user - then.user + now.sys - then.sys;
    }

    Bench bench_;
    coati::config settings_;
    asio::io_context context_{1};
    std::vector<std::unique_ptr<session>> sessions_;
};

}  // namespace

int main(int argc, char** argv)
try {
    bool has_servers = false;
    for (int i = 1; i < argc; ++i) {
        has_servers = has_servers || std::string_view(argv[i]) == "--servers";
    }
    std::vector<char*> arguments(argv, argv + argc);
    static std::string option = "--servers", address;
    if (!has_servers) {
        address = start_local_server();
        arguments.insert(arguments.end(), {option.data(), address.data()});
    }
    driver ours(static_cast<int>(arguments.size()), arguments.data());
    ours.run();
    std::fflush(stdout);
    _exit(0);  // no tearing down of a hundred thousand watches
} catch (const std::exception& failed) {
    std::fprintf(stderr, "bench: %s\n", failed.what());
    return 1;
}
