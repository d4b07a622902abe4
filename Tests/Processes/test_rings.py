"""REPLICAOF that leads nowhere, rings, and rows that are laid out anew: in the end there is one master, and all follow it."""

import random
import subprocess

import pytest
import redis

from harness import BINARY, in_sync, same_state, wait_until
from load import fill
from ports import free_port
from rows import becomes, follow, role, row
from wire import encode

pytestmark = pytest.mark.timeout(900)


def masters(nodes):
    return [node for node in nodes if node.running and role(node) == "master"]


def one_master(nodes, ceiling=60):
    wait_until(lambda: len(masters(nodes)) == 1, ceiling, what="one master")
    return masters(nodes)[0]


class TestOrdersThatLeadNowhere:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.0.0.2"])
    def test_oneself(self, cluster, host):
        master = cluster.master("--bind", "0.0.0.0", "--protected-mode", "no")
        fill(master, 50)
        assert master.call("REPLICAOF", host, master.port) == b"OK"
        becomes(master, "master", 10)
        assert "itself" in master.info("replication")["last_replicaof_error"]
        assert master.call("SET", "after", "1") == b"OK" and master.call("EXISTS", "key:7") == 1
        master.restart()
        assert role(master) == "master" and master.call("GET", "after") == b"1"

    @pytest.mark.parametrize("level", ["async", "quorum"])
    def test_a_slave_of_ones_own(self, cluster, level):
        nodes = row(cluster, "--commit", level)
        fill(nodes[0], 50)
        assert nodes[0].call("REPLICAOF", "127.0.0.1", nodes[1].port) == b"OK"
        becomes(nodes[0], "master", 20)
        assert "ring" in nodes[0].info("replication")["last_replicaof_error"]
        assert nodes[0].call("SET", "after", "1") == b"OK"
        follow(nodes[0], *nodes[1:])
        assert sum(int(node.info()["sync_full"]) for node in nodes) == 0, "nothing was copied"

    def test_another_kind_of_server(self, cluster):
        master, other = cluster.master(), cluster.redis()
        fill(master, 50)
        master.call("REPLICAOF", "127.0.0.1", other.port)
        becomes(master, "master", 30)
        assert "no Paceline node" in master.info("replication")["last_replicaof_error"]
        assert master.call("EXISTS", "key:7") == 1

    def test_nobody(self, cluster):
        master = cluster.master()
        port = free_port()
        master.call("REPLICAOF", "127.0.0.1", port)
        with pytest.raises(redis.ResponseError, match="READONLY"):
            master.call("SET", "a", "1")
        becomes(master, "master", 60)
        assert "no node answers" in master.info("replication")["last_replicaof_error"]

    def test_a_slave_goes_back_to_its_master(self, cluster):
        a, b = row(cluster, slaves=1)
        c = cluster.slave(b)
        in_sync(a, b, c)
        b.call("REPLICAOF", "127.0.0.1", c.port)
        follow(a, b)
        in_sync(a, c)

    def test_a_master_that_is_still_starting_is_found(self, cluster):
        node, late = cluster.master(), cluster.master(start=False, name="late")
        node.call("REPLICAOF", "127.0.0.1", late.port)
        late.start()
        follow(late, node)


class TestRings:
    @pytest.mark.parametrize("count", [2, 3])
    def test_a_remembered_ring(self, cluster, count):
        """Each was told to follow the next while it was down; all start into it."""
        nodes = row(cluster, slaves=count - 1)
        fill(nodes[0], 50)
        in_sync(*nodes)
        for node in nodes:
            node.stop()
        for i, node in enumerate(nodes):
            node.role, node.master = "slave", nodes[(i + 1) % count]
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_ready()
        master = one_master(nodes, 30)
        assert "A RING WITHOUT A MASTER" in master.log_since_start()
        follow(master, *[node for node in nodes if node is not master])
        assert all(node.call("EXISTS", "key:7") == 1 for node in nodes)

    def test_crossing_orders(self, cluster):
        a, b = cluster.master(name="a"), cluster.master(name="b")
        with a.wire() as one, b.wire() as other:
            one.send(encode("REPLICAOF", "127.0.0.1", b.port))
            other.send(encode("REPLICAOF", "127.0.0.1", a.port))
            assert one.value() == other.value() == b"OK"
        wait_until(lambda: masters([a, b]), 30, what="a master")
        for node in (a, b):
            assert node.running


class TestAddresses:
    def test_a_respelled_master_after_a_failover(self, cluster):
        nodes = row(cluster, slaves=1)
        fill(nodes[0], 50)
        nodes[0].call("FAILOVER", "TO", "localhost", nodes[1].port)
        follow(nodes[1], nodes[0])
        for node in nodes:
            node.stop()
        nodes[1].master = f"localhost:{nodes[0].port}"
        nodes[0].start()
        nodes[1].start()
        master = one_master(nodes, 30)
        follow(master, *[node for node in nodes if node is not master])

    def test_status_says_that_there_is_no_master(self, cluster):
        nodes = row(cluster, slaves=1)
        nodes[0].kill()
        done = subprocess.run([BINARY, "status", "--node", nodes[1].address], capture_output=True, text=True, timeout=60)
        assert "NO MASTER" in done.stdout and done.returncode != 0


class TestPaths:
    def test_who_was_above_is_forgotten(self, cluster):
        a = cluster.master(name="a")
        b = cluster.slave(a, name="b")
        c = cluster.slave(b, name="c")
        fill(a, 20)
        in_sync(a, b, c)
        b.call("REPLICAOF", "NO", "ONE")
        b.call("SET", "of b", "1")
        a.call("REPLICAOF", "127.0.0.1", c.port)
        in_sync(b, c, a)
        assert a.call("GET", "of b") == b"1"

    @pytest.mark.parametrize("seed", range(3))
    def test_five_nodes_are_laid_out_at_random(self, cluster, seed):
        """At the end the operator names a master: all come to follow it, directly or not."""
        dice = random.Random(seed)
        first = cluster.master(name="node0")
        nodes = [first] + [cluster.slave(first, "--accept-data-loss", name=f"node{i}") for i in range(1, 5)]
        fill(first, 50)
        in_sync(*nodes)
        for _ in range(14):
            node = dice.choice(nodes)
            match dice.randrange(5):
                case 0 | 1:
                    node.call("REPLICAOF", "127.0.0.1", dice.choice([n for n in nodes if n is not node]).port)
                case 2:
                    if dice.random() < 0.5:
                        node.call("REPLICAOF", "NO", "ONE")
                case 3:
                    with node.wire(timeout=60) as wire:
                        wire.ask("FAILOVER", "TIMEOUT", 500)
                case 4:
                    node.kill()
                    node.start()
        wait_until(lambda: masters(nodes), 60, what="a master")
        # One tree: every other master is told whom to follow, as an operator would.
        top = dice.choice(masters(nodes))
        top.call("SET", "end", seed)
        for node in nodes:
            if node is not top and role(node) == "master":
                node.call("REPLICAOF", "127.0.0.1", top.port)
        wait_until(lambda: masters(nodes) == [top], 60, what="one master")
        wait_until(lambda: all(node.call("GET", "end") == str(seed).encode() for node in nodes), 120, what="all follow")
        same_state(*nodes)
