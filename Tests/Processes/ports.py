"""Free loopback ports, outside the range from which the kernel takes the ports of outgoing connections."""

import os
import random
import socket

_given = set()
_random = random.Random(os.getpid())


def free_port():
    while True:
        port = _random.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
