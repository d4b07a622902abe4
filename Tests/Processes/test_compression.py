"""Values that are stored compressed, in running servers: kill, restart, slaves, and the setting."""

import pytest
import redis

from harness import STAND_IN, in_sync, same_state
from logfile import records

pytestmark = pytest.mark.skipif(STAND_IN, reason="Redis has no such setting")

LZ4 = 0x10
COMPRESSED = 0x30


def value(i):
    return b"".join(b"line %d of value %d, much like the others; " % (line, i) for line in range(10 + i % 30))


def fill(server, count, start=0):
    pipeline = server.c.pipeline(transaction=False)
    for i in range(start, start + count):
        pipeline.set(f"key:{i}", value(i))
    pipeline.execute()


def expect(server, keys):
    keys = list(keys)
    assert server.c.mget([f"key:{i}" for i in keys]) == [value(i) for i in keys]


def stored(server):
    return [r for path in server.files("wal") for r in records(path) if r.kind == 1]


def test_what_was_acknowledged_survives_kill_9_compressed(cluster):
    master = cluster.master("--compression", "lz4", "--segment-bytes", "64kb", "--ops-buffer", "0")
    fill(master, 2000)
    assert master.call("DEBUG", "OBJECT", "key:1").endswith(b"compression:lz4")
    digest = master.digest()
    master.kill()
    assert {r.flags & COMPRESSED for r in stored(master)} == {LZ4}
    assert sum(r.value_bytes for r in stored(master)) < sum(len(value(i)) for i in range(2000)) / 2
    master.start()
    # The term's record is new, the data is not.
    assert master.digest()[1:] == digest[1:]
    expect(master, range(2000))
    assert master.call("STRLEN", "key:29") == len(value(29))
    assert master.call("MEMORY", "USAGE", "key:29") < len(value(29)) / 2


@pytest.mark.parametrize("full", [False, True])
def test_a_slave_serves_them_whatever_it_is_set_to(cluster, full):
    master = cluster.master("--compression", "zstd", "--segment-bytes", "64kb")
    slave = None if full else cluster.slave(master)
    fill(master, 1500)
    slave = slave or cluster.slave(master, "--compression", "none")
    in_sync(master, slave)
    same_state(master, slave)
    fill(master, 200, start=1400)
    in_sync(master, slave)
    same_state(master, slave)
    expect(slave, range(1600))


def test_the_setting_changes_while_it_runs_and_only_for_what_is_written(cluster):
    master = cluster.master("--loops", "2")
    slave = cluster.slave(master)

    def kind(key):
        return master.call("DEBUG", "OBJECT", key).rpartition(b"compression:")[2]

    assert master.c.config_get("compression") == {"compression": "none"}
    fill(master, 1)
    assert kind("key:0") == b"none"
    for setting, expected in (("lz4", b"lz4"), ("none", b"none"), ("ZSTD", b"lz4")):
        master.c.config_set("compression", setting)
        assert master.c.config_get("compression") == {"compression": setting.lower()}
        fill(master, 1, start=5)
        assert kind("key:5") == expected
        assert kind("key:0") == b"none"
    with pytest.raises(redis.ResponseError, match="compression"):
        master.c.config_set("compression", "gzip")
    # A slave that becomes a master follows its own.
    slave.c.config_set("compression", "lz4")
    in_sync(master, slave)
    slave.call("REPLICAOF", "NO", "ONE")
    fill(slave, 1, start=9)
    assert slave.call("DEBUG", "OBJECT", "key:9").endswith(b"compression:lz4")
    expect(slave, [0, 5, 9])


def test_inspect_shows_and_checks_them(cluster):
    import subprocess

    from harness import BINARY

    master = cluster.master("--compression", "lz4")
    fill(master, 50)
    master.stop()
    path = master.files("wal")[0]
    shown = subprocess.run([BINARY, "inspect", "--records", str(path)], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert f"lz4, {len(value(7))} bytes expanded" in shown.stdout
