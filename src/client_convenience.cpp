// The compositions of a few requests: with parents, create or set, waiting, compare and set.

#include "client_composed.hpp"

#include <coati/convenience.hpp>
#include <coati/wire/path.hpp>

#include <tuple>

namespace coati {

namespace {

using detail::is_in_doubt;
using detail::asio::awaitable;

// --- with parents

/// Creates the znode's parents from the topmost missing one downwards. Success: all were there
/// once.
awaitable<result<void>> create_parents(client zk, std::string path, create_mode mode)
{
    const std::string parent(wire::parent_path(path));
    std::string at = parent;
    for (;;) {
        auto step = zk.create(at, "", mode);
        const result<created> made = co_await std::move(step);
        const bool is_there = made || made.error() == errc::node_exists;
        if (!is_there && made.error() != errc::no_node) {
            co_return made.error();
        }
        if (is_there && at.size() == parent.size()) {
            co_return success();
        }
        if (is_there) {
            at = parent.substr(0, parent.find('/', at.size() + 1));
            continue;
        }
        at = wire::parent_path(at);
        if (at == "/") {
            co_return made.error();  // the chroot itself is missing
        }
    }
}

awaitable<result<created>> with_parents(client zk, std::string path, data bytes, create_mode mode,
                                        std::optional<acls> who, create_mode parents)
{
    for (;;) {
        auto attempt = zk.create(path, bytes, mode, who);
        result<created> made = co_await std::move(attempt);
        if (made || made.error() != errc::no_node || wire::parent_path(path) == "/") {
            co_return made;
        }
        auto above = create_parents(zk, path, parents);
        const result<void> ready = co_await std::move(above);
        if (!ready) {
            co_return ready.error();
        }
        // A container without children may be gone again by now.
    }
}

/// The chroot of a handle as an ordinary path, through a handle without one.
awaitable<result<created>> make_chroot(client zk, data bytes, create_mode mode,
                                       std::optional<acls> who, create_mode parents)
{
    auto plain = std::make_shared<detail::scope>(*zk.scope());
    const std::string path = std::exchange(plain->chroot, std::string());
    auto body = with_parents(client(std::move(plain)), path, bytes, mode, who, parents);
    result<created> made = co_await std::move(body);
    if (made) {
        made->path = wire::strip_chroot(path, made->path);
    }
    co_return made;
}

// --- create or set

awaitable<result<stat>> set_or_create(client zk, std::string path, data bytes, create_mode mode,
                                      std::optional<acls> who)
{
    for (;;) {
        auto set = zk.set(path, bytes);
        result<stat> changed = co_await std::move(set);
        if (changed || changed.error() != errc::no_node) {
            co_return changed;
        }
        auto create = zk.create_with_stat(path, bytes, mode, who);
        const result<created_with_stat> made = co_await std::move(create);
        if (made) {
            co_return made->stat;
        }
        if (made.error() != errc::node_exists) {
            co_return made.error();
        }
    }
}

// --- waiting

/// The watch is set by the very read that finds the wrong state: nothing can come between.
awaitable<result<std::optional<stat>>> until(client zk, std::string path, bool is_there)
{
    for (;;) {
        auto look = zk.exists_and_watch(path);
        result<watched_existence> seen = co_await std::move(look);
        if (!seen) {
            co_return seen.error();
        }
        if (seen->stat.has_value() == is_there) {
            co_return seen->stat;
        }
        auto change = seen->watch.next();
        const result<event> told = co_await std::move(change);
        if (!told) {
            co_return told.error();
        }
    }
}

awaitable<result<stat>> until_exists(client zk, std::string path)
{
    auto body = until(zk, path, true);
    const result<std::optional<stat>> seen = co_await std::move(body);
    if (!seen) {
        co_return seen.error();
    }
    co_return seen->value();
}

awaitable<result<void>> until_gone(client zk, std::string path)
{
    auto body = until(zk, path, false);
    const result<std::optional<stat>> seen = co_await std::move(body);
    if (!seen) {
        co_return seen.error();
    }
    co_return success();
}

// --- compare and set

/// A write whose answer was lost: what it was to change, and into what.
class write_in_doubt {
public:
    write_in_doubt(get_result at, coati::data bytes, error how)
        : before(std::move(at)), wanted(std::move(bytes)), why(how)
    {
    }

    get_result before;
    coati::data wanted;
    error why;
};

/// What a read says about such a write.
enum class trace : std::uint8_t {
    none,     ///< Nobody has written: it may still be on its way. The same write again is safe:
              ///< both expect the same version, so one of them at most is applied.
    others,   ///< Somebody else's write took the version that it expects: it never will be applied.
    ours,     ///< It was applied.
    unclear,  ///< Others write here as well, and nothing tells whether ours was among them.
};

trace trace_of(const write_in_doubt& lost, const get_result& now, update_options how)
{
    const bool is_same_znode = now.stat.czxid == lost.before.stat.czxid;
    const auto writes = static_cast<std::uint32_t>(now.stat.version) -
                        static_cast<std::uint32_t>(lost.before.stat.version);
    if (!is_same_znode || writes > 1) {
        return trace::unclear;
    }
    if (writes == 0) {
        return trace::none;
    }
    if (now.data != lost.wanted.bytes() || now.is_null != lost.wanted.is_null()) {
        return trace::others;
    }
    return how.unique ? trace::ours : trace::unclear;
}

awaitable<result<stat>> compare_and_set(client zk, std::string path, detail::update_function change,
                                        update_options how, std::shared_ptr<bool> in_doubt)
{
    std::optional<write_in_doubt> lost;
    for (;;) {
        *in_doubt = lost.has_value();
        auto read = zk.get(path);
        result<get_result> now = co_await std::move(read);
        if (!now) {
            co_return !lost                       ? now.error()
            : now.error().code() == errc::no_node ? lost->why
                                                  : now.error().with_fate(fate::maybe_applied);
        }
        if (lost) {
            const trace seen = trace_of(*lost, *now, how);
            if (seen == trace::ours) {
                co_return now->stat;
            }
            if (seen == trace::unclear) {
                co_return lost->why;
            }
            if (seen == trace::others) {
                lost.reset();
                *in_doubt = false;
            }
        }
        std::optional<coati::data> wanted = lost ? lost->wanted : change(now->data);
        if (!wanted) {
            co_return now->stat;
        }
        auto write = zk.set(path, *wanted, now->stat.version);
        result<stat> written = co_await std::move(write);
        if (written) {
            co_return written;
        }
        if (is_in_doubt(written.error())) {
            lost.emplace(std::move(*now), std::move(*wanted), written.error());
        } else if (written.error() != errc::bad_version) {
            co_return lost ? written.error().with_fate(fate::maybe_applied) : written.error();
        }
    }
}

bool may_have_children(create_mode mode) noexcept
{
    return mode == create_mode::persistent || mode == create_mode::container;
}

}  // namespace

operation<created> create_with_parents(const client& zk, std::string path, coati::data bytes,
                                       create_mode mode, std::optional<acls> who,
                                       create_mode parents)
{
    const errc wrong = may_have_children(parents) ? errc{0} : errc::invalid_argument;
    if (path == "/" && !is_sequential(mode) && !zk.scope()->chroot.empty()) {
        return compose<created>(zk, wrong, [bytes, mode, who, parents](const client& through) {
            return make_chroot(through, bytes, mode, who, parents);
        });
    }
    return compose<created>(zk, wrong, [path, bytes, mode, who, parents](const client& through) {
        return with_parents(through, path, bytes, mode, who, parents);
    });
}

operation<stat> create_or_set(const client& zk, std::string path, coati::data bytes,
                              create_mode mode, std::optional<acls> who)
{
    const errc wrong = is_sequential(mode) ? errc::invalid_argument : errc{0};
    return compose<stat>(zk, wrong, [path, bytes, mode, who](const client& through) {
        return set_or_create(through, path, bytes, mode, who);
    });
}

operation<stat> wait_until_exists(const client& zk, std::string path)
{
    return compose<stat>(zk, errc{0},
                         [path](const client& through) { return until_exists(through, path); });
}

operation<void> wait_until_gone(const client& zk, std::string path)
{
    return compose<void>(zk, errc{0},
                         [path](const client& through) { return until_gone(through, path); });
}

operation<stat> detail::update_by(const client& zk, std::string path, update_function change,
                                  update_options how)
{
    return compose<stat>(zk, errc{0}, [path, change, how](const client& through) {
        auto in_doubt = std::make_shared<bool>(false);
        return detail::telling_doubt(in_doubt,
                                     compare_and_set(through, path, change, how, in_doubt));
    });
}

}  // namespace coati
