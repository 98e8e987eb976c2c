// What the differential fuzzer does to both servers: steps of a round, made from one seed.
//
// A round is data, so that it can be made shorter and shown. It names sessions by slot, znodes by
// a path below the round's root ("~") and zxids by their distance to the newest, never by what a
// server has answered. Knows no socket and no server; the layouts are its own on purpose: they
// share no record with the model.
#pragma once

#include <coati/wire/jute.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coati::differential {

/// The same numbers from the same seed, with every standard library.
class randomness {
public:
    explicit randomness(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next();
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
    bool chance(unsigned percent) { return next() % 100 < percent; }

    template <class Container>
    const auto& pick(const Container& all)
    {
        return all[below(all.size())];
    }

private:
    std::uint64_t state_;
};

/// What is wrong with the bytes of a request.
enum class mangling : std::uint8_t { none, cut, null_path, null_acls, more_behind };

/// One request, or one part of a multi. Which fields count depends on `op`.
struct request {
    std::int32_t op = 0;  ///< A number: also of operations that nobody knows.
    std::string path{};   ///< "~" at its front is the root of the round.
    wire::nullable<std::string> data{};
    std::size_t acls = 0;     ///< Which list of acl_lists().
    std::int32_t number = 0;  ///< Flags, watch mode, type of a watch.
    std::int32_t version = -1;
    std::int64_t ttl_ms = 0;
    bool watch = false;
    std::int64_t behind = 0;  ///< relativeZxid: this far behind the newest zxid.
    std::array<std::vector<std::string>, 5> paths{};  ///< Of setWatches: data, exist, child, ...
    std::vector<request> parts{};                     ///< Of multi and multiRead.
    std::string scheme{}, credentials{};
    mangling wrong = mangling::none;
    std::size_t cut = 0;                ///< Bytes of the body that are missing.
    std::optional<std::int32_t> xid{};  ///< In place of the next one.
};

/// What a ConnectRequest says beside the session.
struct greeting {
    enum class zxid : std::uint8_t { none, seen, negative, future };
    enum class password : std::uint8_t { right, wrong, too_long, empty };

    zxid last_zxid = zxid::none;
    password with = password::right;
    std::int32_t timeout_ms = 10'000;
    bool has_flag = true;  ///< Clients before 3.4 end without the read-only flag.
    bool read_only = false;

    friend bool operator==(const greeting&, const greeting&) = default;
};

/// One thing that is done, and waited for, before the next.
struct step {
    enum class kind : std::uint8_t {
        batch,   ///< Requests in one write; then their replies.
        open,    ///< A new session; skipped while the slot's lives.
        resume,  ///< Connects with the slot's session, also beside its living connection.
        drop     ///< The connection ends, the session does not.
    };

    kind what = kind::batch;
    std::size_t slot = 0;
    greeting hello{};
    std::vector<request> requests{};
    bool only_if_gone = false;  ///< A resume for the slot that has no connection.
};

using sequence = std::vector<step>;

inline constexpr std::size_t slots = 3;
/// The number of the list by which nobody may read: 16 world:anyone.
inline constexpr std::size_t only_admin = 22;

/// The round of a seed: about 250 requests.
sequence make_round(std::uint64_t seed);
std::size_t count_requests(const sequence& all);

/// What a request needs to know to become bytes.
struct surroundings {
    std::string root;       ///< For "~".
    std::int64_t zxid = 0;  ///< The newest that was seen.
};

/// The frame, with its length in front.
std::string frame_of(const request& r, std::int32_t xid, const surroundings& in);

/// True for requests behind which the server may hang up: they are the last of their batch.
bool may_end_connection(const request& r);
/// True for what can make an event.
bool may_change(std::int32_t op);

std::string describe(const request& r);
std::string describe(const step& s);
/// Printable: everything but plain ASCII as \xNN.
std::string quoted(std::string_view text);

}  // namespace coati::differential
