"""--forward-writes: a client may talk to any node."""

import threading

import pytest

from harness import connected, in_sync, same_state, wait_until
from wire import ErrorReply, Wire, encode

pytestmark = pytest.mark.timeout(180)

FORWARD = ("--forward-writes", "yes")


def pair(cluster, *flags):
    master = cluster.master(*flags)
    slave = cluster.slave(master, *FORWARD, *flags)
    in_sync(master, slave)
    return master, slave


def frozen_slave(cluster):
    """A slave whose master's stream stands still: the master forwards through a proxy that is held up."""
    master = cluster.master()
    proxy = cluster.proxy(master)
    slave = cluster.slave(proxy, *FORWARD)
    in_sync(master, slave)
    return master, proxy, slave


class TestWrites:
    def test_a_write_through_a_slave_is_done_by_the_master_and_read_back_at_once(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            for i in range(500):
                assert wire.ask("SET", "k", i) == b"OK"
                assert wire.ask("GET", "k") == str(i).encode()
        assert master.call("GET", "k") == b"499"
        info = slave.info("stats")
        assert int(info["forwarded_commands"]) >= 500
        assert info["forward_errors"] == "0"
        same_state(master, slave)

    def test_a_pipeline_of_all_kinds_keeps_its_order(self, cluster):
        master, slave = pair(cluster)
        commands, expected = [], []
        for i in range(300):
            commands += [("INCR", "n"), ("GET", "n"), ("PING",), ("SET", f"k{i}", i), ("GET", f"k{i}"), ("ECHO", i)]
            expected += [i + 1, str(i + 1).encode(), b"PONG", b"OK", str(i).encode(), str(i).encode()]
        from wire import parse

        with slave.wire() as wire:
            assert [parse(r) for r in wire.pipeline(commands)] == expected
        same_state(master, slave)

    def test_every_family_of_writes_and_errors_pass_as_they_are(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            assert wire.ask("MSET", "a", "1", "b", "2") == b"OK"
            assert wire.ask("GETEX", "a", "EX", "100") == b"1"
            assert 0 < wire.ask("TTL", "a") <= 100
            assert wire.ask("GETDEL", "b") == b"2"
            assert wire.ask("EXISTS", "b") == 0
            assert wire.ask("EXPIRE", "a", "1000") == 1
            assert wire.ask("SET", "text", "x") == b"OK"
            assert str(wire.ask("INCR", "text")).startswith("ERR value is not an integer")
            assert "wrong number" in str(wire.ask("SET", "text"))
            assert wire.ask("SELECT", "3") == b"OK"
            assert wire.ask("SET", "in3", "x") == b"OK"
            assert wire.ask("SWAPDB", "3", "4") == b"OK"
            assert wire.ask("GET", "in3") is None
            assert wire.ask("SELECT", "4") == b"OK"
            assert wire.ask("GET", "in3") == b"x"
            assert wire.ask("FLUSHDB") == b"OK"
            assert wire.ask("DBSIZE") == 0
            assert wire.ask("SELECT", "0") == b"OK"
            assert wire.ask("DBSIZE") == 2
            wire.send(b"SET inline 5\r\nGET inline\r\n")
            assert wire.value() == b"OK" and wire.value() == b"5"
        same_state(master, slave)

    def test_resp3_replies_pass(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            wire.ask("HELLO", "3")
            assert wire.call("GETDEL", "none") == b"_\r\n"
            assert wire.call("SET", "k", "v", "GET") == b"_\r\n"
            assert wire.call("SET", "k", "w", "GET") == b"$1\r\nv\r\n"
            wire.ask("HELLO", "2")
            assert wire.call("GETDEL", "none") == b"$-1\r\n"

    def test_big_values_pass_both_ways(self, cluster):
        master, slave = pair(cluster)
        value = bytes(range(256)) * (20 << 12)
        with slave.wire() as wire:
            assert wire.ask("SET", "big", value) == b"OK"
            assert wire.ask("GETSET", "big", "small") == value
            assert wire.ask("GET", "big") == b"small"

    def test_the_silence_that_a_client_asked_for(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            for command in [("CLIENT", "REPLY", "SKIP"), ("SET", "a", "1"), ("INCR", "a")]:
                wire.send(encode(*command))
            assert wire.value() == 2
            for command in [("CLIENT", "REPLY", "OFF"), ("INCR", "a"), ("INCR", "a"), ("CLIENT", "REPLY", "ON")]:
                wire.send(encode(*command))
            assert wire.value() == b"OK"
            assert wire.ask("GET", "a") == b"4"

    def test_lastlsn_is_what_the_write_needs_elsewhere(self, cluster):
        master, slave = pair(cluster)
        other = cluster.slave(master)
        with slave.wire() as wire:
            wire.ask("SET", "k", "v")
            lsn = wire.ask("LASTLSN")
            assert lsn >= master.last_lsn() - 1
            assert wire.ask("WAITLSN", lsn, "20000") == 1
        assert other.call("WAITLSN", lsn, "20000") == 1
        assert other.call("GET", "k") == b"v"

    def test_with_a_password(self, cluster):
        master = cluster.master("--requirepass", "secret")
        slave = cluster.slave(master, *FORWARD, "--requirepass", "other", "--masterauth", "secret")
        wait_until(lambda: slave.info("replication")["master_link_status"] == "up")
        with slave.wire() as wire:
            assert str(wire.ask("SET", "k", "v")).startswith("NOAUTH")
            wire.ask("AUTH", "other")
            assert wire.ask("SET", "k", "v") == b"OK"
        assert master.call("GET", "k") == b"v"

    def test_it_can_be_switched_on_and_off(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        with slave.wire() as wire:
            assert str(wire.ask("SET", "k", "v")).startswith("READONLY")
            assert wire.ask("CONFIG", "SET", "forward-writes", "yes") == b"OK"
            wait_until(lambda: wire.ask("SET", "k", "v") == b"OK")
            assert wire.ask("CONFIG", "SET", "forward-writes", "no") == b"OK"
            wait_until(lambda: isinstance(wire.ask("SET", "k", "v"), ErrorReply))

    def test_a_client_that_leaves_takes_its_connection_with_it(self, cluster):
        master, slave = pair(cluster)
        wires = [slave.wire() for _ in range(20)]
        for wire in wires:
            assert wire.ask("INCR", "n") > 0

        def forwarded():
            return master.call("CLIENT", "LIST").count(b"lib-name=paceline-forward")

        assert forwarded() == 20
        for wire in wires:
            wire.close()
        wait_until(lambda: forwarded() == 0)


class TestTransactions:
    def test_a_transaction_is_one_at_the_master(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            assert wire.ask("MULTI") == b"OK"
            assert wire.ask("INCR", "n") == b"QUEUED"
            assert wire.ask("GET", "n") == b"QUEUED"
            assert wire.ask("SET", "s", "x") == b"QUEUED"
            assert wire.ask("EXEC") == [1, b"1", b"OK"]
            assert wire.ask("GET", "s") == b"x"
            assert wire.ask("MULTI") == b"OK"
            assert wire.ask("INCR", "n") == b"QUEUED"
            assert wire.ask("DISCARD") == b"OK"
            assert wire.ask("GET", "n") == b"1"
            assert wire.ask("MULTI") == b"OK"
            assert wire.ask("GET", "n") == b"QUEUED"
            assert wire.ask("EXEC") == [b"1"]

    def test_a_pipeline_of_transactions(self, cluster):
        master, slave = pair(cluster)
        commands = [("MULTI",), ("INCR", "n"), ("INCR", "m"), ("EXEC",), ("GET", "n")] * 50
        from wire import parse

        with slave.wire() as wire:
            replies = [parse(r) for r in wire.pipeline(commands)]
        assert [r for r in replies[3::5]] == [[i, i] for i in range(1, 51)]
        assert replies[4::5] == [str(i).encode() for i in range(1, 51)]
        same_state(master, slave)

    def test_a_command_about_this_node_cannot_go_with_a_write(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            wire.ask("MULTI")
            wire.ask("SET", "k", "v")
            wire.ask("CONFIG", "SET", "maxclients", "77")
            assert str(wire.ask("EXEC")).startswith("EXECABORT")
            assert wire.ask("GET", "k") is None
        assert master.call("CONFIG", "GET", "maxclients")[1] != b"77"

    def test_watch_sees_what_others_write_at_the_master(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            for touched in (False, True, False, True):
                assert wire.ask("WATCH", "k") == b"OK"
                if touched:
                    master.call("INCR", "k")
                value = int(wire.ask("GET", "k") or 0)
                if touched:
                    master.call("INCR", "k")
                wire.ask("MULTI")
                wire.ask("SET", "k", value + 1)
                assert wire.ask("EXEC") == (None if touched else [b"OK"])
            wire.ask("WATCH", "k")
            master.call("INCR", "k")
            assert wire.ask("UNWATCH") == b"OK"
            wire.ask("MULTI")
            wire.ask("SET", "k", "1")
            assert wire.ask("EXEC") == [b"OK"]

    def test_optimistic_counters_lose_nothing(self, cluster):
        master, slave = pair(cluster)
        other = cluster.slave(master, *FORWARD)
        in_sync(master, other)

        def count(server, done):
            with server.wire() as wire:
                while done[0] < 100:
                    wire.ask("WATCH", "n")
                    value = int(wire.ask("GET", "n") or 0)
                    wire.ask("MULTI")
                    wire.ask("SET", "n", value + 1)
                    if wire.ask("EXEC"):
                        done[0] += 1

        tallies = [[0] for _ in range(3)]
        threads = [
            threading.Thread(target=count, args=(server, tally))
            for server, tally in zip((master, slave, other), tallies)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert master.call("GET", "n") == b"300"

    def test_a_watch_whose_connection_broke_refuses_exec(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as wire:
            wire.ask("WATCH", "k")
            for line in master.call("CLIENT", "LIST").decode().splitlines():
                if "lib-name=paceline-forward" in line:
                    assert master.call("CLIENT", "KILL", "ID", line.split()[0][3:]) == 1
            wire.ask("MULTI")
            wire.ask("SET", "k", "v")
            # Refused, or sent before the slave saw the end of the connection: then nobody knows, and nothing was done.
            answer = wire.ask("EXEC")
            assert answer is None or str(answer).startswith("UNCERTAIN"), answer
            assert wire.ask("GET", "k") is None
            wire.ask("MULTI")
            wire.ask("SET", "k", "v")
            assert wire.ask("EXEC") == [b"OK"]


class TestWithoutAMaster:
    def test_no_master_is_an_error_in_bounded_time_and_reads_go_on(self, cluster):
        master, slave = pair(cluster)
        master.call("SET", "k", "v")
        in_sync(master, slave)
        master.kill()
        with slave.wire(timeout=60) as wire:
            assert str(wire.ask("SET", "k", "w")).startswith("FORWARD no master reachable")
            assert wire.ask("GET", "k") == b"v"
        assert slave.info("stats")["forward_errors"] == "1"

    def test_it_goes_on_when_the_master_is_back(self, cluster):
        master, slave = pair(cluster)
        with slave.wire(timeout=60) as wire:
            assert wire.ask("INCR", "n") == 1
            master.restart()
            values = []

            def counts():
                values.append(wire.ask("INCR", "n"))
                return isinstance(values[-1], int)

            wait_until(counts)
            assert wire.ask("GET", "n") == str(values[-1]).encode()

    def test_what_another_node_forwarded_goes_no_further(self, cluster):
        master, slave = pair(cluster)
        with slave.wire() as node, slave.wire() as client:
            assert str(node.ask("MS_FORWARD", "2", "id", "nobody")).startswith("ERR")
            assert node.ask("MS_FORWARD", "2", "id", "0" * 39 + "1", "later", "field") == b"OK"
            # A name is only a name.
            assert client.ask("CLIENT", "SETINFO", "LIB-NAME", "paceline-forward") == b"OK"
            assert str(node.ask("SET", "k", "node")).startswith("READONLY")
            assert client.ask("SET", "k", "client") == b"OK"
            assert str(node.ask("INCR", "n")).startswith("READONLY")
        assert slave.info("stats")["forwarded_commands"] == "1"
        assert master.call("GET", "k") == b"client" and master.call("EXISTS", "n") == 0

    def test_nodes_that_follow_each_other_do_not_pass_a_write_round(self, cluster):
        """The ring lasts about a second. A write waits for its end or is refused; it is never done twice."""
        first = cluster.master(*FORWARD)
        second = cluster.slave(first, *FORWARD)
        in_sync(first, second)
        with first.wire(timeout=60) as one, second.wire(timeout=60) as two:
            assert one.ask("REPLICAOF", "127.0.0.1", second.port) == b"OK"
            for wire in (one, two):
                wire.send(encode("INCR", "n"))
            replies = [wire.value() for wire in (one, two)]
        done = [reply for reply in replies if isinstance(reply, int)]
        assert all(reply in done or str(reply).startswith(("READONLY", "FORWARD")) for reply in replies), replies
        wait_until(lambda: first.info("replication")["role"] == "master", what="the order is undone")
        in_sync(first, second)
        assert sorted(done) == list(range(1, len(done) + 1))
        assert int(first.call("GET", "n") or 0) == len(done)
        passed_on = [int(server.info("stats")["forwarded_commands"]) for server in (first, second)]
        assert sum(passed_on) <= 2, "each write goes to another node once at most"
        same_state(first, second)

    def test_a_slave_of_a_slave_finds_the_master(self, cluster):
        master, middle = pair(cluster)
        last = cluster.slave(middle, *FORWARD)
        in_sync(master, middle, last)
        with last.wire() as wire:
            for i in range(50):
                assert wire.ask("SET", "k", i) == b"OK"
                assert wire.ask("GET", "k") == str(i).encode()
        assert master.call("GET", "k") == b"49"


class Counting(threading.Thread):
    """Increments a key of its own through one node until it is told to stop: every answer is remembered."""

    def __init__(self, server, name, pipeline=1):
        super().__init__(daemon=True)
        self.port, self.key, self.pipeline = server.port, name, pipeline
        self.acknowledged, self.uncertain, self.errors, self.wrong = 0, 0, [], []
        self.over = threading.Event()
        self.broken = None

    def run(self):
        try:
            with Wire(self.port, timeout=90) as wire:
                while not self.over.is_set():
                    self.round(wire)
        except OSError as error:
            self.broken = error

    def round(self, wire):
        wire.send(b"".join(encode("INCR", self.key) for _ in range(self.pipeline)))
        for _ in range(self.pipeline):
            value = wire.value()
            if isinstance(value, ErrorReply):
                self.errors.append(str(value))
                self.uncertain += str(value).startswith("UNCERTAIN")
                continue
            self.acknowledged += 1
            # Never less than what was acknowledged, never more than what may have been done.
            if not self.acknowledged <= value <= self.acknowledged + self.uncertain:
                self.wrong.append((value, self.acknowledged, self.uncertain))

    def end(self):
        self.over.set()
        self.join()


class TestMasterDies:
    def test_nothing_is_done_twice(self, cluster):
        master, slave = pair(cluster)
        clients = [Counting(slave, f"n{i}", pipeline=1 + 9 * (i % 2)) for i in range(8)]
        for client in clients:
            client.start()
        for _ in range(4):
            before = sum(c.acknowledged for c in clients)
            wait_until(lambda: sum(c.acknowledged for c in clients) > before + 200)
            master.kill()
            master.start()
        before = sum(c.acknowledged for c in clients)
        wait_until(lambda: sum(c.acknowledged for c in clients) > before + 200)
        for client in clients:
            client.end()
        for client in clients:
            assert client.broken is None and client.wrong == []
            assert all(e.startswith(("UNCERTAIN", "FORWARD")) for e in client.errors), client.errors
            value = int(master.call("GET", client.key))
            assert client.acknowledged <= value <= client.acknowledged + client.uncertain
        in_sync(master, slave)
        same_state(master, slave)


class TestFailover:
    @pytest.mark.parametrize("forwards", [True, False])
    def test_clients_of_the_old_master_whose_writes_were_held_get_no_error(self, cluster, forwards):
        flags = FORWARD if forwards else ()
        master = cluster.master(*flags)
        slave = cluster.slave(master, *flags)
        in_sync(master, slave)
        connected(master, 1)
        # The slave stands still: FAILOVER waits for its acknowledgement, and holds writes back until then.
        slave.pause()
        master.call("SET", "k", "0")
        with master.wire() as operator, master.wire() as client, master.wire() as exec_client:
            operator.send(encode("FAILOVER", "TIMEOUT", "60000"))
            wait_until(lambda: master.info("replication")["master_failover_state"] == "waiting-for-sync")
            client.send(encode("INCR", "k") + encode("GET", "k") + encode("INCR", "k"))
            exec_client.send(encode("MULTI") + encode("INCR", "m") + encode("EXEC"))
            wait_until(lambda: master.call("CLIENT", "LIST").count(b"flags=b") >= 2)
            slave.resume()
            assert operator.value() == b"OK"
            assert [client.value() for _ in range(3)] == [1, b"1", 2]
            assert [exec_client.value() for _ in range(3)] == [b"OK", b"QUEUED", [1]]
            later = client.ask("INCR", "k")
            if forwards:
                assert later == 3
            else:
                assert str(later).startswith("READONLY")
        assert slave.info("replication")["role"] == "master"
        same_state(master, slave)

    def test_clients_of_any_node_see_no_error(self, cluster):
        first = cluster.master(*FORWARD)
        nodes = [first, cluster.slave(first, *FORWARD), cluster.slave(first, *FORWARD)]
        in_sync(*nodes)
        connected(first, 2)
        clients = [Counting(node, f"n{i}{j}", 1 + 9 * j) for i, node in enumerate(nodes) for j in range(2)]
        for client in clients:
            client.start()
        master = first
        for target in (nodes[1], nodes[2], nodes[0]):
            before = [c.acknowledged for c in clients]
            wait_until(lambda: all(c.acknowledged > b + 20 for c, b in zip(clients, before)), ceiling=60)
            assert master.call("FAILOVER", "TO", "127.0.0.1", target.port, "TIMEOUT", "60000") == b"OK"
            wait_until(lambda: target.info("replication")["role"] == "master")
            connected(target, 2, ceiling=60)
            master = target
        before = [c.acknowledged for c in clients]
        wait_until(lambda: all(c.acknowledged > b + 20 for c, b in zip(clients, before)), ceiling=60)
        for client in clients:
            client.end()
        for client in clients:
            assert client.errors == [] and client.broken is None and client.wrong == [], client.port
            assert int(master.call("GET", client.key)) == client.acknowledged
        same_state(*nodes, ceiling=60)
