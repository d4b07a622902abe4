"""Section `space`: how much disk a steady load of overwrites, deletes and expiries costs."""

import random
import socket
import statistics
import threading
import time

from plots import lines
from servers import Server

MB = 1_000_000
OPTIONS = (
    ("--space-seconds", dict(type=int, default=600, help="length of the load (default %(default)s; --quick: 30)")),
    ("--space-data-mb", dict(type=int, default=1000, help="live data, MB (default %(default)s; --quick: 60)")),
    ("--space-write-mb", dict(type=float, default=10, help="records written, MB a second, 0 = as fast as one client can (default %(default)s)")),
    ("--space-slave-away", dict(type=int, default=0, help="a slave is stopped for so many seconds in the middle (default %(default)s: no slave)")),
    ("--compaction-rate", dict(default="", help="Paceline's setting in this section; its own default")),
    ("--garbage-ratio", dict(default="", help="Paceline's setting in this section; its own default")),
    ("--wal-keep", dict(default="32mb", help="Paceline's setting in this section (default %(default)s)")),
)
SEGMENT, OPS_BUFFER = 16 << 20, 16 << 20
VALUE_BYTES = (100, 1000)
RECORD_BYTES = 32 + 16 + 4 + sum(VALUE_BYTES) // 2  # header, key, padding, mean value


def disk_bytes(directory):
    """Blocks of all files on the disk, as du counts: reserved space and replaced files too."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass  # removed between the listing and the look
    return total


class Overwrites:
    """One client that writes keys drawn at random: 90 % SET, 5 % DEL, 5 % SET with an expiry of 10 to 20 s."""

    def __init__(self, server, keys, bytes_per_second):
        self.server, self.keys, self.rate = server, keys, bytes_per_second
        self.random = random.Random(5)
        self.noise = random.Random(6).randbytes(1 << 20)
        self.written, self.records, self.error, self.stop = 0, 0, None, threading.Event()

    def batch(self, names, plain=False):
        out, draw, low, high = bytearray(), self.random, *VALUE_BYTES
        for name in names:
            kind = 1.0 if plain else draw.random()
            if kind < 0.05:
                out += b"*2\r\n$3\r\nDEL\r\n$16\r\nkey:%012d\r\n" % name
                self.written += 48
                continue
            size, at = draw.randint(low, high), draw.randrange(1 << 19)
            value = self.noise[at : at + size]
            if kind < 0.1:
                out += b"*5\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n$2\r\nPX\r\n$5\r\n%d\r\n" % (name, size, value, draw.randint(10000, 20000))
            else:
                out += b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (name, size, value)
            self.written += (48 + size + 7) & ~7
        self.records += len(names)
        return bytes(out)

    @staticmethod
    def send(link, data, count):
        link.sendall(data)
        lines_left = count
        while lines_left:
            got = link.recv(1 << 16)
            if not got or got.startswith(b"-") or b"\n-" in got:
                raise OSError(f"the server does not take the load: {got[:200]!r}")
            lines_left -= got.count(b"\n")

    def fill(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as link:
            for start in range(0, self.keys, 500):
                names = range(start, min(self.keys, start + 500))
                self.send(link, self.batch(names, plain=True), len(names))

    def start(self):
        self.written = self.records = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            started = time.monotonic()
            with socket.create_connection(("127.0.0.1", self.server.port)) as link:
                while not self.stop.is_set():
                    self.send(link, self.batch([self.random.randrange(self.keys) for _ in range(200)]), 200)
                    if self.rate:
                        time.sleep(max(0, self.written / self.rate - (time.monotonic() - started)))
        except OSError as error:
            self.error = error

    def end(self):
        self.stop.set()
        self.thread.join()
        if self.error:
            raise SystemExit(str(self.error))


def sample(server, directory, started):
    info = server.client.info("paceline")
    names = ("live_bytes", "dead_bytes", "pinned_bytes", "data_bytes", "replaced_files", "compaction_bytes_read", "compaction_bytes_written")
    return {"seconds": time.monotonic() - started, "disk": disk_bytes(directory)} | {name: int(info[name]) for name in names}


def space(comparison):
    options, progress = comparison.options, comparison.progress
    seconds = 30 if options.quick else options.space_seconds
    data = (60 if options.quick else options.space_data_mb) * MB
    keys = data // RECORD_BYTES
    extra = ["--segment-bytes", SEGMENT, "--ops-buffer", OPS_BUFFER, "--wal-keep", options.wal_keep]
    for name in ("compaction_rate", "garbage_ratio"):
        if getattr(options, name):
            extra += ["--" + name.replace("_", "-"), getattr(options, name)]
    master = comparison.server("paceline", durability="interval", extra=extra)
    master.start()
    settings = {name: master.client.config_get(name)[name] for name in ("compaction-rate", "garbage-ratio", "wal-keep")}
    load = Overwrites(master, keys, options.space_write_mb * MB)
    progress(f"loading {keys:,} keys")
    load.fill()
    slave = None
    if options.space_slave_away:
        slave = comparison.server("paceline", durability="interval", master=master)
        slave.start()
    samples, started, away = [], time.monotonic(), (seconds // 3, seconds // 3 + options.space_slave_away)
    load.start()
    while time.monotonic() - started < seconds:
        if slave and len(samples) == away[0]:
            slave.stop()
        if slave and len(samples) == away[1]:
            slave.start()
        samples.append(sample(master, master.directory / "data", started))
        time.sleep(max(0, started + len(samples) - time.monotonic()))
    written = load.written
    load.end()
    master.stop()
    if slave:
        slave.stop()

    # The load itself needs a while to reach its steady state: the first fifth is not judged.
    steady = [s for s in samples if s["seconds"] >= seconds / 5]
    beyond = [(s["disk"] - s["pinned_bytes"]) / s["live_bytes"] for s in steady]
    rows = [["bytes", "median", "largest"]]
    for name, values in (
        ("on disk, all files", [s["disk"] for s in steady]),
        ("live (INFO live_bytes)", [s["live_bytes"] for s in steady]),
        ("log (INFO data_bytes)", [s["data_bytes"] for s in steady]),
        ("dead (INFO dead_bytes)", [s["dead_bytes"] for s in steady]),
        ("pinned (INFO pinned_bytes)", [s["pinned_bytes"] for s in steady]),
    ):
        rows.append([f"{name}, MB", f"{statistics.median(values) / MB:,.0f}", f"{max(values) / MB:,.0f}"])
    logs = [s["data_bytes"] / s["live_bytes"] for s in steady]
    rows.append(["log / live", f"{statistics.median(logs):.2f}", f"{max(logs):.2f}"])
    rows.append(["(disk - pinned) / live", f"{statistics.median(beyond):.2f}", f"{max(beyond):.2f}"])
    first, last = samples[0], samples[-1]
    passed = last["seconds"] - first["seconds"] or 1
    read, rewritten = ((last[f"compaction_bytes_{name}"] - first[f"compaction_bytes_{name}"]) for name in ("read", "written"))
    rows.append(["written by the client, MB/s", f"{written / seconds / MB:.1f}", ""])
    rows.append(["read by compaction, MB/s", f"{read / passed / MB:.1f}", ""])
    rows.append(["written by compaction, MB/s", f"{rewritten / passed / MB:.1f}", ""])
    rows.append(["written to disk per byte of the client", f"{1 + rewritten / max(1, written):.2f}", ""])
    note = (
        f"{keys:,} keys, values of {VALUE_BYTES[0]} to {VALUE_BYTES[1]} bytes, {seconds} s of overwrites drawn evenly (90 % SET, 5 % DEL, 5 % SET with an expiry), "
        f"sampled every second, the first fifth left out. compaction-rate {settings['compaction-rate']}, garbage-ratio {settings['garbage-ratio']}, wal-keep {settings['wal-keep']}. "
        "On disk: blocks of every file of the data directory, as du counts them: log, data files, index files, generations, reserved space, files that were replaced and are not "
        "removed yet."
    )
    if slave:
        note += f" A slave was stopped from second {away[0]} to {away[1]}."
    series = {"on disk": "disk", "live": "live_bytes", "dead": "dead_bytes", "pinned": "pinned_bytes"}
    curves = {title: [(s["seconds"], s[name] / MB) for s in samples] for title, name in series.items()}
    curves["allowed"] = [(s["seconds"], (1.5 * s["live_bytes"] + s["pinned_bytes"]) / MB) for s in samples]
    return {
        "name": "space",
        "title": "Disk under overwrites",
        "note": note,
        "rows": [],
        "tables": [rows],
        "plots": {"space": lines("Bytes on disk under overwrites", curves, "MB", dashed=("allowed",))},
        "checks": [("at most 1.5 x live + pinned", max(beyond) <= 1.5, f"{max(beyond):.2f}")],
        "samples": samples,
    }
