"""Writers that know exactly what was acknowledged, and the check that nothing of it is missing."""

import threading

from harness import NOT_YET, wait_until
from wire import Closed, encode


class Counters:
    """Threads that count keys upwards on a server that may die at any time.

    Each thread owns its keys and writes 1, 2, 3, ... to them, several in one pipeline. `acknowledged[key]` is the last
    number that the server said is written, `sent[key]` the last that it may have written.
    """

    def __init__(self, server, threads=4, keys=8, value_bytes=0, prefix="count"):
        self.server, self.value_bytes = server, value_bytes
        self.sent, self.acknowledged = {}, {}
        self.errors = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=([f"{prefix}:{t}:{k}" for k in range(keys)],), daemon=True)
            for t in range(threads)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def total(self):
        return sum(self.acknowledged.values())

    def wait_for(self, more, ceiling=90):
        """Waits until so many more writes are acknowledged."""
        goal = self.total + more
        wait_until(lambda: self.total >= goal, ceiling, what=f"{more} more acknowledged writes (now {self.total})")

    def _run(self, keys):
        pad = b":" + b"x" * self.value_bytes if self.value_bytes else b""
        while not self._stop.is_set():
            try:
                with self.server.wire(timeout=5) as wire:
                    while not self._stop.is_set():
                        batch = []
                        for key in keys:
                            number = self.sent[key] = self.sent.get(key, 0) + 1
                            batch.append((key, number, encode("SET", key, b"%d" % number + pad)))
                        wire.send(b"".join(data for _, _, data in batch))
                        for key, number, _ in batch:
                            reply = wire.reply()
                            if reply == b"+OK\r\n":
                                self.acknowledged[key] = number
                            else:
                                self.errors.append(reply)
            except (OSError, Closed, ValueError):
                self._stop.wait(0.01)  # the server is down: try again until it is back

    def check(self, server, acknowledged=None):
        """Every counter on the server is at least what was acknowledged before, and at most what was sent."""
        keys = sorted(self.sent)
        acknowledged = dict(self.acknowledged) if acknowledged is None else acknowledged
        with server.wire() as wire:
            values = dict(zip(keys, wire.ask("MGET", *keys)))
        numbers = {key: int((value or b"0").split(b":")[0]) for key, value in values.items()}
        lost = {k: (n, acknowledged.get(k, 0)) for k, n in numbers.items() if n < acknowledged.get(k, 0)}
        assert not lost, f"acknowledged writes are gone on {server.name} (has, acknowledged): {lost}"
        invented = {k: (n, self.sent[k]) for k, n in numbers.items() if n > self.sent[k]}
        assert not invented, f"values that nobody wrote on {server.name}: {invented}"


class Transactions:
    """Threads that move amounts between accounts in MULTI: the sum never changes, unless a transaction is torn."""

    ACCOUNTS, START = 8, 1000

    def __init__(self, server, threads=2):
        self.server = server
        self.done = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(t,), daemon=True) for t in range(threads)]

    def open_accounts(self):
        with self.server.wire() as wire:
            wire.ask("MSET", *(part for i in range(self.ACCOUNTS) for part in (f"account:{i}", self.START)))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, seed):
        step = seed * 7
        while not self._stop.is_set():
            try:
                with self.server.wire(timeout=5) as wire:
                    while not self._stop.is_set():
                        step += 1
                        source, sink, amount = step % self.ACCOUNTS, (step * 3 + 1) % self.ACCOUNTS, step % 50
                        wire.send(
                            encode("MULTI")
                            + encode("DECRBY", f"account:{source}", amount)
                            + encode("SET", f"note:{seed}", "x" * (step % 900))
                            + encode("INCRBY", f"account:{sink}", amount)
                            + encode("EXEC")
                        )
                        for _ in range(5):
                            wire.reply()
                        self.done += 1
            except (OSError, Closed, ValueError):
                self._stop.wait(0.01)

    @classmethod
    def total(cls, server):
        with server.wire() as wire:
            values = wire.ask("MGET", *(f"account:{i}" for i in range(cls.ACCOUNTS)))
        if values == [None] * cls.ACCOUNTS:
            return None
        return sum(int(value) for value in values)

    @classmethod
    def check(cls, server):
        total = cls.total(server)
        assert total == cls.ACCOUNTS * cls.START, f"a torn transaction on {server.name}: the accounts hold {total}"


def fill(server, count, value_bytes=100, prefix="key", seed=1, database=0):
    """Writes `count` keys with values that do not compress; gives the last LSN."""
    import random

    rng = random.Random(seed)
    with server.wire(timeout=60) as wire:
        wire.ask("SELECT", database)
        for start in range(0, count, 500):
            part = range(start, min(count, start + 500))
            wire.send(b"".join(encode("SET", f"{prefix}:{i}", rng.randbytes(value_bytes)) for i in part))
            for _ in part:
                assert wire.reply() == b"+OK\r\n"
    return server.last_lsn() if hasattr(server, "last_lsn") else None


def settle(condition):
    """True or False, without an exception, for servers that may be away."""
    try:
        return condition()
    except NOT_YET:
        return False
