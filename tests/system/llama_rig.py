"""What tests of the llama engine need: models with random weights, and questions.

    from llama_rig import *   (the fixtures, too)
"""
import subprocess

import pytest

from daemon import BIN
from engine_protocol import Engine

__all__ = ["LLAMA", "N_TRAINED", "N_BATCH", "models", "tiny", "endless", "cache", "engine",
           "ask", "answer", "answers", "refused"]

LLAMA = "inferd-engine-llama"
N_TRAINED = 2048   # mkmodel's tiny model
N_BATCH = 512      # tokens that one step reads


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """models("name", flags...) is the path of a model; made once."""
    directory = tmp_path_factory.mktemp("models")

    def make(name, *flags):
        path = directory / f"{name}.gguf"
        if not path.exists():
            subprocess.run([BIN / "mkmodel", "--out", path, *flags], check=True, timeout=120)
        return path

    return make


@pytest.fixture(scope="module")
def tiny(models):
    """One token for each byte, and answers that end by themselves."""
    return models("tiny")


@pytest.fixture(scope="module")
def endless(models):
    """No rounding and no close calls: sums in another order choose the same tokens."""
    return models("endless", "--end-tokens", "unreachable", "--type", "f32", "--scale", "8")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Shared by all, so that CPU variants are tried once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def engine(cache):
    """engine(model, options…) is loaded; all must have ended well after the test."""
    engines = []

    def make(model, options=None, **more):
        engines.append(Engine(LLAMA, model=model))
        # One thread: for models this small, two only wait for each other.
        options = {"threads": 1, **(options or {})}
        last = engines[-1].load(options, model_path=str(model), cache_dir=str(cache), **more)[-1]
        assert last["type"] == "ready", last
        engines[-1].ready = last
        return engines[-1]

    yield make
    for e in engines:
        assert "forgotten" not in e.stderr(), "it holds something else than it counts"
        e.__exit__(None)


def ask(e, serial, text, **more):
    """Greedy, unless told otherwise."""
    e.generate(serial, text, **{"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 20, **more})


def answer(e, serial, text, **more):
    ask(e, serial, text, **more)
    texts, end = e.pieces(serial)
    return "".join(texts), end


def answers(e, serials):
    """{serial: (text, end)} of several requests at a time."""
    texts, ends = {s: "" for s in serials}, {}
    while len(ends) < len(texts):
        event = e.event()
        if event["type"] == "text":
            texts[event["serial"]] += event["text"]
        else:
            ends[event["serial"]] = event
    return {s: (texts[s], ends[s]) for s in texts}


def refused(end, *words, code="invalid_request"):
    assert end["type"] == "error" and end["code"] == code, end
    for word in words:
        assert word in end["message"], end
