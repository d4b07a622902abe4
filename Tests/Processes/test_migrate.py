"""DUMP, RESTORE and MIGRATE between Paceline and Redis, both ways: no value is changed on the way, and no key is lost."""

import threading

import pytest
import redis

from harness import wait_until
from ports import free_port
from wire import Wire

VALUES = {
    b"empty": b"",
    b"int": b"12345",
    b"big": b"9223372036854775808",
    b"text": b"hello world",
    b"binary": bytes(range(256)) * 3,
    b"repeats": b"abcdefgh" * 5000,
    b"long": bytes(i * i & 0xFF for i in range(300_000)),
}


@pytest.fixture(scope="module")
def servers(shared):
    return shared.master("--durability", "none", name="source"), shared.redis(name="other")


@pytest.fixture
def both(servers):
    for server in servers:
        server.call("FLUSHALL")
    return servers


def fill(server):
    for key, value in VALUES.items():
        server.call("SET", key, value)


def holds(server, values=VALUES):
    return {key: server.call("GET", key) for key in values} == values


@pytest.mark.parametrize("direction", [0, 1])
def test_dump_of_one_is_restored_by_the_other(both, direction):
    source, target = both if direction == 0 else both[::-1]
    fill(source)
    for key in VALUES:
        assert target.call("RESTORE", key, 0, source.call("DUMP", key)) == b"OK"
    assert holds(target)


def test_what_is_not_compressed_is_serialised_byte_for_byte_as_redis_does(both):
    ours, theirs = both
    for value in ["0", "-1", "127", "128", "-129", "32768", "-32769", "2147483648", "007", "", "abc", "a" * 20, bytes(range(200))]:
        for server in both:
            server.call("SET", "k", value)
        assert ours.call("DUMP", "k") == theirs.call("DUMP", "k"), value


@pytest.mark.parametrize("direction", [0, 1])
def test_migrate_moves_keys_with_their_expiry(both, direction):
    source, target = both if direction == 0 else both[::-1]
    fill(source)
    source.call("PEXPIRE", "text", 600_000)
    assert source.call("MIGRATE", "127.0.0.1", target.port, "text", 0, 5000) == b"OK"
    assert source.call("EXISTS", "text") == 0
    assert 0 < target.call("PTTL", "text") <= 600_000
    others = [key for key in VALUES if key != b"text"]
    assert source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *others, "missing") == b"OK"
    assert source.call("DBSIZE") == 0
    assert holds(target)
    assert source.call("MIGRATE", "127.0.0.1", target.port, "text", 0, 5000) == b"NOKEY"


def test_migrate_with_copy_replace_and_another_database(both):
    ours, theirs = both
    ours.call("SET", "k", "1")
    migrate = ["MIGRATE", "127.0.0.1", theirs.port, "k", 3, 5000]
    assert ours.call(*migrate, "COPY") == b"OK"
    assert ours.call("GET", "k") == b"1"
    with Wire(theirs.port) as wire:
        wire.ask("SELECT", 3)
        assert wire.ask("GET", "k") == b"1"
        ours.call("SET", "k", "2")
        with pytest.raises(redis.ResponseError, match="Target instance replied with error: BUSYKEY Target key name already exists."):
            ours.call(*migrate)
        assert ours.call("GET", "k") == b"2"
        assert ours.call(*migrate, "REPLACE") == b"OK"
        assert ours.call("EXISTS", "k") == 0
        assert wire.ask("GET", "k") == b"2"


ERRORS = """
    MIGRATE 127.0.0.1 {closed} k 0 300
    MIGRATE 127.0.0.1 {closed} none 0 300
    MIGRATE 127.0.0.1 {closed} k x 300
    MIGRATE 127.0.0.1 {closed} k 0 x
    MIGRATE 127.0.0.1 {closed} k 0 300 KEYS b
    MIGRATE 127.0.0.1 {closed} k 0 300 AUTH
    MIGRATE 127.0.0.1 {closed} k 0 300 AUTH2 x
    MIGRATE 127.0.0.1 {closed} k 0 300 BOGUS
    MIGRATE 127.0.0.1 {open} k 99 300
    MIGRATE 127.0.0.1 {locked} k 0 300
    MIGRATE 127.0.0.1 {locked} k 0 300 AUTH wrong
    MIGRATE 127.0.0.1 {locked} k 0 300 COPY AUTH sesame
    MIGRATE 127.0.0.1 {locked} k 0 300 COPY REPLACE AUTH2 default sesame
    MIGRATE 127.0.0.1 {locked} k 0 300 AUTH2 nobody sesame
    MIGRATE 127.0.0.1
    EXISTS k
    COMMAND GETKEYS MIGRATE 127.0.0.1 1 k 0 300
    COMMAND GETKEYS MIGRATE 127.0.0.1 1 "" 0 300 COPY KEYS a b c
    COMMAND GETKEYS MIGRATE 127.0.0.1 1 x 0 300 COPY KEYS a b c
    COMMAND GETKEYSANDFLAGS RESTORE a 0 x
"""


def test_errors_are_those_of_redis(shared, both):
    locked = shared.redis("--requirepass", "sesame", name="locked-target")
    third = shared.redis(name="third")
    ports = {"closed": free_port(), "open": third.port, "locked": locked.port}
    for server in both:
        server.call("SET", "k", "v")
    for line in ERRORS.strip().splitlines():
        words = [word if word != '""' else "" for word in line.format(**ports).split()]
        replies = []
        for server in both:
            locked.call("FLUSHALL")
            with Wire(server.port) as wire:
                replies.append(wire.call(*words))
        assert replies[0] == replies[1], line


def test_a_target_that_does_not_answer_costs_no_key_and_no_other_client(both):
    import socket

    ours, _ = both
    ours.call("SET", "k", "v")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = []

        def migrate():
            with Wire(ours.port) as wire:
                failed.append(wire.call("MIGRATE", "127.0.0.1", silent.getsockname()[1], "k", 0, 1500))

        thread = threading.Thread(target=migrate)
        thread.start()
        peer, _ = silent.accept()
        # The clients' loops go on meanwhile, and so does the key.
        for i in range(100):
            ours.call("SET", "other", i)
        assert ours.call("APPEND", "k", "w") == 2
        assert not failed
        thread.join(30)
        peer.close()
    assert failed == [b"-IOERR error or timeout reading to target instance\r\n"]
    assert ours.call("GET", "k") == b"vw"


def test_a_key_that_changes_while_it_is_on_its_way_stays(both):
    import socket

    ours, _ = both
    ours.call("MSET", "changes", "1", "rests", "1", "goes", "1")
    with socket.create_server(("127.0.0.1", 0)) as target, Wire(ours.port) as wire:
        wire.send(b"MIGRATE 127.0.0.1 %d \"\" 0 20000 KEYS changes rests goes\r\n" % target.getsockname()[1])
        peer, _ = target.accept()
        peer.recv(1 << 16)
        peer.sendall(b"+OK\r\n")
        got = b""
        while got.count(b"RESTORE") < 3:
            got += peer.recv(1 << 16)
        ours.call("SET", "changes", "2")
        ours.call("DEL", "goes")
        peer.sendall(b"+OK\r\n" * 3)
        reply = wire.reply()
        peer.close()
    assert reply.startswith(b"-TRYAGAIN") and b"1 of the keys changed" in reply
    assert ours.call("MGET", "changes", "rests", "goes") == [b"2", None, None]


def test_what_the_target_refused_stays(both):
    ours, theirs = both
    ours.call("MSET", "a", "1", "b", "2", "c", "3")
    theirs.call("SET", "b", "there already")
    with pytest.raises(redis.ResponseError, match="BUSYKEY"):
        ours.call("MIGRATE", "127.0.0.1", theirs.port, "", 0, 5000, "KEYS", "a", "b", "c")
    assert ours.call("MGET", "a", "b", "c") == [None, b"2", None]
    assert theirs.call("MGET", "a", "b", "c") == [b"1", b"there already", b"3"]


def test_a_slave_refuses_and_a_slave_sees_the_deletion(cluster):
    from harness import connected, in_sync

    master = cluster.master()
    slave = cluster.slave(master)
    target = cluster.redis()
    connected(master, 1)
    master.call("SET", "k", "v")
    in_sync(master, slave)
    with pytest.raises(redis.ResponseError, match="READONLY"):
        slave.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 1000)
    assert master.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 5000) == b"OK"
    in_sync(master, slave)
    wait_until(lambda: slave.call("EXISTS", "k") == 0)
    assert target.call("GET", "k") == b"v"
