// The scripted server beside a real one: the same random requests, the same answers.
//
// COATI_DIFFERENTIAL_OPERATIONS and COATI_DIFFERENTIAL_SEED ask for other rounds than CI's, and
// COATI_DIFFERENTIAL_FINDINGS for more than the first difference; ./dev differential sets them.
#include "fuzzer.hpp"

#include <coati/testing/scripted_server.hpp>
#include <coati/wire/frame.hpp>

#include <support/ensemble.hpp>

#include <catch2/catch_test_macros.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

using namespace coati::differential;

namespace {

/// Sessions last long, nothing is reaped behind our back, and somebody has power over all.
coati::test::ensemble_options real_options()
{
    coati::test::ensemble_options o;
    o.min_session_timeout_ms = 4'000;
    o.max_session_timeout_ms = 120'000;
    o.jvm_args = {
        "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
        "-Dznode.container.checkIntervalMs=86400000", "-Dzookeeper.snapCount=10000000",
        "-Dzookeeper.nio.numWorkerThreads=0", "-Dzookeeper.nio.numSelectorThreads=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        // They have a page to say of every broken request.
        "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.PrepRequestProcessor=off",
        "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.FinalRequestProcessor=off"};
    return o;
}

coati::test::ensemble& real_server()
{
    static coati::test::ensemble one(real_options());
    return one;
}

std::string version_of_real_server()
{
    const std::string answer = real_server().four_letter(0, "srvr");
    const std::string before = "Zookeeper version: ";
    const auto begin = answer.find(before) + before.size();
    return answer.substr(begin, answer.find('-', begin) - begin);
}

bool is_39()
{
    return !version_of_real_server().starts_with("3.8");
}

/// Whether a session hears of a znode that it may not read. Not only the version decides it: the
/// distribution's 3.8.0 has been mended as later releases were. Leaves the same traces everywhere.
bool hides_events(std::uint16_t port)
{
    using coati::wire::op_code;
    peer one(port, is_39());
    one.begin_round("/probe");
    const auto have_done = [&](const step& s) {
        one.start(s);
        one.finish(s);
    };
    have_done({step::kind::open, 0});
    have_done({step::kind::open, 1});
    request watch{static_cast<std::int32_t>(op_code::add_watch), "~"};
    watch.number = 1;
    have_done({step::kind::batch, 0, {}, {watch}});
    request make{static_cast<std::int32_t>(op_code::create), "~/secret"};
    make.acls = only_admin;
    have_done({step::kind::batch, 1, {}, {make}});
    one.ask_others(1);
    const transcript heard = one.hear_others(1);
    one.quit();
    return heard.size() == 1;  // the reply to a ping
}

/// The model, over TCP, in a thread of its own.
class model_server {
public:
    explicit model_server(const std::string& version, bool hides_events,
                          coati::testing::scripted_server::frame_hook hook = {})
        : ensemble_(coati::make_tcp_transport(context_.get_executor()), context_.get_executor(),
                    options(version, hides_events)),
          server_(ensemble_, {"127.0.0.1", 0, {}}, [this](const coati::endpoint& at) {
              return coati::make_tcp_listener(context_.get_executor(), at);
          })
    {
        if (hook) {
            server_.on_frame(std::move(hook));
        }
        thread_ = std::thread([this] { context_.run(); });
    }
    ~model_server()
    {
        context_.stop();
        thread_.join();
    }
    model_server(const model_server&) = delete;
    model_server& operator=(const model_server&) = delete;

    std::uint16_t port() const { return server_.local().port; }

private:
    static coati::testing::ensemble_options options(const std::string& version, bool hides_events)
    {
        coati::testing::ensemble_options o;
        o.min_session_timeout = std::chrono::seconds(4);
        o.max_session_timeout = std::chrono::seconds(120);
        o.version = version;
        o.super_digest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";
        o.container_check = std::chrono::hours(24);
        o.hides_events = hides_events;
        return o;
    }

    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        context_.get_executor()};
    coati::testing::scripted_ensemble ensemble_;
    coati::testing::scripted_server server_;
    std::thread thread_;
};

std::uint64_t number_in_environment(const char* name, std::uint64_t otherwise)
{
    const char* const text = std::getenv(name);
    return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

void print(const fuzzer& all, std::chrono::steady_clock::time_point began)
{
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::cout << all.operations() << " operations in " << all.rounds() << " rounds, "
              << took.count() << " s\nexplained differences:";
    for (const rule& each : all.rules().all()) {
        std::cout << ' ' << each.name << ' ' << each.applied;
    }
    std::cout << '\n';
}

std::vector<std::uint64_t> seeds_that_failed()
{
    std::vector<std::uint64_t> all;
    std::ifstream file(COATI_TEST_DIR "/differential/seeds.txt");
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') {
            all.push_back(std::stoull(line));
        }
    }
    return all;
}

std::vector<finding> run(fuzzer& all, const fuzzer_options& options)
{
    try {
        return all.run(options);
    } catch (const std::exception&) {
        // Mostly a server that has stopped: why, it says at the end of its log.
        const std::string log = real_server().log(0);
        std::cout << log.substr(log.size() - std::min<std::size_t>(log.size(), 4'000));
        throw;
    }
}

std::string text_of(const std::vector<finding>& all)
{
    std::string text;
    for (const finding& each : all) {
        text += "----\n" + each.text();
    }
    return text;
}

/// CI's rounds, or those that the environment asks for.
void compare(std::uint16_t real, std::uint16_t other, bool must_explain)
{
    fuzzer all(real, other, is_39());
    const auto began = std::chrono::steady_clock::now();
    fuzzer_options options;
    options.findings = number_in_environment("COATI_DIFFERENTIAL_FINDINGS", 1);
    std::vector<finding> found;
    for (const auto seed : seeds_that_failed()) {
        fuzzer_options one = options;
        one.operations = 1;
        one.seed = seed;
        const auto more = run(all, one);
        found.insert(found.end(), more.begin(), more.end());
    }
    constexpr std::size_t enough = 100'000;
    options.operations = number_in_environment("COATI_DIFFERENTIAL_OPERATIONS", enough);
    options.seed = number_in_environment("COATI_DIFFERENTIAL_SEED", 1);
    const auto more = run(all, options);
    found.insert(found.end(), more.begin(), more.end());
    print(all, began);
    INFO(text_of(found));
    CHECK(found.empty());
    for (const rule& each : all.rules().all()) {
        // What explains nothing is an excuse.
        INFO(each.name);
        CHECK((each.applied > 0 || !must_explain || options.operations < enough));
    }
}

using coati::testing::frame_view;
using coati::testing::verdict;

/// The model's frame with another error code.
verdict with_err(const frame_view& frame, std::int32_t err)
{
    constexpr std::size_t err_at = 12;
    std::string bytes;
    const auto at = coati::wire::open_frame(bytes);
    bytes += frame.payload;
    coati::wire::store_big_endian(bytes.data() + at + coati::wire::frame_prefix_size + err_at, err);
    coati::wire::close_frame(bytes, at);
    return verdict::replace(std::move(bytes));
}

std::int32_t err_of(const frame_view& frame)
{
    return coati::wire::load_big_endian<std::int32_t>(frame.payload.data() + 12);
}

bool is_reply_to(const frame_view& frame, coati::wire::op_code op)
{
    return frame.direction == frame_view::way::reply && !frame.handshake && frame.op == op;
}

/// Two models: without a deviation they do not differ, and nothing else has to be started.
std::vector<finding> fuzz_a_little(const model_server& deviating)
{
    const model_server plain("3.8.0", true);
    fuzzer all(plain.port(), deviating.port(), false);
    fuzzer_options options;
    options.operations = 10'000;
    return all.run(options);
}

}  // namespace

TEST_CASE("the scripted server answers as a real one", "[M7]")
{
    const bool hides = hides_events(real_server().client_port(0));
    const model_server model(version_of_real_server(), hides);
    CHECK(hides_events(model.port()) == hides);
    compare(real_server().client_port(0), model.port(), true);
}

// What is found here is a mistake of the fuzzer, or something that no server promises.
TEST_CASE("two real servers answer the same", "[.]")
{
    const coati::test::ensemble another(real_options());
    compare(real_server().client_port(0), another.client_port(0), false);
}

TEST_CASE("another error code is found, and made small", "[M7]")
{
    const model_server model("3.8.0", true, [](const frame_view& frame) {
        const bool is_victim =
            is_reply_to(frame, coati::wire::op_code::get_acl) && err_of(frame) == -101;
        return is_victim ? with_err(frame, -102) : verdict::pass();
    });
    const auto found = fuzz_a_little(model);
    REQUIRE(found.size() == 1);
    INFO(found[0].text());
    CHECK(count_requests(found[0].steps) == 1);
    CHECK(found[0].text().find("get_acl") != std::string::npos);
    CHECK(found[0].text().find("err -102") != std::string::npos);
}

TEST_CASE("an event that does not come is found, and made small", "[M7]")
{
    const model_server model("3.8.0", true, [](const frame_view& frame) {
        const bool is_event = frame.direction == frame_view::way::reply && !frame.handshake &&
                              frame.xid == coati::wire::notification_xid;
        return is_event ? verdict::drop() : verdict::pass();
    });
    const auto found = fuzz_a_little(model);
    REQUIRE(found.size() == 1);
    INFO(found[0].text());
    CHECK(count_requests(found[0].steps) <= 3);
    CHECK(found[0].text().find("event ") != std::string::npos);
}

TEST_CASE("a model of another release is found out", "[M7]")
{
    CHECK(fuzz_a_little(model_server("3.9.3", true)).size() == 1);
    CHECK(fuzz_a_little(model_server("3.8.0", true)).empty());
}
