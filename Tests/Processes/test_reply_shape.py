"""Every command of the table answers with exactly one reply, in both protocols, alone and in a transaction. A server of a
debug build looks at each reply itself as well, and ends when one is not whole."""

import pytest

from harness import connected, in_sync
from wire import ErrorReply, Wire, encode

SETUP = [
    ["MSET", "s", "hello", "n", "12", "b", "ab", "other", "world"],
    ["SET", "t", "x", "EX", "1000"],
    ["SELECT", "1"],
    ["SET", "in-one", "x"],
    ["SELECT", "0"],
]

# What each command is tried with; a command that is not here is an error of this test, so that a new one is not forgotten.
# None: it ends the connection, or makes it something else.
ARGUMENTS = {
    "get": [["s"], ["missing"]],
    "set": [["x1", "v"], ["x1", "v", "GET"], ["x1", "v", "NX"], ["x1", "v", "NX", "GET", "EX", "10"]],
    "setnx": [["x2", "v"], ["x2", "v"]],
    "setex": [["x3", "10", "v"]],
    "psetex": [["x3", "10000", "v"]],
    "getset": [["x4", "v"], ["x4", "w"]],
    "getdel": [["x4"], ["missing"]],
    "getex": [["t"], ["t", "EX", "100"], ["missing"]],
    "mget": [["s", "missing", "n"]],
    "mset": [["m1", "1", "m2", "2"]],
    "msetnx": [["m3", "1", "m1", "2"]],
    "append": [["a1", "x"]],
    "strlen": [["s"]],
    "getrange": [["s", "0", "2"]],
    "substr": [["s", "0", "2"]],
    "setrange": [["a1", "3", "x"]],
    "incr": [["n"], ["s"]],
    "decr": [["n"]],
    "incrby": [["n", "5"]],
    "decrby": [["n", "5"]],
    "incrbyfloat": [["f", "1.5"]],
    "lcs": [["s", "other"], ["s", "other", "LEN"], ["s", "other", "IDX"], ["s", "other", "IDX", "WITHMATCHLEN"]],
    "getbit": [["b", "3"]],
    "setbit": [["b2", "3", "1"]],
    "bitcount": [["b"], ["b", "0", "1"], ["b", "0", "9", "BIT"]],
    "bitpos": [["b", "1"]],
    "bitop": [["AND", "b3", "b", "s"]],
    "bitfield": [["b4", "SET", "u8", "0", "300", "OVERFLOW", "FAIL", "INCRBY", "i5", "#1", "100", "GET", "u4", "0"], ["b4"]],
    "bitfield_ro": [["b", "GET", "u8", "0", "GET", "i3", "#2"], ["b", "SET", "u8", "0", "1"]],
    "object": [["ENCODING", "s"], ["REFCOUNT", "s"], ["IDLETIME", "s"], ["FREQ", "s"], ["HELP"], ["ENCODING", "missing"]],
    "move": [["x1", "2"]],
    "dump": [["s"], ["n"], ["missing"]],
    "restore": [
        ["r1", "0", b"\x00\x03abc\n\x00\xd9\xac0=Ar\xa2\xe2"], ["r1", "0", b"\x00\x03abc\n\x00\xd9\xac0=Ar\xa2\xe2", "REPLACE"], ["r2", "0", "x"],
    ],
    "migrate": [["127.0.0.1", "1", "s", "0", "100"], ["127.0.0.1", "1", "missing", "0", "100"]],
    "del": [["x1", "missing"]],
    "unlink": [["x2", "missing"]],
    "exists": [["s", "s", "missing"]],
    "touch": [["s", "missing"]],
    "type": [["s"], ["missing"]],
    "keys": [["*"], ["nothing*"]],
    "scan": [["0"], ["0", "COUNT", "1"], ["0", "TYPE", "string"], ["0", "MATCH", "nothing*"]],
    "randomkey": [[]],
    "rename": [["m1", "m4"]],
    "renamenx": [["m4", "s"]],
    "copy": [["s", "s2"], ["s", "s2"]],
    "dbsize": [[]],
    "flushdb": [["ASYNC"]],
    "flushall": [["SYNC"]],
    "swapdb": [["3", "4"]],
    "expire": [["s2", "100"], ["missing", "100"]],
    "pexpire": [["s2", "100000"]],
    "expireat": [["s2", "4000000000"]],
    "pexpireat": [["s2", "4000000000000"]],
    "ttl": [["s2"], ["s"], ["missing"]],
    "pttl": [["s2"]],
    "expiretime": [["s2"]],
    "pexpiretime": [["s2"]],
    "persist": [["s2"]],
    "multi": [[]],
    "exec": [[]],
    "discard": [[]],
    "watch": [["s"]],
    "unwatch": [[]],
    "ping": [[], ["hello"]],
    "echo": [["hello"]],
    "quit": None,
    "reset": [[]],
    "hello": [[], ["2"], ["3"], ["4"]],
    "auth": [["x"], ["default", "x"]],
    "select": [["0"], ["99"]],
    "commit": [["LEVEL"], ["LEVEL", "default"]],
    "table": [["LIST"], ["SET", "1", "COMMIT", "async"]],
    "read": [["MAXLAG"], ["MAXLAG", "off"]],
    "wait": [["0", "10"], ["5", "1"]],
    "waitaof": [["0", "0", "10"], ["1", "5", "1"]],
    "waitlsn": [["0", "10"], ["99999999", "1"]],
    "lastlsn": [[]],
    "digest": [[], ["0"]],
    "client": [
        ["ID"], ["GETNAME"], ["SETNAME", "me"], ["GETNAME"], ["SETINFO", "LIB-NAME", "x"], ["INFO"], ["LIST"],
        ["LIST", "TYPE", "normal"], ["LIST", "ID", "1", "2"], ["KILL", "ID", "99999"], ["KILL", "1.2.3.4:5"], ["PAUSE", "0"],
        ["UNPAUSE"], ["NO-EVICT", "on"], ["NO-TOUCH", "on"], ["GETREDIR"], ["TRACKING", "off"], ["TRACKING", "on"],
        ["TRACKINGINFO"], ["CACHING", "yes"], ["UNBLOCK", "99999"], ["REPLY", "ON"], ["HELP"],
    ],
    "command": [
        [], ["COUNT"], ["DOCS"], ["DOCS", "get", "nothing"], ["INFO"], ["INFO", "get", "nothing", "client|list"], ["LIST"],
        ["LIST", "FILTERBY", "PATTERN", "x*"], ["GETKEYS", "mset", "a", "1", "b", "2"],
        ["GETKEYSANDFLAGS", "mset", "a", "1"], ["HELP"],
    ],
    "config": [
        ["GET", "*"], ["GET", "port", "loop*"], ["SET", "sync-rate", "1mb"], ["SET", "nothing", "x"], ["RESETSTAT"],
        ["REWRITE"], ["HELP"],
    ],
    "info": [[], ["all"], ["replication", "memory"], ["nothing"]],
    "time": [[]],
    "lastsave": [[]],
    "memory": [["USAGE", "s"], ["USAGE", "missing"], ["DOCTOR"], ["MALLOC-STATS"], ["PURGE"], ["STATS"], ["HELP"]],
    "slowlog": [["GET"], ["LEN"], ["RESET"], ["HELP"], ["GET", "1"]],
    "latency": [
        ["LATEST"], ["HISTORY", "command"], ["RESET"], ["HISTOGRAM"], ["GRAPH", "command"], ["DOCTOR"], ["HELP"],
    ],
    "debug": [["OBJECT", "s"], ["SLEEP", "0"], ["SLEEP", "0.01"], ["RELOAD"], ["HELP"], ["ERROR", "ERR x"], ["LOG", "x"]],
    "shutdown": [["ABORT"], ["nonsense"]],
    "save": [[]],
    "bgsave": [[], ["SCHEDULE"]],
    "bgrewriteaof": [[]],
    "replicaof": [["127.0.0.1", "70000"], ["NO", "ONE"]],
    "slaveof": [["127.0.0.1", "70000"]],
    "role": [[]],
    "monitor": None,
    "compact": [[]],
    "scrub": [[]],
    "failover": [["ABORT"], ["TO", "127.0.0.1", "1"]],
    "promote": [[]],
    "acl": [["WHOAMI"], ["LIST"], ["USERS"], ["CAT"], ["CAT", "string"], ["GETUSER", "default"], ["GETUSER", "x"], ["HELP"]],
    "module": [["LIST"], ["HELP"]],
    "cluster": [["INFO"]],
    "readonly": [[]],
    "readwrite": [[]],
    "asking": [[]],
    "script": [["EXISTS", "a", "b"], ["FLUSH"], ["KILL"], ["HELP"]],
    "function": [["LIST"], ["FLUSH"], ["STATS"], ["KILL"], ["HELP"]],
    "pubsub": [["CHANNELS"], ["NUMSUB", "a"], ["NUMPAT"], ["SHARDCHANNELS"], ["SHARDNUMSUB", "a"], ["HELP"]],
    "lolwut": [[], ["VERSION", "5"]],
    "ms_plan": [[]],
    "ms_slaves": [[]],
    "ms_register_slave": [["x"]],
    "ms_sync_slave": [["x"]],
    "ms_fetch_records": [["x", "1", "2"]],
    "ms_digest_partitions": [["x", "1", "2"]],
    "ms_partition_records": [["x", "1", "2", "3"]],
    "ms_voter": [["0" * 40, "no"], ["x", "no"]],
    "ms_new_data_set": [[]],
    "ms_replaced": [[], ["LIST"], ["REMOVE", "replaced-x"], ["REMOVE", "ALL"], ["x"]],
    "ms_vote": [["x"]],
    "ms_state": [[]],
    "ms_forward": [["x"], ["2", "id", "0" * 39 + "1"]],
    "ms_new_master": [["x"]],
}
LAST = ["flushdb", "flushall"]


@pytest.fixture(scope="module")
def servers(shared):
    master = shared.master("--slowlog-log-slower-than", "0", "--loops", "2")
    slave = shared.slave(master)
    connected(master, 1)
    in_sync(master, slave)
    return master, slave


def names(server):
    return sorted(name.decode() for name in server.call("COMMAND", "LIST") if b"|" not in name)


def prepare(server, version):
    wire = Wire(server.port, timeout=60)
    wire.ask("HELLO", version)
    for command in SETUP:
        wire.ask(*command)
    return wire


def check(wire, command):
    """The command, and a marker that shows whether its reply was one."""
    reply = wire.ask(*command)
    for number in range(2):
        marker = f"behind {command[0]} {number}".encode()
        assert wire.ask("ECHO", marker) == marker, f"{command} in a shifted connection after {reply!r}"
    return reply


def all_commands(server):
    for name in sorted(names(server), key=lambda name: (name in LAST, name)):
        assert name in ARGUMENTS, f"{name} has no arguments in this test"
        for arguments in ARGUMENTS[name] or []:
            yield [name, *arguments]


@pytest.mark.parametrize("version", [2, 3])
def test_every_command_answers_with_one_reply(servers, version):
    master, _ = servers
    wire = prepare(master, version)
    for command in all_commands(master):
        if command[0] in ("multi", "exec", "discard", "watch"):
            continue
        check(wire, command)
        if command[0] in ("hello", "reset"):
            wire.ask("HELLO", version)
    for command in (["MULTI"], ["DISCARD"], ["MULTI"], ["EXEC"], ["WATCH", "s"], ["UNWATCH"]):
        if command[0] == "MULTI":
            assert wire.ask(*command) == b"OK"
        else:
            check(wire, command)
    wire.close()


@pytest.mark.parametrize("version", [2, 3])
def test_every_command_in_a_transaction_answers_with_one_element(servers, version):
    master, _ = servers
    wire = prepare(master, version)
    for command in all_commands(master):
        if command[0] in ("multi", "exec", "discard", "watch", "reset", "hello"):
            continue
        assert wire.ask("MULTI") == b"OK"
        queued = wire.ask(*command)
        wire.ask("ECHO", "between")
        wire.ask(*command)
        reply = check(wire, ["EXEC"])
        if isinstance(queued, ErrorReply):
            assert str(reply).startswith("EXECABORT"), command
        else:
            assert len(reply) == 3 and reply[1] == b"between", f"{command}: {reply!r}"
    wire.close()


@pytest.mark.parametrize("version", [2, 3])
def test_every_command_that_reads_answers_with_one_reply_on_a_slave(servers, version):
    _, slave = servers
    wire = Wire(slave.port, timeout=60)
    wire.ask("HELLO", version)
    skipped = ("multi", "exec", "discard", "watch", "replicaof", "slaveof", "promote", "failover", "wait", "hello", "reset")
    for command in all_commands(slave):
        if command[0] not in skipped:
            check(wire, command)
    wire.close()


@pytest.mark.parametrize("version", [2, 3])
def test_every_command_behind_a_write_of_the_same_packet_answers(servers, version):
    """Such a batch holds the write lock; whoever needs that lock must not wait for itself."""
    master, _ = servers
    wire = prepare(master, version)
    for command in all_commands(master):
        if command[0] in ("multi", "exec", "discard", "watch", "reset", "hello", "promote", "failover"):
            continue
        wire.send(encode("SET", "p", "x") + encode(*command) + encode("ECHO", "behind"))
        assert wire.value() == b"OK" or command[0].startswith("ms_")
        wire.value()
        assert wire.value() == b"behind", command
    wire.close()
