#!/usr/bin/env python3
"""Read your own writes from a slave.

    read_your_writes.py MASTER_HOST:PORT SLAVE_HOST:PORT

The master's LASTLSN after a write is a token: a place in its log. WAITLSN on a slave waits until the slave has applied
the log up to that place. The token is a number: keep it in a session or a cookie, and hand it to whoever reads next.
"""

import sys

import redis


def connect(address):
    host, _, port = address.rpartition(":")
    return redis.Redis(host=host, port=int(port), decode_responses=True)


def write(master, key, value):
    """Writes, and gives the token. One connection and one round trip, so that no other reply can come between."""
    with master.pipeline(transaction=False) as pipe:
        pipe.set(key, value)
        pipe.execute_command("LASTLSN")
        return pipe.execute()[1]


def read(slave, key, token, patience_ms=1000):
    """Reads what the write with this token wrote, or something newer."""
    with slave.pipeline(transaction=False) as pipe:
        pipe.execute_command("WAITLSN", token, patience_ms)
        pipe.get(key)
        return pipe.execute()[1]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    master, slave = map(connect, sys.argv[1:])
    for number in range(1, 101):
        token = write(master, "basket:42", f"{number} apples")
        seen = read(slave, "basket:42", token)
        assert seen == f"{number} apples", f"wrote {number} apples, read {seen}"
    print(f"wrote and read 100 times, each read saw its write; the last token is {token}")


if __name__ == "__main__":
    main()
