"""The two servers under comparison: started, watched through /proc, stopped."""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")

# How each wish for durability is said to either server: the same promise on both sides.
REDIS_DURABILITY = {
    "none": ["--appendonly", "no", "--save", ""],
    "interval": ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--auto-aof-rewrite-percentage", "0"],
    "fsync": ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0"],
}


def free_port():
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Server:
    """One process. `kind` is "paceline" or "redis"; the rest of the program treats both alike."""

    running = []

    def __init__(self, kind, directory, durability="none", master=None, loops=1, extra=()):
        self.kind, self.durability, self.master, self.loops, self.extra = kind, durability, master, loops, list(extra)
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=600)
        self.child = None

    def command(self):
        if self.kind == "redis":
            command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.directory]
            command += [*REDIS_DURABILITY[self.durability], "--repl-diskless-sync-delay", "0"]
            if self.master:
                command += ["--replicaof", "127.0.0.1", self.master.port]
        else:
            binary = os.environ.get("PACELINE_BIN", str(ROOT / ".build/release/paceline"))
            role = ["slave", "--master", f"127.0.0.1:{self.master.port}"] if self.master else ["master"]
            command = [binary, *role, "--port", self.port, "--data", self.directory / "data", "--durability", self.durability]
            command += ["--loops", self.loops]
        return [str(part) for part in [*command, *self.extra]]

    def start(self):
        """Starts the process; gives the seconds until it answered PING with its data loaded."""
        started = time.monotonic()
        with open(self.directory / "log.txt", "ab") as log:
            self.child = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        Server.running.append(self)
        while True:
            if self.child.poll() is not None:
                raise SystemExit(f"{self.kind} ended:\n{(self.directory / 'log.txt').read_text(errors='replace')[-3000:]}")
            try:
                if self.client.ping():
                    return time.monotonic() - started
            except redis.exceptions.RedisError:  # not listening yet, or -LOADING
                time.sleep(0.002)

    def stop(self, how=signal.SIGTERM):
        if self in Server.running:
            Server.running.remove(self)
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(120)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.client.close()

    @classmethod
    def stop_all(cls):
        for server in list(cls.running):
            server.stop(signal.SIGKILL)

    # What /proc says.

    def cpu_seconds(self):
        return cpu_seconds(self.child.pid)

    def memory(self):
        """Anonymous and file-mapped bytes of the process and its children (Redis forks), shared pages counted once."""
        total = {"anonymous": 0, "mapped": 0}
        for pid in [self.child.pid, *children(self.child.pid)]:
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            sizes = {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
            anonymous = sizes.get("Pss_Anon", sizes.get("Anonymous", 0))
            total["anonymous"] += anonymous
            total["mapped"] += sizes.get("Pss_File", sizes["Rss"] - sizes.get("Anonymous", 0))
        return total

    def in_sync(self, keys):
        info = self.client.info("replication")
        return info.get("master_link_status") == "up" and not info.get("master_sync_in_progress") and self.client.dbsize() >= keys


class LightLoad:
    """One client, about a thousand GET and SET a second; remembers how long each answer took."""

    def __init__(self, server, keys, value_bytes=100):
        self.client = redis.Redis(port=server.port, socket_timeout=120)
        self.keys, self.value, self.times, self.stop = keys, "x" * value_bytes, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        step = 0
        while not self.stop.is_set():
            step += 7919
            key = f"key:{step % self.keys:012d}"
            started = time.perf_counter()
            if step % 5 == 0:
                self.client.set(key, self.value)
            else:
                self.client.get(key)
            took = time.perf_counter() - started
            self.times.append(took)
            time.sleep(max(0, 0.001 - took))

    def end(self):
        """p99 and the worst, in milliseconds."""
        self.stop.set()
        self.thread.join()
        self.client.close()
        ordered = sorted(self.times)
        return ordered[int(len(ordered) * 0.99)] * 1000, ordered[-1] * 1000


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def fill(server, keys, value_bytes):
    """Writes key:000000000000 ... as redis-benchmark names them, with values that do not compress."""
    noise = random.Random(1).randbytes(1 << 20)
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        for start in range(0, keys, 1000):
            part = range(start, min(keys, start + 1000))
            data = bytearray()
            for i in part:
                at = i * 131 % (len(noise) - value_bytes)
                data += b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n" % (i, value_bytes)
                data += noise[at : at + value_bytes] + b"\r\n"
            link.sendall(data)
            wanted = 5 * len(part)
            while wanted:
                got = link.recv(1 << 16)
                if not got or b"-" in got:
                    raise SystemExit(f"{server.kind} does not take the data: {got[:200]!r}")
                wanted -= len(got)
