"""What the model is trained on, and what it is examined with.

A training example is a conversation: one skill, or several in a row, sometimes
under a system prompt.  An examination case is the beginning of a conversation
and a check of the reply; half of the cases are worded by patterns that no example
uses, half by new sentences of trained patterns (skills.py).  A conversation with a
question of the exam is drawn again, and `assert_disjoint` checks that all is well.

    python3 corpus.py           prints a few of each, to be read by a person
"""

from dataclasses import dataclass

import phrases
import skills
import tools
from chat import render

SYSTEM_PROMPTS = ["You are a helpful assistant.", "You are inferd-tiny.", "Answer briefly.", "You are a helpful AI assistant.",
                  "You answer questions about inferd.", "Be friendly and brief.", "You are an assistant.",
                  "Answer the question of the user.", "You can call tools."]

# What is answered by heart: the answer is one of a hundred and more, and all the work is to find out which.
# Half of the conversations or more are one such question.  They are short: half of the conversations cost a sixth of the time.
HEART_SHARES = [(skills.facts, 64), (skills.small_talk, 10), (skills.unknown, 14)]
HEART_ANSWERS = {topic.answer for topic in skills.FACTS + skills.SMALL_TALK + skills.UNKNOWN}
# Shares of the turns that need no tools, at first, once words are copied, and in the end.
FIRST_SHARES = [
    (skills.facts, 10), (skills.small_talk, 2), (skills.unknown, 3),
    (skills.sums, 7), (skills.comparisons, 4), (skills.other_maths, 3),
    (skills.rewriting, 20), (skills.json_answers, 10), (skills.name_unknown, 0.3),
]
LATER_SHARES = [
    (skills.facts, 16), (skills.small_talk, 3), (skills.unknown, 4),
    (skills.sums, 18), (skills.comparisons, 6), (skills.other_maths, 3),
    (skills.rewriting, 22), (skills.json_answers, 14), (skills.name_unknown, 0.3),
]
LAST_SHARES = [
    (skills.facts, 10), (skills.small_talk, 3), (skills.unknown, 4),
    (skills.sums, 13), (skills.comparisons, 7), (skills.other_maths, 4),
    (skills.rewriting, 27), (skills.json_answers, 12), (skills.name_unknown, 0.3),
]


@dataclass(frozen=True)
class Phase:
    """What is taught from a chunk on."""
    chunk: int
    longest: int            # words of a phrase, at most
    shares: list
    by_heart: float         # share of what is answered by heart
    early: bool = False     # easy requests only


# Copying is learned sooner from short phrases to repeat, and everything else is learned after that, sums and counting
# among it; choosing an answer takes the longest.
PHASES = [Phase(0, 4, FIRST_SHARES, 0.5, early=True), Phase(20, 10, FIRST_SHARES, 0.5, early=True),
          Phase(26, 10, LATER_SHARES, 0.5), Phase(185, 10, LAST_SHARES, 0.75)]
# Shares of the conversations with tools, beside the above.
TOOL_SHARES = [(tools.toy_call, 15), (tools.named_call, 3), (tools.unrelated, 4)]

EXAM = {
    "facts": skills.facts, "small talk": skills.small_talk, "unknown": skills.unknown, "sums": skills.sums,
    "comparisons": skills.comparisons, "other maths": skills.other_maths, "rewriting": skills.rewriting, "json": skills.json_answers,
}
TOOL_EXAM = {"tool calls": tools.toy_call, "named tools": tools.named_call, "tools unused": tools.unrelated}


def pick(shares, rng):
    makers, weights = zip(*shares)
    return rng.choices(makers, weights)[0]


def as_messages(turns):
    out = []
    for turn in turns:
        out += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    return out


def turns_in_a_row(rng, shares, held=skills.TRAINED):
    """One to twenty turns; short conversations are by far the most frequent."""
    kind = rng.random()
    if kind < 0.03:
        return skills.sum_chain(rng, held)
    if kind < 0.05:
        told, asked = skills.name_told(rng, held)
        between = [pick(shares, rng)(rng, held) for _ in range(rng.choice([0, 1, 2]))]
        return [told, *[t for t in between if "name" not in t.answer], asked]
    turns = [pick(shares, rng)(rng, held)]
    if kind < 0.07:
        return [*turns, skills.again(rng, held, turns[0])]
    if kind < 0.25:
        turns += [pick(shares, rng)(rng, held) for _ in range(rng.choice([1, 1, 2, 3]))]
    elif kind < 0.255:
        turns += [pick(shares, rng)(rng, held) for _ in range(rng.randint(8, 19))]
    elif kind < 0.40:
        maker = rng.choice([skills.sums, skills.comparisons, skills.rewriting, skills.rewriting, skills.json_answers])
        turns = [maker(rng, held) for _ in range(rng.randint(3, 6))]
    return turns


def phase_of(chunk):
    return [phase for phase in PHASES if phase.chunk <= chunk][-1]


def example(rng, phase=PHASES[-1]):
    """(messages, tools) of one training conversation, with marks."""
    tool_share = sum(w for _, w in TOOL_SHARES)
    if rng.random() < phase.by_heart:
        declared, messages = [], as_messages([pick(HEART_SHARES, rng)(rng, skills.TRAINED)])
    elif rng.random() < tool_share / (tool_share + sum(w for _, w in phase.shares)):
        declared, messages, _ = pick(TOOL_SHARES, rng)(rng, skills.TRAINED)
        if rng.random() < 0.2:
            turn = skills.facts(rng, skills.TRAINED)
            messages = messages + as_messages([turn])
    else:
        declared, messages = [], as_messages(turns_in_a_row(rng, phase.shares))
    if rng.random() < 0.15:
        messages = [{"role": "system", "content": rng.choice(SYSTEM_PROMPTS)}, *messages]
    return messages, declared


def questions_of(messages):
    return {phrases.normal(skills.plain(m["content"])) for m in messages if m["role"] == "user"}


def examples(seed, count, phase=PHASES[-1], excluded=frozenset()):
    """`count` training conversations of that phase, the same for the same seed.

    None of them asks one of the `excluded` questions.
    """
    rng = skills.Source(f"training {seed}")
    rng.longest, rng.early = phase.longest, phase.early
    out = []
    while len(out) < count:
        conversation = example(rng, phase)
        if not questions_of(conversation[0]) & excluded:
            out.append(conversation)
    return out


def unmark(value):
    if isinstance(value, str):
        return skills.plain(value)
    if isinstance(value, dict):
        return {unmark(k): unmark(v) for k, v in value.items()}
    return [unmark(v) for v in value] if isinstance(value, list) else value


def follow_up(rng, held):
    return rng.choice([skills.name_told, lambda *a: [t := skills.facts(*a), skills.again(*a, t)],
                       lambda *a: [skills.sums(*a), skills.facts(*a)]])(rng, held)


def case_of(skill, maker, rng, held, number):
    """(messages, tools, check)"""
    if skill in TOOL_EXAM:
        declared, messages, check = maker(rng, held)
        return messages[:1], declared, check
    if skill == "facts":            # every fact, in turn
        turns = [skills.facts(rng, held, skills.FACTS[number % len(skills.FACTS)])]
    else:
        turns = maker(rng, held) if skill == "follow-ups" else [maker(rng, held)]
    return as_messages(turns)[:-1], [], turns[-1].check


def exam(seed, per_skill):
    """Cases {skill, held, messages, tools, check}; a conversation ends with the user's word."""
    cases = []
    for skill, maker in {**EXAM, **TOOL_EXAM, "follow-ups": follow_up}.items():
        for held in (skills.NEW_PATTERN, skills.NEW_SENTENCE):
            rng = skills.Source(f"exam {seed} {skill} {held}")
            for number in range(max(per_skill // 2, len(skills.FACTS)) if skill == "facts" else per_skill // 2):
                messages, declared, check = case_of(skill, maker, rng, held, number)
                cases.append({"skill": skill, "held": held, "messages": messages, "tools": declared, "check": check})
    return unmark(cases)


def excluded_by(cases):
    """What an example must not ask: the last questions of the exam, in normal form."""
    return {phrases.normal(case["messages"][-1]["content"]) for case in cases}


def assert_patterns():
    """The patterns kept for the evaluation derive nothing that a trained pattern derives."""
    for topic in [*skills.FACTS, *skills.SMALL_TALK, *skills.UNKNOWN, *skills.FORMS.values()]:
        for question in (q for slots in topic.held for q in phrases.all_of(slots)):
            assert not any(phrases.derives(slots, question) for slots in topic.train), f"{topic.name}: {question!r} is trained on"


def assert_disjoint(cases, conversations):
    """No question of the exam is trained on, and none of its sums."""
    asked = {question for messages, _ in conversations for question in questions_of(messages)}
    assert not asked & excluded_by(cases)
    pairs = set()
    for messages, _ in conversations:
        for m in messages:
            if m["role"] == "assistant":
                pairs.update(frozenset(map(int, pair)) for pair in skills.re.findall(r"(\d+) \+ (\d+) =", m.get("content", "")))
    for case in cases:
        if case["skill"] == "sums":
            operands = frozenset(map(int, skills.re.findall(r"\d+", case["messages"][0]["content"])))
            assert operands not in pairs, f"{operands} is trained on"


if __name__ == "__main__":
    for messages, declared in examples(0, 12):
        print(skills.plain(render(messages, declared)))
    seen = set()
    for case in exam(0, 50):
        if case["skill"] not in seen:
            seen.add(case["skill"])
            print(case)
