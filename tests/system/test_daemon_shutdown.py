"""The daemon's end, and the moment at which it begins to serve."""
import os
import signal

import pytest

from daemon import alive, until


def slow(delay_ms):
    return {"backends": [{"kind": "mock", "name": "mock", "scripted": True,
                          "token_delay_ms": delay_ms}]}


# --- the end ---


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_daemon_goes_at_once(start, sig):
    d = start()
    idle = d.client()
    d.signal(sig)
    assert d.wait() == 0
    idle.expect_end()
    assert not d.path.exists()
    assert not d.admin_path.exists()


def test_running_requests_finish_and_waiting_ones_are_told(start):
    d = start("--active-permits", "2", config=slow(10))
    admin = d.admin()
    admin.await_status("ready")
    running = [d.client(f"running{i}") for i in range(2)]
    for i, c in enumerate(running):
        c.ask("r", "say " + "word " * 30 + str(i))
        c.receive()
    waiting = [d.client(f"waiting{i}") for i in range(3)]
    for c in waiting:
        c.ask("w", "say never")
    idle = d.client("idle")
    d.settle()
    d.signal()
    admin.await_status("draining")
    for c in waiting:
        assert c.error("w")["code"] == "backend_unavailable"
        c.expect_end()
    for i, c in enumerate(running):
        done = c.frames("r")[-1]
        assert done["type"] == "done" and done["content"].endswith(f"word {i}")
        c.expect_end()
    idle.expect_end()
    admin.expect_end()
    assert d.wait() == 0
    assert not d.path.exists()


def test_a_signal_to_its_engine_as_well_loses_nothing(start):
    """A service manager signals every process of the service."""
    d = start(config=slow(10))
    a = d.client()
    a.ask("1", "say " + "word " * 30 + "end")
    a.receive()
    os.kill(d.engine(), signal.SIGTERM)
    d.signal()
    done = a.frames("1")[-1]
    assert done["type"] == "done" and done["content"].endswith("word end")
    assert d.wait() == 0


def test_nothing_new_is_taken_while_it_ends(start):
    d = start("--active-permits", "2")
    a, b = d.client("a"), d.client("b")
    a.ask("1", "hold")
    assert a.receive()["content"] == "held"
    b.ask("1", "say hi")
    assert b.answer("1") == "hi"
    d.signal()
    # Which of both happens is a matter of microseconds; an answer is not possible.
    with d.admin() if d.admin_path.exists() else b:
        until(lambda: not d.path.exists(), "the socket is gone")
    try:
        b.ask("2", "say late")
        frame = b.receive()
    except (BrokenPipeError, ConnectionResetError):
        frame = None
    assert frame is None or frame["code"] == "backend_unavailable"
    d.signal()
    d.wait()


def test_a_second_signal_does_not_wait(start):
    d = start()
    admin = d.admin()
    a = d.client()
    a.ask("1", "hold")
    assert a.receive()["content"] == "held"
    d.signal()
    admin.await_status("draining")
    d.signal()
    assert d.wait(3) in (0, 1)
    # What it can still say is one typed error; it never says two things.
    frame = a.receive()
    if frame is not None:
        assert frame["type"] in ("error", "done") and frame["id"] == "1"
        a.expect_end()
    assert not d.path.exists()
    assert not d.admin_path.exists()


def test_the_drain_limit(start):
    d = start("--drain-timeout-secs", "1")
    engine = d.engine()
    a = d.client()
    a.ask("1", "hold")
    assert a.receive()["content"] == "held"
    d.signal()
    d.wait(5)
    frame = a.receive()
    if frame is not None:
        assert frame["type"] in ("error", "done") and frame["id"] == "1"
        a.expect_end()
    assert not d.path.exists()
    until(lambda: not alive(engine), "its engine is gone")


def test_an_engine_that_hangs_does_not_keep_the_daemon(start):
    d = start("--drain-timeout-secs", "1")
    a = d.client()
    a.ask("1", "hang")
    d.settle()
    d.signal()
    d.wait(8)
    assert not d.path.exists()


def test_a_client_that_does_not_read_does_not_keep_the_daemon(start):
    d = start("--drain-timeout-secs", "1")
    a = d.client()
    a.ask("1", "babble 100000 10000")
    a.receive()
    d.signal()
    d.wait(8)
    assert not d.path.exists()


def test_the_end_while_loading(start):
    d = start(ready=False, config={"backends": [
        {"kind": "mock", "name": "mock", "load_delay_ms": 60_000}]})
    d.admin().await_status("loading_model")
    d.signal()
    assert d.wait(5) == 0
    assert not d.admin_path.exists()


def test_the_end_while_an_engine_restarts(start):
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    waiting = d.client()
    d.kill_engine()
    admin.await_status("restarting")
    waiting.ask("1", "say hi")
    d.signal()
    assert d.wait() == 0
    frame = waiting.receive()
    while frame and frame["type"] == "token":
        frame = waiting.receive()
    assert frame is None or frame["type"] == "done" or frame["code"] == "backend_unavailable"


# --- the beginning ---


def test_the_socket_is_not_there_before_ready(start):
    d = start(ready=False, config={"backends": [
        {"kind": "mock", "name": "mock", "scripted": True, "load_delay_ms": 500}]})
    admin = d.admin()
    admin.await_status("loading_model")
    assert not d.path.exists()
    admin.await_status("ready")
    # And then it is, without a moment in between.
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_ready_implies_connectable(start):
    """Several times, for it would be a race."""
    for _ in range(10):
        d = start(ready=False)
        d.admin().await_status("ready")
        c = d.client()
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"
        d.stop()
