// A transport that answers one handshake by itself.
//
// Each stream remembers its first write. What is pending when a connection is broken is cancelled
// below and completes with connection_reset above.
#include <coati/testing/fake_expiry.hpp>

#include "../transport_relay.hpp"
#include "handshake_frames.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace coati::testing {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// One direction of a stream: what is pending below can be cancelled from two sides.
struct pending {
    asio::cancellation_signal stop;
    bool broken = false;

    void cut()
    {
        broken = true;
        stop.emit(asio::cancellation_type::terminal);
    }
};

struct connection_state {
    pending reading;
    pending writing;
};

/// The handler, as it is given to the stream below.
auto guarded(const std::shared_ptr<connection_state>& keep, pending& of,
             transport_handler<std::size_t> handler)
{
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
        slot.assign([keep, &of](asio::cancellation_type how) { of.stop.emit(how); });
    }
    auto step = [keep, &of](transport_handler<std::size_t> last, error_code ec, std::size_t n) {
        std::move(last)(of.broken ? error_code(asio::error::connection_reset) : ec, n);
    };
    return asio::bind_cancellation_slot(of.stop.slot(),
                                        detail::relay{std::move(step), std::move(handler)});
}

bool asks_for_old_session(std::string_view bytes)
{
    const auto frame = wire::next_frame(bytes, wire::default_max_request);
    wire::reader in(frame.payload);
    wire::connect_request request;
    return frame.status == wire::frame_status::complete && wire::decode(in, request) &&
           request.session_id != 0;
}

}  // namespace

class fake_expiry::state : public transport, public std::enable_shared_from_this<state> {
public:
    explicit state(std::shared_ptr<transport> below) : below_(std::move(below)) {}

    time_point now() const override { return below_->now(); }
    std::uint64_t random() override { return below_->random(); }
    void sleep_until(time_point when, transport_handler<> handler) override
    {
        below_->sleep_until(when, std::move(handler));
    }
    void resolve(std::string host, std::uint16_t port,
                 transport_handler<std::vector<endpoint>> handler) override
    {
        below_->resolve(std::move(host), port, std::move(handler));
    }
    void connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler) override;
    std::string explain(const endpoint& of) const override { return below_->explain(of); }

    void inject()
    {
        is_armed_ = true;
        for (const auto& each : std::exchange(connections_, {})) {
            if (const auto open = each.lock()) {
                open->reading.cut();
                open->writing.cut();
            }
        }
    }
    /// Whether this first write of a connection is the one to answer.
    bool takes(std::string_view bytes)
    {
        const bool mine = is_armed_ && asks_for_old_session(bytes);
        is_armed_ = is_armed_ && !mine;
        count_ += mine ? 1 : 0;
        return mine;
    }
    void add(const std::shared_ptr<connection_state>& made)
    {
        std::erase_if(connections_, [](const auto& each) { return each.expired(); });
        connections_.push_back(made);
    }
    int count() const noexcept { return count_; }

private:
    std::shared_ptr<transport> below_;
    std::vector<std::weak_ptr<connection_state>> connections_;
    bool is_armed_ = false;
    int count_ = 0;
};

namespace {

template <class Owner>
class injected_stream final : public stream {
public:
    injected_stream(std::shared_ptr<Owner> owner, std::unique_ptr<stream> below)
        : owner_(std::move(owner)), below_(std::move(below))
    {
        owner_->add(state_);
    }

    void read_some(asio::mutable_buffer into, transport_handler<std::size_t> handler) override
    {
        if (!is_answered_) {
            below_->read_some(into, guarded(state_, state_->reading, std::move(handler)));
            return;
        }
        const std::size_t n = std::min(into.size(), answer_.size());
        std::memcpy(into.data(), answer_.data(), n);
        answer_.erase(0, n);
        complete(std::move(handler), n == 0 ? error_code(asio::error::eof) : error_code(), n);
    }
    void write(asio::const_buffer all, transport_handler<std::size_t> handler) override
    {
        const std::string_view bytes(static_cast<const char*>(all.data()), all.size());
        if (!std::exchange(has_written_, true) && owner_->takes(bytes)) {
            is_answered_ = true;
            answer_ = refusal_frame();
        }
        if (is_answered_) {
            complete(std::move(handler), {}, all.size());
        } else {
            below_->write(all, guarded(state_, state_->writing, std::move(handler)));
        }
    }

private:
    void complete(transport_handler<std::size_t> handler, error_code ec, std::size_t n)
    {
        auto step = [ec, n](transport_handler<std::size_t> last, error_code stopped) {
            std::move(last)(stopped ? stopped : ec, n);
        };
        owner_->sleep_until(owner_->now(), detail::relay{std::move(step), std::move(handler)});
    }

    std::shared_ptr<Owner> owner_;
    std::unique_ptr<stream> below_;
    std::shared_ptr<connection_state> state_ = std::make_shared<connection_state>();
    std::string answer_;
    bool has_written_ = false;
    bool is_answered_ = false;
};

}  // namespace

void fake_expiry::state::connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler)
{
    auto step = [self = shared_from_this()](transport_handler<std::unique_ptr<stream>> last,
                                            error_code ec, std::unique_ptr<stream> made) {
        if (made) {
            made = std::make_unique<injected_stream<state>>(self, std::move(made));
        }
        std::move(last)(ec, std::move(made));
    };
    below_->connect(std::move(to), detail::relay{std::move(step), std::move(handler)});
}

fake_expiry::fake_expiry(std::shared_ptr<coati::transport> below)
    : state_(std::make_shared<state>(std::move(below)))
{
}

std::shared_ptr<coati::transport> fake_expiry::transport() const
{
    return state_;
}

void fake_expiry::inject()
{
    state_->inject();
}

int fake_expiry::count() const noexcept
{
    return state_->count();
}

}  // namespace coati::testing
