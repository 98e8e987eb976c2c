// The SASL exchange of one connection: after the handshake, before anything of the session's. Knows
// the frames and what ends the exchange; what is in the tokens is the mechanism's.

#include "engine.hpp"

#include "transport_ops.hpp"

#include <coati/sasl.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/operation_admin.hpp>

#include <boost/asio/as_tuple.hpp>

namespace coati::detail {

namespace {

/// More rounds than any mechanism has; a server that goes on for ever must not hold us.
constexpr int most_rounds = 16;

/// How the exchange ends when the server says `err` in place of a token.
errc refusal(std::int32_t err) noexcept
{
    const auto code = static_cast<errc>(err);
    if (code == errc::unimplemented) {
        return errc::server_has_no_sasl;  // somebody else's server, which does not know the op
    }
    return classify(code) == disposition::connection_loss ? code : errc::auth_failed;
}

sasl_answer answer_of(const wire::reply_header& header, wire::reader& body)
{
    // The error first: a failed exchange can carry a token all the same (trap 27).
    if (header.err != 0) {
        return sasl_answer(ending{refusal(header.err), {}});
    }
    wire::sasl::response answer;
    if (!wire::decode(body, answer)) {
        return sasl_answer(ending{errc::malformed_reply, {}});
    }
    sasl_answer given(ending{});
    if (!answer.token.is_null) {
        given.token.emplace(answer.token.value);
    }
    return given;
}

}  // namespace

// Tokens go back and forth until the mechanism is content. A server without SASL answers the first
// with null; any other null must not be taken for a proof, unless the mechanism has had its own.
asio::awaitable<ending> engine::authenticate()
{
    const std::unique_ptr<sasl_mechanism> mechanism = config_.sasl(target_);  // a new one (trap 26)
    sasl_said_.clear();
    if (mechanism == nullptr) {
        co_return ending{errc::auth_failed, {}};
    }
    auto first = mechanism->start();
    if (!first) {
        sasl_said_ = mechanism->explain();
        co_return ending{errc::auth_failed, first.error().cause()};
    }
    std::string token = std::move(*first);
    for (std::int32_t round = wire::first_xid; round <= most_rounds; ++round) {
        std::string frame;
        wire::append_request<wire::sasl>(frame, round, {{token}});
        auto send = write_all(*connection_, asio::buffer(frame));
        const auto [failed, sent] = co_await std::move(send)(asio::as_tuple(asio::deferred));
        if (failed) {
            co_return ending{errc::connection_loss, failed};
        }
        auto reply = sasl_reply(round);
        const sasl_answer answer = co_await std::move(reply);
        if (answer.how.code != errc::no_result) {
            co_return answer.how;
        }
        if (!answer.token && round == wire::first_xid && !mechanism->is_complete()) {
            co_return ending{config_.sasl_optional ? errc::no_result : errc::server_has_no_sasl,
                             {}};
        }
        if (!answer.token || (answer.token->empty() && mechanism->is_complete())) {
            co_return ending{mechanism->is_complete() ? errc::no_result : errc::auth_failed, {}};
        }
        auto next = mechanism->step(*answer.token);
        if (!next) {
            sasl_said_ = mechanism->explain();
            co_return ending{errc::auth_failed, next.error().cause()};
        }
        if (!*next) {
            co_return ending{mechanism->is_complete() ? errc::no_result : errc::auth_failed, {}};
        }
        token = std::move(**next);
    }
    co_return ending{errc::auth_failed, {}};
}

asio::awaitable<sasl_answer> engine::sasl_reply(std::int32_t xid)
{
    for (;;) {
        const auto scan =
            wire::next_frame({in_.data() + in_begin_, in_end_ - in_begin_}, config_.max_reply);
        if (scan.status == wire::frame_status::malformed) {
            co_return sasl_answer(ending{errc::malformed_reply, {}});
        }
        if (scan.status == wire::frame_status::complete) {
            in_begin_ += scan.consumed;
            wire::reader in(scan.payload);
            wire::reply_header header;
            if (!wire::decode(in, header)) {
                co_return sasl_answer(ending{errc::malformed_reply, {}});
            }
            if (header.xid == xid) {
                co_return answer_of(header, in);  // its zxid is 0, and nothing to remember
            }
            // Events may come at any time; nothing else was asked for.
            delivering_ = true;
            const auto over = header.xid < wire::first_xid
                                  ? exchange_.on_frame(scan.payload, watches_)
                                  : std::optional(errc::malformed_reply);
            delivering_ = false;
            if (over) {
                co_return sasl_answer(ending{*over, {}});
            }
            continue;
        }
        auto more = read_some(*connection_, room_to_read());
        const auto [ec, n] = co_await std::move(more)(asio::as_tuple(asio::deferred));
        if (ec) {
            const errc code =
                ec == asio::error::eof ? errc::connection_closed : errc::connection_loss;
            co_return sasl_answer(ending{code, ec});
        }
        in_end_ += n;
    }
}

}  // namespace coati::detail
