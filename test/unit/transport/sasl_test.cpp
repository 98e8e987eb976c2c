// The mechanisms by Cyrus, without a server: what they say first, to a captured challenge, and when
// they cannot be used. The exchange is in test/engine/sasl_test.cpp, real servers in
// test/integration/sasl_test.cpp.

#include <coati/config.hpp>
#include <coati/sasl.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <string>

namespace {

using coati::errc;

const coati::server_address server{"zk1.example", 2181};

// The challenge of vector V45.
const std::string challenge =
    R"(realm="zk-sasl-md5",nonce="L2CHYme0XR4mLyK6gg0nYiS+g6iNZ8cv2t/Lx4Iz",charset=utf-8,)"
    R"(algorithm=md5-sess)";

}  // namespace

TEST_CASE("DIGEST-MD5 answers a server's challenge without the password", "[sasl][T65]")
{
    const auto made = coati::sasl_digest_md5("alice", "open sesame");
    REQUIRE(made);
    const auto mechanism = (*made)(server);
    const auto first = mechanism->start();
    REQUIRE(first);
    CHECK(first->empty());
    CHECK_FALSE(mechanism->is_complete());

    const auto answer = mechanism->step(challenge);
    REQUIRE(answer);
    REQUIRE(answer->has_value());
    const std::string& said = **answer;
    CHECK(said.find(R"(username="alice")") != std::string::npos);
    CHECK(said.find(R"(realm="zk-sasl-md5")") != std::string::npos);
    CHECK(said.find(R"(digest-uri="zookeeper/zk-sasl-md5")") != std::string::npos);
    CHECK(said.find("sesame") == std::string::npos);
    CHECK_FALSE(mechanism->is_complete());

    // Somebody who does not know the password cannot prove that it does.
    const auto proof = mechanism->step("rspauth=00000000000000000000000000000000");
    REQUIRE_FALSE(proof);
    CHECK(proof.error() == errc::auth_failed);
    CHECK(proof.error().cause());
    CHECK(proof.error().message().find("sesame") == std::string::npos);
    CHECK_FALSE(mechanism->is_complete());

    // Another connection, another exchange.
    const auto second = (*made)(server);
    REQUIRE(second->start());
    const auto other = second->step(challenge);
    REQUIRE(other);
    CHECK(**other != said);
}

TEST_CASE("a challenge that is none is an error", "[sasl]")
{
    const auto made = coati::sasl_digest_md5("alice", "open sesame");
    REQUIRE(made);
    const auto mechanism = (*made)(server);
    REQUIRE(mechanism->start());
    const auto answer = mechanism->step("what is this");
    REQUIRE_FALSE(answer);
    CHECK(answer.error() == errc::auth_failed);
}

TEST_CASE("settings of SASL that nobody could use are refused when they are made", "[sasl]")
{
    CHECK(coati::sasl_digest_md5("", "x").error() == errc::invalid_argument);
    CHECK(coati::sasl_digest_md5(std::string("a\0b", 3), "x").error() == errc::invalid_argument);
    CHECK(coati::sasl_digest_md5("a", std::string(1, '\0')).error() == errc::invalid_argument);
    CHECK(coati::sasl_gssapi("").error() == errc::invalid_argument);
}

TEST_CASE("Kerberos without a ticket says so at once", "[sasl]")
{
    ::setenv("KRB5CCNAME", "FILE:/nonexistent/ccache", 1);
    ::setenv("KRB5_CONFIG", "/dev/null", 1);
    const auto made = coati::sasl_gssapi();
    REQUIRE(made);
    const auto mechanism = (*made)({"localhost", 2181});
    const auto first = mechanism->start();
    REQUIRE_FALSE(first);
    CHECK(first.error() == errc::auth_failed);
    CHECK(first.error().cause());
    CHECK_FALSE(mechanism->is_complete());
}
