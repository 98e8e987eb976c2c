#include "ensemble.hpp"

#include "process.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace coati::test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto poll_interval = 50ms;
constexpr int start_attempts = 5;

// A port that was free a moment ago is taken: worth another try, unlike anything else.
struct port_clash : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Another ZooKeeper than the distribution's: every jar of a folder, as a release has them in lib/.
std::string class_path_of(const fs::path& folder)
{
    if (fs::is_directory(folder))
        for (const auto& each : fs::directory_iterator(folder))
            if (each.path().filename().string().starts_with("zookeeper-"))
                return (folder / "*").string();
    throw std::runtime_error("COATI_TEST_ZOOKEEPER is \"" + folder.string() +
                             "\", which has no zookeeper-*.jar: name the folder with the jars of a "
                             "ZooKeeper release, its lib/");
}

// The jar of the Debian package names its own dependencies in its manifest.
std::string class_path()
{
    if (const char* chosen = std::getenv("COATI_TEST_ZOOKEEPER"))
        return class_path_of(chosen);
    const fs::path jars = "/usr/share/java";
    if (!fs::exists(jars / "zookeeper.jar"))
        throw std::runtime_error(
            "no ZooKeeper server on this machine: install the Debian package `zookeeper` (it "
            "provides /usr/share/java/zookeeper.jar)");
    std::string path = (jars / "zookeeper.jar").string();
    // What Netty (TLS) needs and the manifest forgets.
    for (const char* jar :
         {"netty-codec.jar", "netty-resolver.jar", "netty-transport-native-unix-common.jar"})
        if (fs::exists(jars / jar))
            path += ":" + (jars / jar).string();
    // Without a logger the server is silent about why it does not start.
    if (fs::exists(jars / "slf4j-simple.jar"))
        path += ":" + (jars / "slf4j-simple.jar").string();
    return path;
}

fs::path make_directory()
{
    std::string name = (fs::temp_directory_path() / "coati-ensemble-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), name);
    return name;
}

template <class Condition>
bool wait_until(std::chrono::milliseconds limit, Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::sleep_for(poll_interval);
    }
    return true;
}

std::string ask(std::uint16_t port, const std::string& word)
{
    const unique_fd fd = connect_loopback(port, 1'000);
    if (!fd || ::send(fd.get(), word.data(), word.size(), MSG_NOSIGNAL) < 0)
        return {};
    std::string answer;
    char buffer[4'096];
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (std::chrono::steady_clock::now() < end) {
        pollfd waiting{fd.get(), POLLIN, 0};
        if (::poll(&waiting, 1, 200) <= 0)
            continue;
        const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
        if (got <= 0)
            break;
        answer.append(buffer, static_cast<std::size_t>(got));
    }
    return answer;
}

}  // namespace

ensemble::ensemble(options opts) : options_(std::move(opts))
{
    if (options_.servers < 1)
        throw std::invalid_argument("an ensemble has at least one server");
    for (int attempt = 1;; ++attempt) {
        directory_ = make_directory();
        try {
            choose_ports();
            start_all();
            return;
        } catch (const port_clash&) {
            if (attempt == start_attempts)
                throw;
        } catch (...) {
            servers_.clear();
            fs::remove_all(directory_);
            throw;
        }
        fs::remove_all(directory_);
    }
}

ensemble::~ensemble()
{
    for (int i = 0; i < size(); ++i)
        kill(i);
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
}

void ensemble::choose_ports()
{
    servers_.clear();
    servers_.resize(static_cast<std::size_t>(options_.servers));
    for (server& s : servers_) {
        s.client_port = s.client.emplace().number();
        s.peer_port = s.peer.emplace().number();
        s.election_port = s.election.emplace().number();
    }
}

void ensemble::start_all()
{
    try {
        for (int i = 0; i < size(); ++i)
            start(i);
        wait_quorum();
    } catch (...) {
        for (int i = 0; i < size(); ++i)
            kill(i);
        throw;
    }
}

std::string ensemble::connect_string() const
{
    std::string out;
    for (const server& s : servers_)
        out += (out.empty() ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(s.client_port);
    return out;
}

std::uint16_t ensemble::client_port(int i) const
{
    return at(i).client_port;
}

pid_t ensemble::pid(int i) const
{
    return at(i).pid;
}

int ensemble::server_at_port(std::uint16_t port) const
{
    for (int i = 0; i < size(); ++i)
        if (at(i).client_port == port)
            return i;
    return -1;
}

void ensemble::start(int i)
{
    server& s = at(i);
    if (s.pid > 0 && !reap_if_dead(i))
        throw std::logic_error("server " + std::to_string(i) + " runs already");
    fs::create_directories(folder(i) / "data");
    // Written once: a quorum server rewrites it (dynamicConfigFile) when the ensemble changes.
    if (!fs::exists(folder(i) / "zoo.cfg"))
        write_config(i);
    if (size() > 1)
        std::ofstream(folder(i) / "data" / "myid") << i + 1 << '\n';
    s.client.reset();
    s.peer.reset();
    s.election.reset();
    spawn_options child;
    child.command = command_line(i);
    child.working_directory = folder(i).string();
    child.output_file = (folder(i) / "log").string();
    s.pid = spawn(child);
    s.paused = false;
}

void ensemble::kill(int i)
{
    server& s = at(i);
    if (s.pid <= 0)
        return;
    ::kill(s.pid, SIGKILL);
    while (::waitpid(s.pid, nullptr, 0) < 0 && errno == EINTR) {}
    s.pid = -1;
    s.paused = false;
}

void ensemble::pause(int i)
{
    server& s = at(i);
    if (s.pid <= 0 || ::kill(s.pid, SIGSTOP) != 0)
        throw std::logic_error("server " + std::to_string(i) + " does not run");
    // The signal is asynchronous; the stop is a state change that waitpid reports.
    int status = 0;
    while (::waitpid(s.pid, &status, WUNTRACED) < 0 && errno == EINTR) {}
    if (!WIFSTOPPED(status)) {
        s.pid = -1;
        fail(i, "died before it could be paused");
    }
    s.paused = true;
}

void ensemble::resume(int i)
{
    server& s = at(i);
    if (s.pid <= 0 || ::kill(s.pid, SIGCONT) != 0)
        throw std::logic_error("server " + std::to_string(i) + " does not run");
    s.paused = false;
}

void ensemble::destroy_data(int i)
{
    if (at(i).pid > 0)
        throw std::logic_error("kill server " + std::to_string(i) + " before its data");
    fs::remove_all(folder(i) / "data");
}

void ensemble::wait_ready(int i, std::chrono::seconds limit)
{
    const bool ready = wait_until(limit, [&] {
        if (reap_if_dead(i))
            fail(i, "died");
        return mode(i).has_value();
    });
    if (!ready)
        fail(i, "is not ready after " + std::to_string(limit.count()) + " s");
}

void ensemble::wait_quorum(std::chrono::seconds limit)
{
    int missing = 0;
    const bool ready = wait_until(limit, [&] {
        bool led = size() == 1;
        for (int i = 0; i < size(); ++i) {
            if (at(i).pid <= 0 || at(i).paused)
                continue;
            if (reap_if_dead(i))
                fail(i, "died");
            missing = i;
            if (!serves(i))
                return false;
            led = led || mode(i) == "leader";
        }
        return led;
    });
    if (!ready)
        fail(missing, "is in no quorum after " + std::to_string(limit.count()) + " s");
}

bool ensemble::serves(int i) const
{
    const std::optional<std::string> now = mode(i);
    return now && *now != "read-only";
}

std::string ensemble::four_letter(int i, const std::string& word) const
{
    return at(i).pid > 0 && !at(i).paused ? ask(at(i).client_port, word) : std::string();
}

std::optional<std::string> ensemble::mode(int i) const
{
    const std::string answer = four_letter(i, "srvr");
    const std::string label = "Mode: ";
    const std::size_t begin = answer.find(label);
    if (begin == std::string::npos)
        return std::nullopt;
    const std::size_t word = begin + label.size();
    return answer.substr(word, answer.find('\n', word) - word);
}

std::optional<int> ensemble::leader() const
{
    for (int i = 0; i < size(); ++i)
        if (mode(i) == "leader")
            return i;
    return std::nullopt;
}

std::string ensemble::log(int i) const
{
    std::ifstream file(folder(i) / "log");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void ensemble::write_config(int i) const
{
    std::map<std::string, std::string> cfg{
        {"tickTime", std::to_string(options_.tick_time_ms)},
        {"dataDir", (folder(i) / "data").string()},
        {"maxClientCnxns", "0"},
        {"admin.enableServer", "false"},
        {"4lw.commands.whitelist", "*"},
    };
    if (options_.min_session_timeout_ms > 0)
        cfg["minSessionTimeout"] = std::to_string(options_.min_session_timeout_ms);
    if (options_.max_session_timeout_ms > 0)
        cfg["maxSessionTimeout"] = std::to_string(options_.max_session_timeout_ms);
    if (size() == 1) {
        cfg["clientPort"] = std::to_string(at(i).client_port);
        cfg["clientPortAddress"] = "127.0.0.1";
    } else {
        cfg["initLimit"] = "10";
        cfg["syncLimit"] = "5";
        cfg["standaloneEnabled"] = "false";
        cfg["reconfigEnabled"] = "true";
        for (int n = 0; n < size(); ++n)
            cfg["server." + std::to_string(n + 1)] =
                "127.0.0.1:" + std::to_string(at(n).peer_port) + ":" +
                std::to_string(at(n).election_port) + (is_observer(n) ? ":observer" : "") +
                ";127.0.0.1:" + std::to_string(at(n).client_port);
        if (is_observer(i))
            cfg["peerType"] = "observer";
    }
    for (const auto& [name, value] : options_.extra_cfg)
        cfg[name] = value;
    if (static_cast<std::size_t>(i) < options_.each.size())
        for (const auto& [name, value] : options_.each[static_cast<std::size_t>(i)].extra_cfg)
            cfg[name] = value;
    std::ofstream file(folder(i) / "zoo.cfg");
    for (const auto& [name, value] : cfg)
        file << name << '=' << value << '\n';
}

std::vector<std::string> ensemble::command_line(int i) const
{
    const char* java_home = std::getenv("JAVA_HOME");
    const fs::path own_java = java_home ? fs::path(java_home) / "bin/java" : fs::path();
    std::vector<std::string> command{
        !own_java.empty() && fs::exists(own_java) ? own_java.string() : "java",
        "-Xmx128m",
        // A quick start matters more than a quick server.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        // Leave nothing outside our folder.
        "-XX:-UsePerfData",
        "-Djava.io.tmpdir=" + folder(i).string(),
        "-Djava.net.preferIPv4Stack=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dzookeeper.extendedTypesEnabled=true",
        "-Dzookeeper.admin.enableServer=false",
        // SIGKILL loses no page cache, so no test can tell; the disk is spared.
        "-Dzookeeper.forceSync=no",
        "-Dzookeeper.preAllocSize=1024",
    };
    command.insert(command.end(), options_.jvm_args.begin(), options_.jvm_args.end());
    if (static_cast<std::size_t>(i) < options_.each.size()) {
        const server_options& own = options_.each[static_cast<std::size_t>(i)];
        command.insert(command.end(), own.jvm_args.begin(), own.jvm_args.end());
    }
    const std::string main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
    for (const std::string& word : {std::string("-cp"), class_path(), main})
        command.push_back(word);
    command.push_back((folder(i) / "zoo.cfg").string());
    return command;
}

fs::path ensemble::folder(int i) const
{
    return directory_ / ("s" + std::to_string(i + 1));
}

bool ensemble::reap_if_dead(int i)
{
    server& s = at(i);
    if (s.pid > 0 && ::waitpid(s.pid, nullptr, WNOHANG) == s.pid)
        s.pid = -1;
    return s.pid <= 0;
}

void ensemble::fail(int i, const std::string& what) const
{
    const std::string text = log(i);
    const std::size_t shown = 4'000;
    const std::string message = "ZooKeeper server " + std::to_string(i) + " " + what +
                                "; the end of its log:\n" +
                                (text.size() > shown ? text.substr(text.size() - shown) : text);
    if (text.find("Address already in use") != std::string::npos)
        throw port_clash(message);
    throw std::runtime_error(message);
}

ensemble::server& ensemble::at(int i)
{
    return servers_.at(static_cast<std::size_t>(i));
}

const ensemble::server& ensemble::at(int i) const
{
    return servers_.at(static_cast<std::size_t>(i));
}

namespace {

// A start that failed once fails for every later test at once, not after another minute each.
class lazy_ensemble {
public:
    explicit lazy_ensemble(int servers) : servers_(servers) {}

    ensemble& get()
    {
        if (failure_)
            std::rethrow_exception(failure_);
        if (!started_) {
            try {
                ensemble_options options;
                options.servers = servers_;
                started_ = std::make_unique<ensemble>(options);
            } catch (...) {
                failure_ = std::current_exception();
                throw;
            }
        }
        return *started_;
    }

private:
    int servers_;
    std::unique_ptr<ensemble> started_;
    std::exception_ptr failure_;
};

}  // namespace

ensemble& shared_single()
{
    static lazy_ensemble shared(1);
    return shared.get();
}

ensemble& shared_three()
{
    static lazy_ensemble shared(3);
    return shared.get();
}

}  // namespace coati::test
