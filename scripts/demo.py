"""The demo's course: see scripts/demo. Starts its own processes, and ends exactly those, however it ends."""

import atexit
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

import redis

BINARY = os.environ["PACELINE_BIN"]
TTY = sys.stdout.isatty() and "NO_COLOR" not in os.environ
STARTED = time.monotonic()


# What is printed.


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if TTY else text


def step(title):
    print(f"\n{paint('1', f'{time.monotonic() - STARTED:6.1f} s  {title}')}", flush=True)


def tell(text):
    print(textwrap.indent(text, "          "), flush=True)


def size(count):
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000


def table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    tell("\n".join([paint("4", lines[0]), *lines[1:]]))


def check(truth, text):
    if not truth:
        raise SystemExit(paint("31", f"\nnot as promised: {text}"))
    tell(f"{paint('32', 'ok')}  {text}")


def wait_until(condition, what, ceiling=60):
    deadline = time.monotonic() + ceiling
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
        except (OSError, redis.exceptions.RedisError):
            pass
        time.sleep(0.01)
    raise SystemExit(f"not within {ceiling} s: {what}")


# The nodes.


def free_port():
    while True:
        with socket.socket() as probe:
            port = random.randrange(20000, 32000)
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Node:
    everyone = []

    def __init__(self, name, directory, master=None):
        self.name, self.data, self.port, self.master = name, directory / name, free_port(), master
        self.log = directory / f"{name}.log"
        self.client = redis.Redis(port=self.port, socket_timeout=30)
        self.child = None
        Node.everyone.append(self)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        role = ["slave", "--master", self.master.address] if self.master else ["master"]
        with open(self.log, "ab") as log:
            command = [BINARY, *role, "--port", str(self.port), "--data", str(self.data)]
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            if self.child.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.child.returncode}:\n{self.log.read_text(errors='replace')[-3000:]}")
            return self.client.ping()

        wait_until(answers, f"{self.name} answers")
        return self

    def in_sync(self):
        return self.info().get("master_link_status") == "up" and not self.info().get("master_sync_in_progress")

    def info(self):
        return self.client.info()

    def plan(self):
        info = self.info()
        seconds = float(info["last_sync_seconds"])
        return (
            f"{self.name}: {paint('1', str(info['last_sync_plan']))}, {info['last_sync_reason']}; "
            f"estimated {size(int(info['last_sync_estimated_bytes']))}, took {size(int(info['last_sync_bytes']))} in {seconds:.2f} s"
        )

    def end(self):
        if self.child and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Load:
    """`paceline bench` in the background: a mixed load while the rest happens."""

    def __init__(self, nodes, directory):
        self.output = open(directory / "background-load.txt", "w+")
        command = [BINARY, "bench", "--node", ",".join(n.address for n in nodes), "--clients", "4", "--pipeline", "4"]
        command += ["--keys", "10000", "--value-size", "100", "--read-share", "0.8", "--seconds", "600"]
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.output.close()


# The package catalogue.


def catalogue():
    """Name -> stanza of every package that this machine's apt knows."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    packages = {}
    for stanza in text.split(b"\n\n"):
        if stanza.startswith(b"Package: "):
            packages[stanza[9 : stanza.index(b"\n")]] = stanza
    if not packages:
        raise SystemExit("apt-cache dumpavail gives nothing: run apt-get update first")
    return packages


def load(master, packages):
    names = list(packages)
    for start in range(0, len(names), 500):
        with master.client.pipeline(transaction=False) as pipe:
            for name in names[start : start + 500]:
                pipe.set(b"package:" + name, packages[name])
            pipe.execute()


def equal_stanzas(node, packages):
    names = list(packages)
    equal = 0
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        values = node.client.mget([b"package:" + name for name in part])
        equal += sum(value == packages[name] for name, value in zip(part, values))
    return equal


def digest_row(node):
    answer = node.client.execute_command("DIGEST")
    flat = []

    def walk(value):
        for item in value if isinstance(value, list) else [value]:
            walk(item) if isinstance(item, list) else flat.append(item.decode() if isinstance(item, bytes) else str(item))

    walk(answer)
    return " ".join(flat)


def readable(answer):
    if isinstance(answer, bytes):
        return answer.decode(errors="replace")
    if isinstance(answer, list):
        return "\n".join(readable(item) for item in answer)
    return str(answer)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="paceline-demo-"))
    loads = []

    def clean_up():
        for item in (*loads, *reversed(Node.everyone)):
            item.end()
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(clean_up)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    happened = [("what", "result", "seconds")]

    def timed(what, action):
        started = time.monotonic()
        result = action()
        happened.append((what, result, f"{time.monotonic() - started:.2f}"))
        return result

    step("A master and two slaves start")

    def start_row():
        master = Node("master", directory).start()
        slaves = [Node(f"slave-{i}", directory, master).start() for i in (1, 2)]
        for slave in slaves:
            wait_until(slave.in_sync, f"{slave.name} is in sync")
        return f"ports {', '.join(str(n.port) for n in Node.everyone)}"

    tell(timed("start one master, two slaves", start_row))
    master, *slaves = Node.everyone

    step("The Debian package catalogue goes in, while a mixed load runs")
    packages = catalogue()
    loads.append(Load([master, *slaves], directory))

    def fill():
        load(master, packages)
        return f"{len(packages):,} records, {size(sum(map(len, packages.values())))}"

    started = time.monotonic()
    text = timed("load the package catalogue", fill)
    tell(f"{text}, every one on disk when acknowledged: {len(packages) / (time.monotonic() - started):,.0f} records a second")
    tell(f"GET package:bash -> {master.client.get('package:bash').splitlines()[0].decode()} ..." if b"bash" in packages else "")

    step("A third slave is attached while reads and writes go on")
    third = Node("slave-3", directory, master)

    def attach():
        third.start()
        wait_until(third.in_sync, "slave-3 is in sync")
        return f"{third.info()['last_sync_plan']} sync, {size(int(third.info()['last_sync_bytes']))}"

    timed("attach a third slave", attach)
    slaves.append(third)
    tell(third.plan())

    step("slave-2 is killed with -9, misses a thousand writes, and comes back")
    victim = slaves[1]
    full_before = int(master.info()["sync_full"])
    victim.child.kill()
    victim.child.wait()
    with master.client.pipeline(transaction=False) as pipe:
        for i in range(1000):
            pipe.set(f"missed:{i}", i)
        pipe.execute()

    def come_back():
        victim.start()
        wait_until(victim.in_sync, "slave-2 is in sync")
        wait_until(lambda: victim.client.get("missed:999") == b"999", "the missed writes are there")
        return f"{victim.info()['last_sync_plan']} sync, {size(int(victim.info()['last_sync_bytes']))}"

    timed("kill -9 of slave-2, and back", come_back)
    tell(victim.plan())
    check(victim.info()["last_sync_plan"] == "partial", "it came back with a partial sync: only what it missed")
    check(int(master.info()["sync_full"]) == full_before, "the master served no full sync for it")

    step("The plans, with what each would cost now (MS_PLAN)")
    tell(readable(master.client.execute_command("MS_PLAN")))
    for item in loads:
        item.end()

    step("The read-load benchmark over all four nodes")
    command = [BINARY, "bench", "--node", ",".join(n.address for n in (master, *slaves)), "--clients", "16", "--pipeline", "8"]
    command += ["--keys", "10000", "--value-size", "100", "--read-share", "0.95", "--seconds", "8", "--staleness"]

    def bench():
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise SystemExit(f"paceline bench failed:\n{done.stdout}{done.stderr}")
        tell(done.stdout.strip())
        return "95 % reads, 16 clients, pipeline 8"

    timed("read-load benchmark, four nodes", bench)

    step("Are they equal? Digests at one LSN, and every record of the catalogue")

    def equal_digests():
        rows = [digest_row(node) for node in Node.everyone]
        return rows if len(set(rows)) == 1 else None

    rows = wait_until(equal_digests, "the same digests at the same LSN on all nodes")
    table([("node", "LSN and digest per database"), *((node.name, row[:100]) for node, row in zip(Node.everyone, rows))])
    check(True, "four nodes, one LSN, one digest")
    for slave in slaves:
        equal = equal_stanzas(slave, packages)
        check(equal == len(packages), f"{slave.name}: {equal:,} of {len(packages):,} records are the catalogue's, byte for byte")
    happened.append(("digests and records compared", "equal on all four nodes", ""))

    step("Everything stops")

    def stop():
        codes = []
        for node in reversed(Node.everyone):
            node.child.terminate()
            codes.append(node.child.wait(20))
        return "clean" if not any(codes) else f"exit codes {codes}"

    timed("SIGTERM to all", stop)
    step("What happened")
    table(happened)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
