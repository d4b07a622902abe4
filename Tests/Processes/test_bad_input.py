"""Odd and hostile bytes against the running server (the table of BAD-INPUT.md).

Whatever comes: the process lives, answers others, holds little, and changes nothing that was not named.
Rows with `redis=True` are also run on redis-server, so the expectation itself is checked.
"""

import os
import random
import socket
import struct
import subprocess
from dataclasses import dataclass

import pytest

from harness import STAND_IN, wait_until
from wire import Closed, ErrorReply, Wire, encode

OPEN, CLOSED, WAITS = "stays open", "closed", "waits for more"
PROTOCOL = b"-ERR Protocol error: "


@dataclass
class Row:
    name: str
    bytes: bytes
    answer: bytes  # the whole answer, or its beginning when it ends in "..."
    then: str
    redis: bool = True


def bulk(length):
    return b"*2\r\n$3\r\nGET\r\n$" + length + b"\r\n"


ROWS = [
    Row("empty line", b"\r\n", b"", OPEN),
    Row("lone newline", b"\n", b"", OPEN),
    Row("empty array", b"*0\r\n", b"", OPEN),
    Row("null array", b"*-1\r\n", b"", OPEN),
    Row("zero byte line", b"\x00\r\n", b"", WAITS),
    Row("negative array, then PING", b"*-10\r\n*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", OPEN),
    Row("inline without CR", b"PING\n", b"+PONG\r\n", OPEN),
    Row("inline with blanks", b"   PING  \r\n", b"+PONG\r\n", OPEN),
    Row("inline quotes", b"ECHO \"a\\x41 b\"\r\n", b"$4\r\naA b\r\n", OPEN),
    Row("endless inline", b"A" * 70000, PROTOCOL + b"too big inline request\r\n", CLOSED),
    Row("unbalanced quotes", b'SET "k v\r\n', PROTOCOL + b"unbalanced quotes in request\r\n", CLOSED),
    *(
        Row(f"array count {count!r}", b"*" + count + b"\r\n", PROTOCOL + b"invalid multibulk length\r\n", CLOSED)
        for count in (b"3000000000", b"2147483648", b"9223372036854775808", b"abc", b"", b"+1", b"01", b" 1", b"1 ", b"1x", b"-")
    ),
    Row("array of 2^31-1", b"*2147483647\r\n", PROTOCOL + b"invalid multibulk length\r\n", CLOSED, redis=False),
    Row("array of a million", b"*1000000\r\n", b"", WAITS),
    Row("array count without CR", b"*1\n$4\nPING\n", b"", WAITS),
    Row("endless array count", b"*1" + b"0" * 70000, PROTOCOL + b"too big mbulk count string\r\n", CLOSED),
    Row("endless zero count", b"*\x00" + b"0" * 70000, PROTOCOL + b"too big mbulk count string\r\n", CLOSED),
    Row("endless bulk count", b"*1\r\n$1" + b"0" * 70000, PROTOCOL + b"too big bulk count string\r\n", CLOSED),
    Row("word instead of bulk", b"*1\r\nfoo\r\n", PROTOCOL + b"expected '$', got 'f'\r\n", CLOSED),
    Row("array instead of bulk", b"*1\r\n*1\r\n$4\r\nPING\r\n", PROTOCOL + b"expected '$', got '*'\r\n", CLOSED),
    Row("number instead of bulk", b"*2\r\n$4\r\nECHO\r\n:5\r\n", PROTOCOL + b"expected '$', got ':'\r\n", CLOSED),
    *(
        Row(f"bulk length {length!r}", bulk(length), PROTOCOL + b"invalid bulk length\r\n", CLOSED)
        for length in (b"-10", b"-1", b"blabla", b"", b"04", b"2000000000", b"536870913", b"9223372036854775808", b"+4", b" 4")
    ),
    Row("terminator overwritten", b"*1\r\n$4\r\nPINGXX*1\r\n$4\r\nPING\r\n", PROTOCOL + b"...", CLOSED, redis=False),
    Row("bulk longer than told", b"*1\r\n$4\r\nPINGPONG\r\n", PROTOCOL + b"...", CLOSED, redis=False),
    Row("empty command", b"*1\r\n$0\r\n\r\n", b"-ERR unknown command '', with args beginning with: \r\n", OPEN),
    Row("CR LF in a command name", b"*1\r\n$6\r\nfo\r\nba\r\n", b"-ERR unknown command 'fo  ba', with args beginning with: \r\n", OPEN),
    Row("CR LF in an argument", encode("nosuch", "a\r\n+OK\r\n"), b"-ERR unknown command 'nosuch', with args beginning with: 'a  +OK  ' \r\n", OPEN),
    Row("CR LF in ECHO", encode("ECHO", "\r\n-ERR\r\n"), b"$8\r\n\r\n-ERR\r\n\r\n", OPEN),
    Row("long command name", encode("x" * 300), b"-ERR unknown command '" + b"x" * 128 + b"', with args beginning with: \r\n", OPEN),
    Row("HELLO 4", b"HELLO 4\r\n", b"-NOPROTO unsupported protocol version\r\n", OPEN),
    Row("HELLO x", b"HELLO x\r\n", b"-ERR Protocol version is not an integer or out of range\r\n", OPEN),
    Row("HTTP GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", CLOSED, redis=False),
    Row("HTTP POST", b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET http 1\r\n", b"", CLOSED),
    Row("HTTP host header", b"Host: x\r\nSET http 1\r\n", b"", CLOSED),
    Row("TLS hello", bytes.fromhex("16030100c8010000c40303") + bytes(range(200)), b"", CLOSED, redis=False),
    Row("SETRANGE beyond", encode("SETRANGE", "k", 4294967296, "x"), b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", OPEN),
    Row("SETRANGE before", encode("SETRANGE", "k", -1, "x"), b"-ERR offset is out of range\r\n", OPEN),
    Row("INCR overflow", encode("SET", "n", 2**63 - 1) + encode("INCR", "n"), b"+OK\r\n-ERR increment or decrement would overflow\r\n", OPEN),
    Row("DECRBY of the smallest", encode("SET", "n", 0) + encode("DECRBY", "n", -(2**63)), b"+OK\r\n-ERR decrement would overflow\r\n", OPEN),
    Row("GETRANGE extremes", encode("SET", "r", "abc") + encode("GETRANGE", "r", -(2**63), 2**63 - 1), b"+OK\r\n$3\r\nabc\r\n", OPEN),
    Row("SET EX 0", encode("SET", "k", "v", "EX", 0), b"-ERR invalid expire time in 'set' command\r\n", OPEN),
    Row("SET EX greatest", encode("SET", "k", "v", "EX", 2**63 - 1), b"-ERR invalid expire time in 'set' command\r\n", OPEN),
    Row("EXPIRE greatest", encode("EXPIRE", "r", 2**63 - 1), b"-ERR invalid expire time in 'expire' command\r\n", OPEN),
    Row("PEXPIRE smallest", encode("SET", "q", 1) + encode("PEXPIRE", "q", -(2**63)), b"+OK\r\n...", OPEN),
    Row("SELECT greatest", encode("SELECT", 2**63 - 1), b"-ERR ...", OPEN),
    Row("SCAN greatest count", encode("SCAN", 0, "COUNT", 2**63 - 1), b"*2\r\n...", OPEN),
    Row("WAIT before now", encode("WAIT", 0, -1), b"-ERR timeout is negative\r\n", OPEN),
]  # fmt: skip

OURS_ONLY = [
    Row("map instead of array", b"%1\r\n$4\r\nPING\r\n$1\r\nx\r\n", b"-ERR ...", OPEN, redis=False),
    Row("reply instead of command", b"+PING\r\n", b"-ERR ...", OPEN, redis=False),
]


@pytest.fixture(scope="module")
def server(shared):
    return shared.master("--durability", "none", name="bad-input")


@pytest.fixture(autouse=True)
def nothing_else_changed(request):
    """After every test the server lives, and a key that nobody named has its value."""
    if "server" not in request.fixturenames:
        yield
        return
    server = request.getfixturevalue("server")
    server.call("SET", "bystander", "unharmed")
    yield
    assert server.running
    with server.wire() as wire:
        assert wire.ask("GET", "bystander") == b"unharmed"


def check(port, row, data_in_pieces=None):
    with Wire(port) as wire:
        for piece in data_in_pieces or [row.bytes]:
            try:
                wire.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        exact = not row.answer.endswith(b"...")
        wanted = row.answer.removesuffix(b"...")
        if row.then == CLOSED:
            got = wire.until_closed()
        elif row.then == WAITS:
            wire.socket.settimeout(0.15)
            with pytest.raises(TimeoutError):
                wire.reply()
            return
        else:
            wire.send(encode("ECHO", "the-end"))
            wire.socket.settimeout(60)
            got = b""
            while not got.endswith(b"$7\r\nthe-end\r\n"):
                more = wire.socket.recv(1 << 16)
                assert more, f"{row.name}: closed after {got!r}"
                got += more
            got = got.removesuffix(b"$7\r\nthe-end\r\n")
        assert got == wanted if exact else got.startswith(wanted), f"{row.name}: got {got[:300]!r}, wanted {row.answer!r}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_row(server, row):
    if STAND_IN and not row.redis:
        pytest.skip("differs from Redis on purpose")
    check(server.port, row)


@pytest.mark.parametrize("row", OURS_ONLY, ids=lambda row: row.name.replace(" ", "-"))
def test_what_is_no_command_gets_an_error(server, row):
    with server.wire() as wire:
        wire.send(row.bytes)
        assert wire.reply().startswith(b"-")


def test_the_table_is_right_about_redis(shared):
    redis = shared.redis()
    for row in ROWS:
        if row.redis:
            check(redis.port, row)


@pytest.mark.parametrize("row", [r for r in ROWS if len(r.bytes) < 300 and r.then != WAITS], ids=lambda row: row.name.replace(" ", "-"))
def test_row_cut_at_every_byte(server, row):
    """The same answer when every byte comes in a segment of its own."""
    if STAND_IN and not row.redis:
        pytest.skip("differs from Redis on purpose")
    check(server.port, row, [row.bytes[i : i + 1] for i in range(len(row.bytes))])


def test_ten_thousand_pipelined_commands_in_odd_pieces(server):
    commands = [encode("ECHO", f"{i}" * (i % 7)) for i in range(10_000)]
    stream, rng = b"".join(commands), random.Random(7)
    with server.wire() as wire:
        at = 0
        for i in range(10_000):
            while at < len(stream) and at < (i + 1000) * len(stream) // 10_000:
                size = rng.choice([1, 2, 3, 100, 1000, 5000])
                wire.send(stream[at : at + size])
                at += size
            assert wire.value() == f"{i}".encode() * (i % 7)


def test_random_bytes(server):
    """Bytes near the grammar: the server answers or closes, and lives."""
    rng = random.Random(11)
    alphabet = [b"*", b"$", b"\r\n", b"\n", b"\r", b"1", b"3", b"-", b"0", b"GET", b"SET", b"k", b"\x00", b"\xff", b'"', b"'", b" ", b"4294967296"]
    for _ in range(300):
        with server.wire() as wire:
            wire.send(b"".join(rng.choice(alphabet) for _ in range(rng.randint(1, 60))))
            wire.socket.shutdown(socket.SHUT_WR)
            wire.until_closed()


def test_announced_sizes_reserve_nothing(server):
    before = server.memory()
    wires = [server.wire() for _ in range(100)]
    for i, wire in enumerate(wires):
        wire.send([b"*1000000\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n", b"*1000\r\n$65536\r\n", b"*2\r\n$3\r\nGET\r\n$536870912\r\n"][i % 4])
    assert server.call("PING")
    grown = server.memory() - before
    for wire in wires:
        wire.close()
    assert grown < 16 << 20, f"{grown} bytes for announcements alone"


def test_client_that_never_reads_is_bounded(server):
    """Replies that nobody reads: the server stops reading or closes, and holds little."""
    if STAND_IN:
        pytest.skip("Redis holds gigabytes here")
    server.call("SET", "big", os.urandom(512 * 1024))
    before = server.memory()
    wires = [server.wire(receive_buffer=4096) for _ in range(4)]
    asking, closed = encode("GET", "big") * 100, 0
    for wire in wires:
        wire.socket.settimeout(0.3)
        try:
            for _ in range(2000):
                wire.send(asking)
        except TimeoutError:
            pass  # back-pressure
        except OSError:
            closed += 1
    assert server.call("PING")
    grown = server.memory() - before
    for wire in wires:
        wire.close()
    server.call("DEL", "big")
    assert grown < 300 << 20, f"{grown >> 20} MiB held for 4 clients that do not read ({closed} were closed)"


def test_client_that_resets_the_link_in_the_middle_of_everything(server):
    """Replies that cannot be sent any more, commands that still come, the last one cut: the server drops it all, and lives."""
    rng = random.Random(13)
    server.call("SET", "big", os.urandom(100_000))
    for _ in range(60):
        with server.wire(receive_buffer=4096) as wire:
            wire.socket.settimeout(0.05)
            commands = encode("GET", "big") * rng.randint(1, 20) + encode("SET", "cut", b"v" * rng.randint(1, 90_000))
            try:
                while rng.random() < 0.9:
                    wire.send(commands)
                wire.send(commands[: rng.randint(1, len(commands) - 1)])
            except OSError:
                pass  # back-pressure
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.call("DEL", "big", "cut")


def test_key_and_value_limits_are_named(server):
    """64 KiB keys and 64 MiB values by default; beyond them an error, and the connection goes on."""
    if STAND_IN:
        pytest.skip("limits of ours")
    with server.wire() as wire:
        assert wire.ask("SET", b"k" * 65535, "v") == b"OK"
        assert isinstance(wire.ask("SET", b"k" * 65537, "v"), ErrorReply)
        assert wire.ask("DEL", b"k" * 65535) == 1
        assert wire.ask("SET", "large", b"v" * (8 << 20)) == b"OK"
        assert wire.ask("STRLEN", "large") == 8 << 20
        assert wire.ask("GET", "large") == b"v" * (8 << 20)
        assert wire.ask("DEL", "large") == 1
        answer = wire.ask("SETRANGE", "large", 64 << 20, "x")
        assert isinstance(answer, ErrorReply)
        assert wire.ask("EXISTS", "large") == 0
        assert wire.alive()
    with server.wire() as wire:
        try:
            wire.send(encode("SET", "large", b"v" * (65 << 20)))
            assert wire.reply().startswith(b"-")
        except (Closed, OSError):
            pass  # named in the log, closed: it was not going to be kept
    assert server.call("EXISTS", "large") == 0


def test_pattern_that_explodes(server):
    """A glob whose naive match takes exponential time (CVE-2022-36021)."""
    with server.wire(timeout=60) as wire:
        wire.ask("SET", "a" * 60, "v")
        assert wire.ask("KEYS", "a*" * 9 + "b") == []
        assert wire.ask("KEYS", "*a" * 30 + "b") == []
        assert wire.ask("SCAN", 0, "MATCH", "a*" * 25 + "b", "COUNT", 1000)[1] == []
        assert wire.ask("DEL", "a" * 60) == 1


@pytest.fixture(scope="module")
def locked(shared):
    return shared.master("--requirepass", "sesame", name="locked")


class TestBeforeAuthentication:
    """A stranger may hold a few KB of the server, and learns nothing."""

    @pytest.mark.parametrize(
        "data, answer",
        [(b"*11\r\n", PROTOCOL + b"unauthenticated multibulk length\r\n"), (b"*1\r\n$16385\r\n", PROTOCOL + b"unauthenticated bulk length\r\n")],
    )
    def test_sizes(self, locked, data, answer):
        with locked.wire() as wire:
            wire.send(data)
            assert wire.until_closed() == answer

    def test_small_commands_are_answered(self, locked):
        with locked.wire() as wire:
            for command in ("PING", "PSYNC ? -1", "SYNC", "REPLCONF a b", "MULTI", "COMMAND", "GET a", "INFO", "MS_REGISTER_SLAVE", "MS_SYNC_SLAVE", "DIGEST", "MONITOR"):
                if STAND_IN and command.startswith(("MS_", "DIGEST")):
                    continue
                assert wire.call(*command.split()) == b"-NOAUTH Authentication required.\r\n", command
            assert wire.call("RESET") == b"+RESET\r\n"
            assert wire.call("AUTH", "wrong").startswith(b"-WRONGPASS")
            assert wire.call("AUTH", "sesame") == b"+OK\r\n"
            assert wire.alive()

    def test_the_password_counts_for_the_next_command_of_the_same_segment(self, locked):
        with locked.wire() as wire:
            wire.send(encode("AUTH", "sesame") + encode("MSET", *(f"behind:{i}" for i in range(40))) + encode("SET", "behind", b"v" * 20_000))
            assert [wire.reply() for _ in range(3)] == [b"+OK\r\n"] * 3

    def test_replies_that_are_not_read(self, locked):
        """CVE-2025-21605: an output buffer without limit before authentication."""
        before = locked.memory()
        wires = [locked.wire(receive_buffer=4096) for _ in range(8)]
        for wire in wires:
            wire.socket.settimeout(0.3)
            try:
                for _ in range(100):
                    wire.send(b"PING\r\n" * 10_000)
            except OSError:
                pass
        grown = locked.memory() - before
        for wire in wires:
            wire.close()
        assert grown < 32 << 20, f"{grown >> 20} MiB"

    def test_many_half_commands(self, locked):
        if STAND_IN:
            pytest.skip("Redis grows by 50 MB here")
        before = locked.memory()
        wires = [locked.wire() for _ in range(200)]
        half = b"*10\r\n" + b"$16384\r\n%s\r\n" % (b"x" * 16384) * 8 + b"$16384\r\n" + b"x" * 16000
        for wire in wires:
            try:
                wire.send(half)
            except OSError:
                pass
        with locked.wire() as wire:
            assert wire.call("AUTH", "sesame") == b"+OK\r\n"
        grown = locked.memory() - before
        for wire in wires:
            wire.close()
        assert grown < 24 << 20, f"{grown >> 20} MiB for 200 strangers"

    def test_the_password_is_nowhere(self, locked):
        with locked.wire() as wire:
            wire.call("AUTH", "guess-in-the-dark")
            wire.call("AUTH", "sesame")
        log = locked.log_since_start()
        assert "guess-in-the-dark" not in log and "sesame" not in log


def test_protected_mode_refuses_strangers(shared):
    """Without a password, a server that listens beyond loopback answers only to loopback."""
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    if STAND_IN or not address:
        pytest.skip("needs a second address")
    server = shared.master("--bind", "0.0.0.0", name="protected")
    assert server.call("PING")
    with Wire(server.port, host=address[0]) as wire:
        try:
            wire.send(encode("PING"))
        except OSError:
            pass
        assert wire.until_closed().startswith(b"-DENIED")


def test_connections_beyond_the_limit_are_refused_by_name(shared):
    server = shared.master(name="few-clients")
    if STAND_IN:
        pytest.skip("set at run time here")
    assert server.call("CONFIG", "SET", "maxclients", 20) == b"OK"
    wires = [server.wire() for _ in range(30)]
    answers = []
    for wire in wires:
        try:
            wire.send(encode("PING"))
            answers.append(wire.reply())
        except (Closed, OSError):
            answers.append(b"closed")
    for wire in wires:
        wire.close()
    assert b"-ERR max number of clients reached\r\n" in answers or b"closed" in answers
    assert answers.count(b"+PONG\r\n") <= 20

    def free_again():
        with server.wire() as wire:
            return wire.alive()

    wait_until(free_again)
