"""Half an hour of whatever clients do, at random: they join, leave, hang up in a prompt
or in an answer, send prompts that fill the context and prompts that can't.

    SOAK_SECONDS    how long (default 1800)
    SOAK_SEED       another number, another half hour

Afterwards the engine is the one that was there at the start, holds no more memory than
early on (but for the beginnings that it keeps and tells of), has nothing running or
waiting, and every slot answers.  The built-in model serves: it is small, so much happens
in the time."""
import collections
import os
import random
import statistics
import threading
import time

from daemon import Daemon, until

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
CLIENTS = 12
SLOTS = 4
GROWTH_KIB = 8 * 1024
ALLOWED = {"done", "invalid_request", "queue_full", "left"}

SHARED = "You are a careful assistant. Answer briefly, and say what you do not know. " * 2
WORDS = "apple river stone cloud table green seven music paper house light water".split()


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def some_request(rng):
    """A request, and the frames after which its client is to leave (None: it stays)."""
    kind = rng.choices(["short", "shared", "long", "too long", "grammar"], [6, 4, 2, 1, 1])[0]
    words = {"long": rng.randrange(150, 300), "too long": 3000}.get(kind, rng.randrange(1, 24))
    turns = [{"role": "user", "content": text(rng, words)}]
    if kind == "shared":
        turns.insert(0, {"role": "system", "content": SHARED})
    ask = {"id": "q", "messages": turns, "max_tokens": rng.choice([1, 8, 64, 400]),
           "temperature": rng.choice([0, 1])}
    if kind == "grammar":
        ask["grammar"] = 'root ::= ("yes" | "no") [.!]*'
    leaves = rng.choice([None, None, None, 0, 1, rng.randrange(2, 20)])
    return ask, leaves


def live_once(daemon, rng):
    """One client's life; how its last request ended."""
    with daemon.client() as c:
        c.socket.settimeout(120)
        for _ in range(rng.randrange(1, 6)):
            ask, leaves = some_request(rng)
            c.send(ask)
            seen = 0
            while leaves is None or seen < leaves:
                frame = c.receive()
                assert frame and frame["id"] == "q", frame
                seen += 1
                if frame["type"] in ("done", "error"):
                    break
            else:
                time.sleep(rng.random() * 0.05)
                return "left"
        return frame.get("code", "done")


def live(daemon, seed, deadline, outcomes, faults):
    rng = random.Random(seed)
    try:
        while time.monotonic() < deadline and not faults:
            outcomes[live_once(daemon, rng)] += 1
            daemon.clients = [c for c in daemon.clients if c.socket.fileno() >= 0]
    except Exception as e:  # a thread's end is nobody's failure unless it is told
        faults.append(e)


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def kept_kib(admin):
    context = admin.order("stats")["backends"][0].get("context", {})
    assert context.get("prefix_cache_bytes", 0) <= context.get("prefix_cache_max", 0)
    return context.get("prefix_cache_bytes", 0) // 1024


def watch(pid, admin, deadline, faults):
    """What the engine held besides what it keeps on purpose, sampled evenly until the deadline."""
    samples = []
    while time.monotonic() < deadline and not faults:
        samples.append(resident_kib(pid) - kept_kib(admin))
        time.sleep(SECONDS / 200)
    return samples


def test_anything_for_half_an_hour():
    with Daemon("--active-permits", str(SLOTS), "--queue-depth", "100", config=False) as d:
        admin = d.admin()
        engine = d.engine()
        deadline = time.monotonic() + SECONDS
        outcomes, faults = collections.Counter(), []
        threads = [threading.Thread(target=live, args=(d, SEED * 1000 + i, deadline, outcomes, faults))
                   for i in range(CLIENTS)]
        for t in threads:
            t.start()
        samples = watch(engine, admin, deadline, faults)
        for t in threads:
            t.join()
        assert not faults, faults
        print(dict(outcomes), f"resident besides {kept_kib(admin)} KiB of prefixes: "
              f"{samples[0]} KiB at first, {samples[-1]} KiB at last")
        assert set(outcomes) <= ALLOWED, outcomes
        assert outcomes["done"] and outcomes["left"] and outcomes["invalid_request"], outcomes

        until(lambda: not admin.order("stats")["requests"], "the last request's end")
        stats = admin.order("stats")
        assert (stats["waiting"], stats["backends"][0]["running"]) == (0, 0)
        assert d.engine() == engine and stats["backends"][0]["deaths"] == 0
        quarter = len(samples) // 4
        early, late = samples[quarter:2 * quarter], samples[-quarter:]
        assert statistics.median(late) < statistics.median(early) + GROWTH_KIB, samples

        clients = [d.client() for _ in range(SLOTS)]
        for c in clients:
            c.ask("last", "What is inferd?", temperature=0)
        assert len({c.answer("last") for c in clients}) == 1
