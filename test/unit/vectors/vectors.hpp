// Loads the captured frames of this directory: V01 to V61, each a comment that says what it is and
// who sent it to whom, then the complete frame in hex. They are what real clients and servers
// wrote; nothing in them was made up. No test framework is needed here, so that other programs
// (fuzzers, benchmarks) can use them as well.

#pragma once

#include <cstddef>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#ifndef COATI_VECTOR_DIR
#define COATI_VECTOR_DIR COATI_TEST_DIR "/unit/vectors"
#endif

namespace coati::test {

inline constexpr int vector_count = 61;

// The bytes of hex digits; white space does not count.
inline std::string from_hex(std::string_view digits)
{
    std::string bytes;
    int high = -1;
    for (const char digit : digits) {
        constexpr std::string_view alphabet = "0123456789abcdef";
        const std::size_t found = alphabet.find(digit);
        if (found == std::string_view::npos) {
            if (digit == ' ' || digit == '\n' || digit == '\r') {
                continue;
            }
            throw std::runtime_error("not a hex digit");
        }
        const int value = static_cast<int>(found);
        if (high < 0) {
            high = value;
        } else {
            bytes.push_back(static_cast<char>(high * 16 + value));
            high = -1;
        }
    }
    if (high >= 0) {
        throw std::runtime_error("half a byte of hex");
    }
    return bytes;
}

// The complete frame, with its length prefix. It stays where it is for the whole run, so views
// into it do too.
inline const std::string& vector_frame(int number)
{
    static std::map<int, std::string> loaded;
    const auto known = loaded.find(number);
    if (known != loaded.end()) {
        return known->second;
    }
    const std::string digits = std::to_string(number);
    const std::string path =
        std::string{COATI_VECTOR_DIR "/V"} + (number < 10 ? "0" : "") + digits + ".hex";
    std::ifstream file{path};
    std::string line;
    std::string hex;
    while (std::getline(file, line)) {
        if (!line.starts_with('#')) {
            hex += line;
        }
    }
    if (hex.empty()) {
        throw std::runtime_error("no captured frame in " + path);
    }
    return loaded.emplace(number, from_hex(hex)).first->second;
}

inline std::string_view vector_payload(int number)
{
    return std::string_view{vector_frame(number)}.substr(4);
}

// Bytes in a heap block of exactly their size, so that a sanitizer sees a read past the end.
class exact_copy {
public:
    explicit exact_copy(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}

    std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

private:
    std::vector<char> bytes_;  // never grows, so its capacity is its size
};

}  // namespace coati::test
