"""Engines that die: what runs on them ends once, what waits survives, and there is a new
one soon."""
import os
import resource
import signal
import time

import pytest

from daemon import BIN, FACTOR, SCRIPTED, alive, until

DEATHS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]


def serves(daemon, within=None):
    with daemon.client() as c:
        if within:
            c.socket.settimeout(within)
        c.ask("s", "say hi")
        assert c.answer("s") == "hi"


@pytest.mark.parametrize("sig", DEATHS)
def test_killed_in_the_middle_of_a_generation(start, sig):
    d = start("--active-permits", "3")
    clients = [d.client(f"c{i}") for i in range(3)]
    for c in clients:
        c.ask("1", "hold")
        assert c.receive()["content"] == "held"
    waiting = [d.client(f"w{i}") for i in range(3)]
    for i, c in enumerate(waiting):
        c.ask("1", f"say w{i}")
    before = d.kill_engine(sig)
    for c in clients:
        assert c.error("1")["code"] == "backend_unavailable"
    for i, c in enumerate(waiting):
        assert c.answer("1") == f"w{i}"
    # One terminal frame each: the next one on the same connection is the next request's.
    for c in clients:
        c.ask("2", "say hi")
        assert c.answer("2") == "hi"
    assert d.engine() != before


def test_killed_in_the_middle_of_a_stream(start):
    d = start()
    a = d.client()
    a.ask("1", "babble 100000 100")
    for _ in range(1000):
        assert a.receive()["type"] == "token"
    d.kill_engine()
    assert a.error("1")["code"] == "backend_unavailable"
    a.ask("2", "say hi")
    assert a.answer("2") == "hi"


def test_killed_while_idle(start):
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    d.kill_engine()
    for status in ("restarting", "loading_model", "ready"):
        admin.await_status(status)
    serves(d)


def test_killed_while_loading(start):
    d = start(ready=False, config={"backends": [{**SCRIPTED, "load_delay_ms": 300}]})
    admin = d.admin()
    admin.await_status("loading_model")
    before = d.kill_engine()
    admin.await_status("ready")
    assert d.engine() != before
    serves(d)


def test_killed_again_while_it_loads_again(start):
    d = start(config={"backends": [{**SCRIPTED, "load_delay_ms": 300}]})
    admin = d.admin()
    admin.await_status("ready")
    for _ in range(2):
        d.kill_engine()
        admin.await_status("loading_model")
    waiting = d.client()
    waiting.ask("1", "say hi")
    assert waiting.answer("1") == "hi"


def test_requests_wait_while_there_is_no_engine(start):
    """The socket stays, and who comes meanwhile is served as soon as possible."""
    d = start("--queue-depth", "8", config={"backends": [{**SCRIPTED, "load_delay_ms": 300}]})
    admin = d.admin()
    admin.await_status("ready")
    d.kill_engine()
    admin.await_status("restarting")
    clients = [d.client(f"c{i}") for i in range(5)]
    for i, c in enumerate(clients):
        c.ask("1", f"say c{i}")
    for i, c in enumerate(clients):
        assert c.answer("1") == f"c{i}"


def test_a_prompt_that_kills_its_engine_each_time(start):
    """Only its sender is told; others are served in between, each time.  Once it has killed its
    engine twice while nothing else ran, it is refused."""
    d = start("--active-permits", "1")
    bad, good = d.client("bad"), d.client("good")
    for i in range(3):
        bad.ask(str(i), "crash SEGV")
        assert bad.error(str(i))["code"] == "backend_unavailable"
        good.ask(str(i), "say hi")
        assert good.answer(str(i)) == "hi"
    engine = d.engine()
    bad.ask("again", "crash SEGV")
    error = bad.error("again")
    assert error["code"] == "invalid_request"
    assert "is refused for an hour" in error["message"]
    assert d.engine() == engine
    bad.ask("other", "say hi")
    assert bad.answer("other") == "hi"


def test_an_engine_that_always_dies_is_not_started_in_a_frenzy(start):
    """With a loop of crashes the daemon stays and backs off.  What fails at last, although it was
    ready each time, is started again by whoever reloads."""
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    began = time.monotonic()
    for death in range(1, 8):
        d.kill_engine()
        admin.await_status("ready")
        if death == 4:
            took = time.monotonic() - began
            # Four starts without any pause would take a few hundredths of a second.
            assert took > 0.5, f"four deaths in {took:.2f} s"
    d.kill_engine()
    admin.await_status("failed")
    assert "died of Killed, as it did 8 times in a row" in d.stderr()
    with d.client() as c:
        c.ask("1", "say hi")
        assert c.error("1")["message"] == "no backend available"
    assert admin.order("reload")["ok"]
    serves(d)


def test_an_engine_that_cannot_be_started_now_is_started_later(start):
    """Without descriptors there is no socket for it; that passes."""
    d = start()
    c, admin = d.client(), d.admin()
    admin.await_status("ready")
    limits = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    d.kill_engine()
    until(lambda: "cannot make a socket for" in d.stderr(), "it can't be started")
    c.ask("1", "say hi")
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, limits)
    assert c.answer("1") == "hi"
    assert "has failed" not in d.stderr()


@pytest.mark.skipif(not (BIN / "inferd-fetch").exists(), reason="this build fetches nothing")
def test_a_fetch_that_cannot_be_started_now_is_started_later(start, tmp):
    d = start()
    admin = d.admin()
    admin.await_status("ready")
    d.configure({"models_home": str(tmp / "models"), "backends": [SCRIPTED, {
        "kind": "llamacpp", "name": "far", "model": {
            "name": "far", "sha256": "0" * 64, "source_url": "https://127.0.0.1:1/far.gguf"}}]})
    used = {int(fd) for fd in os.listdir(f"/proc/{d.pid}/fd")}
    free = [fd for fd in range(1024) if fd not in used]
    limits = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    # One is left: for reading the configuration, but not for a pair of sockets.
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (free[0] + 1, limits[1]))
    assert admin.order("reload")["ok"]
    for _ in range(3):
        admin.order("stats")
    assert "Failed to connect" not in d.stderr()
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, limits)
    until(lambda: "Failed to connect" in d.stderr(), "nobody is there, as it finds out now")
    assert "has failed" not in d.stderr()


@pytest.mark.skipif(FACTOR > 1, reason="what a sanitizer takes for itself is beyond any limit")
def test_an_engine_that_takes_too_much_memory_ends_and_is_replaced(start):
    d = start(config={"backends": [{**SCRIPTED, "memory_limit_mib": 64}]})
    before = d.engine()
    with d.client() as c:
        c.ask("1", "eat 16")
        assert c.frames("1")[-1]["type"] == "done"
        assert d.engine() == before
        c.ask("2", "eat 80")
        error = c.error("2")
        assert error["code"] == "backend_unavailable"
        assert error["message"] == (
            "engine 'mock' ran out of memory (its memory_limit_mib is 64)")
    serves(d)
    assert d.engine() != before
    assert "ran out of memory" in d.stderr()


def test_no_process_leaves_a_core_file(start):
    d = start()
    for pid in (d.pid, d.engine()):
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_two_backends_die_apart(start):
    """While one serves, the daemon is ready."""
    d = start("--active-permits", "1", config={"backends": [
        {**SCRIPTED, "name": "first"}, {**SCRIPTED, "name": "second"}]})
    first, second = until(lambda: len(d.engines()) == 2 and d.engines(), "two engines")
    for deaths, (victim, survivor) in enumerate(((first, second), (second, None)), 1):
        os.kill(victim, signal.SIGKILL)
        until(lambda: d.stderr().count("died of Killed") == deaths, "the daemon has noticed")
        serves(d)
        until(lambda: len(d.engines()) == 2 and victim not in d.engines(), "two engines again")
        assert survivor is None or alive(survivor)
    serves(d)


def test_no_engine_outlives_its_daemon(start):
    d = start("--active-permits", "1", config={"backends": [
        {**SCRIPTED, "name": "first"}, {**SCRIPTED, "name": "second"}]})
    engines = until(lambda: len(d.engines()) == 2 and d.engines(), "two engines")
    d.kill()
    until(lambda: not any(alive(e) for e in engines), "both engines are gone")


def test_a_stopped_engine_can_go_on(start):
    """A pause (SIGSTOP, a suspended machine) is no death."""
    d = start()
    a = d.client()
    engine = d.kill_engine(signal.SIGSTOP)
    a.ask("1", "say hi")
    with d.client() as other:
        other.ask("1", "say ho")
        os.kill(engine, signal.SIGCONT)
        assert a.answer("1") == "hi"
        assert other.answer("1") == "ho"
    assert d.engine() == engine


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_that_are_meant_for_the_daemon_do_not_end_engines(start, sig):
    """Ctrl-C reaches the whole process group; the daemon needs its engines to finish."""
    d = start()
    a = d.client()
    a.ask("1", "babble 1000 1000")
    assert a.receive()["type"] == "token"
    engine = d.kill_engine(sig)
    assert a.frames("1")[-1]["type"] == "done"
    assert d.engine() == engine
