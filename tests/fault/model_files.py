"""Damaged models for the llama engine: every one of them is loaded or refused in words,
and the engine that read it lives to say so."""
import random
import struct
import subprocess

from daemon import BIN
from engine_protocol import Engine


class Model:
    """A model with random weights; what stands before its tensors' numbers is `header`
    bytes."""

    def __init__(self, directory, *flags):
        self.directory = directory
        self.path = directory / "whole.gguf"
        subprocess.run([BIN / "mkmodel", "--out", self.path, *flags], check=True, timeout=120)
        self.bytes = self.path.read_bytes()
        self.header = self.bytes.rfind(b".weight") + 40
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


    def numbers(self):
        """(name, format, place) of each number that a key has by itself."""
        sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        at = 24

        def take(form):
            nonlocal at
            at += struct.calcsize("<" + form)
            return struct.unpack_from("<" + form, self.bytes, at - struct.calcsize("<" + form))

        def text():
            nonlocal at
            n, = take("Q")
            at += n
            return self.bytes[at - n:at]

        for _ in range(struct.unpack_from("<Q", self.bytes, 16)[0]):
            name, (kind,) = text().decode(), take("I")
            if kind == 8:
                text()
            elif kind == 9:
                kind, n = take("IQ")
                if kind == 8:
                    [text() for _ in range(n)]
                else:
                    at += n * sizes[kind]
            else:
                if kind in (4, 6):
                    yield name, "If"[kind == 6], at
                at += sizes[kind]

    def with_number(self, form, at, value):
        damaged = bytearray(self.bytes)
        struct.pack_into("<" + form, damaged, at, value)
        return damaged


ABSURD = {
    "I": [0, 1, 2, 3, 7, 1000, 65535, 65536, 1 << 24, 1 << 31, 0xFFFFFFFF],
    "f": [0.0, -1.0, float("inf"), float("-inf"), float("nan")],
}


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
