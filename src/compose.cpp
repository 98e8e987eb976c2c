// The untyped half of operations that are made of others, and errands.

#include <coati/compose.hpp>

#include "engine.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace coati {

namespace detail {

bool may_compose(pending_base& op)
{
    engine& core = engine_of(op);
    if (core.is_shut()) {
        op.discard();
        return false;
    }
    if (op.refused != errc{0}) {
        core.refuse(op, error(op.refused, fate::not_sent));
        return false;
    }
    return true;
}

operation_id run_composed(pending_base& op, std::shared_ptr<composed_base> task,
                          asio::awaitable<void> body)
{
    engine& core = engine_of(op);
    auto self = std::static_pointer_cast<engine>(core.shared_from_this());
    const operation_id id = core.park_composed(op, task);
    auto done = [self, task, id](const std::exception_ptr& failed) {
        self->forget_composed(id);
        if (failed) {
            self->rethrow_later(failed);
        }
        if (auto* const waiting = self->take_parked(id)) {
            task->deliver(*waiting);
        }
    };
    asio::co_spawn(core.executor(), std::move(body),
                   asio::bind_cancellation_slot(
                       task->stop.slot(), asio::bind_executor(core.executor(), std::move(done))));
    return id;
}

void rethrow_from_composed(const scope& s, std::exception_ptr what)
{
    s.core->rethrow_later(std::move(what));
}

}  // namespace detail

void start_errand(const client& zk,
                  std::function<boost::asio::awaitable<result<void>>(client)> body)
{
    auto start = [zk, body = std::move(body)] {
        auto errand = compose<void>(zk.pinned().with({}), body);
        std::move(errand)([](const result<void>&) {});  // nobody waits
    };
    const auto& core = *zk.scope()->core;
    if (core.on_executor()) {
        start();
    } else {
        boost::asio::post(core.executor(), std::move(start));
    }
}

}  // namespace coati
