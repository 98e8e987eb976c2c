// What every C++ driver shares: the command line, the measuring clock, the JSON line.
//
// A Lane is one stream of operations whose start()/end() are called from one thread at a time.
// Time mode (default): a control thread sleeps --warm, measures for --secs, prints, exits.
// Count mode (--ops N, per lane; for strace and callgrind): runs N operations per lane and exits.
#pragma once
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

enum Op { GET, SET, CREATE, DEL, MULTI };

inline uint64_t now_ns()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}
struct Cpu {
    double user, sys;
};
inline Cpu cpu_now()
{
    rusage r;
    getrusage(RUSAGE_SELF, &r);
    auto s = [](timeval t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return {s(r.ru_utime), s(r.ru_stime)};
}
inline long proc_status(const char* key)
{  // VmRSS, VmHWM (kB), Threads
    long v = 0;
    if (FILE* f = fopen("/proc/self/status", "r")) {
        char line[256];
        size_t n = strlen(key);
        while (fgets(line, sizeof line, f))
            if (!strncmp(line, key, n) && line[n] == ':')
                v = atol(line + n + 1);
        fclose(f);
    }
    return v;
}

struct Args {
    std::string peer, servers = "127.0.0.1:24181", workload = "get";
    long size = 100, window = 1, sessions = 1, ops = 0, n = 0, reps = 5, copy = 0, lat = 1,
         tuned = 0;
    double secs = 1, warm = 0.3;
    Args(const char* name, int argc, char** argv) : peer(name)
    {
        for (int i = 1; i + 1 < argc; i += 2) {
            std::string k = argv[i], v = argv[i + 1];
            if (k == "--servers")
                servers = v;
            else if (k == "--workload")
                workload = v;
            else if (k == "--secs")
                secs = atof(v.c_str());
            else if (k == "--warm")
                warm = atof(v.c_str());
            else
                for (auto [name2, p] : {std::pair{"--size", &size},
                                        {"--window", &window},
                                        {"--sessions", &sessions},
                                        {"--ops", &ops},
                                        {"--n", &n},
                                        {"--reps", &reps},
                                        {"--copy", &copy},
                                        {"--lat", &lat},
                                        {"--tuned", &tuned}})
                    if (k == name2)
                        *p = atol(v.c_str());
        }
        alarm(58);
    }
    std::string get_path() const { return "/p" + std::to_string(size); }
    int port() const { return atoi(servers.substr(servers.find(':') + 1).c_str()); }
    // The i-th operation of one slot.
    Op op(uint64_t i) const
    {
        switch (workload[0]) {
        case 's': return SET;
        case 'c': return i % 2 ? DEL : CREATE;
        case 'x': return i % 10 == 9 ? SET : GET;  // xmixed: 90/10
        case 'm': return workload == "mixed" ? (i % 10 == 9 ? SET : GET) : MULTI;
        default: return GET;
        }
    }
};

struct Bench;
struct Lane {
    Bench* b = nullptr;
    std::atomic<uint64_t> done{0}, errors{0};
    uint64_t issued = 0, inflight = 0;
    std::vector<uint32_t> lat;
    inline bool start(uint64_t& t0);
    inline void end(uint64_t t0, bool ok = true);
};

struct Bench {
    Args a;
    std::deque<Lane> lanes;
    std::atomic<int> phase{0};  // 0 warm, 1 measure, 2 stop
    std::atomic<size_t> drained{0};
    std::thread control;
    uint64_t t0 = 0, c0 = 0;
    Cpu cpu0{};

    Bench(const char* peer, int argc, char** argv) : a(peer, argc, argv) {}
    // Call when all sessions are connected, just before the first operation.
    void begin(size_t nlanes)
    {
        lanes.resize(nlanes);
        for (auto& l : lanes) {
            l.b = this;
            l.lat.reserve(1 << 16);
        }
        if (a.ops) {
            phase = 1;
            snap();
            return;
        }
        control = std::thread([this] {
            sleep_s(a.warm);
            snap();
            phase = 1;
            sleep_s(a.secs);
            print();
        });
    }
    static void sleep_s(double s) { usleep(static_cast<useconds_t>(s * 1e6)); }
    uint64_t total()
    {
        uint64_t n = 0;
        for (auto& l : lanes)
            n += l.done.load(std::memory_order_relaxed);
        return n;
    }
    void snap()
    {
        t0 = now_ns();
        c0 = total();
        cpu0 = cpu_now();
    }
    void lane_drained()
    {
        if (++drained == lanes.size())
            print();
    }
    [[noreturn]] void print()
    {
        double dt = 1e-9 * static_cast<double>(now_ns() - t0);
        Cpu c = cpu_now();
        double n = static_cast<double>(total() - c0);
        phase = 2;
        long threads = proc_status("Threads");
        if (!a.ops) {
            usleep(20000);
            --threads;
        }  // let the lanes see phase 2; do not count the control thread
        std::vector<uint32_t> all;
        uint64_t errs = 0;
        for (auto& l : lanes) {
            all.insert(all.end(), l.lat.begin(), l.lat.end());
            errs += l.errors;
        }
        std::sort(all.begin(), all.end());
        auto q = [&](double p) {
            return all.empty() ? 0.0
                               : 1e-3 * all[std::min(all.size() - 1,
                                                     static_cast<size_t>(
                                                         p * static_cast<double>(all.size())))];
        };
        double u = (c.user - cpu0.user) * 1e6 / n, s = (c.sys - cpu0.sys) * 1e6 / n;
        printf("{\"peer\":\"%s\",\"workload\":\"%s\",\"size\":%ld,\"window\":%ld,\"sessions\":%ld,"
               "\"ops\":%.0f,\"secs\":%.4f,"
               "\"ops_s\":%.0f,\"cpu_us\":%.4f,\"user_us\":%.4f,\"sys_us\":%.4f,\"p50_us\":%.1f,"
               "\"p99_us\":%.1f,\"p999_us\":%.1f,"
               "\"rss_kb\":%ld,\"threads\":%ld,\"errors\":%llu}\n",
               a.peer.c_str(), a.workload.c_str(), a.size, a.window, a.sessions, n, dt, n / dt,
               u + s, u, s, q(.5), q(.99), q(.999), proc_status("VmHWM"), threads,
               static_cast<unsigned long long>(errs));
        fflush(stdout);
        _exit(0);
    }
};

bool Lane::start(uint64_t& t0)
{
    if (b->phase.load(std::memory_order_relaxed) == 2 ||
        (b->a.ops && issued == static_cast<uint64_t>(b->a.ops))) {
        if (!inflight)
            b->a.ops ? b->lane_drained() : void(pause());
        return false;
    }
    ++inflight;
    t0 = (issued++ & 7) == 0 && b->a.lat ? now_ns() : 0;  // latency: one operation in eight
    return true;
}
void Lane::end(uint64_t t0, bool ok)
{
    --inflight;
    done.store(done.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (!ok)
        errors.store(errors.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (t0 && b->phase.load(std::memory_order_relaxed) == 1)
        lat.push_back(static_cast<uint32_t>(std::min<uint64_t>(now_ns() - t0, UINT32_MAX)));
}

// The JSON line of the idle, watch and reconnect modes.
inline void print_extra(const Args& a, const char* fmt, ...) __attribute__((format(printf, 2, 3)));
#include <cstdarg>
inline void print_extra(const Args& a, const char* fmt, ...)
{
    printf("{\"peer\":\"%s\",\"workload\":\"%s\",\"sessions\":%ld,\"n\":%ld,", a.peer.c_str(),
           a.workload.c_str(), a.sessions, a.n);
    va_list v;
    va_start(v, fmt);
    vprintf(fmt, v);
    va_end(v);
    puts("}");
    fflush(stdout);
}
