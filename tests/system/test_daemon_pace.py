"""
One client's large line does not hold up the daemon: whoever comes meanwhile has its
answer within 100 ms.  The test allows five times that, because the machine may be busy
with other things.

What is asked here is answered by the daemon alone.  An engine has to read the large
order, too, and what stands behind it in its socket waits for that.
"""
import threading
import time

import pytest

from daemon import MAX_LINE, Client

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


@pytest.mark.parametrize("kind", LINES)
def test_others_are_served_while_a_line_of_64_MiB_is_read(start, kind):
    d = start("--active-permits", "2")
    large = d.client("large")
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
    slowest, asked = 0.0, 0
    while not ended.is_set() or asked == 0:
        before = time.monotonic()
        with Client(d.path, "small") as small:
            small.send({"id": "s", "messages": []})
            assert small.error("s")["code"] == "invalid_request"
        slowest, asked = max(slowest, time.monotonic() - before), asked + 1
    sender.join()
    assert slowest < BOUND, f"the slowest of {asked} answers took {slowest * 1000:.0f} ms"
