"""Free loopback ports, outside the range from which the kernel takes the ports of outgoing connections."""

import os
import random
import socket
import sys

_given = {}
_random = random.Random(os.getpid())


def _claim(port):
    """Two runs of the tests on one machine never get the same port: a name that goes with this process says whose it
    is. None when it is taken."""
    if not sys.platform.startswith("linux"):
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0paceline-test-port-{port}")
    except OSError:
        claim.close()
        return None
    return claim


def free_port():
    while True:
        port = _random.randrange(20000, 32000)
        if port in _given:
            continue
        claim = _claim(port)
        if claim is None:
            continue
        _given[port] = claim
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
