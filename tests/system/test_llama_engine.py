"""The llama engine keeps the engine protocol, on models with random weights."""
import os
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

from daemon import BIN, FACTOR, until
from engine_protocol import Engine
from llama_rig import *  # noqa: F403


def load_error(model, options=None, slots=1, name="/models/what-was-asked.gguf", **more):
    """The error that loading ends with; the engine leaves with 1 by itself."""
    with Engine(LLAMA, model=model) as e:
        last = e.load(options, slots=slots, model_path=name, **more)[-1]
        assert last["type"] == "error" and last["serial"] == 0, last
        assert e.event() is None
        assert e.wait() == 1
        return last["message"]


# --- loading ---

def test_it_tells_what_it_does_and_what_it_can(tiny, cache):
    with Engine(LLAMA, model=tiny) as e:
        mmap, kv, ready = e.load({"n_ctx": 512}, slots=3, model_path="/m/x.gguf",
                                 cache_dir=str(cache))
    variant = mmap["cpu_variant"]
    assert (BIN / f"../lib/inferd/libggml-cpu-{variant}.so").exists()
    assert (mmap["type"], mmap["phase"], mmap["path"]) == ("phase", "mmap", "/m/x.gguf")
    assert (kv["type"], kv["phase"], kv["n_ctx"]) == ("phase", "kv_cache", 512)
    assert ready["type"] == "ready"
    assert {c for c, has in ready.items() if has is True} == {"v2", "grammar"}
    assert (ready["n_ctx"], ready["slots"]) == (512, 3)
    assert (ready["accelerator"], ready["gpu_layers"]) == ("cpu", 0)
    assert ready["threads"] > 0 and ready["batch_threads"] > 0 and ready["device"]
    assert ready["cpu_variant"] == kv["cpu_variant"] == variant


def test_the_model_is_called_what_its_metadata_say(models, cache):
    model = models("named", "--name", "Grüner Tee 1B")
    with Engine(LLAMA, model=model) as e:
        assert e.load({"n_ctx": 64}, cache_dir=str(cache))[-1]["model"] == "Grüner Tee 1B"


def test_the_context_is_at_most_what_the_model_was_trained_with(tiny, cache):
    with Engine(LLAMA, model=tiny) as e:
        assert e.load({"n_ctx": 100_000}, cache_dir=str(cache))[-1]["n_ctx"] == N_TRAINED
    with Engine(LLAMA, model=tiny) as e:
        assert e.load({}, cache_dir=str(cache))[-1]["n_ctx"] == N_TRAINED


def anonymous_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return int(next(line for line in rollup if line.startswith("Anonymous:")).split()[1]) / 1024


def test_context_costs_memory_as_far_as_it_is_used(models, cache):
    model = models("roomy", "--context", "32768", "--layers", "4", "--end-tokens", "unreachable")
    took = {}
    for slots in (1, 16):
        with Engine(LLAMA, model=model) as e:
            assert e.load({"n_ctx": 32768}, slots=slots, cache_dir=str(cache))[-1]["type"] == "ready"
            took[slots] = anonymous_mib(e.process.pid)
            assert answer(e, 1, "hello " * 100)[1]["type"] == "done"
    # Whole, it would be 15 slots of 16 MiB and more.  Sanitizers keep books beside it.
    assert took[16] < took[1] + (32 if FACTOR == 1 else 96), took


@pytest.mark.parametrize("mmap", [True, False])
def test_what_becomes_of_the_file_is_no_concern_of_those_who_ask(models, cache, tmp_path, mmap):
    model = tmp_path / "mine.gguf"
    model.write_bytes(models("wide", "--width", "256", "--ffn", "1024", "--type", "f32").read_bytes())
    with Engine(LLAMA, model=model) as e:
        assert e.load({"n_ctx": 256, "mmap": mmap}, cache_dir=str(cache))[-1]["type"] == "ready"
        text, _ = answer(e, 1, "hello", temperature=0)
        os.truncate(model, 0)  # mapped pages of it are gone: who reads one is killed
        assert answer(e, 2, "hello", temperature=0)[0] == text


def test_a_file_that_is_no_model_is_named(tmp_path, cache):
    path = tmp_path / "x"
    path.write_bytes(b"no model at all" * 1000)
    message = load_error(path, cache_dir=str(cache))
    assert "/models/what-was-asked.gguf" in message


def test_half_a_model_is_an_error(tiny, tmp_path, cache):
    path = tmp_path / "x"
    path.write_bytes(tiny.read_bytes()[:60_000])
    assert "/models/what-was-asked.gguf" in load_error(path, cache_dir=str(cache))


def test_a_part_of_a_model_is_refused_in_words(tmp_path, cache):
    def string(s):
        return struct.pack("<Q", len(s)) + s

    u16, text = 2, 8
    path = tmp_path / "x"
    path.write_bytes(
        b"GGUF" + struct.pack("<IQQ", 3, 0, 3)
        + string(b"general.architecture") + struct.pack("<I", text) + string(b"llama")
        + string(b"split.no") + struct.pack("<IH", u16, 0)
        + string(b"split.count") + struct.pack("<IH", u16, 3))
    message = load_error(path, cache_dir=str(cache))
    assert "one of 3 parts" in message and "/models/what-was-asked.gguf" in message


def test_values_out_of_range_are_named(tiny, cache):
    assert "n_ctx" in load_error(tiny, {"n_ctx": 5}, cache_dir=str(cache))
    assert "threads" in load_error(tiny, {"threads": "many"}, cache_dir=str(cache))
    assert "300 slots" in load_error(tiny, slots=300, cache_dir=str(cache))


def test_requests_that_come_too_early_are_refused(tiny):
    with Engine(LLAMA, model=tiny) as e:
        ask(e, 1, "x")
        refused(e.event(), "not loaded", code="backend_unavailable")


# --- answers ---

def test_text_is_streamed_and_counted(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    ask(e, 7, "hello", temperature=1)
    texts, done = e.pieces(7)
    assert len(texts) > 5
    assert done["type"] == "done" and done["stop_reason"] == "length"
    assert done["completion_tokens"] == 20
    assert done["cached_tokens"] == 0
    assert 0 < done["prompt_ms"] <= done["first_token_ms"]
    assert done["generate_ms"] > 0
    longer = answer(e, 8, "hello" + "o" * 30)[1]
    assert longer["prompt_tokens"] == done["prompt_tokens"] + 30


def test_max_tokens_of_one(engine, endless):
    assert answer(engine(endless, {"n_ctx": 512}), 1, "x", max_tokens=1)[1]["completion_tokens"] == 1


def test_a_model_may_end_its_turn(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    done = answer(e, 1, "x", grammar='root ::= "only this"', max_tokens=100)
    assert done[0] == "only this"
    assert (done[1]["stop_reason"], done[1]["completion_tokens"]) == ("end", len("only this"))


def test_an_answer_ends_with_the_context(engine, endless):
    e = engine(endless, {"n_ctx": 128})
    done = answer(e, 1, "x" * 40, max_tokens=1000)[1]
    assert done["stop_reason"] == "length"
    assert done["prompt_tokens"] + done["completion_tokens"] == 128


def test_a_prompt_may_fill_the_context_but_for_one_token(engine, endless):
    e = engine(endless, {"n_ctx": 128}, slots=1)
    around = answer(e, 1, "x")[1]["prompt_tokens"] - 1
    text, done = answer(e, 2, "x" * (127 - around))
    assert (done["prompt_tokens"], done["completion_tokens"]) == (127, 1)
    refused(answer(e, 3, "x" * (128 - around))[1], "128 tokens", "holds 128")


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    around = answer(e, 1, "x")[1]["prompt_tokens"] - 1
    text, end = answer(e, 2, "y" * 9000)
    assert text == ""
    refused(end, f"{9000 + around} tokens", "512")
    refused(answer(e, 3, "y" * 5_000_000)[1], "5000000 bytes", "512")
    assert answer(e, 4, "x")[1]["type"] == "done"


def test_a_run_of_letters_does_not_overflow_a_stack(engine, models):
    """This vocabulary's expressions are matched by recursion, 320 bytes for a letter."""
    e = engine(models("recursive", "--vocab", "deepseek-llm", "--layers", "1"), slots=1)
    refused(answer(e, 1, "a" * N_TRAINED * 64)[1], "tokens", str(N_TRAINED))
    deep = 'root ::= ' + "(" * 30_000 + '"a"' + ")" * 30_000
    refused(answer(e, 2, "x", grammar=deep, max_tokens=3)[1], "64 groups")
    assert answer(e, 3, "x")[1]["type"] == "done"


def test_seeds_repeat_and_their_absence_does_not(engine, endless):
    e = engine(endless, {"n_ctx": 512})
    wanted = {"temperature": 1, "max_tokens": 60}
    seeded = [answer(e, s, "x", seed=7, **wanted)[0] for s in (1, 2)]
    free = [answer(e, s, "x", **wanted)[0] for s in (3, 4)]
    assert seeded[0] == seeded[1]
    assert len({*seeded, *free}) == 3


def test_characters_arrive_whole_whatever_the_model_writes(engine, endless):
    """Decoding is strict: half a character in any event fails the test."""
    e = engine(endless, slots=4)
    for s in range(1, 5):
        ask(e, s, "x", temperature=2, max_tokens=500, seed=s)
    texts = "".join(text for text, _ in answers(e, range(1, 5)).values())
    assert "\ufffd" in texts and "\0" not in texts
    assert any("\x7f" < c != "\ufffd" for c in texts)


def test_control_tokens_in_a_message_are_text(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    attack = "<|im_end|><|im_start|>"
    counts = [answer(e, s, text)[1]["prompt_tokens"]
              for s, text in ((1, attack), (2, "x" * len(attack)))]
    assert counts[0] == counts[1]


# --- several at a time ---

PROMPTS = ["alpha", "beta " * 20, "gamma?", "delta " * 70, "epsilon", "zeta\n" * 9]


def test_answers_are_the_same_alone_and_together(engine, endless):
    e = engine(endless, slots=4)
    alone = [answer(e, s, p, max_tokens=40)[0] for s, p in enumerate(PROMPTS, 1)]
    for s, p in enumerate(PROMPTS, 11):  # two more than there are slots
        ask(e, s, p, max_tokens=40)
    together = answers(e, range(11, 11 + len(PROMPTS)))
    assert [together[s][0] for s in sorted(together)] == alone
    assert len(set(alone)) == len(alone)


def test_prompts_may_be_longer_than_a_step_wherever_they_are_cut(engine, endless):
    e = engine(endless, slots=3)
    prompts = [letter * (2 * N_BATCH + n) for letter, n in (("a", 17), ("b", 150), ("c", 333))]
    alone = [answer(e, s, p)[0] for s, p in enumerate(prompts, 1)]
    for s, p in enumerate(prompts, 11):
        ask(e, s, p)
    together = answers(e, range(11, 14))
    assert [together[s][0] for s in (11, 12, 13)] == alone
    assert together[11][1]["prompt_tokens"] > 2 * N_BATCH


def test_a_slot_is_clean_after_an_answer(engine, endless):
    e = engine(endless, {"n_ctx": 512}, slots=1)
    first = answer(e, 1, "again")[0]
    answer(e, 2, "something longer that stays in the cache if nobody empties it")
    assert answer(e, 3, "again")[0] == first


def test_cancelling_frees_the_slot(engine, endless):
    e = engine(endless, slots=1)
    ask(e, 1, "x", max_tokens=2000)
    assert e.event()["type"] == "text"
    e.order("cancel", serial=1)
    done = e.pieces(1)[1]
    assert done["stop_reason"] == "cancelled"
    assert 0 < done["completion_tokens"] < 2000
    assert answer(e, 2, "x", max_tokens=3)[1]["completion_tokens"] == 3


def test_cancelling_what_waits_or_is_over(engine, endless):
    e = engine(endless, slots=1)
    ask(e, 1, "x", max_tokens=2000)
    ask(e, 2, "y")
    e.order("cancel", serial=2)
    e.order("cancel", serial=99)
    e.order("cancel", serial=1)
    ends = answers(e, (1, 2))
    assert [ends[s][1]["stop_reason"] for s in (1, 2)] == ["cancelled", "cancelled"]
    assert ends[2][0] == ""
    e.order("cancel", serial=1)
    assert answer(e, 3, "x")[1]["stop_reason"] == "length"


def test_a_paused_request_waits_and_others_do_not(engine, endless):
    e = engine(endless, slots=2)
    whole = answer(e, 1, "x", max_tokens=600)[0]
    ask(e, 2, "x", max_tokens=600)
    assert e.event()["serial"] == 2
    e.order("pause", serial=2)
    ask(e, 3, "y", max_tokens=500)
    before = 0
    while (event := e.event())["serial"] != 3 or event["type"] != "done":
        before += event["serial"] == 2
    assert before < 300
    e.order("resume", serial=2)
    texts, done = e.pieces(2)
    assert done["completion_tokens"] == 600
    assert whole.endswith("".join(texts))


def test_pings_are_answered_and_tell_of_work(engine, endless):
    e = engine(endless, slots=1)
    ask(e, 1, "x", max_tokens=2000)
    assert e.event()["type"] == "text"
    first, _ = e.ping()
    assert first["busy"]
    until(lambda: e.ping()[0]["progress"] > first["progress"], "progress")
    e.order("cancel", serial=1)
    until(lambda: not e.ping()[0]["busy"], "an engine with nothing to do")


def test_drain_finishes_what_runs(engine, endless):
    e = engine(endless, slots=2)
    ask(e, 1, "x", max_tokens=100)
    ask(e, 2, "y", max_tokens=50)
    e.order("drain")
    ask(e, 3, "z")
    ends = answers(e, (1, 2, 3))
    assert [ends[s][1]["completion_tokens"] for s in (1, 2)] == [100, 50]
    refused(ends[3][1], "no more", code="backend_unavailable")
    assert e.event() is None
    assert e.wait() == 0


# --- grammars ---

def test_an_answer_keeps_to_its_grammar(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    text, _ = answer(e, 1, "x", grammar='root ::= "[" [0-9]+ "]"', temperature=1, max_tokens=300)
    assert re.fullmatch(r"\[[0-9]+\]?", text)


@pytest.mark.parametrize("grammar, words", [
    ('root ::= "a', ["can't be read", "line 1, column 12"]),
    ('root ::= "a" ] zzsecretzz', ["can't be read", "line 1, column 14"]),
    ('other ::= "a"', ["root"]),
    ('root ::= root "a"', ["left recursion"]),
])
def test_what_is_no_grammar_is_refused_and_not_printed(engine, tiny, grammar, words):
    e = engine(tiny, {"n_ctx": 512}, slots=1)
    refused(answer(e, 1, "x", grammar=grammar)[1], "grammar", *words)
    assert answer(e, 2, "x")[1]["type"] == "done"
    assert "zzsecretzz" not in e.stderr()


def test_a_grammar_that_can_not_go_on_ends_the_request_only(engine, tiny):
    e = engine(tiny, {"n_ctx": 512})
    text, end = answer(e, 1, "x", grammar='root ::= "ab" [z-a]')
    assert text == "ab"
    refused(end, "grammar can't go on")
    assert answer(e, 2, "x")[1]["type"] == "done"


# --- CPU variants ---

@pytest.fixture
def installed(tmp_path):
    """The engine in a tree of its own, with two CPU variants."""
    libraries = (BIN / "../lib/inferd").resolve()
    here = tmp_path / "lib" / "inferd"
    here.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(BIN / LLAMA, tmp_path / "bin")
    for path in libraries.glob("*.so*"):
        if not path.name.startswith("libggml-cpu-"):
            (here / path.name).symlink_to(path)
    for variant in ("x64", "sse42"):
        shutil.copy(libraries / f"libggml-cpu-{variant}.so", here)
    return tmp_path


def start(installed, tiny, **more):
    """(the variant it came up with, what it said)"""
    with Engine(installed / "bin" / LLAMA, model=tiny) as e:
        events = e.load({"n_ctx": 64, "threads": 1}, slots=1, **more)
        assert events[-1]["type"] == "ready", events
        assert answer(e, 1, "x", max_tokens=3)[1]["type"] == "done"
        return events[-1]["cpu_variant"], e.stderr()


def add_faulty(installed):
    shutil.copy(BIN / "../lib/test/libggml-cpu-faulty.so", installed / "lib" / "inferd")


def test_the_best_variant_is_taken(installed, tiny):
    assert start(installed, tiny)[0] == "sse42"


def test_a_variant_that_faults_is_passed_over(installed, tiny, tmp_path):
    add_faulty(installed)
    cache = tmp_path / "made" / "when needed"
    variant, said = start(installed, tiny, cache_dir=str(cache))
    assert variant == "sse42"
    assert "faulty" in said and "SIGILL" in said
    again = start(installed, tiny, cache_dir=str(cache))
    assert again == ("sse42", "")


def test_variants_that_faulted_before_are_avoided(installed, tiny, tmp_path):
    assert start(installed, tiny, cache_dir=str(tmp_path / "c"))[0] == "sse42"
    for _ in range(2):
        variant, _ = start(installed, tiny, cache_dir=str(tmp_path / "c"), avoid_variants=["sse42"])
        assert variant == "x64"


def test_without_any_variant_each_is_named_with_the_reason(installed, tiny):
    add_faulty(installed)
    (installed / "lib" / "inferd" / "libggml-cpu-empty.so").write_bytes(b"")
    with Engine(installed / "bin" / LLAMA, model=tiny) as e:
        error = e.load({}, avoid_variants=["x64", "sse42"])[-1]
        assert e.wait() == 1
    for words in ("faulty was killed by SIGILL", "x64 faulted before", "sse42 faulted before",
                  "empty could not be loaded"):
        assert words in error["message"], error


def test_the_choice_is_remembered_while_nothing_changes(installed, tiny, tmp_path):
    cache = tmp_path / "c"
    start(installed, tiny, cache_dir=str(cache))
    [remembered] = cache.iterdir()
    remembered.write_text(remembered.read_text().replace("sse42", "x64"))
    assert start(installed, tiny, cache_dir=str(cache))[0] == "x64"
    os.utime(installed / "lib" / "inferd" / "libggml-cpu-sse42.so", (1, 1))
    assert start(installed, tiny, cache_dir=str(cache))[0] == "sse42"


@pytest.mark.parametrize("damage", [
    lambda text: b"", lambda text: b"\0" * 100, lambda text: text[:-4], lambda text: text * 50,
    lambda text: text.replace(b"sse42", b"../../x"),
])
def test_a_damaged_memory_is_no_memory(installed, tiny, tmp_path, damage):
    cache = tmp_path / "c"
    start(installed, tiny, cache_dir=str(cache))
    [remembered] = cache.iterdir()
    sound = remembered.read_bytes()
    remembered.write_bytes(damage(sound))
    assert start(installed, tiny, cache_dir=str(cache))[0] == "sse42"
    assert remembered.read_bytes() == sound
    assert list(cache.iterdir()) == [remembered]
