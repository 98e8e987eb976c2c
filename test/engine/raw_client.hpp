// A client of the scripted server that knows frames and nothing else, for tests of the server
// itself.
#pragma once

#include <coati/testing/scripted_server.hpp>
#include <coati/testing/world.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/operation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coati::test {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using coati::endpoint;
using coati::testing::frame_view;
using coati::testing::scripted_ensemble;
using coati::testing::scripted_server;
using coati::testing::verdict;
using coati::testing::world;

inline const endpoint first_at{"10.0.0.1", 2181, {}};
inline const endpoint second_at{"10.0.0.2", 2181, {}};
inline const std::vector<wire::acl> open_acl{{31, "world", "anyone"}};

/// What came in one frame.
struct reply {
    wire::reply_header header;
    std::string body;
    bool closed = false;

    template <class Response>
    Response as() const
    {
        Response response{};
        wire::reader in(body);
        REQUIRE(wire::decode(in, response));
        return response;
    }
    int err() const { return header.err; }
};

/// A client that knows frames and nothing else.
class raw {
public:
    raw(world& in, const endpoint& at) : in_(in), transport_(in.make_transport())
    {
        bool done = false;
        transport_->connect(at, [&](error_code ec, std::unique_ptr<coati::stream> s) {
            done = true;
            refused = ec;
            stream_ = std::move(s);
        });
        REQUIRE(in_.run_until([&] { return done; }, 1s));
    }

    void send(const std::string& bytes)
    {
        bool done = false;
        stream_->write(asio::buffer(bytes), [&](error_code, std::size_t) { done = true; });
        REQUIRE(in_.run_until([&] { return done; }, 1s));
    }

    template <class Op>
    void request(std::int32_t xid, const typename Op::request& r)
    {
        std::string frame;
        wire::append_request<Op>(frame, xid, r);
        send(frame);
    }

    /// The payload of the next frame; nothing when the server closes first.
    std::optional<std::string> payload()
    {
        for (;;) {
            const auto found = wire::next_frame(received_, wire::default_max_reply);
            if (found.status == wire::frame_status::complete) {
                const std::string copy(found.payload);
                received_.erase(0, found.consumed);
                return copy;
            }
            bool done = false;
            error_code ec;
            std::size_t n = 0;
            stream_->read_some(asio::buffer(chunk_), [&](error_code e, std::size_t got) {
                done = true;
                ec = e;
                n = got;
            });
            REQUIRE(in_.run_until([&] { return done; }, 1min));
            received_.append(chunk_, n);
            if (ec) {
                return std::nullopt;
            }
        }
    }

    reply next()
    {
        reply r;
        const auto bytes = payload();
        if (!bytes) {
            r.closed = true;
            return r;
        }
        wire::reader in(*bytes);
        REQUIRE(wire::decode(in, r.header));
        r.body = in.rest();
        return r;
    }

    template <class Op>
    reply ask(const typename Op::request& r)
    {
        request<Op>(++xid_, r);
        return next();
    }

    /// Asks for a session; false when it is refused by a frame, nothing when there is none.
    std::optional<bool> shake_hands(std::int64_t old = 0, std::string password = {},
                                    std::int64_t zxid = 0, int timeout_ms = 10'000)
    {
        password.resize(16);
        std::string frame;
        const auto at = wire::open_frame(frame);
        wire::encode(frame, wire::connect_request{0, zxid, timeout_ms, old, password, false});
        wire::close_frame(frame, at);
        send(frame);
        const auto bytes = payload();
        if (!bytes) {
            return std::nullopt;
        }
        handshake_bytes = *bytes;
        wire::reader in(*bytes);
        wire::connect_response response;
        REQUIRE(wire::decode(in, response));
        id = response.session_id;
        timeout = std::chrono::milliseconds(response.timeout_ms);
        secret = response.password;
        return response.timeout_ms > 0;
    }

    bool is_closed() { return !payload(); }
    const std::string& unread() const { return received_; }

    error_code refused;
    std::int64_t id = 0;
    std::chrono::milliseconds timeout{};
    std::string secret;
    std::string handshake_bytes;

private:
    world& in_;
    std::shared_ptr<coati::transport> transport_;
    std::unique_ptr<coati::stream> stream_;
    std::string received_;
    char chunk_[4096];
    std::int32_t xid_ = 0;
};

struct bench {
    explicit bench(std::uint64_t seed = 1) : in(seed) {}

    world in;
    scripted_ensemble ensemble{in};
    scripted_server first{ensemble, in, first_at};
    scripted_server second{ensemble, in, second_at};
};

/// A connection with a session.
struct session : raw {
    explicit session(bench& at, const endpoint& where = first_at) : raw(at.in, where)
    {
        REQUIRE(shake_hands() == true);
    }

    reply create(const std::string& path, int flags = 0, const std::string& data = "data")
    {
        return ask<wire::create>({path, {data}, open_acl, flags});
    }
    void expect_event(int type, const std::string& path, std::int64_t zxid)
    {
        const reply r = next();
        CHECK(r.header.xid == wire::notification_xid);
        CHECK(r.header.zxid == zxid);
        const auto event = r.as<wire::watcher_event>();
        CHECK(event.type == type);
        CHECK(event.state == 3);
        CHECK(event.path == path);
    }
};

}  // namespace coati::test
