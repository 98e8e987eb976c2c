#!/usr/bin/env bash
# What including coati/client.hpp costs beside what every Asio coroutine includes anyway.
#
# usage: bench/compile_time.sh [COMPILER ...]      (g++; several are measured one after the other)
#
# at -O2 (the least of ROUNDS, 5), lines after the preprocessor that are not blank, both as ratios.
# -O2 (the least of ROUNDS, 5), lines after the preprocessor that are not blank, and both as ratios.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=${ROUNDS:-5}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cat >"$scratch/asio.cpp" <<'CPP'
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
CPP
cat >"$scratch/coati.cpp" <<'CPP'
#include <coati/client.hpp>
CPP
cat >"$scratch/asio_used.cpp" <<'CPP'
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
boost::asio::awaitable<int> f()
{
    co_await boost::asio::post(boost::asio::deferred);
    co_return 1;
}
CPP
cat >"$scratch/coati_used.cpp" <<'CPP'
#include <coati/client.hpp>

#include <boost/asio/awaitable.hpp>
boost::asio::awaitable<coati::result<std::string>> f(coati::client zk)
{
    BOOST_OUTCOME_CO_TRY(auto got, co_await zk.get("/a"));
    co_return got.data;
}
CPP

flags=(-std=c++20 -O2 "-I$root/include")

lines() # compiler, file
{
    "$1" "${flags[@]}" -E "$2" | grep -v '^#' | grep -c '[^[:space:]]'
}

seconds() # compiler, file: user and system time, the least of all rounds
{
    local i least='' now TIMEFORMAT='%U %S'
    for ((i = 0; i < rounds; ++i)); do
        now=$({ time "$1" "${flags[@]}" -c "$2" -o "$scratch/object.o"; } 2>&1 |
            awk '{ print $1 + $2 }')
        least=$(awk -v a="$now" -v b="${least:-$now}" 'BEGIN { print a < b ? a : b }')
    done
    echo "$least"
}

compare() # compiler, what, bare file, our file
{
    local bare ours bare_lines our_lines
    bare=$(seconds "$1" "$scratch/$3") ours=$(seconds "$1" "$scratch/$4")
    bare_lines=$(lines "$1" "$scratch/$3") our_lines=$(lines "$1" "$scratch/$4")
    awk -v what="$2" -v a="$bare" -v b="$ours" -v la="$bare_lines" -v lb="$our_lines" 'BEGIN {
        printf "%-12s asio %.2f s %6d lines   coati %.2f s %6d lines   ratio %.2f %.2f\n",
            what, a, la, b, lb, b / a, lb / la }'
}

for compiler in "${@:-g++}"; do
    echo "$compiler"
    compare "$compiler" included asio.cpp coati.cpp
    compare "$compiler" awaited asio_used.cpp coati_used.cpp
done
