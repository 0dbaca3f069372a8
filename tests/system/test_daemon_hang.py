"""Engines that neither work nor die are noticed: when loading by the ready limit, later by
the missing heartbeat (10 s)."""
import os
import signal

from daemon import PATIENCE

LIMIT = 2 * PATIENCE + 10


def test_an_engine_that_hangs_is_replaced(start):
    d = start("--active-permits", "2")
    engine = d.engine()
    a, b = d.client("a"), d.client("b")
    for c in (a, b):
        c.socket.settimeout(LIMIT)
    b.ask("1", "hold")
    assert b.receive()["content"] == "held"
    a.ask("1", "hang")
    assert a.error("1")["code"] == "backend_unavailable"
    assert b.error("1")["code"] == "backend_unavailable"
    a.ask("2", "say hi")
    assert a.answer("2") == "hi"
    assert d.engine() != engine


def test_an_idle_engine_that_is_stopped_is_replaced(start):
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    admin.socket.settimeout(LIMIT)
    engine = d.kill_engine(signal.SIGSTOP)
    admin.await_status("restarting")
    admin.await_status("ready")
    assert d.engine() != engine
    assert not os.path.exists(f"/proc/{engine}")
    a = d.client()
    a.ask("1", "say hi")
    assert a.answer("1") == "hi"


def test_an_engine_that_never_gets_ready(start):
    d = start("--ready-timeout-secs", "1", ready=False, config={"backends": [
        {"kind": "mock", "name": "slowpoke", "load_delay_ms": 60_000}]})
    assert d.wait(LIMIT) == 1
    assert "slowpoke" in d.stderr()
    assert not d.path.exists() and not d.admin_path.exists()
