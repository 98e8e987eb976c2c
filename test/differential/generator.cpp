// Which steps a seed stands for: small trees, so that requests meet, and every kind of nonsense.
#include "sequence.hpp"

#include <coati/wire/op_code.hpp>

#include <algorithm>
#include <string_view>

namespace coati::differential {

using wire::op_code;

namespace {

constexpr std::size_t requests_a_round = 300;

// A dozen paths of which most exist at some time. The numbered ones are what sequential creates
// make.
constexpr std::array<std::string_view, 14> usual_paths{
    "~/a",
    "~/a",
    "~/b",
    "~/a/b",
    "~/a/c",
    "~/a/b/c",
    "~/d",
    "~/d/e",
    "~",
    "~/\xc3\xa9",
    "~/s0000000000",
    "~/s0000000003",
    "~/a/s0000000001",
    "~/b/\xe4\xb8\xad",
};

constexpr std::array<std::string_view, 29> odd_paths{
    "",
    "/",
    "//",
    "~/",
    "~/a/",
    "~/a//b",
    "~//",
    "relative",
    "relative/b",
    "~/a/./b",
    "~/a/../b",
    "~/.",
    "~/..",
    "~/a/...",
    std::string_view("~/a\0b", 5),
    "~/\x01",
    "~/\x7f",
    "~/\xc2\x85",
    "~/\xf0\x9f\x98\x80",
    "~/\xee\x80\x80",
    "~/\xef\xbf\xb0",
    "~/bad\xff",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota",
    "/zookeeper/new",
    "/zookeeper/quota/q",
    "/missing/child",
    "/top",
};

constexpr std::array<std::int32_t, 12> versions{-1, -1, -1, -1, 0, 0, 0, 1, 1, 2, 3, -2};
constexpr std::array<std::int32_t, 14> create_flags{0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7};
constexpr std::array<std::int64_t, 6> ttls{3'600'000, 3'600'000,         0,
                                           -1,        1'099'511'627'775, 1'099'511'627'776};

class generator {
public:
    explicit generator(std::uint64_t seed) : random_(seed) {}

    sequence make()
    {
        sequence all;
        for (std::size_t slot = 0; slot < slots; ++slot) {
            all.push_back({step::kind::open, slot});
        }
        for (std::size_t made = 0; made < requests_a_round;) {
            all.push_back(make_step());
            made += all.back().requests.size();
            become_another(all);
            come_back(all);
        }
        return all;
    }

private:
    /// Who has lost the session, or the connection, is mostly there again soon: the rest of the
    /// round would be short otherwise.
    void come_back(sequence& all)
    {
        const step& last = all.back();
        const bool may_end = !last.requests.empty() && may_end_connection(last.requests.back());
        if ((!may_end && last.what == step::kind::batch) || random_.chance(20)) {
            return;
        }
        const std::size_t slot = last.slot;
        all.push_back({step::kind::open, slot});  // skipped where there is a session
        all.push_back({step::kind::resume, slot});
        all.back().only_if_gone = true;
    }

    /// Who proves one identity often proves a second one.
    void become_another(sequence& all)
    {
        const step& last = all.back();
        const auto op = static_cast<std::int32_t>(op_code::auth);
        if (!last.requests.empty() && last.requests.back().op == op && random_.chance(60)) {
            all.push_back({step::kind::batch, last.slot, {}, {auth()}});
        }
    }

    step make_step()
    {
        step s;
        s.slot = random_.below(slots);
        if (random_.chance(92)) {
            make_batch(s);
            return s;
        }
        constexpr std::array kinds{step::kind::open, step::kind::resume, step::kind::resume,
                                   step::kind::resume, step::kind::drop};
        s.what = random_.pick(kinds);
        s.hello = hello(s.what);
        return s;
    }

    greeting hello(step::kind what)
    {
        greeting g;
        if (random_.chance(70)) {
            g.last_zxid = what == step::kind::open ? greeting::zxid::none : greeting::zxid::seen;
        } else {
            constexpr std::array all{greeting::zxid::none, greeting::zxid::seen,
                                     greeting::zxid::negative, greeting::zxid::future};
            g.last_zxid = random_.pick(all);
        }
        if (random_.chance(20)) {
            constexpr std::array all{greeting::password::wrong, greeting::password::too_long,
                                     greeting::password::empty};
            g.with = random_.pick(all);
        }
        constexpr std::array timeouts{10'000, 10'000, 20'000, 1, -5, 1'000'000'000};
        g.timeout_ms = random_.pick(timeouts);
        g.has_flag = !random_.chance(10);
        g.read_only = g.has_flag && random_.chance(10);
        return g;
    }

    void make_batch(step& s)
    {
        const std::size_t size = random_.chance(25) ? 1 : 1 + random_.below(10);
        while (s.requests.size() < size) {
            request r = make_request();
            if (may_end_connection(r)) {
                // It ends a batch; and what a server does not know, or authenticates, overtakes.
                if (r.op != static_cast<std::int32_t>(op_code::close_session)) {
                    s.requests.clear();
                }
                s.requests.push_back(std::move(r));
                return;
            }
            s.requests.push_back(std::move(r));
            if (leaves_traces_in_pipeline(s.requests.back())) {
                return;
            }
        }
    }

    /// What the requests behind it may see or not, as the threads of a real server have it: the
    /// new list of a setACL counts once it is applied, a multi that fails with -5 half way leaves
    /// what it had prepared until its own error is applied, and an ephemeral container is
    /// ephemeral until it is there.
    static bool leaves_traces_in_pipeline(const request& r)
    {
        const auto has_ttl_flags = [](const request& part) {
            return part.op != static_cast<std::int32_t>(op_code::create_ttl) &&
                   (part.number == 5 || part.number == 6);
        };
        const bool is_ephemeral_container =
            r.op == static_cast<std::int32_t>(op_code::create_container) &&
            (r.number == 1 || r.number == 3);
        return r.op == static_cast<std::int32_t>(op_code::set_acl) || is_ephemeral_container ||
               std::any_of(r.parts.begin(), r.parts.end(), has_ttl_flags);
    }

    std::string path()
    {
        return std::string(random_.chance(90) ? random_.pick(usual_paths)
                                              : random_.pick(odd_paths));
    }

    wire::nullable<std::string> data()
    {
        switch (random_.below(4)) {
        case 0: return wire::nullable<std::string>::null();
        case 1: return {};
        default: return {std::string(1 + random_.below(20), 'x')};
        }
    }

    std::size_t acls()
    {
        constexpr std::size_t lists = 25;
        constexpr std::array<std::size_t, 3> of_the_scheme_auth{3, 11, 24};
        if (random_.chance(10)) {
            return random_.pick(of_the_scheme_auth);
        }
        return random_.chance(75) ? 0 : random_.below(lists);
    }

    std::int32_t version()
    {
        constexpr std::array<std::int32_t, 3> far{-2147483647 - 1, 2147483647, -7};
        return random_.chance(97) ? random_.pick(versions) : random_.pick(far);
    }

    request create(op_code op)
    {
        request r{.op = static_cast<std::int32_t>(op)};
        r.path = path();
        r.data = data();
        r.acls = acls();
        r.number = random_.pick(create_flags);
        if (random_.chance(3)) {
            constexpr std::array<std::int32_t, 4> bad{-1, 8, 100, 2147483647};
            r.number = random_.pick(bad);
        }
        if (op == op_code::create_container) {
            r.number = random_.chance(80) ? 4 : r.number;
        } else if (op == op_code::create_ttl) {
            r.number =
                random_.chance(80) ? 5 + static_cast<std::int32_t>(random_.below(2)) : r.number;
            r.ttl_ms = random_.pick(ttls);
            // Without a TTL flag a negative ttl is let through, and stops a real server.
            r.ttl_ms = r.number == 5 || r.number == 6 || r.ttl_ms >= 0 ? r.ttl_ms : 0;
        } else if (r.number >= 4 && random_.chance(70)) {
            r.number = 0;
        }
        // A name in front of the number, or none.
        if ((r.number == 2 || r.number == 3 || r.number == 6) && random_.chance(80)) {
            constexpr std::array<std::string_view, 5> stems{"~/s", "~/s", "~/a/s", "~/a/", "~/"};
            r.path = random_.pick(stems);
        }
        return r;
    }

    request on_path(op_code op)
    {
        request r{.op = static_cast<std::int32_t>(op)};
        r.path = path();
        r.version = version();
        r.watch = random_.chance(50);
        return r;
    }

    request write()
    {
        switch (random_.below(10)) {
        case 0:
        case 1:
        case 2: return create(op_code::create);
        case 3:
        case 4: return create(op_code::create2);
        case 5: return create(random_.chance(50) ? op_code::create_container : op_code::create_ttl);
        case 6:
        case 7: return on_path(op_code::remove);
        default: {
            request r = on_path(op_code::set_data);
            r.data = data();
            return r;
        }
        }
    }

    request read()
    {
        constexpr std::array ops{op_code::exists,        op_code::exists,
                                 op_code::get_data,      op_code::get_data,
                                 op_code::get_children,  op_code::get_children2,
                                 op_code::get_children2, op_code::get_acl};
        return on_path(random_.pick(ops));
    }

    request watch()
    {
        constexpr std::array ops{op_code::add_watch, op_code::add_watch, op_code::check_watches,
                                 op_code::remove_watches};
        request r = on_path(random_.pick(ops));
        const bool adds = r.op == static_cast<std::int32_t>(op_code::add_watch);
        r.number = static_cast<std::int32_t>(adds ? random_.below(2) : 1 + random_.below(5));
        if (random_.chance(4)) {
            constexpr std::array<std::int32_t, 5> bad{-1, 2, 0, 6, 100};
            r.number = random_.pick(bad);
        }
        return r;
    }

    request set_watches()
    {
        request r{.op = static_cast<std::int32_t>(random_.chance(50) ? op_code::set_watches
                                                                     : op_code::set_watches2)};
        r.behind = static_cast<std::int64_t>(random_.below(40));
        for (auto& list : r.paths) {
            for (std::size_t n = random_.below(3); n > 0; --n) {
                list.push_back(path());
            }
        }
        return r;
    }

    request multi()
    {
        request r{.op = static_cast<std::int32_t>(op_code::multi)};
        for (std::size_t n = random_.below(5); n > 0; --n) {
            if (random_.chance(25)) {
                r.parts.push_back(on_path(op_code::check));
            } else if (random_.chance(2)) {
                r.parts.push_back(random_.chance(50) ? read() : set_acl());
            } else {
                r.parts.push_back(write());
            }
        }
        return r;
    }

    request multi_read()
    {
        request r{.op = static_cast<std::int32_t>(op_code::multi_read)};
        for (std::size_t n = random_.below(5); n > 0; --n) {
            r.parts.push_back(
                on_path(random_.chance(50) ? op_code::get_data : op_code::get_children));
        }
        if (random_.chance(4)) {
            r.parts.push_back(random_.chance(50) ? write() : on_path(op_code::exists));
        }
        return r;
    }

    request set_acl()
    {
        request r = on_path(op_code::set_acl);
        constexpr std::size_t lists = 25;
        r.acls = random_.chance(50) ? 0 : random_.below(lists);
        return r;
    }

    request auth()
    {
        constexpr std::array<std::string_view, 8> known{
            "ua:pa", "ua:pa", "ub:pb", "ub:pb", "ua:no", "", "nocolon", "super:secret"};
        constexpr std::array<std::string_view, 4> others{"nonsense", "world", "ip", "auth"};
        request r{.op = static_cast<std::int32_t>(op_code::auth)};
        r.scheme = "digest";
        r.credentials = random_.pick(known);
        if (random_.chance(10)) {
            r.scheme = random_.pick(others);
        }
        r.xid = -4;
        return r;
    }

    request rare()
    {
        constexpr std::array<std::int32_t, 6> unknown{10, 23, 99, 200, 0, -1};
        switch (random_.below(12)) {
        case 0: return {.op = random_.pick(unknown)};
        case 1:
        case 2: return {.op = static_cast<std::int32_t>(op_code::close_session)};
        case 3: return on_path(op_code::check);
        case 4: {
            request r{.op = static_cast<std::int32_t>(op_code::reconfig)};
            r.data = data();
            return r;
        }
        case 5:
        case 6: return {.op = static_cast<std::int32_t>(op_code::ping), .xid = -2};
        case 7:
        case 8: return {.op = static_cast<std::int32_t>(op_code::who_am_i)};
        default: return auth();
        }
    }

    request any()
    {
        switch (random_.below(20)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5: return write();
        case 6:
        case 7:
        case 8:
        case 9: return read();
        case 10:
        case 11: return watch();
        case 12: return set_watches();
        case 13:
        case 14: return multi();
        case 15: return multi_read();
        case 16: return set_acl();
        case 17:
            return on_path(random_.chance(50) ? op_code::get_ephemerals
                                              : op_code::get_all_children_number);
        case 18: return random_.chance(50) ? on_path(op_code::sync) : write();
        default: return rare();
        }
    }

    request make_request()
    {
        request r = any();
        if (random_.chance(2) && !may_end_connection(r)) {
            constexpr std::array<std::int32_t, 4> xids{0, -8, -2147483647 - 1, 2147483647};
            r.xid = random_.pick(xids);
        }
        if (!random_.chance(3)) {
            return r;
        }
        if (may_end_connection(r) || r.op == static_cast<std::int32_t>(op_code::ping)) {
            return r;
        }
        constexpr std::array all{mangling::cut, mangling::cut, mangling::null_path,
                                 mangling::null_acls, mangling::more_behind};
        r.wrong = random_.pick(all);
        r.cut = 1 + random_.below(12);
        // A real server cannot let go of a connection that watches null.
        const bool has_path =
            !r.path.empty() && r.op != static_cast<std::int32_t>(op_code::add_watch);
        if (r.wrong == mangling::null_path && !has_path) {
            r.wrong = mangling::none;
        }
        return r;
    }

    randomness random_;
};

}  // namespace

sequence make_round(std::uint64_t seed)
{
    return generator(seed).make();
}

}  // namespace coati::differential
