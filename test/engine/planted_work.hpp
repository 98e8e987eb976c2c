// Two more applications with bugs planted in them: a counter and a queue, where a lost answer is
// the difference between once and twice.
#pragma once

#include "planted_stage.hpp"

#include <coati/op.hpp>

#include <algorithm>
#include <map>

namespace coati::test::planted {

// --- increments that count once each -------------------------------------------------------------

enum class counter_bug {
    none,
    replays,              ///< A lost answer: the increment is made again.
    compares_nothing,     ///< Sets whatever the version.
    takes_any_answer,     ///< An error is as good as success.
    skips_conflicts,      ///< Somebody else was faster: never mind.
    writes_in_two_steps,  ///< The counter first, the ledger behind it.
    trusts_its_memory,    ///< How far it got is not in ZooKeeper.
};

struct counter {
    counter_bug bug;
    int steps;
    std::string ledger;
    int remembered = 0;

    task body(client zk)
    {
        const bool by_memory = bug == counter_bug::trusts_its_memory || bug == counter_bug::replays;
        for (;;) {
            auto book = co_await zk.get(ledger);
            auto total = co_await zk.get("/counter");
            const bool is_read = book && total;
            if (!is_read) {
                const error why = book ? total.error() : book.error();
                if (why.retryable()) {
                    continue;
                }
                co_return why;
            }
            const int done = by_memory ? remembered : std::stoi(book->data);
            if (done == steps) {
                co_return co_await zk.sleep_for(24h);
            }
            auto written = co_await write(zk, *book, *total, done);
            const bool counts =
                written || bug == counter_bug::takes_any_answer ||
                (bug == counter_bug::skips_conflicts && written.error() == errc::bad_version);
            if (counts) {
                remembered = done + 1;
                if (!written && !by_memory) {
                    co_await zk.set(ledger, std::to_string(done + 1));
                }
            } else if (!written.error().retryable() && written.error() != errc::bad_version) {
                co_return written.error();
            }
            BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(100ms));
        }
    }

private:
    task write(client zk, get_result book, get_result total, int done)
    {
        const std::string next = std::to_string(std::stoi(total.data) + 1);
        const std::string mark = std::to_string(done + 1);
        if (bug == counter_bug::compares_nothing) {
            BOOST_OUTCOME_CO_TRY(
                co_await zk.multi(op::set("/counter", next), op::set(ledger, mark)));
            co_return success();
        }
        if (bug == counter_bug::writes_in_two_steps) {
            BOOST_OUTCOME_CO_TRY(co_await zk.set("/counter", next, total.stat.version));
            BOOST_OUTCOME_CO_TRY(co_await zk.set(ledger, mark, book.stat.version));
            co_return success();
        }
        auto both = zk.multi(op::set("/counter", next, total.stat.version),
                             op::set(ledger, mark, book.stat.version));
        BOOST_OUTCOME_CO_TRY(co_await std::move(both));
        co_return success();
    }
};

// --- a queue whose items are worked on once ------------------------------------------------------

enum class worker_bug {
    none,
    works_first,      ///< Works, then removes.
    missing_is_mine,  ///< Gone already: "I must have removed it".
    loss_is_success,  ///< A lost answer is taken for a good one.
    watches_once,     ///< Looks again only for as long as the first watch lives.
};

struct worker {
    worker_bug bug;
    std::string name;
    std::map<std::string, int>* worked;

    task body(client zk)
    {
        bool has_watched = false;
        for (;;) {
            auto all = co_await zk.children_and_watch("/queue");
            if (!all && all.error().retryable()) {
                continue;
            }
            if (!all) {
                co_return all.error();
            }
            if (!all->names.empty()) {
                const auto first = *std::min_element(all->names.begin(), all->names.end());
                BOOST_OUTCOME_CO_TRY(co_await take(zk, first));
            } else if (bug == worker_bug::watches_once && std::exchange(has_watched, true)) {
                co_return co_await zk.sleep_for(24h);
            } else {
                BOOST_OUTCOME_CO_TRY(co_await all->watch.next());
            }
        }
    }

private:
    task take(client zk, std::string item)
    {
        if (bug == worker_bug::works_first) {
            ++(*worked)[item];
            BOOST_OUTCOME_CO_TRY(co_await zk.sleep_for(20ms));
        }
        auto taken =
            co_await zk.multi(op::remove("/queue/" + item), op::create("/done/" + item, name));
        if (taken) {
            co_return finish(item);
        }
        const error why = taken.error();
        if (why == errc::no_node) {
            co_return bug == worker_bug::missing_is_mine ? finish(item) : success();
        }
        if (!why.retryable()) {
            co_return why;
        }
        if (bug == worker_bug::loss_is_success) {
            co_return finish(item);
        }
        for (;;) {
            auto done = co_await zk.get("/done/" + item);
            if (done) {
                co_return done->data == name ? finish(item) : success();
            }
            if (!done.error().retryable()) {
                co_return done.error() == errc::no_node ? result<void>(success())
                                                        : result<void>(done.error());
            }
        }
    }

    result<void> finish(const std::string& item)
    {
        if (bug != worker_bug::works_first) {
            ++(*worked)[item];
        }
        return success();
    }
};

}  // namespace coati::test::planted
