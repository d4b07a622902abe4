"""Three nodes under load, faults by seed, and an operator who names a new master when the old one is gone.

`PacelineRow` and `RedisRow` are what differs; clients, faults and the check (`linear.py`) are the same for both.

Every node has a proxy before it. Nodes and the operator reach each other through the proxies, clients do not: so a
cut node may still talk to its clients, as behind a broken switch.
"""

import collections
import random
import re
import threading
import time

from harness import NOT_YET, Server, connected, same_state, wait_until
from linear import APPEND, FAILED, GLANCE, OK, READ, SET, UNKNOWN, Operation, check
from wire import ErrorReply, Wire, encode, parse

REFUSED = ("READONLY", "SYNCQUEUE", "NOREPLICAS", "NOSPACE", "OOM", "MASTERDOWN", "LOADING", "EXECABORT")


class PacelineRow:
    """One master, two slaves, commit level quorum: a write's own reply says whether it is good."""

    sync_timeout = 2
    refuses = True  # PROMOTE is refused where it would lose something, so it may be tried

    def __init__(self, cluster, *flags, nodes=3):
        self.cluster = cluster
        self.nodes, self.proxies = [], []
        for i in range(nodes):
            node = cluster.add(Server(f"node{i}", cluster.directory / f"node{i}"))
            proxy = cluster.proxy(node)
            node.flags = ["--commit", "quorum", "--sync-timeout", f"{self.sync_timeout}s", *flags]
            node.flags += ["--announce", f"127.0.0.1:{proxy.port}"]
            if i:
                node.role, node.master = "slave", f"127.0.0.1:{self.proxies[0].port}"
            self.nodes.append(node)
            self.proxies.append(proxy)

    def start(self):
        for node in self.nodes:
            node.start()
        self.complete()
        return self

    def complete(self):
        """Waits until every node follows and votes: before that the first master's disk alone is the quorum."""
        self.nodes[0].said("the voters changed voters=\"" + " ".join(r"\w{40}" for _ in self.nodes))

    def begin(self, node):
        """Starts a node that was killed; it need not answer at once."""
        node.spawn()

    # What a client sends, and what the replies mean.

    def write(self, wire, *command):
        """OK, FAILED or UNKNOWN."""
        return outcome(wire.ask(*command))

    def read(self, wire, key, canary):
        """(outcome, value) of a read that a majority confirmed: the write behind it is good, so this was the master."""
        wire.send(encode("MULTI") + encode("GET", key) + encode("SET", *canary) + encode("EXEC"))
        reply = [parse(wire.reply()) for _ in range(4)][-1]
        if isinstance(reply, list) and not isinstance(reply[0], ErrorReply) and reply[1] == b"OK":
            return OK, reply[0]
        return UNKNOWN, None

    # The operator.

    def role(self, i):
        with Wire(self.proxies[i].port, timeout=1) as wire:
            return wire.ask("ROLE")[0].decode()

    def promote(self, i, others):
        with Wire(self.proxies[i].port, timeout=12) as wire:
            return str(wire.ask("PROMOTE"))

    def tend(self, i, master):
        """Nothing to do: nodes find the new master themselves."""

    def equal(self):
        """Waits until all nodes hold the same."""
        return same_state(*self.nodes, ceiling=90)


def outcome(reply):
    if not isinstance(reply, ErrorReply):
        return OK
    return FAILED if str(reply).startswith(REFUSED) else UNKNOWN


class RedisNode(Server):
    """redis-server with everything synced to disk."""

    def command(self):
        command = ["redis-server", "--port", self.port, "--dir", self.directory, "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
        if self.role == "slave":
            command += ["--replicaof", "127.0.0.1", self.master.rpartition(":")[2]]
        return command


class RedisRow(PacelineRow):
    """The same with Redis: WAIT 1 behind every write, as its documents advise."""

    refuses = False

    def __init__(self, cluster):
        super().__init__(cluster)
        for i, node in enumerate(self.nodes):
            redis = RedisNode(node.name, node.directory, node.role, node.master, node.port)
            cluster.processes[cluster.processes.index(node)] = self.nodes[i] = redis

    def complete(self):
        connected(self.nodes[0], len(self.nodes) - 1)

    def write(self, wire, *command):
        wire.send(encode(*command) + encode("WAIT", 1, 1000 * self.sync_timeout))
        result, held = outcome(wire.value()), wire.value()
        return UNKNOWN if result == OK and held == 0 else result

    def read(self, wire, key, canary):
        return OK, wire.ask("GET", key)

    def promote(self, i, others):
        with Wire(self.proxies[i].port, timeout=12) as wire:
            reply = wire.ask("REPLICAOF", "NO", "ONE")
        for other in others:
            self.tend(other, i)
        return str(reply)

    def tend(self, i, master):
        """Redis needs to be told whom to follow."""
        try:
            with Wire(self.proxies[i].port, timeout=1) as wire:
                row = wire.ask("ROLE")
                if row[0] == b"master" or row[2] != self.proxies[master].port:
                    wire.ask("REPLICAOF", "127.0.0.1", self.proxies[master].port)
        except NOT_YET:
            pass

    def equal(self):
        with self.nodes[0].wire() as wire:
            keys = sorted(wire.ask("KEYS", "*"))

        def same():
            rows = []
            for node in self.nodes:
                with node.wire() as wire:
                    rows.append(wire.ask("MGET", *keys))
            return rows[0] == rows[1] == rows[2]

        wait_until(same, 60, what="equal data on all nodes")


class Operator:
    """Looks at the nodes several times a second; without a master it promotes slaves until one agrees."""

    def __init__(self, row, seed):
        self.row, self.random = row, random.Random(seed)
        self.master = 0
        self.promotions, self.refusals = 0, []
        self.progress = lambda: time.monotonic()  # changes as long as writes are acknowledged
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def roles(self):
        roles = {}
        for i in range(len(self.row.nodes)):
            try:
                roles[i] = self.row.role(i)
            except (*NOT_YET, ValueError, TypeError, IndexError):
                pass
        return roles

    def knows_master(self):
        return self.roles().get(self.master) == "master"

    def _run(self):
        seen, since = None, time.monotonic()
        while not self._stop.wait(0.1):
            roles = self.roles()
            if self.progress() != seen:
                seen, since = self.progress(), time.monotonic()
            # A master that nobody follows any more may not know it: then another is tried, which the nodes can refuse.
            is_stuck = self.row.refuses and time.monotonic() - since > 2
            if roles.get(self.master) == "master" and not is_stuck:
                for i in roles:
                    if i != self.master:
                        self.row.tend(i, self.master)
                continue
            masters = [i for i, role in roles.items() if role == "master"]
            if masters and self.row.refuses and not is_stuck:
                self.master = masters[0]
                continue
            # The master of a moment ago may have handed over, and be the one that holds most now.
            slaves = [i for i, role in roles.items() if i != self.master or role != "master"]
            self.random.shuffle(slaves)
            for i in slaves:
                if self._stop.is_set():
                    return
                try:
                    reply = self.row.promote(i, [other for other in roles if other != i])
                except (*NOT_YET, ValueError) as error:
                    reply = repr(error)
                if "OK" in reply and "NOPROMOTE" not in reply:
                    self.master = i
                    self.promotions += 1
                    break
                self.refusals.append(f"{self.row.nodes[i].name}: {reply}")


class Clients:
    """Writers and readers that keep a history of what they asked and what they were told."""

    LOGS, REGISTERS = 3, 5

    def __init__(self, row, writers=5, readers=2):
        self.row = row
        self.operations = []  # appended to by all threads: each append is one step of the interpreter
        self.acknowledged = 0
        self.epoch = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(self._write, i), daemon=True) for i in range(writers)]
        self._threads += [threading.Thread(target=self._guard, args=(self._glance, i), daemon=True) for i in range(readers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _guard(self, run, number):
        try:
            run(number)
        except Exception as error:  # a client that ended early would make every check vacuous
            self.failures.append(f"client {number}: {error!r}")
            raise

    def wait_for(self, more, ceiling=120):
        goal = self.acknowledged + more
        wait_until(lambda: self.failures or self.acknowledged >= goal, ceiling, what=f"{more} more acknowledged writes")
        assert not self.failures, self.failures

    def _key(self, choose):
        if choose.random() < 0.5:
            return APPEND, f"log:{self.epoch}:{choose.randrange(self.LOGS)}"
        return SET, f"register:{self.epoch}:{choose.randrange(self.REGISTERS)}"

    def _write(self, number):
        choose = random.Random(number)
        sent, at = 0, 0
        while not self._stop.is_set():
            node = self.row.nodes[at % len(self.row.nodes)]
            try:
                with node.wire(timeout=2 * self.row.sync_timeout + 2) as wire:
                    while not self._stop.is_set():
                        sent += 1
                        result = self._one(wire, node, choose, number, sent)
                        if result != OK:
                            break
            except (OSError, ValueError):
                pass
            at += 1  # no master, or one that cannot do it: ask another
            self._stop.wait(0.01)

    def _one(self, wire, node, choose, number, sent):
        kind, key = self._key(choose)
        token = f"{number}.{sent}"
        if choose.random() < 0.25:
            operation = Operation(READ, key, None, time.monotonic(), node=node.name)
            result, value = self.row.read(wire, key, (f"canary:{number}", token))
            if result == OK:
                operation.value, operation.outcome = value.decode() if value is not None else None, OK
                operation.end = time.monotonic()
                self.operations.append(operation)
            return result
        operation = Operation(kind, key, token, time.monotonic(), node=node.name)
        self.operations.append(operation)  # before it is sent: if the connection breaks, its outcome is unknown
        command = ("SET", key, token) if kind == SET else ("APPEND", key, token + ",")
        result = self.row.write(wire, *command)
        if result != UNKNOWN:
            operation.end = time.monotonic()
            operation.outcome = result
        if result == OK:
            self.acknowledged += 1
        return result

    def _glance(self, number):
        choose = random.Random(1000 + number)
        while not self._stop.is_set():
            node = choose.choice(self.row.nodes)
            try:
                with node.wire(timeout=1) as wire:
                    for _ in range(20):
                        _, key = self._key(choose)
                        operation = Operation(GLANCE, key, None, time.monotonic(), node=node.name)
                        reply = wire.ask("GET", key)
                        operation.end = time.monotonic()
                        if not isinstance(reply, ErrorReply):
                            operation.value = reply.decode() if reply is not None else None
                            operation.outcome = OK
                            self.operations.append(operation)
            except (OSError, ValueError):
                self._stop.wait(0.01)

    def final(self, wire):
        keys = sorted({o.key for o in self.operations})
        values = [wire.ask("GET", key) for key in keys]
        return {key: value.decode() if value is not None else None for key, value in zip(keys, values)}


class Faults:
    """Kills, pauses and cuts by seed; each waits until writes are acknowledged again."""

    def __init__(self, row, operator, clients, seed, say=lambda text: None):
        self.row, self.operator, self.clients, self.say = row, operator, clients, say
        self.random = random.Random(seed)
        self.kills = 0
        self.done = []

    def round(self, kinds=None):
        kinds = kinds or ["kill master"] * 6 + ["kill slave"] * 2 + ["lagging slave"] * 3 + [
            "cut master", "cut slave", "pause master", "pause slave", "drop all", "kill all", "kill two", "hand over",
        ]  # fmt: skip
        kind = self.random.choice(kinds)
        wait_until(self.operator.knows_master, 90, what="an operator who knows the master")
        master = self.operator.master
        slaves = [i for i in range(len(self.row.nodes)) if i != master]
        self.random.shuffle(slaves)
        self.done.append(kind)
        self.say(f"{len(self.done)}: {kind}, master {self.row.nodes[master].name}")
        getattr(self, kind.replace(" ", "_"))(master, slaves)
        self.clients.wait_for(20)
        self.clients.epoch += 1
        self.clients.wait_for(20)

    def wait(self, most=0.4):
        """Time for the load between two moments of a fault; nothing is expected to have happened after it."""
        time.sleep(self.random.random() * most)

    def kill(self, i):
        self.kills += 1
        self.row.nodes[i].kill()

    def again(self, i):
        self.row.begin(self.row.nodes[i])

    def kill_master(self, master, slaves):
        self.kill(master)
        if self.random.random() < 0.7:
            self.clients.wait_for(5)  # the others go on without it
        self.wait()
        self.again(master)

    def kill_slave(self, master, slaves):
        self.kill(slaves[0])
        self.wait()
        self.again(slaves[0])

    def lagging_slave(self, master, slaves):
        """One slave misses the last writes, and is there again when the master is gone."""
        self.row.nodes[slaves[0]].pause()
        self.clients.wait_for(10)
        self.kill(master)
        self.row.nodes[slaves[0]].resume()
        self.clients.wait_for(5)
        self.again(master)

    def cut_master(self, master, slaves):
        self.row.proxies[master].cut()
        if self.random.random() < 0.7:
            wait_until(lambda: self.operator.master != master, 90, what="a new master beside the cut one")
            self.clients.wait_for(5)
        self.wait()
        self.row.proxies[master].heal()

    def cut_slave(self, master, slaves):
        self.row.proxies[slaves[0]].cut()
        self.wait(1)
        self.row.proxies[slaves[0]].heal()

    def drop_all(self, master, slaves):
        for proxy in self.row.proxies:
            proxy.drop()

    def pause_master(self, master, slaves):
        """Longer than the others wait: they have a new master when it wakes."""
        self.row.nodes[master].pause()
        wait_until(lambda: self.operator.master != master, 90, what="a new master beside the paused one")
        self.clients.wait_for(5)
        self.row.nodes[master].resume()

    def pause_slave(self, master, slaves):
        self.row.nodes[slaves[0]].pause()
        self.clients.wait_for(10)
        self.row.nodes[slaves[0]].resume()

    def kill_two(self, master, slaves):
        self.kill(master)
        self.kill(slaves[0])
        self.wait()
        both = [master, slaves[0]]
        self.random.shuffle(both)
        for i in both:
            self.again(i)
            self.wait()

    def kill_all(self, master, slaves):
        everyone = [master, *slaves]
        self.random.shuffle(everyone)
        for i in everyone:
            self.kill(i)
        for i in everyone:
            self.again(i)
            self.wait()

    def hand_over(self, master, slaves):
        """A planned change of master among the unplanned ones."""
        if isinstance(self.row, RedisRow):
            return
        try:
            with Wire(self.row.proxies[master].port, timeout=15) as wire:
                wire.ask("FAILOVER", "TIMEOUT", 5000)
        except NOT_YET:
            pass

    def end(self):
        """Everything runs and is connected."""
        for node, proxy in zip(self.row.nodes, self.row.proxies):
            proxy.heal()
            if not node.running:
                node.spawn()
            node.resume()
        for node in self.row.nodes:
            node.wait_ready()
        self.clients.wait_for(20)


class Result:
    def __init__(self, report, clients, faults, operator):
        self.report, self.kills, self.promotions = report, faults.kills, operator.promotions
        self.acknowledged, self.operations = clients.acknowledged, len(clients.operations)
        self.faults = faults.done
        # How nodes came back, by their own logs.
        plans = [re.findall(r"sync planned .*sync\.plan=(\w+)", node.log()) for node in faults.row.nodes]
        self.plans = collections.Counter(plan for found in plans for plan in found)

    def __str__(self):
        return (
            f"{self.kills} kills in {len(self.faults)} faults, {self.promotions} promotions, "
            f"{self.acknowledged} acknowledged writes of {self.operations} operations, syncs: {dict(self.plans)}\n"
            f"{self.report}"
        )


def run(row, seed, rounds=None, seconds=None, kills=None, kinds=None, say=lambda text: None):
    """Until so many rounds are done, or kills, or the time is over, whichever comes first."""
    began = time.monotonic()
    row.start()
    with Operator(row, seed) as operator, Clients(row) as clients:
        operator.progress = lambda: clients.acknowledged
        faults = Faults(row, operator, clients, seed, say)
        clients.wait_for(50)
        while (
            (rounds is None or len(faults.done) < rounds)
            and (kills is None or faults.kills < kills)
            and (seconds is None or time.monotonic() - began < seconds)
        ):
            try:
                faults.round(kinds)
            except AssertionError as error:
                raise AssertionError(
                    f"seed {seed}, {faults.done[-3:]}: {error}; operator: {operator.refusals[-6:]}; "
                    f"roles: {operator.roles()}"
                ) from error
        faults.end()
        clients.stop()
        assert not clients.failures, clients.failures
        row.equal()
        with row.nodes[operator.master].wire() as wire:
            report = check(clients.operations, clients.final(wire))
    return Result(report, clients, faults, operator)
