"""How long writes stop when a master hands over: clients that follow READONLY to the new master."""

import threading
import time

import redis


class Followers:
    """Clients that write one thing after another, each to whom it was last told is the master."""

    def __init__(self, ports, clients):
        self.ports, self.times, self.stop = ports, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        nodes = {port: redis.Redis(port=port, socket_timeout=30) for port in self.ports}
        at, step = self.ports[0], 0
        while not self.stop.is_set():
            step += 1
            try:
                nodes[at].set(f"{number}:{step % 1000}", step)
                self.times.append(time.monotonic())
            except redis.ResponseError as error:
                _, _, master = str(error).rpartition("The master is ")
                if port := master.rpartition(":")[2]:
                    at = int(port) if port.isdigit() else at
            except redis.ConnectionError:
                pass

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def master_of(nodes):
    return next(port for port, node in nodes.items() if node.execute_command("ROLE")[0] == b"master")


def pauses(ports, clients, rounds):
    """For each FAILOVER the longest time between two acknowledged writes around it, in ms."""
    nodes = {port: redis.Redis(port=port, socket_timeout=30) for port in ports}
    followers = Followers(ports, clients)
    found = []
    try:
        for _ in range(rounds):
            time.sleep(1.2)  # all follow again
            started = time.monotonic()
            nodes[master_of(nodes)].execute_command("FAILOVER")
            time.sleep(0.5)
            near = sorted(at for at in list(followers.times) if started - 0.1 < at < started + 0.6)
            if len(near) > 1:
                found.append(1000 * max(b - a for a, b in zip(near, near[1:])))
    finally:
        followers.end()
    return found
