"""Cases that run one after the other and say so in TAP, and a coati-testserver to run them on."""

import pathlib
import socket
import subprocess
import sys
import threading
import time
import traceback

PROGRAM = None
CASES = []


def case(name):
    """A function of no argument that raises when what its name says does not hold."""

    def add(function):
        CASES.append((name, function))
        return function

    return add


def main():
    """The program to test is the first argument; others select cases by a part of their name."""
    global PROGRAM
    PROGRAM = pathlib.Path(sys.argv[1]).resolve()
    chosen = [c for c in CASES if all(word in c[0] for word in sys.argv[2:])]
    print("TAP version 13", flush=True)
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            function()
            word = "ok"
        except Exception:  # whatever it is, it is this case's
            failed += 1
            word = "not ok"
            print("# " + traceback.format_exc().rstrip().replace("\n", "\n# "))
        print(f"{word} {number} - {name} ({time.monotonic() - begin:.2f} s)", flush=True)
    return 1 if failed else 0


def refuses(error, function, *arguments, **named):
    """The exception of this type that the call raises; anything else is a failure."""
    try:
        answer = function(*arguments, **named)
    except error as refused:
        return refused
    raise AssertionError(f"{function} gave {answer!r}, not {error}")


def eventually(predicate, what, limit=20):
    """Waits for what other threads bring about. The limit is for a test that has failed."""
    end = time.monotonic() + limit
    while not predicate():
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.005)


class Server:
    """A coati-testserver, for the length of a `with`."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [PROGRAM, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        # One that says nothing must not hang the suite.
        guard = threading.Timer(20, self.process.kill)
        guard.start()
        line = self.process.stdout.readline()
        guard.cancel()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        fields = dict(field.split("=", 1) for field in line.split())
        self.connect = fields["connect"]
        self.ports = [int(each.rsplit(":", 1)[1]) for each in self.connect.split(",")]
        self.command_port = int(fields["command"].rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def try_command(self, line):
        """The answer, whatever it is."""
        return give_command(self.command_port, line)

    def command(self, line):
        """What stands behind ok."""
        answer = self.try_command(line)
        assert answer == "ok" or answer.startswith("ok "), f"{line}: {answer}"
        return answer[3:]


def give_command(port, line):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(line.encode() + b"\n")
        return connection.makefile(encoding="utf-8").readline().rstrip("\n")


def ask_word(port, word):
    """A four letter word."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(word.encode())
        return connection.makefile(encoding="utf-8").read()
