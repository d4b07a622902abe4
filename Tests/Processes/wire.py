"""RESP on a bare socket: what the server said, byte for byte, and nothing a client library made of it."""

import socket


def encode(*arguments):
    """One command as a RESP array of bulk strings. Strings become UTF-8, numbers their decimal digits."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Closed(ConnectionError):
    """The peer closed the connection before a whole reply had come."""


class Wire:
    """One connection. `reply()` gives the raw bytes of one whole reply, `value()` the same as Python values."""

    def __init__(self, port, host="127.0.0.1", timeout=60, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *arguments):
        """Sends one command and gives its raw reply."""
        self.send(encode(*arguments))
        return self.reply()

    def ask(self, *arguments):
        """Sends one command and gives its reply as a Python value."""
        self.send(encode(*arguments))
        return self.value()

    def pipeline(self, commands):
        """Sends every command before it reads the first reply; gives the raw replies."""
        self.send(b"".join(encode(*c) for c in commands))
        return [self.reply() for _ in commands]

    def reply(self):
        start = self.at
        self._skip()
        data = self.buffer[start : self.at]
        if self.at > 1 << 16:
            self.buffer, self.at = self.buffer[self.at :], 0
        return data

    def value(self):
        return parse(self.reply())

    def until_closed(self, timeout=60, limit=1 << 24):
        """Everything that comes until the peer closes. TimeoutError when it stays open."""
        self.socket.settimeout(timeout)
        data = self.buffer[self.at :]
        while len(data) < limit:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                return data
            data += more
        return data

    def alive(self):
        """True if the connection still answers a PING: nothing was left half-read on the other side."""
        return self.call("PING") == b"+PONG\r\n"

    def _fill(self):
        more = self.socket.recv(1 << 16)
        if not more:
            raise Closed(f"closed after {self.buffer[self.at:][:200]!r}")
        self.buffer += more

    def _line(self):
        end = self.buffer.find(b"\r\n", self.at)
        while end < 0:
            self._fill()
            end = self.buffer.find(b"\r\n", self.at)
        line = self.buffer[self.at : end]
        self.at = end + 2
        return line

    def _skip(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"$=!":
            if int(rest) >= 0:
                end = self.at + int(rest) + 2
                while len(self.buffer) < end:
                    self._fill()
                self.at = end
        elif kind in b"*~>":
            for _ in range(max(0, int(rest))):
                self._skip()
        elif kind in b"%|":
            for _ in range(2 * int(rest)):
                self._skip()
            if kind == b"|":
                self._skip()
        elif kind not in b"+-:_,#(":
            raise ValueError(f"not a RESP reply: {line!r}")


class ErrorReply(Exception):
    """An error as a value: it is returned, not raised."""

    def __eq__(self, other):
        return isinstance(other, ErrorReply) and self.args == other.args

    def __hash__(self):
        return hash(self.args)


def parse(raw):
    """The Python value of one raw reply. Maps become dicts, sets lists, errors ErrorReply."""
    value, end = _parse(raw, 0)
    assert end == len(raw), f"more than one reply in {raw!r}"
    return value


def parse_one(data):
    """The first reply in the data and where it ends; ValueError or IndexError while it is incomplete."""
    value, end = _parse(data, 0)
    if end > len(data):
        raise ValueError("incomplete")
    return value, end


def _parse(raw, at):
    end = raw.index(b"\r\n", at)
    kind, rest = raw[at : at + 1], raw[at + 1 : end]
    at = end + 2
    if kind == b"+":
        return rest, at
    if kind == b"-":
        return ErrorReply(rest.decode(errors="replace")), at
    if kind == b":" or kind == b"(":
        return int(rest), at
    if kind == b",":
        return float(rest), at
    if kind == b"#":
        return rest == b"t", at
    if kind == b"_":
        return None, at
    if kind in b"$=!":
        size = int(rest)
        if size < 0:
            return None, at
        body = raw[at : at + size]
        return (ErrorReply(body.decode(errors="replace")) if kind == b"!" else body), at + size + 2
    if kind in b"*~>":
        if int(rest) < 0:
            return None, at
        items = []
        for _ in range(int(rest)):
            item, at = _parse(raw, at)
            items.append(item)
        return items, at
    if kind == b"%":
        pairs = {}
        for _ in range(int(rest)):
            key, at = _parse(raw, at)
            item, at = _parse(raw, at)
            pairs[key if not isinstance(key, list) else repr(key)] = item
        return pairs, at
    raise ValueError(f"not a RESP reply: {raw[at:at + 40]!r}")


def shape(raw):
    """The reply without what may differ: types and structure, and the code of an error."""
    return _shape(parse(raw))


def _shape(value):
    if isinstance(value, ErrorReply):
        return "error " + str(value).split(" ")[0]
    if isinstance(value, list):
        return sorted({str(_shape(v)) for v in value})
    if isinstance(value, dict):
        return {k: str(_shape(v)) for k, v in value.items()}
    return type(value).__name__
