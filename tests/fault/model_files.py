"""Damaged models for the llama engine: every one of them is loaded or refused in words,
and the engine that read it lives to say so."""
import random
import subprocess

from daemon import BIN
from engine_protocol import Engine


class Model:
    """A model with random weights; what stands before its tensors' numbers is `header`
    bytes."""

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "whole.gguf"
        subprocess.run([BIN / "mkmodel", "--out", self.path], check=True, timeout=120)
        self.bytes = self.path.read_bytes()
        self.header = self.bytes.find(b"output_norm.weight") + 300
        assert 4000 < self.header < len(self.bytes) // 2

    def outcome(self, damaged):
        """What the engine says of these bytes: "ready", or why not."""
        path = self.directory / "damaged.gguf"
        path.write_bytes(damaged)
        with Engine("inferd-engine-llama", model=path) as e:
            last = e.load({"threads": 1, "n_ctx": 64}, slots=1,
                          cache_dir=str(self.directory))[-1]
            if last["type"] == "ready":
                return "ready"
            assert e.event() is None
            assert e.wait() == 1
            assert last["message"]
            return last["message"]


def flip_bits(model, rounds):
    """How many of the files with one wrong bit in the header were loaded all the same."""
    chance = random.Random(6)
    loaded = 0
    for _ in range(rounds):
        at, bit = chance.randrange(model.header), chance.randrange(8)
        damaged = bytearray(model.bytes)
        damaged[at] ^= 1 << bit
        try:
            loaded += model.outcome(damaged) == "ready"
        except Exception as why:
            raise AssertionError(f"with bit {bit} of byte {at} flipped") from why
    return loaded


def cut_short(model, rounds):
    """Nothing that lacks its end is loaded."""
    chance = random.Random(6)
    for i in range(rounds):
        at = chance.randrange(model.header if i % 2 else len(model.bytes))
        assert model.outcome(model.bytes[:at]) != "ready", f"cut at {at}"
