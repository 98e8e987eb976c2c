// Services that register themselves, and a live view of who is there: `service_registration` on the
// one side, `service_view` on the other. An instance is an ephemeral znode `/services/<name>/<id>`
// that holds JSON.
//
// Recipes: made of the client's own operations, by watches and session events alone. Nothing is
// polled.
#pragma once

#include <coati/client.hpp>
#include <coati/recipe/codec.hpp>
#include <coati/recipe/presence.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coati {

namespace detail {
class view_state;
}  // namespace detail

/// One instance of a service.
class service_instance {
public:
    service_instance() = default;
    /// Of that service, at that address.
    service_instance(std::string of, std::string name, std::string host, std::uint16_t number)
        : service(std::move(of)), id(std::move(name)), address(std::move(host)), port(number)
    {
    }

    std::string service;     ///< The service's name, without a slash.
    std::string id;          ///< Of this instance, unique in the service; its znode's name.
    std::string address;     ///< A host name or an address.
    std::uint16_t port = 0;  ///< 0: none was said.
    std::string zone;        ///< Where it runs, as far as callers care; empty: nowhere special.
    std::string payload;     ///< Whatever else it says, a JSON text; empty: nothing.
    std::string others;      ///< Fields that we do not know, as one JSON object; empty: none.

    friend bool operator==(const service_instance&, const service_instance&) = default;
};

/// An instance as a JSON object with the fields name, id, address, port, zone and payload, of which
/// all but the address may be missing; null counts as missing. The first four and the payload are
/// named as Curator's x-discovery has them.
class service_codec {
public:
    /// What it reads and writes.
    using value_type = service_instance;

    /// Says why where the text is no JSON object (UTF-8, nested 100 deep at most) or a field is of
    /// another type. Fields of other names are kept in `others`; numbers and texts there and in the
    /// payload may be spelled in another way, but mean the same.
    decoded<service_instance> decode(std::string_view bytes) const;
    /// Throws std::invalid_argument where `payload` is no JSON text, `others` no JSON object, or
    /// anything no UTF-8.
    std::string encode(const service_instance& value) const;
};

/// Where services are, and how they are registered and read.
class service_options {
public:
    service_options() = default;

    std::string base = "/services";  ///< The parent of the services' znodes.
    std::optional<acls> who;         ///< The ACL of registrations; none: the handle's default.
    presence_options keep;           ///< Of the presence that registrations are made by.
};

/// Instances that are registered while we live. All of presence's promises hold: registered again
/// in every session, never twice, and nobody else's registration is touched.
///
///     coati::service_registration here(zk);
///     BOOST_OUTCOME_CO_TRY(here.add({"web", "a", "10.0.0.7", 80}));
///     co_await (here.run()(asio::use_awaitable) || serve(zk));
///
/// A handle, as `presence` is: copies mean the same; on the client's executor.
class service_registration {
public:
    /// Nothing is registered before `add` and `run`.
    explicit service_registration(const client& zk, service_options how = {});

    /// Registers it, or changes what is registered under its service and id. Fails with:
    /// invalid_argument (service or id are empty or have a slash, the payload is no JSON).
    result<void> add(const service_instance& what) const;
    /// Unregisters it. False: it was not registered here.
    bool remove(std::string_view service, std::string_view id) const;

    /// As `presence::run`.
    operation<void> run() const { return here_.run(); }
    /// As `presence::settled`: all of them are registered.
    operation<void> settled() const { return here_.settled(); }
    /// What keeps them: for states, by path.
    const presence& znodes() const noexcept { return here_; }

private:
    service_options how_;
    presence here_;
};

/// How much a view can be relied on.
enum class view_status : std::uint8_t {
    live,       ///< What the server has told, up to now.
    resyncing,  ///< Connected, and catching up with what has happened meanwhile.
    stale,      ///< Not connected, or to a server without a quorum: what was there when it was.
};

/// The name as written here ("live").
std::string_view name(view_status status) noexcept;

/// A znode of a service that says nothing that can be understood.
class malformed_instance {
public:
    malformed_instance() = default;
    /// It, and why.
    malformed_instance(std::string where, std::string text)
        : path(std::move(where)), why(std::move(text))
    {
    }

    std::string path;  ///< Of the znode.
    std::string why;  ///< For people, one line; or the name of the error by which it is unreadable.

    friend bool operator==(const malformed_instance&, const malformed_instance&) = default;
};

/// One difference between what a view showed and what it shows.
class service_change {
public:
    /// What kind.
    enum class kind : std::uint8_t { added, removed, changed, malformed, status };

    service_change() = default;
    /// Of an instance.
    service_change(kind how, service_instance which) : what(how), instance(std::move(which)) {}
    /// Of a znode that cannot be understood.
    explicit service_change(malformed_instance which)
        : what(kind::malformed), problem(std::move(which))
    {
    }
    /// Of the view itself.
    explicit service_change(view_status to) : what(kind::status), status(to) {}

    kind what = kind::status;                ///< Which of the members below counts.
    service_instance instance;               ///< Removed: as it was. Changed: as it is.
    malformed_instance problem;              ///< Of a malformed one.
    view_status status = view_status::live;  ///< Of a change of the status.
};

/// A live view of one service: who is there. Kept up to date by `run`; everything else answers at
/// once, out of memory.
///
///     coati::service_view web(zk, "web");
///     co_await (web.run()(asio::use_awaitable) || call(web));
///
/// What holds:
/// - it shows no instance that was not registered, with these data, at some time;
/// - while it cannot reach the ensemble it goes on showing what it has seen last, and says so;
/// - it ends in what is there, whatever was missed; quick changes may be seen as one.
///
/// A handle: copies mean the same view. When the last one goes, `run` ends. Destruction on any
/// thread; everything else belongs on the client's executor.
class service_view {
public:
    /// Of that service. Nothing is asked of a server before `run`.
    service_view(const client& zk, std::string service, service_options how = {});

    /// Does the work: let it run beside the application. Of a handle that is not pinned it goes on
    /// in the next session. Another `run` may follow. Never succeeds. Completes with: cancelled,
    /// the ending of the session (of a pinned handle, or one after which no new session was begun),
    /// already_waiting (it is running already).
    operation<void> run() const;
    /// Completes as soon as all instances have been read once; at once, if they have. Completes
    /// with: cancelled, and what `run` ended with.
    operation<void> ready() const;
    /// What has changed since the last call, all of it; waits if nothing has. The first call tells
    /// everything. Quick changes are seen as one. Completes with: cancelled (nothing is lost by
    /// it), already_waiting, and what `run` ended with.
    operation<std::vector<service_change>> next() const;

    /// Who is there, by id.
    std::vector<service_instance> instances() const;
    /// How much that can be relied on.
    view_status status() const;
    /// Since when what is shown may be out of date: when the last request that was answered was
    /// sent. Nothing, if it is live.
    std::optional<time_point> stale_since() const;
    /// The znodes that could not be understood.
    std::vector<malformed_instance> malformed() const;

    // --- picking one ---------------------------------------------------------------------------

    /// Any, each as likely as the other. Here and below: nothing, if there is none; one that was
    /// set aside only when all were.
    std::optional<service_instance> pick_random() const;
    /// The next one, by id, after the one that was picked last by this.
    std::optional<service_instance> pick_next() const;
    /// Any of that zone; of all, if there is none.
    std::optional<service_instance> pick_near(std::string_view zone) const;
    /// Not to be picked for so long, by the client's clock: it has just failed. Forgotten when it
    /// registers anew.
    void set_aside(const service_instance& which, duration how_long) const;

private:
    std::shared_ptr<detail::view_state> state_;
    std::shared_ptr<const void> token_;
};

}  // namespace coati
