"""How the llama engine loads a model: what the options say, and what there is room for."""
import resource
import subprocess

import pytest

from daemon import BIN, FACTOR
from engine_protocol import Engine
from llama_rig import LLAMA, models  # noqa: F401  (a fixture)

MIB = 1 << 20


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def load(directory):
    """load(model, options, …) is what loading ended with, and the engine still there."""
    engines = []

    def load(model, options, limit=None, slots=1):
        e = Engine(LLAMA, model=model)
        engines.append(e)
        if limit:
            resource.prlimit(e.process.pid, resource.RLIMIT_DATA, (limit, limit))
        last = e.load({"threads": 1, "n_ctx": 256, **options}, slots=slots,
                      cache_dir=str(directory), model_path="/m/x.gguf")[-1]
        if last["type"] == "error":
            assert e.wait() == 1
        return last, e

    yield load
    for e in engines:
        e.__exit__(None)


def greedy(e, serial=1):
    e.generate(serial, "hello", temperature=0, top_p=1, top_k=0, max_tokens=30)
    texts, end = e.pieces(serial)
    assert end["type"] == "done"
    return "".join(texts)


@pytest.mark.parametrize("options", [
    {"mmap": False}, {"mmap": True}, {"kv_type": "f32"}, {"kv_type": "bf16"},
    {"flash_attention": "on"}, {"flash_attention": "off"},
    {"threads": 2, "threads_batch": 1},
])
def test_the_answer_is_the_same_however_it_is_loaded(load, models, options):
    """No rounding and no close calls: sums in another order choose the same tokens."""
    model = models("clear", "--type", "f32", "--scale", "8", "--end-tokens", "unreachable")
    assert greedy(load(model, options)[1]) == greedy(load(model, {})[1])


@pytest.mark.parametrize("kind", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_a_context_of_small_numbers(load, models, kind):
    model = models("wide", "--width", "128", "--heads", "4")
    greedy(load(model, {"kv_type": kind})[1])


def test_threads_are_told(load, models):
    ready, _ = load(models("tiny"), {"threads": 2, "threads_batch": 1})
    assert (ready["threads"], ready["batch_threads"]) == (2, 1)


@pytest.mark.parametrize("options, words", [
    ({"kv_type": "q2_k"}, ["kv_type", "q2_k", "q8_0"]),
    ({"flash_attention": "yes"}, ["flash_attention", "yes", "auto"]),
    ({"kv_type": "q8_0", "flash_attention": "off"}, ["kv_type", "flash_attention"]),
    ({"mmap": "no"}, ["mmap"]),
    ({"threads_batch": 0}, ["threads_batch"]),
])
def test_what_can_not_be_is_named(load, models, options, words):
    last, _ = load(models("tiny"), options)
    assert last["type"] == "error"
    for word in words:
        assert word in last["message"]


# --- memory ---

def test_more_than_the_machine_has_is_refused_with_the_numbers(load, models):
    model = models("endless-context", "--context", str(1 << 30))
    last, _ = load(model, {"n_ctx": 1 << 24, "slots": 100}, slots=100)
    assert last["type"] == "error"
    for words in ("/m/x.gguf", "100 requests", "16777216 tokens", "this machine", "memory_check"):
        assert words in last["message"]


LIMITED = pytest.mark.skipif(FACTOR > 1, reason="a sanitizer needs more memory itself")


@LIMITED
def test_more_than_its_limit_is_refused(load, models):
    model = models("deep", "--layers", "40", "--kv-heads", "4")
    last, _ = load(model, {"n_ctx": 1024, "slots": 16}, limit=350 * MIB, slots=16)
    assert last["type"] == "error" and "memory_limit_mib" in last["message"]


@LIMITED
def test_slots_that_nobody_asked_for_are_made_fewer(load, models):
    model = models("deep", "--layers", "40", "--kv-heads", "4")
    ready, e = load(model, {"n_ctx": 1024}, limit=350 * MIB, slots=16)
    assert 3 <= ready["slots"] < 16
    greedy(e)


@LIMITED
def test_the_check_can_be_left_out(load, models):
    """It errs on the side of refusing: here there would have been just enough."""
    model = models("deep", "--layers", "40", "--kv-heads", "4")
    options = {"n_ctx": 1024, "slots": 14}
    last, _ = load(model, options, limit=385 * MIB, slots=14)
    assert last["type"] == "error"
    last, e = load(model, {**options, "memory_check": False}, limit=385 * MIB, slots=14)
    assert (last["type"], last["slots"]) == ("ready", 14)
    greedy(e)
