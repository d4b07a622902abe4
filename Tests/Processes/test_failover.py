"""Who is master: FAILOVER, PROMOTE, old masters that come back, and starts that ask first."""

import os
import re
import shutil
import subprocess

import pytest
import redis

from harness import connected, in_sync, same_state, wait_until
from load import Counters, fill
from rows import Followers, becomes, follow, full_syncs, is_error, promoted, role, row
from wire import Closed, ErrorReply, encode

pytestmark = pytest.mark.timeout(150)


def refused(node, *command):
    with pytest.raises(redis.ResponseError) as error:
        node.call(*command)
    return str(error.value)


class TestFailover:
    """The planned change: nothing is lost, nobody copies the data."""

    @pytest.mark.parametrize("level", ["async", "quorum"])
    def test_under_load_nothing_is_lost_and_all_follow_by_partial_sync(self, cluster, level):
        nodes = row(cluster, "--commit", level)
        master, slaves = nodes[0], nodes[1:]
        fill(master, 2000)
        before = full_syncs(*nodes)
        with Followers(nodes) as writers:
            writers.wait_for(200)
            assert master.call("FAILOVER") == b"OK"
            new = next(node for node in slaves if role(node) == "master")
            writers.wait_for(200, on=new)
        assert not writers.errors, writers.errors[:5]
        print(f"longest pause between two acknowledged writes, {level}: {1000 * writers.longest_gap():.0f} ms")
        assert writers.longest_gap() < 15
        others = [node for node in nodes if node is not new]
        follow(new, *others)
        writers.check(*nodes)
        same_state(*nodes)
        assert full_syncs(*nodes) == before
        assert [node.info()["last_sync_plan"] for node in others] == ["partial", "partial"]

    def test_every_node_names_the_new_master(self, cluster):
        nodes = row(cluster)
        master, first, second = nodes
        assert master.call("FAILOVER", "TO", "127.0.0.1", second.port) == b"OK"
        assert role(second) == "master"
        follow(second, master, first)
        for node in (master, first):
            info = node.info("replication")
            assert (info["role"], info["master_port"]) == ("slave", str(second.port))
            assert f"127.0.0.1:{second.port}" in refused(node, "SET", "k", "v")
        assert {row[1].decode() for row in second.call("MS_SLAVES")} == {master.address, first.address}
        assert {part[1] for part in second.call("ROLE")[2]} == {str(n.port).encode() for n in (master, first)}
        second.call("SET", "later", "1")
        wait_until(lambda: master.call("GET", "later") == first.call("GET", "later") == b"1")

    def test_back_and_forth(self, cluster):
        nodes = row(cluster, "--commit", "quorum")
        before = full_syncs(*nodes)
        with Followers(nodes, threads=2) as writers:
            for target in (1, 2, 0, 1, 0):
                master = next(node for node in nodes if role(node) == "master")
                follow(master, *(node for node in nodes if node is not master))
                assert master.call("FAILOVER", "TO", "127.0.0.1", nodes[target].port) == b"OK"
                writers.wait_for(20, on=nodes[target])
        assert not writers.errors, writers.errors[:5]
        follow(nodes[0], *nodes[1:])
        writers.check(*nodes)
        same_state(*nodes)
        assert full_syncs(*nodes) == before

    def test_a_target_that_cannot_follow_in_time_ends_it_and_writes_go_on(self, cluster):
        master, first, second = row(cluster)
        first.pause()
        master.call("SET", "not-there", "1")
        text = refused(master, "FAILOVER", "TO", "127.0.0.1", first.port, "TIMEOUT", 300)
        assert "did not get all of the log" in text
        assert master.call("SET", "after", "1") == b"OK"
        first.resume()
        follow(master, first, second)
        assert role(master) == "master" and first.call("GET", "after") == b"1"

    def test_writes_wait_meanwhile_and_abort_ends_it(self, cluster):
        master, first, second = row(cluster)
        assert "No failover in progress" in refused(master, "FAILOVER", "ABORT")
        first.pause()
        master.call("SET", "not-there", "1")
        with master.wire(timeout=60) as order, master.wire(timeout=60) as writer:
            order.send(encode("FAILOVER", "TO", "127.0.0.1", first.port, "TIMEOUT", 60_000))
            wait_until(lambda: master.info("replication")["master_failover_state"] == "waiting-for-sync")
            writer.send(encode("SET", "waits", "1"))
            assert master.call("GET", "not-there") == b"1", "reads go on"
            assert "under way" in refused(master, "FAILOVER")
            assert master.call("GET", "waits") is None
            assert master.call("FAILOVER", "ABORT") == b"OK"
            assert writer.value() == b"OK"
            assert is_error(order.value(), "ERR")
        assert master.info("replication")["master_failover_state"] == "no-failover"
        assert role(master) == "master" and master.call("GET", "waits") == b"1"

    def test_what_it_refuses(self, cluster):
        master, first, _ = row(cluster)
        assert "is no slave of this node" in refused(master, "FAILOVER", "TO", "127.0.0.1", 1)
        assert "replica" in refused(first, "FAILOVER")
        assert "FORCE" in refused(master, "FAILOVER", "FORCE").upper()
        alone = cluster.master(name="alone")
        assert "no slave follows" in refused(alone, "FAILOVER")
        assert alone.call("SET", "k", "v") == b"OK"

    def test_force_takes_a_target_that_is_behind(self, cluster):
        """With async commit only: the operator gives up what the target does not have."""
        master, first, second = row(cluster)
        first.pause()
        master.call("SET", "given-up", "1")
        with master.wire(timeout=60) as order:
            order.send(encode("FAILOVER", "TO", "127.0.0.1", first.port, "FORCE", "TIMEOUT", 200))
            wait_until(lambda: master.info("replication")["master_failover_state"] == "failover-in-progress")
            first.resume()
            order.reply()
        masters = [node for node in (master, first) if role(node) == "master"]
        wait_until(lambda: [node for node in (master, first, second) if role(node) == "master"] == masters)
        assert len(masters) == 1


class TestPromote:
    def test_it_is_refused_while_the_master_answers(self, cluster):
        master, first, _ = row(cluster)
        text = refused(first, "PROMOTE")
        assert text.startswith("NOPROMOTE") and master.address in text
        assert "already" in refused(master, "PROMOTE")
        assert role(first) == "slave" and master.call("SET", "k", "v") == b"OK"

    def test_it_is_refused_where_another_holds_more(self, cluster):
        master = cluster.master()
        proxy = cluster.proxy(master)
        first, second = cluster.slave(f"127.0.0.1:{proxy.port}", name="first"), cluster.slave(master, name="second")
        connected(master, 2)
        in_sync(master, first, second)
        proxy.cut()
        master.call("SET", "second-has-it", "1")
        wait_until(lambda: second.call("GET", "second-has-it") == b"1")
        master.kill()
        text = wait_until(lambda: "holds more of the log" in (told := refused(first, "PROMOTE")) and told)
        assert second.address in text
        promoted(second)
        follow(second, first)
        assert first.call("GET", "second-has-it") == b"1"

    def test_without_a_majority_a_quorum_is_not_promoted_but_by_force(self, cluster):
        master, first, second = row(cluster, "--commit", "quorum")
        master.call("SET", "k", "v")
        second.kill()
        master.kill()
        wait_until(lambda: "voters answered" in refused(first, "PROMOTE"))
        assert role(first) == "slave" and is_error(first.wire().ask("SET", "k", "w"), "READONLY")
        assert first.call("PROMOTE", "FORCE") == b"OK"
        assert role(first) == "master"
        second.start()
        follow(first, second)
        assert second.call("GET", "k") == b"v"
        assert first.call("SET", "k", "w") == b"OK"

    def test_after_kill_9_of_the_master_nothing_acknowledged_is_lost(self, cluster):
        master, first, second = row(cluster, "--commit", "quorum")
        with Counters(master) as writers:
            writers.wait_for(500)
            master.kill()
        acknowledged = dict(writers.acknowledged)

        def one_of_them():
            for node in (first, second):
                if node.wire(timeout=30).ask("PROMOTE") == b"OK":
                    return node
            return None

        new = wait_until(one_of_them, 60)
        other = second if new is first else first
        follow(new, other)
        writers.check(new, acknowledged)
        writers.check(other, acknowledged)
        master.start()
        follow(new, master, other)
        same_state(new, master, other)
        assert full_syncs(new, master, other) == 0

    def test_a_row_that_lost_two_masters_one_after_the_other(self, cluster):
        """The second promotion needs the node that the second master never had a connection to."""
        master, first, second = row(cluster, "--commit", "quorum")
        master.call("SET", "k", "1")
        master.kill()
        promoted(first)
        follow(first, second)
        assert first.call("SET", "k", "2") == b"OK"
        first.kill()
        master.start()
        promoted(second)
        follow(second, master)
        assert master.call("GET", "k") == b"2"

    def test_a_master_that_does_not_know_of_its_end_votes_for_the_next(self, cluster):
        master, first, second = row(cluster, "--commit", "quorum", proxied=True)
        cluster.proxies[0].cut()
        promoted(first)
        follow(first, second)
        assert first.call("SET", "k", "2") == b"OK"
        in_sync(first, second)
        first.kill()
        cluster.proxies[0].heal()
        assert role(master) == "master"
        promoted(second)
        follow(second, master)
        assert second.call("SET", "k", "3") == b"OK"
        wait_until(lambda: master.call("GET", "k") == b"3")

    def test_two_of_three_that_were_all_down_go_on_without_the_master(self, cluster):
        master, first, second = row(cluster, "--commit", "quorum")
        master.call("SET", "k", "1")
        for node in (master, first, second):
            node.kill()
        first.start()
        second.start()

        def one_of_them():
            return next((n for n in (first, second) if n.wire(timeout=30).ask("PROMOTE") == b"OK"), None)

        new = wait_until(one_of_them, 60)
        assert new.call("GET", "k") == b"1" and new.call("SET", "k", "2") == b"OK"


class TestOldMaster:
    @pytest.mark.skipif(not shutil.which("redis-cli"), reason="redis-cli is not installed")
    def test_it_cuts_its_own_tail_and_keeps_it_readable(self, cluster):
        master, first, second = row(cluster, proxied=True)
        fill(master, 500)
        in_sync(master, first, second)
        cluster.proxies[0].cut()
        for i in range(10):
            assert master.call("SET", f"lost:{i}", f"value {i}\r\n") == b"OK"
        master.call("DEL", "key:1")
        master.kill()
        promoted(first)
        follow(first, second)
        for i in range(50):
            first.call("SET", f"new:{i}", i)
        cluster.proxies[0].heal()
        master.start()
        follow(first, master, second)
        same_state(master, first, second)
        assert master.call("GET", "lost:1") is None and master.call("EXISTS", "key:1") == 1
        assert full_syncs(master, first, second) == 0
        assert master.info()["last_sync_plan"] == "partial"
        (lost,) = master.directory.rglob("lost-*.resp")
        assert re.fullmatch(r"lost-\d+-\d+\.resp", lost.name)
        assert master.info()["lost_files"] == lost.name
        before = first.call("DBSIZE")
        cli = subprocess.run(
            ["redis-cli", "-p", str(first.port), "--pipe"], stdin=open(lost, "rb"), capture_output=True, timeout=30
        )
        assert cli.returncode == 0 and b"errors: 0" in cli.stdout, cli.stdout + cli.stderr
        assert first.c.mget(*(f"lost:{i}" for i in range(10))) == [f"value {i}\r\n".encode() for i in range(10)]
        assert first.call("EXISTS", "key:1") == 0
        assert first.call("DBSIZE") == before + 10 - 1, "exactly what was lost is in the file"
        follow(first, master, second)
        same_state(master, first, second)
        master.stop()
        master.start()
        assert master.info()["lost_files"] == lost.name, "until somebody takes it away"
        lost.unlink()
        wait_until(lambda: not master.info()["lost_files"])

    def test_a_paused_master_that_wakes_acknowledges_nothing(self, cluster):
        master, first, second = row(cluster, "--commit", "quorum", "--sync-timeout", "20s")
        master.call("SET", "k", "before")
        follow(master, first, second)
        with master.wire(timeout=60) as writer:
            master.pause()
            writer.send(encode("SET", "k", "asleep"))
            promoted(first)
            follow(first, second)
            assert first.call("SET", "k", "new") == b"OK"
            for i in range(50):
                first.call("SET", f"new:{i}", i)
            master.resume()
            try:
                reply = writer.value()
                assert isinstance(reply, ErrorReply), f"it was acknowledged: {reply}"
            except Closed:
                pass
        follow(first, master, second)
        assert master.call("GET", "k") == b"new"
        same_state(master, first, second)

    def test_a_write_that_waits_on_a_cut_master_is_not_acknowledged_by_anothers_records(self, cluster):
        """The new master's log reaches the LSN that the writer waits for, with another record in that place."""
        master, first, second = row(cluster, "--commit", "quorum", "--sync-timeout", "100s", proxied=True)
        master.call("SET", "k", "before")
        in_sync(master, first, second)
        with master.wire(timeout=60) as writer, master.wire(timeout=60) as reader:
            cluster.proxies[0].cut()
            writer.send(encode("SET", "k", "cut off"))
            wait_until(lambda: int(master.info()["appended_lsn"]) > int(master.info()["committed_lsn"]))
            reader.send(encode("GET", "k"))
            promoted(first)
            follow(first, second)
            for i in range(100):
                assert first.call("SET", f"new:{i}", i) == b"OK"
            cluster.proxies[0].heal()
            follow(first, master, second)
            for connection in (writer, reader):
                try:
                    reply = connection.value()
                    assert isinstance(reply, ErrorReply), f"the lost write was acknowledged or shown: {reply}"
                except Closed:
                    pass
        assert master.call("GET", "k") == first.call("GET", "k") == b"before"
        same_state(master, first, second)


class TestTwoMastersOfOneTerm:
    """Two slaves are promoted that know other rows and do not reach each other: they take the same term, at the same LSN."""

    def test_the_one_that_gives_way_cuts_what_it_wrote_and_nothing_differs(self, cluster):
        # No voters: their list would be one record more in the second one's log.
        nodes = [cluster.master("--voter", "no", name=f"node{i}") for i in range(3)]
        # Which terms are left to others goes by the ids.
        master, second, first = sorted(nodes, key=lambda node: node.info()["node_id"])
        first.call("REPLICAOF", "127.0.0.1", master.port)
        follow(master, first)
        fill(master, 500)
        in_sync(master, first)
        first.kill()
        second.call("REPLICAOF", "127.0.0.1", master.port)
        follow(master, second)
        master.kill()
        promoted(second)
        for i in range(20):
            assert second.call("SET", f"both:{i}", f"second {i}") == b"OK"
        term, last = second.info()["term"], second.last_lsn()
        second.pause()
        first.start()
        promoted(first)
        for i in range(20):
            assert first.call("SET", f"both:{i}", f"first {i}") == b"OK"
        assert (first.info()["term"], first.last_lsn()) == (term, last), "the same term, begun at the same LSN"
        second.resume()
        # It tells the other one of its reign, and is told of the one that counts.
        follow(first, second)
        assert (first.info()["term"], first.last_lsn()) == (term, last)
        same_state(first, second)
        assert first.call("GET", "both:7") == second.call("GET", "both:7") == b"first 7"
        (lost,) = second.directory.rglob("lost-*.resp")
        assert b"second 19" in lost.read_bytes() and not list(first.directory.rglob("lost-*.resp"))
        assert first.info()["sync_full"] == "0"
        # A restart reads both histories' end from the log.
        second.restart()
        follow(first, second)
        same_state(first, second)


class TestStarts:
    def test_nodes_go_on_in_their_last_role(self, cluster):
        nodes = row(cluster)
        master, first, second = nodes
        assert master.call("FAILOVER", "TO", "127.0.0.1", first.port) == b"OK"
        follow(first, master, second)
        first.call("SET", "k", "v")
        in_sync(first, master, second)
        for node in nodes:
            node.stop()
        for node in nodes:
            node.start()
        becomes(first, "master")
        follow(first, master, second)
        assert first.call("SET", "k", "w") == b"OK"

    def test_a_quorum_master_waits_for_a_majority_before_it_takes_writes(self, cluster):
        nodes = row(cluster, "--commit", "quorum")
        master, first, second = nodes
        master.call("SET", "k", "v")
        for node in nodes:
            node.kill()
        master.start()
        for _ in range(3):
            with master.wire() as wire:
                assert isinstance(wire.ask("SET", "k", "alone"), ErrorReply)
        first.start()
        wait_until(lambda: master.wire(timeout=30).ask("SET", "k", "together") == b"OK", 60)
        follow(master, first)
        assert first.call("GET", "k") == b"together"
        second.start()
        follow(master, first, second)
        same_state(*nodes)
