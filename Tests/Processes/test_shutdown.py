"""How a node ends: SIGTERM and SHUTDOWN wait until the connected slaves have what was acknowledged; everything else as
Redis does it."""

import re
import signal
import threading
import time

import pytest
import redis

from harness import connected, in_sync, wait_until, waits
from wire import Closed, Wire


def row(cluster, *flags):
    master = cluster.master(*flags)
    slave = cluster.slave(master)
    connected(master, 1)
    in_sync(master, slave)
    return master, slave


class Writer(threading.Thread):
    """Sets keys, one after the other, and counts those that were acknowledged."""

    def __init__(self, server, name):
        super().__init__(daemon=True)
        self.client, self.name, self.acknowledged, self.error = server.client(), name, 0, None
        self.start()

    def run(self):
        try:
            while True:
                self.client.set(f"{self.name}:{self.acknowledged}", "x" * 100)
                self.acknowledged += 1
        except redis.RedisError as error:
            self.error = error


def missing(slave, writers):
    pipe = slave.client().pipeline(transaction=False)
    for writer in writers:
        for number in range(writer.acknowledged):
            pipe.exists(f"{writer.name}:{number}")
    return pipe.execute().count(0)


def applied_all(slave):
    """Nothing comes any more: what the slave has is applied."""
    info = slave.info()
    return info["master_link_status"] == "down" and info["applied_lsn"] == info["durable_lsn"]


@pytest.mark.parametrize("how", ["SIGTERM", "SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE"])
def test_what_was_acknowledged_is_on_the_slave_when_the_master_has_ended_under_load(cluster, how):
    master, slave = row(cluster, "--loops", "2")
    writers = [Writer(master, f"w{i}") for i in range(4)]
    wait_until(lambda: all(w.acknowledged > 100 for w in writers))
    if how == "SIGTERM":
        assert master.stop() == 0
    else:
        with pytest.raises((redis.ConnectionError, Closed, OSError)):
            master.call(*how.split())
        assert master.wait_exit() == 0
    for writer in writers:
        writer.join(30)
        # Writes wait, none is refused.
        assert isinstance(writer.error, redis.ConnectionError), writer.error
    wait_until(lambda: applied_all(slave))
    assert missing(slave, writers) == 0


def test_a_slave_behind_a_slow_link_gets_the_rest(cluster):
    master = cluster.master()
    proxy = cluster.proxy(master)
    slave = cluster.slave(proxy)
    connected(master, 1)
    in_sync(master, slave)
    slave.pause()
    pipe = master.c.pipeline(transaction=False)
    for number in range(5000):
        pipe.set(f"k{number}", "x" * 1000)
    pipe.execute()
    master.child.send_signal(signal.SIGTERM)
    master.said("the server ends when its slaves have the rest")
    # A second one changes nothing.
    master.child.send_signal(signal.SIGTERM)
    assert master.call("PING") == b"PONG"
    assert int(master.info("server")["shutdown_in_milliseconds"]) > 0
    slave.resume()
    assert master.wait_exit() == 0
    wait_until(lambda: applied_all(slave))
    assert slave.call("DBSIZE") == 5000


def test_the_wait_is_bounded_and_says_who_lacks_how_much(cluster, stopped):
    master, slave = row(cluster, "--shutdown-timeout", "1")
    stopped(slave)
    for number in range(7):
        master.c.set(f"k{number}", "x")
    began = time.monotonic()
    assert master.stop() == 0
    assert time.monotonic() - began >= 0.9
    log = master.log_since_start()
    line = next(line for line in log.splitlines() if "did not catch up" in line)
    # And perhaps a change of the voters.
    assert int(re.search(r"replication.lag.records=(\d+)", line).group(1)) in (7, 8, 9) and slave.address in line


@pytest.mark.parametrize("how", ["NOW", "timeout 0"])
def test_nothing_is_waited_for(cluster, stopped, how):
    master, slave = row(cluster, "--shutdown-timeout", "60")
    stopped(slave)
    master.c.set("k", "x")
    if how == "NOW":
        with pytest.raises((redis.ConnectionError, Closed, OSError)):
            master.call("SHUTDOWN", "NOW")
        assert master.wait_exit(30) == 0
    else:
        assert master.call("CONFIG", "SET", "shutdown-timeout", "0") == b"OK"
        assert master.stop(30) == 0


def test_abort_lets_the_writes_go_on(cluster, stopped):
    master, slave = row(cluster, "--shutdown-timeout", "60", "--loops", "2")
    assert master.call("CONFIG", "GET", "shutdown-timeout") == [b"shutdown-timeout", b"60"]
    with pytest.raises(redis.ResponseError, match="^ERR No shutdown in progress.$"):
        master.call("SHUTDOWN", "ABORT")
    for wrong in (["SHUTDOWN", "ABORT", "NOW"], ["SHUTDOWN", "SAVE", "NOSAVE"], ["SHUTDOWN", "LATER"]):
        with pytest.raises(redis.ResponseError, match="syntax error"):
            master.call(*wrong)
    stopped(slave)
    master.c.set("before", "x")
    with Wire(master.port) as waiting, Wire(master.port) as writer, Wire(master.port) as second:
        waiting.send(b"SHUTDOWN\r\nPING\r\n")
        master.said("the server ends when its slaves have the rest")
        second.send(b"SHUTDOWN\r\n")
        writer.send(b"SET during 1\r\n")
        # Reads go on, and CLIENT UNPAUSE ends only what CLIENT PAUSE began.
        assert master.call("GET", "before") == b"x"
        assert master.call("CLIENT", "UNPAUSE") == b"OK"
        assert master.call("GET", "during") is None
        with Wire(master.port) as other:
            other.send(b"SET during 2\r\n")
            # Those that asked for the end, and the two writers.
            waits(master, 4)
            assert master.call("GET", "during") is None
            assert master.call("SHUTDOWN", "ABORT") == b"OK"
            assert other.reply() == b"+OK\r\n"
        assert writer.reply() == b"+OK\r\n"
        assert waiting.reply() == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert waiting.reply() == b"+PONG\r\n"
        assert second.reply() == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
    assert "shutdown_in_milliseconds" not in master.info("server")
    assert master.call("SET", "after", "x") == b"OK"


def test_sigterm_can_be_aborted_and_a_pause_of_clients_goes_on(cluster, stopped):
    master, slave = row(cluster, "--shutdown-timeout", "60")
    stopped(slave)
    master.c.set("before", "x")
    master.call("CLIENT", "PAUSE", "600000", "WRITE")
    master.child.send_signal(signal.SIGTERM)
    master.said("the server ends when its slaves have the rest")
    assert master.call("SHUTDOWN", "ABORT") == b"OK"
    with Wire(master.port) as writer:
        writer.send(b"SET k 1\r\n")
        waits(master, 1)
        assert master.call("GET", "k") is None
        assert master.call("CLIENT", "UNPAUSE") == b"OK"
        assert writer.reply() == b"+OK\r\n"


def test_a_slave_waits_for_its_own_slaves_although_its_master_goes_on(cluster, stopped):
    master = cluster.master()
    middle = cluster.slave(master, "--shutdown-timeout", "60", name="middle")
    below = cluster.slave(middle, name="below")
    connected(middle, 1)
    in_sync(master, middle, below)
    stopped(below)
    for number in range(50):
        master.c.set(f"k{number}", "x")
    in_sync(master, middle)
    middle.child.send_signal(signal.SIGTERM)
    middle.said("the server ends when its slaves have the rest")
    writer = Writer(master, "w")
    below.resume()
    assert middle.wait_exit() == 0
    assert below.call("EXISTS", *[f"k{n}" for n in range(50)]) == 50
    wait_until(lambda: writer.acknowledged > 10)


def test_replies_that_wait_for_a_slave_leave_before_the_end(cluster, stopped):
    master, slave = row(cluster, "--commit", "fullsync:1", "--sync-timeout", "60s", "--shutdown-timeout", "60")
    stopped(slave)
    with Wire(master.port) as writer:
        writer.send(b"SET k 1\r\n")
        wait_until(lambda: int(master.info()["appended_lsn"]) > int(master.info()["committed_lsn"]))
        master.child.send_signal(signal.SIGTERM)
        master.said("the server ends when its slaves have the rest")
        slave.resume()
        assert writer.reply() == b"+OK\r\n"
    assert master.wait_exit() == 0
