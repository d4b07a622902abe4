"""A disk that misbehaves under real servers: what was acknowledged stays, nothing wrong is served, and it is said.

Faults come from disk_faults.py. What needs root (mounts, loop devices) is skipped with the reason where it is not permitted.
PACELINE_TEST_SCALE above 1 runs the long forms: every call and every byte instead of samples.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import pytest

import disk_faults
import logfile
from disk_faults import Ext4, Faults, tmpfs
from harness import Server, connected, in_sync, same_state, wait_until
from load import Counters, Transactions, fill
from rows import role
from wire import ErrorReply, Wire

pytestmark = pytest.mark.timeout(900)

SCALE = int(os.environ.get("PACELINE_TEST_SCALE", "1"))
SMALL = ("--segment-bytes", 64 << 10, "--ops-buffer", 64 << 10, "--wal-keep", 0)
FULL = (*SMALL, "--sync-mode", "full")
EIO, EMFILE = 5, 24


@pytest.fixture(scope="module", autouse=True)
def _library():
    yield
    disk_faults.PRELOAD.remove()


@pytest.fixture
def mounts():
    """File systems that the test mounts; they go after its servers."""
    mounted = []
    yield mounted
    for mount in reversed(mounted):
        mount.end()


@pytest.fixture
def cluster(mounts, cluster):
    """The servers go before the file systems that they live on."""
    yield cluster
    for process in cluster.processes:
        process.end()


def refused(server, code, *arguments):
    """The command is answered with an error of this code."""
    # A write that was taken when there was room may wait for more.
    with server.wire(timeout=1) as wire:
        answer = wire.ask(*(arguments or ("SET", "refused", "x")))
        return isinstance(answer, ErrorReply) and str(answer).startswith(code)


def status(server):
    """What `paceline status` shows of this node."""
    from harness import BINARY

    done = subprocess.run([BINARY, "status", "--node", server.address], capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


class TestFailedCalls:
    """One call fails with EIO; from then on the store takes nothing."""

    @pytest.mark.parametrize("operation", ["write", "sync"])
    def test_a_master_latches_and_a_restart_recovers(self, cluster, operation):
        master = cluster.master(*SMALL, start=False)
        faults = Faults(master)
        master.start()
        slave = cluster.slave(master, *SMALL)
        fill(master, 300, value_bytes=500)
        in_sync(master, slave)
        with Counters(master, threads=3, value_bytes=100) as writers:
            writers.wait_for(300)
            faults.arm(operation, error=EIO, number=5, stays=True, path=".wal")
            wait_until(lambda: refused(master, "MISCONF"), what="writes are refused")
            wait_until(lambda: any(e.startswith(b"-MISCONF") for e in writers.errors))
        durable = int(master.info()["durable_lsn"])
        assert set(e.split(b" ")[0] for e in writers.errors) <= {b"-MISCONF", b"-UNCERTAIN"}, writers.errors[:3]
        with master.wire() as wire:
            assert wire.ask("GET", "key:7") is not None and not isinstance(wire.ask("MGET", "key:1", "key:2"), ErrorReply)
            # What may be lost is not told as if it were kept.
            count = wire.ask("DBSIZE")
            assert str(count).startswith("UNCERTAIN") if isinstance(count, ErrorReply) else count >= 300
            assert wire.ask("GET", "key:8") is not None
        info = master.info("persistence")
        assert info["disk_state"] == "failed" and info["log_writable"] == "0"
        assert ".wal" in info["disk_error"] and "Input/output error" in info["disk_error"]
        assert "DISK FAILED" in status(master)
        master.said("the log cannot be written.*wal")
        # What is durable goes on to the slaves, new ones as well; nothing else does.
        second = cluster.slave(master, *SMALL)
        wait_until(lambda: int(second.info()["applied_lsn"]) == int(slave.info()["applied_lsn"]) == durable)
        faults.disarm()
        assert refused(master, "MISCONF"), "stays closed also when the disk works again"
        master.kill()
        master.start()
        writers.check(master)
        master.call("SET", "after", "1")
        in_sync(master, slave, second)
        same_state(master, slave, second)

    def test_clients_that_wait_are_told_that_the_outcome_is_unknown(self, cluster):
        master = cluster.master(start=False)
        faults = Faults(master)
        master.start()
        master.call("SET", "a", "1")
        faults.arm("sync", error=EIO, stays=True, path=".wal")
        with master.wire() as wire:
            wire.send(b"SET a 2\r\n")
            assert wire.reply().startswith(b"-UNCERTAIN")
            assert wire.until_closed() == b""
        assert refused(master, "MISCONF", "SET", "a", "3")

    @pytest.mark.parametrize("operation", ["write", "sync"])
    def test_a_following_slave_stops_and_names_it(self, cluster, operation):
        master = cluster.master(*SMALL)
        slave = cluster.slave(master, *SMALL, start=False)
        faults = Faults(slave)
        slave.start()
        fill(master, 300, value_bytes=500)
        in_sync(master, slave)
        with Counters(master, threads=2, value_bytes=100) as writers:
            writers.wait_for(100)
            faults.arm(operation, error=EIO, number=3, stays=True, path=".wal")
            wait_until(lambda: slave.info()["sync_state"] == "disk failed")
            info = slave.info()
            assert info["disk_state"] == "failed" and "Input/output error" in info["disk_error"]
            assert info["master_link_status"] == "down"
            before = writers.total
            writers.wait_for(200)
            assert slave.call("GET", "key:7") is not None
            assert "DISK FAILED" in status(slave)
        assert before < writers.total and not writers.errors
        faults.disarm()
        slave.kill()
        slave.start()
        in_sync(master, slave)
        same_state(master, slave)

    @pytest.mark.parametrize("operation", ["write", "sync"])
    def test_a_full_sync_stops_and_names_it(self, cluster, operation):
        master = cluster.master(*SMALL)
        fill(master, 2000, value_bytes=500)
        slave = cluster.slave(master, *FULL, start=False)
        faults = Faults(slave)
        faults.arm(operation, error=EIO, number=8, path="store-2/")
        slave.start()
        wait_until(lambda: slave.info()["sync_state"] == "disk failed")
        assert "store-2/" in slave.info()["disk_error"] and slave.call("DBSIZE") == 0
        assert master.call("DBSIZE") == 2000
        slave.kill()
        faults.disarm()
        slave.start()
        in_sync(master, slave)
        same_state(master, slave)

    def test_replicaof_again_tries_the_sync_again(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 1000, value_bytes=500)
        slave = cluster.slave(master, *FULL, start=False)
        faults = Faults(slave)
        faults.arm("write", error=EIO, number=8, path="store-2/")
        slave.start()
        wait_until(lambda: slave.info()["sync_state"] == "disk failed")
        slave.call("REPLICAOF", "127.0.0.1", master.port)
        in_sync(master, slave)
        same_state(master, slave)
        assert slave.info()["disk_state"] == "ok"

    @pytest.mark.parametrize("operation", ["open", "write", "sync", "rename"])
    def test_a_generation_that_cannot_be_written_is_tried_again(self, cluster, operation):
        master = cluster.master(*SMALL, start=False)
        faults = Faults(master)
        master.start()
        before = int(master.info()["generation"])
        faults.arm(operation, error=EIO, stays=True, path=".dir")
        fill(master, 500, value_bytes=500)
        wait_until(lambda: ".dir" in master.info()["disk_error"])
        assert int(master.info()["generation"]) == before
        master.call("SET", "still", "writable")
        faults.disarm()
        wait_until(lambda: int(master.info()["generation"]) > before and master.info()["disk_error"] == "")
        master.kill()
        master.start()
        assert master.call("DBSIZE") == 501

    def test_too_many_open_files_passes(self, cluster):
        master = cluster.master(*SMALL, start=False)
        faults = Faults(master)
        master.start()
        master.call("SET", "a", "1")
        faults.arm("open", error=EMFILE, stays=True, path=".wal")
        with Counters(master, threads=1, value_bytes=4000) as writers:
            wait_until(lambda: refused(master, "NOSPACE"), what="no new log file can be opened")
            assert "Too many open files" in master.info()["disk_error"]
            assert master.call("GET", "a") == b"1"
            faults.disarm()
            writers.wait_for(50)
        master.kill()
        master.start()
        writers.check(master)


class TestFullDisk:
    def test_a_master_refuses_writes_until_there_is_room(self, cluster, mounts):
        mounts.append(tmpfs(cluster.directory / "small", 8))
        master = cluster.add(Server("master", cluster.directory / "small" / "data", flags=SMALL)).start()
        slave = cluster.slave(master, *SMALL)
        fill(master, 200, value_bytes=500)
        filler = mounts[0].fill(leave=400 << 10)
        with Counters(master, threads=2, value_bytes=2000, keys=32) as writers:
            wait_until(lambda: refused(master, "NOSPACE"), what="the disk is full")
            info = master.info()
            assert info["disk_state"] == "full" and "No space left" in info["disk_error"], info["disk_error"]
            assert "DISK FULL" in status(master)
            assert master.call("GET", "key:7") is not None
            assert int(master.info()["applied_lsn"]) > 200
            assert set(e.split(b" ")[0] for e in writers.errors) <= {b"-NOSPACE"}, writers.errors[:3]
            filler.unlink()
            writers.wait_for(500)
            assert master.info()["disk_state"] == "ok"
            master.said("the log takes writes again")
        in_sync(master, slave)
        same_state(master, slave)
        master.kill()
        master.start()
        writers.check(master)
        in_sync(master, slave)
        same_state(master, slave)

    def test_a_kill_on_a_full_disk_loses_nothing(self, cluster, mounts):
        mounts.append(tmpfs(cluster.directory / "small", 8))
        master = cluster.add(Server("master", cluster.directory / "small" / "data", flags=SMALL)).start()
        filler = mounts[0].fill(leave=300 << 10)
        with Counters(master, threads=2, value_bytes=2000, keys=32) as writers:
            wait_until(lambda: refused(master, "NOSPACE"), what="the disk is full")
            master.kill()
        filler.unlink()
        master.start()
        writers.check(master)

    def full(self, cluster, mounts, *flags):
        """A master whose disk is full: no write is taken."""
        mounts.append(tmpfs(cluster.directory / "small", 8))
        master = cluster.add(Server("master", cluster.directory / "small" / "data", flags=(*SMALL, *flags))).start()
        fill(master, 2000, value_bytes=500)
        wait_until(lambda: (master.directory / "reserve").exists() and (master.directory / "reserve").stat().st_size)
        filler = mounts[0].fill(leave=0)
        with Counters(master, threads=2, value_bytes=2000, keys=32):
            wait_until(lambda: refused(master, "NOSPACE"), what="the disk is full")
        return master, filler

    def test_reads_of_all_kinds_are_answered_while_it_is_full(self, cluster, mounts):
        master, _ = self.full(cluster, mounts)
        for _ in range(2):
            with master.wire(timeout=20) as wire:
                assert wire.ask("DBSIZE") >= 2000
                assert wire.ask("RANDOMKEY") and len(wire.ask("SCAN", 0)) == 2 and wire.ask("DIGEST")
                assert wire.ask("GET", "key:7") is not None
            # A start that finds no room does the same.
            master.kill()
            master.start()
            assert refused(master, "NOSPACE") and master.info()["disk_state"] == "full"

    def test_it_can_free_itself(self, cluster, mounts):
        master, _ = self.full(cluster, mounts, "--garbage-ratio", 0.2)
        assert master.call("DEL", "key:7") == 1 and master.call("GET", "key:7") is None
        assert master.call("UNLINK", *(f"key:{i}" for i in range(8, 1500))) == 1492
        wait_until(lambda: master.call("COMPACT") and not refused(master, "NOSPACE"), ceiling=60)
        wait_until(lambda: master.info()["disk_state"] == "ok")
        assert master.call("SET", "after", "1") == b"OK"
        master.kill()
        master.start()
        assert master.call("GET", "after") == b"1" and master.call("EXISTS", "key:7", "key:1499", "key:1500") == 1

    def test_flushall_and_a_start_in_what_is_kept(self, cluster, mounts):
        master, _ = self.full(cluster, mounts)
        master.kill()
        master.start()
        assert master.call("FLUSHALL") == b"OK" and master.call("DBSIZE") == 0
        wait_until(lambda: master.call("COMPACT") and not refused(master, "NOSPACE"), ceiling=60)
        master.kill()
        master.start()
        assert master.call("DBSIZE") <= 1

    def test_a_start_without_any_room_serves_reads(self, cluster, mounts):
        master, filler = self.full(cluster, mounts)
        master.kill()
        (master.directory / "reserve").unlink()
        more = mounts[0].fill(leave=0, name="more")
        master.start()
        with master.wire(timeout=20) as wire:
            assert wire.ask("DBSIZE") >= 2000 and wire.ask("GET", "key:7") is not None
            assert wire.ask("RANDOMKEY") and wire.ask("DIGEST") and len(wire.ask("SCAN", 0)) == 2
        assert refused(master, "NOSPACE")
        more.unlink()
        filler.unlink()
        wait_until(lambda: not refused(master, "NOSPACE"))
        assert master.call("SET", "after", "1") == b"OK" and master.info()["role"] == "master"

    def test_a_full_sync_waits_for_room(self, cluster, mounts):
        master = cluster.master(*SMALL)
        fill(master, 3000, value_bytes=1000)
        mounts.append(tmpfs(cluster.directory / "small", 12))
        slave = cluster.add(Server("slave", cluster.directory / "small" / "data", "slave", master, flags=FULL))
        filler = mounts[0].fill(leave=1 << 20)
        slave.start()
        wait_until(lambda: slave.info()["sync_state"] == "disk full")
        assert slave.info()["disk_state"] == "full" and slave.info()["master_link_status"] == "down"
        assert slave.call("PING") and slave.call("DBSIZE") == 0
        assert "DISK FULL" in status(slave)
        syncs = int(master.info()["sync_full"])
        filler.unlink()
        in_sync(master, slave)
        same_state(master, slave)
        assert slave.info()["disk_state"] == "ok" and int(master.info()["sync_full"]) <= syncs + 1

    def test_a_full_sync_goes_on_where_the_disk_was_full(self, cluster, mounts):
        """There was room when it began, and not in its middle."""
        master = cluster.master(*SMALL)
        fill(master, 4000, value_bytes=1000)
        mounts.append(tmpfs(cluster.directory / "small", 12))
        proxy = cluster.proxy(master)
        proxy.rate_down = 4 << 20
        slave = cluster.add(
            Server("slave", cluster.directory / "small" / "data", "slave", proxy.port, flags=FULL)
        ).start()
        wait_until(lambda: int(slave.info()["sync_bytes_done"]) > 500_000)
        filler = mounts[0].fill()
        wait_until(lambda: slave.info()["sync_state"] == "disk full")
        assert "No space left" in slave.info()["disk_error"]
        received = proxy.bytes_down
        proxy.rate_down = None
        filler.unlink()
        in_sync(master, slave)
        same_state(master, slave)
        assert proxy.bytes_down - received < 4_200_000 - 300_000, "the files that were there are not sent again"

    def test_a_following_slave_waits_for_room(self, cluster, mounts):
        master = cluster.master(*SMALL)
        fill(master, 200, value_bytes=500)
        mounts.append(tmpfs(cluster.directory / "small", 16))
        slave = cluster.add(Server("slave", cluster.directory / "small" / "data", "slave", master, flags=SMALL)).start()
        in_sync(master, slave)
        filler = mounts[0].fill()
        with Counters(master, threads=2, value_bytes=1000) as writers:
            wait_until(lambda: slave.info()["sync_state"] == "disk full")
            assert slave.info()["disk_state"] == "full"
            writers.wait_for(300)
            assert slave.call("GET", "key:7") is not None
            assert not writers.errors
        filler.unlink()
        in_sync(master, slave)
        same_state(master, slave)
        assert slave.info()["disk_state"] == "ok" and slave.info()["sync_state"] == "in sync"
        assert int(master.info()["sync_full"]) <= 1

    def test_a_slave_whose_link_breaks_while_its_disk_is_full(self, cluster, mounts):
        master = cluster.master(*SMALL)
        mounts.append(tmpfs(cluster.directory / "small", 16))
        proxy = cluster.proxy(master)
        slave = cluster.add(
            Server("slave", cluster.directory / "small" / "data", "slave", proxy.port, flags=SMALL)
        ).start()
        fill(master, 200, value_bytes=500)
        in_sync(master, slave)
        filler = mounts[0].fill()
        fill(master, 500, value_bytes=1000, prefix="more")
        wait_until(lambda: slave.info()["sync_state"] == "disk full")
        proxy.drop()
        wait_until(lambda: slave.info()["master_link_status"] == "down")
        assert slave.call("GET", "key:7") is not None
        filler.unlink()
        in_sync(master, slave)
        same_state(master, slave)


class TestStart:
    """What stops a start is named, with the file and what to do; nothing on the disk is changed by it."""

    @pytest.fixture
    def stopped(self, cluster):
        master = cluster.master(*SMALL)
        fill(master, 500, value_bytes=500)
        wait_until(lambda: len(master.files("idx")) > 1 and int(master.info()["generation"]) >= 4)
        master.stop()
        return master

    def refuses(self, server, *patterns):
        before = contents(server.directory)
        server.spawn()
        assert server.wait_exit() == 1
        text = server.log_since_start()
        for pattern in patterns:
            assert re.search(pattern, text), f"{pattern!r} is not in: {text}"
        assert contents(server.directory) == before, "the start changed files"

    @pytest.mark.parametrize("ending", ["dir", "wal", "idx"])
    @pytest.mark.parametrize("which", [0, -1])
    def test_a_newer_format(self, stopped, ending, which):
        # Only the newest generation counts: an older one of a newer format is not looked at.
        path = stopped.files(ending)[-1 if ending == "dir" else which]
        head = path.read_bytes()[:8]
        assert head[:5] == {"dir": b"PLDIR", "wal": b"PLWAL", "idx": b"PLIDX"}[ending]
        version = head[7]
        logfile.set_version(path, version + 1)
        said = rf"newer Paceline \(format {version + 1}\)", f"up to format {version}"
        self.refuses(stopped, re.escape(path.name), *said)
        logfile.set_version(path, version)
        stopped.start()
        assert stopped.call("DBSIZE") == 500

    def test_a_read_only_file_system(self, cluster, mounts):
        mounts.append(tmpfs(cluster.directory / "small", 8))
        master = cluster.add(Server("master", cluster.directory / "small" / "data", flags=SMALL))
        master.log_path = cluster.directory / "master.log"
        master.start()
        fill(master, 100)
        master.stop()
        mounts[0].remount("ro")
        self.refuses(master, "Read-only file system", "read-only", re.escape(str(master.directory)))
        mounts[0].remount("rw")
        master.start()
        assert master.call("DBSIZE") == 100

    @pytest.mark.parametrize("rights", [0o000, 0o300, 0o500], ids=["none", "unreadable", "unwritable"])
    def test_a_directory_without_rights(self, stopped, rights, monkeypatch):
        if os.geteuid() == 0:
            become_nobody(stopped, monkeypatch)
        place = stopped.directory / "store-1"
        os.chmod(place, rights)
        try:
            stopped.spawn()
            if rights == 0o500:
                # Everything can be read, so the start goes as far as its first new file.
                wait_until(
                    lambda: not stopped.running or refused(stopped, "MISCONF", "SET", "filler", "x" * 8000),
                    what="no new log file can be made",
                )
                if stopped.running:
                    assert "Permission denied" in stopped.info()["disk_error"]
                    stopped.kill()
                    return
            assert stopped.wait_exit() == 1
            text = stopped.log_since_start()
            assert "Permission denied" in text and str(place) in text and "must be able to" in text, text
        finally:
            os.chmod(place, 0o700)
        stopped.start()
        assert stopped.call("DBSIZE") == 500

    def test_a_data_directory_without_rights(self, stopped, monkeypatch):
        if os.geteuid() == 0:
            become_nobody(stopped, monkeypatch)
        os.chmod(stopped.directory, 0o000)
        try:
            stopped.spawn()
            assert stopped.wait_exit() == 1
            text = stopped.log_since_start()
            assert "Permission denied" in text and str(stopped.directory) in text and "must be able to" in text, text
        finally:
            os.chmod(stopped.directory, 0o700)
        stopped.start()
        assert stopped.call("DBSIZE") == 500

    def test_too_few_file_handles(self, stopped, monkeypatch):
        limit_files(stopped, monkeypatch, 12)
        stopped.spawn()
        assert stopped.wait_exit() == 1
        text = stopped.log_since_start()
        assert re.search("open files|file handles", text) and "ulimit -n" in text, text
        monkeypatch.undo()
        stopped.start()
        assert stopped.call("DBSIZE") == 500

    def test_clients_cannot_take_the_stores_file_handles(self, stopped, monkeypatch):
        limit_files(stopped, monkeypatch, 256)
        stopped.start()
        assert int(stopped.info()["maxclients"]) < 200
        stopped.said("max-clients")
        wires = []
        try:
            for _ in range(300):
                wires.append(Wire(stopped.port, timeout=60))
            answers = [wire.call("PING") for wire in wires[:100]]
            assert answers[0] == b"+PONG\r\n"
            for i in range(200):
                wires[0].call("SET", f"big:{i}", "x" * 2000)
            assert wires[0].ask("GET", "big:199") == b"x" * 2000
        finally:
            for wire in wires:
                wire.close()
        assert stopped.info()["disk_state"] == "ok"


def contents(directory):
    """Every file with its bytes, but for the lock."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(pathlib.Path(directory).rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def become_nobody(server, monkeypatch):
    """The server runs as a user without privileges, who owns its directory."""
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv to run the server as another user")
    user = 65534
    place = server.directory.parent
    os.chmod(place, 0o755)
    for path in [server.directory, *server.directory.rglob("*")]:
        os.chown(path, user, user)
    probe = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", Server.command(server)[0], "--version"],
        capture_output=True,
    )
    if probe.returncode != 0:
        pytest.skip(f"the binary cannot be run by another user here: {probe.stderr.decode().strip()}")
    wrap(server, monkeypatch, ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"])


def limit_files(server, monkeypatch, count):
    wrap(server, monkeypatch, ["sh", "-c", f'ulimit -n {count}; exec "$@"', "sh"])


def wrap(server, monkeypatch, prefix):
    original = type(server).command
    monkeypatch.setattr(server, "command", lambda: prefix + original(server), raising=False)


class TestMappedFiles:
    """A sealed file that shrinks under the server: reads of its memory would end the process (SIGBUS)."""

    def test_a_truncated_file_is_damage_not_death(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20, "--ops-buffer", 0)
        fill(master, 4000, value_bytes=1000)
        wait_until(lambda: len(master.files("idx")) >= 3)
        path = master.files("wal")[0]
        held = [r.key for r in logfile.records(path) if r.key.startswith(b"key:")]
        others = [b"key:%d" % i for i in range(4000) if b"key:%d" % i not in set(held)]
        right = {key: master.call("GET", key) for key in held[:5] + others[:5]}
        os.truncate(path, 4096)
        wait_until(lambda: int(master.info()["resident_bytes"]) < 3 << 20)
        damaged = 0
        with master.wire() as wire:
            for key in held:
                answer = wire.ask("GET", key)
                if isinstance(answer, ErrorReply):
                    assert str(answer).startswith("CORRUPT"), answer
                    damaged += 1
                else:
                    assert answer == right.get(key, answer) and answer is not None and len(answer) == 1000
            assert damaged > len(held) // 2
            for key in others[:5]:
                assert wire.ask("GET", key) == right[key]
            assert wire.ask("SET", "new", "1") is not None and wire.ask("GET", "new") == b"1"
        info = master.info()
        assert int(info["unreadable_pages"]) > 0 and path.name in info["unreadable_files"]
        assert int(info["damaged_records"]) > 0 and path.name in info["damaged_places"]
        assert path.name in status(master)
        master.said(f"record is damaged.*{path.name}")
        master.said(f"{path.name}.*cannot be read")
        master.said("log files cannot be read")
        # Not sent to a slave as if it were good, and the slave says why.
        slave = cluster.slave(master, "--segment-bytes", 1 << 20)
        wait_until(lambda: slave.info()["last_sync_error"] != "")
        assert slave.call("DBSIZE") == 0 and master.running

    def test_a_bus_error_elsewhere_still_ends_the_process(self, cluster):
        import signal

        # Without the report of the Swift runtime, which takes its time.
        master = cluster.master(*SMALL, env={"SWIFT_BACKTRACE": "enable=no"})
        fill(master, 500, value_bytes=500)
        wait_until(lambda: int(master.info()["generation"]) > 3)
        wait_until(lambda: int(master.info()["resident_bytes"]) < 200_000)
        master.child.send_signal(signal.SIGBUS)
        assert master.wait_exit() == -signal.SIGBUS
        master.said("bus error")


class TestFlippedBytes:
    """A sample with whole servers; every byte of every kind of file: DamageTests in LogStoreTests."""

    def test_no_flipped_byte_gives_a_wrong_answer(self, cluster):
        master = cluster.master("--segment-bytes", 4096, "--ops-buffer", 0, "--wal-keep", 0)
        right = {}
        rng = random.Random(5)
        for i in range(60):
            key, value = f"key:{i % 40}", rng.randbytes(rng.randint(1, 400)).hex().encode()
            master.call("SET", key, value)
            right[key.encode()] = value
        master.call("DEL", "key:3")
        del right[b"key:3"]
        wait_until(lambda: len(master.files("idx")) > 2)
        master.stop()
        # Whatever kinds of files there are, by their endings.
        kinds = {}
        for path in sorted(master.directory.rglob("*")):
            if path.is_file() and path.name != "lock" and path.stat().st_size:
                kinds.setdefault(path.suffix, []).append(path)
        assert {".wal", ".idx", ".dir"} <= set(kinds)
        original = {path: path.read_bytes() for paths in kinds.values() for path in paths}
        # Bytes that mean something: not the reserved space behind the log.
        used = {p: logfile.end_of_log(p) if p.suffix == ".wal" else len(data) for p, data in original.items()}
        served = corrupt = refusals = 0
        for paths in kinds.values():
            # The newest generation; of the others the oldest, which is sealed, and the newest, which may not be.
            chosen = [paths[-1]] if paths[0].suffix == ".dir" else sorted({paths[0], paths[-1]})
            flips = [(path, at) for path in chosen for at in sorted(rng.sample(range(used[path]), min(used[path], 5 * SCALE)))]
            for path, offset in flips:
                for old in list(master.directory.rglob("*")):
                    if old.is_file() and old not in original and old.name != "lock":
                        old.unlink()
                for file, data in original.items():
                    file.parent.mkdir(exist_ok=True)
                    file.write_bytes(data)
                logfile.flip(path, offset, 1 << rng.randrange(8))
                note = f"{path.name} at {offset}"
                master.spawn()
                wait_until(lambda: not master.running or settled(master))
                text = master.log_since_start()
                if not master.running:
                    assert master.child.returncode == 1, f"{note}: {text}"
                    assert path.name in text, f"{note}: not named in {text}"
                    refusals += 1
                    continue
                with master.wire() as wire:
                    for key, value in right.items():
                        answer = wire.ask("GET", key)
                        if isinstance(answer, ErrorReply):
                            assert str(answer).startswith("CORRUPT"), note
                            corrupt += 1
                        else:
                            assert answer == value, f"{note}: {key} is {answer!r}"
                    answer = wire.ask("GET", "key:3")
                    assert answer is None or isinstance(answer, ErrorReply), f"{note}: a deleted key came back"
                served += 1
                master.kill()
        assert served and refusals + corrupt


def settled(server):
    return server.call("PING") == b"PONG"


class TestCrashPoints:
    """kill -9 at the n-th call of every kind, before, inside and after it, under load with a lot of sealing."""

    KINDS = [("write", "before"), ("write", "inside"), ("sync", "before"), ("sync", "after"), ("rename", "before"), ("rename", "after"),
             ("unlink", "before"), ("unlink", "after"), ("truncate", "before"), ("truncate", "after")]  # fmt: skip

    def numbers(self, seen, rng, few):
        """Which of so many calls: all of them in the long form, else a few."""
        seen = max(1, seen)
        if SCALE > 1:
            return range(1, min(seen, 12 * SCALE) + 1)
        return sorted({rng.randint(1, seen) for _ in range(few)})

    @pytest.mark.timeout(900 * SCALE)
    def test_sealing_and_generations_of_a_master(self, cluster):
        """The files are small, so a second of load seals, drops and writes generations many times."""
        master = cluster.master(*SMALL, start=False)
        faults = Faults(master)
        master.start()
        Transactions(master).open_accounts()
        slave = cluster.slave(master, *SMALL)
        rng = random.Random(77)
        fired = 0
        with Counters(master, threads=2, value_bytes=900) as writers, Transactions(master):
            faults.count("/master/")
            writers.wait_for(600)
            seen = faults.counts
            assert all(seen[kind] for kind, _ in self.KINDS), seen
            for kind, when in self.KINDS:
                for number in self.numbers(seen[kind], rng, 1):
                    faults.arm(kind, f"kill {when}", number=number, path="/master/")
                    wait_until(lambda: not master.running, what=f"{kind} {number} of {seen}, {when}")
                    fired += faults.fired
                    faults.disarm()
                    master.kill()
                    master.start()
                    writers.check(master)
                    Transactions.check(master)
        assert fired >= len(self.KINDS)
        in_sync(master, slave)
        same_state(master, slave)
        writers.check(slave)

    @pytest.mark.timeout(900 * SCALE)
    @pytest.mark.parametrize("mode", ["full", "partial"])
    def test_a_slave_that_syncs(self, cluster, mode):
        master = cluster.master(*SMALL[:4], "--wal-keep", 64 << 20)
        fill(master, 1500, value_bytes=500)
        rng = random.Random(78)
        template = cluster.slave(master, *SMALL, name="template")
        in_sync(master, template)
        template.stop()
        base = cluster.directory / "base"
        shutil.copytree(template.directory, base)
        # What the partial sync brings, and what the full one brings anew.
        fill(master, 600, value_bytes=500, prefix="later")
        slave = cluster.slave(master, *SMALL, "--sync-mode", mode, name="victim", start=False)
        faults = Faults(slave)

        def reset():
            slave.kill()
            shutil.rmtree(slave.directory)
            if mode == "partial":
                shutil.copytree(base, slave.directory)
            else:
                slave.directory.mkdir()

        reset()
        faults.count("/victim/")
        slave.start()
        in_sync(master, slave)
        wait_until(lambda: len(slave.files("idx")) > 5)
        seen = faults.counts
        for kind, when in self.KINDS:
            if not seen[kind]:
                continue
            for number in self.numbers(seen[kind], rng, 1):
                reset()
                faults.arm(kind, f"kill {when}", number=number, path="/victim/")
                slave.spawn()
                # The last calls of a kind may come later, or not at all in this run.
                wait_until(lambda: not slave.running or followed(master, slave))
                faults.disarm()
                slave.kill()
                slave.start()
                in_sync(master, slave)
                same_state(master, slave)

    @pytest.mark.timeout(900 * SCALE)
    def test_compaction_of_a_master(self, cluster):
        """Killed anywhere in COMPACT, a master has all of its data, and the next COMPACT does the work."""
        master = cluster.master(*SMALL, start=False)
        faults = Faults(master)
        master.start()
        Transactions(master).open_accounts()
        rng = random.Random(79)
        written = {}

        def garbage():
            """Every other value anew and some keys deleted: every piece has something to drop and something to keep."""
            with master.wire(timeout=60) as wire:
                for i in range(0, 600, rng.randint(2, 4)):
                    value = rng.randbytes(400)
                    assert wire.ask("SET", f"key:{i}", value) == b"OK"
                    written[f"key:{i}"] = value
                for i in range(1, 600, 37):
                    wire.ask("DEL", f"key:{i}")
                    written[f"key:{i}"] = None

        def compact():
            try:
                master.call("COMPACT")
            except (OSError, ValueError):
                pass  # it was killed meanwhile

        def check():
            with master.wire(timeout=60) as wire:
                for key, value in written.items():
                    assert wire.ask("GET", key) == value, key
            Transactions.check(master)

        garbage()
        garbage()
        faults.count("/master/")
        compact()
        seen = faults.counts
        assert all(seen[kind] for kind in ("write", "sync", "rename", "unlink")), seen
        fired = 0
        for kind, when in self.KINDS:
            for number in self.numbers(seen[kind], rng, 2) if seen[kind] else ():
                garbage()
                faults.arm(kind, f"kill {when}", number=number, path="/master/")
                compact()
                fired += faults.fired
                faults.disarm()
                master.kill()
                master.start()
                check()
        assert fired >= 6, fired
        report = master.call("COMPACT")
        assert int(dict(zip(report[::2], report[1::2]))[b"bytes_written"]) > 0, report
        check()
        slave = cluster.slave(master, *FULL)
        in_sync(master, slave)
        same_state(master, slave)

    @pytest.mark.timeout(900 * SCALE)
    def test_a_slave_that_gets_a_delta(self, cluster):
        """Killed anywhere in a delta, a slave has its old data or the new, and ends with the new."""
        master = cluster.master(*SMALL)
        fill(master, 1500, value_bytes=500)
        rng = random.Random(80)
        template = cluster.slave(master, *SMALL, name="template")
        in_sync(master, template)
        template.stop()
        base = cluster.directory / "base"
        shutil.copytree(template.directory, base)
        for seed in range(3):
            fill(master, 500, value_bytes=500, seed=seed + 2)
        with master.wire() as wire:
            for i in range(1000, 1100):
                wire.ask("DEL", f"key:{i}")
        slave = cluster.slave(master, *SMALL, "--sync-mode", "delta", name="victim", start=False)
        faults = Faults(slave)

        def reset():
            slave.kill()
            shutil.rmtree(slave.directory, ignore_errors=True)
            shutil.copytree(base, slave.directory)

        def complete():
            in_sync(master, slave, ceiling=120)
            same_state(master, slave)
            assert slave.c.dbsize() == 1400

        reset()
        faults.count("/victim/")
        slave.start()
        complete()
        assert slave.plan()[0] == "delta", slave.plan()
        seen = faults.counts
        assert all(seen[kind] for kind in ("write", "sync", "rename")), seen
        fired = 0
        for kind, when in self.KINDS:
            for number in self.numbers(seen[kind], rng, 2) if seen[kind] else ():
                reset()
                faults.arm(kind, f"kill {when}", number=number, path="/victim/")
                slave.spawn()
                # The last calls of a kind may come later, or not at all in this run.
                wait_until(lambda: not slave.running or followed(master, slave), ceiling=120)
                fired += faults.fired
                faults.disarm()
                slave.kill()
                slave.start()
                complete()
        assert fired >= 6, fired

    def test_the_counts_cover_what_is_claimed(self, cluster):
        """A full sync writes, syncs, renames; a partial one goes through sealing on the slave as well."""
        master = cluster.master(*SMALL)
        fill(master, 1500, value_bytes=500)
        slave = cluster.slave(master, *SMALL, start=False)
        faults = Faults(slave)
        faults.count("store-")
        slave.start()
        in_sync(master, slave)
        fill(master, 1500, value_bytes=500)
        in_sync(master, slave)
        wait_until(lambda: len(slave.files("idx")) > 5)
        seen = faults.counts
        assert seen["write"] > 20 and seen["sync"] > 20 and seen["rename"] > 5 and seen["truncate"] > 5, seen


def followed(master, slave):
    info = slave.info()
    return info["master_link_status"] == "up" and int(info["applied_lsn"]) >= master.last_lsn()


class TestPowerCut:
    """An ext4 image whose file system is shut down under the running server: what was not synced is gone."""

    @pytest.mark.parametrize("flags", [2, 1], ids=["without the journal", "with the journal"])
    def test_what_was_acknowledged_is_there(self, cluster, mounts, flags):
        disk = Ext4(cluster.directory / "disk")
        mounts.append(disk)
        master = cluster.add(Server("master", disk.place / "data", flags=SMALL))
        master.log_path = cluster.directory / "master.log"
        master.start()
        slave = cluster.slave(master, *SMALL)
        Transactions(master).open_accounts()
        rng = random.Random(flags)
        with Counters(master, threads=3, value_bytes=900) as writers, Transactions(master):
            for _ in range(3 * SCALE):
                writers.wait_for(rng.randint(100, 800))
                # A real power cut ends the server at the same moment. Here a sync that is under way while the file
                # system goes down may still say yes: only what was acknowledged before counts.
                acknowledged = dict(writers.acknowledged)
                disk.cut(flags)
                wait_until(lambda: refused(master, "MISCONF"))
                info = master.info()
                assert info["disk_state"] == "failed" and "Input/output error" in info["disk_error"]
                assert master.call("PING")
                master.kill()
                disk.power_on()
                master.start()
                writers.check(master, acknowledged)
                Transactions.check(master)
                self.hand_back(slave, master)
            writers.wait_for(200)
        in_sync(master, slave)
        same_state(master, slave)
        writers.check(slave)

    def hand_back(self, slave, master):
        """That sync said yes, and the slave got what the disk does not have: then it reigns, as it holds more."""
        if role(master) != "master":
            wait_until(lambda: role(slave) == "master")
            in_sync(slave, master)
            assert slave.call("FAILOVER") == b"OK"

    def test_a_slave(self, cluster, mounts):
        disk = Ext4(cluster.directory / "disk")
        mounts.append(disk)
        master = cluster.master(*SMALL)
        slave = cluster.add(Server("slave", disk.place / "data", "slave", master, flags=SMALL))
        slave.log_path = cluster.directory / "slave.log"
        slave.start()
        with Counters(master, threads=2, value_bytes=900) as writers:
            for _ in range(2 * SCALE):
                writers.wait_for(500)
                disk.cut()
                wait_until(lambda: slave.info()["sync_state"] == "disk failed")
                writers.wait_for(200)
                slave.kill()
                disk.power_on()
                slave.start()
        assert not writers.errors
        in_sync(master, slave)
        same_state(master, slave)


def test_a_slow_disk_holds_up_no_client_when_the_streams_of_slaves_die(cluster):
    """What the list of slaves is written for happens on the loops of clients: none of them waits for the disk."""
    master = cluster.master("--loops", "1", start=False)
    faults = Faults(master)
    master.start()
    slaves = [cluster.slave(master, name=f"s{number}") for number in range(3)]
    connected(master, 3)
    with master.wire(timeout=60) as wire:
        faults.slow_syncs(1000)
        longest = 0
        for slave in [*slaves, None]:
            if slave:
                slave.kill()
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                began = time.monotonic()
                assert wire.alive()
                longest = max(longest, time.monotonic() - began)
        faults.slow_syncs(0)
    # A sync takes a second.
    assert longest < 0.7, f"a PING took {longest:.2f} s"
    connected(master, 0)
