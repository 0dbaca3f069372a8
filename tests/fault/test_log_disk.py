"""The disk of the activity log is full, or hangs: nobody who asks notices."""
import json
import os
import time

import pytest

from daemon import BIN, FACTOR, PATIENCE, Daemon, until

FAULTS = BIN.parent / "lib" / "libfaulty-disk.so"

pytestmark = pytest.mark.skipif(FACTOR != 1, reason="a sanitizer's library wants to be the first")


@pytest.fixture
def start_on(tmp):
    """start_on(fault): a daemon whose log lies on such a disk, in tmp/logs."""
    daemons = []

    def make(fault):
        env = {**os.environ, "HOME": str(tmp), "TMPDIR": str(tmp), "LD_PRELOAD": str(FAULTS),
               "FAULTY_DISK": fault}
        daemons.append(Daemon("--log-dir", tmp / "logs", env=env))
        return daemons[-1]

    yield make
    for d in daemons:
        d.__exit__(None)


@pytest.fixture
def tmp():
    import pathlib
    import shutil
    import tempfile
    path = pathlib.Path(tempfile.mkdtemp(prefix="inferd-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def ask(d, n):
    with d.client() as c:
        for i in range(n):
            c.ask(f"r{i}", "say x")
            assert c.answer(f"r{i}") == "x"


def test_a_full_disk(start_on, tmp):
    limit = 100000
    d = start_on(f"write ENOSPC {limit}")
    ask(d, 400)
    until(lambda: "No space left on device" in d.stderr(), "the complaint")
    ask(d, 50)
    assert d.stderr().count("has to wait") == 1
    log = tmp / "logs" / "inferd.ndjson"
    assert log.stat().st_size < limit
    assert all(json.loads(line) for line in log.read_text().splitlines())
    log.rename(log.with_suffix(".old"))        # there is room again
    until(lambda: log.exists() and "request_done" in log.read_text(), "lines of those that waited")


def test_a_disk_that_hangs(start_on, tmp):
    """It holds one thread of the pool, for ever: large lines need the others."""
    d = start_on("write HANG 1")
    log = tmp / "logs" / "inferd.ndjson"
    until(log.exists, "the log, opened")
    began = time.monotonic()
    ask(d, 200)
    for i in range(4):
        with d.client() as c:
            c.ask("large", "say x " + "y" * 100000)
            c.frames("large")
    assert time.monotonic() - began < PATIENCE / 2
    assert log.stat().st_size == 0

    d.signal()
    began = time.monotonic()
    assert d.wait() == 0
    assert time.monotonic() - began < PATIENCE
    assert "its disk does not answer" in d.stderr()
    assert not list(d.runtime.glob("*.sock"))
