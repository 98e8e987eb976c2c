// The exchange against a reference model, by seeded random steps: a list of requests and a list of
// what the server has received say at every moment what must be true.

#include "exchange_bench.hpp"
#include "random.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

using namespace coati_test;
namespace wire = coati::wire;

namespace {

/// What the model knows of one request.
struct known {
    ticket which = 0;
    bool mutates = false;
    bool fail_fast = false;
    bool is_staged = false;  // on this connection
    std::size_t end = 0;     // of its frame
    int times_staged = 0;
    int times_written = 0;  // completely
    bool is_done = false;
};

/// A frame that a server would have received, whole or not.
struct on_wire {
    int id = 0;
    std::int32_t xid = 0;
    std::size_t end = 0;
};

/// Does random things to an exchange, and predicts every ending.
class model {
public:
    explicit model(std::uint64_t seed) : random_(seed)
    {
        // Near the wrap, so that every run goes over it.
        at_.talk.set_next_xid(wire::last_xid - 50);
    }

    void run(int steps)
    {
        for (int i = 0; i < steps; ++i) {
            step();
            check();
        }
        at_.talk.fail_all(error(errc::closed));
        for (auto& [id, each] : all_) {
            if (!each.is_done) {
                expect(failed(id, errc::closed, fate_of(each)));
            }
        }
        check();
        CHECK(at_.talk.pending() == 0);
        CHECK(std::ranges::all_of(all_, [](const auto& each) { return each.second.is_done; }));
    }

private:
    std::uint64_t below(std::uint64_t n) { return random_() % n; }

    void step()
    {
        switch (below(16)) {
        case 0:
        case 1:
        case 2:
        case 3: submit(); break;
        case 4:
        case 5:
        case 6: stage(); break;
        case 7:
        case 8: write_some(); break;
        case 9:
        case 10:
        case 11:
        case 12: reply(); break;
        case 13: abandon(); break;
        case 14:
            at_.talk.queue_ping();
            if (below(4) == 0) {
                reply_badly();
            }
            break;
        default:
            if (below(6) == 0) {
                lose();
            }
        }
    }

    void submit()
    {
        const int id = next_id_++;
        known& made = all_[id];
        made.mutates = below(2) == 0;
        made.fail_fast = below(8) == 0;
        auto& what = at_.make(id, made.mutates ? op_code::set_data : op_code::get_data,
                              made.mutates, std::to_string(id));
        what.fail_fast = made.fail_fast;
        made.which = at_.talk.submit(what);
    }

    void stage()
    {
        for (const sent& each : at_.stage(below(200))) {
            if (each.op == op_code::ping) {
                continue;
            }
            const int id = std::stoi(each.body);
            known& what = all_.at(id);
            REQUIRE(!what.is_done);
            REQUIRE(!what.is_staged);
            // A write that has left completely never leaves again.
            REQUIRE((!what.mutates || what.times_written == 0));
            REQUIRE(id > last_staged_);
            REQUIRE(each.xid >= wire::first_xid);
            last_staged_ = id;
            what.is_staged = true;
            what.end = each.end;
            ++what.times_staged;
            line_.push_back({id, each.xid, each.end});
        }
    }

    void write_some()
    {
        const std::size_t left = at_.wire.size() - at_.flushed;
        const std::size_t before = at_.flushed;
        at_.flush_to(before + below(left + 1));
        for (auto& [id, each] : all_) {
            if (each.is_staged && each.end > before && each.end <= at_.flushed) {
                ++each.times_written;
            }
        }
    }

    /// The server answers the first in line, once it has received it.
    void reply()
    {
        if (line_.empty() || line_.front().end > at_.flushed) {
            return;
        }
        const on_wire first = line_.front();
        line_.pop_front();
        const std::int32_t err = below(3) == 0 ? -101 : 0;
        const std::string body = "answer " + std::to_string(first.id);
        zxid_ += static_cast<std::int64_t>(below(3));
        const bool is_tomb = all_.at(first.id).is_done;
        REQUIRE(at_.receive(reply_of(first.xid, zxid_, err, body)) == std::nullopt);
        if (!is_tomb) {
            expect(replied(first.id, body, err));
        }
        REQUIRE(at_.talk.last_zxid() == zxid_);
    }

    /// Any xid but the one that is due is refused, and nobody hears of it.
    void reply_badly()
    {
        const auto xid = static_cast<std::int32_t>(below(wire::last_xid)) + 1;
        if (!line_.empty() && line_.front().xid == xid) {
            return;
        }
        REQUIRE(at_.receive(reply_of(xid, zxid_ + 100)) == errc::malformed_reply);
        lose();
    }

    void abandon()
    {
        if (next_id_ == 0) {
            return;
        }
        // Mostly a recent one: old ones are done.
        const int id = next_id_ - 1 -
                       static_cast<int>(below(
                           std::min<std::uint64_t>(static_cast<std::uint64_t>(next_id_), 30)));
        known& what = all_.at(id);
        const bool was_open = !what.is_done;
        fate expected = fate_of(what);
        if (what.is_staged && what.mutates) {
            expected = fate::maybe_applied;
        }
        if (was_open) {
            expect(failed(id, errc::cancelled, expected));
        }
        REQUIRE(at_.talk.abandon(what.which, errc::cancelled) == was_open);
    }

    void lose()
    {
        for (auto& [id, each] : all_) {
            const fate f = fate_of(each);
            if (!each.is_done && (f == fate::maybe_applied || each.fail_fast)) {
                expect(failed(id, errc::connection_loss, f));
            }
            each.is_staged = false;
        }
        line_.clear();
        last_staged_ = -1;
        at_.lose();
        at_.connect();
    }

    fate fate_of(const known& what) const
    {
        if (!what.is_staged) {
            return fate::not_sent;
        }
        if (!what.mutates) {
            return fate::not_applied;
        }
        return what.end <= at_.flushed ? fate::maybe_applied : fate::not_sent;
    }

    void expect(ending how)
    {
        known& what = all_.at(how.id);
        REQUIRE(!what.is_done);
        what.is_done = true;
        expected_.push_back(std::move(how));
    }

    void check()
    {
        REQUIRE(at_.ended() == expected_);
        expected_.clear();
        std::size_t waiting = 0;
        for (auto it = all_.rbegin(); it != all_.rend() && !it->second.is_staged; ++it) {
            waiting += it->second.is_done ? 0 : 1;
        }
        REQUIRE(at_.talk.state_of(0) == request_state::done);
        if (!all_.empty()) {
            check_state(all_.rbegin()->second);
        }
        // The old ones are of no more interest, and the model must stay fast.
        while (all_.size() > 200 && all_.begin()->second.is_done) {
            all_.erase(all_.begin());
        }
        REQUIRE((waiting == 0 || at_.talk.has_output()));
    }

    void check_state(const known& what) const
    {
        const auto state = at_.talk.state_of(what.which);
        if (what.is_done) {
            REQUIRE((state == request_state::done || state == request_state::abandoned));
        } else if (!what.is_staged) {
            REQUIRE(state == request_state::waiting);
        } else {
            REQUIRE(state ==
                    (what.end <= at_.flushed ? request_state::written : request_state::staged));
        }
    }

    seeded_random random_;
    bench at_;
    std::map<int, known> all_;
    std::deque<on_wire> line_;  // replies due, in order
    endings expected_;
    int next_id_ = 0;
    int last_staged_ = -1;
    std::int64_t zxid_ = 0;
};

}  // namespace

TEST_CASE("every request ends once, in order, with the fate that the bytes give it",
          "[S2][T11][T45][C66]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        model(seed).run(1'000);
    }
    model(4711).run(20'000);
}
