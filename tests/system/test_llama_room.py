"""A cache that is one for all requests: who waits, who makes room, and that nobody notices."""
import pytest

from daemon import until
from engine_protocol import generate
from llama_rig import *  # noqa: F403

SMALL = {"n_ctx": 512, "kv_tokens": 768}


@pytest.fixture(scope="module")
def steady(models):
    """Its long answers are the same however they are cut: see test_llama_prefix.py on seeds."""
    return models("steady", "--end-tokens", "unreachable", "--type", "f32", "--scale", "8",
                  "--seed", "2")


def test_what_is_asked_for_decides_and_is_told(engine, endless):
    assert engine(endless, {"n_ctx": 512}).usage is None
    for options, kv in (({}, "streams"), ({"kv": "streams"}, "streams"),
                        ({"kv": "unified"}, "unified"), ({"kv_tokens": 2048}, "unified")):
        e = engine(endless, {"n_ctx": 512, **options}, slots=4)
        assert e.ready["kv"] == kv
        answer(e, 1, "x")
        e.ping()
        assert e.usage["context_size"] == (2048 if kv == "unified" or not options else 4 * 512)


def test_the_youngest_is_set_aside_and_its_client_does_not_notice(engine, steady):
    """Three answers that fill 1,536 tokens, where there is room for 768."""
    e = engine(steady, {**SMALL, "kv_type": "f32", "prefix_sharing": "off"}, slots=3)
    prompts = ["a" * 40, "b" * 50, "c" * 60]
    alone = [answer(e, s, p, max_tokens=1000)[0] for s, p in enumerate(prompts, 1)]
    for s, p in enumerate(prompts, 11):
        ask(e, s, p, max_tokens=1000)
    texts, ends, together = {11: "", 12: "", 13: ""}, {}, set()
    while len(ends) < 3:
        event = e.event()
        if event["type"] == "text":
            texts[event["serial"]] += event["text"]
            if not ends:
                together.add(event["serial"])
        else:
            ends[event["serial"]] = event
    assert len(together) >= 2, "they were to run at the same time"
    assert [texts[s] for s in (11, 12, 13)] == alone
    for end in ends.values():
        assert end["stop_reason"] == "length"
        assert end["prompt_tokens"] + end["completion_tokens"] == 512
        assert end["cached_tokens"] == 0


def test_a_request_that_would_not_fit_waits_for_its_turn(engine, endless):
    e = engine(endless, {**SMALL, "prefix_sharing": "off"}, slots=4)
    ask(e, 1, "a" * 200, max_tokens=250)
    ask(e, 2, "b" * 300, max_tokens=150)
    ask(e, 3, "c", max_tokens=5)  # would fit, but does not overtake
    order = []
    while len(order) < 3:
        event = e.event()
        if event["type"] == "done":
            order.append(event["serial"])
        elif event["serial"] != 1:
            assert 1 in order, "there was no room beside the first"
    assert order[0] == 1


def test_what_is_set_aside_can_be_cancelled_and_held(engine, endless):
    e = engine(endless, SMALL, slots=2)
    ask(e, 1, "a" * 40, max_tokens=1000)
    ask(e, 2, "b" * 40, max_tokens=1000)
    texts = 0
    while e.event()["serial"] == 1 or texts == 0:  # until the second one writes
        texts += 1
    texts = 0
    while texts < 20:  # and does not any more
        texts = texts + 1 if e.event()["serial"] == 1 else 0
    e.order("pause", serial=1)
    e.order("cancel", serial=2)
    while (event := e.event())["type"] == "text":
        pass
    assert (event["serial"], event["stop_reason"]) == (2, "cancelled")
    assert 200 < event["completion_tokens"] < 400
    until(lambda: not e.ping()[0]["busy"], "who is held has nothing to compute")
    e.order("resume", serial=1)
    assert e.pieces(1)[1]["stop_reason"] == "length"


def test_shared_prompts_take_their_room_once(engine, endless):
    """Eight requests of 360 tokens; together they would need almost four times what there is."""
    e = engine(endless, SMALL, slots=8)
    greedy = {"temperature": 0, "max_tokens": 50}
    e.send(b"".join(generate(s, [("user", "s" * 290 + "abcdefgh"[s - 1] * 4)], **greedy)
                    for s in range(1, 9)))
    running, ended, most = set(), set(), 0
    while len(ended) < 8:
        event = e.event()
        if event["type"] == "text":
            running.add(event["serial"])
        else:
            running.discard(event["serial"])
            ended.add(event["serial"])
        most = max(most, len(running))
    assert most >= 6


def test_who_does_not_read_keeps_nobody_waiting(engine, steady):
    e = engine(steady, {**SMALL, "kv_type": "f32", "prefix_sharing": "off"}, slots=4)
    for s in (2, 3):
        ask(e, s, "a" * 40, max_tokens=400)
    writing = set()
    while len(writing) < 2:
        writing.add(e.event()["serial"])
    for s in (2, 3):
        e.order("pause", serial=s)
    ask(e, 4, "b" * 300, max_tokens=200)
    while (event := e.event())["type"] == "text":
        pass
    assert (event["serial"], event["type"]) == (4, "done")
    for s in (2, 3):
        e.order("resume", serial=s)
    for _, end in answers(e, (2, 3)).values():
        assert (end["stop_reason"], end["completion_tokens"]) == ("length", 400)
