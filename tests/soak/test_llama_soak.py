"""A quarter of an hour each on streams and on a context that is too small for all: requests
join, leave, are held and cancelled at random, short and long, with beginnings in common.

    SOAK_SECONDS    how long in all (default 1800)
    SOAK_SEED       another number, another half hour

The engine itself checks, whenever it has nothing to do, that what it counts is what its
cache holds; here each request must end once, and afterwards nothing is left but memory that
was there early on."""
import os
import pathlib
import random
import statistics
import time

import pytest

from daemon import until
from engine_protocol import Engine, generate

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800")) / 2
SEED = int(os.environ.get("SOAK_SEED", "1"))
MODEL = pathlib.Path(__file__).parents[2] / "models/builtin/inferd-tiny.gguf"
SLOTS = 8
MOST = 12  # more than there are slots
GROWTH_KIB = 16 * 1024
WORDS = "apple river stone cloud table green seven music paper house light water".split()
BEGINNINGS = ["", "You are a careful assistant. " * 8, "Answer in one word. " * 10]


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


class Crowd:
    """What was asked, and what has come of it."""

    def __init__(self, engine, rng):
        self.engine, self.rng = engine, rng
        self.serial, self.open, self.held = 0, set(), set()
        self.ends = {"end": 0, "length": 0, "cancelled": 0, "refused": 0}

    def ask(self):
        rng = self.rng
        self.serial += 1
        words = rng.choice([1, 5, 20, 60, 250, 2000])
        turns = [("system", rng.choice(BEGINNINGS)),
                 ("user", " ".join(rng.choice(WORDS) for _ in range(words)))]
        self.engine.send(generate(
            self.serial, turns[not turns[0][1]:], temperature=rng.choice([0, 1]),
            max_tokens=rng.choice([1, 8, 64, 600]), uid=rng.choice([1000, 1000, 1001])))
        self.open.add(self.serial)

    def disturb(self):
        """Whatever else a daemon may order."""
        serial = self.rng.choice(sorted(self.open))
        order = self.rng.choice(["cancel", "pause", "resume"])
        self.engine.order(order, serial=serial)
        if order == "pause":
            self.held.add(serial)
        else:
            self.held.discard(serial)

    def let_go(self):
        for serial in self.held:
            self.engine.order("resume", serial=serial)
        self.held.clear()

    def listen(self):
        event = self.engine.event()
        assert event, self.engine.stderr()
        serial = event["serial"]
        assert serial in self.open, event
        if event["type"] == "text":
            return
        self.open.remove(serial)
        self.held.discard(serial)
        if event["type"] == "error":
            assert event["code"] == "invalid_request", event
            self.ends["refused"] += 1
        else:
            self.ends[event["stop_reason"]] += 1


@pytest.mark.parametrize("options", [{}, {"kv_tokens": 1024}], ids=["streams", "small"])
def test_anything(options, tmp_path):
    rng = random.Random(SEED)
    with Engine("inferd-engine-llama", model=MODEL) as e:
        ready = e.load({"n_ctx": 512, "threads": 1, "prefix_cache_mib": 8, **options},
                       slots=SLOTS, cache_dir=str(tmp_path))[-1]
        assert ready["type"] == "ready", ready
        crowd, samples = Crowd(e, rng), []
        deadline = time.monotonic() + SECONDS
        next_sample = 0
        while time.monotonic() < deadline:
            while len(crowd.open) < rng.randrange(1, MOST + 1):
                crowd.ask()
            if rng.random() < 0.03:
                crowd.disturb()
            if len(crowd.held) >= min(len(crowd.open), SLOTS):
                crowd.let_go()
            if crowd.open:
                crowd.listen()
            if time.monotonic() >= next_sample:
                samples.append(resident_kib(e.process.pid))
                next_sample = time.monotonic() + SECONDS / 100
        crowd.let_go()
        while crowd.open:
            crowd.listen()
        print(crowd.ends, f"resident: {samples[0]} KiB at first, {samples[-1]} KiB at last")
        until(lambda: not e.ping()[0]["busy"], "an engine with nothing to do")
        assert e.usage["context_used"] <= e.usage["context_size"]
        assert min(crowd.ends.values()) > 0, crowd.ends
        assert "forgotten" not in e.stderr()
        quarter = len(samples) // 4
        early, late = samples[quarter:2 * quarter], samples[-quarter:]
        assert statistics.median(late) < statistics.median(early) + GROWTH_KIB, samples
        for serial in range(1, SLOTS + 1):
            e.send(generate(10**9 + serial, [("user", "What is inferd?")], temperature=0))
        answers = {10**9 + serial: "" for serial in range(1, SLOTS + 1)}
        ended = 0
        while ended < SLOTS:
            event = e.event()
            if event["type"] == "text":
                answers[event["serial"]] += event["text"]
            else:
                ended += 1
        assert len(set(answers.values())) == 1
