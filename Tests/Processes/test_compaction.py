"""Compaction in running servers: the disk shrinks, and nothing that is alive is lost by a kill, a restart or a slave."""

import os
import random
import re
import subprocess
import threading
import time

import pytest
import redis

from harness import BINARY, STAND_IN, connected, in_sync, lives, same_state, wait_until
from load import Counters
from wire import encode

pytestmark = pytest.mark.skipif(STAND_IN, reason="Redis rewrites an append-only file, and has no COMPACT")

ROUNDS = int(os.environ.get("PACELINE_TEST_SCALE", "1"))
SMALL = ("--segment-bytes", "256kb", "--ops-buffer", "0", "--wal-keep", "0")
BY_HAND = (*SMALL, "--compaction", "no")


class Truth:
    """What a server must hold: every write goes to it and into a dict."""

    def __init__(self, server, seed=1, keys=2000):
        self.server, self.rng, self.keys, self.values = server, random.Random(seed), keys, {}

    def overwrite(self, count, bytes_max=400, deletes=0.1):
        """Sets and deletes keys drawn at random."""
        for _ in range(0, count, 500):
            batch = []
            for _ in range(500):
                key = b"key:%d" % self.rng.randrange(self.keys)
                if self.rng.random() < deletes:
                    batch.append(encode("DEL", key))
                    self.values.pop(key, None)
                else:
                    self.values[key] = self.rng.randbytes(self.rng.randrange(bytes_max))
                    batch.append(encode("SET", key, self.values[key]))
            with self.server.wire(timeout=60) as wire:
                wire.send(b"".join(batch))
                for _ in batch:
                    assert wire.reply()[:1] in b"+:"
        return self

    @property
    def bytes(self):
        return sum(len(key) + len(value) for key, value in self.values.items())

    def check(self, server):
        self.check_values(server)
        assert server.call("DBSIZE") == len(self.values)

    def check_values(self, server):
        names = [b"key:%d" % i for i in range(self.keys)]
        held = {name: value for name, value in zip(names, server.call("MGET", *names)) if value is not None}
        wrong = [name for name in names if held.get(name) != self.values.get(name)]
        assert not wrong, f"{len(wrong)} keys differ on {server.name}, e.g. {wrong[:5]}"


def compact(server):
    """COMPACT; its answer as a dict."""
    parts = server.call("COMPACT")
    return dict(zip(map(bytes.decode, parts[::2]), map(int, parts[1::2])))


def figure(server, name):
    return int(server.info("paceline")[name])


def on_disk(server):
    """Bytes of all files of the log, the replaced ones too."""
    total = 0
    for ending in ("wal", "dat", "idx"):
        for path in server.files(ending):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                pass
    return total


def contains(server, text):
    return [path.name for path in server.files("wal") + server.files("dat") if text in path.read_bytes()]


def test_overwritten_data_leaves_the_disk_and_every_value_stays(cluster):
    master = cluster.master(*BY_HAND)
    truth = Truth(master).overwrite(20_000)
    digest, before = master.digest(), on_disk(master)
    assert before > 5 * truth.bytes
    assert figure(master, "dead_bytes") > 3 * figure(master, "live_bytes")
    done = compact(master)
    assert done["runs"] > 0 and done["records_dropped"] > 10_000
    assert done["bytes_read"] > 3 * done["bytes_written"]
    assert master.digest() == digest
    truth.check(master)
    assert master.files("dat")
    # Record headers, index files and the reserved space of the active segment come on top of keys and values.
    assert on_disk(master) < 1.5 * truth.bytes + (256 << 10)
    assert figure(master, "dead_bytes") < 0.1 * figure(master, "live_bytes")
    assert figure(master, "replaced_files") == 0
    again = compact(master)
    assert again["records_dropped"] <= 1, "the second COMPACT finds nothing"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_finds_what_compaction_left(cluster, how):
    master = cluster.master(*BY_HAND)
    truth = Truth(master).overwrite(10_000)
    compact(master)
    truth.overwrite(1000)
    digest, live = master.digest(), figure(master, "live_bytes")
    getattr(master, how)()
    master.start()
    assert master.digest()[1:] == digest[1:]
    truth.check(master)
    # The record of the new term is no key's.
    assert abs(figure(master, "live_bytes") - live) < 200
    truth.overwrite(3000)
    compact(master)
    truth.check(master)


def test_kill_9_in_the_middle_of_it_loses_nothing(cluster):
    # A rate at which COMPACT takes a second, and kills at moments drawn from all of it.
    master = cluster.master(*BY_HAND, "--compaction-rate", "1mb")
    truth = Truth(master, seed=7)
    draw = random.Random(7)
    caught = 0
    for number in range(6 * ROUNDS):
        truth.overwrite(5000 if number == 0 else 1500)
        digest = master.digest()
        master.call("COMPACT", "NOWAIT")
        wait_until(lambda: figure(master, "compaction_running") or figure(master, "compaction_runs"))
        threading.Event().wait(draw.random() * 0.7)  # not for an event: any moment is meant
        caught += figure(master, "compaction_running")
        master.kill()
        master.start()
        assert master.digest()[1:] == digest[1:], f"round {number}"
        truth.check(master)
    assert caught, "no kill came while a compaction ran"
    compact(master)
    truth.check(master)
    assert not list(master.directory.rglob("*.tmp"))


def test_kill_9_while_clients_write_and_it_runs_by_itself(cluster):
    master = cluster.master("--segment-bytes", "64kb", "--ops-buffer", "0", "--wal-keep", "0", "--garbage-ratio", "0.1")
    truth = Truth(master, keys=1000)
    with Counters(master, threads=2, value_bytes=300) as counters:
        for _ in range(3 * ROUNDS):
            before = figure(master, "compaction_runs")

            def compacts():
                truth.overwrite(500)  # keys of two ages in every piece: none dies as a whole
                return figure(master, "compaction_runs") >= before + 2

            wait_until(compacts)
            master.kill()
            master.start()
            truth.check_values(master)
        counters.wait_for(500)
    counters.check(master)
    truth.check_values(master)


def test_it_runs_by_itself_when_the_garbage_ratio_is_passed(cluster):
    master = cluster.master(*SMALL, "--garbage-ratio", "0.3")
    truth = Truth(master).overwrite(20_000)
    # The active segment is not sealed, and the one before it may be waiting to be.
    wait_until(lambda: figure(master, "data_bytes") < 1.3 * figure(master, "live_bytes") + 2 * (256 << 10))
    wait_until(lambda: figure(master, "compaction_runs") > 0)
    truth.check(master)
    master.call("CONFIG", "SET", "compaction", "no")
    runs = wait_until(lambda: not figure(master, "compaction_running") and figure(master, "compaction_runs"))
    truth.overwrite(10_000)
    assert figure(master, "compaction_runs") <= runs + 1
    assert figure(master, "dead_bytes") > figure(master, "live_bytes")


@pytest.mark.parametrize("durability", ["fsync", "interval", "none"])
def test_every_durability_has_the_same_bound_on_the_disk(cluster, durability):
    master = cluster.master(*SMALL, "--durability", durability, "--fsync-interval", "100ms")
    truth = Truth(master, keys=1000).overwrite(20_000)
    last = master.last_lsn()
    wait_until(lambda: int(master.info()["durable_lsn"]) >= last, 30, what="the log is synced at some pace")
    bound = 4 * (256 << 10)
    wait_until(lambda: figure(master, "data_bytes") < 1.5 * figure(master, "live_bytes") + bound, 60)
    truth.check(master)
    # And nothing is left of what is flushed, again and again.
    for _ in range(6):
        truth.overwrite(3000)
        master.call("FLUSHALL")
        truth.values.clear()
    master.call("SET", "k", "v")
    wait_until(lambda: figure(master, "data_bytes") < bound, 60)
    wait_until(lambda: on_disk(master) < 2 * bound, 60)
    assert master.call("DBSIZE") == 1


def test_a_trickle_of_writes_starts_no_compactions(cluster):
    # All defaults, and a 32nd of their sizes.
    master = cluster.master("--segment-bytes", "1mb", "--ops-buffer", "512kb", "--wal-keep", "2mb")
    keys, value = 6000, b"v" * 300
    with master.wire(timeout=60) as wire:

        def send(commands):
            wire.send(b"".join(commands))
            for _ in commands:
                assert wire.reply()[:1] in b"+:"

        send([encode("SET", b"gone", value), encode("DEL", b"gone")])
        for first in range(0, keys, 1000):
            send([encode("SET", b"key:%d" % n, value) for n in range(first, first + 1000)])
        for _ in range(300):
            send([encode("SET", b"key:%d" % n, value) for n in range(30)])
        send([encode("SET", b"gone", value), encode("DEL", b"gone")])

    def quiet():
        runs = figure(master, "compaction_runs")
        lives(master, 1)
        return figure(master, "compaction_runs") == runs

    wait_until(quiet, 60, what="compaction comes to an end")
    runs, written = figure(master, "compaction_runs"), figure(master, "compaction_bytes_written")
    clients = 0
    for n in range(40):
        master.call("SET", b"key:%d" % (n * 97 % keys), value)
        clients += 370
        time.sleep(0.1)  # the pace of the load, not a wait for an event
    assert figure(master, "compaction_runs") <= runs + 1
    assert figure(master, "compaction_bytes_written") <= written + (1 << 20) + 5 * clients


def test_slaves_that_follow_or_come_during_it_get_everything(cluster):
    master = cluster.master(*BY_HAND, "--compaction-rate", "2mb")
    slave = cluster.slave(master, *BY_HAND)
    truth = Truth(master).overwrite(20_000)
    in_sync(master, slave)
    master.call("COMPACT", "NOWAIT")
    wait_until(lambda: figure(master, "compaction_running"))
    late = cluster.slave(master, *BY_HAND)
    truth.overwrite(3000)
    wait_until(lambda: not figure(master, "compaction_running"))
    for follower in (slave, late):
        in_sync(master, follower)
        same_state(master, follower)
        truth.check(follower)
    # A slave compacts its own log, and goes on.
    assert compact(slave)["records_dropped"] > 0
    truth.overwrite(1000)
    in_sync(master, slave, late)
    same_state(master, slave, late)
    truth.check(slave)


def test_a_full_sync_sends_data_files(cluster):
    master = cluster.master(*BY_HAND)
    truth = Truth(master).overwrite(15_000)
    compact(master)
    assert master.files("dat")
    truth.overwrite(1000)
    slave = cluster.slave(master, *BY_HAND)
    in_sync(master, slave)
    assert slave.plan()[0] == "full"
    assert slave.files("dat")
    same_state(master, slave)
    truth.check(slave)
    slave.kill()
    slave.start()
    in_sync(master, slave)
    assert slave.plan()[0] == "partial"
    truth.check(slave)


def test_a_slave_within_its_lease_keeps_its_log(cluster):
    master = cluster.master(*BY_HAND)
    # By itself it would take a delta, which is smaller; the log must be there all the same.
    slave = cluster.slave(master, *BY_HAND, "--sync-mode", "partial")
    truth = Truth(master).overwrite(3000)
    in_sync(master, slave)
    slave.stop()
    connected(master, 0)
    truth.overwrite(10_000)
    raw = figure(master, "data_bytes")
    assert compact(master)["records_dropped"] > 0, "what stands before the pin is compacted"
    assert figure(master, "pinned_bytes") > 0.6 * raw
    assert figure(master, "data_bytes") > 0.6 * raw, "what the slave needs is raw still"
    assert "given up" not in master.log(), "nothing is rewritten in vain for a slave that is away"
    slave.start()
    in_sync(master, slave)
    assert slave.plan()[0] == "partial"
    same_state(master, slave)
    truth.check(slave)
    # It holds all now: nothing is pinned, and the log can go.
    wait_until(lambda: figure(master, "pinned_bytes") < 0.1 * raw)
    compact(master)
    assert figure(master, "data_bytes") < 1.3 * figure(master, "live_bytes")
    same_state(master, slave)


def test_a_slave_beyond_its_lease_comes_back_all_the_same(cluster):
    master = cluster.master(*BY_HAND, "--slave-lease", "0")
    slave = cluster.slave(master, *BY_HAND)
    truth = Truth(master).overwrite(3000)
    in_sync(master, slave)
    slave.stop()
    connected(master, 0)
    truth.overwrite(10_000)
    wait_until(lambda: figure(master, "pinned_bytes") == 0)
    compact(master)
    assert figure(master, "data_bytes") < 1.3 * figure(master, "live_bytes")
    slave.start()
    in_sync(master, slave)
    assert slave.plan()[0] in ("full", "delta")
    same_state(master, slave)
    truth.check(slave)


def test_deleted_and_expired_values_leave_the_disk(cluster):
    master = cluster.master(*BY_HAND)
    deleted, overwritten, expired, flushed = (b"%s-%s" % (name, b"secret" * 4) for name in (b"d", b"o", b"e", b"f"))
    master.call("SET", "a", deleted)
    master.call("SET", "b", overwritten)
    master.call("SET", "c", expired, "PX", 50)
    with master.wire() as wire:
        wire.ask("SELECT", 3)
        wire.ask("SET", "d", flushed)
        wire.ask("FLUSHDB")
    truth = Truth(master).overwrite(3000)
    master.call("DEL", "a")
    master.call("SET", "b", "other")
    assert contains(master, deleted) and contains(master, expired) and contains(master, flushed)
    wait_until(lambda: master.call("DBSIZE") == len(truth.values) + 1, what="the expired key is deleted")

    def gone():
        compact(master)
        return not any(contains(master, value) for value in (deleted, overwritten, expired, flushed))

    wait_until(gone)
    assert (master.call("GET", "a"), master.call("GET", "b"), master.call("GET", "c")) == (None, b"other", None)
    master.call("DEL", "b")
    truth.check(master)


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_compressed_values_stay_compressed_and_right(cluster, kind):
    def text(i, turn):
        return b"".join(b"line %d of value %d in turn %d, much like the others; " % (n, i, turn) for n in range(5 + i % 20))

    master = cluster.master(*BY_HAND, "--compression", kind)
    for turn in range(3):
        pipeline = master.c.pipeline(transaction=False)
        for i in range(1500):
            pipeline.set(f"key:{i}", text(i, turn))
        pipeline.execute()
    digest = master.digest()
    compact(master)
    plain = sum(len(text(i, 2)) for i in range(1500))
    assert figure(master, "data_bytes") < plain / 2
    assert master.digest() == digest
    for again in (False, True):
        assert master.c.mget([f"key:{i}" for i in range(1500)]) == [text(i, 2) for i in range(1500)], again
        master.kill()
        master.start()
    slave = cluster.slave(master, *BY_HAND)
    in_sync(master, slave)
    same_state(master, slave)
    assert slave.c.mget([f"key:{i}" for i in range(1500)]) == [text(i, 2) for i in range(1500)]


def test_wrong_arguments(cluster):
    master = cluster.master()
    for arguments in (["NOW"], ["NOWAIT", "NOWAIT"], [""]):
        with pytest.raises(redis.ResponseError, match="^(ERR )?(syntax|wrong number)"):
            master.call("COMPACT", *arguments)
    assert master.call("COMPACT", "nowait") == b"Compaction started"
    assert set(compact(master)) == {"runs", "bytes_read", "bytes_written", "records_dropped"}
    for name, value in (("garbage-ratio", "0.01"), ("garbage-ratio", "much"), ("compaction-rate", "-1"), ("compaction", "maybe")):
        with pytest.raises(redis.ResponseError):
            master.call("CONFIG", "SET", name, value)
    for name, value in (("garbage-ratio", "2.5"), ("compaction-rate", "1mb"), ("compaction", "no")):
        master.call("CONFIG", "SET", name, value)


def run(*arguments, timeout=60):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PACELINE_")}
    return subprocess.run([BINARY, "compact", *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=environment)


def test_the_command_line_shows_progress_and_result(cluster):
    master = cluster.master(*BY_HAND, "--compaction-rate", "2mb", "--requirepass", "pw")
    truth = Truth(master)
    master.wire = lambda **options: authenticated(master, **options)
    truth.overwrite(20_000)
    done = run("--node", master.address, "--password", "pw")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"done: .+ of log before, .+ now, .+ of them live", lines[-1])
    assert len(lines) > 1 and all(re.fullmatch(r".+ of at most .+ read, .+/s, at most \d+ s left", line) for line in lines[:-1])
    truth.check(master)
    refused = run("--node", master.address)
    assert (refused.returncode, refused.stdout) == (1, "") and "NOAUTH" in refused.stderr
    master.kill()
    unreachable = run("--node", master.address)
    assert unreachable.returncode == 1 and unreachable.stderr.strip()
    assert run().returncode == 2 or run().returncode == 64


def authenticated(server, **options):
    wire = type(server).wire(server, **options)
    assert wire.ask("AUTH", server.password) == b"OK"
    return wire
