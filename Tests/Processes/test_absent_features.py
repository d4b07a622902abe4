"""What clients and tools ask about features that are not here is answered as by a Redis that does not use them."""

import os
import pathlib
import shutil
import subprocess

import pytest

from harness import Server
from wire import Wire

LINES = """
    ACL WHOAMI
    ACL WHOAMI x
    ACL USERS
    ACL LIST
    ACL CAT
    ACL CAT nosuch
    ACL CAT hash x
    ACL GETUSER default
    ACL GETUSER nobody
    ACL BOGUS
    ACL
    MODULE LIST
    MODULE LIST x
    MODULE
    CLUSTER INFO
    CLUSTER NODES
    CLUSTER SLOTS
    CLUSTER SHARDS
    CLUSTER
    READONLY
    READWRITE
    ASKING
    READONLY x
    SCRIPT EXISTS a b
    SCRIPT EXISTS
    SCRIPT FLUSH
    SCRIPT FLUSH ASYNC
    SCRIPT FLUSH x
    SCRIPT FLUSH SYNC x
    SCRIPT KILL
    SCRIPT BOGUS
    FUNCTION FLUSH
    FUNCTION FLUSH sync
    FUNCTION FLUSH x
    FUNCTION FLUSH a b
    FUNCTION LIST
    FUNCTION LIST WITHCODE LIBRARYNAME x*
    FUNCTION LIST LIBRARYNAME
    FUNCTION LIST x
    FUNCTION STATS
    FUNCTION KILL
    PUBSUB CHANNELS
    PUBSUB CHANNELS a*
    PUBSUB CHANNELS a b
    PUBSUB NUMSUB
    PUBSUB NUMSUB a b
    PUBSUB NUMPAT
    PUBSUB SHARDCHANNELS
    PUBSUB SHARDNUMSUB a
    LOLWUT
    LOLWUT VERSION x
    BGSAVE SCHEDULE x
    BGSAVE x
    COMMAND GETKEYS ACL WHOAMI
"""


@pytest.fixture(scope="module")
def servers(shared):
    return shared.master("--durability", "none"), shared.redis()


@pytest.mark.parametrize("protocol", [2, 3])
def test_answers_are_those_of_redis(servers, protocol):
    with Wire(servers[0].port) as ours, Wire(servers[1].port) as theirs:
        for wire in (ours, theirs):
            wire.ask("HELLO", protocol)
        for line in LINES.strip().splitlines():
            words = line.split()
            a, b = ours.call(*words), theirs.call(*words)
            if words[:1] == ["LOLWUT"] and len(words) == 1:
                # Redis paints above the version.
                assert a.rstrip().endswith(b"Redis ver. 7.0.15") and b.rstrip().endswith(b"Redis ver. 7.0.15")
            else:
                assert a == b, line


def test_bgsave_schedule(servers):
    for server in servers:
        assert server.call("BGSAVE", "SCHEDULE") in (b"Background saving started", b"Background saving scheduled")


def test_a_category_lists_commands_that_are_here(servers):
    ours, theirs = ({*server.call("ACL", "CAT", "string")} for server in servers)
    assert ours == theirs
    assert servers[0].call("ACL", "CAT", "hash") == []


def test_a_password_shows_in_acl_and_nothing_of_it_does(cluster):
    server = cluster.master("--requirepass", "sesame")
    assert server.call("ACL", "LIST") == [b"user default on #hidden ~* &* +@all"]
    assert b"nopass" not in server.call("ACL", "GETUSER", "default")[1]


def test_the_directory_is_told_from_the_root(cluster):
    server = cluster.add(Server("relative", cluster.directory / "relative", "master"))
    server.directory = pathlib.Path(os.path.relpath(server.directory))
    server.start()
    name, value = server.call("CONFIG", "GET", "dir")
    assert name == b"dir" and value.startswith(b"/")
    assert pathlib.Path(value.decode()).samefile(server.directory)


def test_debug_is_refused_unless_it_is_enabled(cluster):
    refused = b"-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, "
    for setting, allowed in (("no", False), ("local", True), ("yes", True)):
        server = cluster.master("--enable-debug-command", setting, name=f"debug-{setting}")
        with Wire(server.port) as wire:
            reply = wire.call("DEBUG", "SLEEP", "0")
            assert reply == b"+OK\r\n" if allowed else reply.startswith(refused), setting
            assert wire.ask("CONFIG", "GET", "enable-debug-command") == [b"enable-debug-command", setting.encode()]
            assert wire.call("CONFIG", "SET", "enable-debug-command", "yes" if setting == "no" else "no").startswith(b"-ERR")


CLIS = [name for name in ("redis-cli", "valkey-cli") if shutil.which(name)]


@pytest.mark.parametrize("option", ["--bigkeys", "--memkeys", "--hotkeys", "--scan"])
@pytest.mark.parametrize("cli", CLIS)
def test_the_command_line_clients_look_at_all_keys(servers, cli, option):
    server = servers[0]
    server.call("FLUSHALL")
    for i in range(100):
        server.call("SET", f"key:{i}", "x" * i)
    done = subprocess.run([cli, "-p", str(server.port), option], capture_output=True, text=True, timeout=60)
    if option == "--hotkeys":
        # Only a server that evicts by frequency knows; Redis refuses in these words, too.
        assert "LFU" in done.stdout + done.stderr
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert "key:99" in done.stdout
    if option != "--scan":
        assert "Sampled 100 keys in the keyspace!" in done.stdout
