"""Masters and slaves as real processes: attaching, breaking, coming back, refusing."""

import random
import re
import shutil
import threading

import pytest
import redis

from harness import connected, in_sync, same_state, wait_until
from load import Counters, Transactions, fill
from logfile import change_value
from wire import ErrorReply

pytestmark = pytest.mark.timeout(900)


def served(master):
    """How many syncs of each kind the master has served."""
    info = master.info()
    return {name: int(info[name]) for name in ("sync_full", "sync_delta", "sync_partial_ok")}


def link(slave):
    return slave.info("replication").get("master_link_status")


def followed(master, *slaves, ceiling=None):
    """Waits until the slaves have everything, and proves the data equal."""
    in_sync(master, *slaves, ceiling=ceiling)
    same_state(master, *slaves, ceiling=ceiling)


class TestAttach:
    def test_a_started_slave_gets_everything_and_follows(self, cluster):
        master = cluster.master()
        fill(master, 2000)
        fill(master, 100, prefix="other", database=3)
        slave = cluster.slave(master)
        followed(master, slave)
        master.call("SET", "later", "1")
        wait_until(lambda: slave.call("GET", "later") == b"1")
        assert slave.call("DBSIZE") == 2001
        assert slave.call("GET", "key:77") == master.call("GET", "key:77")
        connected(master, 1)

    def test_an_empty_master_is_followed(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        connected(master, 1)
        master.call("SET", "first", "1")
        wait_until(lambda: slave.call("GET", "first") == b"1")

    def test_every_kind_of_change_arrives(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        c = master.c
        c.mset({f"k{i}": i for i in range(200)})
        c.delete(*(f"k{i}" for i in range(50)))
        c.append("k60", "x")
        c.setbit("bits", 100, 1)
        c.incrbyfloat("float", 1.5)
        c.rename("k61", "renamed")
        c.copy("k62", "copied")
        c.move("k63", 1)
        c.set("expiring", "x", ex=1000)
        c.persist("expiring")
        c.set("soon", "x", px=1)
        c.getdel("k64")
        pipe = c.pipeline(transaction=True)
        pipe.set("t1", 1).incr("t1").delete("k65")
        pipe.execute()
        c.swapdb(2, 3)
        master.client(db=5).set("five", 5)
        master.client(db=6).set("six", 6)
        master.client(db=6).flushdb()
        followed(master, slave)
        assert sorted(slave.c.keys()) == sorted(c.keys())
        assert slave.client(db=5).get("five") == b"5"
        c.flushall()
        followed(master, slave)
        assert slave.c.dbsize() == 0 and slave.client(db=5).dbsize() == 0

    def test_replicaof_attaches_and_detaches_a_running_server(self, cluster):
        master, other = cluster.master(), cluster.master(name="other")
        fill(master, 500)
        assert other.call("REPLICAOF", "127.0.0.1", master.port) == b"OK"
        followed(master, other)
        assert other.info()["role"] == "slave"
        assert other.call("ROLE")[:3] == [b"slave", b"127.0.0.1", master.port]
        assert other.call("REPLICAOF", "NO", "ONE") == b"OK"
        wait_until(lambda: other.info()["role"] == "master")
        assert other.call("GET", "key:7") == master.call("GET", "key:7")
        other.call("SET", "mine", "1")
        assert master.call("GET", "mine") is None
        master.call("SET", "theirs", "1")
        assert other.call("GET", "theirs") is None

    def test_a_slave_of_a_slave(self, cluster):
        master = cluster.master()
        fill(master, 500)
        middle = cluster.slave(master, name="middle")
        last = cluster.slave(middle, name="last")
        followed(master, middle, last)
        before = served(middle)["sync_full"]
        middle.kill()
        master.call("SET", "while-away", "1")
        middle.start()
        followed(master, middle, last)
        assert last.call("GET", "while-away") == b"1"
        assert served(middle)["sync_full"] == 0 and last.info()["last_sync_plan"] == "partial", before

    def test_many_slaves_attach_at_once(self, cluster):
        master = cluster.master()
        fill(master, 1000)
        slaves = [cluster.slave(master, start=False).spawn() for _ in range(6)]
        for slave in slaves:
            slave.wait_ready()
        connected(master, 6)
        followed(master, *slaves)

    def test_the_master_answers_while_slaves_attach(self, cluster):
        master = cluster.master("--segment-bytes", 4 << 20)
        fill(master, 20_000, value_bytes=1000)
        with Counters(master, threads=2) as writers:
            writers.wait_for(200)
            slaves = [cluster.slave(master) for _ in range(2)]
            writers.wait_for(200)
            in_sync(master, *slaves)
        followed(master, *slaves)
        assert not writers.errors


class TestComeBack:
    """Whatever was away comes back by partial sync, as long as the log is there."""

    def test_slave_restarts(self, cluster):
        master = cluster.master()
        fill(master, 1000)
        slave = cluster.slave(master)
        followed(master, slave)
        full = served(master)["sync_full"]
        for stop in (slave.stop, slave.kill, slave.kill):
            stop()
            fill(master, 300, prefix=f"away-{stop.__name__}-{random.random()}")
            slave.start()
            followed(master, slave)
            assert slave.info()["last_sync_plan"] == "partial", slave.plan()
        assert served(master)["sync_full"] == full
        assert int(slave.info()["last_sync_bytes"]) < 300 * 300

    def test_master_restarts(self, cluster):
        master = cluster.master()
        fill(master, 1000)
        slave = cluster.slave(master)
        followed(master, slave)
        for stop in (master.stop, master.kill):
            stop()
            wait_until(lambda: link(slave) == "down")
            assert slave.call("GET", "key:5") is not None, "a slave without its master still answers"
            master.start()
            master.call("SET", "back", stop.__name__)
            followed(master, slave)
            assert slave.info()["last_sync_plan"] == "partial", slave.plan()
            assert served(master)["sync_full"] == 0

    def test_link_is_cut_under_load(self, cluster):
        master = cluster.master()
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}")
        in_sync(master, slave)
        full = served(master)["sync_full"]
        with Counters(master) as writers:
            for _ in range(5):
                writers.wait_for(100)
                proxy.cut()
                wait_until(lambda: link(slave) == "down")
                writers.wait_for(100)
                proxy.heal()
                wait_until(lambda: link(slave) == "up")
        followed(master, slave)
        writers.check(slave)
        assert served(master)["sync_full"] == full

    def test_link_drops_at_any_byte(self, cluster):
        """The stream ends in the middle of frames, again and again."""
        master = cluster.master()
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}")
        in_sync(master, slave)
        rng = random.Random(3)
        with Counters(master, value_bytes=500) as writers:
            for _ in range(8):
                proxy.cut_after = proxy.bytes_down + rng.randint(1, 60_000)
                wait_until(lambda: proxy.open_links == 0)
                proxy.heal()
                wait_until(lambda: proxy.open_links > 0)
        followed(master, slave)
        writers.check(slave)

    def test_a_damaged_byte_on_the_link_is_found(self, cluster):
        """A flipped bit never becomes data: the link is given up and the slave syncs again."""
        master = cluster.master()
        fill(master, 200)
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}")
        in_sync(master, slave)
        rng = random.Random(5)
        with Counters(master, value_bytes=300) as writers:
            for _ in range(5):
                before = proxy.connections
                proxy.damage_at = proxy.bytes_down + rng.randint(200, 20_000)
                wait_until(lambda: proxy.connections > before, what="a new connection after the damage")
        followed(master, slave)
        writers.check(slave)

    def test_kill_9_of_anyone_at_any_time_loses_nothing(self, cluster):
        master = cluster.master()
        Transactions(master).open_accounts()
        slaves = [cluster.slave(master, name=f"slave{i}") for i in range(2)]
        rng = random.Random(9)
        with Counters(master) as writers, Transactions(master):
            for victim in (master, slaves[0], master, slaves[1], master, slaves[0]):
                writers.wait_for(rng.randint(50, 800))
                victim.kill()
                victim.start()
        for slave in slaves:
            wait_until(lambda s=slave: link(s) == "up")
        followed(master, *slaves)
        for server in (master, *slaves):
            writers.check(server)
            Transactions.check(server)
        assert served(master)["sync_full"] == 0

    def test_a_paused_slave_and_a_paused_master(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        full = served(master)["sync_full"]
        slave.pause()
        fill(master, 2000)
        slave.resume()
        followed(master, slave)
        master.pause()
        assert slave.call("GET", "key:3") is not None
        master.resume()
        fill(master, 10, prefix="after")
        followed(master, slave)
        assert served(master)["sync_full"] == full

    def test_a_slave_detached_and_attached_again_without_writes_of_its_own(self, cluster):
        master = cluster.master()
        fill(master, 1000)
        slave = cluster.slave(master)
        followed(master, slave)
        slave.call("REPLICAOF", "NO", "ONE")
        slave.call("REPLICAOF", "127.0.0.1", master.port)
        wait_until(lambda: link(slave) == "up")
        followed(master, slave, ceiling=120)


    def test_a_master_that_is_gone_is_told_of_in_words(self, cluster):
        """No type of a library has its name in INFO or in the log."""
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        master.kill()

        def reason():
            return slave.info("replication").get("master_link_down_reason", "")

        wait_until(lambda: "connection refused" in reason())
        assert f"cannot connect to 127.0.0.1:{master.port}: connection refused" in reason()
        for text in (reason(), slave.log()):
            assert not re.search(r"NIO|SingleConnection|IOError|ChannelError|errno|Optional\(", text), text


class TestFullSync:
    def test_cut_at_many_points_it_resumes(self, cluster):
        """Every cut costs a little, never all: what came over the link is far less than the number of tries times the data."""
        master = cluster.master("--segment-bytes", 1 << 20)
        fill(master, 12_000, value_bytes=1000)
        data = 12_000 * 1000
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}", "--sync-mode", "full", start=False)
        cuts = 8
        proxy.cut_after = data // cuts
        slave.start()
        for cut in range(1, cuts):
            wait_until(lambda: proxy.open_links == 0 and proxy.bytes_down >= proxy.cut_after)
            if cut % 3 == 0:
                slave.kill()
            cut_after = proxy.bytes_down + data // cuts
            proxy.heal()
            proxy.cut_after = cut_after if cut < cuts - 1 else None
            if not slave.running:
                slave.start()
        followed(master, slave)
        assert proxy.bytes_down < data * 1.7, f"{proxy.bytes_down} bytes came for {data} of data and {cuts} tries"
        assert int(slave.info()["last_sync_bytes"]) < data * 0.6, "the last try began again from zero"

    def test_kill_9_of_the_slave_during_it(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20)
        fill(master, 6000, value_bytes=1000)
        proxy = cluster.proxy(master)
        proxy.rate_down = 8 << 20
        slave = cluster.slave(f"127.0.0.1:{proxy.port}", "--sync-mode", "full", start=False)
        for part in range(1, 6):
            slave.start()
            wait_until(lambda: proxy.bytes_down >= part * 1_000_000)
            slave.kill()
        proxy.rate_down = None
        slave.start()
        followed(master, slave)

    def test_kill_9_of_the_master_during_it(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20)
        fill(master, 6000, value_bytes=1000)
        proxy = cluster.proxy(master)
        proxy.rate_down = 8 << 20
        slave = cluster.slave(f"127.0.0.1:{proxy.port}", "--sync-mode", "full")
        for part in range(1, 4):
            wait_until(lambda: proxy.bytes_down >= part * 1_000_000)
            master.kill()
            master.start()
        proxy.rate_down = None
        followed(master, slave)

    def test_the_slave_answers_its_old_data_meanwhile(self, cluster):
        old, new = cluster.master(name="old"), cluster.master("--segment-bytes", 1 << 20, name="new")
        old.call("SET", "era", "old")
        fill(old, 100, prefix="only-old")
        new.call("SET", "era", "new")
        fill(new, 5000, value_bytes=1000)
        proxy = cluster.proxy(new)
        proxy.rate_down = 2 << 20
        slave = cluster.slave(old, "--accept-data-loss")
        in_sync(old, slave)
        slave.call("REPLICAOF", "127.0.0.1", proxy.port)
        wait_until(lambda: proxy.bytes_down > 1 << 20)
        seen = set()
        for _ in range(50):
            seen.add(slave.call("GET", "era"))
            assert slave.call("GET", "only-old:7") is not None or seen == {b"new"}
        assert seen == {b"old"}, "in the middle of the full sync"
        assert link(slave) == "down" and slave.info("replication").get("master_sync_in_progress") == "1"
        proxy.rate_down = None
        followed(new, slave)
        assert slave.call("GET", "era") == b"new"
        assert slave.call("EXISTS", "only-old:7") == 0

    def test_a_read_never_sees_half_of_it(self, cluster):
        """Old or new, at every moment: never an empty server, never some of each."""
        old, new = cluster.master(name="old"), cluster.master("--segment-bytes", 1 << 20, name="new")
        for master, era in ((old, "old"), (new, "new")):
            master.c.mset({f"era:{i}": era for i in range(50)})
            fill(master, 3000, value_bytes=500, prefix="pad")
        slave = cluster.slave(old, "--accept-data-loss")
        in_sync(old, slave)
        mixed, stop = [], threading.Event()

        def look():
            with slave.wire() as wire:
                while not stop.is_set():
                    seen = set(wire.ask("MGET", *(f"era:{i}" for i in range(50))))
                    if len(seen) != 1 or None in seen:
                        mixed.append(seen)

        thread = threading.Thread(target=look)
        thread.start()
        slave.call("REPLICAOF", "127.0.0.1", new.port)
        try:
            wait_until(lambda: slave.call("GET", "era:0") == b"new")
        finally:
            stop.set()
            thread.join()
        assert not mixed, mixed[:3]
        followed(new, slave)

    def test_writes_during_it_arrive_also_when_the_ops_buffer_overflows(self, cluster):
        master = cluster.master("--segment-bytes", 1 << 20, "--ops-buffer", 1 << 20)
        fill(master, 6000, value_bytes=1000)
        proxy = cluster.proxy(master)
        proxy.rate_down = 3 << 20
        slave = cluster.slave(f"127.0.0.1:{proxy.port}", "--sync-mode", "full")
        wait_until(lambda: proxy.bytes_down > 500_000)
        fill(master, 4000, value_bytes=1000, prefix="meanwhile")  # four times the buffer
        proxy.rate_down = None
        followed(master, slave, ceiling=120)
        assert served(master)["sync_full"] == 1
        assert slave.call("EXISTS", "meanwhile:3999") == 1

    def test_forced_modes(self, cluster):
        master = cluster.master()
        fill(master, 2000)
        partial = cluster.slave(master, "--sync-mode", "partial", name="partial")
        followed(master, partial)
        assert partial.info()["last_sync_plan"] == "partial", partial.plan()
        full = cluster.slave(master, "--sync-mode", "full", name="full")
        followed(master, full)
        assert full.info()["last_sync_plan"] == "full"
        full.stop()
        full.start()
        followed(master, full)
        assert full.info()["last_sync_plan"] == "full", "forced, although the log is there"

    def test_sync_rate_is_kept(self, cluster):
        rate = 4 << 20
        master = cluster.master("--segment-bytes", 1 << 20, "--sync-rate", rate)
        fill(master, 10_000, value_bytes=1000)
        slave = cluster.slave(master, "--sync-mode", "full")
        in_sync(master, slave)
        seconds = float(slave.info()["last_sync_seconds"])
        size = int(slave.info()["last_sync_bytes"])
        assert size > 9_000_000
        assert size / rate * 0.6 < seconds < size / rate * 3 + 2, f"{size} bytes in {seconds} s at {rate} bytes a second"


class TestSlowSlave:
    def test_it_is_fed_from_disk_and_never_cut_off(self, cluster):
        master = cluster.master("--ops-buffer", 1 << 20, "--segment-bytes", 1 << 20)
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}")
        in_sync(master, slave)
        full, connections = served(master)["sync_full"], proxy.connections
        proxy.rate_down = 300_000
        fill(master, 5000, value_bytes=1000)
        connected(master, 1)
        lag = int(re.search(r"lag_bytes=(\d+)", master.info("replication")["slave0"]).group(1))
        assert lag > 1 << 20, "further behind than the ops buffer reaches"
        assert proxy.open_links > 0
        proxy.rate_down = None
        followed(master, slave)
        assert served(master)["sync_full"] == full
        assert proxy.connections == connections, "the link was cut"

    def test_a_link_that_stands_still_costs_the_master_no_memory(self, cluster):
        master = cluster.master("--ops-buffer", 4 << 20, "--segment-bytes", 4 << 20)
        proxy = cluster.proxy(master)
        slave = cluster.slave(f"127.0.0.1:{proxy.port}")
        in_sync(master, slave)
        fill(master, 5000, value_bytes=1000, prefix="warm")
        in_sync(master, slave)
        before = master.memory()
        proxy.pause()
        for part in range(4):
            fill(master, 10_000, value_bytes=1000, prefix="warm")  # over and over the same keys: the index does not grow
        grown = master.memory() - before
        proxy.resume()
        followed(master, slave)
        assert grown < 24 << 20, f"{grown >> 20} MiB for 40 MB that the slave did not take"


class TestRefusals:
    def test_oneself(self, cluster):
        master = cluster.master()
        fill(master, 50)
        try:
            master.call("REPLICAOF", "127.0.0.1", master.port)
            master.said("SELFREGISTER|itself|oneself")
        except redis.ResponseError as error:
            assert re.search("itself|oneself|SELFREGISTER", str(error))
        assert master.call("EXISTS", "key:7") == 1

    def test_a_cycle(self, cluster):
        a = cluster.master(name="a")
        fill(a, 50)
        b = cluster.slave(a, name="b")
        c = cluster.slave(b, name="c")
        in_sync(a, b, c)
        try:
            a.call("REPLICAOF", "127.0.0.1", c.port)
            wait_until(lambda: re.search("CYCLE|cycle", a.log() + c.log()))
        except redis.ResponseError as error:
            assert re.search("cycle", str(error), re.IGNORECASE)
        assert all(server.call("EXISTS", "key:7") == 1 for server in (a, b, c))

    def test_a_copied_data_directory(self, cluster):
        master = cluster.master()
        fill(master, 50)
        slave = cluster.slave(master, name="original")
        followed(master, slave)
        slave.stop()
        shutil.copytree(slave.directory, cluster.directory / "copy")
        slave.start()
        followed(master, slave)
        copy = cluster.slave(master, name="copy", start=False).spawn()
        copy.said("DUPLICATEID|same id|duplicate")
        assert link(slave) == "up"
        master.call("SET", "after", "1")
        followed(master, slave)

    def test_too_many_slaves(self, cluster):
        master = cluster.master("--max-slaves", 1)
        first = cluster.slave(master)
        connected(master, 1)
        second = cluster.slave(master, start=False).spawn()
        second.said("MAXSLAVES|maximum|max-slaves")
        connected(master, 1)
        assert link(first) == "up"

    def test_an_empty_master_does_not_wipe_a_slave(self, cluster):
        full, empty = cluster.master(name="full"), cluster.master(name="empty")
        fill(full, 200)
        slave = cluster.slave(full)
        followed(full, slave)
        try:
            slave.call("REPLICAOF", "127.0.0.1", empty.port)
            slave.said("DATALOSS|accept-data-loss")
        except redis.ResponseError as error:
            assert "accept-data-loss" in str(error)
        assert slave.call("DBSIZE") == 200
        slave.stop()
        slave.master = empty
        slave.spawn()
        slave.said("DATALOSS|accept-data-loss")
        slave.end()
        slave.flags.append("--accept-data-loss")
        slave.start()
        followed(empty, slave)
        assert slave.call("DBSIZE") == 0

    def test_a_slave_refuses_writes_and_names_its_master(self, cluster):
        master = cluster.master()
        master.call("SET", "k", "v")
        slave = cluster.slave(master)
        in_sync(master, slave)
        with slave.wire() as wire:
            for command in ("SET k 2", "DEL k", "INCR n", "FLUSHALL", "EXPIRE k 10", "MSET a 1", "SWAPDB 0 1", "RENAME k l", "GETDEL k", "SETBIT k 1 1"):
                answer = wire.ask(*command.split())
                assert isinstance(answer, ErrorReply) and str(answer).startswith("READONLY "), (command, answer)
            assert str(master.port) in str(wire.ask("SET", "k", "2"))
            wire.ask("MULTI")
            wire.ask("SET", "k", "2")
            assert isinstance(wire.ask("EXEC"), ErrorReply)
            assert wire.ask("GET", "k") == b"v"


class TestReadingAndWaiting:
    @pytest.fixture
    def trio(self, cluster):
        master = cluster.master()
        slaves = [cluster.slave(master, name=f"slave{i}") for i in range(2)]
        in_sync(master, *slaves)
        connected(master, 2)
        return master, slaves

    def test_wait_counts_slaves_that_have_it(self, trio):
        master, slaves = trio
        with master.wire() as wire:
            wire.ask("SET", "k", "1")
            assert wire.ask("WAIT", 2, 10_000) == 2
            assert wire.ask("WAIT", 0, 0) >= 0
            slaves[1].pause()
            wire.ask("SET", "k", "2")
            assert wire.ask("WAIT", 2, 300) == 1
            slaves[1].resume()
            assert wire.ask("WAIT", 2, 10_000) == 2
            assert wire.ask("WAIT", 3, 100) == 2
        with slaves[0].wire() as wire:
            assert isinstance(wire.ask("WAIT", 1, 10), ErrorReply)

    def test_read_your_writes_with_a_token(self, trio):
        master, slaves = trio
        with master.wire() as writer, slaves[0].wire() as reader:
            for i in range(300):
                writer.ask("SET", "counter", i)
                token = writer.ask("LASTLSN")
                assert not isinstance(reader.ask("WAITLSN", token, 10_000), ErrorReply)
                assert reader.ask("GET", "counter") == b"%d" % i

    def test_waitlsn_gives_up_in_time(self, trio):
        master, slaves = trio
        with slaves[0].wire() as wire:
            future = wire.ask("WAITLSN", master.last_lsn() + 1000, 100)
            past = wire.ask("WAITLSN", 1, 100)
            assert future != past, "a wait that failed looks like one that succeeded"
            for arguments in ([], ["x", "1"], ["1", "x"], ["1", "-1"], ["-1", "1"], ["1"]):
                assert isinstance(wire.ask("WAITLSN", *arguments), ErrorReply), arguments
            assert wire.alive()

    def test_transactions_are_whole_on_a_slave_at_every_moment(self, trio):
        master, slaves = trio
        Transactions(master).open_accounts()
        in_sync(master, *slaves)
        with Transactions(master) as load:
            for _ in range(1500):
                Transactions.check(slaves[0])
            wait_until(lambda: load.done > 100)
        followed(master, *slaves)
        Transactions.check(slaves[1])

    def test_expiry_is_the_masters_business(self, trio):
        master, slaves = trio
        master.c.set("short", "x", px=200)
        master.c.set("long", "x", ex=1000)
        in_sync(master, *slaves)
        assert abs(slaves[0].c.ttl("long") - 1000) <= 2
        wait_until(lambda: slaves[0].call("EXISTS", "short") == 0)
        wait_until(lambda: slaves[0].c.dbsize() == 1, what="the delete has come as a record")
        followed(master, *slaves)


class TestEquality:
    def test_a_slave_that_is_equal_says_so_while_running(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        fill(master, 500)
        followed(master, slave)
        wait_until(lambda: slave.info()["digest_state"] == "equal", ceiling=120)

    def test_a_difference_that_no_checksum_shows_is_found_loud_and_repaired(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        fill(master, 500)
        master.call("SET", "account", "100")
        followed(master, slave)
        slave.stop()
        newest = sorted(slave.directory.glob("store-*/*.wal"))[-1]
        change_value(newest, b"account", b"900")
        slave.start()
        in_sync(master, slave)
        slave.said("DATA DIFFERS")
        assert slave.info()["damaged_records"] == "0", "the change must be one that the store cannot see"
        # The log itself holds another record: the master's takes its place.
        wait_until(lambda: slave.info()["digest_state"] == "equal", ceiling=120)
        assert slave.call("GET", "account") == b"100"
        assert slave.info()["digest_repaired_records"] == "1"
        slave.restart()
        in_sync(master, slave)
        assert slave.call("GET", "account") == b"100"
        same_state(master, slave)


class TestWhatCanBeSeen:
    def test_info_on_both_sides(self, cluster):
        master = cluster.master()
        fill(master, 300)
        slave = cluster.slave(master)
        followed(master, slave)
        fields = master.info()
        for name in ("redis_version", "role", "connected_slaves", "master_repl_offset", "instantaneous_ops_per_sec", "used_memory",
                     "connected_clients", "total_commands_processed", "uptime_in_seconds", "process_id", "tcp_port", "run_id",
                     "keyspace_hits", "keyspace_misses", "term", "appended_lsn", "durable_lsn", "committed_lsn", "applied_lsn",
                     "index_bytes", "data_bytes", "sync_full", "sync_delta", "sync_partial_ok", "db0"):  # fmt: skip
            assert name in fields, name
        assert fields["role"] == "master" and fields["connected_slaves"] == "1"
        row = fields["slave0"]
        for name in ("ip=127.0.0.1", f"port={slave.port}", "state=online", "lag_records=", "lag_bytes=", "lag_ms="):
            assert name in row, (name, row)
        assert re.search(r"plan=(full|partial)", row)
        mine = slave.info()
        for name in ("master_host", "master_port", "master_link_status", "last_sync_plan", "last_sync_reason",
                     "last_sync_estimated_bytes", "last_sync_bytes", "last_sync_seconds", "slave_read_only"):  # fmt: skip
            assert name in mine, name
        assert mine["last_sync_plan"] in ("full", "partial") and mine["last_sync_reason"]
        assert int(mine["term"]) == int(fields["term"]) >= 1
        lsn = {name: int(fields[f"{name}_lsn"]) for name in ("appended", "durable", "committed", "applied")}
        assert lsn["appended"] >= lsn["durable"] >= lsn["committed"] and lsn["appended"] >= 300

    def test_role(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        connected(master, 1)
        role = master.call("ROLE")
        assert role[0] == b"master" and isinstance(role[1], int)
        assert role[2][0][:2] == [b"127.0.0.1", b"%d" % slave.port]
        role = slave.call("ROLE")
        assert role[:4] == [b"slave", b"127.0.0.1", master.port, b"connected"]

    def test_plan_is_shown_without_starting_anything(self, cluster):
        master = cluster.master()
        fill(master, 1000)
        slave = cluster.slave(master)
        followed(master, slave)
        before = served(master)
        text = repr(master.call("MS_PLAN"))
        for word in ("full", "partial", "delta", "choice", "records"):
            assert word in text, text
        assert re.search(r"full: \d+(\.\d)? [KMG]?B, \d+ records", text), text
        with master.wire() as wire:
            assert isinstance(wire.ask("MS_PLAN", "nosuch-node"), ErrorReply)
        assert served(master) == before
        assert link(slave) == "up"

    def test_every_slave_knows_the_whole_list(self, cluster):
        master = cluster.master()
        slaves = [cluster.slave(master, name=f"slave{i}") for i in range(3)]
        in_sync(master, *slaves)

        def named(server):
            text = repr(server.call("MS_SLAVES"))
            return {s.port for s in slaves if str(s.port) in text}

        everyone = {s.port for s in slaves}
        for server in (master, *slaves):
            wait_until(lambda s=server: named(s) == everyone, what=f"{server.name} knows {everyone}")

    def test_digests_find_a_difference(self, cluster):
        master, other = cluster.master(), cluster.master(name="other")
        for server, value in ((master, "1"), (other, "2")):
            server.call("SET", "k", value)
        assert master.digest() != other.digest()

    def test_old_log_goes_away_when_nobody_needs_it(self, cluster):
        """A slave that is away pins the log; after its lease the log may go, and the slave then gets what it needs otherwise."""
        master = cluster.master("--segment-bytes", 1 << 20, "--slave-lease", 1, "--wal-keep", 2 << 20)
        slave = cluster.slave(master)
        in_sync(master, slave)
        slave.stop()
        for _ in range(6):
            fill(master, 1500, value_bytes=1000)  # always the same keys
        slave.start()
        followed(master, slave)
