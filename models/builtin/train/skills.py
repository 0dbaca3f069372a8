"""One generator per skill: a question, its answer, and how to judge a reply.

Every generator takes a random source and `held`.  With held empty it makes a
training example, otherwise one for the evaluation, whose phrasing, operands or words
no training example uses.  Material is divided by `is_held`, a hash of the material
itself.  Phrasing is held out in two ways, which the evaluation reports apart:

  NEW_PATTERN    lines of their own (`!` in the text files), which no trained line derives
  NEW_SENTENCE   sentences that trained lines derive, one in sixteen by hash

Text between OPEN and CLOSE is material a user would bring along; the tokenizer
gives its words no tokens of their own.  `plain` removes the marks.
"""

import hashlib
import math
import random
import re
import string
from dataclasses import dataclass
from pathlib import Path

import phrases
from chat import dumps

HERE = Path(__file__).parent
OPEN, CLOSE = "\ue000", "\ue001"


def mark(text):
    return f"{OPEN}{text}{CLOSE}"


def plain(text):
    return text.replace(OPEN, "").replace(CLOSE, "")


def without_marked(text):
    return re.sub(f"{OPEN}[^{CLOSE}]*{CLOSE}", " ", text)


TRAINED, NEW_PATTERN, NEW_SENTENCE = "", "new pattern", "new sentence"


@dataclass
class Turn:
    question: str
    answer: str
    check: dict             # {"kind": "contains" | "ends" | "exact" | "json", "want": …}


def is_held(*material):
    """True for one in eight."""
    return hashlib.sha256(repr(material).encode()).digest()[0] % 8 == 0


def split(items, held):
    return [item for item in items if is_held(item) == bool(held)]


def sentence_is_held(slots, sentence):
    """Plain lines, which stand for a few sentences only, are trained on as a whole."""
    return math.prod(map(len, slots)) >= 8 and hash_is_held(sentence)


def hash_is_held(sentence):
    return hashlib.sha256(phrases.normal(sentence).encode()).digest()[1] % 16 == 0


def sentence_of(topic, rng, held):
    """A sentence that one of the topic's lines stands for."""
    while True:
        slots = rng.choice(topic.held if held == NEW_PATTERN else topic.train)
        sentence = phrases.expand(slots, rng)
        if held == NEW_PATTERN or sentence_is_held(slots, sentence) == bool(held):
            return sentence


# --- questions with one right answer: facts, small talk, the unknown -----------

FACTS = phrases.read_topics(HERE / "facts.txt")
SMALL_TALK = phrases.read_topics(HERE / "smalltalk.txt")
UNKNOWN = phrases.read_topics(HERE / "unknown.txt")
GREETINGS = ["Hi, ", "Hello, ", "Please: ", "A question: ", "Tell me: ", "So, ", "Hey, "]
THANKS = [" Please.", " Thanks!", " Thank you."]
# What a question of the exam is never put behind.
OPENINGS = ["Quick question: ", "I wonder: ", "One more thing: ", "Please tell me: ", "Sorry, but ", "My friend asks: ", "Next question: ",
            "And ", "Well, ", "Now, ", "Ok, ", "Do you know: ", "Just curious: ", "For my notes: ", "inferd question: "]


def held_sentences(topic):
    yield from (q for slots in topic.held for q in phrases.all_of(slots))
    yield from (q for slots in topic.train for q in phrases.all_of(slots) if sentence_is_held(slots, q))


# Every question that an exam may ask about these, whatever it draws.
HELD_QUESTIONS = {phrases.normal(before + q + after) for t in FACTS + SMALL_TALK + UNKNOWN for q in held_sentences(t)
                  for before in ["", *GREETINGS] for after in ["", *THANKS]}


def casual(text, rng):
    """The question as somebody in a hurry would type it."""
    asks = re.match(r"(What|How|Who|Where|When|Why|Which|Can|Could|Is|Are|Do|Does|Will|May|Am|In|Must)\b", text)
    end = "?" if asks else rng.choice([".", ""])
    style = rng.random()
    if style < 0.15:
        text = text[0].lower() + text[1:]
    elif style < 0.3:
        text, end = text.lower(), rng.choice(["", "?"])
    elif style < 0.4:
        end = ""
    if rng.random() < 0.12:
        text = rng.choice(GREETINGS) + text[0].lower() + text[1:]
    if rng.random() < 0.05:
        end += rng.choice(THANKS)
    return text + end


def typo(text, rng):
    """One letter lost, doubled or swapped in one longer word."""
    words = text.split(" ")
    long = [i for i, w in enumerate(words) if len(w) > 4 and w.isalpha()]
    if not long:
        return text
    i = rng.choice(long)
    w, at = words[i], rng.randrange(1, len(words[i]) - 1)
    wrong = rng.choice([w[:at] + w[at + 1:], w[:at] + w[at] + w[at:], w[:at] + w[at + 1] + w[at] + w[at + 2:]])
    words[i] = mark(wrong)
    return " ".join(words)


FILLERS = set("a an the is are do does i you it can me my to for of in on there how what which why where tell explain".split())


def keywords(text, rng):
    """The question with some of its small words left out, as one types into a search box."""
    kept = [w for w in text.split(" ") if w.lower() not in FILLERS or rng.random() < 0.4]
    return " ".join(kept) if len(kept) > 1 else text


SYNONYMS = {}
for group in [line.split() for line in open(HERE / "synonyms.txt", encoding="utf-8") if not line.startswith("#")]:
    for word in group:
        SYNONYMS.setdefault(word, set()).update(set(group) - {word})


def with_synonyms(text, rng):
    """Some of the words that have synonyms are replaced by one."""
    return " ".join(rng.choice(sorted(SYNONYMS[w])) if w in SYNONYMS and rng.random() < 0.35 else w for w in text.split(" "))


def ask(topic, rng, held):
    """One question of the topic, as somebody might put it."""
    question = sentence_of(topic, rng, held)
    if not held and rng.random() < 0.25:
        question = with_synonyms(question, rng)
    if not held and rng.random() < 0.25:
        question = keywords(question, rng)
    question = casual(question, rng)
    if not held and rng.random() < 0.1:
        question = rng.choice(OPENINGS) + question[0].lower() + question[1:]
    if not held and rng.random() < 0.06:
        question = typo(question, rng)
    return question


def from_topics(topics, rng, held, topic=None):
    topic = topic or rng.choice(topics)
    question = ask(topic, rng, held)
    while not held and phrases.normal(plain(question)) in HELD_QUESTIONS:
        question = ask(topic, rng, held)        # a greeting made it one of the exam's
    return Turn(question, topic.answer, {"kind": "contains", "want": topic.key})


def facts(rng, held, topic=None):
    return from_topics(FACTS, rng, held, topic)


def small_talk(rng, held):
    return from_topics(SMALL_TALK, rng, held)


def unknown(rng, held):
    return from_topics(UNKNOWN, rng, held)


# --- how tasks are put ---------------------------------------------------------

FORMS = phrases.read_forms(HERE / "forms.txt")


def form(kind, rng, held):
    """A request of that kind, with words in capitals where its material goes."""
    sentence = sentence_of(FORMS[kind], rng, held)
    if not held and not rng.early and rng.random() < 0.2:
        other = with_synonyms(sentence, rng)
        if not hash_is_held(other) and not any(phrases.derives(slots, other) for slots in FORMS[kind].held):
            sentence = other
    if len(sentence.split(" ")[0]) > 1 and rng.random() < 0.75:
        sentence = sentence[0].upper() + sentence[1:]
    return sentence


# --- sums and comparisons ------------------------------------------------------

ONLY_SUMS = "I can only add and compare numbers up to 99."


def number(rng):
    return rng.randrange(10) if rng.random() < 0.1 else rng.randrange(100)


def pair_is_held(salt, a, b):
    return is_held(salt, min(a, b), max(a, b))


def sum_is_held(a, b):
    """Sums like 70 + 15 stand in the middle of others and are therefore never held out."""
    low, high = sorted((a, b))
    is_step = (high % 10 == 0 and low <= 18) or (low % 10 == 0 and high <= 18)
    return not is_step and pair_is_held("sum", a, b)


def operands(rng, is_held_pair, held):
    while True:
        a, b = number(rng), number(rng)
        if is_held_pair(a, b) == bool(held):
            return a, b


def fill(form, **values):
    return re.sub(r"\b[A-Z]\b", lambda m: str(values.get(m[0], m[0])), form)


def exact(question, answer):
    return Turn(question, answer, {"kind": "exact", "want": plain(answer)})


def sum_answer(a, b):
    """Tens and ones first: 47 + 38 = 70 + 15 = 85.  Each step is one that fits a tiny head."""
    tens, ones = a // 10 * 10 + b // 10 * 10, a % 10 + b % 10
    steps = f"{tens} + {ones} = " if tens and ones else ""
    return f"{a} + {b} = {steps}{a + b}."


def sum_turn(question, a, b):
    return Turn(question, sum_answer(a, b), {"kind": "ends", "want": f"= {a + b}."})


def sums(rng, held):
    a, b = operands(rng, sum_is_held, held)
    return sum_turn(fill(form("sums", rng, held), A=a, B=b), a, b)


def sum_chain(rng, held):
    """A sum, then more to add to it."""
    first = sums(rng, held)
    turns, total = [first], int(first.answer.split(" ")[-1].rstrip("."))
    while len(turns) < 4 and total <= 99 and rng.random() < 0.6:
        b = rng.randrange(100)
        if sum_is_held(total, b) != bool(held):
            continue
        turns.append(sum_turn(fill(form("more", rng, held), Q=b), total, b))
        total += b
    return turns


def comparisons(rng, held):
    while True:
        a, b = operands(rng, lambda *pair: pair_is_held("compare", *pair), held)
        if a != b:
            break
    word = rng.choice(["larger", "smaller"])
    bigger, lesser = max(a, b), min(a, b)
    answer = f"{bigger} is larger than {lesser}." if word == "larger" else f"{lesser} is smaller than {bigger}."
    return exact(fill(form(f"compare-{word}", rng, held), A=a, B=b), answer)


def other_maths(rng, held):
    values = dict(A=rng.randrange(100), B=rng.randrange(1, 100), C=rng.randrange(100, 9999), D=rng.randrange(100, 9999))
    question = fill(form("other-maths", rng, held), **values)
    return Turn(question, ONLY_SUMS, {"kind": "contains", "want": "only add and compare"})


# --- words ---------------------------------------------------------------------

def read_words(path):
    lists, current = {}, "all"
    for line in open(path, encoding="utf-8"):
        if line.startswith("["):
            current = line.strip(" []\n")
        elif not line.startswith("#"):
            lists.setdefault(current, []).extend(line.split())
    return {name: sorted(set(words)) for name, words in lists.items()}


WORDS = read_words(HERE / "words.txt")["all"]
NAMES = read_words(HERE / "names.txt")
# Words that have no token of their own: a request's material is copied letter by letter.
SPELLED = {w.lower() for w in [*WORDS, *NAMES["names"], *NAMES["towns"], *NAMES["animals"], *NAMES["rooms"]]}
SMALL_WORDS = "the a my is are on in and of to it we you this that for with was not at by from he she they has have".split()
COMMON_WORDS = """hello world good name time day new file model local machine please thanks yes no one two three big small word
text first last never always friend story light dark number half tomorrow morning evening song clock library window letter user
little slow cloud open close start stop people long short""".split()
# These are in texts of every kind and are one token each.  In capitals they are one too, so that
# changing their case is to know a pair and not to spell one from memory.
WHOLE = [form for w in SMALL_WORDS for form in (w, w.capitalize(), w.upper(), f" {w}", f" {w.capitalize()}", f" {w.upper()}") if len(form) > 1] \
    + [form for w in COMMON_WORDS if w not in SPELLED for form in (f" {w}", f" {w.upper()}")]
# Words of the topics are one token each if they are frequent.  What was never copied in training is copied as another word.
TOPIC_WORDS = phrases.words_of(FACTS + SMALL_TALK + UNKNOWN, SPELLED)
TOPIC_WORDS_SHARE = 0.15


def invented(rng, held):
    """A word that does not exist, mostly one that can be pronounced."""
    while True:
        if rng.random() < 0.15:
            word = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 7)))
            if is_held(word) == bool(held):
                return word
        word = "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(["", "", "n", "r", "l", "s", "t", "m"])
                       for _ in range(rng.choice([1, 2, 2, 3])))
        if len(word) > 2 and is_held(word) == bool(held):
            return word


def content_word(rng, held):
    return rng.choice(split_words[bool(held)]) if rng.random() < 0.55 else invented(rng, held)


split_words = {held: split(WORDS, held) for held in (False, True)}


class Source(random.Random):
    """A random source that also says how many words a phrase may have, and if only easy requests are to be made."""
    longest = 10
    early = False


def phrase(rng, held, low=1, high=10, topic_words=True):
    """Words to work on; the evaluation's always contain words never trained on."""
    high = min(high, rng.longest)
    count = min(rng.randint(low, high), rng.randint(low, high))
    words = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.2:
            words.append(rng.choice(SMALL_WORDS))
        elif kind < 0.28:
            words.append(rng.choice(COMMON_WORDS))
        elif topic_words and kind < 0.28 + TOPIC_WORDS_SHARE:
            words.append(rng.choice(TOPIC_WORDS))
        else:
            words.append(content_word(rng, held))
    words[rng.randrange(count)] = content_word(rng, held)
    return words


# --- rewriting -----------------------------------------------------------------

def style_case(words, rng):
    style = rng.random()
    if style < 0.2:
        return [words[0].capitalize(), *words[1:]]
    if style < 0.3:
        return [w.capitalize() for w in words]
    return words


def counted(words):
    """Each word with its number: red 1, fox 2: 2 words.  One look at all of them would not tell how many they are."""
    return ", ".join(f"{mark(w)} {i}" for i, w in enumerate(words, 1)) + count_of(words)


def count_of(words):
    return f": {len(words)} words." if len(words) > 1 else ": 1 word."


EXAMINED_KINDS = ["upper", "upper", "lower", "lower", "repeat", "repeat", "first", "last", "count"]
TRAINED_KINDS = [*EXAMINED_KINDS, "upper", "last", "count"]     # more of what is learned more slowly
# Copying is learned from these; with every kind from the start, and requests in more words, that takes longer.
EARLY_KINDS = ["repeat", "repeat", "repeat", "repeat", "upper", "upper", "lower", "lower", "first"]


def kinds_for(rng, held):
    return EXAMINED_KINDS if held else EARLY_KINDS if rng.early else TRAINED_KINDS


def rewriting(rng, held, kind=None):
    kind = kind or rng.choice(kinds_for(rng, held))
    # The other case of a word that is one token would have to be spelled from memory.
    words = style_case(phrase(rng, held, topic_words=kind not in ("upper", "lower")), rng)
    if kind == "lower" and rng.random() < 0.7:
        words = [w.upper() for w in words]
    text = " ".join(words)
    question = fill(form(f"rewrite-{kind}", rng, held), X=mark(text))
    if kind == "count":
        return Turn(question, counted(words), {"kind": "ends", "want": count_of(words)})
    answer = {"upper": text.upper(), "lower": text.lower(), "repeat": text, "first": words[0], "last": words[-1]}[kind]
    return exact(question, mark(answer))


# --- JSON ----------------------------------------------------------------------

def listing(keys, rng):
    keys = [rng.choice(["the ", ""]) * (rng.random() < 0.6) + k for k in keys]
    return keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]


def proper(kind, rng, held):
    if rng.random() < 0.4:
        return invented(rng, held).capitalize()
    return rng.choice(split(NAMES[kind], held))


def record_person(rng, held):
    name, town, job, age = proper("names", rng, held), proper("towns", rng, held), rng.choice(NAMES["jobs"]), rng.randint(2, 99)
    return rng.choice([
        (f"{mark(name)} is {age} years old and lives in {mark(town)}.", {"name": name, "age": age, "city": town}),
        (f"{mark(name)}, {age}, comes from {mark(town)} and works as a {job}.", {"name": name, "age": age, "city": town, "job": job}),
        (f"My name is {mark(name)}, I am {age} and I live in {mark(town)}.", {"name": name, "age": age, "city": town}),
        (f"{mark(name)} works as a {job} in {mark(town)}.", {"name": name, "job": job, "city": town}),
        (f"The {job} {mark(name)} turned {age} in {mark(town)}.", {"name": name, "age": age, "city": town, "job": job}),
    ])


def record_order(rng, held):
    name, item, count, price = proper("names", rng, held), rng.choice(NAMES["things"]), rng.randint(2, 99), rng.randint(2, 99)
    return rng.choice([
        (f"{mark(name)} buys {count} {item} for {price} euros.", {"name": name, "item": item, "quantity": count, "price": price}),
        (f"Order: {count} {item}, {price} euros, for {mark(name)}.", {"name": name, "item": item, "quantity": count, "price": price}),
        (f"We need {count} {item} at {price} euros.", {"item": item, "quantity": count, "price": price}),
        (f"Please send {count} {item} to {mark(name)}.", {"name": name, "item": item, "quantity": count}),
    ])


def record_pet(rng, held):
    pet, animal, age, owner = proper("names", rng, held), rng.choice(NAMES["animals"]), rng.randint(2, 30), proper("names", rng, held)
    return rng.choice([
        (f"The {animal} {mark(pet)} is {age} years old.", {"animal": animal, "name": pet, "age": age}),
        (f"{mark(owner)} has a {animal} called {mark(pet)}.", {"owner": owner, "animal": animal, "name": pet}),
        (f"{mark(pet)} is a {animal} and belongs to {mark(owner)}.", {"name": pet, "animal": animal, "owner": owner}),
    ])


def json_answers(rng, held):
    text, record = rng.choice([record_person, record_person, record_order, record_pet])(rng, held)
    keys = list(record)
    if rng.random() < 0.4:
        rng.shuffle(keys)
    keys = keys[:rng.randint(1, len(keys))]
    want = {k: record[k] for k in keys}
    values = {k: mark(v) if isinstance(v, str) else v for k, v in want.items()}
    question = fill(form("ask-json", rng, held), K=listing(keys, rng), X=text)
    return Turn(question, dumps(values), {"kind": "json", "want": want})


# --- remembering within a conversation -----------------------------------------

def name_told(rng, held):
    name = proper("names", rng, held)
    return [exact(fill(form("tell-name", rng, held), N=mark(name)), f"Nice to meet you, {mark(name)}."),
            exact(form("ask-name", rng, held), f"Your name is {mark(name)}.")]


def name_unknown(rng, held):
    return exact(form("ask-name", rng, held), "You have not told me your name.")


def again(rng, held, turn):
    return exact(form("again", rng, held), turn.answer)
