"""Nodes that lie: a slave that registers and sends what it likes, and a master that answers what it likes.

The commands are those of Registration.swift and SyncRequest.swift, the frames those of Frame.swift.
"""

import os
import socket
import struct
import threading

from ports import free_port
from wire import Wire, encode, parse_one

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


HEADER = 64
PROTOCOL = 2
TYPES = dict(sync_begin=1, manifest=2, chunk=3, done=4, log=5, sync_end=6, heartbeat=7, ack=8, slave_list=9, digest=10, need_plan=11, error=12)


def frame(kind, body=b"", flags=0, term=1, first=0, last=0, committed=0, clock=0, body_bytes=None, opened=None, checksum=None):
    """One frame; every field can be made wrong. The header's own checksum is right."""
    rest = struct.pack(
        "<BBHIIIIIQQQQ",
        TYPES.get(kind, kind),
        flags,
        0,
        len(body) if body_bytes is None else body_bytes,
        (len(body) if body_bytes is None else body_bytes) if opened is None else opened,
        (crc32c(body) if body else 0) if checksum is None else checksum,
        term,
        0,
        first,
        last,
        committed,
        clock,
    )
    return b"PLF1" + struct.pack("<I", crc32c(rest)) + rest + body


def ack(durable, applied=None, clock=0, file_bytes=0, term=1):
    """What a slave says it has on disk and shows."""
    return frame("ack", body=struct.pack("<QQQQ", durable, durable if applied is None else applied, clock, file_bytes), term=term)


class FakeSlave(Wire):
    """A connection that behaves like a slave as far as one wants."""

    def __init__(self, master, node_id=None):
        super().__init__(master.port)
        self.master = master
        self.node_id = node_id or os.urandom(20).hex()

    def register_arguments(self, version=PROTOCOL, port=None, **changes):
        pairs = {
            "node-id": self.node_id, "addr": "127.0.0.1", "port": port or 1 + free_port(), "capabilities": "none", "has-data": "no",
            "last": "0:0", "chain": "none", "lineage": "none", "accept-data-loss": "no",
        }  # fmt: skip
        pairs.update({k.replace("_", "-"): v for k, v in changes.items()})
        return ["MS_REGISTER_SLAVE", version] + [part for pair in pairs.items() for part in pair]

    def register(self, **changes):
        return self.ask(*self.register_arguments(**changes))

    def sync(self, version=PROTOCOL, **changes):
        pairs = {"node-id": self.node_id, "position": "0:0", "history": "none", "lineage": "none", "mode": "auto", "resume": "none"}
        pairs.update({k.replace("_", "-"): v for k, v in changes.items()})
        return self.ask("MS_SYNC_SLAVE", version, *(part for pair in pairs.items() for part in pair))

    def read_frame(self):
        """(type, header fields, body) of the next frame."""
        data = self._exactly(HEADER)
        kind, flags, _, body_bytes, opened, checksum, term, _, first, last, committed, clock = struct.unpack("<BBHIIIIIQQQQ", data[8:])
        assert data[:4] == b"PLF1"
        return kind, dict(flags=flags, term=term, first=first, last=last, committed=committed), self._exactly(body_bytes)

    def _exactly(self, count):
        while len(self.buffer) - self.at < count:
            self._fill()
        data = self.buffer[self.at : self.at + count]
        self.at += count
        return data


class FakeMaster:
    """Listens, and gives to each command the bytes that `answers` has for its name ("*" for the others).

    `visits` counts connections, `asked` the commands, `closed` the connections that the other side ended.
    """

    def __init__(self, answers, hold=True):
        self.port = free_port()
        self.answers, self.hold = answers, hold
        self.visits, self.closed, self.asked = 0, 0, []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(60)
        data = b""
        try:
            with connection:
                while more := connection.recv(1 << 16):
                    data += more
                    while command := self._command(data):
                        words, data = command
                        name = words[0].upper().decode(errors="replace")
                        self.asked.append(name)
                        connection.sendall(self.answers.get(name, self.answers.get("*", b"+OK\r\n")))
                        if not self.hold and name in self.answers:
                            return
        except OSError:
            pass
        finally:
            self.closed += 1

    @staticmethod
    def _command(data):
        """The first whole command in the data, and the rest; None while it is incomplete."""
        try:
            words, end = parse_one(data)
            return (words, data[end:]) if isinstance(words, list) and words else None
        except (ValueError, IndexError):
            return None


def registration_answer(lineage, owner="11" * 20, last="1:0", history=None, **changes):
    """What a master answers to MS_REGISTER_SLAVE: its one term is that of the node `owner`."""
    history = history or f"1:1@{owner}"
    pairs = {
        "node-id": os.urandom(20).hex(), "addr": "127.0.0.1", "port": "7400", "term": "1", "owner": owner, "last": last, "history": history,
        "lineage": lineage, "has-data": "yes", "capabilities": "none", "upstream": "none", "slaves": "none",
    }  # fmt: skip
    pairs.update({k.replace("_", "-"): str(v) for k, v in changes.items()})
    return encode(str(PROTOCOL), *(part for pair in pairs.items() for part in pair))


def sync_answer(mode="full", start=1, barrier=1, **changes):
    """What a master answers to MS_SYNC_SLAVE."""
    pairs = {
        "mode": mode, "snapshot": "0000000000000001" if mode == "full" else "0" * 16, "start": start, "barrier": barrier,
        "files": 0, "file-bytes": 0, "log-bytes": 0, "held-bytes": 0, "seconds": 0, "reason": "a test", "report": "a test",
    }  # fmt: skip
    pairs.update({k.replace("_", "-"): v for k, v in changes.items()})
    return encode(str(PROTOCOL), *(part for pair in pairs.items() for part in pair))


def pairs(answer):
    """An array of key and value after a version, as a dict of texts."""
    words = [word.decode() for word in answer[1:]]
    return dict(zip(words[::2], words[1::2]))


def state_answer(node_id, lineage, port, role="master", term=1, last="1:1", **changes):
    """What a node answers to MS_STATE."""
    pairs = {
        "node-id": node_id, "addr": "127.0.0.1", "port": port, "role": role, "lineage": lineage, "term": term, "owner": node_id,
        "voted-term": term, "last": last, "committed": last.split("@")[0].split(":")[1], "applied": 1, "voter": "yes", "master-id": "none",
        "master": "none", "streaming": "no", "heard-ms": "none", "refetch": "none", "standing": 0,
    }  # fmt: skip
    pairs.update({k.replace("_", "-"): v for k, v in changes.items()})
    return encode(str(PROTOCOL), *(str(part) for pair in pairs.items() for part in pair))
