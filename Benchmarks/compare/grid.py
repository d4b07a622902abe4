"""Section `grid`: a slave comes back after an absence. Every way of catching up, what `auto` chose, and Redis."""

import random
import shutil
import signal
import socket
import sys
import time

import redis

from plots import heat_map
from servers import ROOT

sys.path.append(str(ROOT / "Tests/Processes"))
from proxy import Proxy  # noqa: E402

OPTIONS = (("--grid-keys", dict(type=int, default=100_000, help="keys of grid (default %(default)s; --quick: 10,000)")),)
SHARES, TIMES, VALUE_BYTES, LOGS = (0.01, 0.2, 1.0), (1, 5), (100, 1000), ("raw", "compacted")
FORCED = ("full", "delta", "partial")
SETTINGS = ["--segment-bytes", 16 << 20, "--wal-keep", "64gb", "--compaction", "no"]
CEILING = 60


def record_bytes(value_bytes):
    """Header, key of 16 bytes and value, at a multiple of 8."""
    return (32 + 16 + value_bytes + 7) & ~7


def write(server, names, value_bytes, seed):
    """SETs of random values, which no compression of the link makes smaller, 1,000 in a pipeline."""
    draw = random.Random(seed)
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        for start in range(0, len(names), 1000):
            part = names[start : start + 1000]
            data, noise = bytearray(), draw.randbytes(len(part) * value_bytes)
            for place, i in enumerate(part):
                at = place * value_bytes
                data += b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (i, value_bytes, noise[at : at + value_bytes])
            link.sendall(data)
            wanted = 5 * len(part)
            while wanted:
                got = link.recv(1 << 16)
                if not got or b"-" in got:
                    raise SystemExit(f"{server.kind} does not take the data: {got[:200]!r}")
                wanted -= len(got)


def change(server, keys, share, times, value_bytes, seed):
    """Overwrites a share of the keys, drawn at random, each so many times, in a new order each time."""
    names = random.Random(seed).sample(range(keys), max(1, round(keys * share)))
    for turn in range(times):
        random.Random(seed * 10 + turn).shuffle(names)
        write(server, names, value_bytes, seed + turn)
    return len(names)


def equal(master, slave):
    if master.kind == "redis":
        info = slave.client.info("replication")
        up = info.get("master_link_status") == "up" and not info.get("master_sync_in_progress")
        return up and info["slave_repl_offset"] == master.client.info("replication")["master_repl_offset"]
    return slave.client.execute_command("DIGEST") == master.client.execute_command("DIGEST")


class Grid:
    def __init__(self, comparison, keys):
        self.comparison, self.keys, self.progress = comparison, keys, comparison.progress
        self.results = []

    def catch_up(self, master, directory, mode, extra=()):
        """Starts a slave on `directory`; what it took until it was equal, or why it was refused. Ends the slave."""
        with Proxy(master.port) as proxy:
            proxy.kind = master.kind
            flags = [*SETTINGS, "--sync-mode", mode] if master.kind == "paceline" else list(extra)
            slave = self.comparison.server(master.kind, master=proxy, extra=flags, directory=directory)
            started, refused = time.monotonic(), None
            try:
                slave.start()
                while True:
                    try:
                        if equal(master, slave):
                            break
                        if master.kind == "paceline":
                            refused = slave.client.info("replication").get("last_sync_error") or None
                    except redis.exceptions.RedisError:
                        pass  # loading
                    if refused or time.monotonic() - started > CEILING:
                        return {"mode": mode, "refused": refused or f"not equal after {CEILING} s"}
                    time.sleep(0.003)
                result = {"mode": mode, "seconds": time.monotonic() - started, "bytes": proxy.bytes_down, "refused": None}
                info = slave.client.info("replication")
                if master.kind == "paceline":
                    result["chose"] = info.get("last_sync_plan") or "none"
                    result["counted"], result["estimated"] = (int(info.get(f"last_sync_{name}") or 0) for name in ("bytes", "estimated_bytes"))
                return result
            except SystemExit as error:  # it ended: a mode that this build does not know
                return {"mode": mode, "refused": str(error).strip().splitlines()[-1][:100]}
            finally:
                slave.stop()
                self.gone(master)

    @staticmethod
    def gone(master):
        """The master has noticed that its slave left."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            info = master.client.info("replication")
            if int(info["connected_slaves"]) == 0:
                return
            time.sleep(0.01)
        raise SystemExit(f"{master.kind} still counts a slave that has ended")

    def base(self, master, directory, extra=()):
        """Brings the slave's own directory to the master's state and leaves it there."""
        result = self.catch_up(master, directory, "auto", extra)
        if result["refused"]:
            raise SystemExit(f"the slave could not follow: {result['refused']}")

    def paceline(self, value_bytes):
        # A lease of no time: what is away holds nothing. Raw cells keep their log by --wal-keep, and COMPACT takes it.
        master = self.comparison.server("paceline", extra=[*SETTINGS, "--slave-lease", 0])
        master.start()
        write(master, range(self.keys), value_bytes, 1)
        own = self.comparison.work / f"grid-slave-{value_bytes}"
        seed = value_bytes
        for share in SHARES:
            for times in TIMES:
                seed += 100
                self.base(master, own)
                changed = change(master, self.keys, share, times, value_bytes, seed)
                for log in LOGS:
                    if log == "compacted":
                        master.client.execute_command("COMPACT")
                    cell = {"share": share, "times": times, "value_bytes": value_bytes, "log": log, "changed": changed * record_bytes(value_bytes)}
                    for mode in (*FORCED, "auto"):
                        copy = self.comparison.work / "grid-copy"
                        shutil.copytree(own, copy)
                        cell[mode] = self.catch_up(master, copy, mode)
                        shutil.rmtree(copy, ignore_errors=True)
                    self.results.append(cell)
                    self.progress(f"{name_of(cell)}: " + ", ".join(f"{mode} {said(cell[mode])}" for mode in (*FORCED, "auto")))
        master.stop()
        for directory in (own, master.directory):
            shutil.rmtree(directory, ignore_errors=True)

    def redis(self, value_bytes):
        # It must come back with its position, which Redis keeps in the RDB file that it writes when it ends.
        extra = ["--save", "3600 1"]
        master = self.comparison.server("redis")
        master.start()
        write(master, range(self.keys), value_bytes, 1)
        own = self.comparison.work / f"grid-redis-{value_bytes}"
        seed = value_bytes
        for share in SHARES:
            for times in TIMES:
                seed += 100
                self.base(master, own, extra)
                before = master.client.info("stats")
                change(master, self.keys, share, times, value_bytes, seed)
                result = self.catch_up(master, own, "auto", extra)
                after = master.client.info("stats")
                result["chose"] = "psync" if after["sync_partial_ok"] > before["sync_partial_ok"] else "full"
                for cell in self.results:
                    if (cell["share"], cell["times"], cell["value_bytes"]) == (share, times, value_bytes):
                        cell["redis"] = result
                self.progress(f"Redis, {share:.0%} x {times}, {value_bytes} B: {said(result)}")
        master.stop(signal.SIGKILL)
        for directory in (own, master.directory):
            shutil.rmtree(directory, ignore_errors=True)


def name_of(cell):
    return f"{cell['share']:.0%} x {cell['times']}, {cell['value_bytes']} B, {cell['log']}"


def said(result):
    if result["refused"]:
        return "refused"
    chose = f" ({result['chose']})" if result["mode"] == "auto" else ""
    return f"{result['bytes'] / 1e6:.2f} MB {result['seconds']:.2f} s{chose}"


def judge(results):
    """The checks over all cells."""
    worst = {"auto": (0, "no cell"), "delta": (0, "no cell"), "estimate": (0, "no cell")}

    def note(which, value, where):
        worst[which] = max(worst[which], (value, where))

    for cell in results:
        auto, forced = cell["auto"], [cell[mode] for mode in FORCED if not cell[mode]["refused"]]
        if auto["refused"]:
            note("auto", float("inf"), name_of(cell))
        elif forced:
            beyond = min(auto[unit] / min(result[unit] for result in forced) for unit in ("bytes", "seconds"))
            note("auto", beyond, name_of(cell))
        if not cell["delta"]["refused"]:
            note("delta", cell["delta"]["bytes"] / cell["changed"], name_of(cell))
        for result in [*forced, auto]:
            if not result["refused"]:
                note("estimate", abs(result["estimated"] / result["bytes"] - 1), f"{result['mode']}, {name_of(cell)}")
    limits = {
        "auto": ("auto takes at most 1.1 x the bytes or the seconds of the best", 1.1),
        "delta": ("delta takes at most 1.2 x the bytes of the changed records", 1.2),
        "estimate": ("the estimate is less than 20 % off", 0.2),
    }
    return [
        (text, None if worst[which][1] == "no cell" else worst[which][0] <= limit, f"{worst[which][0]:.2f}, {worst[which][1]}")
        for which, (text, limit) in limits.items()
    ]


def grid(comparison):
    options = comparison.options
    keys = 10_000 if options.quick else options.grid_keys
    run = Grid(comparison, keys)
    for value_bytes in VALUE_BYTES:
        run.paceline(value_bytes)
        run.redis(value_bytes)
    table = [["cell", "changed, MB", *FORCED, "auto", "estimate / truth", "Redis", "bytes, Redis = 1"]]
    best, beside = {}, {}
    rows, columns = [], [f"{share:.0%} x {times}" for share in SHARES for times in TIMES]
    for cell in run.results:
        auto, theirs = cell["auto"], cell["redis"]
        row, column = f"{cell['value_bytes']} B, log {cell['log']}", f"{cell['share']:.0%} x {cell['times']}"
        rows += [row] if row not in rows else []
        ratio = estimate = None
        if not auto["refused"]:
            forced = [cell[mode]["bytes"] for mode in FORCED if not cell[mode]["refused"]]
            best[row, column] = auto["bytes"] / min(forced) if forced else None
            ratio = beside[row, column] = auto["bytes"] / theirs["bytes"] if not theirs["refused"] else None
            estimate = auto["estimated"] / auto["bytes"]
        theirs_said = f"{theirs['chose']} {theirs['bytes'] / 1e6:.2f} MB {theirs['seconds']:.2f} s" if not theirs["refused"] else "refused"
        table.append(
            [name_of(cell), f"{cell['changed'] / 1e6:.2f}", *(said(cell[mode]) for mode in FORCED), said(auto)]
            + [f"{estimate:.2f}" if estimate else "-", theirs_said, f"{ratio:.2f}" if ratio else "-"]
        )

    def times(ratio):
        return f"{ratio:.2f}"

    note = (
        f"{keys:,} keys of 16 bytes. A slave in sync is stopped, a share of the keys is overwritten at the master, each 1 or 5 times, and the slave is started again: "
        "a fresh copy of its directory for every mode. Raw: the whole log is still there. Compacted: COMPACT ran and nothing was held for the slave. Bytes: what a proxy between "
        "them counted from the master; seconds: from the slave's start until both give the same digest (Redis: the same offset). Redis with its defaults (repl-backlog 1 MB), "
        "its position saved by an orderly end."
    )
    return {
        "name": "grid",
        "title": "A slave that comes back",
        "note": note,
        "rows": [],
        "tables": [table],
        "plots": {
            "grid-auto": heat_map("Bytes of auto beside the best forced mode", rows, columns, best, times, "share of keys changed x times each; 1: auto is as good as the best"),
            "grid-redis": heat_map("Bytes of Paceline beside Redis", rows, columns, beside, times, "auto; 0.1: a tenth of what Redis sends"),
        },
        "checks": judge(run.results),
        "cells": run.results,
    }
