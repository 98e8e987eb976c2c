#!/usr/bin/env python3
"""Locks a second, coati's and kazoo's in turn on one coati-testserver: only the ratio says much.

Usage: locks.py BUILD [SECONDS [ROUNDS]]

BUILD is a build folder with coati-testserver and bench/bench; Python has to have kazoo. One
session each, first with one contender, then with eight for one lock.
"""

import json
import logging
import pathlib
import statistics
import subprocess
import sys
import threading
import time

from kazoo.client import KazooClient

logging.getLogger("kazoo").setLevel(logging.CRITICAL)


def of_coati(build, servers, contenders, secs):
    line = subprocess.check_output(
        [build / "bench/bench", "--servers", servers, "--workload", "lock"]
        + ["--window", str(contenders), "--secs", str(secs)]
    )
    told = json.loads(line)
    if told["errors"]:
        sys.exit(f"coati: {told['errors']} errors")
    return told["ops_s"]


def of_kazoo(servers, contenders, secs):
    zk = KazooClient(servers)
    zk.start()
    counts = [0] * contenders
    measured = threading.Event()
    ended = threading.Event()

    def contend(me):
        lock = zk.Lock("/kazoo-lock")
        while not ended.is_set():
            with lock:
                pass
            counts[me] += measured.is_set()

    threads = [threading.Thread(target=contend, args=(n,)) for n in range(contenders)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    begun = time.monotonic()
    measured.set()
    time.sleep(secs)
    measured.clear()
    took = time.monotonic() - begun
    ended.set()
    for thread in threads:
        thread.join()
    zk.stop()
    zk.close()
    return sum(counts) / took


def main():
    build = pathlib.Path(sys.argv[1])
    secs = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with subprocess.Popen(
        [build / "coati-testserver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        servers = server.stdout.readline().split()[0].removeprefix("connect=")
        for contenders in (1, 8):
            pairs = [
                (of_coati(build, servers, contenders, secs), of_kazoo(servers, contenders, secs))
                for _ in range(rounds)
            ]
            ours, theirs = (statistics.median(column) for column in zip(*pairs))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{contenders}: coati {ours:.0f}/s, kazoo {theirs:.0f}/s, ratio {ratio:.1f}")
        server.terminate()


main()
