// How a claim is made, and made certain of.

#include "claim.hpp"
#include "sessions.hpp"

#include <coati/compose.hpp>
#include <coati/convenience.hpp>
#include <coati/op.hpp>

#include <memory>
#include <utility>

namespace coati::detail {

namespace {

using boost::asio::awaitable;

/// Ours alone: no limit of time of the user's, no giving up at a loss.
client patient(const client& zk)
{
    return zk.with({});
}

/// What a dropped claim leaves to an errand.
awaitable<result<void>> give_up_later(std::shared_ptr<claim> left)
{
    auto giving_up = left->give_up();
    co_return co_await std::move(giving_up);
}

}  // namespace

std::string child_path(const std::string& parent, std::string_view name)
{
    std::string path = parent == "/" ? std::string() : parent;
    path.append("/").append(name);
    return path;
}

std::string protected_path(const std::string& parent, std::string_view guid, std::string_view name)
{
    std::string last("_c_");
    last.append(guid).append("-").append(name);
    return child_path(parent, last);
}

awaitable<result<void>> remove_surely(client zk, std::string path)
{
    for (;;) {
        const result<void> removed = co_await zk.remove(path);
        if (removed || removed.error() == errc::no_node) {
            co_return success();
        }
        if (removed.error() == errc::throttled_op) {
            BOOST_OUTCOME_CO_TRY(co_await take_breath(zk));
        } else if (!removed.error().retryable()) {
            co_return removed.error();
        }
    }
}

claim::claim(client of, claim_spec what)
    : zk_(patient(of)), spec_(std::move(what)), guid_(make_guid(of)), version_(spec_.version)
{
}

claim::claim(claim&& other) noexcept
    : zk_(other.zk_), spec_(std::move(other.spec_)), guid_(std::move(other.guid_)),
      path_(std::move(other.path_)), czxid_(other.czxid_), version_(other.version_),
      is_open_(std::exchange(other.is_open_, false)), in_doubt_(other.in_doubt_),
      unfenced_(other.unfenced_)
{
}

claim::~claim()
{
    if (is_open_ && !is_last_) {
        auto left = std::make_shared<claim>(std::move(*this));
        left->is_last_ = true;
        const client zk = left->zk_;
        start_errand(zk, [left = std::move(left)](const client&) { return give_up_later(left); });
    }
}

std::string_view claim::name() const noexcept
{
    const std::string_view whole = path_;
    return whole.substr(whole.rfind('/') + 1);
}

std::int32_t claim::number() const noexcept
{
    return sequence_of(unprotected(name()), spec_.name).value_or(0);
}

void claim::take(std::string path, std::int64_t czxid)
{
    path_ = std::move(path);
    czxid_ = czxid;
    in_doubt_ = false;
}

awaitable<result<void>> claim::make()
{
    const std::string named = protected_path(spec_.directory, guid_, spec_.name);
    for (;;) {
        is_open_ = in_doubt_ = true;
        auto both = zk_.multi(op::check(spec_.directory, version_),
                              op::create(named, spec_.bytes, spec_.mode, spec_.who));
        auto made = co_await std::move(both);
        if (made) {
            take(std::get<1>(made->results), made->zxid);
            co_return success();
        }
        const error why = made.error();
        if (why.fate() == fate::maybe_applied) {
            BOOST_OUTCOME_CO_TRY(const bool is_there, co_await settle_in_any_session(why));
            if (is_there) {
                co_return success();
            }
            continue;
        }
        is_open_ = in_doubt_ = unfenced_;
        if (why == errc::no_node) {
            BOOST_OUTCOME_CO_TRY(co_await make_directory());
        } else if (why == errc::bad_version) {
            BOOST_OUTCOME_CO_TRY(co_await take_version());
        } else if (!why.retryable()) {
            co_return why.with_op_index(-1);
        }
    }
}

/// After an answer was lost. The end of a session is the end of an ephemeral, not of this.
awaitable<result<bool>> claim::settle_in_any_session(error doubt)
{
    for (;;) {
        if (goes_on(zk_, doubt)) {
            BOOST_OUTCOME_CO_TRY(co_await next_session(zk_));
        } else if (!doubt.retryable()) {
            co_return doubt.with_fate(fate::maybe_applied);
        }
        const auto settled = co_await settle();
        if (settled) {
            co_return settled;
        }
        doubt = settled.error();
    }
}

/// Whether the znode is there. True: it is known now.
awaitable<result<bool>> claim::settle()
{
    BOOST_OUTCOME_CO_TRY(co_await raise_fence());
    const auto listed = co_await zk_.children(spec_.directory);
    if (!listed && listed.error() != errc::no_node) {
        co_return listed.error();
    }
    std::string found;
    if (listed) {
        for (const std::string& each : listed->names) {
            // The first of twins, which there are only without a fence.
            if (is_protected_by(each, guid_) && (found.empty() || each < found)) {
                found = each;
            }
        }
    }
    in_doubt_ = unfenced_;
    is_open_ = in_doubt_ || !found.empty();
    if (found.empty()) {
        co_return false;
    }
    path_ = child_path(spec_.directory, found);  // known, whatever becomes of the next question
    BOOST_OUTCOME_CO_TRY(const auto seen, co_await zk_.exists(path_));
    if (!seen) {
        path_.clear();
        is_open_ = in_doubt_;
        co_return false;  // somebody was quick to remove it
    }
    take(path_, seen->czxid);
    co_return true;
}

/// From here on no request of ours that is still on its way can be executed: the directory has
/// another version than they check. Somebody else's fence does as well.
awaitable<result<void>> claim::raise_fence()
{
    for (;;) {
        const auto seen = co_await zk_.get(spec_.directory);
        if (!seen) {
            if (seen.error() == errc::no_node) {
                // It is gone, with everything in it. Made anew by somebody it would have the
                // version that a late request checks.
                version_ = 0;
                unfenced_ = true;
                co_return success();
            }
            if (seen.error() == errc::no_auth) {
                unfenced_ = true;
                co_return success();
            }
            if (seen.error() == errc::throttled_op) {
                BOOST_OUTCOME_CO_TRY(co_await take_breath(zk_));
                continue;
            }
            co_return seen.error();
        }
        if (seen->stat.version != version_) {
            version_ = seen->stat.version;
            co_return success();
        }
        data same = seen->is_null ? data(null_data) : data(seen->data);
        const auto raised = co_await zk_.set(spec_.directory, std::move(same), version_);
        if (raised) {
            version_ = raised->version;
            co_return success();
        }
        const error why = raised.error();
        if (why == errc::no_auth || why == errc::quota_exceeded) {
            unfenced_ = true;
            co_return success();
        }
        if (why == errc::throttled_op) {
            BOOST_OUTCOME_CO_TRY(co_await take_breath(zk_));
        } else if (why != errc::bad_version && why != errc::no_node && !why.retryable()) {
            co_return why;
        }
    }
}

awaitable<result<void>> claim::make_directory()
{
    version_ = 0;
    for (;;) {
        const auto made = co_await create_with_parents(zk_, spec_.directory);
        if (made || made.error() == errc::node_exists) {
            co_return success();
        }
        if (!made.error().retryable()) {
            co_return made.error();
        }
    }
}

awaitable<result<void>> claim::take_version()
{
    BOOST_OUTCOME_CO_TRY(const auto seen, co_await zk_.exists(spec_.directory));
    version_ = seen ? seen->version : 0;
    co_return success();
}

awaitable<result<void>> claim::give_up()
{
    if (!is_open_) {
        co_return success();
    }
    if (in_doubt_ && path_.empty()) {
        BOOST_OUTCOME_CO_TRY(const bool is_there, co_await settle());
        if (!is_there) {
            is_open_ = false;
            co_return success();
        }
    }
    BOOST_OUTCOME_CO_TRY(co_await remove_surely(zk_, path_));
    if (unfenced_) {
        BOOST_OUTCOME_CO_TRY(const auto listed, co_await zk_.children(spec_.directory));
        for (const std::string& each : listed.names) {
            if (is_protected_by(each, guid_)) {
                BOOST_OUTCOME_CO_TRY(
                    co_await remove_surely(zk_, child_path(spec_.directory, each)));
            }
        }
    }
    is_open_ = false;
    co_return success();
}

}  // namespace coati::detail
