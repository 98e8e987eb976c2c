// For the floors that know nothing of Asio: their tests must compile where it has never been heard
// of. What it drags in is not harmless either; `struct stat` of <sys/stat.h> is one of our names.

// Guarded the old way: GCC warns of #pragma once in a header that it compiles by itself.
#ifndef COATI_TEST_PLAIN_HPP
#define COATI_TEST_PLAIN_HPP

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#endif
