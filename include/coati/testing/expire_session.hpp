// coati::testing::expire_session: a session's true end, made by the server, without waiting for it.
//
// Works against any ZooKeeper server, real or scripted. Knows the wire, not the client.
#pragma once

#include <coati/result.hpp>
#include <coati/transport.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace coati::testing {

/// Ends somebody's session on the server: a second connection takes it over by its id and password
/// and closes it. Its ephemerals vanish at once; its owner is disconnected, and told
/// session_expired when it reconnects. Waits for the server's confirmation, 10 s of transport time
/// at most.
///
/// Notable errors: session_expired (the server does not know it any more, or the password is
/// wrong), connect_failed, handshake_refused, handshake_timed_out, connection_closed (taken over,
/// but the close was not confirmed).
boost::asio::awaitable<result<void>> expire_session(std::shared_ptr<transport> through,
                                                    endpoint server, std::int64_t session_id,
                                                    std::string password);

}  // namespace coati::testing
