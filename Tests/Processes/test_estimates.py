"""What a sync is said to cost is what it costs, also when no sync has told yet how well the data compresses."""

import random

import pytest

from harness import in_sync, same_state, wait_until
from wire import encode

pytestmark = pytest.mark.timeout(900)

SMALL = ("--segment-bytes", 1 << 20, "--ops-buffer", 0)


def write(server, count, compressible, prefix="key"):
    """Values of 600 bytes: texts of few words, or noise."""
    rng = random.Random(count)
    words = [b"apple", b"river", b"stone", b"cloud", b"paper", b"green", b"seven", b"house"]

    def value():
        if not compressible:
            return rng.randbytes(600)
        return b" ".join(rng.choice(words) for _ in range(100))

    with server.wire(timeout=60) as wire:
        for start in range(0, count, 500):
            part = range(start, min(count, start + 500))
            wire.send(b"".join(encode("SET", f"{prefix}:{i}", value()) for i in part))
            for _ in part:
                assert wire.reply() == b"+OK\r\n"


def quiet(master):
    """What is written while a sync goes on is part of its estimate: the burst before must be over."""

    def settled():
        # In its first second a server has measured nothing, which is no rate either.
        info = master.info()
        return int(info["uptime_in_seconds"]) >= 2 and info["expected_write_rate"] == "0"

    wait_until(settled)


def check(slave, plan):
    info = slave.info()
    assert info["last_sync_plan"] == plan, info["last_sync_reason"]
    estimate, wire = int(info["last_sync_estimated_bytes"]), int(info["last_sync_bytes"])
    print(info["last_sync_reason"])
    print(f"{plan}: estimated {estimate}, on the wire {wire}")
    assert wire * 0.8 <= estimate <= wire * 1.2, (plan, estimate, wire)


@pytest.mark.parametrize("compressible", [True, False], ids=["texts", "noise"])
@pytest.mark.parametrize("plan", ["full", "partial", "delta"])
def test_the_first_sync_of_all(cluster, plan, compressible):
    master = cluster.master(*SMALL)
    write(master, 8000, compressible)
    wait_until(lambda: len(master.files("idx")) >= 4)
    quiet(master)
    mode = ("--sync-mode", plan)
    slave = cluster.slave(master, *SMALL, *mode)
    in_sync(master, slave)
    check(slave, plan)
    same_state(master, slave)


@pytest.mark.parametrize("compressible", [True, False], ids=["texts", "noise"])
def test_a_forced_delta_and_then_a_full_sync(cluster, compressible):
    """The partial sync before tells a ratio of the log, but none of deltas and files. With a rate limit everything is
    compressed alike; without one, compression is given up when the link turns out to be fast."""
    master = cluster.master(*SMALL, "--sync-rate", 1 << 30)
    write(master, 200, compressible)
    slave = cluster.slave(master, *SMALL, "--sync-mode", "partial")
    in_sync(master, slave)
    for plan in ("delta", "full"):
        slave.stop()
        for _ in range(2):
            write(master, 6000, compressible)
        quiet(master)
        slave.flags[slave.flags.index("--sync-mode") + 1] = plan
        slave.start()
        in_sync(master, slave)
        check(slave, plan)
    same_state(master, slave)
