"""Damage in sealed files: never a wrong answer, repaired online from another node, named when nobody has a copy."""

import json
import subprocess

import pytest

import logfile
from harness import in_sync, same_state, wait_until
from load import fill
from wire import ErrorReply

pytestmark = pytest.mark.timeout(900)

SMALL = ("--segment-bytes", 1 << 20, "--ops-buffer", 0, "--compaction", "no")


def sealed(server):
    """The first sealed segment and some of its records that hold keys."""
    wait_until(lambda: len(server.files("idx")) >= 3 and int(server.info()["resident_bytes"]) < 3 << 20)
    path = server.files("wal")[0]
    return path, [r for r in logfile.records(path) if r.key.startswith(b"key:")]


def damage(path, records):
    for record in records:
        logfile.flip(path, record.value_offset + 10)


def ask(server, key):
    with server.wire() as wire:
        return wire.ask("GET", key)


def inspected(server, *flags):
    command = [server.command()[0], "inspect", "--verify", str(server.directory), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def repaired(server, count):
    wait_until(
        lambda: int(server.info()["repaired_records"]) >= count and server.info()["damaged_files"] == "0",
        what=f"{server.name} repairs {count} records",
    )


def pair(cluster):
    master = cluster.master(*SMALL)
    fill(master, 4000, value_bytes=1000)
    slave = cluster.slave(master, *SMALL)
    in_sync(master, slave)
    return master, slave


class TestWithACopy:
    @pytest.mark.parametrize("damaged", ["slave", "master"])
    def test_damage_that_a_read_meets_is_repaired_online(self, cluster, damaged):
        master, slave = pair(cluster)
        server, other = (slave, master) if damaged == "slave" else (master, slave)
        path, records = sealed(server)
        victims = [records[3], records[4], records[200]]
        right = {r.key: other.call("GET", r.key) for r in victims}
        damage(path, victims)
        started = server.pid
        for record in victims:
            answer = ask(server, record.key)
            assert answer == right[record.key] or isinstance(answer, ErrorReply) and str(answer).startswith("CORRUPT")
        assert ask(server, records[100].key) == other.call("GET", records[100].key)
        repaired(server, 3)
        for record in victims:
            assert ask(server, record.key) == right[record.key]
        assert server.info()["damaged_records"] == "0"
        server.said("a damaged file of the log was repaired")
        master.call("SET", "after", "1")
        in_sync(master, slave)
        same_state(master, slave)
        assert server.pid == started
        # What was repaired is on disk.
        server.kill()
        server.start()
        assert ask(server, victims[0].key) == right[victims[0].key]
        in_sync(master, slave)
        same_state(master, slave)

    @pytest.mark.parametrize("change", ["overwrite", "delete"])
    def test_a_key_that_changed_while_its_record_was_damaged_does_not_come_back(self, cluster, change):
        master, slave = pair(cluster)
        path, records = sealed(slave)
        victim = records[7]
        slave.stop()
        damage(path, [victim])
        slave.start()
        in_sync(master, slave)
        # Nobody to fetch from until the change has been applied.
        if change == "overwrite":
            master.call("SET", victim.key, "newer")
        else:
            master.call("DEL", victim.key)
        in_sync(master, slave)
        slave.call("SCRUB")
        repaired(slave, 1)
        assert ask(slave, victim.key) == (b"newer" if change == "overwrite" else None)
        same_state(master, slave)

    def test_scrub_finds_what_nobody_reads(self, cluster):
        master, slave = pair(cluster)
        path, records = sealed(slave)
        damage(path, records[10:40])
        report = slave.call("SCRUB")
        report = dict(zip(report[::2], report[1::2]))
        assert int(report[b"damaged_records"]) == 30 and int(report[b"repaired_records"]) == 30, report
        again = slave.call("SCRUB")
        assert int(dict(zip(again[::2], again[1::2]))[b"damaged_files"]) == 0
        same_state(master, slave)


class TestWithoutACopy:
    def test_only_that_key_is_refused_and_the_damage_is_named(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 4000, value_bytes=1000)
        path, records = sealed(master)
        damage(path, [records[5]])
        master.call("SCRUB")
        answer = ask(master, records[5].key)
        assert isinstance(answer, ErrorReply) and str(answer).startswith("CORRUPT"), answer
        assert len(ask(master, records[6].key)) == 1000
        master.call("SET", "new", "1")
        info = master.info()
        assert info["damaged_files"] == "1" and info["damaged_records"] == "1"
        assert path.name in info["damage0"] and f"lsn={records[5].lsn}" in info["damage0"], info["damage0"]
        assert "no other node" in info["damage0"]
        assert path.name in info["damaged_places"]
        master.said(f"FILE OF THE LOG IS DAMAGED.*{path.name}")
        # A slave that comes later cannot help, and the damage is no reason to end.
        assert master.running


class TestVerify:
    def test_every_damage_is_listed(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 4000, value_bytes=1000)
        path, records = sealed(master)
        master.call("SAVE")
        master.stop()
        good = inspected(master)
        assert good.returncode == 0 and "all good" in good.stdout, good.stdout + good.stderr
        damage(path, [records[5], records[9]])
        bad = inspected(master)
        assert bad.returncode == 1
        for record in (records[5], records[9]):
            assert f"DAMAGED {path} at offset {record.offset}, LSN {record.lsn}" in bad.stdout, bad.stdout
        assert "2 DAMAGED places" in bad.stdout
        found = json.loads(inspected(master, "--json").stdout)
        assert [d["first_lsn"] for d in found["damage"]] == [records[5].lsn, records[9].lsn]
        assert found["damage"][0]["file"] == str(path)

    def test_it_knows_what_is_alive_as_the_server_does(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 3000, value_bytes=500)
        fill(master, 800, value_bytes=500, seed=3)
        fill(master, 70, prefix="other", database=2)
        fill(master, 50, prefix="gone", database=3)
        master.client(db=3).flushdb()
        pipe = master.c.pipeline(transaction=True)
        pipe.delete("key:5").set("key:6", "in a transaction").set("late", "1", ex=5000)
        pipe.execute()
        for compacted in (False, True):
            if compacted:
                master.call("COMPACT")
            # The term's record that a start writes changes no digest.
            digest = master.digest()[1:]
            master.stop()
            found = json.loads(inspected(master, "--json").stdout)
            assert [[d["database"], d["digest"].encode(), d["keys"]] for d in found["databases"]] == digest
            assert not found["damage"]
            assert found["live_records"] == 3000 + 70 + 1  # and the catalog: key:5 is gone, late is new
            assert (found["dead_records"] > 800) != compacted, found
            text = inspected(master).stdout
            assert f"digest {digest[0][1].decode()}" in text and "alive: 3071 records" in text
            master.start()

    def test_compacted_files_and_flushed_databases(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 3000, value_bytes=1000)
        fill(master, 50, prefix="other", database=3)
        master.client(db=3).flushdb()
        master.call("COMPACT")
        assert master.files("dat")
        master.stop()
        assert inspected(master).returncode == 0
        text = subprocess.run(
            [master.command()[0], "inspect", str(master.directory)], capture_output=True, text=True, timeout=60
        )
        assert text.returncode == 0 and "keys alive by these files: 3000," in text.stdout, text.stdout[-2000:]
        logfile.flip(master.files("dat")[0], 5000)
        bad = inspected(master)
        assert bad.returncode == 1 and master.files("dat")[0].name in bad.stdout

    def test_what_is_no_data_directory(self, cluster, tmp_path):
        master = cluster.master()
        command = [master.command()[0], "inspect", "--verify", str(tmp_path)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert answer.returncode == 1 and "no generation" in answer.stderr


class TestTransfers:
    """Damage that a transfer meets is repaired at once: no scrub runs, and nobody reads the damaged keys."""

    FLAGS = (*SMALL, "--scrub-interval", 0)

    def pair(self, cluster, *flags):
        master = cluster.master(*self.FLAGS, *flags)
        fill(master, 4000, value_bytes=1000)
        good = cluster.slave(master, *self.FLAGS)
        in_sync(master, good)
        wait_until(lambda: len(master.files("idx")) >= 3 and int(master.info()["resident_bytes"]) < 3 << 20)
        return master, good

    @pytest.mark.parametrize("ending", ["wal", "idx"])
    def test_a_full_sync_from_a_damaged_file(self, cluster, ending):
        master, good = self.pair(cluster)
        path, records = sealed(master)
        if ending == "wal":
            damage(path, records[20:23])
        else:
            logfile.flip(path.with_suffix(".idx"), 200)
        late = cluster.slave(master, *self.FLAGS, "--sync-mode", "full")
        master.said("FILE OF THE LOG IS DAMAGED" if ending == "wal" else "a damaged index file was made anew")
        in_sync(master, late, ceiling=90)
        same_state(master, good, late)
        assert late.plan()[0] == "full"
        info = master.info()
        assert info["damaged_files"] == "0" and info["repaired_records"] == ("3" if ending == "wal" else "0")

    def test_a_log_that_a_slave_missed(self, cluster):
        master, good = self.pair(cluster, "--wal-keep", 64 << 20)
        late = cluster.slave(master, *self.FLAGS)
        in_sync(master, late)
        late.stop()
        known = set(master.files("wal"))
        fill(master, 4000, value_bytes=1000, prefix="later")
        in_sync(master, good)
        wait_until(lambda: int(master.info()["resident_bytes"]) < 3 << 20)
        path = next(p for p in master.files("wal") if p not in known and p.with_suffix(".idx").exists())
        damage(path, logfile.records(path)[50:52])
        late.start()
        in_sync(master, late, ceiling=90)
        same_state(master, good, late)
        repaired(master, 2)


class TestDictionaries:
    """Values in a data file that need its dictionary: damaged, and right again from the other node's."""

    FLAGS = ("--segment-bytes", 1 << 20, "--ops-buffer", 0, "--compression", "zstd", "--scrub-interval", 0, "--compaction", "no")
    ZSTD = 0x20

    def value(self, i):
        return b'{"name": "customer %d", "city": "town %d", "state": "active", "balance": %d}' % (i, i % 50, i * 7919 % 10007)

    def pair(self, cluster):
        master = cluster.master(*self.FLAGS)
        slave = cluster.slave(master, *self.FLAGS)
        for _ in range(2):
            pipe = master.c.pipeline(transaction=False)
            for i in range(12000):
                pipe.set(f"key:{i}", self.value(i))
            pipe.execute()
        in_sync(master, slave)
        for server in (master, slave):
            # A pinned slave that has not acknowledged yet may keep a part from being compacted at once.
            wait_until(lambda: server.call("COMPACT") and self.pieces(server), what=f"data files of {server.name}")
        return master, slave

    def pieces(self, server):
        """Data files in use that have a dictionary, with their records that are compressed."""
        found = []
        for path in server.files("dat"):
            data = path.read_bytes()
            if logfile.records_at(data) > logfile.SEGMENT_HEADER and path.with_suffix(".idx").exists():
                records = [r for r in logfile.records(path) if r.flags & 0x30 == self.ZSTD]
                if len(records) > 100:
                    found.append((path, records))
        return found

    def copies(self, path):
        """Where the two copies of its dictionaries begin."""
        end = logfile.records_at(path.read_bytes())
        return logfile.SEGMENT_HEADER, (logfile.SEGMENT_HEADER + end) // 2

    def right(self, node):
        keys = [f"key:{i}" for i in range(12000)]
        return node.c.mget(keys) == [self.value(i) for i in range(12000)]

    def alone(self, cluster):
        """A node without another one, that has ended, and its data files."""
        master = cluster.master(*self.FLAGS)
        for _ in range(2):
            pipe = master.c.pipeline(transaction=False)
            for i in range(12000):
                pipe.set(f"key:{i}", self.value(i))
            pipe.execute()
        master.call("COMPACT")
        master.stop()
        return master, [path for path, _ in self.pieces(master)]

    @pytest.mark.parametrize("copy", [0, 1])
    def test_one_damaged_copy_costs_nothing_and_is_repaired_at_once(self, cluster, copy):
        master, paths = self.alone(cluster)
        for path in paths:
            logfile.flip(path, self.copies(path)[copy] + 200)
        report = inspected(master)
        assert report.returncode == 1 and all(path.name in report.stdout for path in paths), report.stdout
        assert "one of the two copies of its dictionaries" in report.stdout
        master.start()
        assert self.right(master)
        wait_until(lambda: int(master.info()["repaired_files"]) >= len(paths) and master.info()["damaged_files"] == "0")
        assert self.right(master)
        master.stop()
        report = inspected(master, "--json")
        newest = json.loads(report.stdout)["usable_generations"][-1]
        assert newest == int(master.files("dir")[-1].stem)

    def test_both_copies_damaged_is_said_at_the_first_read(self, cluster):
        master, paths = self.alone(cluster)
        for offset in self.copies(paths[0]):
            logfile.flip(paths[0], offset + 200)
        report = inspected(master)
        assert report.returncode == 1 and "its dictionaries are damaged" in report.stdout
        assert report.stdout.count("or its dictionary is") > 100, "every record that needs it is named"
        master.start()
        wait_until(lambda: int(master.info()["damaged_records"]) > 0)
        assert paths[0].name in master.info()["damaged_places"]
        assert not self.right_or_refused(master)

    def right_or_refused(self, node):
        """Never a wrong value; whether all are there."""
        answers = [ask(node, f"key:{i}".encode()) for i in range(0, 12000, 50)]
        for i, answer in zip(range(0, 12000, 50), answers):
            assert answer == self.value(i) or isinstance(answer, ErrorReply) and str(answer).startswith("CORRUPT")
        return all(not isinstance(answer, ErrorReply) for answer in answers)

    @pytest.mark.parametrize("ending", ["dat", "wal"])
    def test_a_damaged_header_costs_nothing(self, cluster, ending):
        master, _ = self.alone(cluster)
        path = [p for p in master.files(ending) if logfile.records(p)][0]
        for offset in (1, 9, 20, 25, 30):
            logfile.flip(path, offset)
        master.start()
        assert self.right(master)
        assert path.name in master.log_since_start() and "header" in master.log_since_start()
        if ending == "dat":
            wait_until(lambda: int(master.info()["repaired_files"]) >= 1)
        master.restart()
        assert self.right(master)

    def test_a_damaged_catalog_record_costs_nothing(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20, "--ops-buffer", 0)
        master.call("SET", "before", "1")
        master.call("FLUSHALL")
        master.call("SWAPDB", 0, 1)
        fill(master, 3000, value_bytes=1000)
        wait_until(lambda: len(master.files("idx")) > 1)
        master.restart()
        path, record = next(
            (path, r) for path in master.files("wal") for r in reversed(logfile.records(path)) if r.kind == 3)
        assert path.with_suffix(".idx").exists()
        master.stop()
        logfile.flip(path, record.value_offset + 9)
        master.start()
        assert master.call("DBSIZE") == 3000 and master.client(db=1).dbsize() == 0
        assert "newest catalog record" in master.log_since_start()
        wait_until(lambda: int(master.info()["repaired_files"]) >= 1)
        master.restart()
        assert "catalog" not in master.log_since_start() and master.call("DBSIZE") == 3000

    @pytest.mark.parametrize("damaged", ["slave", "master"])
    @pytest.mark.parametrize("what", ["records", "dictionary"])
    def test_the_values_are_right_again(self, cluster, damaged, what):
        master, slave = self.pair(cluster)
        server = slave if damaged == "slave" else master
        path, records = self.pieces(server)[-1]
        victims = [records[2], records[3], records[90]]
        if what == "records":
            for record in victims:
                logfile.flip(path, record.value_offset + record.value_bytes // 2)
        else:
            # Both copies.
            for offset in self.copies(path):
                logfile.flip(path, offset + 200)
        started = server.pid
        report = server.call("SCRUB")
        report = dict(zip(report[::2], report[1::2]))
        assert int(report[b"damaged_records"]) >= 3, report
        repaired(server, 3)
        assert server.info()["damaged_records"] == "0" and server.pid == started

        def right(node):
            keys = [f"key:{i}" for i in range(12000)]
            return node.c.mget(keys) == [self.value(i) for i in range(12000)]

        assert right(server)
        same_state(master, slave)
        server.kill()
        server.start()
        assert right(server)
        in_sync(master, slave)
        same_state(master, slave)
        report = server.call("SCRUB")
        assert int(dict(zip(report[::2], report[1::2]))[b"damaged_files"]) == 0
