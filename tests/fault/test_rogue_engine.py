"""
Engines that break the protocol.  An engine parses what strangers wrote, so the daemon
trusts nothing it says: whoever breaks a rule is ended, its requests are told once, and
the next engine serves on.
"""
import pathlib
import shutil
import tempfile

import pytest

from daemon import BIN, Daemon, alive, until
from rogue import ENDS, FATAL, HARMLESS, rogue_daemon

BACKEND = {"kind": "mock", "name": "rogue", "slots": 1}


@pytest.fixture(scope="module")
def program():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="inferd-", dir="/tmp"))
    yield rogue_daemon(directory, BIN / "inferd-daemon")
    shutil.rmtree(directory)


@pytest.fixture
def start(program):
    daemons = []

    def make(*args, **more):
        rule = more.pop("rule", None)
        backend = {**BACKEND, "x-rogue": rule} if rule else BACKEND
        daemons.append(Daemon(*args, config={"backends": [backend]}, program=program, **more))
        return daemons[-1]

    yield make
    for d in daemons:
        print(d.stderr())
        d.__exit__(None)


@pytest.mark.parametrize("rule", [*FATAL, *ENDS])
def test_who_breaks_the_protocol_is_ended(start, rule):
    d = start()
    engine = d.engine()
    a, waiting = d.client("a"), d.client("waiting")
    a.ask("1", rule)
    waiting.ask("1", "hello")
    assert a.error("1")["code"] == "backend_unavailable"
    assert waiting.answer("1") == "ok"
    a.ask("2", "hello")
    assert a.answer("2") == "ok"
    until(lambda: not alive(engine), "the rogue is gone")


def test_what_it_said_is_quoted_to_nobody(start):
    """What an engine says could be a piece of another client's answer."""
    d = start()
    with d.client() as c:
        c.ask("1", "a quotation")
        assert "plover" not in c.error("1")["message"]
    d.stop()
    log = d.home / ".inferd" / "logs" / "inferd.ndjson"
    assert "engine_died" in log.read_text()
    assert "plover" not in d.stderr() + log.read_text()


@pytest.mark.parametrize("rule", HARMLESS)
def test_what_is_odd_reaches_nobody(start, rule):
    d = start()
    engine = d.engine()
    a = d.client()
    for id in ("1", "2"):
        a.ask(id, rule)
        assert a.answer(id) == "ok"
    a.ask("3", "hello")
    assert a.answer("3") == "ok"
    assert d.engine() == engine


@pytest.mark.parametrize("rule", ["no JSON", "a frame of 4 GiB", "exit", "abort",
                                  "close the socket and stay"])
def test_an_engine_that_never_gets_ready(start, rule):
    d = start(rule=rule, ready=False)
    assert d.wait(30) == 1
    assert "rogue" in d.stderr()


def test_an_engine_that_says_why_it_cannot(start):
    d = start(rule="refuse", ready=False)
    assert d.wait() == 1
    assert "no such luck" in d.stderr()


def test_a_client_can_leave_an_engine_that_says_nothing(start):
    d = start()
    a = d.client()
    a.ask("1", "say nothing")
    b = d.client()
    b.ask("1", "hello")
    a.close()
    assert b.answer("1") == "ok"
