"""Files that are missing, cut, swapped, doubled or foreign at a start: what is there is right, or the start is refused with
the name of what is wrong. Never silently less."""

import os
import re
import shutil

import pytest

import logfile
from harness import in_sync, same_state, wait_until
from load import fill

pytestmark = pytest.mark.timeout(300)

FLAGS = ("--segment-bytes", 1 << 20, "--ops-buffer", 0, "--wal-keep", 0)
KEYS = 3000


def contents(node):
    """DBSIZE and the digest, without the LSN: every reign raises it."""
    return node.call("DBSIZE"), node.digest()[1:]


def filled(cluster, name):
    """Compacted, sealed and unsealed pieces of the log, older copies of files on the way, and a clean end."""
    node = cluster.master(*FLAGS, name=name)
    fill(node, KEYS, value_bytes=900)
    fill(node, KEYS // 2, value_bytes=900, seed=2)
    node.call("COMPACT")
    assert node.files("dat")
    fill(node, KEYS // 2, value_bytes=900, prefix="late")
    wait_until(lambda: len([p for p in node.files("wal") if p.with_suffix(".idx").exists()]) >= 1)
    old = node.directory.parent / f"{name}-old"
    node.restart()
    shutil.copytree(node.directory, old)
    for i in range(300):
        node.call("SET", f"last:{i}", "x" * 100)
    return node, old


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    from harness import Cluster

    cluster = Cluster(tmp_path_factory.mktemp("lost"))
    try:
        node, old = filled(cluster, "node")
        right = contents(node)
        node.stop()
        other, _ = filled(cluster, "other")
        other.stop()
        yield node.directory, old, other.directory, right
    finally:
        cluster.end()


class Files:
    """The pieces of one directory, by kind."""

    def __init__(self, directory, old, other):
        self.directory, self.old, self.other = directory, old, other
        # Right after a full sync the store before it may still be there.
        stores = [p for p in directory.iterdir() if re.fullmatch(r"store-\d+", p.name)]
        self.store = max(stores, key=lambda p: int(p.name[len("store-"):]))

    def of(self, ending):
        return sorted(self.store.glob(f"*.{ending}"))

    @property
    def raw(self):
        """Those with records."""
        return [p for p in self.of("wal") if logfile.records(p)]

    @property
    def dirs(self):
        return sorted(self.directory.glob("*.dir"))

    def older(self, path):
        return self.old / path.relative_to(self.directory)

    def foreign(self, ending):
        return sorted(next(p for p in self.other.iterdir() if p.name.startswith("store-")).glob(f"*.{ending}"))


def swap(a, b):
    a.rename(a.with_suffix(".swap"))
    b.rename(a)
    a.with_suffix(".swap").rename(b)


def cut(path, size):
    os.truncate(path, size)


def half(path):
    cut(path, path.stat().st_size // 2)


def ends_in_record(path, part):
    records = logfile.records(path)
    cut(path, records[int(len(records) * part)].offset)


def first_of_foreign(f):
    """A whole file of another data set under the name of the newest segment."""
    shutil.copy(f.foreign("wal")[-1], f.raw[-1])


def unlink_all(paths):
    for path in paths:
        path.unlink()


def only(f, *kept):
    for path in list(f.directory.rglob("*")):
        if path.is_file() and path.name not in kept and path.suffix not in kept:
            path.unlink()


def sealed(f):
    return [p for p in f.raw if p.with_suffix(".idx").exists()]


# What happens to the files, and whether the data must be right (True), or the start may as well be refused (None), or must
# be (False).
KINDS = {
    "newest segment missing": (False, lambda f: f.raw[-1].unlink()),
    "newest segment of no bytes": (False, lambda f: cut(f.raw[-1], 0)),
    "newest segment of 40 bytes": (False, lambda f: cut(f.raw[-1], 40)),
    "newest segment of its header": (False, lambda f: cut(f.raw[-1], 64)),
    "newest segment of half its records": (False, lambda f: ends_in_record(f.raw[-1], 0.5)),
    "newest segment without its last record": (False, lambda f: ends_in_record(f.raw[-1], 0.999)),
    "newest segment of zeros": (False, lambda f: f.raw[-1].write_bytes(bytes(f.raw[-1].stat().st_size))),
    "the two newest missing": (False, lambda f: unlink_all(f.raw[-2:])),
    "the two newest and their index files missing": (
        False, lambda f: unlink_all([p for r in f.raw[-2:] for p in (r, r.with_suffix(".idx")) if p.exists()])),
    "all segments missing": (False, lambda f: unlink_all(f.of("wal"))),
    "an older copy of the newest segment": (False, lambda f: shutil.copy(f.older(f.raw[-1]), f.raw[-1])),
    "a sealed segment missing": (False, lambda f: sealed(f)[0].unlink()),
    "a sealed segment cut": (False, lambda f: half(sealed(f)[-1])),
    "a sealed segment of no bytes": (False, lambda f: cut(sealed(f)[-1], 0)),
    "a data file missing": (False, lambda f: f.of("dat")[0].unlink()),
    "a data file cut": (False, lambda f: half(f.of("dat")[0])),
    "all data files missing": (False, lambda f: unlink_all(f.of("dat"))),
    "an index file missing": (True, lambda f: f.of("idx")[0].unlink()),
    "an index file cut": (True, lambda f: half(f.of("idx")[0])),
    "all index files missing": (True, lambda f: unlink_all(f.of("idx"))),
    "index files swapped": (True, lambda f: swap(*f.of("idx")[:2])),
    "an index file of another data set": (True, lambda f: shutil.copy(f.foreign("idx")[0], f.of("idx")[0])),
    "newest generation missing": (True, lambda f: f.dirs[-1].unlink()),
    "newest generation cut": (True, lambda f: half(f.dirs[-1])),
    "all but the oldest generation missing": (None, lambda f: unlink_all(f.dirs[1:])),
    "all generations missing": (False, lambda f: unlink_all(f.dirs)),
    "an older copy of a generation": (None, lambda f: shutil.copy(sorted(f.old.glob("*.dir"))[-1], f.dirs[-1])),
    "a generation under another's name": (True, lambda f: shutil.copy(f.dirs[-2], f.dirs[-1])),
    "the store missing": (False, lambda f: shutil.rmtree(f.store)),
    "the store emptied": (False, lambda f: unlink_all(list(f.store.iterdir()))),
    "an older copy of the store": (False, lambda f: (shutil.rmtree(f.store), shutil.copytree(f.older(f.store), f.store))),
    "the store of another data set": (
        False, lambda f: (shutil.rmtree(f.store), shutil.copytree(f.foreign("wal")[0].parent, f.store))),
    "segments swapped": (False, lambda f: swap(*f.raw[-2:])),
    "a segment of another data set": (False, first_of_foreign),
    "a segment of another data set beside": (
        None, lambda f: shutil.copy(f.foreign("wal")[-1], f.store / "00000000000000999999.wal")),
    "a segment twice": (None, lambda f: shutil.copy(f.raw[-1], f.store / "00000000000000999999.wal")),
    "a data file of another data set": (False, lambda f: shutil.copy(f.foreign("dat")[0], f.of("dat")[0])),
    "an older data file beside": (
        True, lambda f: shutil.copy(f.of("dat")[0], f.store / re.sub(r"-\d+", "-999999", f.of("dat")[0].name))),
    "the note of the end missing": (True, lambda f: (f.directory / "reach").unlink()),
    "the note of the end of no bytes": (True, lambda f: cut(f.directory / "reach", 0)),
    "the note of the end of another node": (True, lambda f: shutil.copy(f.other / "reach", f.directory / "reach")),
    "an older note of the end": (True, lambda f: shutil.copy(f.old / "reach", f.directory / "reach")),
    "the note and the newest segment missing": (
        False, lambda f: ((f.directory / "reach").unlink(), f.raw[-1].unlink())),
    "nothing but the generations": (False, lambda f: only(f, ".dir")),
    "nothing but the note": (False, lambda f: only(f, "reach")),
    "nothing but one segment": (False, lambda f: only(f, f.raw[-1].name)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_end(cluster, prepared, kind):
    directory, old, other, right = prepared
    expected, lose = KINDS[kind]
    node = cluster.master(*FLAGS, start=False)
    shutil.copytree(directory, node.directory, dirs_exist_ok=True)
    lose(Files(node.directory, old, other))
    node.spawn()
    wait_until(lambda: not node.running or answers(node))
    text = node.log_since_start()
    assert "begun and never synced" not in text, text
    if node.running:
        assert contents(node) == right, text
        assert expected is not False, f"it starts, and the data is right: {text}"
    else:
        assert expected is not True, text
        assert re.search(r"missing|damaged|another data set|no generation|not a Paceline data directory|ends after", text), text


def answers(node):
    try:
        return node.call("PING") == b"PONG"
    except OSError:
        return False


@pytest.mark.parametrize("durability", ["fsync", "interval", "none"])
def test_after_a_kill_what_was_noted_counts(cluster, durability):
    """Within a second it is written down how far the log went, as far as that is on disk."""
    node = cluster.master("--durability", durability, "--fsync-interval", 100)
    for i in range(200):
        node.call("SET", f"key:{i}", "value")
    if durability == "none":
        node.call("SAVE")
    end = node.last_lsn()
    wait_until(lambda: logfile.reach(node.directory) >= end)
    node.kill()
    path = [p for p in node.files("wal") if logfile.records(p)][-1]
    records = logfile.records(path)
    keep = path.read_bytes()
    cut(path, records[100].offset)
    node.spawn()
    assert node.wait_exit() == 1
    text = node.log_since_start()
    assert path.name in text and re.search(r"LSNs 101 to \d+ cannot be used", text), text
    path.write_bytes(keep)
    node.start()
    assert node.call("DBSIZE") == 200


def test_another_node_has_what_is_lost(cluster):
    """The newest segment, then a compacted file, then all of the store: fetched from the master."""
    master = cluster.master(*FLAGS)
    slave = cluster.slave(master, *FLAGS)
    fill(master, KEYS, value_bytes=900)
    fill(master, KEYS // 2, value_bytes=900, seed=2)
    in_sync(master, slave)
    slave.call("COMPACT")
    for lose in [
        lambda f: f.raw[-1].unlink(),
        lambda f: unlink_all(f.of("dat") + sealed(f)),
        lambda f: shutil.rmtree(f.store),
    ]:
        in_sync(master, slave)
        slave.stop()
        lose(Files(slave.directory, slave.directory, slave.directory))
        slave.start()
        slave.said("THE LOG WAS CUT BEFORE DAMAGE")
        in_sync(master, slave)
        same_state(master, slave)
        slave.call("COMPACT")
