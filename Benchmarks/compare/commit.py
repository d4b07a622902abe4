"""Section `commit`: what the commit levels cost on three nodes, one slow slave, single writes, and what others do with three nodes."""

import csv
import io
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

import handover
import others
from servers import ROOT, free_port
from syncs import OneWriter, SyncProbe, percentile

HERE = pathlib.Path(__file__).resolve().parent
OPTIONS = (
    ("--commit-clients", dict(type=int, default=256, help="connections of commit (default %(default)s)")),
    ("--commit-rounds", dict(type=int, default=25, help="interleaved rounds of commit (default %(default)s; --quick: 2)")),
    ("--commit-seconds", dict(type=float, default=2.0, help="seconds of one load in commit (default %(default)s)")),
    ("--commit-parts", dict(default="levels,slow,single,handover,others", help="parts of commit (default %(default)s)")),
    ("--commit-others", dict(default="redis,etcd,postgresql,mariadb", help="who else is measured; installed if missing (default %(default)s)")),
)
LEVELS = ("async", "fullsync:1", "fullsync:2", "quorum")
SLOW_MS = 50
RECORD_BYTES = 160  # of a 16-byte key and a 100-byte value, about


class PacelineRow(others.Row):
    """A master and two slaves with one commit level. `slow`: every sync of the second slave takes that many ms longer."""

    client = "resp"

    def __init__(self, comparison, level, slow=None):
        self.level, self.slow = level, slow
        comparison.count += 1
        super().__init__(comparison, comparison.work / f"row-{comparison.count}-{level.replace(':', '')}")
        self.title = f"Paceline, {level}, master and two slaves" + (f", one with syncs of +{SLOW_MS} ms" if slow else "")
        self.settings = f"--durability fsync --commit {level}, {comparison.options.loops} event loop"

    def start(self):
        binary = os.environ.get("PACELINE_BIN", str(ROOT / ".build/release/paceline"))
        self.ports = [free_port() for _ in range(3)]
        self.port = self.ports[0]
        common = ["--durability", "fsync", "--commit", self.level, "--loops", self.comparison.options.loops]
        for i, port in enumerate(self.ports):
            role = ["slave", "--master", f"127.0.0.1:{self.port}"] if i else ["master"]
            environment = os.environ | {"LD_PRELOAD": str(self.slow), "SLOW_DISK_MS": str(SLOW_MS)} if self.slow and i == 2 else None
            self.spawn([binary, *role, "--port", port, "--data", self.directory / f"n{i}", *common], environment=environment)
            others.until("a node of Paceline", lambda: self.cli("PING", i) == "PONG")
        others.until("three voters", self.has_three_voters)

    def has_three_voters(self):
        """They join one after another; the master says in its log who counts."""
        lists = re.findall(r'the voters changed voters="([^"]*)"', (self.directory / "log.txt").read_text(errors="replace"))
        return any(len(names.split()) == 3 for names in lists)

    def cli(self, command, i=0):
        return subprocess.run(["redis-cli", "-p", str(self.ports[i]), *command.split()], capture_output=True, text=True).stdout.strip()

    def before(self):
        pass

    def native(self, seconds, connections):
        """redis-benchmark, as many requests as fill about `seconds`."""
        options = self.comparison.options
        requests = max(connections * 4, int(getattr(self, "rate", 3000) * seconds))
        before = self.cpu_seconds()
        result = redis_benchmark(self.port, requests, connections, options.keys, options.value_bytes)
        used = [(after - at) / requests * 1e6 for at, after in zip(before, self.cpu_seconds())]
        result |= {"cpu master": used[0], "cpu slaves": sum(used[1:]) / 2}
        self.rate = result["rate"]
        return result


def redis_benchmark(port, requests, connections, keys, value_bytes):
    command = ["redis-benchmark", "-p", port, "-t", "set", "-n", requests, "-r", keys, "-d", value_bytes, "-c", connections, "--csv"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    row = [r for r in csv.reader(io.StringIO(done.stdout)) if r and r[0] == "SET"]
    if done.returncode != 0 or not row:
        raise others.Failed(f"redis-benchmark: {done.stdout[-500:]}{done.stderr[-500:]}")
    return {"rate": float(row[0][1]), "p50": float(row[0][4]), "p99": float(row[0][6]), "failures": 0}


def same_client(row, seconds, connections, options):
    command = [sys.executable, str(HERE / "loader.py"), row.client, row.port, connections, seconds, options.value_bytes, options.keys]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise others.Failed(f"loader.py against {row.title}: {done.stderr[-1000:]}")
    result = json.loads(done.stdout)
    if result["failures"]:
        raise others.Failed(f"{row.title}: {result['failures']} writes failed, one of them: {result['example']}")
    return result


def middle(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "example"}


def ratio(first, second):
    """The median over the rounds of what `first` does beside `second` in the same round, and the quarter bounds."""
    each = sorted(a["rate"] / b["rate"] for a, b in zip(first, second))
    return statistics.median(each), each[len(each) // 4], each[-1 - len(each) // 4]


def said(found):
    return f"{found[0]:.2f} (half of the rounds {found[1]:.2f} to {found[2]:.2f})"


class Commit:
    def __init__(self, comparison):
        self.comparison, self.options, self.progress = comparison, comparison.options, comparison.progress
        self.clients = self.options.commit_clients
        self.seconds = 0.5 if self.options.quick else self.options.commit_seconds
        self.rounds = 2 if self.options.quick else self.options.commit_rounds
        self.tables, self.checks, self.results = [], [], {}

    def interleaved(self, rows, measure):
        """Every row once a round, in an order drawn anew each time; the first, uncounted round warms up. Another's server
        that fails is left out from then on, and said so."""
        runs = {name: [] for name in rows}
        for turn in range(self.rounds + 1):
            for name in random.sample(list(runs), len(runs)):
                try:
                    result = measure(rows[name])
                except (others.Failed, subprocess.TimeoutExpired) as error:
                    if isinstance(rows[name], PacelineRow):
                        raise
                    self.checks.append((f"{rows[name].title} beside Paceline", None, " ".join(str(error).split())[:300]))
                    del runs[name]
                    continue
                if turn:
                    runs[name].append(result)
            if turn:
                self.progress(f"round {turn}: " + ", ".join(f"{name} {each[-1]['rate']:,.0f}" for name, each in runs.items()))
        return runs

    def started(self, rows):
        for row in rows.values():
            row.start()
        return rows

    def stop(self, rows):
        for row in rows.values():
            row.stop()

    def load(self, row):
        return row.native(self.seconds, self.clients)

    def levels(self):
        rows = self.started({level: PacelineRow(self.comparison, level) for level in LEVELS})
        runs = self.interleaved(rows, self.load)
        self.stop(rows)
        self.results["levels"] = runs
        table = [["three nodes, --durability fsync", "writes/s", "beside async", "p50, ms", "p99, ms", "CPU of the master, µs/write", "CPU of a slave, µs/write"]]
        for level in LEVELS:
            here, beside = middle(runs[level]), ratio(runs[level], runs["async"])
            used = (f"{here[name]:.1f}" for name in ("cpu master", "cpu slaves"))
            table.append([f"--commit {level}", f"{here['rate']:,.0f}", said(beside), f"{here['p50']:.2f}", f"{here['p99']:.2f}", *used])
        self.tables.append(table)
        found = ratio(runs["quorum"], runs["async"])
        self.checks.append((f"quorum has at least 0.70 of async's throughput, {self.clients} connections", found[0] >= 0.7, said(found)))

    def slow(self):
        library = slow_disk(self.comparison.work)
        if not library:
            self.checks.append(("one slow slave costs a quorum at most 10 %", None, "no C compiler"))
            return
        rows = self.started({"all alike": PacelineRow(self.comparison, "quorum"), "one slow": PacelineRow(self.comparison, "quorum", library)})
        runs = self.interleaved(rows, self.load)
        self.stop(rows)
        self.results["slow"] = runs
        table = [["quorum, three nodes", "writes/s", "beside all alike", "p50, ms", "p99, ms", "CPU of the master, µs/write", "CPU of a slave, µs/write"]]
        for name in rows:
            here = middle(runs[name])
            beside = said(ratio(runs[name], runs["all alike"]))
            used = (f"{here[kind]:.1f}" for kind in ("cpu master", "cpu slaves"))
            title = name if name == "all alike" else f"one slave's syncs +{SLOW_MS} ms"
            table.append([title, f"{here['rate']:,.0f}", beside, f"{here['p50']:.2f}", f"{here['p99']:.2f}", *used])
        self.tables.append(table)
        found = ratio(runs["one slow"], runs["all alike"])
        self.checks.append((f"one slave whose syncs take {SLOW_MS} ms longer costs a quorum at most 10 %", found[0] >= 0.9, said(found)))

    def single(self):
        rows = self.started({"quorum": PacelineRow(self.comparison, "quorum")})
        row, options = rows["quorum"], self.options
        probe = SyncProbe(self.comparison.work / "probe")
        writer = OneWriter(row.port, options.value_bytes, options.keys)
        count = 200 if options.quick else 4000
        table = [["quorum, one write", "p50, ms", "p99, ms", "larger of 2 syncs, p50", "p99", "with a PING, p50", "p99", "p50 beside it", "p99 beside it"]]
        self.results["single"] = {}
        for connections, batch in ((1, RECORD_BYTES), (self.clients, RECORD_BYTES * self.clients)):
            load = None
            if connections > 1:
                command = ["redis-benchmark", "-p", row.port, "-t", "set", "-n", 10**9, "-r", options.keys, "-d", options.value_bytes, "-c", connections - 1, "-q"]
                load = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
                time.sleep(1)
            writes, syncs, trips = [], [], []
            try:
                for _ in range(count):
                    writes.append(writer.write() * 1000)
                    syncs.append(probe.measure(batch) * 1000)
                    trips.append(writer.ping() * 1000)
                if load and load.poll() is not None:
                    raise others.Failed("the load beside the single writes has ended")
            finally:
                if load:
                    load.kill()
                    load.wait()
            both = [sync + trip for sync, trip in zip(syncs, trips)]
            at = {name: [percentile(values, share) for values in (writes, syncs, both)] for name, share in (("p50", 0.5), ("p99", 0.99))}
            beside = {name: write / least for name, (write, _, least) in at.items()}
            self.results["single"][connections] = {"write, larger of two syncs, with a PING, in ms": at, "beside": beside}
            title = "1 connection" if connections == 1 else f"{connections} connections (redis-benchmark on the others)"
            shown = [at[name][i] for i in range(3) for name in ("p50", "p99")]
            table.append([title, *(f"{value:.2f}" for value in [*shown, beside["p50"], beside["p99"]])])
            self.progress(f"single, {title}: p50 {at['p50'][0]:.2f} ms, p99 {at['p99'][0]:.2f} ms; two syncs {at['p50'][1]:.2f}, {at['p99'][1]:.2f} ms")
            self.checks.append((f"p99 of a quorum write is within 2 x (larger of two syncs + round trip), {title}", beside["p99"] <= 2, f"{beside['p99']:.2f}"))
        writer.end()
        probe.end()
        self.stop(rows)
        self.tables.append(table)

    def handover(self):
        table = [["write pause of FAILOVER, ms", "median", "least", "most", "times"]]
        self.results["handover"] = {}
        for level in ("async", "quorum"):
            rows = self.started({level: PacelineRow(self.comparison, level)})
            for clients in (1, 8):
                found = handover.pauses(rows[level].ports, clients, 3 if self.options.quick else 20)
                self.results["handover"][f"{level}, {clients}"] = found
                middle_one = statistics.median(found)
                title = f"--commit {level}, {clients} client{'s' if clients > 1 else ''}"
                table.append([title, *(f"{value:.0f}" for value in (middle_one, min(found), max(found))), str(len(found))])
                self.checks.append((f"FAILOVER stops writes for less than 50 ms, {title} (median)", middle_one < 50, f"{middle_one:.0f}"))
                self.progress(f"handover, {title}: {middle_one:.0f} ms")
            self.stop(rows)
        self.tables.append(table)

    def others(self):
        rows = {"Paceline quorum": PacelineRow(self.comparison, "quorum")}
        for name in filter(None, self.options.commit_others.split(",")):
            self.progress(f"{name}: starting three nodes")
            row, missing = None, others.install(name)
            if not missing:
                try:
                    row = others.ROWS[name](self.comparison, self.comparison.work / f"other-{name}")
                    row.start()
                    rows[name] = row
                except (others.Failed, OSError, subprocess.TimeoutExpired) as error:  # somebody else's server that does not start is no reason to lose the rest
                    missing = str(error)
                    row.stop()
            if missing:
                self.checks.append((f"{name} beside Paceline", None, " ".join(missing.split())[:300]))
        rows["Paceline quorum"].start()
        for row in rows.values():
            row.before()

        def same(row):
            return same_client(row, self.seconds, self.clients, self.options)

        spoken = {name: row for name, row in rows.items() if row.client}
        runs = {"same": self.interleaved(spoken, same)}
        own = {name: row for name, row in rows.items() if type(row).native is not others.Row.native}
        runs["own"] = self.interleaved(own, self.load)
        self.stop(rows)
        self.results["others"] = runs
        for which, title, members in (("same", "the same Python client", spoken), ("own", "its own C client", own)):
            table = [[f"three nodes, {self.clients} connections, {title}", "writes/s", "Paceline's beside it", "p50, ms", "p99, ms"]]
            for name, row in members.items():
                if name not in runs[which]:
                    continue
                here = middle(runs[which][name])
                beside = "1" if name == "Paceline quorum" else said(ratio(runs[which]["Paceline quorum"], runs[which][name]))
                table.append([row.title, f"{here['rate']:,.0f}", beside, f"{here['p50']:.2f}", f"{here['p99']:.2f}"])
            self.tables.append(table)
        self.settings = "; ".join(f"{row.title}: {row.settings}" for row in rows.values())


def slow_disk(directory):
    """The library that slows syncs down, compiled; None without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "clang", "gcc"))), None)
    if not compiler:
        return None
    library = directory / "slow_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "slow_disk.c"), "-ldl"], check=True)
    return library


def commit(comparison):
    options = comparison.options
    run = Commit(comparison)
    run.settings = ""
    before = os.getloadavg()[1]
    try:
        for part in options.commit_parts.split(","):
            comparison.progress(f"commit: {part}")
            getattr(run, part)()
    finally:
        others.Row.stop_all()
    note = (
        f"SET of {options.keys:,} random keys of 16 bytes with {options.value_bytes}-byte values, {run.clients} connections, no pipelining; all nodes and the client on this "
        f"machine, all data on one disk. {run.rounds} rounds of {run.seconds:g} s for every row, each round in an order of its own, after one that does not count; medians; a ratio is "
        f"taken within a round. Load average {before:.1f} before and {os.getloadavg()[1]:.1f} after. {run.settings}"
    )
    return {"name": "commit", "title": "Commit levels", "note": note, "rows": [], "tables": run.tables, "plots": {}, "checks": run.checks, "cells": run.results}
