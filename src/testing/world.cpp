// The simulated world: its clock, its agenda, names and listeners, and the public face of all that.
//
// Owns the order of events: poll the context until nothing is ready, then the earliest event, by
// time and then by number. Connections are world_network.cpp. Knows nothing of ZooKeeper.
#include "world_state.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace coati::testing {

namespace asio = boost::asio;

// --- handlers ------------------------------------------------------------------------------------

std::unique_ptr<waiting> world_state::take(std::uint64_t id)
{
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) {
        return nullptr;
    }
    auto op = std::move(found->second);
    waiting_.erase(found);
    if (op->scheduled) {
        // Out of the map before it dies: it may own a stream, and that schedules its EOF here.
        const auto node = agenda_.extract(*op->scheduled);
    }
    return op;
}

void world_state::abort(std::uint64_t id)
{
    if (const auto op = take(id)) {
        op->abort(*this);
    }
}

void world_state::shutdown()
{
    shut_ = true;
    // Handlers own frames, frames own streams, streams come back here: out first, then destroy.
    const auto handlers = std::exchange(waiting_, {});
    const auto events = std::exchange(agenda_, {});
    const auto listening = std::exchange(ports, {});
    const auto connected = std::exchange(wires, {});
    const auto hooked = std::exchange(hook, nullptr);
    const auto still = std::exchange(frozen_, {});
}

// --- time and chance -----------------------------------------------------------------------------

void world_state::note(std::uint64_t what) noexcept
{
    hash_ = (hash_ ^ what) * 0x100000001b3U;
    hash_ ^= hash_ >> 29U;
}

void world_state::note_bytes(const char* data, std::size_t size) noexcept
{
    std::uint64_t h = size;
    for (std::size_t i = 0; i < size; ++i) {
        h = (h ^ static_cast<unsigned char>(data[i])) * 0x100000001b3U;
    }
    note(h);
}

/// SplitMix64: specified here, so that a seed means the same everywhere.
std::uint64_t world_state::random() noexcept
{
    random_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = random_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    z ^= z >> 31U;
    note(z);
    return z;
}

time_point world_state::after(duration d) const noexcept
{
    return d >= never - now_ ? never : now_ + d;
}

void world_state::schedule(time_point when, std::function<void()> what, std::uint64_t id)
{
    if (shut_ || when == never) {
        return;
    }
    const agenda_key key{std::max(when, now_), ++last_event_};
    agenda_.emplace(key, std::move(what));
    if (id != 0) {
        waiting_.at(id)->scheduled = key;
    }
}

bool world_state::advance(time_point limit)
{
    if (agenda_.empty() || agenda_.begin()->first.first > limit) {
        return false;
    }
    auto event = agenda_.extract(agenda_.begin());
    now_ = event.key().first;
    note(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    event.mapped()();
    return true;
}

bool world_state::run_one()
{
    context_.restart();  // it stops whenever it runs out of work
    return context_.poll_one() > 0;
}

// --- names and places ----------------------------------------------------------------------------

void world_state::sleep_until(time_point when, const std::optional<std::string>& host,
                              transport_handler<> handler)
{
    const bool frozen = host && is_frozen(*host);
    if (when <= now_ && !frozen) {
        complete(std::move(handler), error_code());
        return;
    }
    const auto id = park(std::move(handler));
    const auto ended = [this, id] { finish(id, error_code()); };
    if (!host) {
        schedule(when, ended, id);
        return;
    }
    schedule(
        when, [this, id, ended, host = *host] { deliver(host, due::timer, id, ended); }, id);
}

void world_state::resolve(std::string name, std::uint16_t port_number, std::string host,
                          transport_handler<std::vector<endpoint>> handler)
{
    error_code not_literal;
    const auto address = asio::ip::make_address(name, not_literal);
    std::vector<endpoint> all;
    if (!not_literal) {
        all.push_back({address.to_string(), port_number, name});
        complete(std::move(handler), error_code(), std::move(all));
        return;
    }
    const auto found = names.find(name);
    const duration takes = found == names.end() ? name_entry().takes : found->second.takes;
    const auto id = park(std::move(handler), std::move(all));
    const auto answer = [this, id, name = std::move(name), port_number, host = std::move(host)] {
        std::vector<endpoint> result;
        // Looked up when the answer is given: a name that changes meanwhile has changed.
        if (const auto entry = names.find(name); entry != names.end() && entry->second.addresses) {
            for (const auto& each : *entry->second.addresses) {
                result.push_back({each, port_number, name});
            }
        }
        const error_code ec = result.empty() ? asio::error::host_not_found : error_code();
        deliver(host, due::network, id, [this, id, ec, result] { finish(id, ec, result); });
    };
    schedule(after(takes), answer, id);
}

void world_state::connect(endpoint to, std::string host,
                          transport_handler<std::unique_ptr<stream>> handler)
{
    const place at = place_of(to);
    const auto id = park(std::move(handler), std::unique_ptr<stream>());
    if (id == 0 || holes.contains(at) || is_separated(host, at)) {
        return;
    }
    const auto known = latencies.find(at);
    const duration latency = known == latencies.end() ? duration(100'000) : known->second;
    const auto arrived = [this, to = std::move(to), host = std::move(host), id] {
        arrive_at_server(to, host, id);
    };
    schedule(after(latency), arrived, id);
}

/// Half way: the server's side knows of the connection; the client's learns one trip later.
void world_state::arrive_at_server(endpoint to, std::string host, std::uint64_t id)
{
    const place at = place_of(to);
    const auto known = latencies.find(at);
    const duration latency = known == latencies.end() ? duration(100'000) : known->second;
    const auto listening = ports.find(at);
    waiting_.at(id)->scheduled.reset();
    if (holes.contains(at) || is_separated(host, at)) {
        return;
    }
    if (refused.contains(at) || listening == ports.end()) {
        const auto refuse = [this, id] {
            finish(id, error_code(asio::error::connection_refused), std::unique_ptr<stream>());
        };
        schedule(
            after(latency), [this, id, refuse, host] { deliver(host, due::network, id, refuse); },
            id);
        return;
    }
    const auto made = std::make_shared<link>();
    made->id = ++last_wire_;
    made->server = to;
    made->host = host;
    made->latency = latency;
    made->window = window;
    wires.emplace(made->id, made);
    ++connection_counts[at];
    note(made->id * 4 + 3);
    const auto to_port = listening->second;  // whatever the hook does
    if (const auto called = hook) {
        called(connection{made->id, to, host});
    }
    // Shared, as a function must be copyable; cancelled or not, it closes its end when it dies.
    auto client_side = std::make_shared<std::unique_ptr<stream>>(
        std::make_unique<world_stream>(shared_from_this(), made, 0));
    const auto connected = [this, id, client_side] {
        finish(id, error_code(), std::move(*client_side));
    };
    const auto acknowledged = [this, id, connected, host] {
        deliver(host, due::network, id, connected);
    };
    schedule(after(latency), acknowledged, is_waiting(id) ? id : 0);
    hand_over(*to_port, std::make_unique<world_stream>(shared_from_this(), made, 1));
}

void world_state::hand_over(port& to, std::unique_ptr<stream> server_side)
{
    if (to.accept) {
        asio::post(context_, [accept = to.accept, s = std::move(server_side)]() mutable {
            accept(std::move(s));
        });
    } else if (is_waiting(to.accepting)) {
        finish(std::exchange(to.accepting, 0), error_code(), std::move(server_side));
    } else {
        to.backlog.push_back(std::move(server_side));
    }
}

std::shared_ptr<port> world_state::open_port(endpoint& at)
{
    while (at.port == 0 || (at.port == last_port_ && ports.contains(place_of(at)))) {
        at.port = ++last_port_;
    }
    auto made = std::make_shared<port>();
    if (!ports.emplace(place_of(at), made).second) {
        throw boost::system::system_error(asio::error::address_in_use, to_string(at));
    }
    return made;
}

// --- the interfaces of transport.hpp -------------------------------------------------------------

namespace {

class world_transport final : public transport {
public:
    world_transport(std::shared_ptr<world_state> state, std::string host)
        : state_(std::move(state)), host_(std::move(host))
    {
    }

    time_point now() const override { return state_->now(); }
    std::uint64_t random() override { return state_->random(); }
    void sleep_until(time_point when, transport_handler<> handler) override
    {
        state_->sleep_until(when, host_, std::move(handler));
    }
    void resolve(std::string name, std::uint16_t port_number,
                 transport_handler<std::vector<endpoint>> handler) override
    {
        state_->resolve(std::move(name), port_number, host_, std::move(handler));
    }
    void connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler) override
    {
        state_->connect(std::move(to), host_, std::move(handler));
    }

private:
    std::shared_ptr<world_state> state_;
    std::string host_;
};

class world_listener final : public listener {
public:
    world_listener(std::shared_ptr<world_state> state, endpoint at, std::shared_ptr<port> p)
        : state_(std::move(state)), at_(std::move(at)), port_(std::move(p))
    {
    }
    ~world_listener() override
    {
        const auto found = state_->ports.find(place_of(at_));
        if (found != state_->ports.end() && found->second == port_) {
            state_->ports.erase(found);
        }
        state_->abort(std::exchange(port_->accepting, 0));
    }
    world_listener(const world_listener&) = delete;
    world_listener& operator=(const world_listener&) = delete;

    endpoint local() const override { return at_; }
    void accept(transport_handler<std::unique_ptr<stream>> handler) override
    {
        if (port_->backlog.empty()) {
            port_->accepting = state_->park(std::move(handler), std::unique_ptr<stream>());
            return;
        }
        auto first = std::move(port_->backlog.front());
        port_->backlog.pop_front();
        state_->complete(std::move(handler), error_code(), std::move(first));
    }

private:
    std::shared_ptr<world_state> state_;
    endpoint at_;
    std::shared_ptr<port> port_;
};

}  // namespace

// --- world ---------------------------------------------------------------------------------------

world::world(std::uint64_t seed) : context_(std::make_unique<asio::io_context>(1))
{
    state_ = std::make_shared<world_state>(*context_, seed);
}

world::~world()
{
    state_->shutdown();
}

asio::io_context& world::context() noexcept
{
    return *context_;
}

asio::any_io_executor world::get_executor() noexcept
{
    return context_->get_executor();
}

std::shared_ptr<transport> world::make_transport(std::string host)
{
    return std::make_shared<world_transport>(state_, std::move(host));
}

asio::awaitable<void> world::begin(std::shared_ptr<task::state> of, asio::awaitable<void> body)
{
    of->begun = true;
    if (!of->cancelled) {
        co_await std::move(body);
    }
}

task world::spawn(asio::awaitable<void> coroutine)
{
    task started;
    auto* const state = started.state_.get();
    const auto ended = [state = started.state_](const std::exception_ptr& failure) {
        state->done = true;
        try {
            if (failure) {
                std::rethrow_exception(failure);
            }
        } catch (const boost::system::system_error& e) {
            if (!state->cancelled || e.code() != asio::error::operation_aborted) {
                throw;
            }
        }
    };
    asio::co_spawn(*context_, begin(started.state_, std::move(coroutine)),
                   asio::bind_cancellation_slot(state->signal.slot(), ended));
    return started;
}

namespace {

asio::awaitable<void> sleep_until(std::shared_ptr<world_state> state, time_point when)
{
    constexpr auto token = asio::as_tuple(asio::deferred);
    auto sleeping = asio::async_initiate<decltype(token), void(error_code)>(
        [](auto handler, world_state* in, time_point at) {
            in->sleep_until(at, std::nullopt, std::move(handler));
        },
        token, state.get(), when);
    const auto [cancelled] = co_await std::move(sleeping);
    if (cancelled) {
        throw boost::system::system_error(cancelled);
    }
}

}  // namespace

asio::awaitable<void> world::sleep_for(duration d)
{
    return sleep_until(state_, state_->after(d));
}

time_point world::now() const noexcept
{
    return state_->now();
}

std::uint64_t world::random() noexcept
{
    return state_->random();
}

void world::settle()
{
    while (state_->run_one()) {}
}

void world::run_for(duration d)
{
    const time_point end = state_->after(d);
    do {
        settle();
    } while (state_->advance(end));
    state_->jump(end);
}

bool world::run_until(const std::function<bool()>& predicate, duration limit)
{
    const time_point end = state_->after(limit);
    while (!predicate()) {
        if (state_->run_one() || state_->advance(end)) {
            continue;
        }
        if (!stuck()) {
            state_->jump(end);
        }
        return false;
    }
    return true;
}

void world::run_until_idle()
{
    do {
        settle();
    } while (state_->advance(never));
}

bool world::stuck() const noexcept
{
    return state_->stuck();
}

std::uint64_t world::trace_hash() const noexcept
{
    return state_->hash();
}

endpoint world::listen(endpoint at, acceptor accept)
{
    state_->open_port(at)->accept = std::move(accept);
    return at;
}

std::unique_ptr<listener> world::listen(endpoint at)
{
    auto made = state_->open_port(at);
    return std::make_unique<world_listener>(state_, std::move(at), std::move(made));
}

void world::unlisten(const endpoint& at)
{
    const auto closed = state_->ports.extract(place_of(at));
}

void world::refuse(const endpoint& at)
{
    state_->refused.insert(place_of(at));
    state_->holes.erase(place_of(at));
}

void world::black_hole(const endpoint& at)
{
    state_->holes.insert(place_of(at));
    state_->refused.erase(place_of(at));
}

void world::allow(const endpoint& at)
{
    state_->holes.erase(place_of(at));
    state_->refused.erase(place_of(at));
}

void world::add_name(const std::string& host, std::vector<std::string> addresses)
{
    state_->names[host].addresses = std::move(addresses);
}

void world::remove_name(const std::string& host)
{
    state_->names[host].addresses.reset();
}

void world::slow_name(const std::string& host, duration takes)
{
    state_->names[host].takes = takes;
}

void world::latency(const endpoint& server, duration one_way)
{
    state_->latencies[place_of(server)] = one_way;
    for (const auto& [id, each] : state_->wires) {
        if (place_of(each->server) == place_of(server)) {
            each->latency = one_way;
        }
    }
}

void world::jitter(duration up_to)
{
    state_->jitter = up_to;
}

void world::fragment_reads(bool on)
{
    state_->fragments = on;
}

void world::send_window(std::size_t bytes)
{
    state_->window = bytes;
}

std::vector<connection> world::connections() const
{
    std::vector<connection> all;
    for (const auto& [id, each] : state_->wires) {
        if (!each->closed[0] && !each->closed[1]) {
            all.push_back({id, each->server, each->host});
        }
    }
    return all;
}

void world::on_connection(std::function<void(const connection&)> hook)
{
    state_->hook = std::move(hook);
}

std::size_t world::connection_count(const endpoint& server) const
{
    const auto found = state_->connection_counts.find(place_of(server));
    return found == state_->connection_counts.end() ? 0 : found->second;
}

}  // namespace coati::testing
