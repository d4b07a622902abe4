"""Which data set a node holds: nothing is given up because a master came back with another one, and what an order gives up
is set aside."""

import json
import shutil
import subprocess
import time

import pytest
import redis

from harness import BINARY, Server, connected, in_sync, same_state, wait_until
from load import fill
from ports import free_port
from rows import becomes, follow, promoted, role, row
from wire import ErrorReply

pytestmark = pytest.mark.timeout(150)


def refused(node, *command):
    with pytest.raises(redis.ResponseError) as error:
        node.call(*command)
    return str(error.value)


def status(node):
    out = subprocess.run([BINARY, "status", "--node", node.address], capture_output=True, text=True, timeout=60)
    return out.stdout + out.stderr


def refuses(slave):
    """Waits until the slave says that its master holds another data set; gives INFO."""
    return wait_until(
        lambda: (info := slave.info()).get("master_link_down_reason", "").startswith("OTHERDATASET") and info,
        what=f"{slave.name} refuses another data set",
    )


def takes_no_writes(master):
    wait_until(lambda: master.info().get("writes_refused") == "other-data-set", what=f"{master.name} stops taking writes")


def replaced(node):
    return [name for name in node.info().get("replaced_stores", "").split(";") if name]


class TestAMasterThatComesBackEmpty:
    def lose(self, master, how):
        master.kill()
        if how == "directory removed":
            shutil.rmtree(master.directory)
        elif how == "mount missing":
            shutil.rmtree(master.directory)
            master.directory.mkdir()
        else:
            master.directory = master.directory.parent / "wrong"

    @pytest.mark.parametrize("how", ["directory removed", "mount missing", "wrong directory"])
    def test_takes_nothing_from_its_slaves_and_waits_for_a_person(self, cluster, how):
        nodes = row(cluster, "--commit", "quorum")
        master, first, second = nodes
        lineage = master.info()["lineage"]
        fill(master, 100)
        in_sync(master, first, second)
        self.lose(master, how)
        master.start()
        master.wire().ask("SET", "mine", "1")
        for slave in (first, second):
            info = refuses(slave)
            assert info["lineage"] == lineage and info["master_link_status"] == "down"
            reason = info["master_link_down_reason"]
            assert lineage in reason and master.info()["lineage"] in reason and "REPLICAOF" in reason
            assert info["other_data_set"] == master.info()["lineage"]
            slave.said("OTHERDATASET")
            assert slave.call("DBSIZE") == 100 and not replaced(slave)
        takes_no_writes(master)
        text = refused(master, "SET", "k", "v")
        assert text.startswith("OTHERDATASET ") and "MS_NEW_DATA_SET" in text and "REPLICAOF" in text
        assert "OTHERDATASET" in str(master.wire().ask("INCR", "n"))
        assert master.call("PING") == b"PONG"
        info = master.info()
        assert info["role"] == "master" and info["other_data_set"] == lineage
        master.said("THIS MASTER TAKES NO WRITES")
        assert "TAKES NO WRITES" in status(master) and "OTHER DATA SET" in status(first)
        # It waits also after a restart, and an empty slave is not drawn into it.
        master.restart()
        takes_no_writes(master)
        stranger = cluster.slave(master, name="empty")
        wait_until(lambda: "OTHERDATASET" in stranger.info().get("master_link_down_reason", ""))
        # The way back: the node that holds most, and an order here.
        promoted(first)
        follow(first, second)
        assert first.call("SET", "after", "1") == b"OK"
        assert master.call("REPLICAOF", "127.0.0.1", first.port) == b"OK"
        follow(first, master, second)
        same_state(*nodes)
        assert master.call("DBSIZE") == 101 and master.info()["lineage"] == lineage
        assert master.info()["writes_refused"] == "no" and master.info()["other_data_set"] == ""

    def test_may_go_on_if_a_person_says_so(self, cluster):
        master, slave = row(cluster, slaves=1)
        fill(master, 10)
        in_sync(master, slave)
        self.lose(master, "directory removed")
        master.start()
        refuses(slave)
        takes_no_writes(master)
        assert "follows a master" in refused(slave, "MS_NEW_DATA_SET")
        assert master.call("MS_NEW_DATA_SET") == b"OK"
        assert master.call("SET", "new", "1") == b"OK"
        assert master.info()["data_set_confirmed"] == "1"
        master.restart()
        refuses(slave)
        assert master.call("SET", "newer", "1") == b"OK", "the decision is kept"
        assert slave.call("DBSIZE") == 10
        assert slave.call("REPLICAOF", "127.0.0.1", master.port) == b"OK"
        follow(master, slave)
        assert slave.call("DBSIZE") == 2 and len(replaced(slave)) == 1
        # By a flag, too.
        self.lose(master, "directory removed")
        master.flags.append("--new-data-set")
        master.start()
        refuses(slave)
        assert master.call("SET", "newest", "1") == b"OK"
        assert slave.call("DBSIZE") == 2

    def test_goes_on_by_itself_when_slaves_with_its_data_follow(self, cluster):
        """A stray slave that comes first does not stop a row for ever."""
        master, slave = row(cluster, slaves=1)
        other, stray = cluster.master(name="other"), None
        fill(other, 5)
        stray = cluster.slave(other, name="stray")
        in_sync(other, stray)
        stray.stop()
        slave.stop()
        fill(master, 20)
        stray.master = master
        stray.start()
        takes_no_writes(master)
        slave.start()
        wait_until(lambda: master.wire().ask("SET", "again", "1") == b"OK", what="the master goes on")
        in_sync(master, slave)
        assert slave.call("DBSIZE") == 21 and stray.call("DBSIZE") == 5


class TestTwoRowsCrossed:
    def test_by_a_typing_error_both_go_on_and_the_slave_keeps_its_data(self, cluster):
        left = row(cluster, slaves=1)
        right_master = cluster.master(name="right")
        stray = cluster.slave(right_master, name="stray")
        fill(left[0], 30)
        fill(right_master, 40)
        in_sync(left[0], left[1])
        in_sync(right_master, stray)
        stray.stop()
        stray.master = left[0]
        stray.start()
        reason = refuses(stray)["master_link_down_reason"]
        assert left[0].info()["lineage"] in reason
        assert left[0].call("SET", "goes", "on") == b"OK"
        assert left[0].info()["writes_refused"] == "no"
        left[0].said("a node of another data set is not taken as a slave")
        assert stray.call("DBSIZE") == 40
        # Back where it belongs.
        assert stray.call("REPLICAOF", "127.0.0.1", right_master.port) == b"OK"
        in_sync(right_master, stray)
        assert stray.call("DBSIZE") == 40 and not replaced(stray)


class TestAnOrder:
    def pair(self, cluster, *flags):
        """A slave with 50 keys of its own master, and a foreign master with 5 and a slave."""
        home, foreign = cluster.master(name="home"), cluster.master(name="foreign")
        fill(home, 50)
        fill(foreign, 5)
        other = cluster.slave(foreign, name="other")
        slave = cluster.slave(home, *flags, name="moving")
        in_sync(home, slave)
        in_sync(foreign, other)
        return home, foreign, slave

    def test_gives_the_data_up_and_sets_it_aside(self, cluster):
        home, foreign, slave = self.pair(cluster)
        below = cluster.slave(slave, name="below")
        in_sync(home, below)
        lineage = slave.info()["lineage"]
        assert slave.call("REPLICAOF", "127.0.0.1", foreign.port) == b"OK"
        in_sync(foreign, slave)
        assert slave.call("DBSIZE") == 5 and slave.info()["lineage"] == foreign.info()["lineage"]
        # A slave below had no order.
        refuses(below)
        assert below.call("DBSIZE") == 50
        names = wait_until(lambda: replaced(slave))
        assert len(names) == 1 and names[0].startswith(f"replaced-{lineage}-")
        assert (slave.directory / names[0]).is_dir()
        listed = slave.call("MS_REPLACED", "LIST")
        assert [row[0].decode() for row in listed] == names and listed[0][1].decode() == lineage
        assert listed[0][4] > 0 and int(slave.info()["replaced_stores_bytes"]) == listed[0][4]
        assert names[0] in status(slave)
        out = subprocess.run([BINARY, "status", "--node", slave.address, "--json"], capture_output=True, text=True, timeout=60)
        assert names[0] in out.stdout and json.loads(out.stdout)
        # A node can be started on it, where it is or elsewhere, and it is there after a restart.
        copy = slave.directory.parent / "copy"
        shutil.copytree(slave.directory / names[0], copy)
        again = cluster.add(Server("again", copy)).start()
        assert again.call("DBSIZE") == 50 and again.info()["lineage"] == lineage
        slave.restart()
        in_sync(foreign, slave)
        assert replaced(slave) == names and slave.call("DBSIZE") == 5
        assert "no such store" in refused(slave, "MS_REPLACED", "REMOVE", "replaced-x")
        assert slave.call("MS_REPLACED", "REMOVE", names[0]) == 1
        assert not replaced(slave) and not (slave.directory / names[0]).exists()
        assert slave.call("MS_REPLACED", "REMOVE", "ALL") == 0

    def test_is_for_the_data_set_that_was_there_and_for_no_later_one(self, cluster):
        home, foreign, slave = self.pair(cluster)
        assert slave.call("REPLICAOF", "127.0.0.1", foreign.port) == b"OK"
        in_sync(foreign, slave)
        slave.call("MS_REPLACED", "REMOVE", "ALL")
        foreign.kill()
        shutil.rmtree(foreign.directory)
        foreign.start()
        # Its slaves claim its place, maybe before a first write: a person has it go on.
        assert foreign.call("MS_NEW_DATA_SET") == b"OK"
        fill(foreign, 3)
        refuses(slave)
        slave.restart()
        assert slave.info()["master_port"] == str(foreign.port), "it remembers whom it follows"
        refuses(slave)
        assert slave.call("DBSIZE") == 5 and not replaced(slave)
        # The same order given again names the new one.
        assert slave.call("REPLICAOF", "127.0.0.1", foreign.port) == b"OK"
        in_sync(foreign, slave)
        assert slave.call("DBSIZE") == 3 and len(replaced(slave)) == 1

    def test_waits_for_a_master_that_is_not_there_yet(self, cluster):
        """The retries of an order belong to it."""
        home, foreign, slave = self.pair(cluster)
        foreign.stop()
        assert slave.call("REPLICAOF", "127.0.0.1", foreign.port) == b"OK"
        wait_until(lambda: slave.info().get("master_link_down_reason", "") != "")
        foreign.start()
        in_sync(foreign, slave)
        assert slave.call("DBSIZE") == 5

    @pytest.mark.parametrize("keep", ["0s", "1s"])
    def test_what_is_given_up_is_kept_as_long_as_the_setting_says(self, cluster, keep):
        home, foreign, slave = self.pair(cluster, "--replaced-keep", keep)
        assert slave.call("REPLICAOF", "127.0.0.1", foreign.port) == b"OK"
        in_sync(foreign, slave)
        if keep == "1s":
            slave.said("the data that was given up is set aside")
        wait_until(lambda: not replaced(slave))
        wait_until(lambda: not list(slave.directory.glob("re*-*")), what="nothing is left on disk")
        assert slave.call("DBSIZE") == 5 and slave.call("CONFIG", "GET", "replaced-keep") == [b"replaced-keep", keep.encode()]

    def test_by_the_switch_at_the_start(self, cluster):
        home, foreign, slave = self.pair(cluster)
        slave.stop()
        slave.master = foreign
        slave.flags.append("--accept-data-loss")
        slave.start()
        in_sync(foreign, slave)
        assert slave.call("DBSIZE") == 5 and len(replaced(slave)) == 1


class TestPeers:
    """One start command for all nodes of a row."""

    def nodes(self, cluster, *flags, roles=("master", "master", "slave"), count=3):
        ports = [free_port() for _ in range(count)]
        peers = ",".join(f"127.0.0.1:{port}" for port in ports)
        made = []
        for i, (port, kind) in enumerate(zip(ports, roles)):
            server = cluster.add(Server(f"n{i}", cluster.directory / f"n{i}", kind, port=port, flags=["--peers", peers, *flags]))
            if kind == "slave":
                server.command = lambda server=server: [
                    part for part in Server.command(server) if part not in ("--master", "127.0.0.1:None")
                ]
            made.append(server)
        return made

    def row(self, cluster, *flags):
        nodes = self.nodes(cluster, *flags)
        for node in reversed(nodes):
            node.start()
        becomes(nodes[0], "master")
        connected(nodes[0], 2)
        in_sync(nodes[0], *nodes[1:])
        return nodes

    def test_the_first_begins_the_others_follow_and_roles_are_kept(self, cluster):
        nodes = self.row(cluster, "--commit", "quorum")
        # Who is no voter yet gets no votes.
        nodes[0].said(r'the voters changed voters="\w{40} \w{40} \w{40}"')
        fill(nodes[0], 50)
        follow(nodes[0], *nodes[1:])
        assert nodes[0].call("FAILOVER", "TO", "127.0.0.1", nodes[1].port) == b"OK"
        follow(nodes[1], nodes[0], nodes[2])
        for node in nodes:
            node.stop()
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_ready()
        becomes(nodes[1], "master")
        follow(nodes[1], nodes[0], nodes[2])
        assert [node.call("DBSIZE") for node in nodes] == [50, 50, 50]
        assert nodes[0].call("CONFIG", "GET", "peers")[1].decode() == nodes[0].flags[1]

    def test_nobody_begins_without_a_majority_or_the_first(self, cluster):
        first, second, third = self.nodes(cluster)
        second.start()
        assert second.call("PING") == b"PONG"
        wait_until(lambda: "1 of its 3 peers answer" in second.info()["waits_for_peers"])
        assert second.info()["master_link_down_reason"].startswith("this node waits")
        assert "READONLY" in refused(second, "SET", "k", "v") and "WAITS" in status(second)
        third.start()
        wait_until(lambda: "the first of the list" in second.info()["waits_for_peers"])
        second.said("this node waits before it joins its row")
        assert [role(node) for node in (second, third)] == ["slave", "slave"]
        first.start()
        becomes(first, "master")
        in_sync(first, second, third)
        assert second.info()["waits_for_peers"] == ""

    @pytest.mark.parametrize("level", ["async", "quorum"])
    def test_an_empty_first_joins_what_it_finds(self, cluster, level):
        nodes = self.row(cluster, "--commit", level)
        first, second, third = nodes
        lineage = first.info()["lineage"]
        if level == "quorum":
            first.said(r'the voters changed voters="\w{40} \w{40} \w{40}"')
        fill(first, 100)
        in_sync(first, second, third)
        first.kill()
        shutil.rmtree(first.directory)
        first.start()
        wait_until(lambda: "no master answers" in first.info()["waits_for_peers"])
        assert str(first.wire().ask("SET", "k", "v")).startswith("READONLY")
        assert [node.call("DBSIZE") for node in (second, third)] == [100, 100]
        promoted(second)
        follow(second, first, third)
        assert first.call("DBSIZE") == 100 and first.info()["lineage"] == lineage
        same_state(*nodes)
        # So does an empty slave, at once, and it remembers.
        third.kill()
        shutil.rmtree(third.directory)
        third.start()
        follow(second, first, third)
        third.restart()
        follow(second, first, third)
        assert third.call("DBSIZE") == 100

    def test_two_data_sets_wait_for_a_person(self, cluster):
        first, second, third = self.nodes(cluster)
        peers, first.flags, second.flags = first.flags, [], []
        first.start()
        second.start()
        fill(first, 10)
        fill(second, 20)
        third.start()
        wait_until(lambda: "different data sets" in third.info()["waits_for_peers"])
        assert third.call("REPLICAOF", "127.0.0.1", first.port) == b"OK"
        in_sync(first, third)
        assert third.call("DBSIZE") == 10
        # A node with data that finds its peers' master with other data takes no writes before somebody decides.
        second.stop()
        second.flags = peers
        second.start()
        takes_no_writes(second)
        assert second.call("MS_NEW_DATA_SET") == b"OK" and second.call("SET", "k", "v") == b"OK"

    def test_new_data_set_begins_without_asking(self, cluster):
        first, second, _ = self.nodes(cluster)
        second.flags.append("--new-data-set")
        second.start()
        becomes(second, "master")
        assert second.call("SET", "k", "v") == b"OK"
        first.start()
        in_sync(second, first)

    def test_a_waiting_node_takes_orders(self, cluster):
        _, second, _ = self.nodes(cluster)
        second.start()
        wait_until(lambda: second.info()["waits_for_peers"] != "")
        assert second.call("MS_NEW_DATA_SET") == b"OK"
        becomes(second, "master")
        assert second.call("SET", "k", "v") == b"OK" and second.info()["waits_for_peers"] == ""


def test_a_stranger_with_made_up_data_does_not_stop_a_row_that_is_followed(cluster):
    from peer import FakeSlave

    master, slave = row(cluster, slaves=1)
    made_up = {"has_data": "yes", "last": "1:900", "lineage": "ab" * 20}
    for more in ({"gives_up": "none"}, {"gives_up": "cd" * 20}):
        with FakeSlave(master) as stranger:
            answer = stranger.register(**made_up, **more)
            assert not isinstance(answer, ErrorReply), answer
            assert "NOTREGISTERED" in str(stranger.sync())
    with FakeSlave(master) as stranger:
        assert isinstance(stranger.register(**made_up, gives_up="everything"), ErrorReply)
    assert master.call("SET", "k", "v") == b"OK"
    in_sync(master, slave)
