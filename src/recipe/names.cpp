// Unique names: claims that are kept.

#include "claim.hpp"
#include "sessions.hpp"

#include <coati/compose.hpp>
#include <coati/convenience.hpp>
#include <coati/recipe/names.hpp>
#include <coati/supervise.hpp>

#include <utility>

namespace coati {

namespace detail {

/// What the calls of one `names` share. On the client's executor only, but for what is constant.
class names_core {
public:
    names_core(claim_spec of, bool goes_with_session)
        : spec(std::move(of)), is_ephemeral(goes_with_session)
    {
    }

    const claim_spec spec;
    const bool is_ephemeral;
    std::int32_t version = 0;  // of the directory, as the last claim left it
};

namespace {

using boost::asio::awaitable;

/// One attempt, in one session where the znode goes with it.
awaitable<result<unique_name>> claim_name(client zk, std::shared_ptr<names_core> core)
{
    claim_spec spec = core->spec;
    spec.version = core->version;
    claim mine(zk, std::move(spec));
    auto making = mine.make();
    const result<void> made = co_await std::move(making);
    core->version = mine.directory_version();
    if (!made) {
        co_return made.error();  // what there may be is removed by an errand
    }
    const auto number = sequence_of(unprotected(mine.name()), core->spec.name);
    if (!number || *number < 0) {
        auto removing = mine.give_up();
        BOOST_OUTCOME_CO_TRY(co_await std::move(removing));
        co_return error(errc::invalid_argument);
    }
    mine.forget();
    co_return unique_name(*number, mine.path(), mine.czxid());
}

awaitable<result<unique_name>> next_name(client zk, std::shared_ptr<names_core> core)
{
    for (;;) {
        client through = zk;
        if (core->is_ephemeral) {
            auto waiting = next_session(zk);
            BOOST_OUTCOME_CO_TRY(through, co_await std::move(waiting));
        }
        auto claiming = claim_name(through, core);
        result<unique_name> got = co_await std::move(claiming);
        if (got) {
            co_return got;
        }
        const error why = got.error();
        const bool is_settled = core->is_ephemeral || why.fate() != fate::maybe_applied;
        if (!why.session_lost() || !is_settled || zk.is_pinned() ||
            !deserves_new_session(why.code())) {
            co_return got;
        }
        auto waiting = next_session(zk);
        BOOST_OUTCOME_CO_TRY(co_await std::move(waiting));
    }
}

}  // namespace

}  // namespace detail

names::names(const client& zk, std::string directory, std::string prefix, names_options how)
    : zk_(zk)
{
    const bool is_ephemeral = how.ephemeral;
    detail::claim_spec spec(std::move(directory), std::move(prefix),
                            is_ephemeral ? create_mode::ephemeral_sequential
                                         : create_mode::persistent_sequential);
    spec.bytes = std::move(how.bytes);
    spec.who = std::move(how.who);
    core_ = std::make_shared<detail::names_core>(std::move(spec), is_ephemeral);
}

operation<unique_name> names::next() const
{
    return compose<unique_name>(
        zk_, [core = core_](const client& zk) { return detail::next_name(zk, core); });
}

const std::string& names::directory() const noexcept
{
    return core_->spec.directory;
}

}  // namespace coati
