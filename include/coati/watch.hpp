// coati::watch: an owned one-shot watch on one znode.
#pragma once

#include <coati/event.hpp>
#include <coati/operation.hpp>

#include <memory>
#include <optional>

namespace coati {

namespace detail {
class watch_state;
}

/// A watch that was set by `get_and_watch`, `exists_and_watch` or `children_and_watch`. It survives
/// reconnects: it is registered again on the next server, and what changed meanwhile fires it
/// there.
///
/// Move-only; its destructor unregisters, on the server too when nobody else watches the path. May
/// be destroyed on any thread; everything else belongs on the client's executor.
class watch {
public:
    watch() = default;
    /// For the operations that set watches.
    explicit watch(std::shared_ptr<detail::watch_state> state) : state_(std::move(state)) {}
    /// The other one holds nothing then: `end()` of it is watch_ended.
    watch(watch&& other) noexcept = default;
    /// Unregisters what was here.
    watch& operator=(watch&& other) noexcept;
    ~watch();

    /// Waits for the event. The watch fires exactly once; the next call fails with
    /// errc::watch_ended, so `while (auto e = co_await w.next())` ends.
    ///
    /// Completes with: watch_ended, session_expired and every other ending of the session,
    /// cancelled (the watch stays armed), already_waiting.
    operation<event> next() const;

    /// True while the server will still send its event.
    bool is_armed() const noexcept;
    /// Why there is no more: watch_ended after the event, else how the session ended.
    std::optional<error> end() const;

private:
    std::shared_ptr<detail::watch_state> state_;
};

}  // namespace coati
