"""An engine that neither works nor dies, whatever is done to it: the daemon can't heal that,
lets systemd's watchdog starve, which can, and ends without it."""
import os
import signal
import time

import pytest

from daemon import BIN, FACTOR, SCRIPTED, Daemon, alive, until
from test_daemon_doors import systemd, with_systemd  # noqa: F401

IMMORTAL = BIN.parent / "lib" / "libfaulty-kill.so"
FED_EVERY = 0.2

pytestmark = pytest.mark.skipif(FACTOR != 1, reason="a sanitizer's library wants to be the first")


def starve(systemd, limit):
    """Wait until it is not fed any more; how long that took."""
    began = time.monotonic()
    systemd.socket.settimeout(10 * FED_EVERY)
    try:
        while time.monotonic() - began < limit:
            systemd.hear("WATCHDOG=1")
    except TimeoutError:
        return time.monotonic() - began - 10 * FED_EVERY
    raise AssertionError(f"it was still fed after {limit} s")


@pytest.fixture
def watched(systemd, tmp_path):  # noqa: F811
    """watched(...): a daemon that can end none of its engines before the test is over."""
    immortal = tmp_path / "immortal"
    immortal.touch()
    daemons = []

    def make(*args, **more):
        env = with_systemd(systemd, WATCHDOG_USEC=str(int(2 * FED_EVERY * 1e6)),
                           LD_PRELOAD=str(IMMORTAL), FAULTY_KILL=str(immortal))
        daemons.append(Daemon(*args, env=env, **more))
        return daemons[-1]

    yield make
    immortal.unlink(missing_ok=True)
    for d in daemons:
        d.__exit__(None)


def test_an_engine_that_does_not_answer(systemd, watched):  # noqa: F811
    d = watched()
    systemd.hear("WATCHDOG=1")
    engine = d.kill_engine(signal.SIGSTOP)
    assert starve(systemd, 40) > 10, "it had time to answer"
    os.kill(engine, signal.SIGKILL)
    systemd.hear("WATCHDOG=1")
    with d.client() as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"


def test_an_engine_that_never_gets_ready(systemd, watched):  # noqa: F811
    slow = {"kind": "mock", "name": "slow", "load_delay_ms": 600_000}
    d = watched("--ready-timeout-secs", "2", config={"backends": [SCRIPTED, slow]})
    systemd.hear("WATCHDOG=1")
    assert starve(systemd, 40) > 1
    with d.admin() as admin:
        pids = {b["name"]: b["pid"] for b in admin.order("stats")["backends"]}
        os.kill(pids["slow"], signal.SIGKILL)
        until(lambda: "failed" in [b["state"] for b in admin.order("stats")["backends"]],
              "it is given up")
    # What is known to be gone, or absent on purpose, starves nobody.
    for _ in range(10):
        systemd.hear("WATCHDOG=1")


def test_an_engine_that_can_not_be_ended_does_not_keep_the_daemon(systemd, watched):  # noqa: F811
    d = watched()
    engine = d.kill_engine(signal.SIGSTOP)
    d.signal()
    assert d.wait(20) == 0
    assert "ending without an engine that can't be killed" in d.stderr()
    until(lambda: not alive(engine), "the kernel has ended it with its daemon")
