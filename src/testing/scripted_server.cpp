// The scripted server's public face, its listener and its list of connections.
//
// Whoever walks the connections walks a copy: each of them may close, and leave the list,
// meanwhile.
#include "server_core.hpp"

#include <coati/testing/world.hpp>

#include <utility>

namespace coati::testing {

namespace asio = boost::asio;

// --- verdict -------------------------------------------------------------------------------------

verdict verdict::delay(duration by)
{
    verdict v(kind::delay);
    v.by = by;
    return v;
}

verdict verdict::replace(std::string bytes)
{
    verdict v(kind::replace);
    v.bytes = std::move(bytes);
    return v;
}

verdict verdict::replace_and_close(std::string bytes)
{
    verdict v = replace(std::move(bytes));
    v.then_close = true;
    return v;
}

verdict verdict::pass_and_close()
{
    verdict v = pass();
    v.then_close = true;
    return v;
}

verdict verdict::answer(errc code)
{
    verdict v(kind::answer);
    v.code = code;
    return v;
}

// --- server_core ---------------------------------------------------------------------------------

void server_core::start()
{
    if (listening) {
        return;
    }
    listening = listen(at);
    at = listening->local();
    accept();
}

void server_core::accept()
{
    const auto done = [weak = weak_from_this(), mine = generation_](boost::system::error_code ec,
                                                                    std::unique_ptr<stream> s) {
        const auto self = weak.lock();
        if (self && !ec && mine == self->generation_) {
            self->accepted(std::move(s));
            self->accept();
        }
    };
    listening->accept(asio::bind_executor(ensemble->ex, done));
}

void server_core::accepted(std::unique_ptr<stream> s)
{
    if (closes_on_accept) {
        return;
    }
    const std::uint64_t number = ++last_connection;
    const auto made = std::make_shared<server_connection>(shared_from_this(), number, std::move(s));
    connections.emplace(number, made);
    made->go_on();
}

void server_core::drop_connections()
{
    const auto all = connections;
    for (const auto& [number, each] : all) {
        each->close();
    }
}

void server_core::stop()
{
    ++generation_;
    listening.reset();  // both kinds of listener end their accept then
    has_leader = false;
    unasked_.clear();  // it died before it had passed them on
    drop_connections();
}

void server_core::set_paused(bool yes)
{
    if (paused == yes) {
        return;
    }
    paused = yes;
    if (yes) {
        get_lost(isolated);
    }
    ensemble->look_again();
    if (!paused) {
        const auto all = connections;
        for (const auto& [number, each] : all) {
            each->go_on();
        }
    }
}

void server_core::release()
{
    const auto all = connections;
    for (const auto& [number, each] : all) {
        each->release();
    }
}

// --- scripted_server -----------------------------------------------------------------------------

scripted_server::scripted_server(scripted_ensemble& ensemble, const endpoint& at,
                                 listen_function listen, server_role role)
    : core_(std::make_shared<server_core>(ensemble.core_, std::move(listen), at,
                                          role == server_role::observer))
{
    ensemble.core_->add(core_);
}

scripted_server::scripted_server(scripted_ensemble& ensemble, world& in, const endpoint& at,
                                 server_role role)
    : scripted_server(
          ensemble, at, [&in](const endpoint& where) { return in.listen(where); }, role)
{
}

scripted_server::~scripted_server()
{
    kill();
}

endpoint scripted_server::local() const
{
    return core_->at;
}

void scripted_server::kill()
{
    core_->stop();
    core_->ensemble->look_again();
}

void scripted_server::restart()
{
    core_->stop();
    core_->paused = false;
    core_->start();
    if (!core_->ensemble->options.elections) {
        core_->join();
    }
    core_->ensemble->look_again();
}

void scripted_server::pause()
{
    core_->set_paused(true);
}

void scripted_server::resume()
{
    core_->set_paused(false);
}

void scripted_server::lag(duration by)
{
    core_->set_lag(by);
}

void scripted_server::isolate()
{
    core_->set_isolated(true);
}

void scripted_server::heal()
{
    core_->set_isolated(false);
}

void scripted_server::on_frame(frame_hook hook)
{
    core_->hook = std::move(hook);
}

void scripted_server::release()
{
    core_->release();
}

void scripted_server::close_on_accept(bool yes)
{
    core_->closes_on_accept = yes;
}

void scripted_server::inject(std::string bytes)
{
    const auto all = core_->connections;
    for (const auto& [number, each] : all) {
        each->send_raw(bytes);
    }
}

void scripted_server::drop_connections()
{
    core_->drop_connections();
}

void scripted_server::expire(std::int64_t session_id)
{
    core_->ensemble->expire(session_id);
}

const std::vector<request_record>& scripted_server::log() const
{
    return core_->log;
}

void scripted_server::clear_log()
{
    core_->log.clear();
}

std::size_t scripted_server::connections() const
{
    return core_->connections.size();
}

std::size_t scripted_server::watches() const
{
    std::size_t all = 0;
    for (const auto& [number, each] : core_->connections) {
        all += each->watches();
    }
    return all;
}

}  // namespace coati::testing
