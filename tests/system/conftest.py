"""Fixtures: daemons that end with the test, and are quoted when it fails."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from daemon import BIN, Daemon  # noqa: E402


@pytest.fixture
def start(tmp):
    """start(…) makes a Daemon.  All must end well unless the test ended them itself.

    It asks for tmp so that a test's directory goes after the daemons that write there."""
    daemons = []

    def make(*args, **more):
        daemons.append(Daemon(*args, **more))
        return daemons[-1]

    yield make
    problems = []
    for d in reversed(daemons):
        print(f"--- {d.stderr_path}\n{d.stderr()}")
        try:
            d.__exit__(None)
        except AssertionError as e:
            problems.append(str(e))
    assert not problems, "\n".join(problems)


@pytest.fixture
def tmp(tmp_path_factory):
    """A directory of the test's own, with a path short enough for sockets."""
    import pathlib
    import shutil
    import tempfile
    path = pathlib.Path(tempfile.mkdtemp(prefix="inferd-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def pytest_sessionstart():
    program = BIN / "inferd-daemon"
    if not program.exists():
        raise pytest.UsageError(f"there is no {program}; build first, or set INFERD_BIN")
