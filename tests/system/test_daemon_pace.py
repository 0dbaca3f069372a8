"""
One client's large line does not hold up the daemon: whoever comes meanwhile has its
answer within 100 ms.  The test allows five times that, or, on a machine that is busy with
other things, three times what an idle daemon takes that is asked in turn.
"""
import threading
import time

import pytest

from daemon import MAX_LINE, PATIENCE

BOUND = 5 * 0.100


def line_of(head, filling, tail):
    count = (MAX_LINE - len(head) - len(tail)) // len(filling)
    return head + filling * count + tail + b"\n"


# Refused once they have been parsed: what is measured is the parsing, not an engine that is
# sent 64 MiB.
HOT = b'"temperature":9,"messages":['

LINES = {
    "one long text": line_of(b'{' + HOT + b'{"role":"user","content":"', b"x", b'"}]}'),
    "escapes": line_of(b'{' + HOT + b'{"role":"user","content":"', b"\\u00e9", b'"}]}'),
    "empty objects": line_of(b'{' + HOT, b"{},", b"{}]}"),
    "many messages": line_of(b'{' + HOT, b'{"role":"user","content":"say hi"},',
                             b'{"role":"user","content":"say hi"}]}'),
    "messages of 2 kB": line_of(b'{' + HOT, b'{"role":"user","content":"' + b"x" * 2000
                                + b'"},', b'{"role":"user","content":"say hi"}]}'),
    "white space": line_of(b'{' + HOT + b'{"role":"user","content":"say hi"}]', b" ", b"}"),
}


def answer_time(daemon):
    """How long a new client waits for its answer."""
    began = time.monotonic()
    with daemon.client() as c:
        c.ask("s", "say hi")
        assert c.answer("s") == "hi"
    return time.monotonic() - began


@pytest.mark.parametrize("kind", LINES)
def test_others_are_answered_while_a_line_of_64_MiB_is_read(start, kind):
    busy, idle = start("--active-permits", "2"), start()
    large = busy.client("large")
    large.socket.settimeout(6 * PATIENCE)
    ended, refused = threading.Event(), []

    def send():
        try:
            large.send(LINES[kind])
            refused.append(large.receive()["code"])
        except (BrokenPipeError, ConnectionResetError):
            refused.append("invalid_request")  # in the middle of it, for too many values
        ended.set()

    sender = threading.Thread(target=send)
    sender.start()
    slowest, usual, asked = 0.0, 0.0, 0
    while not ended.is_set() or asked == 0:
        slowest = max(slowest, answer_time(busy))
        usual = max(usual, answer_time(idle))
        asked += 1
    sender.join()
    assert refused == ["invalid_request"]
    assert slowest < max(BOUND, 3 * usual), \
        f"the slowest of {asked} answers took {slowest:.3f} s, an idle daemon's {usual:.3f} s"
