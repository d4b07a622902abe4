#!/usr/bin/env python3
"""One slow client that is the same for every server: N connections, on each the next write when the last is answered.

    loader.py resp|wait|etcd PORT CONNECTIONS SECONDS VALUE_BYTES KEYS

resp: SET. wait: SET and WAIT 1 in one packet. etcd: a put through its HTTP gateway. Prints JSON: writes a second, latencies in ms.
"""

import asyncio
import base64
import json
import random
import sys
import time


def resp(key, value):
    return b"*3\r\n$3\r\nSET\r\n$16\r\n%b\r\n$%d\r\n%b\r\n" % (key, len(value), value)


def wait(key, value):
    return resp(key, value) + b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n"


def etcd(key, value):
    body = b'{"key":"%b","value":"%b"}' % (base64.b64encode(key), base64.b64encode(value))
    return b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def resp_end(data):
    """None: more is to come. True: a good answer."""
    return data == b"+OK\r\n" if data.endswith(b"\n") else None


def wait_end(data):
    if data.count(b"\n") < 2:
        return None
    return data.startswith(b"+OK\r\n:") and data[6:] != b"0\r\n"


def etcd_end(data):
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        return None if not data.endswith(b"0\r\n\r\n") else b" 200 " in head
    if len(body) < int(lower[at + 15 :].split(b"\r\n", 1)[0]):
        return None
    return b" 200 " in head[:20]


KINDS = {"resp": (resp, resp_end), "wait": (wait, wait_end), "etcd": (etcd, etcd_end)}


class Connection(asyncio.Protocol):
    def __init__(self, run):
        self.run, self.answer = run, b""

    def connection_made(self, transport):
        self.transport = transport
        self.write()

    def write(self):
        self.started = time.perf_counter()
        self.transport.write(self.run.request())

    def data_received(self, data):
        self.answer += data
        good = self.run.is_end(self.answer)
        if good is None:
            return
        now = time.perf_counter()
        if good:
            self.run.times.append(now - self.started)
        else:
            self.run.failed(self.answer)
        self.answer = b""
        if now < self.run.until:
            self.write()
        else:
            self.transport.close()

    def connection_lost(self, _):
        self.run.left()


class Run:
    def __init__(self, kind, connections, seconds, value_bytes, keys):
        make, self.is_end = KINDS[kind]
        draw = random.Random()
        value = bytes(draw.choices(b"abcdefghijklmnopqrstuvwxyz", k=value_bytes))
        self.request = lambda: make(b"key:%012d" % draw.randrange(keys), value)
        self.seconds, self.times, self.failures, self.example, self.open = seconds, [], 0, "", connections
        self.connections, self.done = connections, asyncio.Event()

    def failed(self, answer):
        self.failures += 1
        self.example = repr(answer[:200])

    def left(self):
        self.open -= 1
        if not self.open:
            self.done.set()

    async def __call__(self, port):
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        self.until = started + self.seconds
        for _ in range(self.connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        await asyncio.wait_for(self.done.wait(), self.seconds + 60)
        took = time.perf_counter() - started
        times = sorted(self.times) or [float("nan")]
        at = {name: times[min(len(times) - 1, int(len(times) * share))] * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
        return {"rate": len(self.times) / took, **at, "failures": self.failures, "example": self.example}


if __name__ == "__main__":
    kind, port, *numbers = sys.argv[1:]
    connections, seconds, value_bytes, keys = (float(text) for text in numbers)
    print(json.dumps(asyncio.run(Run(kind, int(connections), seconds, int(value_bytes), int(keys))(int(port)))))
