"""The command line as its users meet it: help, refusals, settings and where they come from, status, bench, inspect, examples."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from harness import BINARY, ROOT, STAND_IN, in_sync, same_state, wait_until
from load import Counters, fill
from ports import free_port

pytestmark = [pytest.mark.skipif(STAND_IN, reason="about our own command line"), pytest.mark.timeout(900)]


def paceline(*arguments, env=None, ceiling=120):
    """(exit code, output, errors)"""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PACELINE_")}
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=ceiling, env=clean | (env or {}), stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


class TestHelp:
    @pytest.mark.parametrize("command", [[], ["master"], ["slave"], ["status"], ["bench"], ["inspect"]])
    def test_help_teaches(self, command):
        code, out, _ = paceline(*command, "--help")
        assert code == 0
        assert len(out) > 400, out
        assert "USAGE" in out.upper()

    @pytest.mark.parametrize("command", ["master", "slave"])
    def test_every_flag_is_in_the_help(self, command):
        _, out, _ = paceline(command, "--help")
        for flag in ("--port", "--data", "--bind", "--config", "--requirepass", "--loops", "--durability", "--sync-rate", "--max-slaves",
                     "--slave-lease", "--wal-keep", "--ops-buffer", "--segment-bytes"):  # fmt: skip
            assert flag in out, flag
        if command == "slave":
            assert all(flag in out for flag in ("--master", "--sync-mode", "--accept-data-loss"))

    def test_version(self):
        code, out, _ = paceline("--version")
        assert code == 0 and re.search(r"\d+\.\d+", out)


class TestBadFlags:
    @pytest.mark.parametrize(
        "arguments, named",
        [
            (["master", "--port", "x"], "port"),
            (["master", "--port", "70000"], "port"),
            (["master", "--port", "-1"], "port"),
            (["master", "--durability", "sometimes"], "durability"),
            (["master", "--loops", "5000"], "loops"),
            (["master", "--loops", "x"], "loops"),
            (["master", "--segment-bytes", "1"], "segment-bytes"),
            (["master", "--segment-bytes", "-5"], "segment-bytes"),
            (["master", "--max-slaves", "-1"], "max-slaves"),
            (["master", "--sync-rate", "fast"], "sync-rate"),
            (["master", "--no-such-flag"], "no-such-flag"),
            (["master", "--config", "/no/such/file"], "/no/such/file"),
            (["slave", "--master", "nonsense:port"], "master"),
            (["slave"], "master"),
            (["slave", "--master", "127.0.0.1:1", "--sync-mode", "guess"], "sync-mode"),
            (["bench", "--node", "nonsense:x"], "node"),
            (["bench", "--node", "127.0.0.1:1", "--read-share", "7"], "read-share"),
            (["status", "--node", ""], "node"),
            (["inspect", "/no/such/place"], "/no/such/place"),
            (["nosuchcommand"], "nosuchcommand"),
        ],
    )
    def test_the_error_names_the_flag(self, arguments, named, tmp_path):
        if arguments[0] in ("master", "slave"):
            arguments = [*arguments, "--data", str(tmp_path / "data")]
            if "--port" not in arguments:
                arguments += ["--port", str(free_port())]
        code, out, err = paceline(*arguments, ceiling=120)
        assert code != 0
        assert named in out + err, out + err
        assert "Fatal error" not in err

    def test_bench_and_status_without_a_server(self):
        port = free_port()
        for command in (["status", "--node", f"127.0.0.1:{port}"], ["bench", "--node", f"127.0.0.1:{port}", "--seconds", "1"]):
            code, out, err = paceline(*command, ceiling=120)
            assert code != 0 and str(port) in out + err


class TestSettings:
    def test_flags_win_over_environment_over_file(self, cluster, tmp_path):
        file = tmp_path / "paceline.conf"
        ports = [free_port() for _ in range(3)]
        file.write_text(f"# a comment\nport {ports[0]}\nmax-slaves 3\nrequirepass from-file\n")
        server = cluster.master("--config", file, start=False)

        def starts(port, command, env):
            server.port, server.env, server.command = port, env, lambda: command
            server.start()
            server.stop()

        base = [BINARY, "master", "--data", server.directory, "--config", file]
        server.password = "from-file"
        starts(ports[0], base, {})
        starts(ports[1], base, {"PACELINE_PORT": str(ports[1])})
        starts(ports[2], [*base, "--port", ports[2]], {"PACELINE_PORT": str(ports[1])})

    def test_the_file_sets_the_password(self, cluster, tmp_path):
        file = tmp_path / "paceline.conf"
        file.write_text("requirepass from-file\n")
        server = cluster.master("--config", file)
        with server.wire() as wire:
            assert wire.call("GET", "k").startswith(b"-NOAUTH")
            assert wire.call("AUTH", "from-file") == b"+OK\r\n"

    @pytest.mark.parametrize("text", ["nosuchsetting 1\n", "port\n", "port x\n"])
    def test_errors_of_the_file_have_a_line(self, tmp_path, text):
        file = tmp_path / "paceline.conf"
        file.write_text("# first line\n" + text)
        code, out, err = paceline("master", "--data", tmp_path / "data", "--config", file, ceiling=120)
        assert code != 0
        assert "paceline.conf" in out + err and "2" in out + err

    def test_banner_then_structured_logs(self, cluster):
        server = cluster.master()
        text = server.log_since_start()
        assert str(server.port) in text and "paceline" in text.lower() and str(server.directory) in text
        fill(server, 10, prefix="secret-key")
        server.stop()
        assert "secret-key" not in server.log()

    def test_a_password_on_the_command_line_is_not_logged(self, cluster):
        server = cluster.master("--requirepass", "do-not-log-me")
        assert "do-not-log-me" not in server.log_since_start()

    def test_slave_with_password(self, cluster):
        master = cluster.master("--requirepass", "sesame")
        fill_with_password(master)
        slave = cluster.slave(master, "--requirepass", "sesame", "--masterauth", "sesame")
        in_sync(master, slave)
        same_state(master, slave)


def fill_with_password(master):
    with master.wire() as wire:
        wire.call("AUTH", "sesame")
        wire.pipeline([["SET", f"k{i}", i] for i in range(100)])


@pytest.fixture(scope="module")
def row(shared):
    """A master and two slaves with some data."""
    master = shared.master("--durability", "none", "--segment-bytes", 1 << 20, name="master")
    fill(master, 5000, value_bytes=300)
    slaves = [shared.slave(master, name=f"slave{i}") for i in range(2)]
    in_sync(master, *slaves)
    return master, slaves


class TestStatus:
    def test_the_whole_row_from_any_node(self, row):
        master, slaves = row
        for server in (master, *slaves):
            code, out, err = paceline("status", "--node", server.address)
            assert code == 0, err
            for other in (master, *slaves):
                assert str(other.port) in out, out
            assert "master" in out and "slave" in out

    def test_json(self, row):
        master, slaves = row
        code, out, err = paceline("status", "--node", master.address, "--json")
        assert code == 0, err
        value = json.loads(out)
        nodes = value["nodes"] if isinstance(value, dict) else value
        assert {n["role"] for n in nodes} == {"master", "slave"} and len(nodes) == 3
        assert all(n["term"] and n["applied_lsn"] for n in nodes)


class TestBench:
    def test_over_all_nodes(self, row):
        master, slaves = row
        nodes = ",".join(s.address for s in (master, *slaves))
        code, out, err = paceline(
            "bench", "--node", nodes, "--clients", 6, "--pipeline", 8, "--keys", 1000, "--value-size", 50, "--read-share", 0.9, "--seconds", 2, "--staleness"
        )
        assert code == 0, err
        for server in (master, *slaves):
            assert str(server.port) in out
        assert "p99" in out

    def test_json(self, row):
        master, _ = row
        code, out, err = paceline("bench", "--node", master.address, "--clients", 2, "--keys", 100, "--seconds", 1, "--json")
        assert code == 0, err
        assert json.loads(out)

    def test_the_nodes_are_equal_after_it(self, row):
        master, slaves = row
        in_sync(master, *slaves)
        same_state(master, *slaves)


class TestInspect:
    def test_a_directory_and_each_file_of_a_live_copy(self, row, tmp_path):
        master, _ = row
        copy = tmp_path / "copy"
        with Counters(master, threads=1) as load:
            load.wait_for(50)
            shutil.copytree(master.directory, copy, ignore_dangling_symlinks=True)
        code, out, err = paceline("inspect", copy)
        assert code == 0, out + err
        assert "wal" in out
        for ending in ("wal", "idx", "dir"):
            for path in sorted(copy.rglob(f"*.{ending}"))[:2]:
                code, out, err = paceline("inspect", path)
                assert code == 0 and path.name in out, out + err
                assert re.search("LSN|generation", out)

    def test_damage_is_marked(self, row, tmp_path):
        master, _ = row
        source = sorted(master.directory.rglob("*.wal"))[0]
        path = tmp_path / source.name
        shutil.copy(source, path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        code, out, err = paceline("inspect", path)
        assert re.search("damage|corrupt|checksum", out + err, re.IGNORECASE)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 5000, b"PLWAL\0\0\1" + b"\0" * 100, b"PLIDX\0\0\1" + b"\xff" * 100, b"PLDIR\0\0\1" + b"\xff" * 100], ids=range(6))
    @pytest.mark.parametrize("ending", ["wal", "idx", "dir"])
    def test_any_bytes(self, tmp_path, content, ending):
        path = tmp_path / f"00000000000000000001.{ending}"
        path.write_bytes(content)
        code, out, err = paceline("inspect", path)
        assert code in (0, 1, 2, 64, 65, 70), "killed by a signal"
        assert out + err


class TestExamples:
    EXAMPLES = ROOT / "Examples"

    def test_attach_a_slave_at_runtime(self, cluster):
        master, other = cluster.master(), cluster.master(name="other")
        fill(master, 300)
        done = subprocess.run([self.EXAMPLES / "attach-slave.sh", master.address, other.address], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        same_state(master, other)

    def test_read_your_writes(self, cluster):
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        done = subprocess.run([sys.executable, self.EXAMPLES / "read_your_writes.py", master.address, slave.address], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "read" in done.stdout

    def test_swift_client(self, cluster):
        """Runs the example if scripts/test has built it: building here would need the toolchain's time."""
        binary = pathlib.Path(os.environ.get("PACELINE_SWIFT_EXAMPLE", self.EXAMPLES / "swift-client/.build/release/swift-client"))
        if not binary.exists():
            pytest.skip(f"not built: {binary}")
        master = cluster.master()
        slave = cluster.slave(master)
        in_sync(master, slave)
        done = subprocess.run([binary, master.address, slave.address], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_systemd_unit(self, tmp_path):
        if not shutil.which("systemd-analyze"):
            pytest.skip("no systemd here")
        unit = tmp_path / "paceline.service"
        unit.write_text((self.EXAMPLES / "paceline.service").read_text().replace("/usr/local/bin/paceline", BINARY))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=30)
        ours = [line for line in done.stderr.splitlines() if "paceline" in line]
        assert not ours, done.stderr

    def test_the_units_flags_exist(self):
        line = re.search(r"^ExecStart=(.*(?:\\\n.*)*)", (self.EXAMPLES / "paceline.service").read_text(), re.M).group(1)
        _, out, _ = paceline("master", "--help")
        for flag in re.findall(r"--[a-z-]+", line):
            assert flag in out, flag


def test_watch_redraws_and_ends(row):
    """`status --watch` goes on until it is told to stop, and leaves the terminal as it was."""
    master, _ = row
    child = subprocess.Popen([BINARY, "status", "--node", master.address, "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        seen = b""

        def came():
            nonlocal seen
            seen += os.read(child.stdout.fileno(), 4096)
            return seen.count(str(master.port).encode()) >= 2

        wait_until(came)
    finally:
        child.terminate()
        assert child.wait(10) is not None
