"""What the server tells of its commands and clients: INFO commandstats and latencystats, LATENCY HISTOGRAM, hits and misses,
CLIENT LIST; beside a real Redis where both must say the same."""

import re

import pytest

from harness import connected, wait_until
from wire import Wire


@pytest.fixture(scope="module")
def servers(shared):
    return shared.master("--durability", "none", "--loops", "2"), shared.redis()


def counted(server):
    """calls, rejected and failed calls by command."""
    fields = server.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): tuple(int(re.search(rf"\b{part}=(\d+)", text)[1]) for part in ("calls", "rejected_calls", "failed_calls"))
        for name, text in fields.items()
    }


LINES = [
    "SET a 1", "SET a 2", "GET a", "GET none", "GET", "INCR a", "SET s x", "INCR s", "OBJECT ENCODING a", "OBJECT NOSUCH", "OBJECT ENCODING",
    "CONFIG GET port", "CLIENT GETNAME", "MULTI", "SET a 3", "GET a b", "EXEC", "MULTI", "SET a 4", "INCR s", "EXEC", "NOSUCH", "COMMAND COUNT",
    "RENAME none x", "DEL a", "RESTORE r 0 x", "BITFIELD f SET u8 0 1",
]  # fmt: skip


def test_calls_are_counted_as_redis_counts_them(servers):
    for server in servers:
        server.call("CONFIG", "RESETSTAT")
        with Wire(server.port) as wire:
            for line in LINES:
                wire.call(*line.split())
    ours, theirs = counted(servers[0]), counted(servers[1])
    # Those that look, and what each does on its first connection.
    for name in ("info", "config|resetstat", "hello", "ping"):
        ours.pop(name, None), theirs.pop(name, None)
    assert ours == theirs


def test_times_of_commands(servers):
    server = servers[0]
    server.call("CONFIG", "RESETSTAT")
    for _ in range(100):
        server.call("SET", "k", "v")
    server.call("DEBUG", "SLEEP", "0")
    fields = server.info("commandstats")
    assert re.fullmatch(r"calls=100,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=0", fields["cmdstat_set"])
    percentiles = server.info("latencystats")
    assert re.fullmatch(r"p50=\d+\.\d+,p99=\d+\.\d+,p99\.9=\d+\.\d+", percentiles["latency_percentiles_usec_set"])
    assert "cmdstat_set" not in server.info()
    assert "cmdstat_set" in server.info("all") and "latency_percentiles_usec_set" in server.info("everything")


def test_percentiles_are_those_that_are_asked_for(servers):
    for server in servers:
        assert server.call("CONFIG", "SET", "latency-tracking-info-percentiles", "0.0 50 100") == b"OK"
        server.call("SET", "k", "v")
        text = server.info("latencystats")["latency_percentiles_usec_set"]
        assert [part.partition("=")[0] for part in text.split(",")] == ["p0", "p50", "p100"]
        assert server.call("CONFIG", "SET", "latency-tracking-info-percentiles", "") == b"OK"
        assert server.call("CONFIG", "GET", "latency-tracking-info-percentiles")[1] == b""
        assert server.info("latencystats").get("latency_percentiles_usec_set", "") == ""
        server.call("CONFIG", "SET", "latency-tracking-info-percentiles", "50 99 99.9")


def test_latency_histogram(servers):
    for server in servers:
        server.call("CONFIG", "RESETSTAT")
        for _ in range(50):
            server.call("SET", "k", "v")
        server.call("CONFIG", "GET", "port")
        with Wire(server.port) as wire:
            wire.ask("HELLO", 3)
            found = wire.ask("LATENCY", "HISTOGRAM", "SET", "config", "nosuch", "get")
        found.pop(b"config|resetstat", None)
        assert set(found) == {b"set", b"config|get"}
        assert found[b"set"][b"calls"] == 50
        steps = list(found[b"set"][b"histogram_usec"].items())
        assert steps == sorted(steps) and steps[-1][1] == 50
        assert all(step in (1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816) for step, _ in steps)
        assert b"set" in server.call("LATENCY", "HISTOGRAM")
        # Without tracking nothing is added.
        server.call("CONFIG", "SET", "latency-tracking", "no")
        server.call("CONFIG", "RESETSTAT")
        server.call("SET", "k", "v")
        assert server.call("LATENCY", "HISTOGRAM", "set") == []
        server.call("CONFIG", "SET", "latency-tracking", "yes")


LOOKUPS = """
    GET a|GET none|MGET a b none|EXISTS a a none|TOUCH a none|TTL a|TTL none|PTTL a|EXPIRETIME a|PEXPIRETIME none|TYPE a|TYPE none|STRLEN a
    STRLEN none|GETRANGE a 0 1|GETRANGE none 0 1|GETBIT a 1|GETBIT none 1|BITCOUNT a|BITCOUNT none|BITPOS a 1|BITPOS none 1|BITOP AND d a none
    LCS a b|LCS a none|OBJECT ENCODING a|OBJECT ENCODING none|OBJECT REFCOUNT a|OBJECT IDLETIME a|OBJECT FREQ a|OBJECT FREQ none|DUMP a|DUMP none
    GETSET g 1|GETDEL a|GETDEL none|GETEX b|GETEX none|RENAME b b2|EXPIRE b2 100|PERSIST b2|APPEND b2 x|SETRANGE b2 0 x
    INCR n|SET s v GET|SETNX s v|SETBIT s 1 1|BITFIELD s GET u8 0|BITFIELD s SET u8 0 1|BITFIELD_RO s GET u8 0|BITFIELD_RO none GET u8 0
    DEL s none|UNLINK n|RANDOMKEY|SCAN 0|KEYS *|MEMORY USAGE b2|MEMORY USAGE none|WATCH b2|MOVE b2 1|RESTORE b2 0 x|MSETNX b2 1|DBSIZE
"""


def test_hits_and_misses_are_those_of_redis(servers):
    def figures(server):
        info = server.info("stats")
        return int(info["keyspace_hits"]), int(info["keyspace_misses"])

    for server in servers:
        server.call("FLUSHALL")
        server.call("MSET", "a", "hello", "b", "world")
    for line in re.split(r"[|\n]", LOOKUPS):
        if not (words := line.split()):
            continue
        grown = []
        for server in servers:
            before = figures(server)
            with Wire(server.port) as wire:
                wire.call(*words)
            after = wait_until(lambda server=server: [figures(server)])[0]
            grown.append((after[0] - before[0], after[1] - before[1]))
        assert grown[0] == grown[1], f"{line}: hits and misses of ours {grown[0]}, of Redis {grown[1]}"


def test_blocked_clients_under_client_pause(servers):
    for server in servers:
        with Wire(server.port) as admin, Wire(server.port) as paused:
            assert admin.ask("CLIENT", "PAUSE", "60000", "WRITE") == b"OK"
            paused.send(b"SET k v\r\n")
            wait_until(lambda: int(server.info("clients")["blocked_clients"]) == 1)
            assert admin.ask("CLIENT", "UNPAUSE") == b"OK"
            assert paused.reply() == b"+OK\r\n"
            wait_until(lambda: int(server.info("clients")["blocked_clients"]) == 0)


def line_of(server, address):
    for line in server.call("CLIENT", "LIST").decode().splitlines():
        fields = dict(part.partition("=")[::2] for part in line.split())
        if fields["addr"] == address:
            return {name: int(value) for name, value in fields.items() if re.fullmatch(r"-?\d+", value)}
    raise AssertionError(f"no client {address}")


def test_client_list_tells_of_queries_arguments_and_replies(servers):
    server = servers[0]
    with Wire(server.port) as wire:
        own = wire.ask("CLIENT", "INFO").decode()
        fields = dict(part.partition("=")[::2] for part in own.split())
        # CLIENT INFO as it came, and its words.
        assert int(fields["qbuf"]) == len(b"*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n")
        assert int(fields["argv-mem"]) == len("CLIENTINFO")
        address = fields["addr"]
        idle = line_of(server, address)
        assert (idle["qbuf"], idle["argv-mem"], idle["obl"], idle["oll"], idle["omem"]) == (0, 0, 0, 0, 0)
        assert 0 < idle["tot-mem"] < 100_000
        # Half a command.
        wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n" + b"x" * 150_000)
        wait_until(lambda: line_of(server, address)["qbuf"] > 150_000)
        assert line_of(server, address)["tot-mem"] > 150_000
        wire.send(b"x" * 50_000 + b"\r\n")
        assert wire.reply() == b"+OK\r\n"
    # Replies that are not read.
    server.call("SET", "large", "x" * 1_000_000)
    with Wire(server.port, receive_buffer=4096) as slow:
        address = dict(part.partition("=")[::2] for part in slow.ask("CLIENT", "INFO").decode().split())["addr"]
        for _ in range(60):
            slow.send(b"GET large\r\n")
        found = wait_until(lambda: (line := line_of(server, address))["obl"] + line["omem"] > 50_000 and line)
        assert found["tot-mem"] > 50_000


def test_client_kill_type_master_takes_the_link_up_again(cluster):
    master = cluster.master()
    slave = cluster.slave(master)
    connected(master, 1)
    wait_until(lambda: slave.info("replication")["master_link_status"] == "up")
    assert slave.call("CLIENT", "KILL", "TYPE", "master") == 1
    slave.said("link to the master is down")
    wait_until(lambda: slave.info("replication")["master_link_status"] == "up")
    assert master.call("CLIENT", "KILL", "TYPE", "master") == 0
