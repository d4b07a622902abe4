"""Fixtures, and what is shown when a test fails: the last lines of the log of every server that took part."""

import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import BINARY, STAND_IN, Cluster  # noqa: E402

_living = []


def pytest_sessionstart(session):
    if not STAND_IN and not os.access(BINARY, os.X_OK):
        pytest.exit(f"no server at {BINARY}: build it (swift build -c release) or set PACELINE_BIN", returncode=3)


def pytest_report_header(config):
    return f"server: {'redis-server in its place' if STAND_IN else BINARY}"


def _new_cluster():
    cluster = Cluster(tempfile.mkdtemp(prefix="paceline-test-"))
    _living.append(cluster)
    return cluster


def _end(cluster):
    _living.remove(cluster)
    cluster.end()


@pytest.fixture
def cluster():
    """Servers of one test."""
    cluster = _new_cluster()
    yield cluster
    _end(cluster)


@pytest.fixture
def stopped(cluster):
    """Pauses nodes; whatever happens, they run again at the end."""
    paused = []

    def pause(*nodes):
        for node in nodes:
            node.pause()
            paused.append(node)

    yield pause
    for node in paused:
        if node.running:
            node.resume()


@pytest.fixture(scope="module")
def shared():
    """Servers that the tests of one module share."""
    cluster = _new_cluster()
    yield cluster
    _end(cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for cluster in _living:
            for name, log in cluster.logs():
                report.sections.append((f"log of {name}", log))
    return report


def pytest_terminal_summary(terminalreporter):
    """scripts/test hands its other steps over, so that one summary closes the whole run."""
    steps = os.environ.get("PACELINE_TEST_STEPS")
    if steps:
        terminalreporter.section("steps before these tests")
        for line in steps.splitlines():
            terminalreporter.write_line(line)
