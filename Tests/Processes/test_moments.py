"""DBSIZE, KEYS and SCAN beside transactions: always one moment, on master and slave, and writers do not wait for them."""

import threading
import time

import pytest

from harness import STAND_IN, in_sync, wait_until
from wire import encode

pytestmark = pytest.mark.timeout(150)
COUNT = 3000


class Units:
    """Sets and deletes COUNT keys, each time as one unit, until the end."""

    def __init__(self, server):
        self.server, self.stopping, self.units = server, threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        keys = [f"k:{n}" for n in range(COUNT)]
        pairs = [part for key in keys for part in (key, "v")]
        transaction = (
            encode("MULTI") + b"".join(encode("SET", key, "w") for key in keys) + encode("EXEC"),
            encode("MULTI") + b"".join(encode("DEL", key) for key in keys) + encode("EXEC"),
        )
        with self.server.wire(timeout=60) as wire:
            while not self.stopping.is_set():
                wire.ask("MSET", *pairs)
                wire.ask("DEL", *keys)
                for commands in transaction:
                    wire.send(commands)
                    for _ in range(COUNT + 2):
                        wire.reply()
                self.units += 4

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def watch(server, units, seen, slept):
    def ours(keys):
        return sum(1 for key in keys if key.startswith(b"k:"))

    with server.wire(timeout=60) as wire:
        begin, turn = time.monotonic(), 0
        while time.monotonic() < begin + 60 and (units.units < 8 or turn < 40 or len({count for _, count in seen}) < 2):
            turn += 1
            seen.add(("DBSIZE", wire.ask("DBSIZE")))
            if turn % 5 == 0:
                seen.add(("KEYS", ours(wire.ask("KEYS", "*")) + slept))
            if turn % 5 == 1:
                seen.add(("KEYS k:*", len(wire.ask("KEYS", "k:*")) + slept))
            if turn % 5 == 2:
                cursor, keys = wire.ask("SCAN", 0, "COUNT", 1_000_000)
                assert cursor == b"0"
                seen.add(("SCAN", ours(keys) + slept))
            if turn % 5 == 3:
                wire.send(encode("MULTI") + encode("DBSIZE") + encode("KEYS", "k:*") + encode("DBSIZE") + encode("EXEC"))
                replies = [wire.value() for _ in range(5)][-1]
                assert replies[0] == replies[2] == len(replies[1]) + slept
                seen.add(("MULTI", replies[0]))
            if turn % 5 == 4 and not STAND_IN:
                info = server.info("keyspace").get("db0", "keys=0")
                seen.add(("INFO", int(info.split(",")[0].split("=")[1])))


@pytest.mark.parametrize("flags", [(), ("--loops", "2"), ("--loops", "2", "--segment-bytes", "256kb", "--ops-buffer", "0", "--wal-keep", "0")])
def test_a_unit_is_seen_whole_or_not_at_all(cluster, flags):
    master = cluster.master(*flags)
    slave = cluster.slave(master, *flags)
    slept = 500
    for n in range(slept):
        master.call("SET", f"always:{n}", "v")
    in_sync(master, slave)
    seen = {master: set(), slave: set()}
    with Units(master) as units:
        threads = [threading.Thread(target=watch, args=(server, units, seen[server], slept)) for server in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert units.units >= 8
    for server, what in seen.items():
        odd = sorted(item for item in what if item[1] not in (slept, slept + COUNT))
        assert not odd, f"{server.name}: {odd[:10]}"
        assert len({count for _, count in what}) == 2, "both were seen"


@pytest.mark.skipif(STAND_IN, reason="Redis stands still meanwhile")
def test_writers_do_not_wait_for_keys(cluster):
    master = cluster.master("--loops", "2")
    keys = 100_000
    for first in range(0, keys, 1000):
        master.call("MSET", *[part for n in range(first, first + 1000) for part in (f"key:{n}", "v")])
    stopping, lock, begun, written = threading.Event(), threading.Lock(), [0], [0]

    def write():
        with master.wire(timeout=60) as wire:
            while not stopping.is_set():
                with lock:
                    number, begun[0] = begun[0], begun[0] + 1
                wire.ask("SET", f"new:{number}", "v")
                with lock:
                    written[0] += 1

    with master.wire(timeout=60) as first, master.wire(timeout=60) as second:
        writers = [threading.Thread(target=write) for _ in range(3)]
        for writer in writers:
            writer.start()
        wait_until(lambda: written[0] > 100)
        for reader in (first, second) * 2:
            before = written[0]
            found = reader.ask("KEYS", "*")
            fresh = sum(1 for key in found if key.startswith(b"new:"))
            assert len(found) - fresh == keys and len(set(found)) == len(found)
            assert before <= fresh <= begun[0]
        stopping.set()
        for writer in writers:
            writer.join()
