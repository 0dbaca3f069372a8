"""How the llama engine takes requests in: what waits for what, and what any text costs."""
import time

import pytest

from daemon import PATIENCE
from test_llama_engine import (  # noqa: F401  (fixtures)
    answer, answers, ask, cache, endless, engine, models, refused)

# Long to read with this vocabulary: its expressions are matched by recursion.
LONG = "a" * 300_000


@pytest.fixture
def slow(engine, models):
    return engine(models("wide", "--vocab", "deepseek-llm", "--layers", "1",
                         "--context", "16384"),
                  {"n_ctx": 16_384}, slots=4)


def test_a_short_request_overtakes_a_long_one(slow):
    ask(slow, 1, LONG)
    ask(slow, 2, "x", max_tokens=3)
    ends = []
    while len(ends) < 2:
        event = slow.event()
        if event["type"] != "text":
            ends.append(event["serial"])
    assert ends == [2, 1]


def test_a_cancelled_request_ends_before_it_is_ready(slow):
    """The first is being read, the second waits behind it; neither is waited for."""
    ask(slow, 1, LONG)
    ask(slow, 2, LONG)
    ask(slow, 3, LONG)
    slow.order("cancel", serial=2)
    slow.order("cancel", serial=1)
    ends = [slow.event() for _ in range(3)]
    assert [(e["type"], e["serial"]) for e in ends] == [("done", 2), ("done", 1), ("error", 3)]
    assert [e["stop_reason"] for e in ends[:2]] == ["cancelled"] * 2
    # Nothing is left of them.
    assert answer(slow, 4, "x", max_tokens=2)[1]["type"] == "done"
    at_rest(slow)


def at_rest(e):
    """All that the engine says until it has nothing to do."""
    before, until = [], time.monotonic() + PATIENCE
    while True:
        pong, events = e.ping()
        before += events
        if not pong["busy"]:
            return before
        assert time.monotonic() < until


def test_orders_about_a_request_wait_for_it(slow):
    """A pause that comes before its request is ready holds it all the same."""
    ask(slow, 1, LONG)
    ask(slow, 2, LONG[:20_000], max_tokens=30)  # behind the first
    slow.order("pause", serial=2)
    refused(slow.event(), "tokens")
    assert at_rest(slow) == []
    slow.order("resume", serial=2)
    assert slow.pieces(2)[1]["completion_tokens"] == 30


def test_drain_waits_for_what_is_being_prepared(slow):
    ask(slow, 1, LONG)
    ask(slow, 2, "x", max_tokens=5)
    slow.order("drain")
    ask(slow, 3, "y")
    ends = answers(slow, (1, 2, 3))
    refused(ends[1][1], "tokens")
    assert ends[2][1]["completion_tokens"] == 5
    refused(ends[3][1], "no more", code="backend_unavailable")
    assert slow.event() is None
    assert slow.wait() == 0
