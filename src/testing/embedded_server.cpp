// The scripted ensemble over real TCP, on a thread of its own.
//
// Everything is made before the thread starts and ends after it has been joined; in between only
// that thread touches it. Picks the ports and words the refusals; knows no bytes.
#include <coati/testing/embedded_server.hpp>

#include <coati/wire/path.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <fstream>
#include <future>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace coati::testing {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_servers = 64;
constexpr auto loopback = "127.0.0.1";

std::string in_quotes(std::string_view text)
{
    return '"' + std::string(text) + '"';
}

void check_options(const embedded_options& o)
{
    if (o.servers == 0 || o.servers > most_servers) {
        throw std::invalid_argument("embedded_options::servers is " + std::to_string(o.servers) +
                                    "; it takes 1 to " + std::to_string(most_servers));
    }
    if (o.observers >= o.servers) {
        throw std::invalid_argument(
            "embedded_options::observers is " + std::to_string(o.observers) + " of " +
            std::to_string(o.servers) + " servers; at least one must have a vote");
    }
    if (o.port != 0 && o.port + o.servers - 1 > 65'535) {
        throw std::invalid_argument("embedded_options::port is " + std::to_string(o.port) +
                                    "; the ports behind it do not suffice for " +
                                    std::to_string(o.servers) + " servers");
    }
    if (o.ensemble.min_session_timeout > o.ensemble.max_session_timeout) {
        throw std::invalid_argument("ensemble_options::min_session_timeout is " +
                                    std::to_string(o.ensemble.min_session_timeout.count()) +
                                    " ms, which is more than the max_session_timeout of " +
                                    std::to_string(o.ensemble.max_session_timeout.count()) + " ms");
    }
}

ensemble_options options_of(const embedded_options& o)
{
    ensemble_options out = o.ensemble;
    out.elections = o.elections.value_or(o.servers > 1);
    return out;
}

/// A port for a server that may be killed for a while. One of the range that outgoing connections
/// are given could be taken meanwhile, or be connected to by itself (a simultaneous open), which
/// looks like a server that is there.
std::uint16_t some_port(transport& random)
{
    constexpr std::uint64_t low = 10'000;
    std::uint64_t end = 32'768;
    std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
    range >> end;
    if (end < low + 1'000) {
        return 0;  // an unusually wide range leaves nothing below it: then any port will do
    }
    return static_cast<std::uint16_t>(low + random.random() % (end - low));
}

/// The system's transport, but its time is that of the calendar, which is what a znode's ctime is
/// read as. It goes on evenly from there, whatever becomes of the system's clock.
class calendar_time final : public transport {
public:
    explicit calendar_time(std::shared_ptr<transport> inner)
        : inner_(std::move(inner)),
          offset_(std::chrono::duration_cast<duration>(
                      std::chrono::system_clock::now().time_since_epoch()) -
                  inner_->now().time_since_epoch())
    {
    }

    time_point now() const override { return inner_->now() + offset_; }
    std::uint64_t random() override { return inner_->random(); }
    void sleep_until(time_point when, transport_handler<> handler) override
    {
        inner_->sleep_until(when == never ? never : when - offset_, std::move(handler));
    }
    void resolve(std::string host, std::uint16_t port,
                 transport_handler<std::vector<coati::endpoint>> handler) override
    {
        inner_->resolve(std::move(host), port, std::move(handler));
    }
    void connect(coati::endpoint to, transport_handler<std::unique_ptr<stream>> handler) override
    {
        inner_->connect(std::move(to), std::move(handler));
    }

private:
    std::shared_ptr<transport> inner_;
    duration offset_;
};

}  // namespace

std::string_view name(process_state state) noexcept
{
    switch (state) {
    case process_state::running: return "running";
    case process_state::paused: return "paused";
    case process_state::killed: return "killed";
    }
    return "unknown";
}

class embedded_server::state_of_it {
public:
    explicit state_of_it(const embedded_options& options)
        : time_(std::make_shared<calendar_time>(make_tcp_transport(context_.get_executor()))),
          ensemble_(time_, context_.get_executor(), options_of(options)),
          states_(options.servers, process_state::running)
    {
        for (std::size_t i = 0; i < options.servers; ++i) {
            const auto role = i + options.observers < options.servers ? server_role::voter
                                                                      : server_role::observer;
            servers_.push_back(options.port == 0
                                   ? start_somewhere(role)
                                   : start(static_cast<std::uint16_t>(options.port + i), role));
            at_.push_back(servers_.back()->local());
            connect_string_ += (i == 0 ? "" : ",") + to_string(at_.back());
        }
        thread_ = std::thread([this] { live(); });
    }
    ~state_of_it()
    {
        context_.stop();
        thread_.join();
    }
    state_of_it(const state_of_it&) = delete;
    state_of_it& operator=(const state_of_it&) = delete;

    void run_and_wait(const std::function<void(stage&)>& what)
    {
        stage parts(ensemble_, servers_);
        if (std::this_thread::get_id() == thread_.get_id()) {
            what(parts);
            return;
        }
        // Not by way of the promise: its thread would be one more owner of the exception for a
        // while.
        std::exception_ptr thrown;
        std::promise<void> done;
        asio::post(context_, [&] {
            thrown = std::exchange(failed_, nullptr);
            try {
                if (!thrown) {
                    what(parts);
                }
            } catch (...) {
                thrown = std::current_exception();
            }
            done.set_value();
        });
        done.get_future().get();
        if (thrown) {
            std::rethrow_exception(std::move(thrown));
        }
    }

    const std::string& connect_string() const noexcept { return connect_string_; }
    const coati::endpoint& at(std::size_t index) const { return at_[index]; }
    std::size_t size() const noexcept { return at_.size(); }
    /// On the servers' thread only.
    process_state& state(std::size_t index) { return states_[index]; }

private:
    std::unique_ptr<scripted_server> start(std::uint16_t port, server_role role)
    {
        return std::make_unique<scripted_server>(
            ensemble_, coati::endpoint(loopback, port),
            [this](const coati::endpoint& where) { return listen(where); }, role);
    }

    std::unique_ptr<scripted_server> start_somewhere(server_role role)
    {
        constexpr int attempts = 100;
        for (int i = 1;; ++i) {
            try {
                return start(some_port(*time_), role);
            } catch (const std::system_error& taken) {
                if (taken.code() != std::errc::address_in_use || i == attempts) {
                    throw;
                }
            }
        }
    }

    std::unique_ptr<listener> listen(const coati::endpoint& where)
    {
        try {
            return make_tcp_listener(context_.get_executor(), where);
        } catch (const boost::system::system_error& failed) {
            throw std::system_error(failed.code(),
                                    "embedded_server: cannot listen on " + to_string(where));
        }
    }

    /// The thread. An exception that leaves a script does not end it: somebody waits for answers.
    void live()
    {
        for (;;) {
            try {
                context_.run();
                return;
            } catch (...) {
                failed_ = failed_ ? failed_ : std::current_exception();
            }
        }
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::shared_ptr<transport> time_;
    scripted_ensemble ensemble_;
    std::vector<std::unique_ptr<scripted_server>> servers_;
    std::vector<process_state> states_;
    std::vector<coati::endpoint> at_;
    std::string connect_string_;
    std::exception_ptr failed_;
    std::thread thread_;
};

// --- the public face -----------------------------------------------------------------------------

scripted_server& embedded_server::stage::server(std::size_t index) const
{
    if (index >= servers_->size()) {
        throw std::out_of_range("embedded_server::stage: there is no server " +
                                std::to_string(index) + " of " + std::to_string(servers_->size()));
    }
    return *(*servers_)[index];
}

embedded_server::embedded_server(embedded_options options)
{
    check_options(options);
    state_ = std::make_unique<state_of_it>(options);
}

embedded_server::~embedded_server() = default;

std::size_t embedded_server::size() const noexcept
{
    return state_->size();
}

const std::string& embedded_server::connect_string() const noexcept
{
    return state_->connect_string();
}

coati::endpoint embedded_server::endpoint(std::size_t index) const
{
    check(index, "endpoint");
    return state_->at(index);
}

void embedded_server::run_and_wait(const std::function<void(stage&)>& what) const
{
    state_->run_and_wait(what);
}

void embedded_server::check(std::size_t index, const char* who) const
{
    if (index >= size()) {
        throw std::out_of_range("embedded_server::" + std::string(who) + ": there is no server " +
                                std::to_string(index) + "; there are " + std::to_string(size()) +
                                ", numbered from 0");
    }
}

void embedded_server::kill(std::size_t index)
{
    check(index, "kill");
    run_and_wait([&](stage& on) {
        on.server(index).kill();
        state_->state(index) = process_state::killed;
    });
}

void embedded_server::restart(std::size_t index)
{
    check(index, "restart");
    run_and_wait([&](stage& on) {
        on.server(index).kill();
        state_->state(index) = process_state::killed;
        on.server(index).restart();
        state_->state(index) = process_state::running;
    });
}

void embedded_server::pause(std::size_t index)
{
    check(index, "pause");
    run_and_wait([&](stage& on) {
        if (state_->state(index) == process_state::running) {
            on.server(index).pause();
            state_->state(index) = process_state::paused;
        }
    });
}

void embedded_server::resume(std::size_t index)
{
    check(index, "resume");
    run_and_wait([&](stage& on) {
        if (state_->state(index) == process_state::paused) {
            state_->state(index) = process_state::running;
            on.server(index).resume();
        }
    });
}

void embedded_server::drop_connections(std::size_t index)
{
    check(index, "drop_connections");
    run_and_wait([&](stage& on) { on.server(index).drop_connections(); });
}

void embedded_server::drop_connections()
{
    run_and_wait([](stage& on) {
        for (std::size_t i = 0; i < on.size(); ++i) {
            on.server(i).drop_connections();
        }
    });
}

void embedded_server::isolate(std::size_t index)
{
    check(index, "isolate");
    run_and_wait([&](stage& on) { on.server(index).isolate(); });
}

void embedded_server::heal(std::size_t index)
{
    check(index, "heal");
    run_and_wait([&](stage& on) { on.server(index).heal(); });
}

void embedded_server::lag(std::size_t index, duration by)
{
    check(index, "lag");
    run_and_wait([&](stage& on) { on.server(index).lag(by); });
}

std::optional<std::size_t> embedded_server::leader() const
{
    std::optional<std::size_t> found;
    run_and_wait([&](stage& on) {
        const auto at = on.ensemble().leader();
        for (std::size_t i = 0; at && i < size(); ++i) {
            if (state_->at(i).port == at->port) {
                found = i;
            }
        }
    });
    return found;
}

process_state embedded_server::state(std::size_t index) const
{
    check(index, "state");
    process_state is = process_state::killed;
    run_and_wait([&](stage&) { is = state_->state(index); });
    return is;
}

void embedded_server::has_quorum(bool yes)
{
    run_and_wait([&](stage& on) { on.ensemble().has_quorum(yes); });
}

bool embedded_server::expire(std::int64_t session_id)
{
    bool found = false;
    run_and_wait([&](stage& on) {
        for (const auto& each : on.ensemble().sessions()) {
            found = found || each.id == session_id;
        }
        on.ensemble().expire(session_id);
    });
    return found;
}

std::vector<session_info> embedded_server::sessions() const
{
    std::vector<session_info> all;
    run_and_wait([&](stage& on) { all = on.ensemble().sessions(); });
    return all;
}

void embedded_server::put(std::string_view path, std::string_view data)
{
    if (const auto wrong = wire::validate_path(path); wrong != wire::path_error::none) {
        throw std::invalid_argument("embedded_server::put: " + in_quotes(path) + ": " +
                                    wire::describe(wrong));
    }
    run_and_wait([&](stage& on) { on.ensemble().put(path, data); });
}

bool embedded_server::remove(std::string_view path)
{
    bool done = false;
    run_and_wait([&](stage& on) { done = on.ensemble().remove(path); });
    return done;
}

std::optional<std::string> embedded_server::data(std::string_view path) const
{
    std::optional<std::string> found;
    run_and_wait([&](stage& on) { found = on.ensemble().data(path); });
    return found;
}

bool embedded_server::exists(std::string_view path) const
{
    bool found = false;
    run_and_wait([&](stage& on) { found = on.ensemble().exists(path); });
    return found;
}

std::vector<std::string> embedded_server::children(std::string_view path) const
{
    std::vector<std::string> names;
    run_and_wait([&](stage& on) { names = on.ensemble().children(path); });
    return names;
}

std::int64_t embedded_server::ephemeral_owner(std::string_view path) const
{
    std::int64_t owner = 0;
    run_and_wait([&](stage& on) { owner = on.ensemble().ephemeral_owner(path); });
    return owner;
}

}  // namespace coati::testing
