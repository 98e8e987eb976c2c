// The SASL exchange in virtual time, with mechanisms and servers by script: it comes first on every
// connection, with a mechanism of its own, and each way to end it has its name. Cyrus and real
// servers are in test/integration/sasl_test.cpp.

#include "support.hpp"

#include <coati/sasl.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/operation.hpp>
#include <coati/wire/operation_admin.hpp>

#include <algorithm>
#include <map>

namespace coati::test {

namespace {

using wire::op_code;

/// Says "", then answers every challenge by the script; complete when that is at its end.
struct script {
    std::vector<std::optional<std::string>> answers{"response", std::nullopt};
    std::optional<errc> start_fails;
    bool makes_none = false;
    bool is_complete_at_end = true;
    std::string words;

    int made = 0;
    std::vector<std::string> challenges;
};

class scripted_mechanism final : public sasl_mechanism {
public:
    explicit scripted_mechanism(script& by) : by_(&by) {}

    result<std::string> start() override
    {
        if (by_->start_fails) {
            return error(errc::auth_failed, fate::not_applied, make_error_code(*by_->start_fails));
        }
        return std::string();
    }
    result<std::optional<std::string>> step(std::string_view challenge) override
    {
        by_->challenges.emplace_back(challenge);
        if (next_ == by_->answers.size()) {
            return error(errc::auth_failed, fate::not_applied,
                         make_error_code(errc::bad_arguments));
        }
        return by_->answers[next_++];
    }
    bool is_complete() const noexcept override
    {
        return by_->is_complete_at_end && next_ == by_->answers.size();
    }
    std::string explain() const override { return by_->words; }

private:
    script* by_;
    std::size_t next_ = 0;
};

std::string reply_frame(std::int32_t xid, std::int32_t err, std::optional<std::string_view> token)
{
    std::string frame;
    const auto at = wire::open_frame(frame);
    wire::encode(frame, wire::reply_header{xid, 0, err});
    wire::sasl::response body;
    body.token.is_null = !token;
    body.token.value = token.value_or("");
    wire::encode(frame, body);
    wire::close_frame(frame, at);
    return frame;
}

/// A server that knows SASL: what it answers to the n-th token of a connection.
struct sasl_server {
    using answer_function =
        std::function<verdict(std::int32_t xid, std::size_t round, std::string_view token)>;

    sasl_server(simulation& at, answer_function by) : answer(std::move(by))
    {
        for (auto& each : at.servers) {
            each->on_frame([this](const frame_view& f) { return on_frame(f); });
        }
    }

    // The scripted server knows no SASL: a read stands in for it, whose reply is replaced.
    verdict on_frame(const frame_view& f)
    {
        if (f.direction == frame_view::way::request && f.op == op_code::sasl) {
            wire::reader in(f.payload);
            wire::request_header header;
            wire::sasl::request body;
            REQUIRE(wire::decode(in, header));
            REQUIRE(wire::decode(in, body));
            REQUIRE_FALSE(body.token.is_null);  // which would make a real server hang up
            order.push_back(op_code::sasl);
            pending = answer(f.xid, rounds[f.connection]++, body.token.value);
            std::string stand_in;
            wire::append_request<wire::get_data>(stand_in, f.xid, {.path = "/"});
            return verdict::replace(stand_in.substr(4));
        }
        if (f.direction == frame_view::way::reply && pending) {
            return *std::exchange(pending, std::nullopt);
        }
        if (f.direction == frame_view::way::request && !f.handshake) {
            order.push_back(f.op);
        }
        return verdict::pass();
    }

    answer_function answer;
    std::map<std::uint64_t, std::size_t> rounds;
    std::optional<verdict> pending;
    std::vector<op_code> order;
};

verdict well_behaved(std::int32_t xid, std::size_t round, std::string_view token)
{
    CHECK(token == (round == 0 ? "" : "response"));
    return verdict::replace(reply_frame(xid, 0, round == 0 ? "challenge" : "proof"));
}

config with(script& s, std::size_t servers = 1)
{
    config c = plain_config(servers);
    c.sasl = [&s](const server_address& to) -> std::unique_ptr<sasl_mechanism> {
        CHECK(to.port == 2181);
        ++s.made;
        return s.makes_none ? nullptr : std::make_unique<scripted_mechanism>(s);
    };
    return c;
}

/// The session ends with `code`, at once, everything pending with it, and nobody tries again.
void ends(script& s, sasl_server::answer_function by, errc code, config settings)
{
    simulation at(std::move(settings));
    sasl_server server(at, std::move(by));
    state_recorder states(*at.zk);
    const auto pending = at.start(at.zk->get("/"));
    const auto start = at.in.now();
    const auto run = at.start(at.zk->run());
    at.until([&] { return run.done(); });
    CHECK(at.in.now() - start < 1s);
    CHECK(run.code() == code);
    CHECK(pending.code() == code);
    CHECK(pending.fate() == fate::not_sent);
    CHECK(states.states().back() == session_state::auth_failed);
    REQUIRE(at.zk->last_attempts().size() == 1);
    CHECK(at.zk->last_attempts()[0].step == attempt_step::authenticate);
    CHECK(at.zk->last_attempts()[0].error == code);
    at.pass(1min);
    CHECK(at.connections_made() == 1);
    CHECK(s.made == 1);
}

}  // namespace

TEST_CASE("SASL comes before auth, watches and requests, anew on every connection",
          "[sasl][T26][T28]")
{
    script s;
    simulation at(with(s));
    sasl_server server(at, well_behaved);
    const auto early = at.start(at.zk->get("/"));
    const auto run = at.connect();
    at.until([&] { return early.done(); });
    CHECK(s.challenges == std::vector<std::string>{"challenge", "proof"});
    CHECK(s.made == 1);
    CHECK(server.order == std::vector{op_code::sasl, op_code::sasl, op_code::get_data});

    auto watched = at.ask(at.zk->exists_and_watch("/later"));
    REQUIRE(watched);
    server.order.clear();
    at.server(0).drop_connections();
    REQUIRE(at.ask(at.zk->exists("/later")));
    CHECK(s.made == 2);
    CHECK(s.challenges.size() == 4);
    REQUIRE(server.order.size() == 4);
    CHECK(server.order[0] == op_code::sasl);
    CHECK(server.order[1] == op_code::sasl);
    CHECK(server.order[2] == op_code::set_watches);
    CHECK(server.order[3] == op_code::exists);
    CHECK_FALSE(run.done());
}

TEST_CASE("a server that refuses the proof ends the session, once and for all", "[sasl][S36][T27]")
{
    for (const std::int32_t err : {-115, -124, -5}) {
        for (const std::size_t when : {0U, 1U}) {
            for (const std::optional<std::string_view> token :
                 {std::optional<std::string_view>(), std::optional<std::string_view>("proof")}) {
                script s;
                const auto refuse = [&](std::int32_t xid, std::size_t round, std::string_view) {
                    return round == when ? verdict::replace_and_close(reply_frame(xid, err, token))
                                         : verdict::replace(reply_frame(xid, 0, "challenge"));
                };
                ends(s, refuse, errc::auth_failed, with(s));
            }
        }
    }
}

TEST_CASE("a server without SASL is told from one that was convinced", "[sasl][T65]")
{
    const auto null = [](std::int32_t xid, std::size_t, std::string_view) {
        return verdict::replace(reply_frame(xid, 0, std::nullopt));
    };
    {
        script s;
        ends(s, null, errc::server_has_no_sasl, with(s));
    }
    {
        script s;
        const auto unknown = [](std::int32_t xid, std::size_t, std::string_view) {
            return verdict::replace_and_close(reply_frame(xid, -6, std::nullopt));
        };
        ends(s, unknown, errc::server_has_no_sasl, with(s));
    }
    script s;
    config c = with(s);
    c.sasl_optional = true;
    simulation at(c);
    sasl_server server(at, null);
    const auto run = at.connect();
    CHECK(at.ask(at.zk->get("/")));
    CHECK_FALSE(run.done());
}

TEST_CASE("the end of the exchange needs the mechanism's consent", "[sasl]")
{
    const auto null_at_end = [](std::int32_t xid, std::size_t round, std::string_view) {
        return verdict::replace(reply_frame(
            xid, 0, round == 0 ? std::optional<std::string_view>("challenge") : std::nullopt));
    };
    {
        script s;  // would have to see the server's proof
        ends(s, null_at_end, errc::auth_failed, with(s));
    }
    {
        script s;
        s.is_complete_at_end = false;
        ends(s, well_behaved, errc::auth_failed, with(s));
    }
    {
        script s;  // never says that it is content
        s.answers.assign(1000, "response");
        ends(
            s,
            [](std::int32_t xid, std::size_t, std::string_view) {
                return verdict::replace(reply_frame(xid, 0, "more"));
            },
            errc::auth_failed, with(s));
        CHECK(s.challenges.size() < 20);
    }
    // GSSAPI: the last word is ours, and null or nothing says that it was heard.
    for (const std::optional<std::string_view> last :
         {std::optional<std::string_view>(), std::optional<std::string_view>("")}) {
        script s;
        s.answers = {"response"};
        simulation at(with(s));
        sasl_server server(at, [&](std::int32_t xid, std::size_t round, std::string_view) {
            return verdict::replace(reply_frame(xid, 0, round == 0 ? "challenge" : last));
        });
        const auto run = at.connect();
        CHECK(at.ask(at.zk->get("/")));
        CHECK(s.challenges == std::vector<std::string>{"challenge"});
    }
}

TEST_CASE("a mechanism that fails ends the session and says why", "[sasl][S36]")
{
    {
        script s;
        s.start_fails = errc::invalid_config;
        s.words = "no ticket today";
        simulation at(with(s));
        const auto run = at.start(at.zk->run());
        at.until([&] { return run.done(); });
        CHECK(run.code() == errc::auth_failed);
        CHECK(run.error().cause() == make_error_code(errc::invalid_config));
        REQUIRE(at.zk->last_attempts().size() == 1);
        CHECK(at.zk->last_attempts()[0].text.ends_with("; no ticket today"));
    }
    {
        script s;
        s.answers.clear();  // does not know what to say to a challenge
        ends(s, well_behaved, errc::auth_failed, with(s));
    }
    script s;
    s.makes_none = true;
    ends(s, well_behaved, errc::auth_failed, with(s));
}

TEST_CASE("a connection that breaks during SASL is one like any other", "[sasl][T22]")
{
    script s;
    simulation at(with(s));
    int left = 20;
    sasl_server server(at, [&](std::int32_t xid, std::size_t round, std::string_view token) {
        return round == 1 && left-- > 0 ? verdict::close() : well_behaved(xid, round, token);
    });
    const auto start = at.in.now();
    const auto run = at.connect();
    CHECK(s.made == 21);
    CHECK(at.in.now() - start > 1s);  // and not in a tight loop
    CHECK(at.ensemble.sessions().size() == 1);
    CHECK(at.ask(at.zk->get("/")));
}

TEST_CASE("a server that falls silent during SASL is left in time", "[sasl][S6]")
{
    script s;
    simulation at(with(s, 2), 2);
    at.server(0).on_frame([](const frame_view& f) {
        return f.op == op_code::sasl ? verdict::drop() : verdict::pass();
    });
    sasl_server second(at, well_behaved);
    at.server(0).on_frame([](const frame_view& f) {
        return f.op == op_code::sasl ? verdict::drop() : verdict::pass();
    });
    const auto run = at.start(at.zk->run());
    REQUIRE(at.ask(at.zk->connected(), 10s));
    CHECK(at.zk->session().server.address == server_at(1).address);
    REQUIRE(at.zk->last_attempts().size() == 1);
    CHECK(at.zk->last_attempts()[0].error == errc::handshake_timed_out);
    CHECK(at.zk->last_attempts()[0].step == attempt_step::authenticate);
    CHECK(s.made == 2);
}

TEST_CASE("an event during SASL reaches its watch, nonsense ends the connection", "[sasl][T28]")
{
    for (const bool nonsense : {false, true}) {
        script s;
        simulation at(with(s));
        bool once = true;
        std::string before;
        sasl_server server(at, [&](std::int32_t xid, std::size_t round, std::string_view token) {
            verdict said = well_behaved(xid, round, token);
            if (s.made == 2 && std::exchange(once, false)) {
                said.bytes = before + said.bytes;
            }
            return said;
        });
        const auto run = at.connect();
        auto watched = at.ask(at.zk->exists_and_watch("/later"));
        REQUIRE(watched);
        const auto event = at.start(watched->watch.next());
        const auto frame = wire::open_frame(before);
        if (nonsense) {
            wire::encode(before, wire::reply_header{77, 9, 0});
        } else {
            wire::encode(before, wire::reply_header{wire::notification_xid, 9, 0},
                         wire::watcher_event{1, 3, "/later"});
        }
        wire::close_frame(before, frame);
        at.server(0).drop_connections();
        REQUIRE(at.ask(at.zk->get("/")));
        CHECK(event.done() == !nonsense);
        CHECK(s.made == (nonsense ? 3 : 2));
    }
}

TEST_CASE("the zxid of SASL's replies is nobody's", "[sasl][T8]")
{
    script s;
    simulation at(with(s));
    sasl_server server(at, well_behaved);
    const auto run = at.connect();
    REQUIRE(at.ask(at.zk->create("/a")));
    const auto seen = at.zk->credentials().last_zxid;
    CHECK(seen > 0);
    for (int i = 0; i < 2; ++i) {
        at.server(0).drop_connections();
        REQUIRE(at.ask(at.zk->connected()));
        at.until([&] { return s.made == i + 2; });
        at.pass(10ms);
    }
    const auto& log = at.server(0).log();
    const auto last = std::find_if(log.rbegin(), log.rend(), [](const auto& each) {
        return each.op == op_code::create_session;
    });
    REQUIRE(last != log.rend());
    CHECK(last->zxid == seen);
}

}  // namespace coati::test
