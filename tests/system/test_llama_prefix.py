"""What was computed before is used again, by those who may, and changes no answer."""
import random

import pytest

from engine_protocol import Engine, generate
from llama_rig import *  # noqa: F403

SYSTEM = "You are one of many programs that all say this first. " * 4  # one token for a byte
# A model without sense minds letters, and how many there are.
QUESTIONS = [letter * 30 + letter.upper() * i for i, letter in enumerate("abcdefghijklmnop", 1)]


def say(e, serial, question, system=SYSTEM, **more):
    """With a system prompt of its own."""
    e.send(generate(serial, [("system", system), ("user", question)],
                    **{"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, **more}))


def said(e, serial, question, system=SYSTEM, **more):
    say(e, serial, question, system, **more)
    texts, end = e.pieces(serial)
    assert end["type"] == "done", end
    return "".join(texts), end


def answers_alone(model, cache):
    """The answers of an engine that shares nothing."""
    with Engine(LLAMA, model=model) as e:
        ready = e.load({"threads": 1, "prefix_sharing": "off", "kv_type": "f32"}, slots=1,
                       cache_dir=str(cache))[-1]
        assert ready["prefixes"] == "off" and ready["kv"] == "streams"
        ends = [said(e, s, q) for s, q in enumerate(QUESTIONS, 1)]
    assert all(end["cached_tokens"] == 0 for _, end in ends)
    assert len({text for text, _ in ends}) > 8, "the model does not mind what it is asked"
    return [text for text, _ in ends]


@pytest.fixture(scope="module")
def alone(endless, cache):
    return answers_alone(endless, cache)


@pytest.fixture(scope="module", params=["all", "window", "state"])
def kind(request, models, cache):
    """(its memory, a model that has it, its answers alone).  The seed is one with which no two
    tokens are so close that sums in another order choose another."""
    seed = {"all": "2", "window": "2", "state": "6"}[request.param]
    model = models(request.param, "--end-tokens", "unreachable", "--type", "f32", "--scale", "8",
                   "--seed", seed, "--memory", request.param)
    return request.param, model, answers_alone(model, cache)


def test_a_second_prompt_starts_where_it_differs(engine, endless, alone):
    e = engine(endless)
    first, second = said(e, 1, QUESTIONS[0]), said(e, 2, QUESTIONS[1])
    assert [first[0], second[0]] == alone[:2]
    assert first[1]["cached_tokens"] == 0
    assert len(SYSTEM) < second[1]["cached_tokens"] < second[1]["prompt_tokens"]
    e.ping()
    assert e.usage["cached_tokens"] == second[1]["cached_tokens"]
    assert e.usage["prompt_tokens"] == sum(x[1]["prompt_tokens"] for x in (first, second))
    assert e.usage["context_used"] > 0


def test_the_same_prompt_again_is_read_but_for_its_last_token(engine, endless, alone):
    e = engine(endless, slots=1)
    said(e, 1, QUESTIONS[0])
    text, end = said(e, 2, QUESTIONS[0])
    assert text == alone[0]
    assert end["cached_tokens"] == end["prompt_tokens"] - 1


def test_a_conversation_goes_on_from_its_last_answer(engine, models):
    e = engine(models("plain", "--end-tokens", "unreachable", "--type", "f32", "--scale", "8",
                      "--template", "chatml"))
    text, end = said(e, 1, "hello", grammar='root ::= "one two three four five six seven"',
                     max_tokens=30)
    e.send(generate(2, [("system", SYSTEM), ("user", "hello"), ("assistant", text), ("user", "go on")],
                    temperature=0, max_tokens=5))
    more = e.pieces(2)[1]
    assert more["cached_tokens"] >= end["prompt_tokens"] + end["completion_tokens"] - 1


def test_the_last_token_of_an_answer_is_computed_beside_those_of_others(engine, models):
    """Alone it would be when the conversation goes on: nobody needs it before."""
    model = models("plain", "--end-tokens", "unreachable", "--type", "f32", "--scale", "8",
                   "--template", "chatml")

    def go_on(e, others):
        for serial in others[:2] + [3] + others[2:]:
            e.send(generate(serial, [("user", "hello" if serial == 3 else f"number {serial}")],
                            temperature=0, max_tokens=12 if serial == 3 else 400,
                            grammar='root ::= "one two three four five"' if serial == 3 else ""))
        text, end, later = "", None, 0
        while not end or (others and later < 3):
            event = e.event()
            if event["serial"] == 3:
                text, end = text + event.get("text", ""), event if event["type"] == "done" else None
            else:
                later += end is not None and event["serial"] == others[0]
        assert end["stop_reason"] == "length"
        e.send(generate(9, [("user", "hello"), ("assistant", text), ("user", "more")],
                        temperature=0, max_tokens=2))
        while (event := e.event())["serial"] != 9 or event["type"] != "done":
            pass
        for serial in others:
            e.order("cancel", serial=serial)
        return event["cached_tokens"] - end["prompt_tokens"] - end["completion_tokens"]

    assert go_on(engine(model, slots=6), []) == -1
    assert go_on(engine(model, slots=6), [1, 2, 4, 5]) == 0


def test_prompts_that_arrive_together_read_once_what_they_share(engine, kind):
    """The rest of each is as long as no other's: it is cut, and its end read beside those that write."""
    memory, model, alone = kind
    e = engine(model, {"n_ctx": 512, "kv_type": "f32"}, slots=16)
    for s, q in enumerate(QUESTIONS, 1):
        say(e, s, q)
    got = answers(e, range(1, 17))
    assert [got[s][0] for s in sorted(got)] == alone
    cached = sorted(end["cached_tokens"] for _, end in got.values())
    assert cached[0] == 0, "somebody has to read it"
    # What can't be taken back is of no use to one that comes a moment later.
    assert cached[1 if memory == "all" else 2] > len(SYSTEM) - 40, cached


def test_who_waits_goes_on_when_the_one_who_reads_for_it_is_gone(engine, endless):
    e = engine(endless, slots=3)
    system = "s" * 1500
    alone = said(e, 1, "b", system)[0]
    for way in ("cancel", "pause"):
        system = way * 250
        say(e, 2, "a", system, max_tokens=400)
        say(e, 3, "b", system)
        say(e, 4, "b", system)
        e.order(way, serial=2)
        got, ends = {2: "", 3: "", 4: ""}, {}
        while not {3, 4} <= set(ends) or (way == "cancel" and 2 not in ends):
            event = e.event()
            if event["type"] == "text":
                got[event["serial"]] += event["text"]
            else:
                ends[event["serial"]] = event
        assert got[3] == got[4] and got[3] != alone
        e.order("cancel", serial=2)
        if way == "pause":
            assert e.pieces(2)[1]["stop_reason"] == "cancelled"


@pytest.mark.parametrize("sharing, uid, program, shared", [
    ("uid", 1000, 1, True), ("uid", 1000, 2, True), ("uid", 1001, 1, False),
    ("caller", 1000, 1, True), ("caller", 1000, 2, False), ("caller", 1001, 1, False),
    ("off", 1000, 1, False),
])
def test_only_those_share_who_may(engine, endless, sharing, uid, program, shared):
    e = engine(endless, {"prefix_sharing": sharing}, slots=2)
    first = said(e, 1, QUESTIONS[0], uid=1000, program=1)
    again = said(e, 2, QUESTIONS[0], uid=uid, program=program)
    assert again[0] == first[0]
    assert (again[1]["cached_tokens"] > 0) == shared
    say(e, 3, QUESTIONS[1], system="at the same time " * 20, uid=1000, program=1)
    say(e, 4, QUESTIONS[2], system="at the same time " * 20, uid=uid, program=program)
    together = answers(e, (3, 4))
    assert (together[4][1]["cached_tokens"] > 50) == shared


def test_whom_nobody_attests_shares_with_nobody(engine, endless):
    e = engine(endless, slots=2)
    for s in (1, 2):
        end = said(e, s, QUESTIONS[0], uid=2**32 - 1)[1]
        assert end["cached_tokens"] == 0


def test_more_prompts_than_slots_take_turns_without_reading_again(engine, endless):
    e = engine(endless, {"n_ctx": 512}, slots=4)
    systems = [letter * 250 for letter in "abcdefgh"]
    first = [said(e, 1 + i, "x", system)[0] for i, system in enumerate(systems)]
    assert len(set(first)) == 8
    for turn in range(3):
        for i, system in enumerate(systems):
            text, end = said(e, 100 + 10 * turn + i, "x", system)
            assert text == first[i]
            assert end["cached_tokens"] == end["prompt_tokens"] - 1, (turn, i)


def test_each_memory_says_what_it_can_use(engine, kind):
    memory, model, alone = kind
    e = engine(model, {"kv_type": "f32"}, slots=1)
    ends = [said(e, s, QUESTIONS[s]) for s in range(1, 4)]
    assert [text for text, _ in ends] == alone[1:4]
    cached = [end["cached_tokens"] > len(SYSTEM) for _, end in ends]
    # A state can't be taken back: where the second one differs, a copy is kept for the third.
    assert cached == [False, memory != "state", True]
    goes_on = said(e, 9, QUESTIONS[3])[1]
    assert goes_on["cached_tokens"] > len(SYSTEM)


def test_without_memory_beside_the_context_only_that_is_used(engine, endless):
    e = engine(endless, {"n_ctx": 512, "prefix_cache_mib": 0}, slots=1)
    said(e, 1, "x", "a" * 200)
    said(e, 2, "x", "b" * 200)
    assert said(e, 3, "x", "b" * 200)[1]["cached_tokens"] > 200
    assert said(e, 4, "x", "a" * 200)[1]["cached_tokens"] < 100


def test_a_longer_answer_that_is_left_for_a_shorter_one_is_not_lost(engine, endless):
    e = engine(endless, slots=1)
    text, long = said(e, 1, "y" * 300)
    said(e, 2, QUESTIONS[0])
    again = said(e, 3, "y" * 300)
    assert again[0] == text
    assert again[1]["cached_tokens"] == long["prompt_tokens"] - 1


@pytest.mark.parametrize("options", [
    {}, {"prefix_cache_mib": 0}, {"kv": "unified"}, {"kv_tokens": 600},
    {"kv_tokens": 600, "prefix_cache_mib": 0},
], ids=["streams", "no-shelf", "unified", "small", "small-no-shelf"])
def test_answers_do_not_depend_on_who_was_there_before(engine, kind, options):
    """Joins, leaves and gaps between those that run, in an order that nobody chose."""
    memory, model, alone = kind
    rng = random.Random(7)
    e = engine(model, {"n_ctx": 512, "kv_type": "f32", **options}, slots=5)
    want, got, left, serial = {}, {}, 0, 0
    while serial < 120 or left:
        while left < 7 and serial < 120:
            serial += 1
            q = rng.randrange(16)
            say(e, serial, QUESTIONS[q], max_tokens=rng.choice((1, 3, 12)))
            want[serial], got[serial] = q, ""
            left += 1
        event = e.event()
        if event["type"] == "text":
            got[event["serial"]] += event["text"]
            if rng.random() < 0.05:
                e.order("cancel", serial=event["serial"])
        else:
            assert event["type"] == "done", (event, e.stderr())
            left -= 1
    wrong = {want[s] for s in got if not alone[want[s]].startswith(got[s])}
    # Where tokens are read and where they lie changes sums in the last place, and with them an
    # answer whose tokens are nearly equal: docs/scheduling.md has counted that.  What lies in
    # the wrong place would change them all.
    assert len(wrong) <= (0 if memory == "all" else 2), wrong
    assert sum(len(t) > 0 for t in got.values()) > 60


@pytest.mark.parametrize("options, words", [
    ({"prefix_sharing": "all"}, ["prefix_sharing", "all"]),
    ({"prefix_cache_mib": -1}, ["prefix_cache_mib"]),
    ({"pace_percent": 100}, ["pace_percent", "100"]),
    ({"kv": "both"}, ["kv", "both"]),
    ({"kv": "streams", "kv_tokens": 600}, ["kv_tokens", "600"]),
    ({"n_ctx": 512, "kv_tokens": 511}, ["kv_tokens", "511", "512"]),
])
def test_options_that_are_none_are_named(endless, cache, options, words):
    with Engine(LLAMA, model=endless) as e:
        last = e.load(options, cache_dir=str(cache))[-1]
        assert last["type"] == "error" and e.wait() == 1
        for word in words:
            assert word in last["message"]
