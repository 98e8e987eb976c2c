// Floor 2 with TLS in it: OpenSSL between the stream of another transport and the engine.
//
// OpenSSL works on memory only: what it wants to send is taken from it and written below, what is
// read below is given to it. So cancellation, the counting of bytes and the rest of transport.hpp's
// contract are those of the stream below. Read and write may be outstanding at once; their steps
// run on their handlers' executor, which must be one (the client's strand), since both use the SSL.

#include "tls_connection.hpp"
#include "transport_relay.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace coati::tls_detail {

namespace asio = boost::asio;
using detail::any_cancellation;
using detail::relay;

/// Ciphertext of `step.self` goes below, then `step`. The state in the step remembers a
/// cancellation that falls between two of them.
template <class Step, class Handler>
void flush(Step step, Handler handler)
{
    const connection_ptr self = step.self;
    const auto slot = step.cancellation.slot();
    self->below().write(self->to_send(), asio::bind_cancellation_slot(
                                             slot, relay{std::move(step), std::move(handler)}));
}

template <class Step, class Handler>
void fetch(Step step, Handler handler)
{
    const connection_ptr self = step.self;
    const auto slot = step.cancellation.slot();
    self->below().read_some(self->room(), asio::bind_cancellation_slot(
                                              slot, relay{std::move(step), std::move(handler)}));
}

template <class Step>
error_code interrupted(const Step& step, error_code ec)
{
    if (!ec && (step.self->is_closed() ||
                step.cancellation.cancelled() != asio::cancellation_type::none)) {
        ec = asio::error::operation_aborted;
    }
    return ec;
}

// ---------------------------------------------------------------- the stream

class tls_stream final : public stream {
public:
    tls_stream(asio::any_io_executor ex, connection_ptr self)
        : executor_(std::move(ex)), self_(std::move(self))
    {
    }
    // No close_notify: ZooKeeper closes sessions by its own request, so that a cut connection can
    // be mistaken for nothing else.
    ~tls_stream() override { self_->close(); }

    void read_some(asio::mutable_buffer into, transport_handler<std::size_t> handler) override
    {
        error_code ec;
        const std::size_t n = self_->decrypt(into, ec);
        if (ec || n > 0 || into.size() == 0) {
            asio::post(executor_, asio::append(std::move(handler), ec, n));
            return;
        }
        const auto slot = asio::get_associated_cancellation_slot(handler);
        fetch(reading{self_, into, asio::cancellation_state(slot, any_cancellation{})},
              std::move(handler));
    }

    /// Bytes count as handed over once any of the ciphertext of their piece was: which of them a
    /// cut piece holds can be known only by who decrypts it.
    void write(asio::const_buffer all, transport_handler<std::size_t> handler) override
    {
        error_code ec;
        const std::size_t piece = std::min(all.size(), largest_piece);
        if (piece == 0 || !self_->encrypt({all.data(), piece}, ec)) {
            asio::post(executor_, asio::append(std::move(handler), ec, std::size_t{0}));
            return;
        }
        const auto slot = asio::get_associated_cancellation_slot(handler);
        flush(writing{self_, all, piece, 0, asio::cancellation_state(slot, any_cancellation{})},
              std::move(handler));
    }

private:
    struct reading {
        connection_ptr self;
        asio::mutable_buffer into;
        asio::cancellation_state cancellation;

        void operator()(transport_handler<std::size_t> handler, error_code ec, std::size_t n) &&
        {
            if (ec) {
                std::move(handler)(self->translated(ec), std::size_t{0});
                return;
            }
            self->take_in(n);
            const std::size_t got = self->decrypt(into, ec);
            if (got == 0) {
                ec = interrupted(*this, ec);
            }
            if (ec || got > 0) {
                std::move(handler)(ec, got);
            } else {
                fetch(std::move(*this), std::move(handler));
            }
        }
    };

    struct writing {
        connection_ptr self;
        asio::const_buffer rest;
        std::size_t piece;  // of the rest: on its way
        std::size_t done;
        asio::cancellation_state cancellation;

        void operator()(transport_handler<std::size_t> handler, error_code ec, std::size_t n) &&
        {
            if (!ec || n > 0) {
                done += piece;
                rest += piece;
            }
            if (!ec && rest.size() > 0) {
                ec = interrupted(*this, ec);
                piece = std::min(rest.size(), largest_piece);
            }
            if (ec || rest.size() == 0 || !self->encrypt({rest.data(), piece}, ec)) {
                std::move(handler)(self->translated(ec), done);
            } else {
                flush(std::move(*this), std::move(handler));
            }
        }
    };

    asio::any_io_executor executor_;
    connection_ptr self_;
};

// ---------------------------------------------------------------- the handshake

/// What `explain` knows: the last failure at each address. Shared with attempts that are under way.
class notes {
public:
    void set(const endpoint& at, std::string text)
    {
        const std::lock_guard guard(lock_);
        if (text.empty()) {
            texts_.erase(to_string(at));
            return;
        }
        if (texts_.size() >= most) {
            texts_.clear();  // addresses come and go for years
        }
        texts_[to_string(at)] = std::move(text);
    }
    std::string of(const endpoint& at) const
    {
        const std::lock_guard guard(lock_);
        const auto found = texts_.find(to_string(at));
        return found == texts_.end() ? std::string() : found->second;
    }

private:
    static constexpr std::size_t most = 256;
    mutable std::mutex lock_;
    std::map<std::string, std::string> texts_;
};

/// From a connection to a TLS connection: `handler` gets the stream.
struct handshake {
    connection_ptr self;
    asio::any_io_executor executor;
    std::shared_ptr<notes> told;
    endpoint to;
    std::string expected;  // the name
    std::string stale;     // why newer files were not taken
    asio::cancellation_state cancellation;
    progress last = progress::wants_input;
    error_code failure = {};
    bool is_reading = false;

    using handler_type = transport_handler<std::unique_ptr<stream>>;

    /// The connection below is there, or not.
    void operator()(handler_type handler, error_code ec, std::unique_ptr<stream> below) &&
    {
        if (ec) {
            told->set(to, stale);
            std::move(handler)(ec, std::unique_ptr<stream>());
            return;
        }
        self->carry(std::move(below));
        std::move(*this).advance(std::move(handler));
    }

    /// Something was written or read.
    void operator()(handler_type handler, error_code ec, std::size_t n) &&
    {
        if (last == progress::failed) {
            ec = failure;  // what was written is our alert, the reason is known
        } else {
            ec = interrupted(*this, ec);
        }
        if (ec || (!is_reading && last == progress::done)) {
            std::move(*this).finish(std::move(handler), ec);
        } else if (is_reading) {
            self->take_in(n);
            std::move(*this).advance(std::move(handler));
        } else {
            is_reading = true;
            fetch(std::move(*this), std::move(handler));
        }
    }

    void advance(handler_type handler) &&
    {
        last = self->shake_hands(failure);
        is_reading = false;
        if (self->collect_output()) {
            flush(std::move(*this), std::move(handler));
        } else if (last == progress::wants_input) {
            is_reading = true;
            fetch(std::move(*this), std::move(handler));
        } else {
            std::move(*this).finish(std::move(handler), failure);
        }
    }

    void finish(handler_type handler, error_code ec) &&
    {
        if (ec == asio::error::eof || is_reset(ec)) {
            ec = self->translated(ec);
            if (ec.category() != tls_category()) {
                ec = tls_errc::hung_up;
            }
        }
        std::string text = text_of(ec);
        if (!stale.empty()) {
            text.append(text.empty() ? "" : "; ").append("the files in use are older ones: ");
            text.append(stale);
        }
        told->set(to, ec ? std::move(text) : std::string());
        std::unique_ptr<stream> made;
        if (ec) {
            self->close();
        } else {
            made = std::make_unique<tls_stream>(executor, self);
        }
        std::move(handler)(ec, std::move(made));
    }

    std::string text_of(const error_code& ec) const
    {
        if (ec == asio::error::operation_aborted) {
            return "connected, but the TLS handshake was not finished in time";
        }
        std::string text = self->words();
        if (ec == tls_errc::wrong_host) {
            text.append(text.empty() ? "" : "; ").append("expected ").append(expected);
        }
        return text;
    }
};

// ---------------------------------------------------------------- the transport

class tls_transport final : public transport {
public:
    tls_transport(asio::any_io_executor ex, std::unique_ptr<context_keeper> contexts,
                  std::shared_ptr<transport> below)
        : executor_(std::move(ex)), contexts_(std::move(contexts)), below_(std::move(below))
    {
    }

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

    void connect(endpoint to, transport_handler<std::unique_ptr<stream>> handler) override
    {
        const tls_settings& settings = contexts_->settings();
        if (settings.use_tls && !settings.use_tls(to)) {
            below_->connect(std::move(to), std::move(handler));
            return;
        }
        std::string stale;
        const ssl_ctx_ptr context = contexts_->fresh(stale);
        auto self = std::make_shared<connection>(contexts_->has_certificate());
        if (!self->prepare(*context, settings, to)) {
            const error_code ec = tls_errc::bad_settings;
            told_->set(to, self->words());
            asio::post(executor_, asio::append(std::move(handler), ec, std::unique_ptr<stream>()));
            return;
        }
        const auto slot = asio::get_associated_cancellation_slot(handler);
        handshake step{std::move(self),
                       executor_,
                       told_,
                       to,
                       expected_name(settings, to),
                       std::move(stale),
                       asio::cancellation_state(slot, any_cancellation{})};
        const auto inner = step.cancellation.slot();
        below_->connect(std::move(to), asio::bind_cancellation_slot(
                                           inner, relay{std::move(step), std::move(handler)}));
    }

    std::string explain(const endpoint& to) const override { return told_->of(to); }

private:
    asio::any_io_executor executor_;
    std::unique_ptr<context_keeper> contexts_;
    std::shared_ptr<transport> below_;
    std::shared_ptr<notes> told_ = std::make_shared<notes>();
};

}  // namespace coati::tls_detail

namespace coati {

result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor ex,
                                                      tls_settings settings,
                                                      std::shared_ptr<transport> below)
{
    auto contexts = tls_detail::make_keeper(std::move(settings));
    if (contexts == nullptr) {
        return error(errc::invalid_config, fate::not_applied, tls_errc::bad_settings);
    }
    return std::shared_ptr<transport>(std::make_shared<tls_detail::tls_transport>(
        std::move(ex), std::move(contexts), std::move(below)));
}

result<std::shared_ptr<transport>> make_tls_transport(boost::asio::any_io_executor ex,
                                                      tls_settings settings)
{
    auto below = make_tcp_transport(ex);
    return make_tls_transport(std::move(ex), std::move(settings), std::move(below));
}

}  // namespace coati
