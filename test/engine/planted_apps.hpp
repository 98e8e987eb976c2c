// Small applications, as people write them, each right in one way and wrong in several.
//
// Every one has a list of its bugs; `none` is the right one. A session's body is started anew in
// each session (supervise); members that must not outlive a process are made anew with it.
#pragma once

#include "planted_stage.hpp"

#include <coati/convenience.hpp>
#include <coati/op.hpp>
#include <coati/states.hpp>
#include <coati/watch_stream.hpp>

#include <algorithm>

namespace coati::test::planted {

// --- a registration: present once, as long as its process lives ----------------------------------

enum class registration_bug {
    none,
    ignores_expiry,    ///< Registers in the first session only.
    takes_leftovers,   ///< "It exists" is taken for "I am registered".
    gives_up_on_loss,  ///< A lost connection while registering is the end of it.
    is_persistent,     ///< Not an ephemeral: nobody ever cleans up.
    registers_again,   ///< Once more with every connection, under a new name.
};

struct registration {
    registration_bug bug;
    std::string path;
    bool is_first = true;

    task body(client zk)
    {
        const bool again = std::exchange(is_first, false);
        if (bug == registration_bug::ignores_expiry && !again) {
            co_return co_await zk.sleep_for(24h);
        }
        if (bug == registration_bug::registers_again) {
            co_return co_await with_every_connection(zk);
        }
        BOOST_OUTCOME_CO_TRY(co_await once(zk));
        co_return co_await zk.sleep_for(24h);
    }

private:
    task with_every_connection(client zk)
    {
        auto states = zk.states();
        for (;;) {
            BOOST_OUTCOME_CO_TRY(auto now, co_await states.next());
            if (now.state == session_state::connected) {
                co_await zk.create(path + "-", "", create_mode::ephemeral_sequential);
            }
        }
    }

    task once(client zk)
    {
        const auto mode = bug == registration_bug::is_persistent ? create_mode::persistent
                                                                 : create_mode::ephemeral;
        for (;;) {
            auto made = co_await zk.create(path, "", mode);
            if (made || bug == registration_bug::gives_up_on_loss) {
                co_return success();
            }
            if (made.error() == errc::node_exists) {
                const bool is_done = bug == registration_bug::takes_leftovers ||
                                     bug == registration_bug::is_persistent;
                if (is_done) {
                    co_return success();
                }
                auto there = co_await zk.get(path);
                if (there && there->stat.ephemeral_owner == zk.session().id) {
                    co_return success();  // an answer was lost
                }
                BOOST_OUTCOME_CO_TRY(co_await wait_until_gone(zk, path));
            } else if (!made.error().retryable()) {
                co_return made.error();
            }
        }
    }
};

// --- a leader that writes to a store outside -----------------------------------------------------

/// The store: it takes what has the newest fence, and remembers what it should not have taken.
struct store {
    std::int64_t newest = -1;
    std::size_t writes = 0;
    time_point last{};
    bool is_broken = false;
    bool had_two = false;  // it refused somebody whose session lives: who has led behind its back?
    std::function<bool(std::int64_t)> lives{};

    bool write(std::int64_t fence, bool is_checked, std::int64_t session, time_point now)
    {
        if (fence < newest && is_checked) {
            had_two = had_two || lives(session);
            return false;
        }
        is_broken = is_broken || fence < newest;
        newest = std::max(newest, fence);
        ++writes;
        last = now;
        return true;
    }
};

enum class leader_bug {
    none,
    has_no_fence,      ///< The store does not ask for the fence.
    leaves_orphans,    ///< A lost answer to the create, and a second candidate of its own.
    sorts_by_name,     ///< Of protected names the random part comes first.
    watches_the_last,  ///< Not its predecessor: nobody wakes it up.
    does_not_look,     ///< A predecessor is gone, so it must be the first.
    cleans_up,         ///< Removes what it finds when it starts.
    leads_for_ever,    ///< Goes on in its old thread of control when the session is over.
};

struct candidate {
    leader_bug bug;
    store* outside;
    world* in;
    bool leads_still = false;
    std::string own_name{};  // of the wrong ones, which know no guid

    task body(client zk)
    {
        if (bug == leader_bug::cleans_up) {
            auto all = co_await zk.children("/lead");
            for (std::size_t i = 0; all && i < all->names.size(); ++i) {
                co_await zk.remove("/lead/" + all->names[i]);
            }
        }
        for (;;) {
            BOOST_OUTCOME_CO_TRY(co_await contend(zk));
        }
    }

private:
    /// Until it has led and was told to stop.
    task contend(client zk)
    {
        const std::string guid = make_guid(zk);
        for (;;) {
            BOOST_OUTCOME_CO_TRY(auto all, co_await zk.children("/lead"));
            std::sort(all.names.begin(), all.names.end(),
                      [this](const auto& a, const auto& b) { return rank(a) < rank(b); });
            const auto mine = co_await own(zk, all.names, guid);
            if (!mine) {
                if (mine.error().retryable() || mine.error() == errc::node_exists) {
                    continue;
                }
                co_return mine.error();
            }
            if (mine->empty()) {
                continue;  // made just now: look again
            }
            if (*mine == all.names.front()) {
                co_return co_await lead(zk, *mine);
            }
            BOOST_OUTCOME_CO_TRY(co_await wait_for_turn(zk, all.names, *mine));
            if (bug == leader_bug::does_not_look) {
                co_return co_await lead(zk, *mine);
            }
        }
    }

    std::string rank(std::string_view name) const
    {
        return std::string(bug == leader_bug::sorts_by_name ? name : unprotected(name));
    }
    static std::int64_t number_of(std::string_view name)
    {
        return std::stoll(std::string(name.substr(name.size() - 10)));
    }

    /// Its own name; empty when it has been made just now.
    asio::awaitable<result<std::string>> own(client zk, std::vector<std::string> all,
                                             std::string guid)
    {
        std::string found;
        for (const auto& name : all) {
            if (is_protected_by(name, guid) && bug != leader_bug::leaves_orphans) {
                if (found.empty()) {
                    found = name;
                } else {
                    co_await zk.remove("/lead/" + name);  // the late twin of a lost answer
                }
            }
        }
        if (bug == leader_bug::leaves_orphans) {
            if (!own_name.empty() && std::count(all.begin(), all.end(), own_name) != 0) {
                co_return own_name;
            }
            BOOST_OUTCOME_CO_TRY(
                auto made, co_await zk.create("/lead/c-", "", create_mode::ephemeral_sequential));
            own_name = made.path.substr(made.path.rfind('/') + 1);
            co_return std::string();
        }
        if (found.empty()) {
            BOOST_OUTCOME_CO_TRY(co_await create_protected(
                zk, "/lead/c-", "", create_mode::ephemeral_sequential, {}, guid));
        }
        co_return found;
    }

    task wait_for_turn(client zk, std::vector<std::string> all, std::string mine)
    {
        const auto at = std::find(all.begin(), all.end(), mine);
        const std::string& before =
            bug == leader_bug::watches_the_last && mine != all.back() ? all.back() : *(at - 1);
        auto there = co_await zk.exists_and_watch("/lead/" + before);
        if (!there) {
            if (there.error().retryable()) {
                co_return success();
            }
            co_return there.error();
        }
        if (there->stat) {
            BOOST_OUTCOME_CO_TRY(co_await there->watch.next());
        }
        co_return success();
    }

    task lead(client zk, std::string mine)
    {
        const auto fence = number_of(mine);
        const bool is_checked = bug != leader_bug::has_no_fence;
        if (bug == leader_bug::leads_for_ever && !std::exchange(leads_still, true)) {
            in->spawn(lead_on(outside, in, fence));
        }
        while (outside->write(fence, is_checked, zk.session().id, zk.now())) {
            BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(300ms));
        }
        for (;;) {
            auto resigned = co_await zk.remove("/lead/" + mine);
            if (resigned || resigned.error() == errc::no_node) {
                co_return success();
            }
            if (!resigned.error().retryable()) {
                co_return resigned.error();
            }
        }
    }

    static asio::awaitable<void> lead_on(store* to, world* in, std::int64_t fence)
    {
        for (int i = 0; i < 200; ++i) {
            to->write(fence, false, 0, in->now());
            co_await in->sleep_for(300ms);
        }
    }
};

// --- a reader of one setting ---------------------------------------------------------------------

enum class reader_bug {
    none,
    arms_too_late,      ///< Reads, then does something else, then arms the watch.
    arms_once,          ///< One-shot, and never again.
    forgets_on_expiry,  ///< Watches in the first session only.
    ends_on_removal,    ///< No znode, no more interest.
    skips_gaps,         ///< A stream's gap is taken for nothing.
    counts_events,      ///< Each event is one more version.
};

struct reader {
    reader_bug bug;
    std::shared_ptr<std::string> copy;
    int sessions = 0;

    task body(client zk)
    {
        ++sessions;
        if (bug == reader_bug::skips_gaps || bug == reader_bug::counts_events) {
            co_return co_await by_stream(zk);
        }
        for (;;) {
            auto read = co_await zk.get_and_watch("/setting");
            if (read) {
                *copy = read->data;
                if (bug == reader_bug::arms_once ||
                    (bug == reader_bug::forgets_on_expiry && sessions > 1)) {
                    co_return co_await zk.sleep_for(24h);
                }
                BOOST_OUTCOME_CO_TRY(co_await wait(zk, std::move(read->watch)));
            } else if (read.error() == errc::no_node) {
                copy->clear();
                if (bug == reader_bug::ends_on_removal) {
                    co_return co_await zk.sleep_for(24h);
                }
                BOOST_OUTCOME_CO_TRY(co_await wait_until_exists(zk, "/setting"));
            } else if (!read.error().retryable()) {
                co_return read.error();
            }
        }
    }

private:
    task wait(client zk, watch armed)
    {
        if (bug == reader_bug::arms_too_late) {
            {
                const watch dropped = std::move(armed);
            }
            BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(200ms));
            BOOST_OUTCOME_CO_TRY(auto again, co_await zk.exists_and_watch("/setting"));
            armed = std::move(again.watch);
        }
        BOOST_OUTCOME_CO_TRY(co_await armed.next());
        co_return success();
    }

    task by_stream(client zk)
    {
        BOOST_OUTCOME_CO_TRY(auto changes, co_await zk.watch("/setting", watch_mode::persistent));
        auto first = co_await zk.get("/setting");
        if (first) {
            *copy = first->data;
        }
        for (;;) {
            BOOST_OUTCOME_CO_TRY(auto event, co_await changes.next());
            if (event.is_gap() && bug == reader_bug::skips_gaps) {
                continue;
            }
            if (event.type == event_type::data_changed && bug == reader_bug::counts_events) {
                *copy = std::to_string(std::stoi("0" + *copy) + 1);
                continue;
            }
            auto now = co_await zk.get("/setting");
            if (now) {
                *copy = now->data;
            }
        }
    }
};

}  // namespace coati::test::planted
