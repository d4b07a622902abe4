"""Sets the wall clock of one real server, by LD_PRELOAD (wall_clock.c); its monotonic clock goes on."""

import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import pytest

SOURCE = pathlib.Path(__file__).with_name("wall_clock.c")

_library = None


def library():
    """The compiled library; made once, in a temporary directory."""
    global _library
    if _library is None:
        compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
        if not compiler:
            pytest.skip("no C compiler for the library that sets the clock")
        directory = tempfile.mkdtemp(prefix="paceline-clock-")
        _library = os.path.join(directory, "wall_clock.so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", _library, str(SOURCE), "-ldl"], check=True)
    return _library


def remove_library():
    global _library
    if _library:
        shutil.rmtree(os.path.dirname(_library), ignore_errors=True)
        _library = None


class Clock:
    """The wall clock of one server. Give it to a server that is not started yet: `Clock(server)`."""

    def __init__(self, server):
        self.file = server.directory.parent / f"{server.name}.clock"
        self.file.write_bytes(bytes(4096))
        with open(self.file, "r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), 4096)
        server.env |= {"LD_PRELOAD": library(), "WALL_CLOCK": str(self.file)}

    def set(self, seconds):
        """So far ahead of the machine's from now on."""
        struct.pack_into("=q", self.memory, 0, round(seconds * 1000))

    @property
    def ahead(self):
        return struct.unpack_from("=q", self.memory, 0)[0] / 1000
