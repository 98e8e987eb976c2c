// No text that coati makes has a credential in it: messages of errors, what attempts say, what an
// exception says, whatever a server does to the client that shows them. An evil server sends back
// what it was told.

#include "support.hpp"

#include <coati/sasl.hpp>
#include <coati/wire/frame.hpp>
#include <coati/wire/header.hpp>
#include <coati/wire/jute.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace {

using namespace coati::test;
using coati::acl;
using coati::acls;
using coati::auth_info;
using coati::errc;
using coati::error;
using coati::result;
using coati::wire::op_code;

const std::string word = "open-sesame";

/// Gives its password away, as a mechanism may, and fails at the n-th step.
class chatty_mechanism final : public coati::sasl_mechanism {
public:
    explicit chatty_mechanism(int steps) : left_(steps) {}

    result<std::string> start() override { return left_ == 0 ? failed() : word; }
    result<std::optional<std::string>> step(std::string_view) override
    {
        return --left_ <= 0 ? result<std::optional<std::string>>(failed().error())
                            : result<std::optional<std::string>>(std::optional(word));
    }
    bool is_complete() const noexcept override { return false; }

private:
    static result<std::string> failed()
    {
        return error(errc::auth_failed, coati::fate::not_applied,
                     make_error_code(errc::bad_arguments));
    }
    int left_;
};

/// A client that has secrets of every kind, and everything that it said.
class story {
public:
    explicit story(coati::config c = plain_config(1)) : at(with_secrets(std::move(c)), 1) {}

    /// Runs a session to its end, with requests that carry secrets, and takes down every text.
    void play()
    {
        const auto run = at.start(at.zk->run());
        const auto get = at.start(at.zk->get("/"));
        const auto create = at.start(at.zk->create("/mine", word, coati::create_mode::persistent,
                                                   acls(acl::digest("ann", word))));
        const auto both = at.start(at.zk->multi(coati::op::set("/no", word)));
        const auto add = at.start(at.zk->add_auth(auth_info::digest("bob", word)));
        const auto bad =
            at.start(at.zk->set_acl("/", acls(acl(coati::perms::all, "digest", word))));
        const auto large = at.start(at.zk->set("/", word + std::string(2'000'000, 'x')));
        at.reaches([&] { return run.done(); }, 1min);
        at.ensemble.expire(at.zk->session().id);
        at.reaches([&] { return run.done(); }, 1min);
        note(run);
        note(get);
        note(create);
        note(both);
        note(add);
        note(bad);
        note(large);
        for (const auto& each : at.zk->last_attempts()) {
            texts.push_back(each.text);
            note(each.error);
        }
        REQUIRE(texts.size() > 6);
        for (const std::string& each : texts) {
            CAPTURE(each);
            CHECK_FALSE(each.empty());
            CHECK(each.find(word) == std::string::npos);
            CHECK(each.find(word.substr(0, 5)) == std::string::npos);
        }
    }

    simulation at;
    std::vector<std::string> texts;

private:
    static coati::config with_secrets(coati::config c)
    {
        c.auth.push_back(auth_info::digest("ann", word));
        c.auth.emplace_back(word, word);  // even where it should not be
        c.connect_deadline = 20s;
        c.close_wait = 1s;
        return c;
    }
    template <class T>
    void note(const answer<T>& a)
    {
        if (a.done() && !*a) {
            note(a.error());
            try {
                (void)a.take().value();
            } catch (const coati::exception& e) {
                texts.emplace_back(e.what());
            }
        }
    }
    void note(const error& e)
    {
        texts.push_back(e.message());
        texts.emplace_back(describe(e.code()));
        texts.push_back(boost::system::error_code(e).message());
    }
};

std::string frame_of(std::string_view payload)
{
    std::string frame;
    const auto at = coati::wire::open_frame(frame);
    frame.append(payload);
    coati::wire::close_frame(frame, at);
    return frame;
}

std::string refusal(std::int32_t xid, std::int32_t code)
{
    std::string payload;
    coati::wire::encode(payload, coati::wire::reply_header{xid, 0, code});
    return frame_of(payload);
}

}  // namespace

TEST_CASE("no text has a credential in it: nobody there", "[secrets]")
{
    story on;
    on.at.server(0).kill();
    on.play();
}

TEST_CASE("no text has a credential in it: a server that sends back what it was told",
          "[secrets][T45]")
{
    // The handshake: with the session's password, as it is and without its length.
    for (const std::size_t from : {std::size_t{0}, std::size_t{4}, std::size_t{28}}) {
        coati::config c = plain_config(1);
        c.session = coati::session_credentials(1, word + "12345");
        story on(std::move(c));
        std::string hello;
        on.at.server(0).on_frame([&](const frame_view& f) {
            if (!f.handshake) {
                return verdict::pass();
            }
            if (f.direction == frame_view::way::request) {
                hello = frame_of(f.payload);
                return verdict::pass();
            }
            return verdict::replace_and_close(hello.substr(from));
        });
        on.play();
        CHECK(hello.find(word) != std::string::npos);
    }
    // The credentials, as an answer to them.
    story on(plain_config(1));
    std::string shown;
    on.at.server(0).on_frame([&](const frame_view& f) {
        if (f.direction == frame_view::way::request && f.op == op_code::auth) {
            shown = frame_of(f.payload);
        }
        return !f.handshake && f.direction == frame_view::way::reply ? verdict::replace(shown)
                                                                     : verdict::pass();
    });
    on.play();
}

TEST_CASE("no text has a credential in it: refused in every way", "[secrets][S36]")
{
    for (const errc code : coati::all_errc()) {
        if (static_cast<int>(code) > 0) {
            continue;  // ours; a server says its own
        }
        CAPTURE(name(code));
        story on;
        on.at.server(0).on_frame([&](const frame_view& f) {
            return !f.handshake && f.direction == frame_view::way::reply && f.xid != -1
                       ? verdict::replace(refusal(f.xid, static_cast<std::int32_t>(code)))
                       : verdict::pass();
        });
        on.play();
    }
}

TEST_CASE("no text has a credential in it: SASL that fails at each step", "[secrets]")
{
    for (int steps = 0; steps < 4; ++steps) {
        coati::config c = plain_config(1);
        c.sasl = [steps](const coati::server_address&) {
            return std::make_unique<chatty_mechanism>(steps);
        };
        story on(std::move(c));
        on.play();
    }
}
