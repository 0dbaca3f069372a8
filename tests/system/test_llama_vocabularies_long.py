"""Whatever a text is made of, and whatever the vocabulary: it is answered or refused, and
others are served meanwhile."""
import pathlib
import random

import pytest

from test_llama_engine import ask, cache, engine, models  # noqa: F401  (fixtures)
from vocabularies import NAMES

MIB = 1_000_000
STACK_PER_BYTE = 1024  # engines/llama/deep.h

TEXTS = {
    "letter": "a" * MIB,
    "digit": "7" * MIB,
    "spaces": " " * MIB,
    "newlines": "\n" * MIB,
    "emoji": "\U0001F600" * (MIB // 4),
    "random": random.Random(1).randbytes(MIB).decode("latin-1").replace("\0", "\x01"),
}


def peak(e):
    """Bytes of memory that the engine has had at most."""
    for line in pathlib.Path(f"/proc/{e.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize("name", NAMES)
def test_a_megabyte_of_anything(engine, models, name):
    e = engine(models(name, "--vocab", name, "--layers", "1", "--context", "16384",
                      "--end-tokens", "unreachable"), {"n_ctx": 16_384}, slots=2)
    e.socket.settimeout(300)
    before = peak(e)
    for serial, (kind, text) in enumerate(TEXTS.items(), 1):
        ask(e, 100 + serial, "x", max_tokens=400)
        ask(e, serial, text, max_tokens=1)
        ends, told = {}, {serial: 0, 100 + serial: 0}
        while len(ends) < 2:
            event = e.event()
            if event["type"] == "text":
                told[event["serial"]] += 1
            else:
                ends[event["serial"]] = event
        end = ends[serial]
        assert end["type"] == "done" or end["code"] == "invalid_request", (kind, end)
        assert ends[100 + serial]["completion_tokens"] == 400, kind
    # Half of what is set aside for a text of that size: the measure has room to be wrong.
    assert peak(e) - before < MIB * STACK_PER_BYTE / 2 + (128 << 20)
