"""Reads the text files of questions and answers, and writes questions out.

A file holds topics; facts.txt explains the format.  `Topic.train` and
`Topic.held` are patterns with {alternatives}; `expand` draws one of the
sentences that a pattern stands for, `all_of` lists every one.
"""

import collections
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


def _lines(path):
    """(place, line) of every line that is neither empty nor a comment nor a macro, and the macros."""
    macros, lines = {}, []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        if macro := re.fullmatch(r"(\$[A-Z]+) = (.+)", line):
            macros[macro[1]] = macro[2].removeprefix("{").removesuffix("}")
        elif line and not line.startswith("#"):
            lines.append((f"{path}:{number}", line))
    return lines, macros


def _read(path):
    """Topics by name."""
    topics = {}
    lines, macros = _lines(path)
    for where, line in lines:
        if name := re.fullmatch(r"\[([a-z0-9_-]+)\]", line):
            topic = topics[name[1]] = Topic(name[1])
        elif line.startswith("= "):
            topic.key = re.search(r"\[(.+?)\]", line)[1]
            topic.answer = line[2:].replace("[", "").replace("]", "")
        elif line.startswith("! "):
            topic.held.append(_slots(line[2:], macros, where))
        else:
            topic.train.append(_slots(line, macros, where))
    for topic in topics.values():
        if not (topic.train and topic.held):
            raise ValueError(f"{path}: topic [{topic.name}] is incomplete")
    return topics


def read_topics(path):
    topics = list(_read(path).values())
    for topic in topics:
        if not (topic.answer and topic.key):
            raise ValueError(f"{path}: topic [{topic.name}] has no answer")
    return topics


def read_forms(path):
    """Topics without answers, by name."""
    return _read(path)


def _slots(line, macros, where):
    """A pattern as a list of slots, each a list of alternatives."""
    for macro, text in macros.items():
        name = re.escape(macro) + "(?![A-Z])"
        line = re.sub(r"(\{[^{}]*)" + name, lambda m: m[1] + text, line)
        line = re.sub(name, lambda m: "{" + text + "}", line)
    if "$" in line:
        raise ValueError(f"{where}: unknown macro in {line!r}")
    parts = re.split(r"(\{[^{}]*\})", line)
    return [p[1:-1].split("|") if p.startswith("{") else [p] for p in parts if p]


def words_of(topics, without):
    """Lower-case words that two topics or more have in trained questions or answers."""
    count = collections.Counter()
    for topic in topics:
        text = " ".join([topic.answer, *("|".join(slot) for slots in topic.train for slot in slots)])
        count.update(set(re.findall(r"(?<![\w.'/-])[a-z]{3,}(?![\w'/-])", text)))
    return sorted(word for word in count if count[word] > 1 and word not in without)


def _tidy(text):
    return re.sub(r" +", " ", text).strip()


def expand(slots, rng):
    return _tidy("".join(rng.choice(slot) for slot in slots))


def all_of(slots):
    return [_tidy("".join(choice)) for choice in itertools.product(*slots)]


def normal(text):
    """What is left of a question when case and punctuation do not count."""
    return re.sub(r"[^a-z0-9_. ]+", "", text.lower()).strip(" .")


def derives(slots, text):
    """Whether the pattern stands for the text, spaces and punctuation aside."""
    def bare(part):
        return re.sub(r"[^a-z0-9_]", "", part.lower())

    pattern = "".join("(?:" + "|".join(map(bare, slot)) + ")" for slot in slots)
    return re.fullmatch(pattern, bare(text)) is not None
