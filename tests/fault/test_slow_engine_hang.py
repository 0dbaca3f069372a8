"""
An engine that reads a large order slowly is alive, although it answers no ping for more
than ten seconds: the ping stands behind the order.
"""
import pathlib
import shutil
import tempfile

import pytest

from daemon import BIN, PATIENCE, Daemon, request
from rogue import rogue_daemon


@pytest.fixture(scope="module")
def program():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="inferd-", dir="/tmp"))
    yield rogue_daemon(directory, BIN / "inferd-daemon")
    shutil.rmtree(directory)


def test_reading_is_a_sign_of_life(program):
    backend = {"kind": "mock", "name": "slow", "slots": 1, "x-rogue": "read slowly"}
    with Daemon(config={"backends": [backend]}, program=program) as d:
        c = d.client()
        c.socket.settimeout(6 * PATIENCE)
        c.send(request("1", "x" * (60 << 20)))
        assert c.frames("1")[-1]["type"] == "done"
