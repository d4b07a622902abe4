"""Damage in the part of the log that is not sealed: cut out and fetched again where another node has it, refused where
none has, and a node that lost what it may have acknowledged stands for nothing until it has it again."""

import pytest
import redis

import logfile
from harness import in_sync, same_state, wait_until
from load import fill
from rows import Followers, follow, full_syncs, promoted, role, row

pytestmark = pytest.mark.timeout(300)

CUT = "THE LOG WAS CUT BEFORE DAMAGE"
WHOLE = "holds all again that it held before the damage"


def active(node):
    """The newest segment, and its records."""
    path = node.files("wal")[-1]
    assert not path.with_suffix(".idx").exists()
    return path, logfile.records(path)


def damage(node):
    """One flipped byte in the middle of the active segment of a node that does not run; gives file and record."""
    assert not node.running
    path, records = active(node)
    assert len(records) > 100
    # Not in the middle of what one transaction wrote.
    record = next(r for r in records[len(records) // 2 :] if r.value_bytes > 8 and r.kind == 1)
    logfile.flip(path, record.value_offset + 3)
    return path, record


def contents(node):
    return {
        path.relative_to(node.directory): path.read_bytes()
        for path in node.directory.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def copies(node):
    return sorted(node.directory.glob("damaged-*.wal"))


def quiet(cluster, *flags):
    """A row whose master appends nothing more by itself: all have become voters."""
    nodes = row(cluster, *flags)
    ids = " ".join(r"\w{40}" for _ in nodes)
    nodes[0].said(rf'the voters changed voters="{ids}"')
    in_sync(*nodes)
    return nodes


def state(node):
    answer = [part.decode() for part in node.call("MS_STATE", "2")]
    return dict(zip(answer[1::2], answer[2::2]))


def refused_start(node):
    node.spawn()
    assert node.wait_exit() == 1
    return node.log_since_start()


def is_cut(node, path, damaged, record, last):
    """What is true of every node that was cut and has got its records again."""
    node.said(CUT)
    text = node.log_since_start()
    assert f"{path} is damaged at offset {record.offset}, after LSN {record.lsn - 1}" in text
    assert f"LSNs {record.lsn} to {last} cannot be used" in text
    (copy,) = copies(node)
    kept = copy.read_bytes()
    assert damaged[: len(kept)] == kept and not any(damaged[len(kept) :])
    assert str(copy) in text and node.info()["damaged_copies"] == str(copy)
    node.said(WHOLE)
    wait_until(lambda: node.info()["refetch_to"] == "none")


class TestSlave:
    @pytest.mark.parametrize("level", ["async", "quorum"])
    def test_it_fetches_what_is_lost_by_partial_sync(self, cluster, level):
        nodes = quiet(cluster, "--commit", level)
        master, slave, _ = nodes
        fill(master, 3000)
        in_sync(master, slave)
        last = slave.last_lsn()
        before = full_syncs(master)
        slave.stop()
        path, record = damage(slave)
        damaged = path.read_bytes()
        master.call("SET", "meanwhile", "1")
        slave.start()
        is_cut(slave, path, damaged, record, last)
        in_sync(master, slave)
        same_state(*nodes)
        assert slave.plan()[0] == "partial" and full_syncs(master) == before
        assert slave.call("GET", "meanwhile") == b"1"
        # It is all on disk, and an ordinary node again.
        slave.kill()
        slave.start()
        assert CUT not in slave.log_since_start()
        in_sync(master, slave)
        same_state(*nodes)
        assert master.call("FAILOVER", "TO", "127.0.0.1", slave.port) == b"OK"
        assert role(slave) == "master"

    def test_where_older_files_lack_what_was_replaced_it_begins_anew(self, cluster):
        # The old values' files are dropped because of new values, which are lost.
        flags = ("--segment-bytes", 1 << 20, "--ops-buffer", 0, "--wal-keep", 0)
        master = cluster.master()
        slave = cluster.slave(master, *flags)
        fill(master, 3000, value_bytes=1000)
        fill(master, 3000, value_bytes=10, seed=2)
        in_sync(master, slave)
        # Also those whose new values lie behind the damage, which is in the second half of the newest file.
        wait_until(lambda: int(slave.info()["log_start_lsn"]) > 2000, what="the files of old values are dropped")
        slave.stop()
        damage(slave)
        slave.start()
        slave.said(CUT)
        slave.said(WHOLE)
        in_sync(master, slave)
        same_state(master, slave)
        # Nothing that is left of it counts.
        assert "log.last.lsn=0" in slave.log_since_start()
        assert slave.plan()[0] in ("delta", "full")
        slave.restart()
        in_sync(master, slave)
        same_state(master, slave)

    def test_without_its_master_and_any_other_node_it_does_not_start_and_changes_nothing(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        fill(master, 3000)
        in_sync(master, slave)
        slave.stop()
        path, record = damage(slave)
        master.stop()
        before = contents(slave)
        for _ in range(2):
            text = refused_start(slave)
            assert f"{path} is damaged at offset {record.offset}, after LSN {record.lsn - 1}" in text
            assert f"{master.address} does not answer" in text and "Nothing was changed" in text
            assert contents(slave) == before
        # Another time it works.
        master.start()
        slave.start()
        slave.said(CUT)
        in_sync(master, slave)
        same_state(master, slave)


class TestMaster:
    @pytest.mark.parametrize("level", ["async", "quorum"])
    def test_a_node_that_holds_everything_takes_over(self, cluster, level):
        nodes = quiet(cluster, "--commit", level)
        master, slaves = nodes[0], nodes[1:]
        fill(master, 3000)
        with Followers(nodes) as writers:
            writers.wait_for(300)
        assert not writers.errors, writers.errors[:5]
        in_sync(master, *slaves)
        last = master.last_lsn()
        master.kill()
        path, record = damage(master)
        damaged = path.read_bytes()
        master.start()
        wait_until(lambda: any(role(node) == "master" for node in slaves), what="a slave is master")
        new = next(node for node in slaves if role(node) == "master")
        others = [node for node in nodes if node is not new]
        follow(new, *others)
        is_cut(master, path, damaged, record, last)
        writers.check(*nodes)
        same_state(*nodes)
        assert master.plan()[0] in ("partial", "delta") and full_syncs(new) == 0
        new.call("SET", "later", "1")
        in_sync(new, *others)
        # Whole again: it can have its role back.
        assert new.call("FAILOVER", "TO", "127.0.0.1", master.port) == b"OK"
        follow(master, *slaves)
        same_state(*nodes)

    def test_alone_it_refuses_and_changes_nothing(self, cluster):
        master = cluster.master()
        fill(master, 3000)
        last = master.last_lsn()
        master.stop()
        path, record = damage(master)
        before = contents(master)
        for _ in range(2):
            text = refused_start(master)
            assert f"{path} is damaged at offset {record.offset}, after LSN {record.lsn - 1}" in text
            assert f"LSNs {record.lsn} to {last} cannot be used, and no other node is known" in text
            assert "paceline inspect" in text and "Nothing was changed" in text
            assert contents(master) == before
        # The byte put back is a way to proceed.
        logfile.flip(path, record.value_offset + 3)
        master.start()
        assert master.last_lsn() >= last

    def test_what_no_other_node_holds_is_given_up_by_the_operator_only(self, cluster):
        nodes = quiet(cluster)
        master, first, second = nodes
        fill(master, 3000)
        in_sync(master, first, second)
        first.stop(), second.stop()
        master.call("SET", "nobody-else", "1")
        master.stop()
        damage(master)
        before = contents(master)
        text = refused_start(master)
        assert f"{first.address} does not answer" in text and contents(master) == before
        first.start(), second.start()
        text = refused_start(master)
        assert f"{first.address} holds up to" in text and contents(master) == before
        promoted(first)
        master.start()
        master.said(CUT)
        follow(first, master, second)
        same_state(*nodes)
        assert master.call("GET", "nobody-else") is None
        assert copies(master)

    def test_it_does_not_reign_before_it_is_whole(self, cluster):
        # With one of two slaves away, the other one cannot know whether it holds every fullsync write.
        nodes = quiet(cluster, "--commit", "fullsync:1")
        master, first, second = nodes
        fill(master, 3000)
        in_sync(master, first, second)
        last = master.last_lsn()
        master.stop()
        damage(master)
        second.stop()
        for _ in range(2):
            master.start()
            master.said("that node does not become master.*1 of 2 slaves answered")
            own = state(master)
            assert own["role"] == "detached" and own["refetch"] == own["last"]
            assert int(own["refetch"].split("@")[0].split(":")[1]) == last and master.last_lsn() < last
            # Its records wait for other nodes (decision 0032): it refuses, and ends the connection.
            with master.wire(timeout=30) as wire:
                assert str(wire.ask("SET", "k", "v")).startswith(("READONLY", "NOQUORUM"))
            with pytest.raises(redis.ResponseError, match="lost records"):
                master.call("PROMOTE")
            # Nor does it forget that after a crash.
            master.kill()
        master.start()
        second.start()
        wait_until(lambda: any(role(node) == "master" for node in (first, second)), what="a slave is master")
        new = next(node for node in (first, second) if role(node) == "master")
        follow(new, *(node for node in nodes if node is not new))
        master.said(WHOLE)
        same_state(*nodes)


class TestIncomplete:
    """The master dies before a slave has got again what it may have acknowledged."""

    def setup(self, cluster):
        nodes = quiet(cluster)
        master, slave, other = nodes
        fill(master, 3000)
        in_sync(master, slave, other)
        last = slave.last_lsn()
        slave.stop()
        damage(slave)
        master.kill()
        # The other slave holds all, so it starts; nobody sends it anything.
        slave.start()
        slave.said(CUT)
        return master, slave, other, last

    def vote(self, slave, term, last, owner):
        own = state(slave)
        arguments = ["term", 99, "candidate", "ab" * 20, "addr", "127.0.0.1", "port", 1, "last", f"{term}:{last}@{owner}"]
        arguments += ["lineage", own["lineage"], "pre-vote", "yes", "forced", "no"]
        answer = [part.decode() for part in slave.call("MS_VOTE", "2", *arguments)]
        return dict(zip(answer[1::2], answer[2::2]))

    def test_it_stands_for_nothing_until_it_is_whole(self, cluster):
        master, slave, other, last = self.setup(cluster)
        for _ in range(2):
            own = state(slave)
            refetch, owner = own["refetch"].split("@")
            term, held = map(int, refetch.split(":"))
            assert held == last and slave.last_lsn() < last and own["last"] == own["refetch"]
            assert slave.info()["refetch_to"] == refetch
            assert role(slave) == "slave"
            with pytest.raises(redis.ResponseError, match="lost records"):
                slave.call("PROMOTE")
            with pytest.raises(redis.ResponseError, match="lost records"):
                slave.call("REPLICAOF", "NO", "ONE")
            less = self.vote(slave, term, last - 1, owner)
            assert less["granted"] == "no" and "holds more" in less["reason"], less
            # Once what it may have promised its master before is over.
            wait_until(lambda: self.vote(slave, term, last, owner)["granted"] == "yes")
            assert role(slave) == "slave"
            # It shows what it had at an earlier LSN, and nothing else.
            keys = [f"key:{i}" for i in range(0, 3000, 10)]
            shown, right = slave.call("MGET", *keys), other.call("MGET", *keys)
            count = sum(value is not None for value in shown)
            assert 0 < count < len(keys) and shown[:count] == right[:count]
            # It does not forget it.
            slave.kill()
            slave.start()
        promoted(other)
        follow(other, slave)
        slave.said(WHOLE)
        same_state(other, slave)
        assert state(slave)["refetch"] == "none"
        master.start()
        follow(other, master, slave)
        same_state(other, master, slave)

    def test_force_makes_it_master_without_them(self, cluster):
        _, slave, other, last = self.setup(cluster)
        other.kill()
        assert slave.wire(timeout=30).ask("PROMOTE", "FORCE") == b"OK"
        assert role(slave) == "master" and state(slave)["refetch"] == "none"
        slave.call("SET", "goes-on", "1")
        wait_until(lambda: slave.info()["refetch_to"] == "none")
        slave.restart()
        assert slave.call("GET", "goes-on") == b"1"
