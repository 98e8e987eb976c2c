"""kazoo, a client that shares nothing with coati, against coati-testserver.

Usage: kazoo_test.py PROGRAM [part of a name...]
"""

import contextlib
import logging
import subprocess
import sys
import threading
import time
import warnings

import tap
from tap import Server, case, eventually, refuses

warnings.simplefilter("ignore")  # kazoo's own age shows on newer Pythons
try:
    from kazoo import exceptions as error
    from kazoo.client import KazooClient, KazooState, KeeperState
    from kazoo.protocol.states import EventType
    from kazoo.recipe.cache import TreeCache
    from kazoo.recipe.lease import NonBlockingLease
    from kazoo.security import OPEN_ACL_UNSAFE, Permissions, make_acl, make_digest_acl
except ImportError:
    print("1..0 # SKIP this Python has no kazoo: python3-kazoo")
    sys.exit(0)
logging.getLogger("kazoo").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def client(server, **options):
    """A connected client, closed at the end whatever state it is in."""
    hosts = options.pop("hosts", server.connect)
    retry = {"max_tries": -1, "delay": 0.01, "backoff": 1, "max_delay": 0.05}
    zk = KazooClient(hosts=hosts, connection_retry=dict(retry), command_retry=dict(retry),
                     **options)
    zk.start(timeout=20)
    try:
        yield zk
    finally:
        zk.stop()
        zk.close()


@contextlib.contextmanager
def one_server(*options, **named):
    with Server(*options) as server, client(server, **named) as zk:
        yield server, zk


def session_of(zk):
    return hex(zk.client_id[0])


# --- operations ----------------------------------------------------------------------------------


@case("znodes of every mode are created")
def _():
    with one_server() as (_, zk):
        assert zk.create("/plain", b"data") == "/plain"
        assert zk.create("/a/b/c", makepath=True) == "/a/b/c"
        assert zk.create("/e", ephemeral=True) == "/e"
        assert zk.create("/s-", sequence=True) == "/s-0000000003"
        assert zk.create("/es-", ephemeral=True, sequence=True) == "/es-0000000004"
        path, stat = zk.create("/with-stat", b"four", include_data=True)
        assert path == "/with-stat" and stat.data_length == 4 and stat.version == 0
        assert zk.exists("/e").ephemeralOwner == zk.client_id[0]
        assert zk.exists("/plain").ephemeralOwner == 0
        assert abs(stat.created - time.time()) < 60, stat
        refuses(error.NodeExistsError, zk.create, "/plain")
        refuses(error.NoNodeError, zk.create, "/no/parent")
        refuses(error.NoChildrenForEphemeralsError, zk.create, "/e/child")


@case("get, set and delete keep to versions")
def _():
    with one_server() as (_, zk):
        zk.create("/a", b"0")
        data, stat = zk.get("/a")
        assert data == b"0" and stat.version == 0 and stat.czxid == stat.mzxid
        assert zk.set("/a", b"1").version == 1
        assert zk.set("/a", b"2", version=1).version == 2
        refuses(error.BadVersionError, zk.set, "/a", b"3", version=1)
        refuses(error.BadVersionError, zk.delete, "/a", version=1)
        data, stat = zk.get("/a")
        assert data == b"2" and stat.mzxid > stat.czxid and stat.data_length == 1
        zk.create("/a/b")
        refuses(error.NotEmptyError, zk.delete, "/a")
        zk.delete("/a/b", version=0)
        zk.delete("/a", version=2)
        for function in (zk.get, zk.delete, zk.get_children, zk.get_acls, zk.sync):
            if function != zk.sync:
                refuses(error.NoNodeError, function, "/a")
        refuses(error.NoNodeError, zk.set, "/a", b"")
        assert zk.exists("/a") is None


@case("children, their number, and the tree below")
def _():
    with one_server() as (_, zk):
        for name in ("x", "y", "z"):
            zk.ensure_path(f"/top/{name}/leaf")
        names, stat = zk.get_children("/top", include_data=True)
        assert sorted(names) == ["x", "y", "z"] and stat.numChildren == 3 and stat.cversion == 3
        zk.delete("/top", recursive=True)
        assert zk.exists("/top") is None
        assert zk.get_children("/") == ["zookeeper"]


@case("any bytes, any name, and most of a megabyte")
def _():
    with one_server() as (server, zk):
        everything = bytes(range(256))
        zk.create("/ž/路", everything, makepath=True)
        assert zk.get("/ž/路")[0] == everything
        assert zk.get_children("/ž") == ["路"]
        zk.create("/empty", b"")
        assert zk.get("/empty")[0] == b""
        large = everything * 4000
        zk.create("/large", large)
        assert zk.get("/large")[0] == large
        server.command("put /lines one\\ntwo")
        assert zk.get("/lines")[0] == b"one\ntwo"


@case("requests in flight are answered in order")
def _():
    with one_server() as (_, zk):
        zk.create("/counter", b"0")
        writes = [zk.set_async("/counter", str(i).encode()) for i in range(1, 501)]
        read = zk.get_async("/counter")
        assert [w.get(20).version for w in writes] == list(range(1, 501))
        assert read.get(20)[0] == b"500"
        assert zk.sync("/counter") == "/counter"


@case("a transaction is all or nothing")
def _():
    with one_server() as (_, zk):
        zk.create("/a", b"0")
        t = zk.transaction()
        t.check("/a", 0)
        t.create("/b", b"1")
        t.create("/s-", sequence=True)
        t.set_data("/a", b"1")
        t.create("/gone")
        t.delete("/gone")
        results = t.commit()
        assert results[1:3] == ["/b", "/s-0000000002"], results
        assert results[3].version == 1 and results[5] is True, results
        assert zk.get("/a")[1].mzxid == zk.get("/b")[1].czxid

        t = zk.transaction()
        t.set_data("/a", b"2")
        t.delete("/nope")
        t.check("/a", 1)
        results = t.commit()
        assert isinstance(results[0], error.RolledBackError), results
        assert isinstance(results[1], error.NoNodeError), results
        assert isinstance(results[2], error.RuntimeInconsistency), results
        assert zk.get("/a")[0] == b"1"


@case("a chroot is the client's own business")
def _():
    with one_server() as (server, zk):
        zk.ensure_path("/apps/mine")
        with client(server, hosts=server.connect + "/apps/mine") as inner:
            assert inner.create("/a", b"x") == "/a"
            assert inner.get_children("/") == ["a"]
        assert zk.get("/apps/mine/a")[0] == b"x"


# --- permissions ---------------------------------------------------------------------------------


@case("ACLs are set, read and versioned")
def _():
    with one_server() as (_, zk):
        zk.add_auth("digest", "me:secret")
        zk.create("/a")
        acls, stat = zk.get_acls("/a")
        assert acls == OPEN_ACL_UNSAFE and stat.aversion == 0
        mine = [make_digest_acl("me", "secret", all=True), make_acl("world", "anyone", read=True)]
        assert zk.set_acls("/a", mine).aversion == 1
        assert zk.get_acls("/a")[0] == mine
        refuses(error.BadVersionError, zk.set_acls, "/a", mine, version=0)
        refuses(error.InvalidACLError, zk.create, "/b", acl=[make_acl("nonsense", "x")])


@case("who is not in an ACL is kept out")
def _():
    with one_server() as (server, zk):
        zk.add_auth("digest", "me:secret")
        mine = make_digest_acl("me", "secret", all=True)
        zk.create("/private", b"mine", acl=[mine])
        zk.create("/readable", b"x", acl=[mine, make_acl("world", "anyone", read=True)])
        assert zk.get("/private")[0] == b"mine"
        with client(server) as other:
            refuses(error.NoAuthError, other.get, "/private")
            refuses(error.NoAuthError, other.set, "/readable", b"y")
            refuses(error.NoAuthError, other.create, "/readable/child")
            refuses(error.NoAuthError, other.set_acls, "/readable", OPEN_ACL_UNSAFE)
            assert other.get("/readable")[0] == b"x"
            assert other.get_acls("/readable")[0][1].perms == Permissions.READ
        with client(server, auth_data=[("digest", "me:secret")]) as friend:
            assert friend.set("/private", b"ours").version == 1
        with client(server) as forgetful:
            forgetful.add_auth("digest", "me:wrong")
            refuses(error.NoAuthError, forgetful.get, "/private")


@case("credentials are shown again after a reconnect")
def _():
    with one_server() as (server, zk):
        zk.add_auth("digest", "me:secret")
        zk.create("/private", b"mine", acl=[make_digest_acl("me", "secret", all=True)])
        server.command("drop")
        assert zk.retry(zk.get, "/private")[0] == b"mine"


# --- watches -------------------------------------------------------------------------------------


class Events:
    """A watch function that keeps what it was told."""

    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append((event.type, event.path))

    def are(self, *expected):
        eventually(lambda: len(self.seen) >= len(expected), f"{expected}")
        assert self.seen == list(expected), self.seen


@case("one-shot watches fire once")
def _():
    with one_server() as (server, zk):
        data, missing, children = Events(), Events(), Events()
        zk.create("/a")
        zk.get("/a", watch=data)
        zk.exists("/later", watch=missing)
        zk.get_children("/", watch=children)
        server.command("put /a 1")
        server.command("put /later")
        data.are((EventType.CHANGED, "/a"))
        missing.are((EventType.CREATED, "/later"))
        children.are((EventType.CHILD, "/"))
        zk.get_children("/a", watch=data)
        zk.delete("/a")
        data.are((EventType.CHANGED, "/a"), (EventType.DELETED, "/a"))
        zk.create("/a")
        zk.set("/later", b"2")
        zk.sync("/")
        assert [len(each.seen) for each in (data, missing, children)] == [2, 1, 1]


@case("DataWatch and ChildrenWatch follow a znode")
def _():
    with one_server() as (server, zk):
        zk.create("/a", b"0")
        values, lists = [], []
        zk.DataWatch("/a", lambda data, stat: values.append(data))
        zk.ChildrenWatch("/a", lambda names: lists.append(sorted(names)))
        assert values == [b"0"] and lists == [[]]
        server.command("put /a 1")
        eventually(lambda: values[-1] == b"1", "the new value")
        server.command("put /a/x")
        eventually(lambda: lists[-1] == ["x"], "a child")
        server.command("put /a/y")
        eventually(lambda: lists[-1] == ["x", "y"], "two children")
        server.command("drop")
        server.command("delete /a/x")
        server.command("put /a 2")
        eventually(lambda: values[-1] == b"2" and lists[-1] == ["y"], "both after a reconnect")
        zk.delete("/a", recursive=True)
        eventually(lambda: values[-1] is None, "the end")


@case("TreeCache keeps a copy")
def _():
    with one_server() as (server, zk):
        zk.ensure_path("/tree/a")
        cache = TreeCache(zk, "/tree")
        cache.start()
        eventually(lambda: cache.get_children("/tree") == {"a"}, "the first copy")
        server.command("put /tree/a/b value")
        eventually(lambda: cache.get_data("/tree/a/b") is not None, "the new znode")
        assert cache.get_data("/tree/a/b").data == b"value"
        server.command("delete /tree/a/b")
        eventually(lambda: cache.get_data("/tree/a/b") is None, "its end")
        cache.close()


# --- recipes -------------------------------------------------------------------------------------


@case("Lock is held by one, and goes to who waits")
def _():
    with one_server("--servers", "3") as (server, zk), client(server) as other:
        mine, theirs = zk.Lock("/lock", "mine"), other.Lock("/lock", "theirs")
        assert mine.acquire(timeout=20)
        assert not theirs.acquire(blocking=False)
        got = threading.Event()
        waiter = threading.Thread(target=lambda: theirs.acquire(timeout=20) and got.set())
        waiter.start()
        eventually(lambda: len(mine.contenders()) == 2, "a contender")
        assert mine.contenders() == ["mine", "theirs"] and not got.is_set()
        mine.release()
        waiter.join()
        assert got.is_set() and theirs.is_acquired


@case("Lock is free when its holder's session has expired")
def _():
    with one_server() as (server, zk), client(server) as other:
        assert zk.Lock("/lock").acquire(timeout=20)
        server.command("expire " + session_of(zk))
        assert other.Lock("/lock").acquire(timeout=20)


@case("ReadLock, WriteLock and Semaphore")
def _():
    with one_server() as (server, zk), client(server) as other:
        one, two = zk.ReadLock("/rw"), other.ReadLock("/rw")
        assert one.acquire(timeout=20) and two.acquire(timeout=20)
        write = other.WriteLock("/rw")
        assert not write.acquire(blocking=False)
        one.release()
        two.release()
        assert write.acquire(timeout=20)
        three = [c.Semaphore("/semaphore", max_leases=2) for c in (zk, other, other)]
        assert three[0].acquire(timeout=20) and three[1].acquire(timeout=20)
        assert not three[2].acquire(blocking=False)
        three[0].release()
        assert three[2].acquire(timeout=20)


@case("Election has one leader at a time")
def _():
    with one_server() as (server, zk), client(server) as other:
        led, leave = [], threading.Event()

        def lead(name, until):
            led.append(name)
            until.wait(20)

        first = zk.Election("/election", "first")
        second = other.Election("/election", "second")
        threads = [threading.Thread(target=first.run, args=(lead, "first", leave))]
        threads[0].start()
        eventually(lambda: led == ["first"], "the first leader")
        threads.append(threading.Thread(target=second.run, args=(lead, "second", leave)))
        threads[1].start()
        eventually(lambda: first.contenders() == ["first", "second"], "a second candidate")
        assert led == ["first"]
        leave.set()
        for each in threads:
            each.join()
        assert led == ["first", "second"]


@case("Queue and LockingQueue give each item to one")
def _():
    with one_server() as (server, zk), client(server) as other:
        queue = zk.Queue("/queue")
        for item in (b"b", b"c"):
            queue.put(item)
        queue.put(b"a", priority=1)
        assert len(queue) == 3
        assert [other.Queue("/queue").get() for _ in range(4)] == [b"a", b"b", b"c", None]
        locking, theirs = zk.LockingQueue("/locking"), other.LockingQueue("/locking")
        locking.put_all([b"1", b"2"])
        assert locking.get(timeout=20) == b"1"
        assert theirs.get(timeout=20) == b"2"
        assert locking.consume() and theirs.consume()
        assert len(locking) == 0


@case("Counter counts what several add")
def _():
    with one_server() as (server, zk), client(server) as other:
        def add(who):
            counter = who.Counter("/counter")
            for _ in range(20):
                counter += 1

        threads = [threading.Thread(target=add, args=(c,)) for c in (zk, other)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert zk.Counter("/counter").value == 40


@case("Party and ShallowParty know who is there")
def _():
    with one_server() as (server, zk), client(server) as other:
        for kind in ("Party", "ShallowParty"):
            mine = getattr(zk, kind)("/" + kind, "me")
            theirs = getattr(other, kind)("/" + kind, "you")
            mine.join()
            theirs.join()
            assert sorted(mine) == ["me", "you"] and len(theirs) == 2
            theirs.leave()
            assert list(mine) == ["me"]


@case("Barrier and DoubleBarrier hold until all are there")
def _():
    with one_server() as (server, zk), client(server) as other:
        barrier = zk.Barrier("/barrier")
        barrier.create()
        assert not other.Barrier("/barrier").wait(0.05)
        barrier.remove()
        assert other.Barrier("/barrier").wait(20)
        doubles = [c.DoubleBarrier("/double", 2) for c in (zk, other)]
        entered = threading.Event()
        thread = threading.Thread(target=lambda: (doubles[0].enter(), entered.set()))
        thread.start()
        eventually(lambda: zk.exists("/double") and zk.get_children("/double"), "the first")
        assert not entered.is_set()
        doubles[1].enter()
        thread.join()
        leaver = threading.Thread(target=doubles[0].leave)
        leaver.start()
        doubles[1].leave()
        leaver.join()


@case("a lease is one holder's for its time")
def _():
    from datetime import timedelta

    with one_server() as (server, zk), client(server) as other:
        assert NonBlockingLease(zk, "/lease", timedelta(hours=1), identifier="me")
        assert not NonBlockingLease(other, "/lease", timedelta(hours=1), identifier="you")
        assert NonBlockingLease(zk, "/lease", timedelta(hours=1), identifier="me")


# --- sessions and servers ------------------------------------------------------------------------


class States(list):
    """What a client's listener was told."""

    def __init__(self, zk):
        zk.add_listener(self.append)

    def have(self, *expected):
        eventually(lambda: self[: len(expected)] == list(expected), f"{expected}, only {self}")


@case("an expired session is lost, with its ephemerals, and followed by another")
def _():
    with one_server("--servers", "3") as (server, zk), client(server) as other:
        zk.create("/mine", ephemeral=True)
        gone = Events()
        other.exists("/mine", watch=gone)
        states, before = States(zk), session_of(zk)
        server.command("expire " + before)
        gone.are((EventType.DELETED, "/mine"))
        states.have(KazooState.SUSPENDED, KazooState.LOST, KazooState.CONNECTED)
        assert session_of(zk) != before
        assert before not in server.command("sessions").split()
        assert zk.retry(zk.create, "/mine", ephemeral=True) == "/mine"


@case("a session survives its server, and its watches do")
def _():
    with one_server("--servers", "3") as (server, zk):
        zk.create("/mine", b"0", ephemeral=True)
        values = []
        zk.DataWatch("/mine", lambda data, stat: values.append(data))
        states, before = States(zk), session_of(zk)
        for number in "0120":  # whichever it is connected to is among them
            server.command("kill " + number)
            assert zk.retry(zk.exists, "/mine").ephemeralOwner == int(before, 16)
            server.command("revive " + number)
        assert session_of(zk) == before
        states.have(KazooState.SUSPENDED, KazooState.CONNECTED)
        assert KazooState.LOST not in states
        assert set(values) == {b"0"}
        server.command("put /mine 1")
        eventually(lambda: values[-1] == b"1", "the watch told of the change")


@case("nobody is served without a quorum, and all are when it is back")
def _():
    with one_server("--servers", "3") as (server, zk):
        zk.create("/a", b"0")
        states, before = States(zk), session_of(zk)
        server.command("kill 0")
        server.command("kill 1")
        states.have(KazooState.SUSPENDED)
        eventually(lambda: server.try_command("leader").startswith("error"), "no leader")
        server.command("revive 1")
        assert zk.retry(zk.set, "/a", b"1").version == 1
        assert session_of(zk) == before


@case("a read-only client reads without a quorum")
def _():
    with Server("--read-only") as server:
        server.command("put /a data")
        server.command("quorum off")
        with client(server, read_only=True) as zk:
            eventually(lambda: zk.client_state == KeeperState.CONNECTED_RO, "read-only")
            assert zk.get("/a")[0] == b"data"
            refuses(error.NotReadOnlyCallError, zk.set, "/a", b"")


@case("a reply or a request is lost, and an error is made up, by command")
def _():
    with one_server() as (server, zk):
        zk.create("/a", b"0")
        server.command("fault 0 lose-reply set_data")
        refuses(error.ConnectionLoss, zk.set, "/a", b"1")
        assert zk.retry(zk.get, "/a")[0] == b"1"
        server.command("fault 0 lose-request set_data")
        refuses(error.ConnectionLoss, zk.set, "/a", b"2")
        assert zk.retry(zk.get, "/a")[0] == b"1"
        server.command("fault 0 answer get_data no_auth")
        refuses(error.NoAuthError, zk.get, "/a")
        server.command("fault 0 none")
        assert zk.get("/a")[0] == b"1"


@case("stop ends the session, and its ephemerals at once")
def _():
    with one_server() as (server, zk):
        with client(server) as other:
            other.create("/theirs", ephemeral=True)
            assert len(server.command("sessions").split()) == 2
        assert server.command("sessions") == session_of(zk)
        assert zk.exists("/theirs") is None


DIES = """
import os, sys
from kazoo.client import KazooClient
zk = KazooClient(hosts=sys.argv[1], timeout=float(sys.argv[2]))
zk.start(timeout=20)
zk.create("/theirs", ephemeral=True)
print(zk.client_id[0], zk.client_id[1].hex(), flush=True)
os._exit(0)
"""


def session_of_the_dead(server, timeout):
    """Id and password that a process has left behind, and /theirs."""
    command = [sys.executable, "-W", "ignore", "-c", DIES, server.connect, str(timeout)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return int(said.split()[0]), bytes.fromhex(said.split()[1])


@case("the session of a client that has died ends by its timeout")
def _():
    with one_server("--min-session-timeout", "100") as (server, zk):
        session_of_the_dead(server, 0.2)
        gone = Events()
        if zk.exists("/theirs", watch=gone):
            gone.are((EventType.DELETED, "/theirs"))
        assert server.command("sessions") == session_of(zk)


@case("a session goes along by its id and password")
def _():
    with Server() as server:
        left = session_of_the_dead(server, 10)
        with client(server, client_id=left) as heir:
            assert heir.client_id == left
            assert heir.exists("/theirs").ephemeralOwner == left[0]


sys.exit(tap.main())
