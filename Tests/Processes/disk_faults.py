"""Makes a real server's disk misbehave: single calls by LD_PRELOAD (disk_faults.c), small and read-only file systems,
an ext4 image that is cut off under the running server. What is not permitted here skips its test, with the reason."""

import ctypes
import mmap
import os
import pathlib
import shutil
import struct
import subprocess

import pytest
from preload import Preload

OPERATIONS = ["open", "write", "sync", "rename", "unlink", "truncate", "reserve", "mkdir"]
ACTIONS = {"fail": 1, "kill before": 2, "kill inside": 3, "kill after": 4}
PRELOAD = Preload("disk_faults.c", "makes calls fail")


class Faults:
    """The faults of one server. Give it to a server that is not started yet: `Faults(server)`."""

    LAYOUT = struct.Struct("=IIIiIIq8Q256s512s")

    def __init__(self, server):
        self.file = server.directory.parent / f"{server.name}.faults"
        self.file.write_bytes(bytes(4096))
        with open(self.file, "r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), 4096)
        server.env |= {"LD_PRELOAD": PRELOAD.library(), "DISK_FAULTS": str(self.file)}

    def _fields(self):
        return self.LAYOUT.unpack_from(self.memory, 0)

    def arm(self, operations, action="fail", error=5, number=1, stays=False, path=""):
        """From now on: the `number`-th call of one of `operations` on a path that contains `path` fails with `error`,
        or the process ends there. `stays`: all later ones fail, too."""
        operations = [operations] if isinstance(operations, str) else operations
        bits = sum(1 << OPERATIONS.index(name) for name in operations)
        self.disarm()
        self.LAYOUT.pack_into(
            self.memory, 0, 0, bits, ACTIONS[action], error, int(stays), 0, number, *[0] * 8, path.encode(), b""
        )
        struct.pack_into("=I", self.memory, 0, 1)

    def slow_syncs(self, milliseconds):
        """From now on every sync takes at least so long; 0: as long as it takes."""
        struct.pack_into("=I", self.memory, self.LAYOUT.size, milliseconds)

    def disarm(self):
        struct.pack_into("=I", self.memory, 0, 0)

    def count(self, path=""):
        """Only counts, from now on."""
        self.arm([], number=1 << 40, path=path)

    @property
    def fired(self):
        return bool(self._fields()[5])

    @property
    def hit(self):
        """The path of the call that failed or ended the process."""
        return self._fields()[16].rstrip(b"\0").decode()

    @property
    def counts(self):
        return dict(zip(OPERATIONS, self._fields()[7:15]))


# File systems. All of this needs root.


class Mount:
    """A file system at a place, until `end`."""

    def __init__(self, place, arguments):
        self.place = pathlib.Path(place)
        self.place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *arguments, str(self.place)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True, capture_output=True)

    def fill(self, leave=0, name="filler"):
        """Takes all room but `leave` bytes; gives the file to be removed."""
        filler = self.place / name
        with open(filler, "ab") as file:
            piece = bytes(1 << 16)
            while True:
                free = os.statvfs(self.place)
                left = free.f_bavail * free.f_frsize - leave
                if left <= 0:
                    return filler
                try:
                    file.write(piece[: min(left, len(piece))])
                    file.flush()
                except OSError:
                    return filler

    def end(self):
        subprocess.run(["umount", "-l", str(self.place)], capture_output=True)


def tmpfs(place, megabytes):
    return Mount(place, ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"])


class Ext4(Mount):
    """An ext4 image on a loop device that can lose its power."""

    def __init__(self, place, megabytes=96):
        self.image = pathlib.Path(f"{place}.img")
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        maker = shutil.which("mkfs.ext4") or "/usr/sbin/mkfs.ext4"
        if not os.access(maker, os.X_OK):
            pytest.skip("no mkfs.ext4 for the image that loses its power")
        subprocess.run([maker, "-q", "-F", str(self.image)], check=True, capture_output=True)
        self.arguments = ["-t", "ext4", "-o", "loop", str(self.image)]
        super().__init__(place, self.arguments)

    SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN = _IOR('X', 125, __u32)

    def cut(self, flags=2):
        """The power goes: nothing reaches the image from here on. 1 writes the journal out first, 2 does not."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            value = ctypes.c_uint32(flags)
            if libc.ioctl(descriptor, ctypes.c_ulong(self.SHUTDOWN), ctypes.byref(value)) != 0:
                pytest.skip(f"FS_IOC_SHUTDOWN is not permitted here: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(descriptor)

    def power_on(self):
        """Mounted again, as after the reboot: the journal is replayed."""
        subprocess.run(["umount", str(self.place)], check=True, capture_output=True)
        subprocess.run(["mount", *self.arguments, str(self.place)], check=True, capture_output=True)
