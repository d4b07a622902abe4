"""What users would pick instead, as three nodes on loopback that sync every write: etcd, PostgreSQL, MariaDB, Redis.

Each row is started in directories of this run with ports of its own, and ends with it. `native` is the load of its own tool.
"""

import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import time

from servers import Server, cpu_seconds, free_port

PACKAGES = {
    "redis": {"redis-server": "redis-server", "redis-benchmark": "redis-tools"},
    "etcd": {"etcd": "etcd-server"},
    "postgresql": {"pgbench": "postgresql"},
    "mariadb": {"mariadbd": "mariadb-server", "sysbench": "sysbench"},
}


class Failed(Exception):
    """A server or its client does not do what it should."""


def find(program):
    """Debian keeps PostgreSQL's programs off the PATH."""
    places = [*sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), pathlib.Path("/usr/sbin")]
    return shutil.which(program) or next((str(place / program) for place in places if (place / program).exists()), None)


def install(name):
    """Installs what is missing of `name` without starting any service; None, or why it cannot be measured."""
    missing = [package for program, package in PACKAGES[name].items() if not find(program)]
    if not missing:
        return None
    if not shutil.which("apt-get"):
        return f"{', '.join(missing)} missing, and this is no Debian system"
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]  # RUNLEVEL=1: invoke-rc.d starts no service
    command = [*root, *environment, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    subprocess.run([*root, "apt-get", "update", "-qq"], capture_output=True)
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{', '.join(missing)} could not be installed: {done.stderr.strip()[-200:]}"


def until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not ready after {seconds} s")
        time.sleep(0.05)


class Row:
    """Processes that end together."""

    client = None  # the kind of loader.py that speaks its protocol
    running = []

    def __init__(self, comparison, directory):
        self.comparison, self.directory, self.children = comparison, directory, []
        directory.mkdir(parents=True)
        Row.running.append(self)

    def spawn(self, command, user=None, environment=None):
        with open(self.directory / "log.txt", "ab") as log:
            more = {"user": user, "group": user} if user else {}
            self.children.append(
                subprocess.Popen(
                    [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True, **more
                )
            )

    def native(self, seconds, connections):
        return None

    def cpu_seconds(self):
        """Of each of its processes, in the order of their start."""
        return [cpu_seconds(child.pid) for child in self.children]

    def stop(self):
        if self in Row.running:
            Row.running.remove(self)
        for how, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 30)):
            for child in self.children:
                if child.poll() is None:
                    os.killpg(child.pid, how)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and any(child.poll() is None for child in self.children):
                time.sleep(0.05)
        self.children = []
        shutil.rmtree(self.directory, ignore_errors=True)

    @classmethod
    def stop_all(cls):
        for row in list(cls.running):
            row.stop()


class Etcd(Row):
    title, client = "etcd, 3 members", "etcd"
    settings = "defaults (Raft, every entry synced), the load goes to the leader"

    def start(self):
        ports = [(free_port(), free_port()) for _ in range(3)]
        cluster = ",".join(f"n{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(ports))
        for i, (port, peer) in enumerate(ports):
            command = [find("etcd"), "--name", f"n{i}", "--data-dir", self.directory / f"n{i}", "--initial-cluster", cluster]
            command += ["--listen-client-urls", f"http://127.0.0.1:{port}", "--advertise-client-urls", f"http://127.0.0.1:{port}"]
            command += ["--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
            self.spawn([*command, "--logger", "zap", "--log-outputs", "stderr"])
        self.ports = [port for port, _ in ports]
        until("etcd", self.find_leader)

    def find_leader(self):
        for port in self.ports:
            try:
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                link.request("POST", "/v3/maintenance/status", "{}")
                status = json.loads(link.getresponse().read())
                link.close()
            except (OSError, ValueError, http.client.HTTPException):
                return False
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                self.port = port
                return True
        return False

    def before(self):
        self.find_leader()


class RedisRow(Row):
    title, client = "Redis, WAIT 1 after every SET", "wait"
    settings = "appendonly yes, appendfsync always on all three; WAIT counts replicas that have received, not synced"

    def start(self):
        master = Server("redis", self.directory / "m", durability="fsync")
        master.start()
        self.servers = [master] + [Server("redis", self.directory / f"s{i}", durability="fsync", master=master) for i in range(2)]
        for server in self.servers[1:]:
            server.start()
        self.port = master.port
        until("Redis", lambda: all(server.in_sync(0) for server in self.servers[1:]))

    def before(self):
        pass

    def stop(self):
        for server in getattr(self, "servers", []):
            server.stop(signal.SIGKILL)
        super().stop()


class PostgreSQL(Row):
    title = "PostgreSQL, ANY 1 of two standbys"
    settings = "synchronous_commit=on, synchronous_standby_names='ANY 1 (s1, s2)'; pgbench -M prepared, one upsert a transaction"

    def start(self):
        self.user = None
        if os.geteuid() == 0:  # it refuses to run as root
            self.user = "postgres"
            account = pwd.getpwnam(self.user)
            self.comparison.work.chmod(0o755)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self.ports = [free_port() for _ in range(3)]
        self.call("initdb", "-D", self.directory / "m", "-A", "trust", "-U", "bench", "--no-sync", "-E", "UTF8", "--locale", "C")
        common = "max_connections=300\nshared_buffers=256MB\nmax_wal_size=8GB\nlisten_addresses='127.0.0.1'\nhot_standby=on\n"
        common += f"unix_socket_directories='{self.directory}'\n"
        self.write("m/postgresql.auto.conf", common + f"port={self.ports[0]}\nsynchronous_commit=on\n")
        self.write("m/pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n")
        self.serve("m", 0)
        for i in (1, 2):
            self.call("pg_basebackup", "-h", "127.0.0.1", "-p", self.ports[0], "-U", "bench", "-D", self.directory / f"s{i}", "--no-sync", "-c", "fast")
            primary = f"primary_conninfo='host=127.0.0.1 port={self.ports[0]} user=bench application_name=s{i}'\n"
            self.write(f"s{i}/postgresql.auto.conf", common + f"port={self.ports[i]}\n" + primary)
            self.write(f"s{i}/standby.signal", "")
            self.serve(f"s{i}", i)
        self.sql("create table kv (k text primary key, v text)")
        self.sql("alter system set synchronous_standby_names = 'ANY 1 (s1, s2)'")
        self.sql("select pg_reload_conf()")
        until("PostgreSQL's standbys", lambda: self.sql("select count(*) from pg_stat_replication where sync_state = 'quorum'") == "2")

    def write(self, name, text):
        (self.directory / name).write_text(text)
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.directory / name, account.pw_uid, account.pw_gid)

    def serve(self, name, i):
        self.spawn([find("postgres"), "-D", self.directory / name], user=self.user)
        until(f"PostgreSQL {name}", lambda: self.sql("select 1", i, check=False) == "1")

    def call(self, program, *arguments, check=True):
        more = {"user": self.user, "group": self.user} if self.user else {}
        command = [find(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=self.directory, **more)
        if check and done.returncode != 0:
            raise Failed(f"{program}: {done.stderr[-1000:]}")
        return done.stdout

    def sql(self, text, i=0, check=True):
        return self.call("psql", "-h", "127.0.0.1", "-p", self.ports[i], "-U", "bench", "-d", "postgres", "-qAtc", text, check=check).strip()

    def before(self):
        pass

    def native(self, seconds, connections):
        options = self.comparison.options
        script = f"\\set n random(1, {options.keys})\ninsert into kv values ('key:' || lpad((:n)::text, 12, '0'), '{'x' * options.value_bytes}')"
        self.write("upsert.sql", script + " on conflict (k) do update set v = excluded.v;\n")
        each = max(20, round(getattr(self, "rate", 1000) * seconds / connections))  # no -T: it counts the time to connect
        command = ["-h", "127.0.0.1", "-p", self.ports[0], "-U", "bench", "-n", "-M", "prepared", "-c", connections, "-j", 1, "-t", each]
        out = self.call("pgbench", *command, "-f", self.directory / "upsert.sql", "-l", "--log-prefix", self.directory / "times", "postgres")
        times = []
        for log in self.directory.glob("times*"):
            times += [int(line.split()[2]) / 1000 for line in log.read_text().splitlines()]
            log.unlink()
        times.sort()
        if len(times) != each * connections:
            raise Failed(f"pgbench: {len(times)} of {each * connections} writes\n{out[-500:]}")
        self.rate = float(re.search(r"tps = ([\d.]+) \(without", out).group(1))
        return {"rate": self.rate, "p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)], "failures": 0}


class MariaDB(Row):
    title = "MariaDB, semi-synchronous, two replicas"
    settings = "innodb_flush_log_at_trx_commit=1, sync_binlog=1, rpl_semi_sync_master_wait_point=AFTER_SYNC; replicas confirm what they have written, synced or not; sysbench, one REPLACE a transaction"
    SCRIPT = """
function thread_init()
  drv = sysbench.sql.driver()
  con = drv:connect()
end
function event()
  con:query(string.format("REPLACE INTO kv VALUES ('key:%%012d', '%s')", sysbench.rand.uniform(0, %d)))
end
"""

    def start(self):
        self.user = "mysql" if os.geteuid() == 0 else None
        self.ports = [free_port() for _ in range(3)]
        if self.user:
            account = pwd.getpwnam(self.user)
            self.comparison.work.chmod(0o755)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        more = {"user": self.user, "group": self.user} if self.user else {}
        for i, port in enumerate(self.ports):
            data = self.directory / f"n{i}"
            made = subprocess.run(
                [find("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"],
                capture_output=True, text=True, **more,
            )  # fmt: skip
            if made.returncode != 0:
                raise Failed(f"mariadb-install-db: {made.stdout[-500:]}{made.stderr[-500:]}")
            command = [find("mariadbd"), "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={data}/s"]
            command += [f"--pid-file={data}/pid", f"--server-id={i + 1}", f"--log-bin={data}/bin", "--log-slave-updates", "--sync-binlog=1"]
            command += ["--innodb-flush-log-at-trx-commit=1", "--max-connections=400", "--innodb-buffer-pool-size=256M"]
            command += [f"--rpl-semi-sync-{'slave' if i else 'master'}-enabled=1", "--rpl-semi-sync-master-wait-point=AFTER_SYNC"]
            command += ["--rpl-semi-sync-master-timeout=60000", "--slave-parallel-threads=4", "--skip-name-resolve", "--back-log=512"]
            self.spawn(command, user=self.user)
        for i in range(3):
            until("MariaDB", lambda: self.sql("select 1", i, check=False) == "1")
        self.sql("create user r@'127.0.0.1' identified by 'r'; grant replication slave on *.* to r@'127.0.0.1'; create database b")
        self.sql("create user l@'127.0.0.1' identified by 'l'; grant all on b.* to l@'127.0.0.1'")
        self.sql("create table b.kv (k varchar(16) primary key, v varchar(4096)) engine=innodb")
        for i in (1, 2):
            self.sql(f"change master to master_host='127.0.0.1', master_port={self.ports[0]}, master_user='r', master_password='r', master_use_gtid=slave_pos", i)
            self.sql("start slave", i)
        until("MariaDB's replicas", lambda: self.sql("show status like 'Rpl_semi_sync_master_clients'").endswith("2"))

    def sql(self, text, i=0, check=True):
        command = [find("mariadb"), "--no-defaults", "-uroot", f"--socket={self.directory}/n{i}/s", "-N", "-B", "-e", text]
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Failed(f"MariaDB: {text}: {done.stderr}")
        return done.stdout.strip()

    def before(self):
        pass

    def native(self, seconds, connections):
        options = self.comparison.options
        script = self.directory / "replace.lua"
        script.write_text(self.SCRIPT % ("x" * options.value_bytes, options.keys))
        command = [find("sysbench"), script, "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={self.ports[0]}", "--mysql-user=l"]
        command += ["--mysql-password=l", "--mysql-db=b", f"--threads={connections}", f"--time={max(1, round(seconds))}", "--histogram", "run"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Failed(f"sysbench: {done.stdout[-500:]}{done.stderr[-500:]}")
        if not self.sql("show status like 'Rpl_semi_sync_master_status'").endswith("ON"):
            raise Failed("MariaDB: semi-synchronous replication switched itself off")
        rate = float(re.search(r"transactions:\s+\d+\s+\(([\d.]+) per sec", done.stdout).group(1))
        bars = [(float(value), int(count)) for value, count in re.findall(r"^\s*([\d.]+) \|[* ]*\s(\d+)$", done.stdout, re.M)]
        total, seen, at = sum(count for _, count in bars), 0, {}
        for value, count in bars:
            seen += count
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                if name not in at and seen >= total * share:
                    at[name] = value
        return {"rate": rate, **at, "failures": 0}


ROWS = {"redis": RedisRow, "etcd": Etcd, "postgresql": PostgreSQL, "mariadb": MariaDB}
