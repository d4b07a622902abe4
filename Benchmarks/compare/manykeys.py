"""Section `manykeys`: what very many small keys cost in memory, on disk, at a restart and under COMPACT."""

import random
import re
import socket
import time
from pathlib import Path

from servers import LightLoad
from space import disk_bytes

OPTIONS = (("--many-keys", dict(type=int, default=20_000_000, help="keys of manykeys (default %(default)s; --quick: 1,000,000)")),)
KEY_BYTES, VALUE_BYTES = 16, 8
PAIR = b"$16\r\nkey:%012d\r\n$8\r\n%08d\r\n"
IN_COMMAND, IN_PIPELINE = 100, 50


def load(server, names):
    """MSET of 100 pairs, 50 commands before the replies are read. `names`: a range or a list of numbers."""
    step = IN_COMMAND * IN_PIPELINE
    template = (b"*%d\r\n$4\r\nMSET\r\n" % (1 + 2 * IN_COMMAND)) + PAIR * IN_COMMAND
    whole = template * IN_PIPELINE
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        for start in range(0, len(names), step):
            part = names[start : start + step]
            numbers = [0] * (2 * len(part))
            numbers[::2] = part
            numbers[1::2] = [name % 100_000_000 for name in part]
            commands = len(part) // IN_COMMAND
            text = whole if commands == IN_PIPELINE else template * commands
            link.sendall(text % tuple(numbers[: commands * IN_COMMAND * 2]))
            wanted = 5 * commands
            while wanted:
                got = link.recv(1 << 16)
                if not got or b"-" in got:
                    raise SystemExit(f"the server does not take the data: {got[:200]!r}")
                wanted -= len(got)


def resident(server):
    status = Path(f"/proc/{server.child.pid}/status").read_text()
    return {name: int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1]) * 1024 for name in ("VmRSS", "RssAnon", "RssFile")}


def manykeys(comparison):
    options, progress = comparison.options, comparison.progress
    keys = 1_000_000 if options.quick else options.many_keys
    keys -= keys % IN_COMMAND
    server = comparison.server("paceline", durability="interval", extra=["--compaction", "no"])
    server.start()
    started = time.monotonic()
    load(server, range(keys))
    loading = time.monotonic() - started
    progress(f"{keys:,} keys in {loading:.1f} s")
    time.sleep(2 if options.quick else 5)  # sealing and syncing what was loaded
    memory, info = resident(server), server.client.info()
    if server.client.dbsize() != keys:
        raise SystemExit(f"{server.client.dbsize():,} keys instead of {keys:,}")
    index, disk = int(info["index_bytes"]), disk_bytes(server.directory / "data")
    server.stop()
    restart = server.start()
    if server.client.dbsize() != keys:
        raise SystemExit(f"came back with {server.client.dbsize():,} of {keys:,} keys")
    restarted = resident(server)
    progress(f"restart in {restart:.2f} s")

    # A fifth of the keys is written again, so that COMPACT has something to do everywhere.
    again = random.Random(3).sample(range(keys), keys // 5 - keys // 5 % IN_COMMAND)
    load(server, again)
    time.sleep(1)
    before = disk_bytes(server.directory / "data")
    calm = LightLoad(server, keys, VALUE_BYTES)
    time.sleep(2 if options.quick else 10)
    calm = calm.end()
    busy = LightLoad(server, keys, VALUE_BYTES)
    started = time.monotonic()
    said = server.client.execute_command("COMPACT")
    compacting = time.monotonic() - started
    busy = busy.end()
    done = dict(zip((name.decode() if isinstance(name, bytes) else name for name in said[::2]), map(int, said[1::2])))
    after = disk_bytes(server.directory / "data")
    compacted = resident(server)
    if server.client.dbsize() < keys:
        raise SystemExit(f"COMPACT left {server.client.dbsize():,} of {keys:,} keys")
    rate = server.client.config_get("compaction-rate")["compaction-rate"]
    server.stop()

    payload = KEY_BYTES + VALUE_BYTES
    far = 100_000_000 / keys

    def line(what, value, unit, scaled):
        return [f"{what}, {unit}", f"{value:,.2f}", f"{value * far:,.1f}" if scaled else f"{value:,.2f}"]

    rows = [
        [f"{keys:,} keys", "measured", "at 100 million (on paper)"],
        line("index a key", index / keys, "bytes", False),
        line("index", index / 1e9, "GB", True),
        line("anonymous memory a key", memory["RssAnon"] / keys, "bytes", False),
        line("anonymous memory after the load", memory["RssAnon"] / 1e9, "GB", True),
        line("anonymous memory after a restart", restarted["RssAnon"] / 1e9, "GB", True),
        line("anonymous memory after COMPACT", compacted["RssAnon"] / 1e9, "GB", True),
        line("all resident memory after the load, with mapped files", memory["VmRSS"] / 1e9, "GB", True),
        line("disk a key", disk / keys, "bytes", False),
        line("disk", disk / 1e9, "GB", True),
        line("load", loading, "s", True),
        line("restart", restart, "s", True),
        line("disk with a fifth written again", before / 1e9, "GB", True),
        line("COMPACT", compacting, "s", True),
        line("disk after it", after / 1e9, "GB", True),
        line("p99 before", calm[0], "ms", False),
        line("p99 during COMPACT", busy[0], "ms", False),
        line("longest answer before", calm[1], "ms", False),
        line("longest answer during COMPACT", busy[1], "ms", False),
    ]
    note = (
        f"Keys of {KEY_BYTES} and values of {VALUE_BYTES} bytes by MSET, `--durability interval`, 32 MiB segments. Disk: blocks of all files, {payload} bytes of them are the data. "
        f"COMPACT read {done['bytes_read'] / 1e6:,.0f} MB and dropped {done['records_dropped']:,} records at compaction-rate {rate}, with about 1,000 GET and SET a second beside it. "
        "The right column scales what grows with the keys; an index grows in steps, so up to a third more or less."
    )
    return {"name": "manykeys", "title": "Very many small keys", "note": note, "rows": [], "tables": [rows], "plots": {}, "checks": []}
