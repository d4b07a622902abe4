"""Bounds on what a few bytes of a client can take: memory of the log, turns on an event loop, memory before authentication."""

import pathlib
import re
import resource
import time

import pytest

from harness import lives, wait_until
from wire import Wire, encode


def resident(server):
    """Bytes of memory that are not files'."""
    return server.memory()


class Peak:
    """The most memory that a server was seen with."""

    def __init__(self, server):
        self.server, self.bytes = server, 0

    def look(self):
        self.bytes = max(self.bytes, self.server.memory())


def test_pipelined_writes_of_large_values_wait_for_the_disk_and_memory_stays_bounded(cluster):
    master = cluster.master("--loops", "1", "--log-buffer-max", "32mb")
    peak = Peak(master)
    with Wire(master.port, timeout=300) as writer, Wire(master.port) as reader:
        writer.send(b"".join(encode("SETRANGE", "k", 16777215, "x") for _ in range(60)))
        writer.socket.settimeout(0.01)
        done = 0
        while done < 60:
            peak.look()
            assert reader.alive()
            try:
                assert writer.reply() == b":16777216\r\n"
                done += 1
            except TimeoutError:
                pass
    # 960 MB were written.
    assert peak.bytes < 400 << 20, f"{peak.bytes >> 20} MiB"


def test_one_client_cannot_starve_the_others_of_its_loop(cluster):
    master = cluster.master("--loops", "1")
    peak = Peak(master)
    with Wire(master.port, timeout=300) as writer, Wire(master.port) as reader:
        writer.ask("SET", "k", "x" * (1 << 20))
        began = time.monotonic()
        writer.send(b"".join(encode("APPEND", "k", "0123456789") for _ in range(1000)))
        longest, count, left = 0, 0, 1000
        writer.socket.setblocking(False)
        while left > 0:
            start = time.monotonic()
            assert reader.ask("GETRANGE", "k", "0", "3") == b"xxxx"
            longest, count = max(longest, time.monotonic() - start), count + 1
            peak.look()
            try:
                while True:
                    writer.reply()
                    left -= 1
            except BlockingIOError:
                pass
        took = time.monotonic() - began
    assert longest < max(0.5, took / 4), f"one read took {longest:.2f} s of {took:.2f} s, {count} reads"
    assert peak.bytes < 400 << 20, f"{peak.bytes >> 20} MiB"


def test_slow_commands_in_a_pipeline_let_others_in_between(cluster):
    master = cluster.master("--loops", "1", "--durability", "none")
    with Wire(master.port, timeout=300) as busy, Wire(master.port, timeout=300) as reader:
        busy.ask("SETRANGE", "k", (32 << 20) - 1, "x")
        busy.send(b"".join(encode("BITCOUNT", "k") for _ in range(100)) + encode("SET", "done", "1"))
        # The first of them has been answered: the batch is at work, and its end is far away.
        assert busy.reply() == b":4\r\n"
        assert reader.ask("EXISTS", "done") == 0
        assert [busy.reply() for _ in range(99)] == [b":4\r\n"] * 99
        assert busy.reply() == b"+OK\r\n"


def test_slow_pipelines_of_several_clients_let_others_in_between(cluster):
    """When the turn of one ends, that of the next is long due; and what the maintenance thread tells the loop is no turn."""
    master = cluster.master("--loops", "1", "--durability", "none")
    with Wire(master.port, timeout=300) as one, Wire(master.port, timeout=300) as two, Wire(master.port, timeout=300) as reader:
        one.ask("SETRANGE", "k", (32 << 20) - 1, "x")
        for number, busy in enumerate((one, two)):
            busy.send(b"".join(encode("BITCOUNT", "k") for _ in range(30)) + encode("SET", f"done{number}", "1"))
        for _ in range(5):
            for busy in (one, two):
                assert busy.reply() == b":4\r\n"
            assert reader.ask("EXISTS", "done0", "done1") == 0
        for busy in (one, two):
            assert [busy.reply() for _ in range(26)] == [b":4\r\n"] * 25 + [b"+OK\r\n"]


def test_a_transaction_is_bounded_and_says_so(cluster):
    master = cluster.master("--loops", "1", "--durability", "none")
    with Wire(master.port, timeout=300) as wire:
        wire.ask("MULTI")
        for _ in range(40):
            wire.ask("SETRANGE", "k", (16 << 20) - 1, "x")
        reply = wire.ask("EXEC")
        assert reply[0] == 16 << 20
        assert str(reply[-1]).startswith("OOM the transaction would append more")
        assert wire.alive()
        assert wire.ask("STRLEN", "k") == 16 << 20
    assert resident(master) < 700 << 20


# Before authentication


def open_files(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open here")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def test_what_strangers_hold_is_bounded_together_and_given_back(cluster):
    count = 3000
    open_files(count + 200)
    master = cluster.master("--requirepass", "secret", "--loops", "2")
    before = resident(master)
    part = b"*2\r\n$4\r\nAUTH\r\n$16000\r\n" + b"x" * 15900
    strangers = []
    for _ in range(count):
        wire = Wire(master.port)
        wire.send(part)
        strangers.append(wire)
    known = master.client()
    assert known.ping()
    held = resident(master) - before
    assert held < 120 << 20, f"{held >> 20} MiB for {count} strangers"
    info = master.client().info("clients")
    assert info["unauthenticated_bytes"] <= 17 << 20
    assert info["unauthenticated_refused"] > count / 2
    for wire in strangers:
        wire.close()
    wait_until(lambda: master.client().info("clients")["unauthenticated_bytes"] == 0)
    wait_until(lambda: resident(master) - before < 48 << 20, ceiling=60, what="the memory is given back")
    # A password in two pieces is let in as ever.
    with Wire(master.port) as wire:
        whole = encode("AUTH", "secret")
        wire.send(whole[:10])
        assert known.ping()
        wire.send(whole[10:])
        assert wire.reply() == b"+OK\r\n"


def test_strangers_that_never_read_are_closed(cluster):
    open_files(600)
    master = cluster.master("--requirepass", "secret", "--loops", "2")
    before = resident(master)
    strangers = [Wire(master.port, receive_buffer=4096) for _ in range(40)]
    noise = b"GET k\r\n" * 4000
    for wire in strangers:
        wire.socket.setblocking(False)

    def all_closed():
        left = 0
        for wire in strangers:
            try:
                wire.socket.send(noise)
                left += 1
            except BlockingIOError:
                left += 1
            except OSError:
                pass
        return left == 0

    wait_until(all_closed, what="connections that never read are closed")
    assert master.client().ping()
    wait_until(lambda: resident(master) - before < 64 << 20)


def test_who_never_authenticates_is_closed_in_time(cluster):
    master = cluster.master("--requirepass", "secret", "--auth-timeout", "1s")
    assert master.c.ping()
    with Wire(master.port) as silent, Wire(master.port) as slow:
        slow.send(b"*2\r\n$4\r\nAUTH")
        assert b"has not authenticated in time" in silent.until_closed(30)
        slow.until_closed(30)
    assert master.c.ping()
    assert master.c.config_set("auth-timeout", "0")
    with Wire(master.port) as silent:
        lives(master, 2)
        assert silent.call("PING").startswith(b"-NOAUTH")


def test_output_before_authentication_needs_no_password_to_be_counted(cluster):
    """RESET makes a stranger of a client that was let in."""
    master = cluster.master("--requirepass", "secret", "--auth-timeout", "1s")
    with Wire(master.port) as wire:
        assert wire.ask("AUTH", "secret") == b"OK"
        lives(master, 1)
        assert wire.alive()
        assert wire.ask("RESET") == b"RESET"
        assert b"has not authenticated in time" in wire.until_closed(30)
