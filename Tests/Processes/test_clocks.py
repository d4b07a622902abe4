"""Wall clocks that are set forth and back, of masters and slaves: what has expired, and what is not disturbed by it."""

import threading
import time

import pytest

import wall_clock
from harness import STAND_IN, connected, in_sync, same_state, wait_until
from rows import fresh
from wall_clock import Clock

pytestmark = [pytest.mark.timeout(150), pytest.mark.skipif(STAND_IN, reason="about nodes")]
DAY = 86_400


@pytest.fixture(scope="module", autouse=True)
def library():
    yield
    wall_clock.PRELOAD.remove()


def pair(cluster, *flags):
    """A master and a slave that follow each other, and their clocks."""
    master = cluster.master(*flags, start=False)
    clocks = [Clock(master)]
    master.start()
    slave = cluster.slave(master, *flags, start=False)
    clocks.append(Clock(slave))
    slave.start()
    connected(master, 1)
    in_sync(master, slave)
    return master, slave, *clocks


def reads_while(slave, key, seconds):
    """What the slave answers for so long."""
    answers, deadline = [], time.monotonic() + seconds
    with slave.wire(timeout=60) as wire:
        while time.monotonic() < deadline:
            answers.append(wire.ask("GET", key))
    return answers


def goes_back(master):
    """Waits until the master's clock for expiries has followed its wall clock back: what is set for a time, ends then."""

    def follows():
        now = int(master.call("TIME")[0])
        master.call("SET", "probe", "v", "EXAT", now + 100)
        return abs(master.call("TTL", "probe") - 100) <= 2

    wait_until(follows, what="the master follows its wall clock")


class Writes:
    """Goes on writing in the background."""

    def __init__(self, master):
        self.master, self.stopping = master, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.master.wire(timeout=60) as wire:
            n = 0
            while not self.stopping.is_set():
                n += 1
                wire.ask("SET", f"other:{n % 50}", n, "PX", 5000)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


@pytest.mark.parametrize("step", [-60, -DAY])
def test_a_slave_shows_what_its_master_has_whose_clock_was_set_back(cluster, step):
    master, slave, clock, _ = pair(cluster)
    with Writes(master):
        clock.set(step)
        goes_back(master)
        master.call("SET", "k", "v", "EX", 40)
        in_sync(master, slave)
        answers = reads_while(slave, "k", 2)
    assert answers.count(b"v") == len(answers), f"{answers.count(None)} of {len(answers)} nil"
    assert 30 <= master.call("TTL", "k") <= 40 and 30 <= slave.call("TTL", "k") <= 40


def test_what_has_expired_stays_so_and_is_deleted_when_the_clock_is_set_back(cluster):
    master, slave, clock, _ = pair(cluster)
    for turn in range(3):
        pipe = master.c.pipeline(transaction=False)
        for n in range(2000):
            pipe.set(f"k:{turn}:{n}", "v", px=400)
        pipe.execute()
        wait_until(lambda: master.call("GET", f"k:{turn}:1999") is None)
        clock.set(-3600 * (turn + 1))
        # Never again, not for a moment.
        for _ in range(200):
            assert master.call("GET", f"k:{turn}:1999") is None
        wait_until(lambda: master.call("DBSIZE") == 0, 30, what="the keys are deleted")
        # And what is set after it ends after its time.
        goes_back(master)
        master.call("DEL", "probe")
    in_sync(master, slave)
    assert slave.call("DBSIZE") == 0
    # On both.
    pipe = master.c.pipeline(transaction=False)
    for n in range(2000):
        pipe.set(f"new:{n}", "v", px=3000)
    pipe.execute()
    wait_until(lambda: master.call("DBSIZE") == 0 and slave.call("DBSIZE") == 0, 30, what="the keys are deleted")
    same_state(master, slave)


def test_a_masters_clock_set_forth_ends_what_is_over_by_then(cluster):
    master, slave, clock, _ = pair(cluster)
    master.call("SET", "short", "v", "EX", 1000)
    master.call("SET", "long", "v", "EX", 3 * DAY)
    master.call("SET", "at", "v", "EXAT", int(master.call("TIME")[0]) + 2000)
    in_sync(master, slave)
    clock.set(DAY)
    wait_until(lambda: master.call("GET", "short") is None and master.call("GET", "at") is None, 10)
    wait_until(lambda: master.call("DBSIZE") == 1 and slave.call("DBSIZE") == 1, 30)
    assert master.call("GET", "long") == slave.call("GET", "long") == b"v"
    assert master.call("SET", "k", "v", "EX", 50) == b"OK" and 48 <= master.call("TTL", "k") <= 50
    in_sync(master, slave)
    assert slave.call("GET", "k") == b"v"


@pytest.mark.parametrize("step", [DAY, -DAY, 60, -60])
def test_a_slaves_own_clock_does_not_matter(cluster, step):
    master, slave, _, clock = pair(cluster)
    master.call("SET", "k", "v", "EX", 30)
    master.call("SET", "gone", "v", "PX", 300)
    in_sync(master, slave)
    wait_until(lambda: slave.call("GET", "gone") is None)
    clock.set(step)
    answers = reads_while(slave, "k", 1.5)
    assert answers.count(b"v") == len(answers), f"{answers.count(None)} of {len(answers)} nil"
    assert slave.call("GET", "gone") is None
    assert abs(slave.call("TTL", "k") - master.call("TTL", "k")) <= 1


def test_clocks_that_differ_are_told(cluster):
    master, slave, clock, own = pair(cluster)
    warned = "clocks of this node and its master differ by more than a second"
    assert wait_until(lambda: slave.info("replication").get("clock_warning")) == "0"
    own.set(-5)
    wait_until(lambda: slave.info("replication")["clock_warning"] == "1")
    assert 4000 < int(slave.info("replication")["master_clock_ahead_ms"]) < 6000
    slave.said(warned)
    own.set(0)
    wait_until(lambda: slave.info("replication")["clock_warning"] == "0")
    slave.said("agree again")
    clock.set(3)
    wait_until(lambda: slave.info("replication")["clock_warning"] == "1")


def test_steps_of_a_day_cost_a_quorum_nothing(cluster):
    flags = ("--commit", "quorum")
    master = cluster.master(*flags, start=False)
    clocks = [Clock(master)]
    master.start()
    slaves = []
    for number in (1, 2):
        slave = cluster.slave(master, *flags, start=False)
        clocks.append(Clock(slave))
        slaves.append(slave.start())
    connected(master, 2)
    master.said(r"the voters changed voters=\"\w{40} \w{40} \w{40}\"")
    wait_until(lambda: master.info("replication")["read_lease"] == "held")
    master.call("SET", "k", "v")

    def lease(*steps):
        """How often the lease was looked at, and how often it had ended."""
        looks = []
        with master.wire(timeout=60) as wire:
            for step in steps:
                clocks[0].set(step)
                clocks[1].set(-step)
                deadline = time.monotonic() + 0.7
                while time.monotonic() < deadline:
                    assert wire.ask("GET", "k") == b"v"
                    assert wire.ask("SET", "n", "v") == b"OK"
                    looks.append(master.info("replication")["read_lease"])
        return looks

    looks = lease(DAY, 0, -DAY, 0, DAY, -DAY, 0)
    if "ended" in looks and "ended" in lease(*[0] * 7):
        pytest.skip("this machine is too slow for a lease, whatever the clocks do")
    assert set(looks) == {"held"}


def test_ages_do_not_go_wild(cluster):
    master, slave, clock, _ = pair(cluster)
    for step in (DAY, -DAY):
        clock.set(step)
        fresh(master, "SET", "k", "v")
        for line in master.call("CLIENT", "LIST").decode().splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            assert 0 <= int(fields["age"]) < 1000 and 0 <= int(fields["idle"]) < 1000
        info = master.info()
        assert 0 <= int(info["uptime_in_seconds"]) < 1000
        wait_until(lambda: all(int(lag) < 10_000 for lag in lags(master)))
        assert 0 <= int(slave.info("replication")["master_last_io_seconds_ago"]) < 60


def lags(master):
    rows = [value for name, value in master.info("replication").items() if name.startswith("slave") and "lag_ms=" in value]
    return [dict(part.split("=", 1) for part in row.split(","))["lag_ms"] for row in rows]
