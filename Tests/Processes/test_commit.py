"""When a write is good: quorum, fullsync, async, by server, database and connection, and what readers see meanwhile."""

import re

import pytest
import redis

from harness import connected, in_sync, same_state, wait_until
from rows import follow, fresh, is_error, row
from wire import ErrorReply, encode

pytestmark = pytest.mark.timeout(150)
TIMED_OUT = "SYNCTIMEOUT Fullsync wait timeout"


@pytest.mark.parametrize("level", ["quorum", "fullsync:1", "fullsync:2"])
class TestGate:
    """Both slaves stand still: nothing is acknowledged, and nothing is shown that could be undone."""

    def test_a_write_times_out_and_nobody_sees_it_before_it_is_good(self, cluster, stopped, level):
        master, first, second = row(cluster, "--commit", level, "--sync-timeout", "700ms", "--read-lease", "no")
        master.call("SET", "k", "old")
        master.call("SET", "other", "settled")
        in_sync(master, first, second)
        stopped(first, second)
        assert is_error(fresh(master, "SET", "k", "new"), TIMED_OUT)
        for command in (["GET", "k"], ["STRLEN", "k"], ["GET", "k"]):
            assert is_error(fresh(master, *command), TIMED_OUT), command
        assert is_error(fresh(master, "DEL", "k"), TIMED_OUT)
        assert fresh(master, "GET", "other") == b"settled", "settled data is answered at once"
        assert fresh(master, "PING") == b"PONG"
        first.resume()
        second.resume()
        wait_until(lambda: fresh(master, "GET", "k") is None, what="the delete is good at last")
        assert fresh(master, "SET", "k", "newest") == b"OK"
        wait_until(lambda: first.call("GET", "k") == second.call("GET", "k") == b"newest")
        same_state(master, first, second)

    def test_a_write_that_waits_is_answered_when_it_is_good(self, cluster, stopped, level):
        master, first, second = row(cluster, "--commit", level, "--sync-timeout", "60s", "--read-lease", "no")
        stopped(first, second)
        with master.wire(timeout=60) as writer, master.wire(timeout=60) as reader:
            writer.send(encode("SET", "k", "v"))
            wait_until(lambda: int(master.info()["appended_lsn"]) > int(master.info()["committed_lsn"]))
            reader.send(encode("GET", "k"))
            assert fresh(master, "GET", "unrelated") is None
            first.resume()
            second.resume()
            assert writer.value() == b"OK" and reader.value() == b"v"


class TestQuorum:
    def test_one_stopped_slave_of_two_stops_nothing(self, cluster, stopped):
        master, first, second = row(cluster, "--commit", "quorum", "--sync-timeout", "30s")
        stopped(first)
        for i in range(100):
            assert master.call("SET", f"k:{i}", i) == b"OK"
        assert master.call("GET", "k:7") == b"7"
        wait_until(lambda: second.call("GET", "k:99") == b"99")
        first.resume()
        in_sync(master, first)
        same_state(master, first, second)

    def test_fullsync_2_waits_for_both(self, cluster, stopped):
        master, first, second = row(cluster, "--commit", "fullsync:2", "--sync-timeout", "700ms")
        assert master.call("SET", "k", "v") == b"OK"
        stopped(first)
        assert is_error(fresh(master, "SET", "k", "w"), TIMED_OUT)
        first.resume()
        wait_until(lambda: fresh(master, "GET", "k") == b"w")

    def test_slaves_never_show_what_is_not_good(self, cluster, stopped):
        """One slave has the record, and not enough others do."""
        master, first, second = row(cluster, "--commit", "fullsync:2", "--sync-timeout", "700ms")
        master.call("SET", "k", "old")
        in_sync(master, first, second)
        stopped(second)
        assert is_error(fresh(master, "SET", "k", "new"), TIMED_OUT)
        lsn = int(master.info()["appended_lsn"])
        wait_until(lambda: int(first.info()["durable_lsn"]) >= lsn, what="the first slave has the record on disk")
        for _ in range(50):
            assert first.call("GET", "k") == b"old"
        second.resume()
        wait_until(lambda: first.call("GET", "k") == second.call("GET", "k") == b"new")

    def test_pipelines_keep_their_order(self, cluster, stopped):
        master, first, second = row(cluster, "--commit", "quorum", "--sync-timeout", "60s")
        master.call("SET", "settled", "s")
        in_sync(master, first, second)
        stopped(first, second)
        commands = [("GET", "settled"), ("SET", "k", "1"), ("GET", "settled"), ("GET", "k"), ("INCR", "n"), ("PING",)]
        with master.wire(timeout=60) as wire:
            wire.send(b"".join(encode(*c) for c in commands))
            wait_until(lambda: int(master.info()["appended_lsn"]) > int(master.info()["committed_lsn"]))
            first.resume()
            second.resume()
            assert [wire.value() for _ in commands] == [b"s", b"OK", b"s", b"1", 1, b"PONG"]

    def test_transactions_wait_as_a_whole(self, cluster, stopped):
        master, first, second = row(cluster, "--commit", "quorum", "--sync-timeout", "700ms")
        master.call("MSET", "a", "1", "b", "1")
        with master.wire(timeout=60) as wire, master.wire(timeout=60) as other:
            assert wire.ask("WATCH", "a") == b"OK"
            stopped(first, second)
            wire.ask("MULTI")
            wire.ask("INCR", "a")
            wire.ask("INCR", "b")
            assert is_error(wire.ask("EXEC"), TIMED_OUT)
            assert is_error(other.ask("MGET", "a", "b"), TIMED_OUT)
            first.resume()
            second.resume()
            wait_until(lambda: other.ask("MGET", "a", "b") == [b"2", b"2"])
            wire.ask("WATCH", "a")
            assert other.ask("SET", "a", "9") == b"OK"
            wire.ask("MULTI")
            wire.ask("SET", "a", "10")
            assert wire.ask("EXEC") is None
        wait_until(lambda: first.c.mget("a", "b") == second.c.mget("a", "b") == [b"9", b"2"])

    def test_the_queue_of_waiting_writes_is_bounded(self, cluster, stopped):
        master, first, second = row(
            cluster, "--commit", "quorum", "--sync-timeout", "60s", "--unsynced-records", 20
        )
        stopped(first, second)
        with master.wire(timeout=60) as wire:
            wire.send(b"".join(encode("SET", f"k:{i}", i) for i in range(20)))
            refused = wait_until(lambda: is_error(reply := fresh_now(master, "SET", "more", "1"), "SYNCQUEUE") and reply)
            assert "was not done" in str(refused)
            assert fresh(master, "GET", "unrelated") is None
            first.resume()
            second.resume()
            assert [wire.value() for _ in range(20)] == [b"OK"] * 20
        wait_until(lambda: fresh(master, "SET", "more", "2") == b"OK")


def fresh_now(node, *command):
    """As `fresh`; None when there is no answer yet: the write was let in and waits."""
    try:
        with node.wire(timeout=1) as wire:
            return wire.ask(*command)
    except TimeoutError:
        return None


class TestAvailability:
    def test_the_master_goes_on_alone_loudly_and_comes_back(self, cluster, stopped):
        flags = ["--commit", "quorum", "--sync-timeout", "500ms", "--on-sync-timeout", "availability"]
        master, first, second = row(cluster, *flags)
        assert master.call("SET", "k", "1") == b"OK"
        stopped(first, second)
        wait_until(lambda: fresh(master, "SET", "k", "2") == b"OK", what="writes are acknowledged alone")
        assert master.call("GET", "k") == b"2"
        master.said("COMMIT LEVEL NOT HELD")
        degraded = master.info().get("commit_degraded")
        assert degraded in (None, "1", "yes")
        first.resume()
        second.resume()
        master.said("the commit level holds again")
        assert master.info().get("commit_degraded") in (None, "0", "no")
        in_sync(master, first, second)
        assert master.call("SET", "k", "3") == b"OK"
        same_state(master, first, second)


class TestLevels:
    def test_a_database_of_its_own_level(self, cluster, stopped):
        master, first, second = row(cluster, "--sync-timeout", "700ms")
        assert master.call("TABLE", "SET", 0, "COMMIT", "quorum") == b"OK"
        wait_until(lambda: fresh(master, "SET", "k", "1") == b"OK")
        master.said(r'the voters changed voters="\w{40} \w{40} \w{40}"')
        stopped(first, second)
        with master.wire(timeout=60) as wire:
            wire.ask("SELECT", 1)
            for i in range(20):
                assert wire.ask("SET", f"fast:{i}", i) == b"OK"
            assert wire.ask("GET", "fast:1") == b"1"
        assert is_error(fresh(master, "SET", "k", "2"), TIMED_OUT)
        with master.wire(timeout=60) as wire:
            wire.ask("SELECT", 1)
            assert wire.ask("SET", "fast:1", "still") == b"OK"
            assert wire.ask("GET", "fast:1") == b"still"
        first.resume()
        second.resume()
        wait_until(lambda: fresh(master, "GET", "k") == b"2")

    def test_a_databases_level_is_kept_and_is_on_the_slaves(self, cluster):
        master, first, second = row(cluster)
        master.call("SET", "k", "v")
        assert master.call("TABLE", "SET", 0, "COMMIT", "quorum") == b"OK"
        assert master.call("TABLE", "SET", 3, "COMMIT", "fullsync") == b"OK"

        def levels(node):
            return {r[0]: (r[2], r[3]) for r in node.call("TABLE", "LIST")}

        expected = {0: (b"quorum", b"quorum"), 3: (b"fullsync", b"fullsync")}
        assert levels(master) == expected
        in_sync(master, first, second)
        assert levels(first) == expected and levels(second) == expected
        for node in (master, first, second):
            node.kill()
        for node in (master, first, second):
            node.start()
        wait_until(lambda: levels(master) == levels(first) == levels(second) == expected)
        wait_until(lambda: fresh(master, "SET", "k", "w") == b"OK", 60)
        assert master.call("TABLE", "SET", 3, "COMMIT", "default") == b"OK"
        assert levels(master) == {0: (b"quorum", b"quorum")}
        with pytest.raises(redis.ResponseError, match="READONLY"):
            first.call("TABLE", "SET", 0, "COMMIT", "default")

    def test_a_connection_raises_its_level_and_never_lowers_it(self, cluster, stopped):
        master, first, second = row(cluster, "--sync-timeout", "700ms")
        with master.wire(timeout=60) as wire, master.wire(timeout=60) as plain:
            assert wire.ask("COMMIT", "LEVEL") == b"async"
            assert wire.ask("COMMIT", "LEVEL", "quorum") == b"OK"
            assert wire.ask("COMMIT", "LEVEL") == b"quorum" and plain.ask("COMMIT", "LEVEL") == b"async"
            assert wire.ask("SET", "k", "1") == b"OK"
            master.said(r'the voters changed voters="\w{40} \w{40} \w{40}"')
            stopped(first, second)
            assert is_error(wire.ask("SET", "k", "2"), TIMED_OUT)
            assert plain.ask("SET", "other", "1") == b"OK"
            assert is_error(plain.ask("GET", "k"), TIMED_OUT), "the reader does not choose what may be undone"
            assert wire.ask("COMMIT", "LEVEL", "default") == b"OK"
            assert wire.ask("COMMIT", "LEVEL") == b"async"
            assert wire.ask("SET", "third", "1") == b"OK"
            first.resume()
            second.resume()
        strict = cluster.master("--commit", "quorum", name="strict")
        with strict.wire() as wire:
            assert wire.ask("COMMIT", "LEVEL", "async") == b"OK"
            assert wire.ask("COMMIT", "LEVEL") == b"quorum"
            assert is_error(wire.ask("COMMIT", "LEVEL", "sometimes"), "ERR")

    def test_config_set_raises_the_level_of_a_running_server(self, cluster, stopped):
        master, first, second = row(cluster, "--sync-timeout", "700ms")
        assert master.call("CONFIG", "SET", "commit", "fullsync:2") == b"OK"
        assert master.call("CONFIG", "GET", "commit") == [b"commit", b"fullsync:2"]
        assert fresh(master, "SET", "k", "1") == b"OK"
        stopped(first)
        assert is_error(fresh(master, "SET", "k", "2"), TIMED_OUT)
        assert master.call("CONFIG", "SET", "commit", "async") == b"OK"
        assert fresh(master, "SET", "other", "1") == b"OK"
        first.resume()
        wait_until(lambda: fresh(master, "GET", "k") == b"2")


class TestWaits:
    def test_wait_counts_slaves_that_have_it_on_disk(self, cluster, stopped):
        master, first, second = row(cluster)
        with master.wire(timeout=60) as wire:
            assert wire.ask("SET", "k", "v") == b"OK"
            assert wire.ask("WAIT", 2, 30_000) == 2
            assert wire.ask("WAITAOF", 1, 2, 30_000) == [1, 2]
            stopped(first)
            assert wire.ask("SET", "k", "w") == b"OK"
            assert wire.ask("WAIT", 1, 30_000) >= 1
            assert wire.ask("WAIT", 2, 200) == 1
            assert wire.ask("WAITAOF", 1, 2, 200) == [1, 1]
            first.resume()
            assert wire.ask("WAIT", 2, 30_000) == 2
        assert is_error(fresh(first, "WAIT", 1, 100), "ERR WAIT cannot be used with replica")

    def test_levels_that_hold_together_ask_for_all_of_each(self, cluster, stopped):
        master, first, second = row(cluster, "--commit", "fullsync:2", "--sync-timeout", "1s")
        with master.wire(timeout=60) as wire:
            assert wire.ask("COMMIT", "LEVEL", "quorum") == b"OK"
            assert wire.ask("COMMIT", "LEVEL") == b"fullsync and quorum"
            assert wire.ask("SET", "k", "1") == b"OK"
            stopped(first)
            assert is_error(wire.ask("SET", "k", "2"), TIMED_OUT), "a majority has it, but not two slaves"
            first.resume()
            wait_until(lambda: fresh(first, "GET", "k") == b"2")

    def test_min_slaves_refuses_writes_with_too_few_of_them(self, cluster):
        master, first, second = row(cluster, "--min-slaves", 2)
        wait_until(lambda: fresh(master, "SET", "k", "1") == b"OK")
        first.kill()
        wait_until(lambda: is_error(fresh(master, "SET", "k", "2"), "NOREPLICAS"))
        assert master.info()["writes_refused"] == "min-slaves"
        assert fresh(master, "GET", "k") is not None
        first.start()
        wait_until(lambda: fresh(master, "SET", "k", "3") == b"OK")

    def test_waitlsn_gives_read_your_writes_on_every_node(self, cluster):
        master, *slaves = row(cluster)
        with master.wire() as writer, slaves[0].wire(timeout=60) as first, slaves[1].wire(timeout=60) as second:
            for i in range(200):
                writer.ask("SET", "mine", i)
                token = writer.ask("LASTLSN")
                for reader in (first, second):
                    assert reader.ask("WAITLSN", token, 30_000) == 1
                    assert int(reader.ask("GET", "mine")) >= i


class TestStaleness:
    @pytest.mark.parametrize("bound", [("500", "ms"), ("0", "records")])
    def test_a_slave_that_lost_its_master_says_so(self, cluster, bound):
        master, first = row(cluster, slaves=1, proxied=True)
        master.call("SET", "k", "v")
        in_sync(master, first)
        with first.wire(timeout=60) as reader, first.wire(timeout=60) as careless:
            assert reader.ask("READ", "MAXLAG", *bound) == b"OK"
            assert reader.ask("READ", "MAXLAG") == " ".join(bound).encode()
            wait_until(lambda: reader.ask("GET", "k") == b"v")
            cluster.proxies[0].cut()
            wait_until(lambda: is_error(reader.ask("GET", "k"), "STALE"))
            assert careless.ask("GET", "k") == b"v"
            assert reader.ask("PING") == b"PONG"
            master.call("SET", "k", "w")
            cluster.proxies[0].heal()
            wait_until(lambda: reader.ask("GET", "k") == b"w")
            assert reader.ask("READ", "MAXLAG", "off") == b"OK"
            assert reader.ask("READ", "MAXLAG") == b"off"

    @pytest.mark.parametrize("bound", [("500", "ms"), ("0", "records")])
    def test_so_does_one_whose_own_master_is_a_slave_that_lost_its_master(self, cluster, bound):
        master, first = row(cluster, slaves=1, proxied=True)
        below = cluster.slave(first)
        master.call("SET", "k", "v")
        in_sync(master, first, below)
        with below.wire(timeout=60) as reader:
            assert reader.ask("READ", "MAXLAG", *bound) == b"OK"
            wait_until(lambda: reader.ask("GET", "k") == b"v")
            cluster.proxies[0].cut()
            wait_until(lambda: is_error(reader.ask("GET", "k"), "STALE"))
            assert below.info()["master_link_status"] == "up"
            master.call("SET", "k", "w")
            cluster.proxies[0].heal()
            wait_until(lambda: reader.ask("GET", "k") == b"w")

    def test_a_silent_link_makes_reads_stale_by_time(self, cluster):
        master, first = row(cluster, slaves=1, proxied=True)
        master.call("SET", "k", "v")
        in_sync(master, first)
        with first.wire(timeout=60) as reader:
            reader.ask("READ", "MAXLAG", 2000)
            wait_until(lambda: reader.ask("GET", "k") == b"v")
            cluster.proxies[0].pause()
            wait_until(lambda: is_error(reader.ask("GET", "k"), "STALE"))
            cluster.proxies[0].resume()
            wait_until(lambda: reader.ask("GET", "k") == b"v")
