// What the servers of the scripted ensemble share: sessions and their ends, transactions.
//
// Sessions are watched by deadline: one sleep, for the earliest. Knows no bytes.
#include "server_core.hpp"

#include <coati/testing/world.hpp>
#include <coati/wire/operation.hpp>

#include <algorithm>
#include <stdexcept>

namespace coati::testing {

namespace asio = boost::asio;

namespace {

rules rules_of(const ensemble_options& o)
{
    const auto parsed = wire::parse_server_version(o.version);
    if (!parsed) {
        throw std::invalid_argument("ensemble_options::version is \"" + o.version +
                                    "\"; it takes three numbers, as in \"3.9.3\"");
    }
    rules r;
    r.version = *parsed;
    r.extended_types = o.extended_types;
    r.super_digest = o.super_digest;
    r.hides_events = o.hides_events;
    return r;
}

}  // namespace

// --- alarm ---------------------------------------------------------------------------------------

void alarm::set(ensemble_core& in, time_point when, std::function<void()> what)
{
    if (when == when_) {
        return;
    }
    cancel_.emit(asio::cancellation_type::terminal);
    cancel_.slot().clear();  // what it cancelled is gone soon, and must not be told twice
    when_ = when;
    const auto mine = ++*number_;
    if (when == never) {
        return;
    }
    const auto woken = [this, current = std::weak_ptr(number_), mine,
                        what = std::move(what)](boost::system::error_code) {
        if (const auto number = current.lock(); number && *number == mine) {
            cancel_.slot().clear();
            when_ = never;
            what();
        }
    };
    in.time->sleep_until(
        when, asio::bind_cancellation_slot(cancel_.slot(), asio::bind_executor(in.ex, woken)));
}

// --- ensemble_core: sessions ---------------------------------------------------------------------

ensemble_core::ensemble_core(std::shared_ptr<transport> t, asio::any_io_executor e,
                             ensemble_options o)
    : time(std::move(t)), ex(std::move(e)), options(std::move(o)),
      head(std::make_shared<server_state>(rules_of(options))),
      next_session(options.first_session_id)
{
}

std::chrono::milliseconds ensemble_core::negotiate(std::int32_t asked_ms) const
{
    return std::clamp(std::chrono::milliseconds(asked_ms), options.min_session_timeout,
                      options.max_session_timeout);
}

std::int64_t ensemble_core::open_session(std::chrono::milliseconds timeout, const server_core& home)
{
    const std::int64_t id = next_session++;
    server_session& made = sessions[id];
    for (int half = 0; half < 2; ++half) {
        std::uint64_t bits = time->random();
        for (int i = 0; i < 8; ++i, bits >>= 8U) {
            made.password.push_back(static_cast<char>(bits & 0xffU));
        }
    }
    made.timeout = timeout;
    made.is_local = options.local_sessions || !home.serves();
    made.home = &home;
    touch(id);
    return id;
}

void ensemble_core::touch(std::int64_t session)
{
    const auto found = sessions.find(session);
    if (found == sessions.end()) {
        return;
    }
    time_point end = time->now() + found->second.timeout;
    if (options.tick.count() > 0) {
        const auto since = end.time_since_epoch();
        end = time_point((since / options.tick + 1) * duration(options.tick));
    }
    found->second.expires = end;
    if (end < deadlines_.when()) {
        watch_deadlines();
    }
}

/// Deadlines only move later, so the sleep is not moved with them: it looks again when it ends.
void ensemble_core::watch_deadlines()
{
    time_point first = never;
    for (const auto& [id, each] : sessions) {
        first = std::min(first, each.expires);
    }
    deadlines_.set(*this, quorum ? first : never, [this] { end_overdue(); });
}

void ensemble_core::end_overdue()
{
    const bool may_end = quorum && (!options.elections || is_leading());
    std::vector<std::int64_t> over;
    for (const auto& [id, each] : sessions) {
        if (may_end && each.expires <= time->now()) {
            over.push_back(id);
        }
    }
    for (const auto id : over) {
        expire(id);
    }
    if (may_end) {
        watch_deadlines();
    }
}

void ensemble_core::close_session(std::int64_t session)
{
    sessions.erase(session);
    transaction t;
    t.op = wire::op_code::close_session;
    t.session = session;
    submit(std::move(t));
}

void ensemble_core::expire(std::int64_t session)
{
    const auto found = sessions.find(session);
    if (found == sessions.end()) {
        return;
    }
    const auto owner = found->second.owner.lock();
    if (owner) {
        owner->close();  // first: the dead do not hear of their own end
    }
    close_session(session);
}

bool ensemble_core::is_owner(std::int64_t session,
                             const std::weak_ptr<server_connection>& who) const
{
    const auto found = sessions.find(session);
    // The same object, also when it is gone.
    return found != sessions.end() && !found->second.owner.owner_before(who) &&
           !who.owner_before(found->second.owner);
}

void ensemble_core::forget_local_sessions(const server_core& of)
{
    std::erase_if(sessions, [&](const auto& each) {
        return each.second.is_local && each.second.home == &of && !options.local_sessions;
    });
}

void ensemble_core::restart_clocks()
{
    for (auto& [id, each] : sessions) {
        each.expires = time->now() + each.timeout;  // a new leader starts all of them
    }
    watch_deadlines();
}

// --- ensemble_core: transactions -----------------------------------------------------------------

std::int64_t ensemble_core::now_ms() const
{
    const auto since = time->now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

outcome ensemble_core::submit(transaction t, const ticket& who)
{
    t.zxid = head->zxid() + 1;
    t.now_ms = now_ms();
    outcome done = head->apply(t);
    deliver({std::move(t), done, who});
    watch_mortals();
    return done;
}

/// One after the other: what a server does with one may lead to the next.
void ensemble_core::deliver(delivery what)
{
    deliveries_.push_back(std::move(what));
    if (std::exchange(is_delivering_, true)) {
        return;
    }
    while (!deliveries_.empty()) {
        const delivery next = std::move(deliveries_.front());
        deliveries_.pop_front();
        for (const auto& server : live_servers()) {
            server->learn(next.t, next.done, next.who);
        }
    }
    is_delivering_ = false;
}

void ensemble_core::pass_through(transaction t, const ticket& who)
{
    t.zxid = head->zxid();
    outcome done;
    done.body = t.body;
    deliver({std::move(t), std::move(done), who});
}

/// Looks again every `container_check`, as long as there is anything to look at.
void ensemble_core::watch_mortals()
{
    if (mortals_.when() == never && head->tree().has_mortals()) {
        mortals_.set(*this, time->now() + options.container_check, [this] { end_mortals(); });
    }
}

void ensemble_core::end_mortals()
{
    if (quorum && (!options.elections || is_leading())) {
        for (const auto& path : head->tree().outlived(now_ms())) {
            transaction t;
            t.op = wire::op_code::delete_container;
            t.body = path;
            submit(std::move(t));
        }
    }
    watch_mortals();
}

std::vector<std::shared_ptr<server_core>> ensemble_core::live_servers() const
{
    std::vector<std::shared_ptr<server_core>> all;
    for (const auto& each : servers) {
        if (auto server = each.lock()) {
            all.push_back(std::move(server));
        }
    }
    return all;
}

// --- scripted_ensemble ---------------------------------------------------------------------------

scripted_ensemble::scripted_ensemble(std::shared_ptr<transport> time, asio::any_io_executor ex,
                                     ensemble_options options)
    : core_(std::make_shared<ensemble_core>(std::move(time), std::move(ex), std::move(options)))
{
}

scripted_ensemble::scripted_ensemble(world& in, ensemble_options options)
    : scripted_ensemble(in.make_transport(), in.get_executor(), std::move(options))
{
}

scripted_ensemble::~scripted_ensemble() = default;

void scripted_ensemble::expire(std::int64_t session_id)
{
    core_->expire(session_id);
}

std::vector<session_info> scripted_ensemble::sessions() const
{
    std::vector<session_info> all;
    for (const auto& [id, each] : core_->sessions) {
        all.push_back({id, each.password, each.timeout, each.expires});
    }
    return all;
}

void scripted_ensemble::has_quorum(bool yes)
{
    core_->has_quorum(yes);
}

std::optional<endpoint> scripted_ensemble::leader() const
{
    const auto found = core_->leader.lock();
    return found ? std::optional(found->at) : std::nullopt;
}

std::int64_t scripted_ensemble::zxid() const
{
    return core_->head->zxid();
}

void scripted_ensemble::set_zxid(std::int64_t zxid)
{
    core_->head->set_zxid(zxid);
}

namespace {

template <class Op>
outcome by_itself(ensemble_core& in, const typename Op::request& request)
{
    transaction t;
    t.op = Op::code;
    t.who = superuser();
    wire::encode(t.body, request);
    return in.submit(std::move(t));
}

}  // namespace

void scripted_ensemble::put(std::string_view path, std::string_view data)
{
    if (core_->head->tree().find(path) != nullptr) {
        by_itself<wire::set_data>(*core_, {path, {data}, wire::any_version});
        return;
    }
    if (const auto parent = parent_of(path); core_->head->tree().find(parent) == nullptr) {
        put(parent, {});
    }
    const auto made =
        by_itself<wire::create>(*core_, {path, {data}, {{may_all, "world", "anyone"}}});
    if (made.err != 0) {
        throw std::invalid_argument("no znode can be put at \"" + std::string(path) + "\"");
    }
}

bool scripted_ensemble::remove(std::string_view path)
{
    return by_itself<wire::remove>(*core_, {path, wire::any_version}).err == 0;
}

std::optional<std::string> scripted_ensemble::data(std::string_view path) const
{
    const auto* const node = core_->head->tree().find(path);
    return node == nullptr || node->data.is_null ? std::nullopt : std::optional(node->data.value);
}

bool scripted_ensemble::exists(std::string_view path) const
{
    return core_->head->tree().find(path) != nullptr;
}

std::vector<std::string> scripted_ensemble::children(std::string_view path) const
{
    const auto* const node = core_->head->tree().find(path);
    return node == nullptr ? std::vector<std::string>()
                           : std::vector<std::string>(node->children.begin(), node->children.end());
}

std::int64_t scripted_ensemble::ephemeral_owner(std::string_view path) const
{
    const auto* const node = core_->head->tree().find(path);
    return node == nullptr ? 0 : node->stat.ephemeral_owner;
}

}  // namespace coati::testing
