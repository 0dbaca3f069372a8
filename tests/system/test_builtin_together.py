"""An answer does not depend on who else is answered: 64 greedy answers, each alone and
then all at once, with and without a beginning that all prompts share.

The built-in model is asked, for its answers make sense: the best token leads by more
than what another order of adding changes, so that every answer must be the same."""
import pytest

from daemon import Daemon

# Words that the model was trained to copy; of others it is less sure.
WORDS = ("apple river stone tiger table green silver lemon paper market ocean candle glass "
         "bread chair garden").split()
SYSTEM = "You are a careful assistant of one machine. Answer briefly and say what you do not know. " * 3


def prompts():
    for i in range(8):
        a, b, c = (WORDS[(k * i + k) % len(WORDS)] for k in (1, 3, 7))
        yield from (f"What is {i + 3} + {i * 11 + 2}?", f"Repeat: {a} {b} {c}",
                    "Where do downloaded models go?", "How do I install inferd?",
                    f"What is the last word of: {c} {a} {b}?", "What does queue_full mean?",
                    "Is inferd free?",
                    f"Count the words: {' '.join(WORDS[:i + 1])}")


def ask(client, id, prompt, system):
    turns = [{"role": "system", "content": SYSTEM}] if system else []
    client.send({"id": id, "messages": turns + [{"role": "user", "content": prompt}],
                 "temperature": 0, "max_tokens": 48})


def finals(daemon, clients, system):
    """Asked all at once, in turns on so many connections."""
    asked = list(prompts())
    for i, prompt in enumerate(asked):
        ask(clients[i % len(clients)], str(i), prompt, system)
    said = {}
    for k, client in enumerate(clients):
        mine = len(range(k, len(asked), len(clients)))
        while mine:
            frame = client.receive()
            assert frame["type"] != "error", frame
            if frame["type"] == "done":
                said[int(frame["id"])] = frame["content"]
                mine -= 1
    return [said[i] for i in range(len(asked))]


@pytest.fixture(scope="module")
def alone():
    """{with a system prompt: answers}, each computed when nothing else was."""
    with Daemon("--active-permits", "1", config=False) as d, d.client() as c:
        def answer(prompt, system):
            ask(c, "q", prompt, system)
            return c.frames("q")[-1]["content"]
        return {system: [answer(p, system) for p in prompts()] for system in (False, True)}


@pytest.mark.parametrize("slots", [4, 16])
@pytest.mark.parametrize("system", [False, True], ids=["own-beginnings", "one-beginning"])
def test_company_changes_no_answer(alone, slots, system):
    with Daemon("--active-permits", str(slots), "--queue-depth", "100", config=False) as d:
        together = finals(d, [d.client() for _ in range(64)], system)
        again = finals(d, [d.client() for _ in range(8)], system)
    assert together == alone[system]
    assert again == alone[system]
