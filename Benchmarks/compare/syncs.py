"""How long the disk takes, and how long one write takes: both by single probes, at the same time."""

import os
import random
import socket
import threading
import time


class SyncProbe:
    """Three files on the measured disk. `measure` writes the same bytes to all at once and syncs each, as three nodes do."""

    FILE_BYTES = 32 << 20

    def __init__(self, directory):
        self.files, self.place = [], 0
        directory.mkdir(parents=True, exist_ok=True)
        for i in range(3):
            file = os.open(directory / f"probe-{i}", os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(file, 0, self.FILE_BYTES)
            self.files.append(file)
        self.gate = threading.Barrier(4)
        self.took = [0.0] * 3
        self.bytes, self.isOver = 0, False
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(3)]
        for thread in self.threads:
            thread.start()

    def run(self, i):
        noise = random.randbytes(1 << 20)
        while True:
            self.gate.wait()
            if self.isOver:
                return
            os.pwrite(self.files[i], noise[: self.bytes], self.place)
            started = time.perf_counter()
            os.fdatasync(self.files[i])
            self.took[i] = time.perf_counter() - started
            self.gate.wait()

    def measure(self, count):
        """The larger of two syncs in seconds: the first file's and the faster of the other two, which is a majority."""
        self.bytes = count
        self.place = (self.place + count) % (self.FILE_BYTES - (1 << 20))
        self.gate.wait()
        self.gate.wait()
        return max(self.took[0], min(self.took[1:]))

    def end(self):
        self.isOver = True
        self.gate.wait()
        for thread in self.threads:
            thread.join()
        for file in self.files:
            os.close(file)


class OneWriter:
    """A connection that asks one thing at a time."""

    def __init__(self, port, value_bytes, keys):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.value, self.keys = b"x" * value_bytes, keys

    def ask(self, request, wanted):
        started = time.perf_counter()
        self.link.sendall(request)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self.link.recv(4096)
        took = time.perf_counter() - started
        if answer != wanted:
            raise SystemExit(f"unexpected answer: {answer!r}")
        return took

    def write(self):
        key = b"key:%012d" % random.randrange(self.keys)
        request = b"*3\r\n$3\r\nSET\r\n$16\r\n%b\r\n$%d\r\n%b\r\n" % (key, len(self.value), self.value)
        return self.ask(request, b"+OK\r\n")

    def ping(self):
        return self.ask(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")

    def end(self):
        self.link.close()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
