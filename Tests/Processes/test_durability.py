"""What was acknowledged is there: after kill -9, after a torn tail; and damage is named, never served, never cut silently."""

import os
import random
import re
import time

import pytest

import logfile
from harness import in_sync, same_state, wait_until
from load import Counters, Transactions, fill
from wire import ErrorReply, encode

pytestmark = pytest.mark.timeout(900)

SOAK_MINUTES = float(os.environ.get("PACELINE_SOAK_MINUTES", "0"))


def rounds(few):
    """`few` rounds, or as many as fit into the soak's minutes."""
    end = time.monotonic() + SOAK_MINUTES * 60
    count = 0
    while count < few or time.monotonic() < end:
        yield count
        count += 1


@pytest.mark.soak
@pytest.mark.timeout(int(SOAK_MINUTES * 60) + 900)
def test_kill_9_under_load_loses_nothing_acknowledged(cluster):
    master = cluster.master("--segment-bytes", 1 << 20)
    Transactions(master).open_accounts()
    rng = random.Random(os.environ.get("PACELINE_SOAK_SEED", "17"))
    with Counters(master, threads=4, value_bytes=200) as writers, Transactions(master) as moves:
        for _ in rounds(8):
            writers.wait_for(rng.randint(20, 1500))
            master.kill()
            master.start()
            writers.check(master)
            Transactions.check(master)
        wait_until(lambda: moves.done > 20)
    writers.check(master)
    assert not [e for e in writers.errors if not e.startswith(b"-LOADING")], writers.errors[:5]


@pytest.mark.soak
@pytest.mark.timeout(int(SOAK_MINUTES * 60) + 900)
def test_kill_9_of_a_slave_under_load(cluster):
    master = cluster.master("--segment-bytes", 1 << 20)
    Transactions(master).open_accounts()
    slave = cluster.slave(master)
    in_sync(master, slave)
    rng = random.Random(os.environ.get("PACELINE_SOAK_SEED", "23"))
    with Counters(master, threads=2, value_bytes=200) as writers, Transactions(master):
        for _ in rounds(6):
            writers.wait_for(rng.randint(20, 800))
            slave.kill()
            slave.start()
            wait_until(lambda: Transactions.total(slave) is not None)
            Transactions.check(slave)
    in_sync(master, slave)
    same_state(master, slave)
    writers.check(slave)
    assert master.info()["sync_full"] in ("0", "1")


@pytest.mark.soak
@pytest.mark.timeout(int(SOAK_MINUTES * 60) + 900)
def test_kill_9_during_a_full_sync(cluster):
    """Many points of a full sync, the slave and the master in turn; the slave ends with everything."""
    master = cluster.master("--segment-bytes", 1 << 20)
    fill(master, 6000, value_bytes=1000)
    rng = random.Random(os.environ.get("PACELINE_SOAK_SEED", "31"))
    proxy = cluster.proxy(master)
    for turn in rounds(2):
        proxy.rate_down = 16 << 20
        slave = cluster.slave(f"127.0.0.1:{proxy.port}", "--sync-mode", "full", name=f"slave-{turn}", start=False)
        for _ in range(4):
            before = proxy.bytes_down
            goal = rng.randint(1000, 2_000_000)
            slave.start()
            wait_until(lambda: proxy.bytes_down - before >= goal or slave.info()["master_link_status"] == "up")
            victim = slave if rng.random() < 0.7 else master
            victim.kill()
            if victim is master:
                master.start()
                slave.kill()
        proxy.rate_down = None
        slave.start()
        in_sync(master, slave)
        same_state(master, slave)
        slave.stop()


@pytest.mark.parametrize("durability", ["fsync", "interval", "none"])
def test_sigterm_ends_cleanly_and_keeps_everything(cluster, durability):
    master = cluster.master("--durability", durability)
    with Counters(master) as writers:
        writers.wait_for(2000)
        started = time.monotonic()
        assert master.stop() == 0
        assert time.monotonic() - started < 60
        writers.stop()
    master.start()
    writers.check(master)


@pytest.mark.parametrize("durability", ["interval", "none"])
def test_without_fsync_a_crash_leaves_a_prefix(cluster, durability):
    """kill -9 leaves the page cache alone; what is there after it is the beginning of what was written, without holes."""
    master = cluster.master("--durability", durability)
    with master.wire() as wire:
        for start in range(0, 20_000, 500):
            wire.pipeline([["SET", f"n:{i}", i] for i in range(start, start + 500)])
        master.kill()
    master.start()
    with master.wire() as wire:
        values = wire.ask("MGET", *(f"n:{i}" for i in range(20_000)))
    there = sum(value is not None for value in values)
    assert all(value == b"%d" % i for i, value in enumerate(values[:there])), "a hole"


def test_everything_survives_a_crash_in_all_databases(cluster):
    master = cluster.master("--segment-bytes", 1 << 20)
    for db in range(16):
        fill(master, 300, value_bytes=300, database=db)
    c = master.c
    c.set("ttl", "x", ex=1000)
    c.swapdb(0, 1)
    master.client(db=2).flushdb()
    c.rename("key:1", "renamed")
    before, sizes = master.digest()[1:], [master.client(db=db).dbsize() for db in range(16)]
    for stop in (master.kill, master.stop, master.kill):
        stop()
        master.start()
        assert [master.client(db=db).dbsize() for db in range(16)] == sizes
        assert master.digest()[1:] == before, "beside the LSN, which every reign raises by its first record"
    assert 900 < master.client(db=1).ttl("ttl") <= 1000


def forget_end(server):
    """As if all of it had been written within the last second: how far the log went is not noted yet."""
    (server.directory / "reach").unlink(missing_ok=True)


class TestDamage:
    @pytest.fixture
    def stopped(self, cluster):
        """A master that was killed with 400 keys in one active segment and several sealed ones."""
        master = cluster.master("--segment-bytes", 1 << 20)
        fill(master, 4000, value_bytes=900, prefix="old")
        for i in range(400):
            master.call("SET", f"new:{i}", f"value-{i}-" + "x" * 50)
        master.kill()
        return master

    def newest(self, server):
        segments = [path for path in server.files("wal") if logfile.records(path)]
        assert len(segments) > 1, segments
        return segments[-1]

    @pytest.mark.parametrize("cut", [1, 7, 8, 20, 40, 60])
    def test_a_torn_last_record_is_cut_and_said(self, stopped, cut):
        path = self.newest(stopped)
        last = logfile.records(path)[-1]
        assert last.key == b"new:399"
        logfile.overwrite(path, last.value_offset + last.value_bytes - cut, bytes(cut))
        forget_end(stopped)
        stopped.start()
        assert re.search("torn|cut", stopped.log_since_start(), re.IGNORECASE)
        assert stopped.call("EXISTS", "new:399") == 0
        assert stopped.call("GET", "new:398").startswith(b"value-398-")
        assert stopped.call("EXISTS", *(f"old:{i}" for i in range(4000))) == 4000
        stopped.call("SET", "new:399", "again")
        stopped.kill()
        stopped.start()
        assert stopped.call("GET", "new:399") == b"again"

    def test_a_file_that_ends_in_a_record(self, stopped):
        path = self.newest(stopped)
        last = logfile.records(path)[-1]
        os.truncate(path, last.offset + 11)
        forget_end(stopped)
        stopped.start()
        assert re.search("torn|cut", stopped.log_since_start(), re.IGNORECASE)
        assert stopped.call("EXISTS", "new:399") == 0 and stopped.call("EXISTS", "new:398") == 1

    @pytest.mark.parametrize("garbage", [b"\xff" * 40, bytes(range(1, 100)), b"\x01"], ids=["ones", "counting", "one-byte"])
    def test_garbage_behind_the_last_record_is_cut(self, stopped, garbage):
        path = self.newest(stopped)
        logfile.overwrite(path, logfile.end_of_log(path), garbage)
        stopped.start()
        assert stopped.call("EXISTS", "new:399") == 1
        stopped.call("SET", "after", "1")
        stopped.kill()
        stopped.start()
        assert stopped.call("GET", "after") == b"1"

    @pytest.mark.parametrize("place", ["value", "key", "header", "lsn"])
    def test_damage_in_the_middle_is_refused_by_name(self, stopped, place):
        path = self.newest(stopped)
        victim = next(r for r in logfile.records(path) if r.key == b"new:200")
        offset = {"value": victim.value_offset + 3, "key": victim.value_offset - 2, "header": victim.offset + 5, "lsn": victim.offset + 16}
        logfile.flip(path, offset[place])
        stopped.spawn()
        assert stopped.wait_exit() != 0
        text = stopped.log_since_start()
        assert path.name in text, text
        assert str(victim.offset) in text, f"the offset {victim.offset} is not in: {text}"
        assert re.search(r"LSN", text), text
        logfile.flip(path, offset[place])
        stopped.start()
        assert stopped.call("EXISTS", *(f"new:{i}" for i in range(400))) == 400

    def test_a_damaged_value_in_a_sealed_file_is_never_served(self, stopped):
        path = stopped.files("wal")[0]
        victim = next(r for r in logfile.records(path) if r.key.startswith(b"old:"))
        right = path.read_bytes()[victim.value_offset : victim.value_offset + victim.value_bytes]
        logfile.flip(path, victim.value_offset + 100)
        stopped.spawn()
        wait_until(lambda: not stopped.running or stopped.call("PING"))
        if not stopped.running:
            assert path.name in stopped.log_since_start()
            return
        with stopped.wire() as wire:
            answer = wire.ask("GET", victim.key)
            assert isinstance(answer, ErrorReply), f"served {answer[:20] if answer else answer!r} for {right[:20]!r}"
            answer = wire.ask("GETRANGE", victim.key, 0, 10)
            assert isinstance(answer, ErrorReply), answer
            assert wire.alive()
        good = next(r.key for r in logfile.records(path)[50:])
        assert stopped.call("EXISTS", good) == 1

    @pytest.mark.parametrize("how", ["delete", "damage", "truncate", "empty"])
    def test_an_index_file_is_rebuilt(self, stopped, how):
        for path in stopped.files("idx"):
            if how == "delete":
                path.unlink()
            elif how == "damage":
                logfile.flip(path, path.stat().st_size // 2)
            else:
                os.truncate(path, 0 if how == "empty" else path.stat().st_size - 10)
        stopped.start()
        assert stopped.call("DBSIZE") == 4400
        assert stopped.call("GET", "old:0") is not None

    def test_a_missing_segment_is_refused_by_name(self, stopped):
        path = stopped.files("wal")[0]
        path.rename(path.with_suffix(".away"))
        stopped.spawn()
        assert stopped.wait_exit() != 0
        assert path.name in stopped.log_since_start() or "LSN" in stopped.log_since_start()

    @pytest.mark.parametrize("how", ["damage", "empty", "truncate"])
    def test_a_damaged_directory_file_loses_nothing_silently(self, stopped, how):
        path = stopped.files("dir")[-1]
        if how == "damage":
            logfile.flip(path, 40)
        else:
            os.truncate(path, 0 if how == "empty" else path.stat().st_size // 2)
        stopped.spawn()
        wait_until(lambda: not stopped.running or stopped.call("PING"))
        if stopped.running:
            assert stopped.call("DBSIZE") == 4400
        else:
            assert path.name in stopped.log_since_start() or "generation" in stopped.log_since_start()

    def test_stray_files_are_left_alone(self, stopped):
        store = stopped.files("wal")[0].parent
        for name in ("notes.txt", "core", "00000000000000000001.wal.tmp", "00000000000000000007.idx.tmp", "x.wal"):
            (store / name).write_bytes(b"not ours")
        stopped.start()
        assert stopped.call("DBSIZE") == 4400
        assert (store / "notes.txt").read_bytes() == b"not ours"


class TestSecondStart:
    def test_on_a_used_directory(self, cluster):
        master = cluster.master()
        master.call("SET", "k", "v")
        second = cluster.master(name="second", start=False)
        second.directory = master.directory
        second.log_path = cluster.directory / "second.log"
        second.spawn()
        assert second.wait_exit() != 0
        text = second.log_since_start()
        assert str(master.directory) in text and re.search("use|lock|running", text), text
        assert master.call("GET", "k") == b"v"
        master.kill()
        second.start()
        assert second.call("GET", "k") == b"v"

    def test_on_a_used_port(self, cluster):
        master = cluster.master()
        second = cluster.master(name="second", start=False, port=master.port)
        second.spawn()
        assert second.wait_exit() != 0
        text = second.log_since_start()
        assert str(master.port) in text and re.search("in use|used|bind", text, re.IGNORECASE), text
        assert master.call("PING")

    def test_on_a_directory_that_cannot_be_written(self, cluster):
        place = cluster.directory / "file"
        place.write_text("I am a file")
        server = cluster.master(name="blocked", start=False)
        server.directory = place
        server.spawn()
        assert server.wait_exit() != 0
        assert str(place) in server.log_since_start()


def test_a_read_waits_for_the_write_that_it_sees(cluster):
    """Whatever a reader saw is there after a crash, also when the writer had no answer yet."""
    master = cluster.master()
    rng = random.Random(41)
    for turn in range(4):
        seen = 0
        with master.wire() as writer, master.wire() as reader:
            for start in range(0, 3000, 100):
                writer.send(b"".join(encode("SET", "n", turn * 10_000 + start + i) for i in range(100)))
                seen = int(reader.ask("GET", "n") or 0)
                if start > 500 and rng.random() < 0.1:
                    break
            master.kill()
        master.start()
        assert int(master.call("GET", "n") or 0) >= seen


def test_expired_keys_stay_expired_after_a_crash(cluster):
    master = cluster.master()
    master.c.set("short", "x", px=100)
    master.c.set("long", "x", ex=500)
    master.kill()
    master.start()
    wait_until(lambda: master.call("EXISTS", "short") == 0)
    assert 480 < master.c.ttl("long") <= 500
