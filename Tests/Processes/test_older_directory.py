"""Who is master where a node may hold less than it acknowledged: a chain that has not heard of the voters, and a data directory
from a backup. Votes in damaged files: `VoteCopiesTests`."""

import shutil

import pytest
import redis

from harness import connected, in_sync, same_state, wait_until
from rows import becomes, follow, role, row
from wire import ErrorReply

pytestmark = pytest.mark.timeout(300)


def refused(node, *command):
    with node.wire(timeout=60) as wire:
        answer = wire.ask(*command)
    assert isinstance(answer, ErrorReply), answer
    return str(answer)


def put(node, first, last):
    for i in range(first, last):
        assert node.call("SET", f"key:{i}", f"value {i}") == b"OK"


def holds(node, first, last):
    return all(node.call("GET", f"key:{i}") == b"value %d" % i for i in range(first, last))


def back_up(node):
    """A copy of the directory of a node that does not run; `restore` puts it in place of the present one."""
    copy = node.directory.with_name(node.directory.name + "-backup")
    shutil.copytree(node.directory, copy)
    return copy


def restore(node, copy):
    assert not node.running
    shutil.rmtree(node.directory)
    shutil.copytree(copy, node.directory)


def backed_up_row(cluster, *flags, slaves=2):
    """A row of which the master was stopped and copied at 100 keys, and now holds 300."""
    nodes = row(cluster, *flags, slaves=slaves)
    put(nodes[0], 0, 100)
    in_sync(*nodes)
    nodes[0].stop()
    copy = back_up(nodes[0])
    nodes[0].start()
    wait_until(lambda: role(nodes[0]) == "master", what="the master is back")
    connected(nodes[0], slaves)
    put(nodes[0], 100, 300)
    in_sync(*nodes)
    return nodes, copy


class TestDeepInAChain:
    def test_without_the_old_master_nobody_is_promoted_who_has_not_heard_of_the_voters(self, cluster):
        """The slaves have no vote, so no record ever names voters: the master's disk alone is the quorum."""
        master = cluster.master("--commit", "quorum", start=False)
        proxy = cluster.proxy(master)
        master.flags += ["--announce", f"127.0.0.1:{proxy.port}"]
        master.start()
        put(master, 0, 10)
        chain = [cluster.slave(f"127.0.0.1:{proxy.port}", "--commit", "quorum", "--voter", "no", name="n1")]
        for name in ("n2", "n3"):
            chain.append(cluster.slave(chain[-1], "--commit", "quorum", "--voter", "no", name=name))
        in_sync(master, *chain)
        proxy.cut()
        put(master, 10, 20)
        master.kill()
        for node in reversed(chain):
            text = refused(node, "PROMOTE")
            assert "NOPROMOTE" in text and role(node) == "slave", text
        proxy.heal()
        master.start()
        in_sync(master, *chain)
        assert all(holds(node, 0, 20) for node in chain)


class TestOlderDirectory:
    @pytest.mark.parametrize("level", ["async", "fullsync:1", "quorum"])
    def test_a_master_that_starts_with_less_follows_the_one_that_holds_more(self, cluster, level):
        (master, first, second), copy = backed_up_row(cluster, "--commit", level)
        master.kill()
        restore(master, copy)
        master.start()
        nodes = [master, first, second]
        wait_until(
            lambda: [role(node) for node in (first, second)].count("master") == 1, 60, what="a slave is master now"
        )
        new = next(node for node in (first, second) if role(node) == "master")
        follow(new, *(node for node in nodes if node is not new))
        assert all(holds(node, 0, 300) for node in nodes)
        put(new, 300, 310)
        same_state(*nodes)
        assert not any(list(node.directory.rglob("lost-*.resp")) for node in nodes)

    def test_slaves_that_come_later_keep_what_was_committed_and_a_person_chooses(self, cluster):
        (master, first, second), copy = backed_up_row(cluster)
        for node in (master, first, second):
            node.kill()
        restore(master, copy)
        master.start()
        assert role(master) == "master"
        put(master, 1000, 1010)
        first.start()
        second.start()
        for node in (first, second):
            wait_until(lambda: node.info("replication")["diverged_from_master"] == "1", what="it says so")
            assert node.info("replication")["master_link_status"] == "down"
            assert holds(node, 0, 300), "nothing is cut"
        wait_until(lambda: len(master.info("replication")["diverged_slaves"].split(";")) == 2)
        assert holds(master, 1000, 1010) and not list(first.directory.rglob("lost-*.resp"))
        text = refused(master, "FAILOVER")
        assert "PROMOTE there makes it the master" in text, text
        # The one slave is given up, the other one is chosen.
        assert second.call("REPLICAOF", "127.0.0.1", master.port) == b"OK"
        follow(master, second)
        assert holds(second, 1000, 1010) and list(second.directory.rglob("lost-*.resp"))
        master.said("A SLAVE GIVES UP RECORDS")
        assert int(master.info("replication")["records_cut_on_slaves"]) >= 200
        assert first.call("PROMOTE") == b"OK"
        follow(first, master)
        # By the order above the second one holds what the master wrote as committed: it gives that up by an order, too.
        assert second.call("REPLICAOF", "127.0.0.1", first.port) == b"OK"
        follow(first, master, second)
        assert all(holds(node, 0, 300) for node in (master, first, second))
        assert list(master.directory.rglob("lost-*.resp")), "what it wrote since is in a file"

    def test_a_master_that_has_written_nothing_since_makes_way_for_slaves_that_come_later(self, cluster):
        (master, first, second), copy = backed_up_row(cluster)
        for node in (master, first, second):
            node.kill()
        restore(master, copy)
        master.start()
        assert role(master) == "master"
        first.start()
        wait_until(lambda: role(first) == "master", 60, what="the one that holds more is master")
        second.start()
        follow(first, master)
        assert holds(master, 0, 300)
