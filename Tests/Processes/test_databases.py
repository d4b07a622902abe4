"""The number of databases belongs to the data set: a slave takes its master's, whatever it was started with."""

import pytest
import redis

from harness import in_sync, same_state, wait_until

pytestmark = pytest.mark.timeout(600)


def databases(server):
    """The number in force: CONFIG GET and INFO say the same."""
    told = server.call("CONFIG", "GET", "databases")[1].decode()
    info = server.info("replication")
    assert info["databases"] == told
    return int(told)


def put(server, database, key, value):
    server.client(db=database).set(key, value)


def get(server, database, key):
    return server.client(db=database).get(key)


def follows(master, *slaves):
    in_sync(master, *slaves)
    same_state(master, *slaves)


@pytest.mark.parametrize("own, theirs", [(32, 16), (16, 32), (4, 16), (20, 8)])
def test_a_slave_takes_its_masters_number(cluster, own, theirs):
    master = cluster.master("--databases", own)
    slave = cluster.slave(master, "--databases", theirs)
    put(master, own - 1, "k", "highest")
    follows(master, slave)
    wait_until(lambda: databases(slave) == own, what="the slave has the master's number")
    assert databases(master) == own
    assert get(slave, own - 1, "k") == b"highest"
    with pytest.raises(redis.ResponseError, match="out of range"):
        slave.client(db=own).ping()
    slave.said(f"--databases does not count.*databases={own} databases.configured={theirs}.*slave takes its master's")
    assert slave.info("replication")["databases_configured"] == str(theirs)


def test_a_full_sync_brings_the_number_and_a_slave_below_takes_it_too(cluster):
    master = cluster.master("--databases", 24)
    for number in range(24):
        put(master, number, f"k{number}", str(number))
    middle = cluster.slave(master, "--databases", 5, "--sync-mode", "full")
    follows(master, middle)
    last = cluster.slave(middle, "--databases", 64)
    follows(master, middle, last)
    for node in (middle, last):
        assert databases(node) == 24
        assert get(node, 23, "k23") == b"23"


def test_a_failover_takes_no_database_from_clients(cluster):
    master = cluster.master("--databases", 40)
    slave = cluster.slave(master, "--databases", 3)
    put(master, 39, "before", "1")
    follows(master, slave)
    master.call("FAILOVER")
    wait_until(lambda: slave.call("ROLE")[0] == b"master", what="the slave is the master")
    assert databases(slave) == 40
    put(slave, 39, "after", "2")
    put(slave, 38, "never used before", "3")
    in_sync(slave, master)
    assert get(master, 39, "after") == b"2"
    # It starts again, as the master, with its own flag: the data set's number counts, and that is said.
    slave.restart()
    assert databases(slave) == 40
    slave.said("--databases does not count.*databases=40 databases.configured=3.*never lowered, and database 39 is in use")
    assert get(slave, 39, "before") == b"1"
    in_sync(slave, master)


def test_a_slave_without_its_master_starts_with_what_it_has(cluster):
    master = cluster.master("--databases", 30)
    slave = cluster.slave(master, "--databases", 16)
    put(master, 29, "k", "v")
    follows(master, slave)
    master.kill()
    slave.restart()
    assert databases(slave) == 30
    assert get(slave, 29, "k") == b"v"
    slave.call("REPLICAOF", "NO", "ONE")
    assert databases(slave) == 30
    put(slave, 28, "k", "v")


def test_a_master_raises_it_at_a_start_and_its_slaves_follow(cluster):
    master = cluster.master("--databases", 16)
    slave = cluster.slave(master, "--databases", 16)
    put(master, 15, "k", "v")
    follows(master, slave)
    reader = slave.client(db=15)
    assert reader.get("k") == b"v"
    master.flags = ["--databases", "33"]
    master.restart()
    assert databases(master) == 33
    put(master, 32, "new", "v")
    follows(master, slave)
    assert databases(slave) == 33
    assert get(slave, 32, "new") == b"v"
    assert reader.get("k") == b"v"
    # Lowering is refused: the start goes on with the data set's number.
    master.flags = ["--databases", "8"]
    master.restart()
    assert databases(master) == 33
    master.said("--databases does not count.*databases=33 databases.configured=8.*database 32 is in use")
    follows(master, slave)


def test_a_connection_to_a_database_that_is_gone_writes_nothing(cluster):
    """A node with more databases is attached to a data set with fewer, while clients have the higher ones chosen."""
    master = cluster.master("--databases", 4)
    other = cluster.master("--databases", 12, name="other")
    put(master, 3, "k", "v")
    wire = other.wire()
    assert wire.ask("SELECT", "11") == b"OK"
    other.call("REPLICAOF", "127.0.0.1", str(master.port))
    follows(master, other)
    assert databases(other) == 4
    assert wire.ask("GET", "k") is None
    assert wire.ask("DBSIZE") == 0
    other.call("REPLICAOF", "NO", "ONE")
    for command in [("SET", "k", "v"), ("FLUSHDB",), ("DEL", "k")]:
        assert str(wire.ask(*command)).startswith("ERR DB index is out of range"), command
    assert get(other, 3, "k") == b"v"
