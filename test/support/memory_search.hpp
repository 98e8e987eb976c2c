// Looks for a secret in the memory of this very process: the heap, freed memory, stacks, globals.
//
// The secret is kept masked, so that what is looked for is not found in the hand that looks. Plain
// POSIX and Linux's /proc; no header of coati.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace coati::test {

/// A secret that is in memory only while somebody else keeps it.
class masked_secret {
public:
    /// So many random letters.
    explicit masked_secret(std::size_t length)
    {
        std::random_device random;
        masked_.reserve(length);
        for (std::size_t i = 0; i < length; ++i) {
            masked_ += mask(static_cast<char>('A' + random() % 26));
        }
    }
    /// These bytes; the argument is overwritten.
    explicit masked_secret(std::string& bytes)
    {
        masked_.reserve(bytes.size());
        for (char& c : bytes) {
            masked_ += mask(c);
        }
        forget(bytes);
    }

    /// Calls `use(std::string&)` with the secret itself, and overwrites it afterwards.
    template <class Use>
    void reveal(Use&& use) const
    {
        std::string plain;
        plain.reserve(masked_.size());
        for (const char c : masked_) {
            plain += mask(c);
        }
        use(plain);
        forget(plain);
    }

    /// Where any eight of its bytes lie in a row (from the first, the ninth ...): freed memory may
    /// have lost the beginning only.
    std::size_t copies_in_memory() const
    {
        std::size_t found = 0;
        std::ifstream maps("/proc/self/maps");
        std::stringstream regions;  // reading it maps nothing new while it is walked
        regions << maps.rdbuf();
        for (std::string line; std::getline(regions, line);) {
            std::istringstream fields(line);
            std::uintptr_t begin = 0;
            std::uintptr_t end = 0;
            char dash = 0;
            std::string rights;
            fields >> std::hex >> begin >> dash >> end >> rights;
            const bool is_ours = line.find("[v") == std::string::npos;  // vvar, vdso, vsyscall
            if (fields && rights.starts_with("rw") && is_ours) {
                found += copies_in(begin, end - begin);
            }
        }
        return found;
    }

private:
    static constexpr std::size_t piece = 8;

    static char mask(char c) { return static_cast<char>(c ^ 0x5A); }
    static void forget(std::string& bytes)
    {
        volatile char* const each = bytes.data();
        for (std::size_t i = 0; i < bytes.capacity(); ++i) {
            each[i] = 0;
        }
        bytes.clear();
    }

    std::size_t copies_in(std::uintptr_t begin, std::size_t size) const
    {
        const char* const memory = reinterpret_cast<const char*>(begin);
        std::size_t found = 0;
        for (std::size_t from = 0; from + piece <= masked_.size(); from += piece) {
            const char first = mask(masked_[from]);
            const char* at = memory;
            const char* const last = memory + size - piece;
            while (at < last) {
                const auto* const hit = static_cast<const char*>(
                    std::memchr(at, first, static_cast<std::size_t>(last - at)));
                if (hit == nullptr) {
                    break;
                }
                found += is_piece(hit, from) ? 1 : 0;
                at = hit + 1;
            }
        }
        return found;
    }
    bool is_piece(const char* at, std::size_t from) const
    {
        for (std::size_t i = 0; i < piece; ++i) {
            if (mask(at[i]) != masked_[from + i]) {
                return false;
            }
        }
        return true;
    }

    std::string masked_;
};

}  // namespace coati::test
