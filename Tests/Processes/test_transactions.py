"""Commands about the server inside MULTI: each works, is refused when it is queued, or answers as Redis does."""

import re
import time

import pytest

from harness import in_sync, wait_until
from wire import ErrorReply, Wire


def run(wire, *commands):
    """Queues the commands and gives the elements of EXEC's reply."""
    assert wire.ask("MULTI") == b"OK"
    for command in commands:
        assert wire.ask(*command) == b"QUEUED", command
    return wire.ask("EXEC")


def test_what_redis_sentinel_sends_makes_a_slave(cluster):
    config = cluster.directory / "slave.conf"
    config.write_text("loglevel info\n")
    master = cluster.master()
    node = cluster.master("--config", config, "--loops", "2", name="node")
    master.c.set("k", "of the master")
    with Wire(node.port) as victim, Wire(node.port) as wire:
        assert victim.alive()
        reply = run(
            wire,
            ["SLAVEOF", "127.0.0.1", master.port],
            ["CONFIG", "REWRITE"],
            ["CLIENT", "KILL", "TYPE", "normal"],
            ["CLIENT", "KILL", "TYPE", "pubsub"],
        )
        assert reply[:2] == [b"OK", b"OK"]
        assert reply[2] >= 1 and reply[3] == 0
        assert victim.until_closed(30) == b""
    wait_until(lambda: node.info("replication")["role"] == "slave")
    in_sync(master, node)
    assert node.call("GET", "k") == b"of the master"
    assert f"master 127.0.0.1:{master.port}" in config.read_text()


def test_replicaof_no_one_in_a_transaction_makes_a_master(cluster):
    master = cluster.master()
    slave = cluster.slave(master)
    in_sync(master, slave)
    with slave.wire() as wire:
        assert run(wire, ["REPLICAOF", "NO", "ONE"], ["ROLE"], ["PING"])[0] == b"OK"
        assert wire.ask("SET", "k", "x") == b"OK"
    assert slave.info("replication")["role"] == "master"


def test_replicaof_that_cannot_be_says_so(cluster):
    with cluster.master().wire() as wire:
        reply = run(wire, ["REPLICAOF", "127.0.0.1", "70000"], ["SET", "k", "x"], ["GET", "k"])
        assert isinstance(reply[0], ErrorReply) and "Invalid master port" in str(reply[0])
        assert reply[1:] == [b"OK", b"x"]


REFUSED = [
    ["FAILOVER"], ["FAILOVER", "ABORT"], ["SHUTDOWN"], ["SHUTDOWN", "ABORT"], ["SAVE"], ["PROMOTE"], ["COMPACT"], ["SCRUB"],
    ["MS_VOTER", "0" * 40, "no"], ["COMMIT", "LEVEL", "quorum"], ["TABLE", "SET", "0", "COMMIT", "quorum"],
    ["MS_STATE"], ["MS_FORWARD", "x"], ["MS_REGISTER_SLAVE", "x"], ["MS_SYNC_SLAVE", "x"], ["MS_VOTE", "x"], ["MS_NEW_MASTER", "x"],
]


def test_what_cannot_be_in_a_transaction_is_refused_when_it_is_queued(cluster):
    with cluster.master().wire() as wire:
        for command in REFUSED:
            assert wire.ask("MULTI") == b"OK"
            refusal = wire.ask(*command)
            assert isinstance(refusal, ErrorReply) and "transaction" in str(refusal), (command, refusal)
            assert str(wire.ask("EXEC")).startswith("EXECABORT"), command


def test_commands_that_wait_keep_their_places_and_others_stay_one_moment(cluster):
    with cluster.master("--loops", "2").wire() as wire:
        wire.ask("CLIENT", "SETNAME", "me")
        reply = run(
            wire,
            ["SET", "a", "1"],
            ["CLIENT", "LIST"],
            ["INCR", "a"],
            ["CLIENT", "KILL", "ID", "123456"],
            ["CONFIG", "SET", "max-slaves", "5"],
            ["CONFIG", "SET", "sync-rate", "5mb"],
            ["CONFIG", "GET", "sync-rate"],
            ["DEBUG", "SLEEP", "0.2"],
            ["WAIT", "1", "0"],
            ["WAITLSN", "1000000", "0"],
            ["GET", "a"],
            ["BGSAVE"],
            ["CLIENT", "PAUSE", "0"],
        )
        assert reply[0] == b"OK" and b"name=me" in reply[1] and reply[2] == 2 and reply[3] == 0
        assert isinstance(reply[4], ErrorReply)
        assert reply[5] == b"OK" and reply[6] == [b"sync-rate", b"5mb"] and reply[7] == b"OK"
        assert reply[8:11] == [0, 0, b"2"]
        assert reply[12] == b"OK"
        assert wire.alive()


def test_a_sleep_in_a_transaction_is_slept(cluster):
    with cluster.master().wire() as wire:
        began = time.monotonic()
        assert run(wire, ["DEBUG", "SLEEP", "0.5"], ["PING"])[0] == b"OK"
        assert time.monotonic() - began >= 0.5


def test_the_killer_in_its_own_transaction_gets_its_answer(cluster):
    with cluster.master("--loops", "2").wire() as wire:
        wire.send(b"MULTI\r\nCLIENT KILL TYPE normal SKIPME no\r\nPING\r\nEXEC\r\nPING\r\n")
        rest = wire.until_closed(30)
        assert re.search(rb"\*2\r\n:[1-9]\r\n\+PONG\r\n$", rest), rest


def test_a_bound_on_staleness_holds_in_a_transaction(cluster, stopped):
    master = cluster.master()
    slave = cluster.slave(master)
    master.c.set("k", "x")
    in_sync(master, slave)
    with slave.wire() as wire:
        assert wire.ask("READ", "MAXLAG", "200", "ms") == b"OK"
        stopped(master)
        wait_until(lambda: str(wire.ask("GET", "k")).startswith("STALE"))
        wire.ask("MULTI")
        assert wire.ask("GET", "k") == b"QUEUED"
        assert str(wire.ask("EXEC")).startswith("STALE")
        assert wire.alive()
