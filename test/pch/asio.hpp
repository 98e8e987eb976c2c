// What nearly every test includes and what is slow to parse, compiled once per test executable.
// Never a substitute for includes: each test file still names what it uses.

// Guarded the old way: GCC warns of #pragma once in a header that it compiles by itself.
#ifndef COATI_TEST_ASIO_HPP
#define COATI_TEST_ASIO_HPP

#include "plain.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/try.hpp>

#endif
