"""How the llama engine chooses the tokens of an answer, and where it ends."""
import pytest

from engine_protocol import ANSWER, THINKING
from test_llama_engine import (  # noqa: F401  (fixtures)
    answer, answers, ask, cache, endless, engine, models, refused, tiny)
from vocabularies import TEMPLATES


def whole(e, serial, text="x", **more):
    """(all of the answer, how it ended), the answer being all there is."""
    return answer(e, serial, text, max_tokens=200, **more)


# --- stop strings ---

def test_an_answer_ends_before_a_stop_string(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    text, end = whole(e, 1)
    assert end["stop_reason"] == "length"
    stop = text[60:66]
    want = text[:text.index(stop)]
    got, end = whole(e, 2, stop=["never there", stop])
    assert (got, end["stop_reason"]) == (want, "end")
    assert 0 < end["completion_tokens"] < 200


def test_nothing_of_a_stop_string_is_told_before_it_is_complete(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    text, _ = whole(e, 1)
    stop = text[60:72]
    ask(e, 2, "x", max_tokens=200, stop=[stop])
    told, end = e.pieces(2)
    assert end["stop_reason"] == "end"
    assert not any("".join(told).endswith(stop[:n]) and len(told) > 1
                   for n in range(len(stop) - 3, len(stop)))


def test_what_was_held_back_comes_at_the_end(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    text, _ = whole(e, 1)
    for n, length in enumerate((5, 30, 200), 2):
        kept = text if length == 200 else answer(e, 100 + n, "x", max_tokens=length)[0]
        got, end = answer(e, n, "x", max_tokens=length, stop=[kept[-3:] + "\n never"])
        assert (got, end["stop_reason"]) == (kept, "length")


def test_stop_strings_are_each_requests_own(engine, endless):
    e = engine(endless, {"n_ctx": 512}, slots=4)
    text, _ = whole(e, 1)
    ask(e, 11, "x", max_tokens=200, stop=[text[20:24]])
    ask(e, 12, "x", max_tokens=200)
    ask(e, 13, "x", max_tokens=200, stop=[text[100:104]])
    got = answers(e, (11, 12, 13))
    assert got[11][0] == text[:text.index(text[20:24])]
    assert got[12][0] == text
    assert got[13][0] == text[:text.index(text[100:104])]


# --- choosing ---

def test_a_bias_bans_and_forces(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    forced, end = answer(e, 1, "x", logit_bias={"70": 100})
    assert end["type"] == "done" and len(forced) == 20 and len(set(forced)) == 1
    banned, _ = answer(e, 2, "x", logit_bias={"70": -100})
    assert forced[0] not in banned


def test_a_token_that_the_model_does_not_have_is_refused(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    refused(answer(e, 1, "x", logit_bias={"2147483647": 1})[1], "logit_bias", "2147483647")
    assert answer(e, 2, "x")[1]["type"] == "done"


def test_penalties_make_an_answer_vary(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    plain, _ = whole(e, 1, logit_bias={"70": 5})
    for n, penalty in enumerate(({"repeat_penalty": 10}, {"presence_penalty": 2},
                                 {"frequency_penalty": 2}), 2):
        varied, end = whole(e, n, logit_bias={"70": 5}, **penalty)
        assert end["type"] == "done"
        assert varied != plain


def test_seeds_repeat_whoever_else_is_there(engine, endless):
    e = engine(endless, {"n_ctx": 512}, slots=4)
    wanted = {"temperature": 1, "top_k": 64, "top_p": 0.95, "max_tokens": 60}
    for seed in (7, 4294967295):
        alone = answer(e, seed, "x", seed=seed, **wanted)[0]
        assert answer(e, seed + 1, "x", seed=seed, **wanted)[0] == alone
        ask(e, 11, "y", seed=1, **wanted)
        ask(e, 12, "x", seed=seed, **wanted)
        ask(e, 13, "z", **wanted)
        assert answers(e, (11, 12, 13))[12][0] == alone


def test_the_best_by_a_hair_is_not_all(engine, endless):
    """min_p 1 leaves the likeliest alone, at any temperature."""
    e = engine(endless, {"n_ctx": 512})
    greedy, _ = whole(e, 1)
    assert whole(e, 2, temperature=2, top_k=0, top_p=1, min_p=1)[0] == greedy
    assert whole(e, 3, temperature=2, top_k=1, top_p=1)[0] == greedy
    assert whole(e, 4, temperature=2, top_k=0, top_p=1, seed=1)[0] != greedy


# --- thinking ---

@pytest.fixture(scope="module")
def thinker(models):
    """Its template begins every answer with thinking."""
    return models("thinker", "--template", str(
        TEMPLATES / "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja"))


def parts(e, serial, text="x", **more):
    """(thinking, answer, how it ended)."""
    ask(e, serial, text, max_tokens=200, **more)
    said = {THINKING: "", ANSWER: ""}
    while (event := e.event())["type"] == "text":
        said[event["kind"]] += event["text"]
    return said[THINKING].strip(), said[ANSWER], event


def test_thinking_is_told_apart_from_the_answer(engine, thinker):
    e = engine(thinker, {"n_ctx": 512})
    thought, said, end = parts(e, 1, grammar='root ::= "hmm, a < b</think>yes </think> no"')
    assert (thought, said) == ("hmm, a < b", "yes </think> no")
    assert end["stop_reason"] == "end"
    assert parts(e, 2, grammar='root ::= "hmm </thi"')[:2] == ("hmm </thi", "")


def test_stop_strings_are_for_the_answer(engine, thinker):
    e = engine(thinker, {"n_ctx": 512})
    thought, said, end = parts(e, 1, grammar='root ::= "he</think>yes!"', stop=["e"])
    assert (thought, said, end["stop_reason"]) == ("he", "y", "end")
