"""Conversations with tools: which to call, with which arguments, and what to say then.

Each toy tool is a row: its declaration, in a few wordings, and what comes back; what a
user says to want it stands in forms.txt.  Besides those, tools with invented names and
parameters are called for by name, so that the model learns to read a
declaration and not only to know ten of them.
"""

from dataclasses import dataclass

import skills
from chat import dumps
from skills import Turn, invented, mark, proper


@dataclass
class Tool:
    name: str
    descriptions: list
    parameters: dict        # name: JSON type
    result: object          # (rng, arguments) -> text of the tool
    reply: str              # what the model says of it; R stands for the result, P as above


def declaration(tool, rng):
    return {"name": tool.name, "description": rng.choice(tool.descriptions), "parameters": tool.parameters}


TOOLS = [
    Tool("get_weather", ["Get the weather in a city", "Current weather of a city", "Weather for a city"], {"city": "string"},
         lambda rng, a: f"{rng.randint(1, 35)} degrees, {rng.choice(['sunny', 'cloudy', 'rain', 'snow', 'windy', 'fog'])}",
         "The weather in CITY: R."),
    Tool("get_time", ["Get the local time in a city", "Current time of a city", "Time in a city"], {"city": "string"},
         lambda rng, a: f"{rng.randint(0, 23)}:{rng.randint(10, 59)}",
         "It is R in CITY."),
    Tool("add_numbers", ["Add two numbers", "Compute the sum of two numbers", "Sum of two numbers"], {"a": "integer", "b": "integer"},
         lambda rng, a: str(a["a"] + a["b"]),
         "A + B = R."),
    Tool("set_timer", ["Set a timer in minutes", "Start a timer", "Start a countdown in minutes"], {"minutes": "integer"},
         lambda rng, a: rng.choice(["ok", "started", "done"]),
         "The timer is set for MINUTES minutes."),
    Tool("turn_on_light", ["Turn on the light in a room", "Switch on a light", "Light on"], {"room": "string"},
         lambda rng, a: rng.choice(["ok", "on", "done"]),
         "The light in the ROOM is on."),
    Tool("turn_off_light", ["Turn off the light in a room", "Switch off a light", "Light off"], {"room": "string"},
         lambda rng, a: rng.choice(["ok", "off", "done"]),
         "The light in the ROOM is off."),
    Tool("send_message", ["Send a message to a person", "Send a text to somebody", "Message a contact"], {"to": "string", "text": "string"},
         lambda rng, a: rng.choice(["ok", "sent", "done"]),
         "Your message to TO was sent."),
    Tool("create_note", ["Create a note", "Save a note", "Write a note"], {"text": "string"},
         lambda rng, a: rng.choice(["ok", "saved", "done"]),
         "The note is saved."),
    Tool("search_files", ["Search files for a word", "Find files by a word", "Search in files"], {"query": "string"},
         lambda rng, a: f"{rng.randint(0, 20)} files",
         "The search for QUERY found R."),
    Tool("play_music", ["Play a song", "Play music", "Start a song"], {"title": "string"},
         lambda rng, a: rng.choice(["ok", "playing", "done"]),
         "Now playing TITLE."),
]
# More of those whose arguments are harder to find in a sentence.
TRAINED_WEIGHTS = [2 if t.name in ("add_numbers", "send_message", "create_note", "search_files", "play_music") else 1 for t in TOOLS]


def argument(name, rng, held):
    """A value for a parameter; marked, unless it is a number or a room."""
    if name in ("a", "b"):
        return rng.randrange(100)
    if name == "minutes":
        return rng.randrange(1, 100)
    if name == "city":
        return mark(proper("towns", rng, held))
    if name == "to":
        return mark(proper("names", rng, held))
    if name == "room":
        return rng.choice(skills.NAMES["rooms"])
    low, high = {"query": (1, 2), "title": (1, 3), "text": (1, 6)}[name]
    return mark(" ".join(skills.phrase(rng, held, low, high)))


def arguments(tool, rng, held):
    while True:
        out = {name: argument(name, rng, held) for name in tool.parameters}
        if tool.name == "add_numbers" and skills.sum_is_held(out["a"], out["b"]) != bool(held):
            continue
        if tool.name == "set_timer" and skills.is_held("timer", out["minutes"]) != bool(held):
            continue
        return out


def filled(text, values, result=""):
    for name, value in values.items():
        text = skills.re.sub(rf"\b{name.upper()}\b", lambda m: str(value), text)
    return skills.re.sub(r"\bR\b", lambda m: result, text)


def call_of(name, values):
    return {"role": "assistant", "tool_calls": [{"name": name, "arguments": values}]}


def wanted(name, values):
    return {"kind": "tool", "want": {"name": name,
            "arguments": {k: skills.plain(v) if isinstance(v, str) else v for k, v in values.items()}}}


def exchange(tool, rng, held):
    """(messages, check): a question that the tool serves, the call, and for training sometimes what came of it."""
    values = arguments(tool, rng, held)
    question = filled(skills.form(tool.name, rng, held), values)
    messages = [{"role": "user", "content": question}, call_of(tool.name, values)]
    if not held and rng.random() < 0.4:
        result = tool.result(rng, values)
        messages += [{"role": "tool", "content": result},
                     {"role": "assistant", "content": filled(tool.reply, values, result)}]
    return messages, wanted(tool.name, values)


def more(rng, held, make):
    """Further messages for the same tools, so that a training example says more than its declarations do."""
    messages = []
    while not held and rng.random() < 0.6 and len(messages) < 10:
        messages += make()
    return messages


def toy_call(rng, held):
    """(declarations, messages, check): a question that one of the declared tools serves."""
    tool = rng.choice(TOOLS) if held or rng.early else rng.choices(TOOLS, TRAINED_WEIGHTS)[0]
    offered = [tool, *rng.sample([t for t in TOOLS if t is not tool], rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))]
    declared = [declaration(t, rng) for t in offered]
    rng.shuffle(declared)
    messages, check = exchange(tool, rng, held)
    return declared, messages + more(rng, held, lambda: exchange(rng.choice(offered), rng, held)[0]), check


VERBS = "open close start stop read write show hide move make pick lift lock clean count print".split()


def invented_tool(rng, held):
    kinds = {}
    for _ in range(rng.choice([1, 1, 2])):
        word = rng.choice(skills.split_words[bool(held)]) if rng.random() < 0.5 else invented(rng, held)
        kinds[mark(word)] = rng.choice(["string", "integer"])
    name = mark(f"{rng.choice(VERBS)}_{skills.content_word(rng, held)}")
    about = f"{rng.choice(['Work on', 'Handle', 'Do something with', 'Control'])} the {mark(skills.content_word(rng, held))}"
    return {"name": name, "description": about, "parameters": kinds}


def named_exchange(tool, rng, held):
    values = {name: rng.randrange(100) if kind == "integer" else mark(skills.content_word(rng, held))
              for name, kind in tool["parameters"].items()}
    said = " and ".join(f"{name} {value}" for name, value in values.items())
    question = skills.fill(skills.form("named", rng, held), N=tool["name"], V=said)
    check = {"kind": "tool", "want": {"name": skills.plain(tool["name"]),
             "arguments": {skills.plain(k): skills.plain(v) if isinstance(v, str) else v for k, v in values.items()}}}
    return [{"role": "user", "content": question}, call_of(tool["name"], values)], check


def named_call(rng, held):
    """The same for an invented tool that the user calls by its name."""
    tool = invented_tool(rng, held)
    invented_ones = [tool] + [invented_tool(rng, held) for _ in range(rng.choice([0, 0, 1]))]
    declared = invented_ones + [declaration(rng.choice(TOOLS), rng) for _ in range(rng.choice([0, 0, 1]))]
    rng.shuffle(declared)
    messages, check = named_exchange(tool, rng, held)
    return declared, messages + more(rng, held, lambda: named_exchange(rng.choice(invented_ones), rng, held)[0]), check


def unrelated(rng, held):
    """Tools are declared, but the question is for the model itself."""
    declared = [declaration(t, rng) for t in rng.sample(TOOLS, rng.choice([1, 1, 2, 3]))]
    has_sum = any(t["name"] == "add_numbers" for t in declared)
    makers = [skills.facts, skills.facts, skills.small_talk, skills.rewriting] + ([] if has_sum else [skills.sums])
    turn = rng.choice(makers)(rng, held)
    return declared, [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}], turn.check
