// Hand-overs of a leadership between real processes: whoever leads is killed, cut off or stopped,
// over and over, and no two of them ever work at a time.
//
// By the wall's clock, beside real servers; the same in virtual time, by thousands of seeds, is
// suite recipe.

#include "group.hpp"

#include <coati/client.hpp>
#include <coati/supervise.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <thread>

namespace coati::test::handover {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<result<void>> stay(client zk)
{
    co_return co_await zk.sleep_for(24h);
}

/// The driver's own eyes: a client that no proxy stands in front of, on a thread of its own. The
/// machine may be so busy that its session ends: then it makes another one.
class observer {
public:
    explicit observer(const ensemble& servers) : zk_(context_.get_executor(), settings(servers))
    {
        run_ = supervise(zk_, stay)(asio::use_future);
        thread_ = std::thread([this] { context_.run(); });
        ask(zk_.connected());
    }
    ~observer()
    {
        zk_.close()(asio::use_future).wait();
        run_.wait();
        work_.reset();
        thread_.join();
    }
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;

    template <class T>
    T ask(operation<T> op) const
    {
        return std::move(op)(asio::use_future).get().value();
    }
    const client& zk() const { return zk_; }
    std::size_t contenders(const std::string& folder) const
    {
        const auto there = zk_.children(folder + "/leader")(asio::use_future).get();
        return there ? there->names.size() : 0;
    }

private:
    static config settings(const ensemble& servers)
    {
        return config::parse(servers.connect_string()).value();
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    client zk_;
    std::future<result<void>> run_;
    std::thread thread_;
};

int number_of(const char* variable, int otherwise)
{
    const char* const given = std::getenv(variable);
    return given != nullptr ? std::atoi(given) : otherwise;
}

/// Many groups at once, until each is through.
class contest {
public:
    contest(const ensemble& servers, int groups, int hand_overs, std::uint64_t seed,
            bool reckless = false)
        : seen_(servers)
    {
        std::mt19937_64 random(seed);
        for (int i = 0; i < groups; ++i) {
            group_options how;
            how.folder = "/g" + std::to_string(i) + (reckless ? "r" : "");
            how.records = servers.directory();
            how.masters = 2 + i % 2;
            how.hand_overs = hand_overs / groups + (i < hand_overs % groups ? 1 : 0);
            how.seed = random();
            how.reckless = reckless;
            how.contenders = [this](const std::string& folder) { return seen_.contenders(folder); };
            seen_.ask(seen_.zk().create(how.folder));
            seen_.ask(seen_.zk().create(how.folder + "/data"));
            seen_.ask(seen_.zk().create(how.folder + "/ledger"));
            groups_.push_back(std::make_unique<group>(servers, std::move(how)));
        }
    }

    void play()
    {
        const auto is_done = [](const auto& each) { return each->is_done(); };
        while (!std::all_of(groups_.begin(), groups_.end(), is_done)) {
            for (const auto& each : groups_) {
                each->turn();
            }
            std::this_thread::sleep_for(1ms);
        }
    }

    std::vector<std::string> judged()
    {
        std::vector<std::string> wrong;
        for (const auto& each : groups_) {
            for (auto& what : each->judged()) {
                wrong.push_back(each->folder() + ": " + what);
            }
            const auto ledger = seen_.ask(seen_.zk().children(each->folder() + "/ledger"));
            for (auto& what : judge_ledger(ledger.names)) {
                wrong.push_back(each->folder() + ": " + what);
            }
        }
        return wrong;
    }

    std::size_t count(std::string_view event) const
    {
        return sum([&](const group& each) { return each.count(event); });
    }
    std::size_t hand_overs() const
    {
        return sum([](const group& each) { return each.hand_overs().size(); });
    }

    /// What it was like, in session timeouts.
    std::string report(double timeout_ns) const
    {
        std::ostringstream out;
        for (const char* const kind : {"kill", "partition", "deafness", "pause"}) {
            std::vector<double> took;
            for (const auto& each : groups_) {
                for (const auto& [what, ns] : each->hand_overs()) {
                    if (what == kind) {
                        took.push_back(static_cast<double>(ns) / timeout_ns);
                    }
                }
            }
            std::sort(took.begin(), took.end());
            if (!took.empty()) {
                out << kind << ": " << took.size() << " hand-overs, median "
                    << took[took.size() / 2] << ", worst " << took.back() << " session timeouts\n";
            }
        }
        double shortest = 1e12;
        for (const auto& each : groups_) {
            shortest = std::min(shortest, static_cast<double>(each->shortest_head_start()));
        }
        out << sum([](const group& each) { return static_cast<std::size_t>(each.rides()); })
            << " pauses ridden out, " << sum([](const group& each) { return each.fatal_pauses(); })
            << " not, " << count("work") << " steps, " << count("refused")
            << " guarded writes refused, " << sum([](const group& each) { return each.terms(); })
            << " terms; who was cut off stopped at least " << shortest / timeout_ns
            << " session timeouts ahead of the next\n";
        return std::move(out).str();
    }

private:
    template <class Of>
    std::size_t sum(Of of) const
    {
        std::size_t n = 0;
        for (const auto& each : groups_) {
            n += of(*each);
        }
        return n;
    }

    observer seen_;
    std::vector<std::unique_ptr<group>> groups_;
};

constexpr double timeout_ns = 1e9;

ensemble_options quick(int servers, int tick_ms)
{
    ensemble_options o;
    o.servers = servers;
    o.tick_time_ms = tick_ms;
    o.jvm_args = {"-Dzookeeper.forceSync=no"};
    return o;
}

void expect_well(contest& of, std::size_t hand_overs)
{
    const auto wrong = of.judged();
    for (const auto& each : wrong) {
        UNSCOPED_INFO(each);
    }
    CHECK(wrong.empty());
    CHECK(of.hand_overs() >= hand_overs);
    CHECK(of.count("refused") > 0);
    CHECK(of.count("cancelled") > 0);
    std::cout << of.report(timeout_ns) << std::flush;
}

}  // namespace

TEST_CASE("a hundred hand-overs between processes, and never two masters", "[S20]")
{
    const int hand_overs = number_of("COATI_HANDOVERS", 100);
    const auto seed = static_cast<std::uint64_t>(number_of("COATI_SEED", 1));
    ensemble servers(quick(1, 100));
    contest all(servers, std::min(hand_overs, 8), hand_overs, seed);
    all.play();
    expect_well(all, static_cast<std::size_t>(hand_overs));
}

TEST_CASE("the same beside three servers", "[S20]")
{
    const int hand_overs = number_of("COATI_HANDOVERS", 100) / 5;
    const auto seed = static_cast<std::uint64_t>(number_of("COATI_SEED", 1));
    ensemble servers(quick(3, 250));
    contest all(servers, std::min(hand_overs, 4), hand_overs, seed);
    all.play();
    expect_well(all, static_cast<std::size_t>(hand_overs));
}

TEST_CASE("masters that do not stop when they are told to are found out")
{
    ensemble servers(quick(1, 100));
    contest all(servers, 4, 12, 1, true);
    all.play();
    const auto wrong = all.judged();
    CHECK(std::any_of(wrong.begin(), wrong.end(), [](const std::string& each) {
        return each.find("two masters at a time") != std::string::npos;
    }));
}

}  // namespace coati::test::handover
