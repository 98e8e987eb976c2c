// coati::testing::fake_expiry: the news of a session's end, without its end.
//
// A transport around another one; the client on it is the real one. Knows the handshake, no more.
#pragma once

#include <coati/transport.hpp>

#include <memory>

namespace coati::testing {

/// Makes one client believe that its session has expired, and tells the server nothing: injection
/// on the client's side. Good for seeing what an application does with session_expired at any
/// moment, against any server. It shows less than the truth: the session lives on until its
/// timeout, and its ephemerals with it, so what the application creates anew meets its own
/// leftovers. For the true end see `expire_session` and `scripted_ensemble::expire`.
class fake_expiry {
public:
    /// Around the transport that the client would have had.
    explicit fake_expiry(std::shared_ptr<coati::transport> below);

    /// The transport for the client: its third argument.
    std::shared_ptr<coati::transport> transport() const;

    /// All connections of this transport break now. The next handshake that asks for an old session
    /// is answered here, as by a server that does not know it any more, and never sent. On the
    /// client's executor only.
    void inject();

    /// How many handshakes have been answered so.
    int count() const noexcept;

private:
    class state;
    std::shared_ptr<state> state_;
};

}  // namespace coati::testing
