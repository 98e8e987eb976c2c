// Leadership: one master and its standbys. A standby takes over when the master is gone, and not
// before the master's body has been told to stop and had its time to finish.
#pragma once

#include <coati/recipe/tenure.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coati {

/// How somebody contends for a leadership.
class leadership_options {
public:
    leadership_options() = default;

    /// How long before the end of the session's lease a leader is told to stop, which is the time
    /// that it has to finish. By default a sixth of the negotiated session timeout; at most a half.
    std::optional<duration> margin;
    /// ACL of the contenders' znodes; by default the handle's.
    std::optional<acls> who;
};

/// What a body gets that runs while it leads. Its fence is the number of the epoch: it grows with
/// every leader.
using leader_scope = tenure;

// --- who leads ---------------------------------------------------------------------------------

/// Somebody who contends.
class participant {
public:
    participant() = default;

    std::string id;            ///< What it was called when it began to contend.
    std::int64_t fence = 0;    ///< The czxid of its znode, its fence once it leads.
    std::int64_t session = 0;  ///< Its session.

    friend bool operator==(const participant&, const participant&) = default;
};

/// Who leads and who stands by, as one server saw it.
class leadership_info {
public:
    leadership_info() = default;

    /// In the order in which they would lead; the first is the leader, or is about to be.
    std::vector<participant> participants;
    /// The leader; null: there is none.
    const participant* leader() const noexcept
    {
        return participants.empty() ? nullptr : &participants.front();
    }

    friend bool operator==(const leadership_info&, const leadership_info&) = default;
};

/// Reads who contends for the leadership at `path`. A directory that is missing has no
/// participants. Notable errors: no_auth.
operation<leadership_info> read_leadership(const client& zk, std::string path);

namespace detail {
class leadership_watch_state;
class candidate;
}  // namespace detail

/// Who leads, as a stream, made by `watch_leadership`. Cheap handle; one reader at a time.
class leadership_watch {
public:
    /// For `watch_leadership`.
    explicit leadership_watch(std::shared_ptr<detail::leadership_watch_state> state)
        : state_(std::move(state))
    {
    }

    /// The first time: who leads now. Then each time that this has changed; quick changes are seen
    /// as one, and the last is always seen. Completes with: the errors of reading, the ending of
    /// the session, cancelled (nothing is lost by it), already_waiting.
    operation<leadership_info> next() const;

private:
    std::shared_ptr<detail::leadership_watch_state> state_;
};

/// Nothing is asked of a server before the first `next()`.
leadership_watch watch_leadership(const client& zk, std::string path);

// --- leading, as a stream ----------------------------------------------------------------------

/// What has become of a candidacy.
enum class candidacy_state : std::uint8_t {
    standby,  ///< In the line, not first.
    leading,  ///< First: lead, and wait for the next state all the time.
    lost,     ///< Not any more, or not for certain: stop now, within the margin.
};

/// The name as written here ("standby").
std::string_view name(candidacy_state state) noexcept;

/// A step of a candidacy.
class candidacy_change {
public:
    candidacy_change() = default;

    candidacy_state state = candidacy_state::standby;  ///< From now on.
    /// Of a leader: its fence, its guarded writes, how long it is good. Of one who has lost it: the
    /// scope that is over.
    std::optional<leader_scope> scope;
};

/// For those who do not want a scope: contending, leading and losing, as a stream of states. All
/// that it does it does while somebody waits for `next`. Move-only; dropped, it gives its place up
/// by an errand. On the client's executor only.
///
///     coati::candidacy mine(zk, "/leader", "host-7");
///     for (;;) {
///         BOOST_OUTCOME_CO_TRY(auto now, co_await mine.next());
///         switch (now.state) { ... }
///     }
class candidacy {
public:
    /// Nothing is sent before the first `next()`.
    candidacy(const client& zk, std::string path, std::string id, leadership_options how = {});
    /// The other one is none then.
    candidacy(candidacy&&) noexcept = default;
    /// Gives up what was here.
    candidacy& operator=(candidacy&&) noexcept = default;
    ~candidacy();

    /// The next state. Begins with standby; after lost it contends again, with a new znode at the
    /// end of the line, in the next session if it must and the handle is not pinned. Completes
    /// with: the ending of the session, no_auth, invalid_argument (margin), cancelled (the place in
    /// the line is kept), already_waiting.
    operation<candidacy_change> next() const;
    /// Leaves the line, or the leadership; the next `next` joins it again. A `next` that waits in
    /// the line completes with cancelled, that of a leader with `lost`. Completes with: no_auth,
    /// cancelled (an errand goes on).
    operation<void> resign() const;

private:
    std::shared_ptr<detail::candidate> state_;
};

// --- leading, as a scope -----------------------------------------------------------------------

namespace detail {

/// Whether to contend again after this loss: not where nothing would be different then.
bool is_worth_another(const client& zk, const error& loss);

/// Waits until it leads: what is held then, and how.
boost::asio::awaitable<result<std::pair<std::shared_ptr<claim>, std::shared_ptr<tenure_state>>>>
until_leading(client zk, std::string path, std::string id, leadership_options how);

template <class T, class Body>
asio::awaitable<result<T>> leadership_root(client zk, std::string path, std::string id, Body body,
                                           leadership_options how)
{
    for (;;) {
        auto standing_by = until_leading(zk, path, id, how);
        auto led = co_await std::move(standing_by);
        if (!led) {
            co_return led.error();
        }
        auto serving = serve<T, Body>(led->second, body);
        const served<T> done = co_await std::move(serving);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none || done.has_thrown()) {
            co_return done.answer();
        }
        if (done.lost && !is_worth_another(zk, *done.lost)) {
            co_return done.lost->session_lost() ? done.answer() : result<T>(*done.lost);
        }
        if (!done.lost) {
            auto releasing = release_in_time(led->first, led->second);
            co_await std::move(releasing);
            co_return done.answer();
        }
        // A standby again. The old znode goes first: it is dropped before the next one is made.
    }
}

}  // namespace detail

/// Contends for the leadership at `path` under the name `id`, and runs the body while it leads.
///
/// `body` is `boost::asio::awaitable<coati::result<T>>(coati::leader_scope)`, as that of
/// `with_lock`, called anew, from the same object's copy, each time that it leads. It is cancelled
/// when the leadership is lost or may be within the margin. Once it has ended then, whatever it
/// gave, it is a standby again, at the end of the line; after the end of a session in the next one,
/// unless the handle is pinned.
///
/// A body that ends by itself while it leads resigns: with_leadership completes with its result. An
/// exception resigns, too, and leaves here. Completes otherwise with: the ending of the session (of
/// a pinned handle, or where no new one makes sense), no_auth, invalid_argument (margin),
/// cancelled.
///
///     co_await coati::with_leadership(zk, "/services/billing/leader", "host-7", bill);
template <class Body>
auto with_leadership(client zk, std::string path, std::string id, Body&& body,
                     leadership_options how = {})
{
    static_assert(detail::is_safe_body<Body>,
                  "give this lambda a name first and pass the name: GCC 12.2 destroys a capturing "
                  "temporary inside a co_await expression twice");
    using body_type = std::remove_cvref_t<Body>;
    using value = detail::body_value<body_type, leader_scope>;
    const auto ex = zk.get_executor();
    auto inside = detail::leadership_root<value, body_type>(
        std::move(zk), std::move(path), std::move(id), std::forward<Body>(body), std::move(how));
    return detail::spawn_root(ex, detail::scope_root<value>(std::move(inside)),
                              result<value>(errc::cancelled));
}

}  // namespace coati
