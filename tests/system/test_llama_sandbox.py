"""The llama engine locks itself in before it looks at a model.  What that keeps it from
is tried in tests/unit/test_sandbox.c; here it is seen from outside."""
import os
import pathlib
import subprocess

import pytest

from daemon import BIN, FACTOR
from engine_protocol import Engine

LLAMA = "inferd-engine-llama"
INSIDE = pytest.mark.skipif(FACTOR > 1, reason="there is no sandbox around a sanitizer")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path], check=True, timeout=120)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


def kernel_says(e):
    """/proc/PID/status of the engine, of each of its threads."""
    for task in pathlib.Path(f"/proc/{e.process.pid}/task").iterdir():
        yield dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())


@INSIDE
@pytest.mark.parametrize("options", [{}, {"sandbox": "auto"}, {"sandbox": "require"}])
def test_all_its_threads_are_behind_both_doors(tiny, cache, options):
    with Engine(LLAMA, model=tiny) as e:
        ready = e.load({"n_ctx": 256, **options}, cache_dir=cache)[-1]
        assert ready["sandbox"] == "landlock+seccomp"
        threads = list(kernel_says(e))
        assert len(threads) >= 3
        for thread in threads:
            assert thread["NoNewPrivs"] == "1" and thread["Seccomp"] == "2"
            assert thread["Seccomp_filters"] == "2"
        e.generate(1, "hello", max_tokens=20)
        assert e.pieces(1)[1]["type"] == "done"


@INSIDE
def test_its_memory_is_nobody_s_to_read(tiny, cache):
    """Not dumpable: what /proc shows of it belongs to root."""
    with Engine(LLAMA, model=tiny) as e:
        e.load({"n_ctx": 64}, cache_dir=cache)
        assert os.stat(f"/proc/{e.process.pid}/mem").st_uid == 0
        limits = pathlib.Path(f"/proc/{e.process.pid}/limits").read_text()
        assert "Max core file size        0                    0" in limits


def test_it_can_be_turned_off(tiny, cache):
    with Engine(LLAMA, model=tiny) as e:
        assert e.load({"n_ctx": 64, "sandbox": "off"}, cache_dir=cache)[-1]["sandbox"] == "off"
        for thread in kernel_says(e):
            assert thread["NoNewPrivs"] == "0" and thread["Seccomp"] == "0"


def test_a_word_that_is_none_is_refused(tiny, cache):
    with Engine(LLAMA, model=tiny) as e:
        last = e.load({"sandbox": "strict"}, cache_dir=cache)[-1]
        assert last["type"] == "error" and "auto, off or require" in last["message"]
        assert e.wait() == 1
