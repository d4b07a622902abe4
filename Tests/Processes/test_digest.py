"""Differences that no checksum shows: found by the digest, named, and repaired by partition while both nodes serve."""

import os
import threading

import pytest

import logfile
from harness import in_sync, same_state, wait_until
from load import fill

pytestmark = pytest.mark.timeout(900)

SMALL = ("--segment-bytes", 1 << 20, "--ops-buffer", 0, "--compaction", "no")
KEYS = 3000


def pair(cluster, *flags):
    master = cluster.master(*SMALL, *flags)
    fill(master, KEYS, value_bytes=300)
    slave = cluster.slave(master, *SMALL, *flags)
    in_sync(master, slave)
    return master, slave


def damage(server, *words):
    """Damages the index of a slave on purpose. A user's build cannot, and is not asked to; the build of scripts/test must."""
    if not any(b"INDEX-DROP" in line for line in server.call("DEBUG", "HELP")) and not os.environ.get("PACELINE_SABOTAGE"):
        pytest.skip("this build has no sabotage: PACELINE_SABOTAGE=1 swift build -c release --product paceline")
    return server.call("DEBUG", *words)


def field(server, name):
    return int(server.info("replication")[name])


def repaired(master, slave, records):
    """Waits until the slave has repaired so many records and a later digest says that both are equal."""
    wait_until(
        lambda: field(slave, "digest_repaired_records") >= records
        and slave.info()["digest_state"] == "equal"
        and slave.info()["digest_error"] == "",
        ceiling=120,
        what=f"{slave.name} repairs {records} records",
    )
    in_sync(master, slave)
    same_state(master, slave)


class Reader(threading.Thread):
    """Reads keys that are not damaged, all the time; every answer must be right."""

    def __init__(self, server, expected):
        super().__init__(daemon=True)
        self.server, self.expected = server, expected
        self.wrong, self.reads, self.ends = [], 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join(60)
        assert not self.wrong, self.wrong[:3]
        assert self.reads > 0

    def run(self):
        with self.server.wire(timeout=60) as wire:
            while not self.ends.is_set():
                for key, value in self.expected.items():
                    found = wire.ask("GET", key)
                    self.reads += 1
                    if found != value:
                        self.wrong.append((key, found))


class TestRepair:
    def test_lost_stale_and_leftover_entries_while_both_serve(self, cluster):
        master, slave = pair(cluster)
        stale_lsn = field(master, "appended_lsn") - 10
        stale = logfile_key(master, stale_lsn)
        for key in (stale, b"key:7"):
            master.call("SET", key, b"newer")
        lost = [f"key:{i}".encode() for i in (1, 50, 700, 1501)]
        gone_lsn = master.last_lsn() + 1
        master.call("SET", "gone", "once")
        master.call("DEL", "gone")
        in_sync(master, slave)
        sound = {f"key:{i}".encode(): master.call("GET", f"key:{i}") for i in range(2000, 2050)}
        right = {key: master.call("GET", key) for key in [*lost, stale, b"gone"]}
        wait_until(lambda: slave.info()["digest_state"] == "equal", ceiling=120)
        stop = threading.Event()

        def write():
            with master.wire(timeout=60) as wire:
                number = 0
                while not stop.is_set():
                    number += 1
                    wire.ask("SET", f"busy:{number % 50}", str(number))
                    if number % 7 == 0:
                        wire.ask("DEL", f"busy:{(number + 3) % 50}")

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            with Reader(slave, sound):
                for key in lost:
                    damage(slave, "INDEX-DROP", key)
                damage(slave, "INDEX-POINT", stale_lsn)
                damage(slave, "INDEX-POINT", gone_lsn)
                slave.said("DATA DIFFERS FROM THE MASTER")
                wait_until(lambda: field(slave, "digest_repaired_records") >= len(lost) + 2, ceiling=120)
        finally:
            stop.set()
            writer.join(60)
        repaired(master, slave, len(lost) + 2)
        for key, value in right.items():
            assert slave.call("GET", key) == value, key
        slave.said("a difference from the master is repaired")
        assert field(slave, "digest_repairs") >= 1
        # Six keys of six partitions of 1024, and the sums of all of them: not the data.
        assert field(slave, "digest_repair_bytes") < 200_000
        assert field(slave, "syncs") == 1
        slave.kill()
        slave.start()
        in_sync(master, slave)
        same_state(master, slave)

    def test_what_the_slave_compacted_away_comes_back_from_the_master(self, cluster):
        master, slave = pair(cluster)
        wait_until(lambda: slave.info()["digest_state"] == "equal", ceiling=120)
        lost = [f"key:{i}".encode() for i in (3, 4, 5, 900)]
        for key in lost:
            damage(slave, "INDEX-DROP", key)
        # More than the log's newest part, so that the pieces with the lost records are compacted.
        slave.call("COMPACT")
        repaired(master, slave, len(lost))
        for key in lost:
            assert slave.call("GET", key) == master.call("GET", key)
        slave.kill()
        slave.start()
        in_sync(master, slave)
        same_state(master, slave)
        for key in lost:
            assert slave.call("GET", key) == master.call("GET", key)

    def test_silent_damage_shows_with_the_next_write_of_the_key(self, cluster):
        master, slave = pair(cluster)
        wait_until(lambda: slave.info()["digest_state"] == "equal", ceiling=120)
        damage(slave, "INDEX-DROP", "key:9", "SILENT")
        master.call("SET", "key:9", "again")
        repaired(master, slave, 1)
        assert slave.call("GET", "key:9") == b"again"
        assert slave.call("DBSIZE") == master.call("DBSIZE") == KEYS

    def test_only_a_slave_may_be_damaged(self, cluster):
        master = cluster.master()
        master.call("SET", "a", "1")
        with pytest.raises(Exception, match="only a slave"):
            damage(master, "INDEX-DROP", "a")
        assert master.call("GET", "a") == b"1"


class TestCommands:
    def test_another_data_set_and_bad_numbers_are_refused(self, cluster):
        master = cluster.master()
        lineage = master.info()["lineage"]
        with master.wire() as wire:
            for command in (
                ("MS_DIGEST_PARTITIONS", "other", 1, 0),
                ("MS_DIGEST_PARTITIONS", lineage, 77, 0),
                ("MS_DIGEST_PARTITIONS", lineage, -1, 0),
                ("MS_DIGEST_PARTITIONS", lineage, 1, 16),
                ("MS_PARTITION_RECORDS", "other", 0, 0, 0),
                ("MS_PARTITION_RECORDS", lineage, 0, 1024, 0),
                ("MS_PARTITION_RECORDS", lineage, 0, -1, 0),
                ("MS_PARTITION_RECORDS", lineage, 0, 0, 1 << 24),
                ("MS_PARTITION_RECORDS", lineage, 99, 0, 0),
                ("MS_PARTITION_RECORDS", lineage, 0, 0, "x"),
            ):
                assert wire.call(*command).startswith(b"-"), command
            answer = wire.ask("MS_PARTITION_RECORDS", lineage, 0, 0, 0)
            assert answer[0] == 0 and len(answer[1]) == 41


def logfile_key(server, lsn):
    """The key of the record with this LSN."""
    records = (r for path in server.files("wal") for r in logfile.records(path))
    return next(r.key for r in records if r.lsn == lsn)
