"""C code that a real server loads before its own libraries (LD_PRELOAD): compiled once, when a test first needs it."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest


class Preload:
    """The library made of one C file beside this one, in a temporary directory of its own."""

    def __init__(self, source, purpose):
        self.source = pathlib.Path(__file__).with_name(source)
        self.purpose = purpose
        self._library = None

    def library(self):
        """Its path. Where there is no compiler, the test that asks is skipped."""
        if self._library is None:
            compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
            if not compiler:
                pytest.skip(f"no C compiler for the library that {self.purpose}")
            directory = tempfile.mkdtemp(prefix="paceline-preload-")
            library = os.path.join(directory, self.source.stem + ".so")
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, str(self.source), "-ldl"], check=True)
            self._library = library
        return self._library

    def remove(self):
        if self._library:
            shutil.rmtree(os.path.dirname(self._library), ignore_errors=True)
            self._library = None
