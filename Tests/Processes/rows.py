"""Rows of one master and its slaves, ready when every slave follows (and votes), and writers that follow the master."""

import re
import threading
import time

from harness import connected, in_sync, wait_until
from wire import Closed, ErrorReply


def row(cluster, *flags, slaves=2, proxied=False):
    """[master, slave, ...] with the same flags. `proxied`: slaves reach the master through `cluster.proxies[0]`."""
    master = cluster.master(*flags, start=not proxied)
    target = master
    if proxied:
        proxy = cluster.proxy(master)
        target = f"127.0.0.1:{proxy.port}"
        master.flags += ["--announce", target]
        master.start()
    nodes = [master] + [cluster.slave(target, *flags, name=f"slave{i}") for i in range(1, slaves + 1)]
    connected(master, slaves)
    in_sync(master, *nodes[1:])
    if "quorum" in flags:
        ids = " ".join(r"\w{40}" for _ in nodes)
        master.said(rf'the voters changed voters="{ids}"')
        # The slaves know of it, too, before anything is cut.
        in_sync(master, *nodes[1:])
    return nodes


def fresh(node, *command):
    """One command on a connection of its own; errors as values."""
    with node.wire(timeout=60) as wire:
        return wire.ask(*command)


def role(node):
    return node.call("ROLE")[0].decode()


def master_of(node):
    """The port of the master that a slave names."""
    return node.call("ROLE")[2]


def becomes(node, wanted, ceiling=None):
    wait_until(lambda: role(node) == wanted, ceiling, what=f"{node.name} is {wanted}")


def follow(master, *slaves, ceiling=60):
    """Waits until the slaves name that master and have what it has."""
    port = int(master.flags[master.flags.index("--announce") + 1].split(":")[1]) if "--announce" in master.flags else master.port
    for slave in slaves:
        wait_until(
            lambda: role(slave) == "slave" and master_of(slave) == port, ceiling, what=f"{slave.name} follows {port}"
        )
    in_sync(master, *slaves, ceiling=ceiling)


def promoted(node, ceiling=60):
    """PROMOTE again and again until it is done: the other nodes must have missed the master first."""

    def done():
        if role(node) == "master":
            return True
        return node.wire(timeout=30).ask("PROMOTE") == b"OK"

    wait_until(done, ceiling, what=f"{node.name} is promoted")


def full_syncs(*nodes):
    return sum(int(node.info()["sync_full"]) for node in nodes)


class Followers:
    """Threads that count keys upwards on whichever node is the master: READONLY names it."""

    def __init__(self, nodes, threads=4):
        self.nodes = {node.port: node for node in nodes}
        self.at = nodes[0].port
        self.sent, self.acknowledged, self.times, self.errors = {}, {}, [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(t,), daemon=True) for t in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number):
        key = f"follower:{number}"
        while not self._stop.is_set():
            port = self.at
            try:
                with self.nodes[port].wire(timeout=20) as wire:
                    while not self._stop.is_set():
                        value = self.sent[key] = self.sent.get(key, 0) + 1
                        reply = wire.ask("SET", key, value)
                        if reply == b"OK":
                            self.acknowledged[key] = value
                            self.times.append((time.monotonic(), port))
                            continue
                        text = str(reply)
                        named = re.search(r"READONLY.*:(\d+)$", text)
                        if named:
                            self.at = int(named.group(1))
                            break
                        self.errors.append(text)
            except (OSError, Closed) as error:
                self.errors.append(repr(error))
                self._stop.wait(0.01)

    def wait_for(self, more, on=None, ceiling=60):
        """Waits for so many more acknowledged writes, of one node if it is named."""
        begin = len(self.times)
        wait_until(
            lambda: sum(on is None or port == on.port for _, port in self.times[begin:]) >= more,
            ceiling,
            what=f"{more} more acknowledged writes; last errors {self.errors[-3:]}",
        )

    def longest_gap(self):
        times = sorted(t for t, _ in self.times)
        return max(b - a for a, b in zip(times, times[1:]))

    def check(self, *nodes):
        for node in nodes:
            for key, value in self.acknowledged.items():
                found = int(node.call("GET", key) or 0)
                assert value <= found <= self.sent[key], f"{node.name}: {key} is {found}, {value} was acknowledged"


def is_error(reply, code):
    return isinstance(reply, ErrorReply) and str(reply).startswith(code)
