"""Slaves and masters that lie: the server stays up, the data stays what it was, and the link is the only loss."""

import os
import random

import pytest

from harness import in_sync, same_state, wait_until
from load import fill
from peer import FakeMaster, FakeSlave, ack, crc32c, frame, pairs, registration_answer, sync_answer
from wire import Closed, ErrorReply, encode

pytestmark = pytest.mark.timeout(900)
ID = "ab" * 20


@pytest.fixture(scope="module")
def master(shared):
    master = shared.master(name="master")
    fill(master, 200)
    return master


@pytest.fixture(autouse=True)
def the_master_is_unharmed(request):
    if "master" not in request.fixturenames:
        yield
        return
    master = request.getfixturevalue("master")
    before = master.digest()
    yield
    assert master.running
    assert master.digest() == before


class TestFakeSlave:
    def test_an_honest_one_is_served(self, master):
        with FakeSlave(master) as slave:
            answer = pairs(slave.register())
            assert len(answer["node-id"]) == 40 and answer["node-id"] != slave.node_id
            plan = pairs(slave.sync(mode="partial"))
            assert plan["mode"] in ("partial", "full") and plan["reason"]
            kind, header, body = slave.read_frame()
            assert kind in (1, 2, 3, 4, 5, 6, 7, 9, 10)

    @pytest.mark.parametrize(
        "change, code",
        [
            ({"version": 1}, "PROTOVERSION"),
            ({"version": 0}, "PROTOVERSION"),
            ({"version": "x"}, "PROTOVERSION"),
            ({"version": 2**64}, "PROTOVERSION"),
            ({"node_id": "x"}, "ERR"),
            ({"node_id": "a" * 39}, "ERR"),
            ({"node_id": "../../../../../../../../etc/passwd000000"}, "ERR"),
            ({"node_id": ""}, "ERR"),
            ({"port": "99999"}, "ERR"),
            ({"port": "-1"}, "ERR"),
            ({"port": "x"}, "ERR"),
            ({"last": "1"}, "ERR"),
            ({"last": "1:99999999999999999999"}, "ERR"),
            ({"last": "-1:5"}, "ERR"),
            ({"chain": "x,y"}, "ERR"),
            ({"has_data": "perhaps"}, "ERR"),
            ({"lineage": "zz"}, "ERR"),
            ({"addr": "x" * 5000}, "ERR"),
            ({"addr": "a\r\nb"}, "ERR"),
        ],
    )
    def test_odd_registrations(self, master, change, code):
        with FakeSlave(master) as slave:
            answer = slave.register(**change)
            assert isinstance(answer, ErrorReply) and str(answer).split()[0] == code, answer

    def test_the_masters_own_id_is_refused(self, master):
        with FakeSlave(master) as slave:
            own = pairs(slave.register())["node-id"]
        with FakeSlave(master, node_id=own) as slave:
            assert str(slave.register()).startswith("SELFREGISTER")

    def test_a_chain_that_holds_the_master_is_a_cycle(self, master):
        with FakeSlave(master) as slave:
            own = pairs(slave.register())["node-id"]
        with FakeSlave(master) as slave:
            assert str(slave.register(chain=own)).startswith("CYCLE")

    def test_two_with_one_id(self, master):
        with FakeSlave(master, node_id=ID) as one, FakeSlave(master, node_id=ID) as two:
            one.register()
            one.sync(mode="partial")
            answer = two.register()
            assert isinstance(answer, ErrorReply) and str(answer).startswith("DUPLICATEID"), answer

    def test_odd_arguments(self, master):
        with master.wire() as wire:
            for arguments in (
                [], ["2"], ["2", "node-id"], ["2", "node-id", ID, "node-id", ID], ["2"] + ["k", "v"] * 100, ["2", b"\xff\xfe", b"\x00"],
                ["2", "k" * 10_000, "v"],
            ):  # fmt: skip
                for command in ("MS_REGISTER_SLAVE", "MS_SYNC_SLAVE"):
                    assert isinstance(wire.ask(command, *arguments), ErrorReply), (command, arguments)
            assert wire.alive()

    @pytest.mark.parametrize(
        "change",
        [
            {"position": "1:999999999", "history": "1:1"},
            {"position": "7:5", "history": "7:1"},
            {"position": "1:5", "history": "none"},
            {"position": "1:5", "history": "2:1,1:5"},
            {"history": "1:1," * 1000},
            {"mode": "everything"},
            {"resume": "x"},
            {"resume": "0000000000000001:5:1=99999999999999999999"},
            {"resume": "0000000000000001:5:" + ",".join(f"{i}=1" for i in range(5000))},
            {"resume": "0000000000000001:5:1=1,1=1"},
            {"resume": "0000000000000001:5:../escape=1"},
        ],
    )
    def test_odd_sync_requests(self, master, change):
        """An error, or a plan that gives what is right: never a stop, never bytes from beyond."""
        with FakeSlave(master) as slave:
            slave.register()
            answer = slave.sync(**change)
            assert isinstance(answer, ErrorReply) or pairs(answer)["mode"] in ("full", "partial")

    def test_sync_without_registration(self, master):
        with FakeSlave(master) as slave:
            assert str(slave.sync()).startswith("NOTREGISTERED")

    def streaming(self, master):
        slave = FakeSlave(master)
        slave.register()
        answer = slave.sync(mode="partial")
        assert not isinstance(answer, ErrorReply), answer
        return slave

    def test_an_ack_beyond_what_was_sent_is_rejected(self, cluster):
        """It would fake a quorum."""
        master = cluster.master()
        fill(master, 200)
        with self.streaming(master) as slave:
            slave.send(ack(2**40))
            self.ends(slave)
        with master.wire() as wire:
            wire.ask("SET", "bystander", "1")
            assert wire.ask("WAIT", 1, 100) == 0

    def ends(self, slave):
        """The master closes the link, perhaps after frames and an error frame."""
        slave.socket.settimeout(60)
        try:
            while True:
                slave.read_frame()
        except (Closed, OSError, AssertionError):
            pass

    ODD_FRAMES = {
        "applied beyond durable": lambda: ack(1, 2),
        "greatest": lambda: ack(2**64 - 1),
        "zeros": lambda: bytes(64),
        "random": lambda: random.Random(1).randbytes(300),
        "a command": lambda: encode("SET", "k", "v") * 20,
        "wrong checksum of the body": lambda: frame("ack", body=bytes(32), checksum=1),
        "damaged header": lambda: frame("ack", body=bytes(32))[:20] + b"\xff" + frame("ack", body=bytes(32))[21:],
        "short ack": lambda: frame("ack", body=bytes(31)),
        "long ack": lambda: frame("ack", body=bytes(4000)),
        "empty ack": lambda: frame("ack"),
        "length of 4 GiB": lambda: frame("ack", body_bytes=2**32 - 1),
        "length of 4 MiB, nothing behind": lambda: frame("ack", body_bytes=(4 << 20) + 1),
        "log from a slave": lambda: frame("log", body=bytes(64), first=1, last=1),
        "manifest from a slave": lambda: frame("manifest", body=bytes(64)),
        "unknown type": lambda: frame(99),
        "type 0": lambda: frame(0),
        "unknown flags": lambda: frame("ack", body=bytes(32), flags=0xFC),
        "compressed ack": lambda: frame("ack", body=bytes(32), flags=1, opened=1000),
        "expands a thousandfold": lambda: frame("log", body=bytes(100), flags=2, opened=16 << 20),
    }

    @pytest.mark.parametrize("name", ODD_FRAMES)
    def test_odd_frames(self, master, name):
        with self.streaming(master) as slave:
            try:
                slave.send(self.ODD_FRAMES[name]())
            except OSError:
                return
            self.ends(slave)

    def test_a_slave_that_never_reads(self, cluster):
        """It is fed from disk when it comes back to reading; the master's memory does not grow with its lag."""
        master = cluster.master("--segment-bytes", 4 << 20, "--ops-buffer", 4 << 20)
        fill(master, 4000, value_bytes=1000)
        with FakeSlave(master) as slave:
            slave.register()
            slave.sync(mode="partial")
            before = master.memory()
            for _ in range(3):
                fill(master, 8000, value_bytes=1000, prefix="key")
            grown = master.memory() - before
            assert grown < 40 << 20, f"{grown >> 20} MiB"

    def test_two_hundred_registrations(self, master):
        """More than --max-slaves: named refusals, and the places are free again afterwards."""
        slaves = [FakeSlave(master) for _ in range(100)]
        answers = [slave.register() for slave in slaves]
        assert any(isinstance(a, ErrorReply) and str(a).startswith("MAXSLAVES") for a in answers)
        for slave in slaves:
            slave.close()
        wait_until(lambda: master.info("replication")["connected_slaves"] == "0", what="those that never synced are gone")
        with FakeSlave(master) as slave:
            assert not isinstance(slave.register(), ErrorReply)


class TestFakeMaster:
    """A slave with data meets a master that talks nonsense: it keeps its data, goes on answering, and can go home."""

    @pytest.fixture(scope="class")
    @staticmethod
    def pair(shared):
        master = shared.master(name="true-master")
        fill(master, 200)
        slave = shared.slave(master, name="tested-slave")
        in_sync(master, slave)
        with FakeSlave(master) as spy:
            lineage = pairs(spy.register())["lineage"]
        return master, slave, lineage

    GARBAGE = {
        "random bytes": random.Random(2).randbytes(5000),
        "endless line": b"+" + b"x" * 200_000,
        "error": b"-ERR no\r\n",
        "empty array": b"*0\r\n",
        "null": b"$-1\r\n",
        "negative bulk": b"$-5\r\n",
        "huge bulk": b"$10995116277760\r\n",
        "huge array": b"*2147483647\r\n",
        "deep array": b"*1\r\n" * 100_000,
        "number": b":5\r\n",
        "other version": encode("9", "node-id", ID),
        "odd words": encode("1", "node-id"),
        "no words": encode("1"),
        "binary words": encode(b"\xff\x00", b"\x01"),
        "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n",
        "psync": b"+FULLRESYNC abc 0\r\n$20\r\n" + b"X" * 20,
        "bad id": registration_answer(ID, node_id="../../escape"),
        "bad slaves": registration_answer(ID, slaves="../escape@x/1"),
        "bad history": registration_answer(ID, history="9:1,1:9"),
    }

    @pytest.mark.parametrize("hold", [True, False], ids=["stays", "closes"])
    @pytest.mark.parametrize("name", GARBAGE)
    def test_garbage_for_an_answer(self, pair, name, hold):
        master, slave, _ = pair
        with FakeMaster({"MS_REGISTER_SLAVE": self.GARBAGE[name]}, hold=hold) as liar:
            self.meets(slave, liar)
        self.goes_home(master, slave)

    def meets(self, slave, liar):
        state = slave.call("GET", "key:7"), slave.call("DBSIZE")
        slave.call("REPLICAOF", "127.0.0.1", liar.port)
        wait_until(lambda: "MS_REGISTER_SLAVE" in liar.asked)
        if not liar.hold:
            wait_until(lambda: liar.closed > 0)
        assert slave.running
        assert (slave.call("GET", "key:7"), slave.call("DBSIZE")) == state, "the data changed"
        assert slave.info("replication")["master_link_status"] == "down"

    def goes_home(self, master, slave):
        assert slave.running
        slave.call("REPLICAOF", "127.0.0.1", master.port)
        in_sync(master, slave)
        same_state(master, slave)

    FRAMES = {
        "random bytes": lambda: random.Random(4).randbytes(100_000),
        "zeros": lambda: bytes(10_000),
        "text": lambda: b"*1\r\n$4\r\nPING\r\n" * 100,
        "wrong body checksum": lambda: frame("log", body=os.urandom(200), first=1, last=1, checksum=7),
        "random records": lambda: frame("log", body=random.Random(6).randbytes(256), first=201, last=201, committed=201),
        "empty log": lambda: frame("log", first=201, last=201),
        "LSNs backwards": lambda: frame("log", body=bytes(64), first=300, last=200),
        "unknown type": lambda: frame(77, body=b"x"),
        "an ack from a master": lambda: frame("ack", body=bytes(32)),
        "length of 4 GiB": lambda: frame("log", body_bytes=2**32 - 1),
        "expands": lambda: frame("log", body=bytes(100), flags=1, opened=16 << 20),
        "unknown compression": lambda: frame("log", body=bytes(100), flags=3, opened=1000),
        "broken lz4": lambda: frame("log", body=random.Random(8).randbytes(500), flags=1, opened=4000, first=201, last=210),
        "broken zstd": lambda: frame("log", body=b"\x28\xb5\x2f\xfd" + random.Random(9).randbytes(500), flags=2, opened=4000, first=201, last=210),
        "zstd with a giant window": lambda: frame("log", body=bytes.fromhex("28b52ffd00a8") + bytes(50), flags=2, opened=4000, first=201, last=201),
        "chunk of an unnamed file": lambda: frame("chunk", body=b"x" * 100, first=99, last=0),
        "chunk far out": lambda: frame("chunk", body=b"x" * 100, first=1, last=2**63),
        "manifest of another snapshot": lambda: frame("manifest", body=b"\x01" + b"\xff" * 100),
        "manifest with a million files": lambda: frame("manifest", body=b"\x01" + (1).to_bytes(8, "little") + (10**6).to_bytes(4, "little")),
        "end without a beginning": lambda: frame("sync_end", body=bytes(17)),
        "slave list of nothing": lambda: frame("slave_list", body=b"\x01" + b"\xff" * 12),
        "digest of nothing": lambda: frame("digest", body=b"\x01\xff\xff\xff\xff"),
        "an error that splits": lambda: frame("error", body=b"\x01\x03\x00ERR\x05\x00a\r\nbc"),
        "committed beyond": lambda: frame("heartbeat", last=10**12, committed=10**12, clock=2**63),
        "half a frame": lambda: frame("log", body=bytes(1000), first=201, last=201)[:500],
    }

    @pytest.mark.parametrize("mode", ["partial", "full"])
    @pytest.mark.parametrize("name", FRAMES)
    def test_odd_frames_after_a_good_beginning(self, pair, name, mode):
        master, slave, lineage = pair
        last = slave.info()["applied_lsn"]
        answers = {
            "MS_REGISTER_SLAVE": registration_answer(lineage, master.info()["node_id"], last=f"1:{last}"),
            "MS_SYNC_SLAVE": sync_answer(mode, start=int(last) + 1 if mode == "partial" else 1, barrier=last) + self.FRAMES[name](),
        }
        state = slave.call("GET", "key:7"), slave.call("DBSIZE")
        with FakeMaster(answers) as liar:
            slave.call("REPLICAOF", "127.0.0.1", liar.port)
            wait_until(lambda: "MS_SYNC_SLAVE" in liar.asked)
            if name not in ("committed beyond", "half a frame"):
                wait_until(lambda: liar.closed > 0, what="the slave gives the link up")
            assert (slave.call("GET", "key:7"), slave.call("DBSIZE")) == state, "the data changed"
        self.goes_home(master, slave)

    def test_a_silent_master_is_noticed(self, pair):
        master, slave, _ = pair
        with FakeMaster({"*": b""}) as silent:
            slave.call("REPLICAOF", "127.0.0.1", silent.port)
            wait_until(lambda: silent.visits > 0)
            assert slave.call("GET", "key:7") is not None
        self.goes_home(master, slave)


def test_checksum_is_the_known_one():
    assert crc32c(b"123456789") == 0xE3069283
