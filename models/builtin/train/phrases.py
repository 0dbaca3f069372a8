"""Reads the text files of questions and answers, and writes questions out.

A file holds topics; facts.txt explains the format.  `Topic.train` and
`Topic.held` are patterns with {alternatives}; `expand` draws one of the
sentences that a pattern stands for, `all_of` lists every one.
"""

import itertools
import re
from dataclasses import dataclass, field


@dataclass
class Topic:
    name: str
    train: list = field(default_factory=list)
    held: list = field(default_factory=list)
    answer: str = ""
    key: str = ""


def read_topics(path):
    macros, topics = {}, []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if macro := re.fullmatch(r"(\$[A-Z]+) = (.+)", line):
            macros[macro[1]] = macro[2].strip("{}")
        elif name := re.fullmatch(r"\[([a-z0-9-]+)\]", line):
            topics.append(Topic(name[1]))
        elif line.startswith("= "):
            topics[-1].key = re.search(r"\[(.+?)\]", line)[1]
            topics[-1].answer = line[2:].replace("[", "").replace("]", "")
        else:
            into = topics[-1].train
            if line.startswith("! "):
                line, into = line[2:], topics[-1].held
            into.append(_slots(line, macros, f"{path}:{number}"))
    for topic in topics:
        if not (topic.train and topic.held and topic.answer and topic.key):
            raise ValueError(f"{path}: topic [{topic.name}] is incomplete")
    return topics


def read_forms(path):
    """Topics without answers, by name."""
    forms = {}
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if name := re.fullmatch(r"\[([a-z0-9_-]+)\]", line):
            topic = forms[name[1]] = Topic(name[1])
        elif line.startswith("! "):
            topic.held.append(_slots(line[2:], {}, f"{path}:{number}"))
        else:
            topic.train.append(_slots(line, {}, f"{path}:{number}"))
    return forms


def _slots(line, macros, where):
    """A pattern as a list of slots, each a list of alternatives."""
    for macro, text in macros.items():
        line = re.sub(r"(\{[^{}]*)" + re.escape(macro) + r"\b", lambda m: m[1] + text, line)
        line = re.sub(re.escape(macro) + r"\b", lambda m: "{" + text + "}", line)
    if "$" in line:
        raise ValueError(f"{where}: unknown macro in {line!r}")
    parts = re.split(r"(\{[^{}]*\})", line)
    return [p[1:-1].split("|") if p.startswith("{") else [p] for p in parts if p]


def _tidy(text):
    return re.sub(r" +", " ", text).strip()


def expand(slots, rng):
    return _tidy("".join(rng.choice(slot) for slot in slots))


def all_of(slots):
    return [_tidy("".join(choice)) for choice in itertools.product(*slots)]


def normal(text):
    """What is left of a question when case and punctuation do not count."""
    return re.sub(r"[^a-z0-9_. ]+", "", text.lower()).strip(" .")
