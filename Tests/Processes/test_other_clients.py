"""What one event loop answers about connections of another is so when it is answered: CLIENT KILL, PAUSE, UNBLOCK, LIST."""

import threading

import pytest

from harness import wait_until, waits
from wire import ErrorReply, Wire, encode


def test_a_killed_connection_runs_no_command_after_the_answer(cluster):
    master = cluster.master("--loops", "2", "--durability", "none")
    kills = 3000
    with master.wire() as killer:
        for number in range(kills):
            victim = Wire(master.port)
            me = victim.ask("CLIENT", "ID")
            key = f"k{number}"
            # Many writes are on their way, or in the server, when the connection is killed.
            victim.send(b"".join(encode("INCR", key) for _ in range(200)))
            assert killer.ask("CLIENT", "KILL", "ID", me) == 1
            seen = killer.ask("GET", key)
            late = killer.ask("SET", key, "fence", "GET")
            assert late == seen, f"kill {number}: {seen} at the answer, {late} later"
            victim.close()
            if number % 50 == 0:
                assert killer.ask("GET", key) == b"fence"
        pipe = [["GET", f"k{number}"] for number in range(kills)]
        assert set(killer.pipeline(pipe)) == {b"$5\r\nfence\r\n"}


def test_a_killed_client_is_not_listed_any_more(cluster):
    master = cluster.master("--loops", "2")
    with master.wire() as killer:
        for _ in range(200):
            with Wire(master.port) as victim:
                me = victim.ask("CLIENT", "ID")
                assert killer.ask("CLIENT", "KILL", "ID", me) == 1
                assert b"id=%d " % me not in killer.ask("CLIENT", "LIST")
                assert killer.ask("CLIENT", "KILL", "ID", me) == 0


def test_the_killer_may_be_among_the_killed(cluster):
    master = cluster.master("--loops", "2")
    others = [Wire(master.port) for _ in range(8)]
    assert all(other.alive() for other in others)
    with master.wire() as killer:
        killer.send(b"CLIENT KILL TYPE normal SKIPME no\r\nSET late 1\r\n")
        assert killer.until_closed(30).startswith(b":9\r\n")
    for other in others:
        assert other.until_closed(30) == b""
    assert master.call("GET", "late") is None


def test_kill_by_address_answers_as_redis(cluster):
    master = cluster.master("--loops", "2")
    with master.wire() as killer, Wire(master.port) as victim:
        assert victim.alive()
        address = "%s:%d" % victim.socket.getsockname()
        assert killer.ask("CLIENT", "KILL", address) == b"OK"
        assert str(killer.ask("CLIENT", "KILL", address)) == "ERR No such client"


def test_no_write_runs_after_a_pause_was_answered(cluster):
    master = cluster.master("--loops", "2", "--durability", "none")
    running = True

    def write(wire):
        while running:
            wire.send(b"".join(encode("INCR", "n") for _ in range(500)))
            for _ in range(500):
                wire.reply()

    wires = [Wire(master.port) for _ in range(2)]
    threads = [threading.Thread(target=write, args=(wire,), daemon=True) for wire in wires]
    for thread in threads:
        thread.start()
    with master.wire() as wire:
        for _ in range(100):
            assert wire.ask("CLIENT", "PAUSE", "100000", "WRITE") == b"OK"
            seen = wire.ask("GET", "n")
            # The writers are held back by then, however the loops take turns.
            waits(master, 2)
            assert wire.ask("GET", "n") == seen
            assert wire.ask("CLIENT", "UNPAUSE") == b"OK"
            wait_until(lambda: wire.ask("GET", "n") != seen)
        running = False
        for thread in threads:
            thread.join(60)


@pytest.mark.parametrize("command", [["WAIT", "1", "0"], ["WAITLSN", "1000000", "0"], ["WAITAOF", "1", "1", "0"]])
@pytest.mark.parametrize("word", [None, "TIMEOUT", "ERROR"])
def test_unblock_ends_a_wait_of_any_loop(cluster, command, word):
    master = cluster.master("--loops", "2")
    with master.wire() as wire:
        for _ in range(4):
            with Wire(master.port) as blocked:
                me = blocked.ask("CLIENT", "ID")
                assert wire.ask("CLIENT", "UNBLOCK", me) == 0
                assert blocked.ask("SET", "k", "x") == b"OK"
                blocked.send(encode(*command))
                wait_until(lambda: wire.ask("CLIENT", "UNBLOCK", me, *([word] if word else [])) == 1)
                reply = blocked.value()
                if word == "ERROR":
                    assert str(reply) == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
                else:
                    assert not isinstance(reply, ErrorReply)
                assert blocked.alive()
                assert wire.ask("CLIENT", "UNBLOCK", me) == 0
