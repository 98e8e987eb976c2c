// Guarded writes: a check, then the write, all or nothing.

#include <coati/recipe/guarded.hpp>

#include <coati/compose.hpp>

#include <utility>

namespace coati {

namespace {

using boost::asio::awaitable;

/// The failure of a multi as that of what stands behind its check.
error behind_guard(const error& e) noexcept
{
    if (e.op_index() == 0 && e == errc::no_node) {
        return error(errc::lock_lost, e.fate());
    }
    return e.with_op_index(e.op_index() > 0 ? e.op_index() - 1 : -1);
}

/// One write, whose index says nothing.
template <class T>
result<T> alone(const error& e)
{
    return behind_guard(e).with_op_index(-1);
}

awaitable<result<created>> guarded_create(client zk, op::check proof, op::create what)
{
    auto both = zk.multi(std::move(proof), std::move(what));
    auto done = co_await std::move(both);
    if (!done) {
        co_return alone<created>(done.error());
    }
    created made;
    made.path = std::get<1>(std::move(done->results));
    made.zxid = done->zxid;
    co_return made;
}

awaitable<result<stat>> guarded_set(client zk, op::check proof, op::set what)
{
    auto both = zk.multi(std::move(proof), std::move(what));
    const auto done = co_await std::move(both);
    if (!done) {
        co_return alone<stat>(done.error());
    }
    co_return std::get<1>(done->results);
}

awaitable<result<void>> guarded_remove(client zk, op::check proof, op::remove what)
{
    auto both = zk.multi(std::move(proof), std::move(what));
    const auto done = co_await std::move(both);
    if (!done) {
        co_return alone<void>(done.error());
    }
    co_return success();
}

awaitable<result<multi_results>> guarded_multi(client zk, std::vector<any_op> ops)
{
    auto all = zk.multi(std::move(ops));
    auto done = co_await std::move(all);
    if (!done) {
        co_return behind_guard(done.error());
    }
    done->results.erase(done->results.begin());
    co_return done;
}

}  // namespace

guarded_client::guarded_client(client through, std::string proof)
    : zk_(std::move(through)), proof_(std::move(proof))
{
}

operation<created> guarded_client::create(std::string path, coati::data bytes, create_mode mode,
                                          std::optional<acls> who) const
{
    return compose<created>(
        zk_, [check = proof(),
              what = op::create(std::move(path), std::move(bytes), mode, std::move(who))](
                 const client& via) { return guarded_create(via, check, what); });
}

operation<stat> guarded_client::set(std::string path, coati::data bytes,
                                    std::optional<std::int32_t> expected_version) const
{
    return compose<stat>(
        zk_, [check = proof(), what = op::set(std::move(path), std::move(bytes), expected_version)](
                 const client& via) { return guarded_set(via, check, what); });
}

operation<void> guarded_client::remove(std::string path,
                                       std::optional<std::int32_t> expected_version) const
{
    return compose<void>(zk_,
                         [check = proof(), what = op::remove(std::move(path), expected_version)](
                             const client& via) { return guarded_remove(via, check, what); });
}

operation<multi_results> guarded_client::multi(std::vector<any_op> ops) const
{
    ops.insert(ops.begin(), proof());
    return compose<multi_results>(zk_,
                                  [ops](const client& via) { return guarded_multi(via, ops); });
}

}  // namespace coati
