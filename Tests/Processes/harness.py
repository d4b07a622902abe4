"""Starts, watches and ends real servers for the tests.

`Server` is one Paceline process, `RedisServer` one redis-server to compare with, `Cluster` the set that a test
owns: whatever happens, it ends exactly the processes that it started. Nothing here sleeps for luck: every wait is
`wait_until(condition)` with a ceiling.

PACELINE_BIN names the binary (default: .build/release/paceline). PACELINE_STAND_IN=redis starts redis-server in
Paceline's place: the tests that only say "as Redis does" must pass then too, which checks the tests themselves.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import redis

from ports import free_port
from wire import ErrorReply, Wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("PACELINE_BIN", str(ROOT / ".build/release/paceline"))
STAND_IN = os.environ.get("PACELINE_STAND_IN") == "redis"
CEILING = float(os.environ.get("PACELINE_TEST_CEILING", "90"))

NOT_YET = (OSError, redis.exceptions.RedisError)  # a server that is starting, stopping or gone


def wait_until(condition, ceiling=None, what=None):
    """Calls `condition` until it gives something true, and returns that. Fails, with the reason, at the ceiling."""
    ceiling = CEILING if ceiling is None else ceiling
    deadline, pause, last = time.monotonic() + ceiling, 0.002, None
    while True:
        try:
            last = condition()
            if last:
                return last
        except NOT_YET as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {ceiling:g} s: {what or condition}; last seen: {last!r}")
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)


def lives(server, seconds):
    """Until the server itself has seen so much time go by: where nothing is to happen, that is what can be observed."""

    def uptime():
        return int(server.info("server")["uptime_in_seconds"])

    end = uptime() + seconds + 1
    wait_until(lambda: uptime() >= end, what=f"{seconds} s of the server's own time")


def waits(server, clients):
    """Until so many clients wait: what they sent has come, and is not executed."""

    def waiting():
        lines = server.call("CLIENT", "LIST").decode().splitlines()
        return sum("b" in re.search(r"flags=(\S+)", line)[1] for line in lines)

    wait_until(lambda: waiting() >= clients, what=f"{clients} clients wait")


class Process:
    """One child process with its log in a file. `start()` returns when it answers PING."""

    def __init__(self, name, directory, port):
        self.name, self.port = name, port
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path = self.directory.parent / f"{self.directory.name}.log"
        self.password = None
        self.child = None
        self._client = None
        self._wire = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {k: v for k, v in os.environ.items() if not k.startswith("PACELINE_")}

    def spawn(self):
        """Starts the process without waiting for it."""
        assert not self.running, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            log.write(f"--- {' '.join(map(str, self.command()))}\n".encode())
            log.flush()
            self.child = subprocess.Popen(
                [str(part) for part in self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
            )
        return self

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def answers():
            if self.child.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{self.log(40)}")
            with Wire(self.port, timeout=30) as wire:
                return wire.call("PING")[:5] in (b"+PONG", b"-NOAU")

        wait_until(answers, what=f"{self.name} answers PING on port {self.port}")

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.child.pid

    def kill(self):
        """kill -9, and wait until the process is gone."""
        if self.running:
            self.child.kill()
        if self.child:
            self.child.wait()
        self._forget()

    def stop(self, ceiling=CEILING):
        """SIGTERM; gives the exit code."""
        self.child.send_signal(signal.SIGTERM)
        return self.wait_exit(ceiling)

    def wait_exit(self, ceiling=CEILING):
        try:
            self.child.wait(ceiling)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {ceiling} s:\n{self.log(40)}") from None
        self._forget()
        return self.child.returncode

    def pause(self):
        """SIGSTOP; returns when it stands still, which takes a moment on a busy machine."""
        self.child.send_signal(signal.SIGSTOP)
        # Its threads go on until each has been scheduled once more.
        wait_until(lambda: all(state == "T" for state in self.thread_states()), what=f"{self.name} stands still")

    def thread_states(self):
        states = []
        for stat in pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/stat"):
            try:
                states.append(stat.read_text().rsplit(")", 1)[1].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return states

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def restart(self):
        self.stop()
        return self.start()

    def end(self):
        if self.running:
            self.child.send_signal(signal.SIGCONT)
            self.kill()
        self._forget()

    def _forget(self):
        if self._client:
            self._client.close()
            self._client = None
        if self._wire:
            self._wire.close()
            self._wire = None

    def client(self, **options):
        """A redis-py client of its own. It does not retry: a test sees every error."""
        options.setdefault("password", self.password)
        options.setdefault("socket_timeout", CEILING)
        return redis.Redis(port=self.port, retry=None, protocol=options.pop("protocol", 2), **options)

    @property
    def c(self):
        """The shared client for simple calls. Replies are bytes."""
        if self._client is None:
            self._client = self.client()
        return self._client

    def wire(self, **options):
        return Wire(self.port, **options)

    def call(self, *arguments):
        """One command; the plain reply, errors as redis.ResponseError. Not for threads."""
        try:
            if self._wire is None:
                self._wire = Wire(self.port, timeout=CEILING)
                if self.password:
                    self._wire.ask("AUTH", self.password)
            value = self._wire.ask(*arguments)
        except OSError:
            self._forget()
            raise
        if isinstance(value, ErrorReply):
            raise redis.ResponseError(str(value))
        return value

    def info(self, section=None):
        """INFO as a dict of texts."""
        text = self.call("INFO", section) if section else self.call("INFO")
        lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line and line[0] != "#")
        return {name: value for name, _, value in lines}

    def log(self, lines=None):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) if lines else text

    def log_since_start(self):
        return self.log().rpartition("\n--- " if "\n--- " in self.log() else "--- ")[2].partition("\n")[2]

    def said(self, pattern):
        """Waits until the log since the last start matches; gives the match."""
        return wait_until(
            lambda: re.search(pattern, self.log_since_start(), re.IGNORECASE), what=f"{self.name} says {pattern!r}"
        )

    def memory(self):
        """Bytes held by the process itself: anonymous memory, without the files that it maps."""
        rollup = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s+(\d+)", rollup, re.M).group(1)) * 1024


class Server(Process):
    """One Paceline node. `flags` and `env` may be changed between two starts."""

    def __init__(self, name, directory, role="master", master=None, port=None, flags=(), env=None):
        super().__init__(name, directory, port or free_port())
        self.role, self.master, self.flags, self.env = role, master, list(flags), dict(env or {})
        if "--requirepass" in self.flags:
            self.password = self.flags[self.flags.index("--requirepass") + 1]

    def command(self):
        if STAND_IN:
            return redis_command(self.port, self.directory, self.flags)
        parts = [BINARY, self.role]
        if self.role == "slave":
            master = self.master
            parts += ["--master", master if isinstance(master, str) else f"127.0.0.1:{getattr(master, 'port', master)}"]
        if not any(flag == "--enable-debug-command" for flag in self.flags):
            parts += ["--enable-debug-command", "yes"]
        return parts + ["--port", str(self.port), "--data", str(self.directory), *map(str, self.flags)]

    def environment(self):
        return super().environment() | self.env

    # What Paceline adds to Redis.

    def last_lsn(self):
        return int(self.call("LASTLSN"))

    def digest(self):
        """LSN and digests as the node tells them; comparable between nodes with ==."""
        return self.call("DIGEST")

    def plan(self):
        """The slave's last sync plan: (plan, reason)."""
        info = self.info()
        return info.get("last_sync_plan"), info.get("last_sync_reason")

    def files(self, ending):
        return sorted(self.directory.rglob(f"*.{ending}"))


def redis_command(port, directory, flags=()):
    command = ["redis-server", "--port", str(port), "--dir", str(directory), "--save", "", "--bind", "127.0.0.1"]
    command += ["--enable-debug-command", "yes", "--databases", "16"]
    if "--requirepass" in flags:
        command += ["--requirepass", flags[list(flags).index("--requirepass") + 1]]
    return command


class RedisServer(Process):
    """redis-server 7.0, without persistence, to compare with."""

    def __init__(self, name, directory, flags=()):
        super().__init__(name, directory, free_port())
        self.flags = list(flags)
        if "--requirepass" in self.flags:
            self.password = self.flags[self.flags.index("--requirepass") + 1]

    def command(self):
        return redis_command(self.port, self.directory, self.flags)


class Cluster:
    """All processes of one test (or of one module), in one temporary directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.processes = []
        self.proxies = []

    def add(self, process):
        self.processes.append(process)
        return process

    def master(self, *flags, name="master", start=True, **options):
        server = self.add(Server(name, self.directory / name, "master", flags=flags, **options))
        return server.start() if start else server

    def slave(self, master, *flags, name=None, start=True, **options):
        name = name or f"slave{len(self.processes)}"
        server = self.add(Server(name, self.directory / name, "slave", master, flags=flags, **options))
        return server.start() if start else server

    def redis(self, *flags, name="redis"):
        return self.add(RedisServer(name, self.directory / name, flags)).start()

    def proxy(self, server):
        from proxy import Proxy

        self.proxies.append(Proxy(server.port))
        return self.proxies[-1]

    def end(self):
        for proxy in self.proxies:
            proxy.close()
        for process in self.processes:
            process.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self):
        return [(p.name, "\n".join(line[:400] for line in p.log(40).splitlines())) for p in self.processes]


# Conditions about nodes that follow each other.


def in_sync(master, *slaves, ceiling=None):
    """Waits until every slave has applied what the master has now."""
    lsn = master.last_lsn()

    def caught_up():
        for slave in slaves:
            info = slave.info("replication")
            if info.get("master_link_status") != "up" or int(slave.info()["applied_lsn"]) < lsn:
                return False
        return True

    wait_until(caught_up, ceiling, what=f"{[s.name for s in slaves]} up to LSN {lsn} of {master.name}")


def same_state(*servers, ceiling=None):
    """Waits until all nodes give the same digests at the same LSN, and returns them."""

    def equal():
        digests = [server.digest() for server in servers]
        return digests[0] if all(d == digests[0] for d in digests) else None

    return wait_until(equal, ceiling, what=f"equal digests on {[s.name for s in servers]}")


def connected(master, count, ceiling=None):
    """Waits until the master counts so many slaves online."""

    def online():
        info = master.info("replication")
        rows = [v for k, v in info.items() if re.fullmatch(r"slave\d+", k)]
        return len([row for row in rows if "state=online" in row]) == count

    wait_until(online, ceiling, what=f"{count} slaves online at {master.name}")
