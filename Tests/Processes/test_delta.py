"""Delta sync between real processes: a slave that was away gets what changed, and shows it in one step."""

import random
import threading
import time

import pytest

from harness import connected, in_sync, same_state, wait_until
from load import Counters, fill
from wire import encode

pytestmark = pytest.mark.timeout(900)


def followed(master, *slaves, ceiling=120):
    in_sync(master, *slaves, ceiling=ceiling)
    same_state(master, *slaves, ceiling=ceiling)


def served(master):
    info = master.info()
    return {name: int(info[name]) for name in ("sync_full", "sync_delta", "sync_partial_ok")}


def write(server, commands, batch=500):
    """Many commands in pipelines; every reply is looked at."""
    with server.wire(timeout=60) as wire:
        for at in range(0, len(commands), batch):
            part = commands[at : at + batch]
            wire.send(b"".join(encode(*command) for command in part))
            for _ in part:
                wire.reply()


KEYS, VALUE = 10_000, 200


def change(master, rounds=5, keys=KEYS, value=VALUE):
    """A fifth of the keys several times, deletions, expiries, a flushed database, transactions. Gives the changed bytes."""
    rng = random.Random(keys)
    changed = range(0, keys, 5)
    for _ in range(rounds):
        write(master, [("SET", f"key:{i}", rng.randbytes(value)) for i in changed])
    write(master, [("DEL", f"key:{i}") for i in range(1, keys, 50)])
    write(master, [("SET", f"key:{i}", rng.randbytes(value), "EX", 5000) for i in range(2, keys, 100)])
    write(master, [("SET", f"soon:{i}", "gone", "PX", 1) for i in range(50)])
    other = master.client(db=3)
    other.flushdb()
    other.set("after the flush", "1")
    pipe = master.c.pipeline(transaction=True)
    pipe.set("pair:a", "new").set("pair:b", "new")
    pipe.execute()
    record = (32 + 8 + value + 2 + 7) & ~7
    return len(changed) * record + keys // 50 * 40 + keys // 100 * (record + 8) + 100 * 48


def opened(cluster, *flags, through=None, **options):
    """A master with data and a slave that has it."""
    master = cluster.master("--segment-bytes", 1 << 20, "--databases", 16)
    fill(master, KEYS, prefix="key", value_bytes=VALUE)
    fill(master, 500, prefix="other", database=3)
    pipe = master.c.pipeline(transaction=True)
    pipe.set("pair:a", "old").set("pair:b", "old")
    pipe.execute()
    proxy = cluster.proxy(master) if through else None
    slave = cluster.slave(f"127.0.0.1:{proxy.port}" if proxy else master, *flags, **options)
    followed(master, slave)
    return (master, slave, proxy) if proxy else (master, slave)


class Pairs:
    """Reads two keys that are written together, in one command, all the time; notes every pair and the longest wait."""

    def __init__(self, server):
        self.server, self.seen, self.longest, self.errors, self.count = server, [], 0.0, [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self.count > 10)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def _run(self):
        try:
            with self.server.wire(timeout=60) as wire:
                while not self._stop.is_set():
                    begin = time.monotonic()
                    pair = tuple(wire.ask("MGET", "pair:a", "pair:b"))
                    self.longest = max(self.longest, time.monotonic() - begin)
                    if not self.seen or self.seen[-1] != pair:
                        self.seen.append(pair)
                    self.count += 1
        except OSError as error:
            self.errors.append(error)


class TestDelta:
    def test_what_changed_comes_and_is_seen_in_one_step(self, cluster):
        master, slave, proxy = opened(cluster, "--sync-mode", "delta", through=True)
        proxy.cut()
        slave.stop()
        changed = change(master)
        proxy.heal()
        proxy.rate_down = 1 << 20
        slave.start()
        with Pairs(slave) as pairs:
            wait_until(lambda: slave.info("replication").get("master_link_status") == "up", ceiling=120)
            followed(master, slave)
        assert pairs.seen == [(b"old", b"old"), (b"new", b"new")] and not pairs.errors
        assert slave.plan()[0] == "delta", slave.plan()
        wire = int(slave.info()["last_sync_bytes"])
        estimate = int(slave.info()["last_sync_estimated_bytes"])
        print(f"delta: {wire} bytes on the wire for {changed} changed, estimated {estimate}")
        assert wire <= 1.2 * changed
        assert slave.client(db=3).dbsize() == 1 and slave.c.get("key:1") is None
        master.call("SET", "later", "1")
        wait_until(lambda: slave.call("GET", "later") == b"1")
        slave.kill()
        slave.start()
        followed(master, slave)

    def test_auto_takes_the_cheaper_one(self, cluster):
        master, slave = opened(cluster)
        slave.stop()
        write(master, [("SET", f"new:{i}", "x" * 200) for i in range(300)])
        slave.start()
        followed(master, slave)
        assert slave.plan()[0] == "partial", slave.plan()
        slave.stop()
        for _ in range(4):
            change(master, rounds=10)
        slave.start()
        followed(master, slave)
        assert slave.plan()[0] == "delta", slave.plan()
        assert served(master)["sync_delta"] == 1

    def test_an_empty_slave_can_be_filled_by_a_delta(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20)
        fill(master, 2000)
        slave = cluster.slave(master, "--sync-mode", "delta")
        followed(master, slave)
        assert slave.plan()[0] == "delta"

    def test_large_values(self, cluster):
        master, slave = opened(cluster, "--sync-mode", "delta")
        slave.stop()
        master.call("SET", "large", b"l" * (5 << 20))
        master.call("SET", "larger than a segment", b"m" * (3 << 20))
        slave.start()
        followed(master, slave)
        assert slave.call("GET", "large") == b"l" * (5 << 20)
        slave.restart()
        followed(master, slave)

    def test_cut_in_the_middle_it_leaves_the_old_data_and_comes_again(self, cluster):
        master, slave, proxy = opened(cluster, "--sync-mode", "delta", through=True)
        slave.stop()
        change(master)
        proxy.cut_after = proxy.bytes_down + 50_000
        slave.start()
        wait_until(lambda: proxy.open_links == 0 and proxy.bytes_down >= proxy.cut_after)
        assert slave.c.mget("pair:a", "pair:b") == [b"old", b"old"]
        proxy.heal()
        followed(master, slave)
        assert slave.c.mget("pair:a", "pair:b") == [b"new", b"new"]
        assert slave.plan()[0] == "delta" and served(master)["sync_full"] <= 1

    def test_kill_9_of_the_slave_at_any_time(self, cluster):
        master, slave, proxy = opened(cluster, "--sync-mode", "delta", through=True)
        old = new = 0
        for turn in range(8):
            slave.stop()
            write(master, [("SET", f"pair:{x}", f"old{turn}") for x in "ab"])
            slave.start()
            followed(master, slave)
            slave.stop()
            change(master)
            write(master, [("SET", f"pair:{x}", f"new{turn}") for x in "ab"])
            proxy.rate_down = 2 << 20
            start = proxy.bytes_down
            slave.start()
            if turn % 2:
                slave.said("the delta is in place")
            else:
                wait_until(lambda: proxy.bytes_down > start + 3000 + turn * 70_000)
            slave.kill()
            proxy.cut()
            slave.start()
            pair = slave.c.mget("pair:a", "pair:b")
            assert pair in ([f"old{turn}".encode()] * 2, [f"new{turn}".encode()] * 2)
            old, new = old + (pair[0][:3] == b"old"), new + (pair[0][:3] == b"new")
            proxy.rate_down = None
            proxy.heal()
            followed(master, slave)
        assert old and new, (old, new)

    def test_kill_9_of_the_master_during_it(self, cluster):
        master, slave, proxy = opened(cluster, "--sync-mode", "delta", through=True)
        slave.stop()
        change(master)
        proxy.rate_down = 1 << 20
        start = proxy.bytes_down
        slave.start()
        wait_until(lambda: proxy.bytes_down > start + 100_000)
        master.kill()
        assert slave.c.mget("pair:a", "pair:b") == [b"old", b"old"]
        proxy.rate_down = None
        master.start()
        followed(master, slave)
        assert slave.c.mget("pair:a", "pair:b") == [b"new", b"new"]

    def test_writes_go_on_during_it(self, cluster):
        master, slave, proxy = opened(cluster, "--sync-mode", "delta", through=True)
        slave.stop()
        change(master)
        proxy.rate_down = 2 << 20
        with Counters(master, value_bytes=100) as writers:
            writers.wait_for(200)
            slave.start()
            writers.wait_for(500)
            in_sync(master, slave, ceiling=120)
        followed(master, slave)
        writers.check(slave)
        assert slave.plan()[0] == "delta" and not writers.errors

    def test_a_slave_of_the_slave_follows(self, cluster):
        master, middle = opened(cluster, "--sync-mode", "delta")
        last = cluster.slave(middle, name="last")
        followed(master, middle, last)
        middle.stop()
        change(master)
        middle.start()
        followed(master, middle, last)

    def test_the_pause_for_readers(self, cluster):
        """A million changed records are put in place while a client reads."""
        count = 1_000_000
        master = cluster.master("--durability", "interval")
        slave = cluster.slave(master, "--sync-mode", "delta", "--durability", "interval")
        write(master, [("SET", "pair:a", "old"), ("SET", "pair:b", "old")])
        followed(master, slave)
        slave.stop()
        with master.wire(timeout=60) as wire:
            for at in range(0, count, 1000):
                arguments = ["MSET"]
                for i in range(at, at + 1000):
                    arguments += [f"k{i}", "v" * 16]
                wire.ask(*arguments)
        write(master, [("MSET", "pair:a", "new", "pair:b", "new")])
        begin = time.monotonic()
        slave.start()
        with Pairs(slave) as pairs:
            followed(master, slave, ceiling=120)
        print(
            f"{count} records: {time.monotonic() - begin:.1f} s, longest MGET {pairs.longest * 1000:.1f} ms of "
            f"{pairs.count}; {slave.said('delta is in place.*').group(0)}"
        )
        assert pairs.seen[-1] == (b"new", b"new") and not pairs.errors
        assert len(pairs.seen) <= 2
        # A swap that held readers up would hold them for as long as it takes to build: seconds.
        assert pairs.longest < 2.5


class TestSmallLogs:
    def test_a_slave_with_nothing_but_the_term_comes_back(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        connected(master, 1)
        in_sync(master, slave)
        for stop in (slave.stop, slave.kill):
            stop()
            slave.start()
            wait_until(lambda: slave.info("replication").get("master_link_status") == "up")
            in_sync(master, slave)
        master.call("SET", "first", "1")
        wait_until(lambda: slave.call("GET", "first") == b"1")
        followed(master, slave)


class TestAfterAFullSync:
    def test_the_copy_knows_which_deletions_it_holds(self, cluster):
        """So it can serve deltas itself: what is complete in its files is not forgotten with the sync."""
        master = cluster.master("--segment-bytes", 1 << 18, "--wal-keep", 0)
        fill(master, 3000, value_bytes=300)
        old = cluster.slave(master, "--wal-keep", 0)
        followed(master, old)
        old.stop()
        fill(master, 1500, value_bytes=300, seed=2)
        write(master, [("DEL", f"key:{i}") for i in range(2000, 2200)])
        master.call("COMPACT")
        assert master.files("dat")
        copy = cluster.slave(master, "--sync-mode", "full", "--segment-bytes", 1 << 18)
        followed(master, copy)
        assert copy.plan()[0] == "full"
        assert copy.info()["tombstones_from_lsn"] == master.info()["tombstones_from_lsn"]
        master.stop()
        copy.call("REPLICAOF", "NO", "ONE")
        old.master, old.flags = copy, ["--wal-keep", 0, "--sync-mode", "delta"]
        old.start()
        followed(copy, old)
        assert old.plan()[0] == "delta", old.plan()
        assert old.c.get("key:2100") is None and old.c.dbsize() == 2800

    def test_deletions_that_the_master_forgot_are_not_promised(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 18, "--wal-keep", 0)
        fill(master, 3000, value_bytes=300)
        write(master, [("DEL", f"key:{i}") for i in range(1000)])
        fill(master, 3000, value_bytes=300, seed=2, prefix="more")

        def forgotten():
            master.call("COMPACT")
            return int(master.info()["tombstones_from_lsn"]) > 1

        wait_until(forgotten, ceiling=120)
        copy = cluster.slave(master, "--sync-mode", "full")
        followed(master, copy)
        assert int(copy.info()["tombstones_from_lsn"]) >= int(master.info()["tombstones_from_lsn"]) > 3000
