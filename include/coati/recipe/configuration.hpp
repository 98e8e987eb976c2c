// coati::configuration: a znode's bytes as a value of the application's, at hand without waiting,
// that says how far it can be trusted.
//
// A typed shell. What it does is in src/recipe/configuration.cpp, once for all types.
#pragma once

#include <coati/body.hpp>
#include <coati/clock.hpp>
#include <coati/compose.hpp>
#include <coati/convenience.hpp>
#include <coati/recipe/codec.hpp>
#include <coati/stat.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace coati {

/// The bytes that a znode has now are no value, by its codec.
class configuration_flaw {
public:
    /// For the library itself.
    configuration_flaw(std::string text, const coati::stat& of) : why(std::move(text)), stat(of) {}

    std::string why;   ///< What the codec said: one line, for people.
    coati::stat stat;  ///< Of the bytes in question.
};

/// What is known of a configuration's znode, beside the value.
class configuration_status {
public:
    configuration_status() = default;

    /// It has been read once. Until then nothing else here means anything.
    bool is_loaded = false;
    /// There is such a znode.
    bool exists = false;
    /// Of the znode when the value was read: `version`, `mzxid`, `czxid`. Nothing where there is no
    /// value.
    std::optional<coati::stat> stat;
    /// Why the bytes that are there now are no value; the value is then the last good one.
    std::optional<configuration_flaw> flaw;
    /// Nothing: live. A server of the ensemble holds the session, the value was read from it, and
    /// it would tell of a change. Else the last moment at which that is known to have been so, or
    /// at which it was read for the first time; by the client's clock.
    std::optional<time_point> stale_since;
    /// The server's last zxid when it was read.
    std::int64_t zxid = 0;

    /// It was read, and there is no reason to think that it has changed since.
    bool is_live() const noexcept { return is_loaded && !stale_since; }
    /// The zxid of the newest data that were seen, good or not; 0 where there is no znode.
    std::int64_t newest_mzxid() const noexcept
    {
        const std::int64_t good = stat ? stat->mzxid : 0;
        return flaw ? flaw->stat.mzxid : good;
    }
};

/// A configuration as it was at one moment.
template <class T>
class configured : public configuration_status {
public:
    configured() = default;
    /// For the library itself.
    configured(configuration_status status, std::shared_ptr<const T> good)
        : configuration_status(std::move(status)), value(std::move(good))
    {
    }

    /// The last good value. Null: there is no such znode, or nothing good was ever in it.
    std::shared_ptr<const T> value;
};

namespace detail {

class configuration_core;

/// How the core decodes: into anything.
using decode_to_any = std::function<decoded<std::shared_ptr<const void>>(std::string_view)>;

/// The untyped `configured`, and which one it is, from 1.
class configuration_snapshot {
public:
    configuration_status status;
    std::shared_ptr<const void> value;
    std::uint64_t number = 0;
};

/// How far one reader has come.
class configuration_cursor {
public:
    std::uint64_t seen = 0;
    bool is_waited_for = false;
};

using snapshot_ptr = std::shared_ptr<const configuration_snapshot>;
using configuration_ptr = std::shared_ptr<configuration_core>;

/// The end of the last handle ends `run`.
std::shared_ptr<configuration_core> make_configuration(const client& zk, std::string path,
                                                       decode_to_any by);
snapshot_ptr snapshot_of(const configuration_core& core);
operation<void> run_of(const client& zk, configuration_ptr core);
operation<void> ready_of(const client& zk, configuration_ptr core);
boost::asio::awaitable<result<snapshot_ptr>> next_of(configuration_ptr core,
                                                     std::shared_ptr<configuration_cursor> at);
void drop_configuration(configuration_ptr core) noexcept;

template <class T>
configured<T> typed(const configuration_snapshot& now)
{
    return configured<T>(now.status, std::static_pointer_cast<const T>(now.value));
}

template <class T>
boost::asio::awaitable<result<configured<T>>> next_typed(configuration_ptr core,
                                                         std::shared_ptr<configuration_cursor> at)
{
    auto change = next_of(std::move(core), std::move(at));
    const result<snapshot_ptr> now = co_await std::move(change);
    if (!now) {
        co_return now.error();
    }
    co_return typed<T>(**now);
}

/// What the handles of one configuration share.
template <class T>
class configuration_shared {
public:
    template <class C>
    configuration_shared(const client& of, std::string where, const C& by)
        : zk(of), path(std::move(where)),
          decode([by](std::string_view bytes) { return decode_by(by, bytes); }),
          encode([by](const T& value) { return std::string(by.encode(value)); }),
          core(make_configuration(zk, path, to_any(by)))
    {
    }
    configuration_shared(const configuration_shared&) = delete;
    configuration_shared& operator=(const configuration_shared&) = delete;
    ~configuration_shared() { drop_configuration(std::move(core)); }

    client zk;
    std::string path;
    std::function<decoded<T>(std::string_view)> decode;
    std::function<std::string(const T&)> encode;
    configuration_ptr core;

private:
    template <class C>
    static decode_to_any to_any(const C& by)
    {
        return [by](std::string_view bytes) -> decoded<std::shared_ptr<const void>> {
            auto value = decode_by(by, bytes);
            if (!value) {
                return undecodable(value.why());
            }
            return std::shared_ptr<const void>(std::make_shared<const T>(*std::move(value)));
        };
    }
};

template <class T>
using change_configured = std::function<std::optional<T>(const T&)>;

template <class T>
boost::asio::awaitable<result<stat>> update_typed(client zk,
                                                  std::shared_ptr<const configuration_shared<T>> by,
                                                  change_configured<T> change, update_options how)
{
    const auto is_flawed = std::make_shared<bool>(false);
    const auto recode = [by, change, is_flawed](const std::string& bytes) -> std::optional<data> {
        auto present = by->decode(bytes);
        *is_flawed = !present;
        if (!present) {
            return std::nullopt;
        }
        std::optional<T> next = change(*present);
        return next ? std::optional<data>(by->encode(*next)) : std::nullopt;
    };
    auto work = coati::update(zk, by->path, recode, how);
    const result<stat> done = co_await std::move(work);
    if (done && *is_flawed) {
        co_return error(errc::invalid_argument);
    }
    co_return done;
}

}  // namespace detail

/// The changes of a configuration from the reader's point of view, made by `changes`: a cursor of
/// its own. Move-only.
template <class T>
class configuration_changes {
public:
    /// For `configuration::changes`.
    configuration_changes(client zk, detail::configuration_ptr core)
        : zk_(std::move(zk)), core_(std::move(core))
    {
    }
    /// The other one is not to be read any more.
    configuration_changes(configuration_changes&&) noexcept = default;
    /// The same.
    configuration_changes& operator=(configuration_changes&&) noexcept = default;
    ~configuration_changes() = default;

    /// The first time: what is known, as soon as it was loaded once. Then what is known once that
    /// is something else than was given last: another value, another flaw, live or stale, znode
    /// gone or back. Quick changes are seen as one, and the last one is always seen.
    ///
    /// Completes with: what `run` ended with, after everything that came before it; cancelled (also
    /// when the last handle of the configuration is gone; nothing is lost by it), already_waiting.
    operation<configured<T>> next() const
    {
        return compose<configured<T>>(zk_, [core = core_, at = cursor_](const client&) {
            return detail::next_typed<T>(core, at);
        });
    }

private:
    client zk_;
    detail::configuration_ptr core_;
    std::shared_ptr<detail::configuration_cursor> cursor_ =
        std::make_shared<detail::configuration_cursor>();
};

/// The value of one znode, decoded: the last known good one is at hand at any time, with how stale
/// it is and what is wrong with the bytes that are there now. Never shows data older than it has
/// shown, whichever server it is connected to, through the end of a session too.
///
/// A cheap handle; copies are the same configuration, and `run` of one of them keeps it up to date:
/// let it run beside the application.
///
///     coati::configuration settings(zk, "/settings", settings_codec());
///     co_await (settings.run() || app(zk, settings));
///
/// Give it the outer client of `supervise`, and it lives through expired sessions; with the pinned
/// handle that the application gets it ends with the session.
template <class T>
class configuration {
public:
    /// T.
    using value_type = T;

    /// Nothing is asked of a server before `run`; a malformed path shows there. `by` is copied.
    template <codec C>
        requires std::same_as<typename C::value_type, T>
    configuration(const client& zk, std::string path, const C& by)
        : shared_(std::make_shared<const detail::configuration_shared<T>>(zk, std::move(path), by))
    {
    }

    /// Reads the znode and keeps the value up to date, through reconnects and, with a handle that
    /// is not pinned to a session, through the end of sessions. The codec is called on the client's
    /// executor. Each (re)connection costs one read. A time limit of the handle does not apply.
    ///
    /// Never succeeds. Completes with: cancelled (also when the last handle is gone), the ending of
    /// the session (of a pinned handle), errors of reading that no repetition mends (no_auth,
    /// invalid_path, reply_too_large), already_running. The value stays, stale; it can be run
    /// again.
    operation<void> run() const { return detail::run_of(shared_->zk, shared_->core); }

    /// Completes when the znode was read once, at once if it has been; whether it exists, and makes
    /// sense, is not asked. Completes with: what `run` ended with, if it came first; cancelled.
    operation<void> ready() const { return detail::ready_of(shared_->zk, shared_->core); }

    /// What is known now. Does not wait; may be called on any thread.
    configured<T> get() const { return detail::typed<T>(*detail::snapshot_of(*shared_->core)); }

    /// A stream of what changes from now on, beginning with what is known.
    configuration_changes<T> changes() const
    {
        return configuration_changes<T>(shared_->zk, shared_->core);
    }

    /// Writes the value, if the version is the expected one; the znode exists. Gives the new stat.
    /// `get` has it when the ensemble has told of it. Completes with: what `client::set` does.
    operation<stat> set(const T& value, std::optional<std::int32_t> expected_version = {}) const
    {
        return shared_->zk.set(shared_->path, shared_->encode(value), expected_version);
    }

    /// Reads, changes and writes the value, again until nobody came between:
    /// `change(const T& present)` gives the new value, or an empty optional to leave it. See
    /// coati::update, also for what it completes with; invalid_argument: the bytes that are there
    /// are no value.
    template <class F>
    operation<stat> update(F&& change, update_options how = {}) const
    {
        static_assert(detail::is_safe_body<F>,
                      "give this lambda a name first and pass the name: GCC 12.2 destroys a "
                      "capturing temporary inside a co_await expression twice");
        return compose<stat>(
            shared_->zk,
            [by = shared_, how, change = detail::change_configured<T>(std::forward<F>(change))](
                const client& zk) { return detail::update_typed<T>(zk, by, change, how); });
    }

    /// Where it is read, relative to the handle's chroot.
    const std::string& path() const noexcept { return shared_->path; }

private:
    std::shared_ptr<const detail::configuration_shared<T>> shared_;
};

/// `coati::configuration settings(zk, "/settings", by)`.
template <codec C>
configuration(const client&, std::string, const C&) -> configuration<typename C::value_type>;

}  // namespace coati
