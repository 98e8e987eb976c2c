// What the servers of the scripted ensemble share: sessions and their ends, transactions, events.
//
// Sessions are watched by deadline, not by a tick: one sleep, for the earliest. Knows no bytes.
#include "server_core.hpp"

#include <coati/testing/world.hpp>
#include <coati/wire/path.hpp>

#include <algorithm>
#include <stdexcept>

namespace coati::testing {

namespace asio = boost::asio;

wire::server_version ensemble_core::version_of(const ensemble_options& o)
{
    const auto parsed = wire::parse_server_version(o.version);
    if (!parsed) {
        throw std::invalid_argument("ensemble_options::version is \"" + o.version +
                                    "\"; it takes three numbers, as in \"3.9.3\"");
    }
    return *parsed;
}

std::chrono::milliseconds ensemble_core::negotiate(std::int32_t asked_ms) const
{
    return std::clamp(std::chrono::milliseconds(asked_ms), options.min_session_timeout,
                      options.max_session_timeout);
}

std::int64_t ensemble_core::open_session(std::chrono::milliseconds timeout)
{
    const std::int64_t id = next_session++;
    ++zxid;
    server_session& made = sessions[id];
    for (int half = 0; half < 2; ++half) {
        std::uint64_t bits = time->random();
        for (int i = 0; i < 8; ++i, bits >>= 8U) {
            made.password.push_back(static_cast<char>(bits & 0xffU));
        }
    }
    made.timeout = timeout;
    touch(id);
    return id;
}

void ensemble_core::touch(std::int64_t session)
{
    if (const auto found = sessions.find(session); found != sessions.end()) {
        found->second.expires = time->now() + found->second.timeout;
        if (found->second.expires < armed_) {
            arm();
        }
    }
}

/// Deadlines only move later, so the sleep is not moved with them: it looks again when it ends.
void ensemble_core::arm()
{
    time_point first = never;
    for (const auto& [id, each] : sessions) {
        first = std::min(first, each.expires);
    }
    cancel_.emit(asio::cancellation_type::terminal);
    armed_ = quorum ? first : never;
    if (armed_ == never) {
        return;
    }
    const auto woken = [weak = weak_from_this(),
                        number = ++arm_number_](boost::system::error_code) {
        if (const auto self = weak.lock(); self && self->arm_number_ == number) {
            self->wake();
        }
    };
    time->sleep_until(armed_,
                      asio::bind_cancellation_slot(cancel_.slot(), asio::bind_executor(ex, woken)));
}

void ensemble_core::wake()
{
    armed_ = never;
    std::vector<std::int64_t> over;
    for (const auto& [id, each] : sessions) {
        if (quorum && each.expires <= time->now()) {
            over.push_back(id);
        }
    }
    for (const auto id : over) {
        expire(id);
    }
    arm();
}

void ensemble_core::end_session(std::int64_t session)
{
    writing w = begin_write(session);
    for (const auto& path : tree.ephemerals_of(session)) {
        tree.remove(w, path, -1);
    }
    sessions.erase(session);
    publish(w);
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
    end_session(session);
}

void ensemble_core::has_quorum(bool yes)
{
    const bool changed = quorum != yes;
    quorum = yes;
    std::erase_if(sessions, [](const auto& each) { return each.second.is_local; });
    for (auto& [id, each] : sessions) {
        each.expires = time->now() + each.timeout;  // a new leader starts all clocks
    }
    for (const auto& each : servers) {
        if (const auto server = each.lock(); server && changed) {
            server->drop_connections();
        }
    }
    arm();
}

writing ensemble_core::begin_write(std::int64_t session)
{
    const auto since = time->now().time_since_epoch();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    writing w;
    w.session = session;
    w.zxid = ++zxid;
    w.now_ms = ms;
    return w;
}

void ensemble_core::publish(const writing& w)
{
    for (const auto& each : servers) {
        if (const auto server = each.lock()) {
            server->publish(w);
        }
    }
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

std::int64_t scripted_ensemble::zxid() const
{
    return core_->zxid;
}

void scripted_ensemble::set_zxid(std::int64_t zxid)
{
    core_->zxid = zxid;
}

void scripted_ensemble::put(std::string_view path, std::string_view data)
{
    const data_view value{data};
    if (core_->tree.find(path) != nullptr) {
        writing w = core_->begin_write(0);
        core_->tree.set_data(w, path, value, -1);
        core_->publish(w);
        return;
    }
    if (const auto parent = wire::parent_path(path); core_->tree.find(parent) == nullptr) {
        put(parent, {});
    }
    std::string created;
    writing w = core_->begin_write(0);
    core_->tree.create(w, path, value, {{31, "world", "anyone"}}, false, false, created);
    core_->publish(w);
}

bool scripted_ensemble::remove(std::string_view path)
{
    writing w = core_->begin_write(0);
    const bool done = core_->tree.remove(w, path, -1) == 0;
    core_->publish(w);
    return done;
}

std::optional<std::string> scripted_ensemble::data(std::string_view path) const
{
    const auto* const node = core_->tree.find(path);
    return node == nullptr || node->data.is_null ? std::nullopt : std::optional(node->data.value);
}

bool scripted_ensemble::exists(std::string_view path) const
{
    return core_->tree.find(path) != nullptr;
}

std::vector<std::string> scripted_ensemble::children(std::string_view path) const
{
    const auto* const node = core_->tree.find(path);
    return node == nullptr ? std::vector<std::string>()
                           : std::vector<std::string>(node->children.begin(), node->children.end());
}

std::int64_t scripted_ensemble::ephemeral_owner(std::string_view path) const
{
    const auto* const node = core_->tree.find(path);
    return node == nullptr ? 0 : node->stat.ephemeral_owner;
}

}  // namespace coati::testing
