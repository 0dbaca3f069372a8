"""
One client's large line does not hold up the daemon: whoever comes meanwhile has its
answer within 100 ms.  The test allows five times that, or, on a machine that is busy with
other things, three times what an idle daemon takes that is asked in turn.

What is asked here is answered by the daemon alone.  An engine has to read the large
order, too, and what stands behind it in its socket waits for that.
"""
import threading
import time

import pytest

from daemon import MAX_LINE, PATIENCE

BOUND = 5 * 0.100


def line_of(head, filling, tail):
    count = (MAX_LINE - len(head) - len(tail)) // len(filling)
    return head + filling * count + tail + b"\n"


LINES = {
    "one long text": line_of(b'{"messages":[{"role":"user","content":"', b"x", b'"}]}'),
    "escapes": line_of(b'{"messages":[{"role":"user","content":"', b"\\u00e9", b'"}]}'),
    "empty objects": line_of(b'{"messages":[', b"{},", b"{}]}"),
    "many messages": line_of(b'{"messages":[', b'{"role":"user","content":"say hi"},',
                             b'{"role":"user","content":"say hi"}]}'),
    "messages of 2 kB": line_of(b'{"messages":[', b'{"role":"user","content":"' + b"x" * 2000
                                + b'"},', b'{"role":"user","content":"say hi"}]}'),
    "white space": line_of(b'{"messages":[{"role":"user","content":"say hi"}]', b" ", b"}"),
}


def refusal_time(daemon):
    """How long a new client waits for an answer that needs no engine."""
    began = time.monotonic()
    daemon.settle()
    return time.monotonic() - began


@pytest.mark.parametrize("kind", LINES)
def test_others_are_answered_while_a_line_of_64_MiB_is_read(start, kind):
    busy, idle = start(), start()
    large = busy.client("large")
    large.socket.settimeout(6 * PATIENCE)
    ended = threading.Event()

    def send():
        try:
            large.send(LINES[kind])
            frame = large.receive()
            while frame and frame["type"] == "token":
                frame = large.receive()
        except (BrokenPipeError, ConnectionResetError, AssertionError):
            pass  # refused in the middle of it
        ended.set()

    sender = threading.Thread(target=send)
    sender.start()
    slowest, usual, asked = 0.0, 0.0, 0
    while not ended.is_set() or asked == 0:
        slowest = max(slowest, refusal_time(busy))
        usual = max(usual, refusal_time(idle))
        asked += 1
    sender.join()
    assert slowest < max(BOUND, 3 * usual), \
        f"the slowest of {asked} answers took {slowest:.3f} s, an idle daemon's {usual:.3f} s"
