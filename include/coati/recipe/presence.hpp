// coati::presence: znodes that exist while we live. What is wanted is said once; sessions come and
// go below it.
//
// A recipe: made of the client's own operations, by watches and session events alone. Nothing is
// polled.
#pragma once

#include <coati/client.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coati {

namespace detail {
class presence_state;
}  // namespace detail

/// How a presence goes about it.
struct presence_options {
    /// Of parents that are missing: persistent or container. Where the server knows no containers
    /// they are persistent.
    create_mode parents = create_mode::container;
    /// When `run` is cancelled while the session lives: leave the znodes to the session's end.
    /// Otherwise they are removed.
    bool leaves_znodes = false;
    /// After an error that may pass, the first wait is between zero and this ...
    std::chrono::milliseconds first_wait{100};
    /// ... and the bound doubles up to this.
    std::chrono::milliseconds longest_wait{10'000};
};

/// Where one of the znodes stands.
enum class presence_status : std::uint8_t {
    absent,   ///< It does not exist yet, or not any more: no session, or work is under way.
    present,  ///< It exists, made by the session that `kept_znode::session` names.
    taken,    ///< Somebody else's znode is there. Ours is made when that has gone.
    failed,   ///< It could not be made: `kept_znode::why`.
};

/// The name as written here ("taken").
std::string_view name(presence_status status) noexcept;

/// One of the znodes of a presence, as far as it is known.
class kept_znode {
public:
    kept_znode() = default;
    /// For `presence`: nothing is known of it.
    explicit kept_znode(std::string asked) : path(std::move(asked)) {}

    std::string path;                                  ///< As it was asked for.
    presence_status status = presence_status::absent;  ///< Where it stands.
    /// The data that were asked for last are there too, and nothing is left to do.
    bool is_settled = false;
    std::string actual;        ///< As the server named it; empty unless present.
    std::int64_t czxid = 0;    ///< Of its creation; 0 unless present.
    std::int64_t session = 0;  ///< Its ephemeral owner; 0 unless present.
    /// What failed last: to make it, or, where it is present, to bring it up to date.
    std::optional<error> why;
};

/// Znodes that are there while we live: asked for once, made in every session anew.
///
///     coati::presence here(zk);
///     here.add("/services/web/a", "10.0.0.7:80");
///     co_await (here.run()(asio::use_awaitable) || serve(zk));
///
/// What holds while `run` runs, and the ensemble can be reached:
/// - a znode that is asked for exists, is an ephemeral of the present session, and holds the data
///   that were asked for last, also when somebody deleted or changed it;
/// - after an expiry it is made again by the new session, without a poll. A leftover of an earlier
///   session of this object is replaced in one transaction;
/// - a znode of anybody else is never removed and never written to. Ours waits, by a watch;
/// - a sequential znode carries a GUID in its name, as `create_protected` does it: `/dir/name`
///   becomes `/dir/_c_<guid>-name0000000001`. The GUID is that of the registration; what else shows
///   up with it, from a request that was executed late, is removed.
///
/// A session owns a path once: two presences of one client must not ask for the same path.
///
/// A handle: copies mean the same presence. When the last one goes, `run` ends. Destruction on any
/// thread; everything else belongs on the client's executor.
class presence {
public:
    /// Of the client's present session, and of all after it; of a pinned handle: of its session.
    explicit presence(const client& zk, presence_options how = {});

    /// Asks for a znode: `mode` is ephemeral or ephemeral_sequential. A path that was asked for
    /// before gets these data; mode and ACL count for the next creation. The session must be
    /// allowed to read the znode. What is wrong with the arguments shows in the znode's state.
    void add(std::string path, coati::data bytes = {}, create_mode mode = create_mode::ephemeral,
             std::optional<acls> who = {}) const;
    /// Other data from now on. False: nobody asked for that path.
    bool set(std::string_view path, coati::data bytes) const;
    /// The znode is not wanted any more, and removed. False: nobody asked for that path.
    bool remove(std::string_view path) const;

    /// Does the work: let it run beside the application. When it is cancelled, the znodes are
    /// removed in the background, unless `leaves_znodes`; another `run` may follow.
    ///
    /// Never succeeds. Completes with: cancelled, the ending of the session (of a pinned handle, or
    /// one after which no new session was begun), already_waiting (it is running already).
    operation<void> run() const;

    /// Completes as soon as everything that is wanted exists in the present session and holds the
    /// newest data, and what was withdrawn is gone. Waits for as long as a znode is taken or
    /// failed. Completes with: cancelled, and what `run` ended with.
    operation<void> settled() const;

    /// All that was asked for, by path.
    std::vector<kept_znode> znodes() const;
    /// One of them; nothing, if nobody asked for it.
    std::optional<kept_znode> znode(std::string_view path) const;
    /// `znodes()`: at once the first time, then once they are others than were given last. Quick
    /// changes are seen as one. Completes with: cancelled, already_waiting, and what `run` ended
    /// with.
    operation<std::vector<kept_znode>> next() const;

private:
    std::shared_ptr<detail::presence_state> state_;
    std::shared_ptr<const void> token_;
};

}  // namespace coati
