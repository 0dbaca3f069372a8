"""A program that floods the daemon costs another one no more than its turn."""
import shutil
import subprocess
import time

import pytest

from daemon import BIN, PATIENCE, until

REQUEST_MS = 20
BOUND_MS = 3 * REQUEST_MS
LATITUDE = 5
ASKED = 40


def flood(daemon, program):
    return subprocess.Popen(
        [program, "--socket", daemon.path, "--connections", "200", "--seconds", "600"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_flooded(daemon):
    with daemon.admin() as admin:
        stats = admin.order("stats")
        return stats["waiting"] == min(199, stats["queue_depth"])


@pytest.mark.parametrize("depth", [256, 50], ids=["with room for all", "refused all the time"])
def test_who_asks_now_and_then_waits_for_few(start, tmp, depth):
    """The other keeps 200 requests in flight; asking again is all that it does when it is
    refused."""
    d = start("--active-permits", "1", "--queue-depth", str(depth), config={"backends": [
        {"kind": "mock", "name": "mock", "tokens": ["x"], "token_delay_ms": REQUEST_MS}]})
    program = shutil.copy(BIN / "inferd-load", tmp / "flood")
    flooder = flood(d, program)
    try:
        until(lambda: is_flooded(d), "the flood")
        client, waits = d.client(), []
        for i in range(ASKED):
            client.ask(str(i), "hi")
            last = client.frames(str(i))[-1]
            assert last["type"] == "done", last  # it is never refused
            waits.append(last["timings"]["queue_ms"])
            time.sleep(0.05)  # now and then
        assert is_flooded(d)
    finally:
        flooder.terminate()
        flooder.wait(PATIENCE)
    p95 = sorted(waits)[ASKED * 95 // 100]
    print(f"queue wait: p50 {sorted(waits)[ASKED // 2]:.1f} ms, p95 {p95:.1f} ms")
    assert p95 < BOUND_MS * LATITUDE
