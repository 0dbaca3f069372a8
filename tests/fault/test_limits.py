"""A daemon that runs out of something says so to whom it concerns, and serves on."""
import resource

import pytest

from daemon import FACTOR, PATIENCE, Daemon, until


def limited(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


def test_out_of_descriptors():
    with Daemon(preexec_fn=limited(resource.RLIMIT_NOFILE, 40)) as d:
        early = d.client("early")
        early.ask("1", "say hi")
        assert early.answer("1") == "hi"

        crowd = [d.client(f"c{i}") for i in range(100)]
        for i in range(20):
            early.ask(str(i), "say hi")
            assert early.answer(str(i)) == "hi"
        for c in crowd:
            c.close()

        def served():
            with d.client("late") as late:
                try:
                    late.ask("1", "say hi")
                    frame = late.receive()
                    return frame and frame["type"] == "token"
                except (BrokenPipeError, ConnectionResetError):
                    return False
        until(served, "a new client is served again")


@pytest.mark.skipif(FACTOR > 1, reason="sanitizers need memory of their own")
def test_out_of_memory():
    """Large lines of several clients do not all fit; who is too much is refused or cut
    off, and small requests go on."""
    with Daemon(preexec_fn=limited(resource.RLIMIT_DATA, 120 << 20)) as d:
        small = d.client("small")
        line = (b'{"id":"big","messages":[{"role":"user","content":"say hi"}]'
                + b" " * (40 << 20) + b'}\n')
        crowd = [d.client(f"c{i}") for i in range(4)]
        for c in crowd:
            try:
                c.send(line)
            except (BrokenPipeError, ConnectionResetError):
                pass
            small.ask("1", "say hi")
            assert small.answer("1") == "hi"
        for c in crowd:
            c.socket.settimeout(6 * PATIENCE)
            frame = c.receive()
            assert frame is None or frame["type"] in ("token", "done", "error")
            c.close()
        small.ask("2", "say hi")
        assert small.answer("2") == "hi"
