"""Who counts for a quorum: voters that come back empty, that are gone for good, that lie, and those that leave."""

import os
import re
import shutil
import struct
import threading

import pytest

from harness import in_sync, same_state, wait_until
from peer import FakeSlave, frame
from rows import becomes, follow, fresh, is_error, promoted, role, row
from wire import Closed, ErrorReply

QUORUM = ["--commit", "quorum", "--sync-timeout", "1s"]


def voters(node):
    return set(filter(None, node.info("replication")["voters"].split(";")))


def node_id(node):
    return node.info("replication")["node_id"]


def come_back_empty(node):
    """A container without a volume."""
    node.kill()
    shutil.rmtree(node.directory)
    node.directory.mkdir()
    node.start()


def set_is_good(node, key="k", ceiling=60):
    wait_until(lambda: fresh(node, "SET", key, "v") == b"OK", ceiling, what=f"{node.name} takes a write")


def master_last(master):
    return int(master.info("replication")["appended_lsn"])


class Liar(FakeSlave):
    """Registers as a voter, speaks frames, and acknowledges everything that it hears of without keeping anything."""

    def __init__(self, master, **changes):
        super().__init__(master)
        assert not isinstance(self.register(**{"voter": "yes", **changes}), ErrorReply)
        assert not isinstance(self.sync(mode="partial"), ErrorReply)
        self.acknowledged = 0
        threading.Thread(target=self._lie, daemon=True).start()

    def _lie(self):
        try:
            while True:
                kind, header, _ = self.read_frame()
                if kind in (5, 7):
                    self.acknowledged = max(self.acknowledged, header["last"])
                self.send(frame("ack", body=struct.pack("<QQQQQ", self.acknowledged, self.acknowledged, 0, 0, 2**62)))
        except (OSError, Closed, AssertionError):
            pass


class TestGhosts:
    def test_a_slave_that_comes_back_empty_again_and_again_replaces_itself(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        master.call("SET", "k", "1")
        for turn in range(2):
            before = node_id(second)
            come_back_empty(second)
            set_is_good(master, f"turn:{turn}")
            wait_until(
                lambda: voters(master) == {node_id(master), node_id(first), node_id(second)}, 60, what="the new id votes in the old one's place"
            )
            assert before not in voters(master)
            set_is_good(master)
            assert fresh(master, "GET", "k") == b"v"
        assert len([line for line in master.info("replication") if re.fullmatch(r"slave\d+", line)]) == 2
        # Nothing is left that a promotion would wait for.
        master.kill()
        promoted(second)
        follow(second, first)
        set_is_good(second)

    def test_with_fullsync_no_ghost_keeps_a_slave_from_being_promoted(self, cluster):
        master, first = row(cluster, "--commit", "fullsync:1", "--sync-timeout", "20s", slaves=1)
        for _ in range(3):
            come_back_empty(first)
            in_sync(master, first)
            assert fresh(master, "SET", "k", "v") == b"OK"
        master.kill()
        promoted(first)
        assert first.call("GET", "k") == b"v"

    def test_no_voter_is_added_while_another_is_silent_and_the_command_is_told(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        gone = node_id(second)
        second.kill()
        third = cluster.slave(master, *QUORUM, name="third")
        in_sync(master, third)
        told = wait_until(lambda: gone in (text := master.info("replication")["voters_waiting"]) and text)
        assert f"MS_VOTER {gone} no" in told and node_id(third) in told
        master.said(f"MS_VOTER {gone} no")
        assert voters(master) == {node_id(master), node_id(first), gone}
        assert master.call("MS_VOTER", gone, "no") == b"OK"
        wait_until(lambda: voters(master) == {node_id(n) for n in (master, first, third)})
        set_is_good(master)
        wait_until(lambda: master.info("replication")["voters_waiting"] == "")

    def test_a_second_node_alone_needs_an_order(self, cluster):
        """Of two voters one has no majority: the row stops, says why, and one command leads out."""
        master, first = row(cluster, *QUORUM, slaves=1)
        gone = node_id(first)
        come_back_empty(first)
        wait_until(lambda: f"MS_VOTER {gone} no FORCE" in master.info("replication")["voters_waiting"])
        # Until the master has missed the majority for long enough, a write is taken and waits.
        stopped = wait_until(lambda: not is_error(reply := fresh(master, "SET", "k", "v"), "SYNCTIMEOUT") and reply)
        assert is_error(stopped, "NOQUORUM"), stopped
        refused = fresh(master, "MS_VOTER", gone, "no")
        assert is_error(refused, "VOTERCHANGE") and "LSN" in str(refused) and "lost" in str(refused), refused
        assert master.call("MS_VOTER", gone, "no", "FORCE") == b"OK"
        set_is_good(master)
        wait_until(lambda: voters(master) == {node_id(master), node_id(first)})
        set_is_good(master)


class TestLiars:
    def test_who_only_registers_neither_votes_nor_stops_the_row_nor_makes_a_write_good(self, cluster):
        master, first = row(cluster, *QUORUM, slaves=1)
        real = {node_id(master), node_id(first)}
        liars = [Liar(master) for _ in range(3)]
        wait_until(lambda: all(liar.acknowledged > 0 for liar in liars), what="they lie")
        for i in range(20):
            assert fresh(master, "SET", f"k:{i}", "v") == b"OK"
        assert voters(master) == real
        first.kill()
        reply = fresh(master, "SET", "alone", "v")
        assert is_error(reply, "SYNCTIMEOUT") or is_error(reply, "NOQUORUM"), reply
        assert voters(master) == real
        for liar in liars:
            liar.close()
        first.start()
        set_is_good(master)

    def test_with_fullsync_a_liar_is_no_second_copy(self, cluster):
        master, first = row(cluster, "--commit", "fullsync:1", "--sync-timeout", "1s", slaves=1)
        with Liar(master) as liar:
            wait_until(lambda: liar.acknowledged > 0)
            first.kill()
            assert is_error(fresh(master, "SET", "k", "v"), "SYNCTIMEOUT")
            with master.wire() as wire:
                assert wire.ask("WAIT", 1, 100) == 0

    def test_with_the_id_of_a_dead_voter(self, cluster):
        master, first = row(cluster, *QUORUM, slaves=1)
        gone = node_id(first)
        first.kill()
        liar = FakeSlave(master, node_id=gone)
        wait_until(lambda: not isinstance(liar.register(voter="yes"), ErrorReply))
        liar.close()
        with FakeSlave(master, node_id=gone) as second:
            wait_until(lambda: not isinstance(second.register(voter="no"), ErrorReply))
            second.sync(mode="partial")
            for lsn in range(1, master_last(master) + 1):
                try:
                    second.send(frame("ack", body=struct.pack("<QQQQQ", lsn, lsn, 0, 0, 2**62)))
                except OSError:
                    break
            reply = fresh(master, "SET", "k", "v")
            assert is_error(reply, "SYNCTIMEOUT") or is_error(reply, "NOQUORUM"), reply
            assert gone in voters(master)

    def test_they_keep_no_slave_from_being_promoted(self, cluster):
        master, first = row(cluster, "--commit", "fullsync:1", "--sync-timeout", "20s", slaves=1)
        liars = [Liar(master), FakeSlave(master)]
        liars[1].register(voter="yes")
        wait_until(lambda: liars[0].acknowledged > 0)
        master.call("SET", "k", "v")
        in_sync(master, first)
        master.kill()
        promoted(first)
        assert first.call("GET", "k") == b"v"


class TestMaximum:
    def test_beyond_it_a_slave_is_a_learner_until_it_is_ordered(self, cluster):
        flags = [*QUORUM, "--voters-max", "2"]
        master = cluster.master(*flags)
        first = cluster.slave(master, *flags, name="first")
        wait_until(lambda: voters(master) == {node_id(master), node_id(first)})
        second = cluster.slave(master, *flags, name="second")
        in_sync(master, second)
        wait_until(lambda: "--voters-max" in master.info("replication")["voters_waiting"])
        kinds = {line[0].decode(): line[12].decode() for line in master.call("MS_SLAVES")}
        assert kinds == {node_id(first): "voter", node_id(second): "learner"}
        assert any("vote=learner" in value for value in master.info("replication").values())
        assert master.call("MS_VOTER", node_id(second), "yes") == b"OK"
        wait_until(lambda: node_id(second) in voters(second) and len(voters(master)) == 3)
        set_is_good(master)


class TestLostForGood:
    def test_of_five_three_are_deleted_and_the_master_goes_on(self, cluster):
        master, first, *lost = row(cluster, *QUORUM, slaves=4)
        assert master.call("SET", "k", "good") == b"OK"
        gone = [node_id(node) for node in lost]
        for node in lost:
            node.kill()
            shutil.rmtree(node.directory)
        wait_until(lambda: is_error(fresh(master, "GET", "k"), "NOQUORUM"))
        for i, one in enumerate(gone[:2]):
            refused = fresh(master, "MS_VOTER", one, "no")
            assert is_error(refused, "VOTERCHANGE") and f"{gone[2]}" in str(refused) and "FORCE" in str(refused), (i, refused)
        assert "FORCE" in master.info("replication")["voters_waiting"]
        assert master.call("MS_VOTER", *gone, "no", "FORCE") == b"OK"
        assert voters(master) == {node_id(master), node_id(first)}
        assert fresh(master, "GET", "k") == b"good"
        set_is_good(master)

    def test_after_a_restart_nothing_that_was_read_is_answered_with_nil(self, cluster):
        master, first, *lost = row(cluster, *QUORUM, slaves=4)
        assert master.call("SET", "k", "good") == b"OK" and master.call("GET", "k") == b"good"
        in_sync(master, first)
        gone = [node_id(node) for node in lost]
        for node in (*lost, master, first):
            node.kill()
        for node in (master, first):
            node.start()
            for _ in range(5):
                assert is_error(reply := fresh(node, "GET", "k"), "NOQUORUM") or reply == b"good", (node.name, reply)
        wait_until(lambda: fresh(master, "PROMOTE", "FORCE") == b"OK", 60)
        assert voters(master) == {node_id(master)}
        assert fresh(master, "GET", "k") == b"good"
        follow(master, first)
        wait_until(lambda: voters(master) == {node_id(master), node_id(first)})
        set_is_good(master)
        assert not set(gone) & voters(first)

    def test_force_makes_the_survivor_the_only_voter(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        for i in range(20):
            assert master.call("SET", f"k:{i}", i) == b"OK"
        in_sync(master, first, second)
        # As long as a majority answers, nothing needs to be given up.
        master.kill()
        wait_until(lambda: "majority" in str(fresh(first, "PROMOTE", "FORCE")))
        assert role(first) == "slave"
        second.kill()
        told = wait_until(lambda: "voters answered" in (text := str(fresh(first, "PROMOTE"))) and text)
        assert "can be lost" in told and node_id(first) not in told.partition("can be lost")[2]
        assert first.call("PROMOTE", "FORCE") == b"OK"
        first.said("acknowledged records can be lost.*can be lost")
        assert voters(first) == {node_id(first)}
        assert first.call("GET", "k:1") == b"1"
        set_is_good(first, "by-force")
        # Its log is a part of the new one: it comes back and votes again.
        second.start()
        follow(first, second)
        wait_until(lambda: voters(first) == {node_id(first), node_id(second)})
        set_is_good(first)
        same_state(first, second)

    def test_a_survivor_that_is_master_goes_on_by_force(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        master.call("SET", "k", "v")
        assert "already" in str(fresh(master, "PROMOTE", "FORCE"))
        first.kill()
        assert "already" in str(fresh(master, "PROMOTE", "FORCE")), "a majority answers"
        second.kill()
        wait_until(lambda: is_error(fresh(master, "SET", "k", "w"), "NOQUORUM"))
        assert fresh(master, "PROMOTE", "FORCE") == b"OK"
        assert voters(master) == {node_id(master)} and role(master) == "master"
        assert fresh(master, "SET", "k", "alone") == b"OK" and fresh(master, "GET", "k") == b"alone"
        master.restart()
        wait_until(lambda: fresh(master, "GET", "k") == b"alone")
        for node in (first, second):
            node.start()
        follow(master, first, second)
        wait_until(lambda: len(voters(master)) == 3)
        same_state(master, first, second)

    def test_a_voter_that_was_left_out_and_holds_more_keeps_it(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        in_sync(master, first, second)
        first.kill()
        for i in range(10):
            assert master.call("SET", f"k:{i}", "acknowledged") == b"OK"
        in_sync(master, second)
        last = int(second.info()["appended_lsn"])
        for node in (master, second):
            node.kill()
        first.start()
        wait_until(lambda: fresh(first, "PROMOTE", "FORCE") == b"OK", 60)
        for i in range(30):
            set_is_good(first, f"other:{i}")
        second.start()
        wait_until(lambda: "force" in second.info()["last_sync_error"], what="it says why it does not follow")
        assert int(second.info()["appended_lsn"]) >= last
        assert not list(second.directory.rglob("lost-*.resp"))
        assert voters(first) == {node_id(first)}
        set_is_good(first)


class TestLeaving:
    @pytest.mark.parametrize("slaves", [1, 2])
    def test_a_voter_that_is_detached_leaves_two_rows_that_work(self, cluster, slaves):
        master, first, *others = row(cluster, "--sync-timeout", "1s", slaves=slaves)
        assert master.call("TABLE", "SET", 0, "COMMIT", "quorum") == b"OK"
        ids = {node_id(node) for node in (master, first, *others)}
        wait_until(lambda: voters(master) == ids)
        assert fresh(master, "SET", "k", "both") == b"OK"
        in_sync(master, first)
        assert first.call("REPLICAOF", "NO", "ONE") == b"OK"
        becomes(first, "master")
        assert voters(first) == {node_id(first)}
        assert voters(master) == ids - {node_id(first)}
        set_is_good(master, "left")
        set_is_good(first, "detached")
        assert fresh(first, "GET", "k") == b"both" == fresh(master, "GET", "k")

    def test_a_learner_just_goes(self, cluster):
        master, first = row(cluster, *QUORUM, slaves=1)
        learner = cluster.slave(master, *QUORUM, "--voter", "no", name="learner")
        in_sync(master, learner)
        assert learner.call("REPLICAOF", "NO", "ONE") == b"OK"
        assert voters(learner) == {node_id(learner)}
        set_is_good(learner)
        set_is_good(master)

    def test_a_voter_without_its_master_stays_and_says_what_to_do(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        master.kill()
        reply = fresh(first, "REPLICAOF", "NO", "ONE")
        assert isinstance(reply, ErrorReply) and "PROMOTE" in str(reply), reply
        assert role(first) == "slave"
        promoted(first)
        follow(first, second)
        set_is_good(first)


class TestOrders:
    def test_what_it_refuses(self, cluster):
        master, first = row(cluster, *QUORUM, slaves=1)
        own, other = node_id(master), node_id(first)
        for arguments in (["x", "no"], [other], [other, "maybe"], [other, "yes", "FORCE"], ["FORCE", "no"], [other, "no", "FORCE", "x"]):
            assert isinstance(fresh(master, "MS_VOTER", *arguments), ErrorReply), arguments
        assert "already" in str(fresh(master, "MS_VOTER", other, "yes"))
        assert "no node" in str(fresh(master, "MS_VOTER", os.urandom(20).hex(), "yes"))
        assert "no voter" in str(fresh(master, "MS_VOTER", os.urandom(20).hex(), "no"))
        assert isinstance(fresh(master, "MS_VOTER", f"{own},{other}", "no"), ErrorReply)
        assert is_error(fresh(first, "MS_VOTER", other, "no"), "READONLY")
        assert voters(master) == {own, other}

    def test_one_that_was_taken_out_stays_out_until_it_is_ordered_back(self, cluster):
        master, first, second = row(cluster, *QUORUM)
        assert master.call("MS_VOTER", node_id(second), "no") == b"OK"
        wait_until(lambda: voters(first) == {node_id(master), node_id(first)})
        set_is_good(master)
        assert node_id(second) not in voters(master)
        assert master.call("MS_VOTER", node_id(second), "yes") == b"OK"
        wait_until(lambda: len(voters(first)) == 3)
