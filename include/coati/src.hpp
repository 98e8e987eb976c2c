// The compiled part of coati, for header-only use: include this in exactly one source file of your
// program and link nothing. These are the very same files that the library is built from, so there
// is one truth and no macro. Everything else of your program includes the ordinary headers only.

#pragma once

#include "config.cpp"
#include "errc.cpp"
#include "tcp.cpp"
