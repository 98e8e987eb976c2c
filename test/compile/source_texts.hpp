// The project's own files as text, for tests of what stands in them.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace coati_test {

inline std::string text_of(const std::filesystem::path& file)
{
    std::ifstream in(file);
    INFO(file.string());
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path test_folder()
{
    return COATI_TEST_DIR;
}

}  // namespace coati_test
