"""A TCP proxy between two nodes: it can cut, pause, slow down, count and damage what passes."""

import socket
import threading
import time

from ports import free_port


class Proxy:
    """Listens on `port` and forwards to `target`. "Down" is from the target (the master) to who connected.

    Every knob can be turned while connections are open. Threads are daemons; `close()` ends them.
    """

    def __init__(self, target, host="127.0.0.1"):
        self.target = (host, target)
        self.port = free_port()
        self.bytes_down = 0
        self.bytes_up = 0
        self.connections = 0
        self.rate_down = None  # bytes a second, None = free
        self.cut_after = None  # close every link once bytes_down has passed this
        self.damage_at = None  # flip one bit of the byte at this position of bytes_down
        self._refuse = False
        self._open = threading.Event()
        self._open.set()
        self._links = set()
        self._lock = threading.Lock()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, self.port))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.cut()
        self._listener.close()
        self._open.set()

    def cut(self):
        """Closes every link, and closes new ones at once, until `heal()`."""
        self._refuse = True
        self.drop()

    def drop(self):
        """Closes every link; new ones are welcome."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            for end in link:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def heal(self):
        self._refuse = False
        self.cut_after = None
        self._open.set()

    def pause(self):
        """Links stay open; nothing passes."""
        self._open.clear()

    def resume(self):
        self._open.set()

    @property
    def open_links(self):
        return len(self._links)

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refuse:
                near.close()
                continue
            try:
                far = socket.create_connection(self.target, timeout=5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            link = (near, far)
            with self._lock:
                self._links.add(link)
            threading.Thread(target=self._pump, args=(link, near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(link, far, near, True), daemon=True).start()

    def _pump(self, link, source, sink, down):
        try:
            while True:
                rate = self.rate_down if down else None
                data = source.recv(max(512, min(1 << 16, rate // 20)) if rate else 1 << 16)
                if not data:
                    break
                self._open.wait()
                if down:
                    data = self._down(data)
                    if rate:
                        time.sleep(len(data) / rate)  # the link's own pace, not a wait for an event
                else:
                    self.bytes_up += len(data)
                if data:
                    sink.sendall(data)
                if down and self.cut_after is not None and self.bytes_down >= self.cut_after:
                    self._refuse = True
                    self._end_when_all_is_read(link, sink)
                    self.drop()
                    break
        except OSError:
            pass
        with self._lock:
            self._links.discard(link)
        for end in link:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _end_when_all_is_read(self, link, near):
        """A plain close can be a reset, which throws away what passed here and was not read yet on the other side."""
        near.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + 5
        while link in self._links and time.monotonic() < deadline:
            time.sleep(0.002)

    def _down(self, data):
        if self.cut_after is not None:
            data = data[: max(0, self.cut_after - self.bytes_down)]
        if self.damage_at is not None and self.bytes_down <= self.damage_at < self.bytes_down + len(data):
            place = self.damage_at - self.bytes_down
            data = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
            self.damage_at = None
        self.bytes_down += len(data)
        return data
