"""A Redis user must not notice a difference: the same lines to Paceline and to redis-server 7.0, raw replies compared.

Every subject of differential_cases.py runs in RESP2 and in RESP3; then a seeded generator mixes commands over few keys.
Where a reply may differ, DIFFERENCES says how and why. Anything else is a failure that shows both replies.
"""

import random
import re

import pytest

from differential_cases import FAR, SUBJECTS
from wire import ErrorReply, parse, shape

# How a line's replies are compared when not byte for byte: (pattern of the line, comparison, reason). First match counts.
DIFFERENCES = [
    (r"KEYS", "unordered", "the order of keys is no promise of either server"),
    (r"COMMAND LIST", "names", "Redis has commands that are not here, and we have a few of our own; in any order"),
    (r"(TTL|EXPIRETIME) ", "near 1", "seconds: the two servers get the line at different moments"),
    (r"(PTTL|PEXPIRETIME) ", "near 1500", "milliseconds: likewise"),
    (r"RANDOMKEY|SCAN 0$|SCAN 0 (COUNT|MATCH|TYPE) ", "shape", "any key or cursor will do; the whole iteration is compared in its own test"),
    (r"SCAN [1-9]\d*$", "shape", "a cursor means nothing to another server"),
    (r"CLIENT (ID|INFO|LIST)", "shape", "ids, addresses and times"),
    (r"CLIENT HELP|HELP", "shape", "help is ours"),
    (r"TIME$|LASTSAVE$|MEMORY USAGE|OBJECT IDLETIME", "shape", "clock and memory"),
    (r"OBJECT REFCOUNT", "shape", "nothing is shared here; Redis shares small numbers"),
    (r"HELLO", "shape", "version and connection id; errors are compared exactly"),
    (r"COMMAND (COUNT|INFO|DOCS)", "command table", "the table has our commands, without key specifications and tips"),
    (r"CONFIG GET \*", "shape", "different settings"),
    (r"INFO", "shape", "different values"),
    (r"SLOWLOG GET|LATENCY", "shape", "what was slow differs"),
    (r"ROLE$", "shape", "offsets"),
    (r"(REPLICAOF|SLAVEOF) (?!NO ONE)", "code", "the refusal names what a paceline node accepts"),
    (r"DEBUG", "code", "only DEBUG SLEEP exists here"),
    (r"SHUTDOWN", "code", "options of the shutdown differ"),
    (r"SAVE|BGSAVE", "code", "a save is a new generation here, and has no schedule"),
]

# Commands that Redis 7.0 has not: ours, and two of later versions that clients send.
OWN_COMMANDS = {
    b"digest", b"lastlsn", b"waitlsn", b"ms_register_slave", b"ms_sync_slave", b"ms_plan", b"ms_slaves", b"compact",
    b"scrub", b"ms_fetch_records", b"ms_digest_partitions", b"ms_partition_records", b"commit", b"table", b"read",
    b"waitaof", b"promote", b"ms_voter", b"ms_vote", b"ms_state", b"ms_new_master", b"ms_forward",
    b"ms_new_data_set", b"ms_replaced",
}
OWN_COMMANDS |= {b"client|setinfo", b"client|no-touch"}


def split(line):
    """Words of a line with Redis's own quoting rules (sdssplitargs)."""
    if isinstance(line, tuple):
        return [part.encode() if isinstance(part, str) else part for part in line]
    words, at, text = [], 0, line.encode("latin-1")
    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
    while at < len(text):
        if text[at : at + 1].isspace():
            at += 1
            continue
        word, quote = b"", b""
        while at < len(text):
            char = text[at : at + 1]
            if quote == b'"' and char == b"\\" and text[at + 1 : at + 2] == b"x":
                word += bytes([int(text[at + 2 : at + 4], 16)])
                at += 4
                continue
            if quote == b'"' and char == b"\\":
                word += escapes.get(text[at + 1 : at + 2], text[at + 1 : at + 2])
                at += 2
                continue
            at += 1
            if quote:
                if char == quote:
                    break
                word += char
            elif char in b"\"'" and not word:
                quote = char
            elif char.isspace():
                break
            else:
                word += char
        words.append(word)
    return words


def comparison(line):
    text = " ".join(line) if isinstance(line, tuple) else line
    text = re.sub(r"^@2 ", "", text).strip().upper()
    for pattern, how, _ in DIFFERENCES:
        if re.match(pattern, text):
            return how
    return "exact"


def same(line, ours, theirs, how=None):
    """Whether two raw replies to one line count as the same."""
    if ours == theirs:
        return True
    how = how or comparison(line)
    if how == "exact":
        return False
    a, b = parse(ours), parse(theirs)
    if isinstance(a, ErrorReply) or isinstance(b, ErrorReply):
        return how == "code" and shape(ours) == shape(theirs)
    if how == "unordered":
        return ours[:1] == theirs[:1] and sorted(a) == sorted(b)
    if how == "names":
        return ours[:1] == theirs[:1] and len(set(a)) == len(a) and set(a) - OWN_COMMANDS <= set(b)
    if how.startswith("near"):
        return a >= 0 and b >= 0 and abs(a - b) <= int(how.split()[1])
    if how == "command table":
        return _same_commands(a, b)
    return shape(ours) == shape(theirs)


def _same_commands(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, int):
        return a > 0
    if isinstance(a, dict):
        return a.keys() == b.keys()
    if a is None or len(a) != len(b):
        return a == b
    for ours, theirs in zip(a, b):
        if ours is None or theirs is None:
            if ours is not theirs:
                return False
        elif [*ours[:2], *ours[3:6]] != [*theirs[:2], *theirs[3:6]] or not {b"write", b"readonly", b"fast", b"denyoom"} & set(
            ours[2]
        ) == {b"write", b"readonly", b"fast", b"denyoom"} & set(theirs[2]):
            return False
    return True


class Pair:
    """The two servers, with two connections to each, all speaking the same protocol."""

    def __init__(self, ours, theirs):
        self.servers = (ours, theirs)
        self.wires = [[s.wire() for s in self.servers] for _ in range(2)]

    def reset(self, protocol):
        for wires in self.wires:
            for wire in wires:
                wire.call("RESET")
                wire.call("HELLO", protocol)
        for wire in self.wires[0]:
            assert wire.call("FLUSHALL") == b"+OK\r\n"

    def run(self, lines):
        """Sends the lines to both, in batches; gives (line, ours, theirs)."""
        lines, at = list(lines), 0
        while at < len(lines):
            second = isinstance(lines[at], str) and lines[at].startswith("@2 ")
            end = at + 1
            while not second and end < len(lines) and end - at < 300 and not (isinstance(lines[end], str) and lines[end].startswith("@2 ")):
                end += 1
            batch = lines[at:end]
            commands = [split(line[3:] if second else line) for line in batch]
            ours, theirs = (wire.pipeline(commands) for wire in self.wires[second])
            yield from zip(batch, ours, theirs)
            at = end

    def close(self):
        for wires in self.wires:
            for wire in wires:
                wire.close()


@pytest.fixture(scope="module")
def servers(shared):
    return shared.master("--durability", "none"), shared.redis()


@pytest.fixture
def pair(servers):
    pair = Pair(*servers)
    yield pair
    pair.close()


def report(differences, total):
    shown = "\n".join(f"  {line}\n    ours  {ours[:300]!r}\n    redis {theirs[:300]!r}" for line, ours, theirs in differences[:25])
    return f"{len(differences)} of {total} lines answered differently; the first:\n{shown}"


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_replies_are_those_of_redis(pair, subject, protocol):
    pair.reset(protocol)
    total, differences = 0, []
    for line, ours, theirs in pair.run(SUBJECTS[subject]()):
        total += 1
        if not same(line, ours, theirs):
            differences.append((line, ours, theirs))
    assert not differences, report(differences, total)


def test_there_are_thousands_of_lines():
    assert sum(len(list(lines())) for lines in SUBJECTS.values()) > 10_000


def iterate(wire, *options):
    """A complete SCAN: every key that came, and how often a cursor was given."""
    keys, cursor = set(), b"0"
    for _ in range(10_000):
        cursor, some = wire.ask("SCAN", cursor, *options)
        keys.update(some)
        if cursor == b"0":
            return keys
    raise AssertionError("SCAN does not come to its end")


@pytest.mark.parametrize("protocol", [2, 3])
def test_scan_finds_the_same_keys(pair, protocol):
    pair.reset(protocol)
    ours, theirs = pair.wires[0]
    for wire in (ours, theirs):
        wire.pipeline([["MSET", *(f"{kind}:{i}" if j == 0 else i for j in range(2))] for kind in ("user", "item") for i in range(700)])
        wire.pipeline([["SET", f"old:{i}", 1, "PXAT", 1] for i in range(50)])
        assert len(iterate(wire)) == 1400
    for options in (
        [], ["COUNT", 1], ["COUNT", 10000], ["MATCH", "user:1*"], ["MATCH", "*:?"], ["TYPE", "string"], ["TYPE", "hash"],
        ["TYPE", "STRING", "MATCH", "item:*", "COUNT", 7], ["MATCH", "none*"], ["count", 50, "match", "*9"], ["TYPE", "nosuch"],
    ):  # fmt: skip
        assert iterate(ours, *options) == iterate(theirs, *options), options


def test_scan_returns_keys_that_stay_while_others_change(pair):
    """Redis's promise: a key that is there from the first to the last call is returned."""
    pair.reset(2)
    wire, writer = pair.wires[0][0], pair.wires[1][0]
    writer.pipeline([["SET", f"stay:{i}", i] for i in range(2000)])
    seen, cursor, step = set(), b"0", 0
    while True:
        cursor, some = wire.ask("SCAN", cursor, "COUNT", 20)
        seen.update(some)
        if cursor == b"0":
            break
        writer.pipeline([["SET", f"new:{step}:{i}", i] for i in range(50)] + [["DEL", f"new:{step - 3}:{i}"] for i in range(50)])
        step += 1
        assert step < 10_000
    assert {b"stay:%d" % i for i in range(2000)} <= seen


class Generator:
    """Random commands over few keys, so that they meet. Expiries are moments far away or past: no reply depends on now.

    Redis counts an expired key until something touches it, Paceline never: EXISTS of all keys goes before DBSIZE.
    """

    KEYS = ["k0", "k1", "k2", "k3", "", "\x00k"]
    VALUES = ["", "0", "1", "-7", "42", "3.25", "abc", "hello world", "\xff\x00\xfe", "9223372036854775807", "x" * 70]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def key(self):
        return self.random.choice(self.KEYS)

    def value(self):
        return self.random.choice(self.VALUES)

    def number(self):
        return str(self.random.choice([0, 1, 2, -1, -2, 5, 17, 100, -100, 10**6, 2**31, 2**63 - 1, -(2**63)]))

    def small(self):
        return str(self.random.choice([0, 1, 2, 3, 8, 15, 31, 64, -1, -2, -5]))

    def expiry(self):
        return self.random.choice([["EXAT", str(FAR)], ["EXAT", str(FAR + 9)], ["PXAT", f"{FAR}555"], ["EXAT", "1"]])

    def commands(self):
        command = self.command()
        return [["EXISTS", *self.KEYS], command] if command == ["DBSIZE"] else [command]

    def command(self):
        r, k, v, n, s = self.random, self.key(), self.value(), self.number(), self.small()
        flags = r.sample(["NX", "XX", "GT", "LT"], r.choice([0, 0, 0, 1, 1, 2]))
        unit = r.choice([[], ["BYTE"], ["BIT"]])
        ends = [self.small(), self.small(), *unit] if r.random() < 0.6 else []
        return r.choice(
            [
                lambda: ["SET", k, v, *(self.expiry() if r.random() < 0.3 else []), *r.sample(["NX", "XX", "GET", "KEEPTTL"], r.choice([0, 0, 1, 2]))],
                lambda: ["SET", k, v],
                lambda: ["GET", k],
                lambda: [r.choice(["SETNX", "GETSET", "APPEND"]), k, v],
                lambda: [r.choice(["GETDEL", "STRLEN", "TYPE", "INCR", "DECR", "PERSIST", "BITCOUNT", "PEXPIRETIME"]), k],
                lambda: ["GETEX", k, *(self.expiry() if r.random() < 0.5 else r.choice([[], ["PERSIST"]]))],
                lambda: [r.choice(["MGET", "DEL", "UNLINK", "EXISTS", "TOUCH"]), *(self.key() for _ in range(r.randint(1, 4)))],
                lambda: [r.choice(["MSET", "MSETNX"]), *(f() for _ in range(r.randint(1, 3)) for f in (self.key, self.value))],
                lambda: [r.choice(["INCRBY", "DECRBY"]), k, n],
                lambda: ["INCRBYFLOAT", k, r.choice(["1.5", "-0.25", "3", "100", "0", "abc"])],
                lambda: [r.choice(["GETRANGE", "SUBSTR"]), k, s, self.small()],
                lambda: ["SETRANGE", k, str(r.choice([0, 1, 5, 40])), v],
                lambda: ["SETBIT", k, str(r.choice([0, 1, 7, 8, 100])), r.choice("01")],
                lambda: ["GETBIT", k, s],
                lambda: ["BITCOUNT", k, *ends],
                lambda: ["BITPOS", k, r.choice("01"), *ends],
                lambda: ["BITOP", r.choice(["AND", "OR", "XOR"]), self.key(), k, self.key()],
                lambda: ["BITOP", "NOT", self.key(), k],
                lambda: ["LCS", k, self.key(), *r.choice([[], ["LEN"], ["IDX"], ["IDX", "WITHMATCHLEN"]])],
                lambda: ["EXPIREAT", k, r.choice([str(FAR), str(FAR + 9), "-1"]), *flags],
                lambda: ["PEXPIREAT", k, r.choice([f"{FAR}000", f"{FAR + 5}000", "1"]), *flags],
                lambda: [r.choice(["RENAME", "RENAMENX"]), k, self.key()],
                lambda: ["COPY", k, self.key(), *r.choice([[], ["REPLACE"], ["DB", "1"], ["DB", "1", "REPLACE"]])],
                lambda: ["MOVE", k, r.choice("01")],
                lambda: ["SELECT", r.choice(["0", "0", "0", "1"])],
                lambda: ["SWAPDB", "0", "1"] if r.random() < 0.2 else ["DBSIZE"],
                lambda: ["FLUSHDB"] if r.random() < 0.05 else ["EXISTS", k],
                lambda: [r.choice(["MULTI", "EXEC", "EXEC", "DISCARD"])],
                lambda: r.choice([["WATCH", k], ["UNWATCH"]]),
            ]
        )()


def in_latin(command):
    return tuple(part.encode("latin-1") for part in command)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_commands_give_the_same_replies_and_the_same_state(pair, seed):
    pair.reset(2 + seed % 2)
    generator = Generator(seed)
    history = []
    for _ in range(15):
        batch = [in_latin(command) for _ in range(200) for command in generator.commands()]
        ours, theirs = (wire.pipeline(batch) for wire in pair.wires[0])
        for command, a, b in zip(batch, ours, theirs):
            line = " ".join(part.decode("latin-1") for part in command)
            history.append(line)
            assert a == b, f"seed {seed}: {line!r}\n ours  {a!r}\n redis {b!r}\nbefore it:\n" + "\n".join(map(repr, history[-15:]))
    state = [("DISCARD",), ("UNWATCH",)] + [
        c for db in "01" for c in (("SELECT", db), *(("GET", k.encode("latin-1")) for k in Generator.KEYS), ("DBSIZE",), ("KEYS", "*"))
    ]
    for line, a, b in pair.run(state):
        assert same(tuple(str(p) for p in line), a, b, "unordered" if line[0] == "KEYS" else None), (line, a, b)


def test_expired_keys_are_gone_for_every_command(pair):
    pair.reset(2)
    for wire in pair.wires[0]:
        wire.pipeline([["SET", f"k{i}", i, "PX", 30] for i in range(40)])
        while wire.ask("EXISTS", *(f"k{i}" for i in range(40))):
            pass
    lines = [
        "GET k0", "STRLEN k1", "TTL k2", "TYPE k3", "DBSIZE", "KEYS *", "RANDOMKEY", "RENAME k4 x", "COPY k5 x", "APPEND k6 x", "GET k6",
        "TTL k6", "INCR k7", "SETNX k8 v", "GETSET k9 v", "GETDEL k10", "SET k11 v XX", "SET k12 v KEEPTTL", "TTL k12", "PERSIST k13",
        "EXPIRE k14 100", "MOVE k15 1", "SETRANGE k16 2 x", "GETEX k17", "DEL k18", "UNLINK k19", "TOUCH k20", "MSETNX k21 1 k22 2",
        "SETBIT k23 1 1", "BITOP OR d k24 k25", "LCS k26 k27", "OBJECT ENCODING k28", "MGET k29 k30", "GETRANGE k31 0 -1", "KEYS *", "DBSIZE",
    ]  # fmt: skip
    differences = [d for d in pair.run(lines) if not same(*d) and not d[0].startswith("DBSIZE")]
    assert not differences, report(differences, len(lines))


def test_authentication_errors(shared):
    pair = Pair(shared.master("--requirepass", "sesame", name="locked"), shared.redis("--requirepass", "sesame", name="locked-redis"))
    lines = """
        GET a
        PING
        SET a 1
        NOSUCH
        GET
        SELECT 1
        CLIENT ID
        CONFIG GET requirepass
        HELLO
        HELLO 2
        HELLO 3
        HELLO 9
        HELLO 3 SETNAME x
        HELLO 3 AUTH default wrong
        HELLO 3 AUTH other sesame
        AUTH
        AUTH wrong
        AUTH default wrong
        AUTH nobody sesame
        AUTH a b c
        RESET
        GET a
        AUTH sesame
        GET a
        RESET
        GET a
        AUTH default sesame
        GET a
        RESET
        HELLO 2 AUTH default sesame SETNAME me
        CLIENT GETNAME
        GET a
        CONFIG GET requirepass
    """
    differences = []
    for line, ours, theirs in pair.run([line.strip() for line in lines.strip().splitlines()]):
        # BAD-INPUT.md: before authentication everything is answered NOAUTH, also what Redis calls unknown or malformed.
        stricter = ours.startswith(b"-NOAUTH") and line in ("NOSUCH", "GET", "HELLO 9", "PING")
        if not (stricter or same(line, ours, theirs)):
            differences.append((line, ours, theirs))
    pair.close()
    assert not differences, report(differences, 31)


def test_quit_answers_and_closes(servers):
    for server in servers:
        for line in (b"QUIT\r\n", b"*1\r\n$4\r\nquit\r\n"):
            with server.wire() as wire:
                wire.send(line + b"PING\r\n")
                assert wire.until_closed() == b"+OK\r\n"


def test_client_reply_off_and_skip(servers):
    for server in servers:
        with server.wire() as wire:
            wire.send(b"CLIENT REPLY OFF\r\nPING\r\nSET off 1\r\nCLIENT REPLY ON\r\nPING\r\n")
            assert [wire.reply(), wire.reply()] == [b"+OK\r\n", b"+PONG\r\n"]
            wire.send(b"CLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n")
            assert wire.reply() == b"$1\r\nx\r\n"
            assert wire.ask("GET", "off") == b"1"
