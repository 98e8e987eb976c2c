// A group of masters that contend for one leadership: real processes, each behind proxies of its
// own, the faults that the one that leads is given, and how long the others take to take over.
//
// A state machine that is stepped, so that many groups go on at once on one thread.
#pragma once

#include "record.hpp"

#include "support/byte_proxy.hpp"
#include "support/ensemble.hpp"
#include "support/process.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace coati::test::handover {

constexpr std::int64_t ms = 1'000'000;  // in nanoseconds

struct group_options {
    std::string folder;             ///< In the ensemble, and the name of the record.
    std::filesystem::path records;  ///< Where the record is.
    int masters = 2;
    int hand_overs = 10;
    int timeout_ms = 1'000;
    std::uint64_t seed = 1;
    bool reckless = false;
    /// How many contend for the leadership, by the ensemble.
    std::function<std::size_t(const std::string& folder)> contenders;
};

/// A process and the wires it hangs on.
class one_master {
public:
    one_master(const ensemble& servers, std::string name, const group_options& of)
        : name_(std::move(name)), of_(of)
    {
        for (int i = 0; i < servers.size(); ++i) {
            wires_.push_back(std::make_unique<byte_proxy>(servers.client_port(i)));
        }
    }
    ~one_master() { kill(); }
    one_master(const one_master&) = delete;
    one_master& operator=(const one_master&) = delete;

    int pid() const { return pid_; }
    const std::string& name() const { return name_; }

    void start()
    {
        std::string connect;
        for (const auto& wire : wires_) {
            connect += (connect.empty() ? "" : ",") + wire->connect_string();
        }
        spawn_options how;
        how.command = {COATI_MASTER,
                       connect,
                       name_,
                       of_.folder,
                       record(of_).string(),
                       std::to_string(of_.timeout_ms)};
        if (of_.reckless) {
            how.command.emplace_back("reckless");
        }
        pid_ = spawn(how);
    }
    void kill()
    {
        if (const int last = std::exchange(pid_, -1); last > 0) {
            ::kill(last, SIGKILL);
            ::waitpid(last, nullptr, 0);
        }
    }
    /// True while it stands still only when the signal has been taken.
    void stop() const
    {
        ::kill(pid_, SIGSTOP);
        ::waitpid(pid_, nullptr, WUNTRACED);
    }
    void go_on() const { ::kill(pid_, SIGCONT); }
    /// It has ended without being told to.
    bool has_failed()
    {
        return pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_ && (pid_ = -1, true);
    }
    void each_wire(const std::function<void(byte_proxy&)>& what)
    {
        for (const auto& wire : wires_) {
            what(*wire);
        }
    }

    static std::filesystem::path record(const group_options& of)
    {
        return of.records / (of.folder.substr(1) + ".record");
    }

private:
    std::string name_;
    const group_options& of_;
    std::vector<std::unique_ptr<byte_proxy>> wires_;
    int pid_ = -1;
};

class group {
public:
    group(const ensemble& servers, group_options how) : how_(std::move(how)), random_(how_.seed)
    {
        std::ofstream(one_master::record(how_)).flush();
        reader_.emplace(one_master::record(how_).string());
        for (int i = 0; i < how_.masters; ++i) {
            masters_.push_back(
                std::make_unique<one_master>(servers, "m" + std::to_string(i), how_));
            masters_.back()->start();
        }
        enter(phase::settling);
    }
    group(const group&) = delete;
    group& operator=(const group&) = delete;

    bool is_done() const { return is_done_; }
    /// Faults that led to another master, each with the nanoseconds from the fault to its first
    /// step.
    const std::vector<std::pair<std::string, std::int64_t>>& hand_overs() const { return taken_; }
    int rides() const { return rides_; }
    const std::string& folder() const { return how_.folder; }

    /// All that is wrong by the record.
    std::vector<std::string> judged()
    {
        read_record();
        return judge(steps_, faults_, how_.timeout_ms * ms);
    }
    std::size_t count(std::string_view event) const
    {
        return static_cast<std::size_t>(std::count_if(
            steps_.begin(), steps_.end(), [&](const step& s) { return s.event == event; }));
    }
    /// Pauses that their master's term did not outlive.
    std::size_t fatal_pauses() const
    {
        const auto terms = terms_of(steps_);
        return static_cast<std::size_t>(
            std::count_if(faults_.begin(), faults_.end(),
                          [&](const fault& f) { return detail::is_fatal(f, terms, timeout()); }));
    }
    /// The shortest time between the end of who was cut off and the beginning of the next.
    std::int64_t shortest_head_start() const
    {
        const auto terms = terms_of(steps_);
        std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
        for (const auto& each : faults_) {
            shortest = std::min(shortest, detail::head_start(each, terms).value_or(shortest));
        }
        return shortest;
    }
    /// How often the masters changed, with a fault or without.
    std::size_t terms() const { return terms_of(steps_).size(); }

    /// One look at what has happened, and what is to be done about it.
    void turn()
    {
        if (phase_ == phase::done) {
            return;
        }
        read_record();
        for (const auto& each : masters_) {
            if (each->has_failed()) {
                throw std::runtime_error(how_.folder + ": master " + each->name() + " has ended");
            }
        }
        if (now_ns() - entered_ > 30 * how_.timeout_ms * ms) {
            throw std::runtime_error(how_.folder + ": nothing goes on: " + last_words());
        }
        switch (phase_) {
        case phase::settling: return settle();
        case phase::calm: return strike_in_time();
        case phase::struck: return follow_fault();
        case phase::done: return;
        }
    }

private:
    enum class phase { settling, calm, struck, done };

    void enter(phase next)
    {
        phase_ = next;
        entered_ = now_ns();
        is_done_ = next == phase::done;
    }
    std::int64_t between(std::int64_t low, std::int64_t high)
    {
        return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low));
    }
    std::int64_t timeout() const { return how_.timeout_ms * ms; }

    /// For who has to find out why.
    std::string last_words() const
    {
        std::ostringstream out;
        out << "phase " << static_cast<int>(phase_) << ", contenders "
            << how_.contenders(how_.folder);
        for (const auto& each : masters_) {
            out << ", " << each->name() << " is " << each->pid();
        }
        if (!faults_.empty()) {
            const fault& last = faults_.back();
            out << "; " << last.kind << " of " << last.pid << " at " << last.begun << ", ended "
                << last.ended << ", taken over " << taken_at_;
        }
        for (std::size_t i = steps_.size() - std::min<std::size_t>(steps_.size(), 10);
             i < steps_.size(); ++i) {
            out << "\n  " << line_of(steps_[i]);
        }
        return std::move(out).str();
    }

    void read_record()
    {
        for (auto& s : reader_->more()) {
            if (s.event == "begin") {
                leads_ = s;
                last_work_ = s;
            } else if (leads_ && s.fence == leads_->fence) {
                if (s.event == "work") {
                    last_work_ = s;
                } else if (s.event == "cancelled") {
                    leads_.reset();
                }
            }
            steps_.push_back(std::move(s));
        }
    }

    /// Until somebody leads and all contend, those included who have been harmed.
    void settle()
    {
        const auto now = now_ns();
        if (!leads_ || now - last_work_.at > timeout() / 4 || now - looked_ < 20 * ms) {
            return;
        }
        looked_ = now;
        if (how_.contenders(how_.folder) != masters_.size()) {
            return;
        }
        if (static_cast<int>(taken_.size()) >= how_.hand_overs) {
            enter(phase::done);
            return;
        }
        strike_at_ = now + between(20 * ms, 200 * ms);
        enter(phase::calm);
    }

    void strike_in_time()
    {
        if (!leads_) {
            enter(phase::settling);
        } else if (now_ns() >= strike_at_) {
            strike();
        }
    }

    void strike()
    {
        victim_ = nullptr;
        for (const auto& each : masters_) {
            if (each->pid() == leads_->pid) {
                victim_ = each.get();
            }
        }
        if (victim_ == nullptr) {
            enter(phase::settling);
            return;
        }
        fault made{{}, leads_->pid, leads_->fence, now_ns(), 0};
        taken_at_ = 0;
        heal_at_ = 0;
        const auto kind = random_() % 6;
        if (kind < 2) {
            made.kind = "kill";
            victim_->kill();
            heal_at_ = made.begun + between(0, 3 * timeout() / 2);
        } else if (kind < 4) {
            const auto how = random_() % 4;
            made.kind = how == 0 ? "deafness" : "partition";
            part(how);
        } else {
            made.kind = "pause";
            victim_->stop();
            made.begun = now_ns();
            heal_at_ = made.begun + between(timeout() / 10, 3 * timeout());
        }
        faults_.push_back(std::move(made));
        enter(phase::struck);
    }

    /// It hears nothing, or is not heard, or both, or nobody is there.
    void part(std::uint64_t how)
    {
        victim_->each_wire([&](byte_proxy& wire) {
            if (how == 3) {
                wire.refuse(true);
                wire.reset();
                return;
            }
            if (how != 0) {
                wire.stall(direction::to_server);
            }
            if (how != 1) {
                wire.stall(direction::to_client);
            }
        });
        cuts_when_healed_ = random_() % 2 == 0;
    }

    void heal()
    {
        fault& last = faults_.back();
        if (last.kind == "kill") {
            victim_->start();
        } else if (last.kind == "pause") {
            last.ended = now_ns();
            victim_->go_on();
        } else {
            victim_->each_wire([&](byte_proxy& wire) {
                wire.refuse(false);
                if (cuts_when_healed_) {
                    wire.cut();
                }
                wire.unstall(direction::to_server);
                wire.unstall(direction::to_client);
            });
        }
        is_healed_ = true;
    }

    void follow_fault()
    {
        const fault& last = faults_.back();
        const auto now = now_ns();
        if (taken_at_ == 0 && leads_ && leads_->fence != last.fence) {
            taken_at_ = leads_->at;
            taken_.emplace_back(last.kind, taken_at_ - last.begun);
            if (heal_at_ == 0) {
                heal_at_ = now + between(0, timeout() / 2);  // a partition lasts as long as needed
            }
        }
        if (!is_healed_ && heal_at_ != 0 && now >= heal_at_) {
            heal();
        }
        const bool rode_it_out = last.kind == "pause" && is_healed_ && leads_ &&
                                 leads_->fence == last.fence && last_work_.at > last.ended;
        if (rode_it_out) {
            ++rides_;
        }
        if (is_healed_ && (taken_at_ != 0 || rode_it_out)) {
            is_healed_ = false;
            enter(phase::settling);
        }
    }

    group_options how_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<one_master>> masters_;
    std::optional<record_reader> reader_;
    std::vector<step> steps_;
    std::vector<fault> faults_;
    std::vector<std::pair<std::string, std::int64_t>> taken_;
    int rides_ = 0;

    phase phase_ = phase::settling;
    std::int64_t entered_ = 0;
    bool is_done_ = false;
    std::optional<step> leads_;  // who has begun last and was not cancelled
    step last_work_;
    std::int64_t looked_ = 0;
    std::int64_t strike_at_ = 0;
    one_master* victim_ = nullptr;
    std::int64_t heal_at_ = 0;
    std::int64_t taken_at_ = 0;
    bool is_healed_ = false;
    bool cuts_when_healed_ = false;
};

}  // namespace coati::test::handover
