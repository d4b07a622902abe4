"""The clients that people use, as they are: redis-cli, redis-benchmark, redis-py."""

import re
import subprocess
import threading
import time

import pytest
import redis

from harness import STAND_IN, in_sync, wait_until
from wire import encode


@pytest.fixture(scope="module")
def master(shared):
    return shared.master("--durability", "none")


@pytest.fixture(autouse=True)
def emptied(request):
    if "master" in request.fixturenames:
        request.getfixturevalue("master").call("FLUSHALL")


def run(*command, data=None, ceiling=120):
    done = subprocess.run([str(c) for c in command], input=data, capture_output=True, timeout=ceiling)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


class TestRedisCli:
    def cli(self, master, *arguments, **options):
        return run("redis-cli", "-p", master.port, *arguments, **options)

    def test_single_commands(self, master):
        assert self.cli(master, "SET", "k", "hello world") == "OK\n"
        assert self.cli(master, "GET", "k") == "hello world\n"
        assert self.cli(master, "GET", "none") == "\n"
        assert self.cli(master, "INCR", "k") == "ERR value is not an integer or out of range\n\n"
        assert self.cli(master, "-n", "3", "SET", "three", "3") == "OK\n"
        assert self.cli(master, "-n", "3", "DBSIZE") == "1\n"
        assert self.cli(master, "-3", "PING") == "PONG\n"
        assert "unknown command" in self.cli(master, "NOSUCH")

    def test_commands_from_a_file(self, master):
        assert self.cli(master, data=b"SET a 1\nINCR a\nMULTI\nSET b 2\nEXEC\nGET b\n").split() == ["OK", "2", "OK", "QUEUED", "OK", "2"]

    def test_value_from_standard_input(self, master):
        value = bytes(range(256)) * 100
        assert self.cli(master, "-x", "SET", "binary", data=value) == "OK\n"
        assert master.call("GET", "binary") == value

    def test_pipe_mode(self, master):
        data = b"".join(encode("SET", f"piped:{i}", f"value {i}") for i in range(20_000))
        out = self.cli(master, "--pipe", data=data)
        assert "errors: 0, replies: 20000" in out
        assert master.call("DBSIZE") == 20_000

    def test_scan_mode(self, master):
        master.c.mset({f"scan:{i}": i for i in range(500)})
        out = self.cli(master, "--scan", "--pattern", "scan:*")
        assert sorted(out.split()) == sorted(f"scan:{i}" for i in range(500))

    def test_info(self, master):
        out = self.cli(master, "INFO")
        for section in ("# Server", "# Clients", "# Memory", "# Persistence", "# Stats", "# Replication", "# CPU", "# Keyspace"):
            assert section in out, section
        assert "role:master" in out
        assert "role:master" in self.cli(master, "INFO", "replication")
        assert "# Server" not in self.cli(master, "INFO", "replication")

    def test_big_keys_and_memory_keys(self, master):
        master.c.mset({f"big:{i}": "x" * i for i in range(50)})
        assert "Sampled 50 keys" in self.cli(master, "--bigkeys")

    def test_monitor(self, master):
        child = subprocess.Popen(["redis-cli", "-p", str(master.port), "MONITOR"], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout.readline() == "OK\n"
            master.call("SET", "watched", 'a "b"\n')
            line = child.stdout.readline()
            assert re.fullmatch(r'\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "watched" "a \\"b\\"\\n"\n', line), line
        finally:
            child.kill()
            child.wait()

    def test_monitor_shows_no_password(self, shared):
        locked = shared.master("--requirepass", "sesame", name="locked-monitor")
        with locked.wire() as wire:
            wire.call("AUTH", "sesame")
            assert wire.call("MONITOR") == b"+OK\r\n"
            with locked.wire() as other:
                other.call("AUTH", "sesame")
                other.call("SET", "k", "v")
            seen = wire.reply()
            while b'"k"' not in seen:
                assert b"sesame" not in seen
                seen = wire.reply()

    def test_authentication(self, shared):
        locked = shared.master("--requirepass", "sesame", name="locked-cli")
        assert "NOAUTH" in self.cli(locked, "GET", "k")
        assert self.cli(locked, "-a", "sesame", "--no-auth-warning", "SET", "k", "v") == "OK\n"
        assert "WRONGPASS" in self.cli(locked, "-a", "wrong", "--no-auth-warning", "GET", "k")
        assert self.cli(locked, "--user", "default", "-a", "sesame", "--no-auth-warning", "GET", "k") == "v\n"


class TestRedisBenchmark:
    @pytest.mark.parametrize("pipeline", [1, 16])
    def test_runs_without_an_error(self, master, pipeline):
        out = run("redis-benchmark", "-p", master.port, "-t", "ping,set,get,incr,mset", "-n", 10_000, "-r", 1000, "-c", 20, "-P", pipeline, "-q", "--csv")
        rows = [line for line in out.splitlines() if line.startswith('"') and "rps" not in line]
        assert {row.split('"')[1].split()[0] for row in rows} == {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"}, out
        assert "ERR" not in out
        assert int(master.call("GET", "counter:__rand_int__") or 0) >= 0

    def test_any_command(self, master):
        out = run("redis-benchmark", "-p", master.port, "-n", 2000, "-r", 100, "-P", 4, "-q", "SETRANGE", "key:__rand_int__", 5, "hello")
        assert "requests per second" in out and "Error" not in out
        assert master.call("DBSIZE") == 100

    def test_resp3(self, master):
        assert "requests per second" in run("redis-benchmark", "-3", "-p", master.port, "-t", "get", "-n", 2000, "-q")


class TestRedisPy:
    def test_pool_of_threads(self, master):
        pool = redis.ConnectionPool(port=master.port, max_connections=20)

        def work(n):
            client = redis.Redis(connection_pool=pool)
            for _ in range(200):
                client.incr("total")
                client.incr(f"own:{n}")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert master.call("GET", "total") == b"2000"
        assert all(master.call("GET", f"own:{n}") == b"200" for n in range(10))
        pool.disconnect()

    @pytest.mark.parametrize("protocol", [2, 3])
    def test_the_usual_calls(self, master, protocol):
        r = master.client(protocol=protocol, decode_responses=True)
        assert r.ping() and r.set("k", "ü", ex=100) and r.get("k") == "ü"
        assert r.set("k", "2", nx=True) is None
        assert r.set("k", "2", get=True) == "ü"
        assert r.mset({"a": 1, "b": 2}) and r.mget("a", "b", "none") == ["1", "2", None]
        assert r.incr("a") == 2 and r.incrbyfloat("a", 0.5) == 2.5
        assert r.expire("a", 100, gt=True) == 0 and r.expire("a", 100, lt=True) == 1
        assert r.exists("a", "b") == 2 and r.delete("a", "b") == 2
        assert r.setbit("bits", 7, 1) == 0 and r.bitcount("bits") == 1
        assert set(r.scan_iter(match="k*")) == {"k"}
        assert r.type("k") == "string" and r.dbsize() == 2
        assert r.info()["role"] == "master"
        assert isinstance(r.config_get("maxmemory"), dict)
        assert r.client_setname("me") and r.client_getname() == "me"
        assert any(c["name"] == "me" for c in r.client_list())
        assert r.time()[0] > 1_700_000_000
        assert r.object("encoding", "k") == "int"
        assert r.role()[0] == "master"
        assert r.command_count() > 80
        assert r.memory_usage("k") > 0
        assert r.getex("k", persist=True) == "2"
        assert r.lcs("k", "k") == "2"
        with pytest.raises(redis.ResponseError):
            r.execute_command("INCR", "k", "x")

    def test_pipeline_and_optimistic_transaction(self, master):
        r = master.client(decode_responses=True)
        with r.pipeline(transaction=False) as pipe:
            for i in range(5000):
                pipe.set(f"p:{i}", i)
            assert all(pipe.execute())
        with r.pipeline() as pipe:
            pipe.watch("p:1")
            value = int(pipe.get("p:1"))
            pipe.multi()
            pipe.set("p:1", value + 1)
            assert pipe.execute() == [True]
        with r.pipeline() as pipe:
            pipe.watch("p:1")
            master.client().set("p:1", "other")
            pipe.multi()
            pipe.set("p:1", "mine")
            with pytest.raises(redis.WatchError):
                pipe.execute()
        assert r.get("p:1") == "other"

    def test_large_values(self, master):
        value = bytes(range(256)) * 4096 * 8
        master.c.set("large", value)
        assert master.c.get("large") == value
        assert master.c.getrange("large", 1 << 20, (1 << 20) + 9) == value[1 << 20 : (1 << 20) + 10]

    @pytest.mark.skipif(STAND_IN, reason="about our own slaves")
    def test_reads_from_a_slave(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        with master.c.pipeline(transaction=False) as pipe:
            for i in range(1000):
                pipe.set(f"k{i}", i)
            pipe.execute()
        in_sync(master, slave)
        assert slave.c.mget([f"k{i}" for i in range(1000)]) == [b"%d" % i for i in range(1000)]
        with pytest.raises(redis.ReadOnlyError):
            slave.c.set("k", "v")


class TestClientCommand:
    def test_kill(self, master):
        with master.wire() as victim, master.wire() as killer:
            number = victim.ask("CLIENT", "ID")
            assert killer.ask("CLIENT", "KILL", "ID", number) == 1
            assert victim.until_closed() == b""
        with master.wire() as victim, master.wire() as killer:
            address = "%s:%d" % victim.socket.getsockname()
            victim.call("PING")
            assert killer.call("CLIENT", "KILL", address) == b"+OK\r\n"
            assert victim.until_closed() == b""
        with master.wire() as oneself:
            number = oneself.ask("CLIENT", "ID")
            assert oneself.call("CLIENT", "KILL", "ID", number, "SKIPME", "no") == b":1\r\n"
            assert oneself.until_closed() == b""

    def test_pause_holds_writes_until_unpause(self, master):
        with master.wire() as writer, master.wire() as other:
            master.call("SET", "k", "before")
            assert other.call("CLIENT", "PAUSE", 20_000, "WRITE") == b"+OK\r\n"
            writer.send(encode("SET", "k", "after"))
            for _ in range(20):
                assert other.ask("GET", "k") == b"before"
            assert other.call("CLIENT", "UNPAUSE") == b"+OK\r\n"
            assert writer.reply() == b"+OK\r\n"
            assert other.ask("GET", "k") == b"after"

    def test_pause_ends_by_itself(self, master):
        with master.wire() as wire, master.wire() as other:
            started = time.monotonic()
            other.call("CLIENT", "PAUSE", 300)
            assert wire.ask("GET", "k") is None
            assert 0.25 < time.monotonic() - started < 60

    def test_list_shows_who_is_there(self, master):
        with master.wire() as wire:
            wire.call("CLIENT", "SETNAME", "seeker")
            wire.call("SELECT", 5)
            text = wire.ask("CLIENT", "LIST").decode()
            mine = next(line for line in text.splitlines() if "name=seeker" in line)
            for part in ("id=", "addr=127.0.0.1:", f"laddr=127.0.0.1:{master.port}", "fd=", "age=", "idle=", "flags=N", "db=5", "cmd=client|list", "resp=2", "user=default"):
                assert part in mine, (part, mine)
            assert wire.ask("CLIENT", "INFO").decode().startswith(mine.split(" age=")[0].split(" fd=")[0])

    def test_a_closed_connection_leaves_the_list(self, master):
        with master.wire() as wire:
            wire.call("CLIENT", "SETNAME", "leaver")
        wait_until(lambda: b"leaver" not in master.call("CLIENT", "LIST"))
