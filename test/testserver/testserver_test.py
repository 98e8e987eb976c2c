"""coati-testserver as its users see it: options, the ready line, commands, signals, exit codes.

Usage: testserver_test.py PROGRAM [part of a name...]
"""

import signal
import socket
import subprocess
import sys
import tempfile

import tap
from tap import Server, ask_word, case


def run(*arguments, **named):
    """A run that ends by itself."""
    return subprocess.run(
        [tap.PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False,
        stdin=subprocess.DEVNULL, **named,
    )


def fails(code, words, *arguments):
    ended = run(*arguments)
    assert ended.returncode == code, ended
    assert words in ended.stderr, ended.stderr
    assert ended.stdout == "", ended.stdout


@case("it says where it listens, and every server does")
def _():
    with Server("--servers", "3") as server:
        assert len(set(server.ports)) == 3, server.connect
        for port in server.ports:
            assert ask_word(port, "ruok") == "imok"
        assert server.command("leader") in "012"


@case("the ports are those that were asked for")
def _():
    with Server() as other:
        free = other.ports[0]
    with Server("--port", str(free), "--command-port", str(other.command_port)) as server:
        assert server.connect == f"127.0.0.1:{free}"
        assert server.command_port == other.command_port
        fails(125, f"cannot listen on 127.0.0.1:{free}: Address already in use",
              "--port", str(free))
        fails(125, f"cannot take commands on 127.0.0.1:{server.command_port}: Address already",
              "--command-port", str(server.command_port))


@case("commands are taken on stdin and on the port")
def _():
    with Server() as server:
        server.process.stdin.write("put /a 1\nget /a\n\n# nothing\nget /b\n")
        server.process.stdin.flush()
        answers = [server.process.stdout.readline() for _ in range(3)]
        assert answers == ["ok\n", "ok 1\n", "error: there is no znode /b\n"], answers
        server.process.stdin.close()  # is not the end
        server.process.stdin = None
        assert server.command("get /a") == "1"
        assert server.try_command("get b") == "error: get takes a path, as in `get /a/b`"


@case("several commands may come at once, and in pieces")
def _():
    with Server() as server:
        with socket.create_connection(("127.0.0.1", server.command_port), 20) as connection:
            answers = connection.makefile(encoding="utf-8")
            connection.sendall(b"put /a 1\nput /b 2\nge")
            assert [answers.readline(), answers.readline()] == ["ok\n", "ok\n"]
            connection.sendall(b"t /b\n")
            assert answers.readline() == "ok 2\n"


@case("a killed server's port is closed until it is revived")
def _():
    with Server("--servers", "3") as server:
        assert server.command("kill 1") == ""
        tap.refuses(ConnectionRefusedError, ask_word, server.ports[1], "ruok")
        assert ask_word(server.ports[2], "ruok") == "imok"
        assert server.command("revive 1") == ""
        assert ask_word(server.ports[1], "ruok") == "imok"


@case("a paused server is silent until it is resumed")
def _():
    with Server() as server:
        server.command("pause")
        with socket.create_connection(("127.0.0.1", server.ports[0]), 20) as connection:
            connection.sendall(b"ruok")
            connection.settimeout(0.05)
            tap.refuses(socket.timeout, connection.recv, 4)
            server.command("resume")
            connection.settimeout(20)
            assert connection.recv(4) == b"imok"


@case("a file of commands is executed first")
def _():
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("# data\ncreate /a/b some words\ncreate /c\n")
        file.flush()
        with Server("--data", file.name) as server:
            assert server.command("get /a/b") == "some words"
            assert server.command("ls /") == "a c zookeeper"
        file.write("crate /d\n")
        file.flush()
        fails(125, f'{file.name}:4: unknown command "crate"', "--data", file.name)
    fails(125, "cannot read /no/such/file", "--data", "/no/such/file")


@case("options that cannot be are refused, and say why")
def _():
    fails(2, "unknown option --prot", "--prot", "1")
    fails(2, '--port takes a number from 0 to 65535, not "http"', "--port", "http")
    fails(2, "--port wants a value", "--port")
    fails(2, "there is no command behind --", "--")
    fails(125, "servers is 0; it takes 1 to 64", "--servers", "0")
    fails(125, "observers is 3 of 3 servers", "--ensemble", "3", "--observers", "3")
    fails(125, 'version is "new"', "--version", "new")
    fails(125, "min_session_timeout is 9 ms", "--min-session-timeout", "9",
          "--max-session-timeout", "8")


@case("--help lists options and commands")
def _():
    ended = run("--help")
    assert ended.returncode == 0
    for word in ("--servers N", "--data FILE", "  revive S  ", "  expire ID|all  "):
        assert word in ended.stdout, word


@case("it speaks like the version that it is told")
def _():
    with Server("--version", "3.8.0") as server:
        assert "Zookeeper version: 3.8.0" in ask_word(server.ports[0], "srvr")


@case("signals and quit end it in order")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            server.process.send_signal(number)
            assert server.process.wait(20) == 0
    with Server() as server:
        assert server.command("quit") == ""
        assert server.process.wait(20) == 0


@case("a command behind -- has the servers in its environment, and its exit code counts")
def _():
    ended = run("--servers", "2", "--", "sh", "-c", "echo $COATI_CONNECT; exit 7")
    assert ended.returncode == 7, ended
    assert ended.stdout.count("127.0.0.1:") == 2, ended
    ended = run("--", "no-such-program")
    assert ended.returncode == 127 and "cannot run no-such-program" in ended.stderr, ended
    assert run("--", "sh", "-c", "kill -9 $$").returncode == 137


KILLS_ITS_SERVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tap import ask_word, give_command, refuses
server, command = (int(os.environ[n].rsplit(':', 1)[1]) for n in ('COATI_CONNECT', 'COATI_COMMAND'))
assert ask_word(server, 'ruok') == 'imok'
assert give_command(command, 'kill 0') == 'ok'
refuses(ConnectionRefusedError, ask_word, server, 'ruok')
"""


@case("the command behind -- does not keep a killed server's port open")
def _():
    ended = run("--", sys.executable, "-c", KILLS_ITS_SERVER, sys.path[0])
    assert ended.returncode == 0, ended.stderr


@case("a signal ends the command behind --, too")
def _():
    process = subprocess.Popen(
        [tap.PROGRAM, "--", "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    process.communicate()


sys.exit(tap.main())
