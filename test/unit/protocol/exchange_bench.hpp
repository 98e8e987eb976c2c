// What the tests of the exchange stand on: requests that write down how they ended, a connection
// whose other end is the test, and the reply frames it sends.

#pragma once

#include <coati/protocol/exchange.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coati_test {

using coati::errc;
using coati::error;
using coati::fate;
using coati::protocol::exchange;
using coati::protocol::request_state;
using coati::protocol::ticket;
using coati::wire::op_code;

/// How one request ended: by a reply, by an error, or uncalled.
struct ending {
    enum class kind : std::uint8_t { reply, error, discarded };

    int id = 0;
    kind how = kind::reply;
    std::int32_t err = 0;  // of the reply's header, or the error's code
    coati::fate what = coati::fate::not_sent;
    std::string body;

    friend bool operator==(const ending&, const ending&) = default;
};

inline ending replied(int id, std::string body = {}, std::int32_t err = 0)
{
    return {id, ending::kind::reply, err, {}, std::move(body)};
}
inline ending failed(int id, errc code, fate what)
{
    return {id, ending::kind::error, static_cast<std::int32_t>(code), what, {}};
}
inline ending discarded(int id)
{
    return {id, ending::kind::discarded, 0, {}, {}};
}

/// One frame that the client has sent.
struct sent {
    std::int32_t xid = 0;
    op_code op = op_code::notification;
    std::string body;
    std::size_t end = 0;  // where it ends in this connection's byte stream

    friend bool operator==(const sent&, const sent&) = default;
};

inline std::vector<sent> frames_of(std::string_view bytes)
{
    std::vector<sent> all;
    std::size_t at = 0;
    while (at < bytes.size()) {
        const auto scan = coati::wire::next_frame(bytes.substr(at), bytes.size());
        REQUIRE(scan.status == coati::wire::frame_status::complete);
        coati::wire::reader in(scan.payload);
        coati::wire::request_header header;
        REQUIRE(coati::wire::decode(in, header));
        at += scan.consumed;
        all.push_back({header.xid, header.type, std::string(in.rest()), at});
    }
    return all;
}

/// A reply's payload, without the length.
inline std::string reply_of(std::int32_t xid, std::int64_t zxid = 0, std::int32_t err = 0,
                            std::string_view body = {})
{
    std::string payload;
    coati::wire::encode(payload, coati::wire::reply_header{xid, zxid, err});
    payload.append(body);
    return payload;
}

inline std::string event_of(std::int32_t type, std::string_view path, std::int64_t zxid = -1)
{
    std::string body;
    coati::wire::encode(body, coati::wire::watcher_event{type, 3, path});
    return reply_of(coati::wire::notification_xid, zxid, 0, body);
}

/// The body of a request that begins with a path, as every one that arms a watch does.
inline std::string path_body(std::string_view path)
{
    std::string body;
    coati::wire::encode(body, path, true);
    return body;
}

class bench;

class fake_request final : public coati::protocol::request {
public:
    fake_request(bench& at, int id) : at_(at), id_(id) {}

    void on_reply(const coati::protocol::reply& r) override
    {
        end({id_, ending::kind::reply, r.err, {}, std::string(r.body)});
    }
    void on_error(const error& e) override
    {
        end({id_, ending::kind::error, static_cast<std::int32_t>(e.code()), e.fate(), {}});
    }
    void discard() noexcept override { end({id_, ending::kind::discarded, 0, {}, {}}); }

    std::function<void()> then;  // called from inside the completion

private:
    void end(ending how);

    bench& at_;
    int id_;
};

/// An exchange with a connection to nobody. Every request ends in `endings`, once, by destruction
/// of its object: a second completion is a use after free, a missing one a leak.
class bench {
public:
    bench() { connect(); }

    void connect(const std::vector<std::string>& set_watches = {})
    {
        std::vector<coati::protocol::registration> first;
        for (const std::string& body : set_watches) {
            first.emplace_back(op_code::set_watches, body);
        }
        talk.on_connected(std::move(first));
        wire.clear();
        flushed = 0;
    }
    ticket read(int id, std::string body = "r")
    {
        return submit(id, op_code::get_data, false, std::move(body));
    }
    ticket write(int id, std::string body = "w")
    {
        return submit(id, op_code::set_data, true, std::move(body));
    }
    ticket submit(int id, op_code op, bool mutates, std::string body)
    {
        return talk.submit(make(id, op, mutates, std::move(body)));
    }
    fake_request& make(int id, op_code op = op_code::get_data, bool mutates = false,
                       std::string body = "r")
    {
        auto& made = *new fake_request(*this, id);
        made.op = op;
        made.mutates = mutates;
        made.body = std::move(body);
        return made;
    }

    /// Stages everything that waits; the frames of this call.
    std::vector<sent> stage(std::size_t limit = std::size_t{1} << 20)
    {
        const std::size_t before = wire.size();
        std::string out;
        talk.take_output(out, limit, watches);
        wire += out;
        auto frames = frames_of(out);
        for (sent& each : frames) {
            each.end += before;
        }
        return frames;
    }
    /// Everything staged is in the kernel.
    void flush() { flush_to(wire.size()); }
    void flush_to(std::size_t border)
    {
        talk.on_written(border - flushed);
        flushed = border;
    }
    std::vector<sent> send()
    {
        auto frames = stage();
        flush();
        return frames;
    }
    std::optional<errc> receive(const std::string& payload)
    {
        return talk.on_frame(payload, watches);
    }
    void lose() { talk.on_lost(error(errc::connection_closed)); }

    /// What has ended since the last call, in order.
    std::vector<ending> ended() { return std::exchange(endings, {}); }

    coati::protocol::watch_table watches;
    std::vector<ending> endings;
    std::string wire;         // what was staged on this connection
    std::size_t flushed = 0;  // of it, in the kernel
    exchange talk;            // last: it discards into `endings`
};

inline void fake_request::end(ending how)
{
    bench& at = at_;
    const auto what_then = std::move(then);
    delete this;
    at.endings.push_back(std::move(how));
    if (what_then) {
        what_then();
    }
}

using endings = std::vector<ending>;

}  // namespace coati_test
