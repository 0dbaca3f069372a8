"""Reading a prompt holds nobody up for long: neither those who write nor a cancellation."""
import statistics
import time

import pytest

from daemon import until
from llama_rig import *  # noqa: F403

CANCEL_WITHIN = 5 * 0.05  # promised times are tested at five times their bound
LONG = "a long prompt, one token for each character; " * 80


@pytest.fixture(scope="module")
def slow(models):
    """Large enough that a step of reading takes some time."""
    return models("slow", "--end-tokens", "unreachable", "--type", "f32", "--scale", "8",
                  "--layers", "6", "--width", "512", "--heads", "8", "--kv-heads", "4",
                  "--ffn", "1536", "--context", "4096")


def cancel(e, serial):
    """How long it takes until the engine says so, and that."""
    began = time.monotonic()
    e.order("cancel", serial=serial)
    _, end = e.pieces(serial)
    assert end["stop_reason"] == "cancelled"
    return time.monotonic() - began, end


def test_a_prompt_that_is_read_can_be_cancelled_at_once(engine, slow):
    e = engine(slow, {"prefix_sharing": "off"}, slots=2)
    began = time.monotonic()
    answer(e, 100, LONG, max_tokens=1)
    whole = time.monotonic() - began
    took = []
    for serial in range(1, 8):
        ask(e, serial, LONG)
        progress = e.ping()[0]["progress"]
        while e.ping()[0]["progress"] == progress:
            pass  # until a step has begun
        took.append(cancel(e, serial)[0])
    assert statistics.median(took) < min(CANCEL_WITHIN, whole / 4), (took, whole)


def test_an_answer_that_is_written_can_be_cancelled_at_once(engine, slow):
    e = engine(slow, slots=2)
    took = []
    for serial in range(1, 10):
        ask(e, serial, "x", max_tokens=1000)
        assert e.event()["type"] == "text"
        seconds, end = cancel(e, serial)
        took.append(seconds)
        assert 0 < end["completion_tokens"] < 1000
    assert statistics.median(took) < CANCEL_WITHIN, took


def test_breaking_off_a_step_costs_others_nothing_but_time(engine, slow):
    """Short prompts join a long one that is cancelled at ten moments of a step."""
    e = engine(slow, {"prefix_sharing": "off", "kv_type": "f32"}, slots=3)
    alone = answer(e, 1, "b" * 60, max_tokens=8)[0]
    for moment in range(10):
        long, *short = range(10 + 3 * moment, 13 + 3 * moment)
        ask(e, long, LONG[:1500])
        for s in short:
            ask(e, s, "b" * 60, max_tokens=8)
        pong, events = e.ping()
        first, since = pong["progress"], time.monotonic()
        while pong["progress"] < first + 4 or time.monotonic() < since + 0.02 * moment:
            if pong["progress"] < first + 4:  # three were prepared, one step was done
                since = time.monotonic()
            pong, more = e.ping()
            events += more
        e.order("cancel", serial=long)
        while sum(x["type"] == "done" for x in events) < 3:
            events.append(e.event())
        for s in short:
            assert alone == "".join(x["text"] for x in events
                                    if x["serial"] == s and x["type"] == "text")


def test_those_who_write_keep_their_pace_beside_a_long_prompt(engine, slow):
    e = engine(slow, {"prefix_sharing": "off"}, slots=3)
    answer(e, 1, "x" * 600, max_tokens=1)  # how fast is this machine?
    for serial in (2, 3):
        ask(e, serial, "w", max_tokens=2000)
    gaps = {"alone": [], "beside": []}
    last, when = {}, "alone"
    while True:
        event = e.event()
        if event["serial"] == 4:
            if event["type"] == "done":
                break
            continue
        assert event["type"] == "text", "it did not take long enough"
        now = time.monotonic()
        if event["serial"] in last:
            gaps[when].append(now - last[event["serial"]])
        last[event["serial"]] = now
        if when == "alone" and len(gaps[when]) >= 60:
            when = "beside"
            ask(e, 4, LONG[:700], max_tokens=1)
    for serial in (2, 3):
        e.order("cancel", serial=serial)
    answers(e, (2, 3))
    alone = statistics.median(gaps["alone"])
    # Other programs' work shows in both; a step that reads all it can takes fifty times as long.
    assert statistics.mean(gaps["beside"]) < 5 * 2 * statistics.mean(gaps["alone"])
    assert statistics.quantiles(gaps["beside"], n=20)[-1] < 5 * 3 * alone


def test_a_short_prompt_does_not_wait_for_a_long_one(engine, slow):
    e = engine(slow, {"prefix_sharing": "off"}, slots=3)
    answer(e, 1, "x" * 600, max_tokens=1)
    ask(e, 2, "w", max_tokens=2000)
    assert e.event()["serial"] == 2
    ask(e, 3, LONG, max_tokens=1)
    progress = e.ping()[0]["progress"]
    until(lambda: e.ping()[0]["progress"] > progress + 3, "a step of the long one")
    ask(e, 4, "short", max_tokens=1)
    ends = []
    while len(ends) < 1:
        event = e.event()
        if event["type"] == "done":
            ends.append(event["serial"])
    assert ends == [4]
    e.order("cancel", serial=2)
    e.order("cancel", serial=3)
    answers(e, (2, 3))
