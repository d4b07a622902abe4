"""Sets the wall clock of one real server, by LD_PRELOAD (wall_clock.c); its monotonic clock goes on."""

import mmap
import struct

from preload import Preload

PRELOAD = Preload("wall_clock.c", "sets the clock")


class Clock:
    """The wall clock of one server. Give it to a server that is not started yet: `Clock(server)`."""

    def __init__(self, server):
        self.file = server.directory.parent / f"{server.name}.clock"
        self.file.write_bytes(bytes(4096))
        with open(self.file, "r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), 4096)
        server.env |= {"LD_PRELOAD": PRELOAD.library(), "WALL_CLOCK": str(self.file)}

    def set(self, seconds):
        """So far ahead of the machine's from now on."""
        struct.pack_into("=q", self.memory, 0, round(seconds * 1000))

    @property
    def ahead(self):
        return struct.unpack_from("=q", self.memory, 0)[0] / 1000
