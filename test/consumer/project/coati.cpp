// The one file of a header-only program that holds the library itself.

#include <coati/src.hpp>
